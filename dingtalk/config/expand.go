package config

import (
	"fmt"
	"regexp"
	"strings"
)

// variable is ${NAME}, ${NAME:-default} or, to write one as it is, $${NAME}.
var variable = regexp.MustCompile(`\$?\$\{([A-Za-z_][A-Za-z0-9_]*)(:-[^}]*)?\}`)

// expand puts variables of the environment in. One that is not set and has no default
// is an error: a typing mistake must not turn a target into a silent one.
func expand(text string, getenv func(string) (string, bool)) (string, error) {
	var missing string
	out := variable.ReplaceAllStringFunc(text, func(m string) string {
		if strings.HasPrefix(m, "$$") {
			return m[1:]
		}
		parts := variable.FindStringSubmatch(m)
		value, set := getenv(parts[1])
		if value == "" && parts[2] != "" {
			return strings.TrimPrefix(parts[2], ":-")
		}
		if !set && missing == "" {
			missing = parts[1]
		}
		return value
	})
	if missing != "" {
		return "", fmt.Errorf("uses the variable %s, which is not set; set it, or write ${%s:-} for nothing in its place", missing, missing)
	}
	return out, nil
}
