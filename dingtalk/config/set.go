package config

import (
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// Where values come from that are not in the file.
const (
	fromSet   = "--set"
	envPrefix = "FANFARE_DINGTALK_"
)

// given is a value of the command line or the environment. It is not YAML: a list is
// comma separated.
type given struct {
	ast.Node
	text string
}

// GetToken implements ast.Node: it stands in no line.
func (given) GetToken() *token.Token { return nil }

// assignments reads what the command line says, key=value.
func (r *reader) assignments(set []string) {
	r.set = map[string]string{}
	for _, one := range set {
		key, value, ok := strings.Cut(one, "=")
		if key = strings.TrimSpace(key); !ok || key == "" {
			r.problems = append(r.problems, Problem{File: fromSet, Text: "must be written as key=value, such as limits.per_minute=18"})
			continue
		}
		r.set[key] = value
	}
}

// sections are the keys that hold others. Those that the file leaves out are read all the
// same, for what stands elsewhere.
func sections() []string {
	return []string{"default_message", "links", "limits", "digest", "dedupe", "silence", "mention", "message"}
}

// named are the keys that hold others under names of the user's choice.
func named() []string { return []string{"targets", "deadman", "robots"} }

// override finds a value for a key outside of the file: the command line's, or else that
// of the environment, where an empty one counts as none.
func (r *reader) override(key, name string) (value given, source string, ok bool) {
	if text, ok := r.set[key]; ok {
		r.used = append(r.used, key)
		return given{text: text}, fromSet, true
	}
	if slices.Contains(sections(), name) || slices.Contains(named(), name) {
		return given{}, "", false
	}
	variable := envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
	if text, _ := r.getenv(variable); text != "" {
		return given{text: text}, variable + ":", true
	}
	return given{}, "", false
}

// overrides reads the keys of a section that are given elsewhere than in the file.
func (r *reader) overrides(section string, members map[string]member) {
	for _, name := range sortedKeys(members) {
		key := join(section, name)
		value, source, ok := r.override(key, name)
		if !ok {
			continue
		}
		before := r.source
		r.source = source
		members[name](key, value)
		r.source = before
	}
}

// unused notes what the command line says of keys that do not exist.
func (r *reader) unused() {
	for _, key := range sortedKeys(r.set) {
		if !slices.Contains(r.used, key) {
			r.problems = append(r.problems, Problem{File: fromSet, Key: key, Text: "is not a known key, or names a target or switch that the file does not have"})
		}
	}
}
