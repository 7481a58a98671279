package config

import (
	"errors"
	"strings"
)

var errEmptySecret = errors.New("is empty")

// maxSecretFile bounds a file that holds a secret, in bytes.
const maxSecretFile = 64 << 10

// readSecrets fills every secret whose value stands in a file. A list is one value
// a line; empty lines and lines that start with # are left out.
func (l *loader) readSecrets() {
	for _, k := range l.keys {
		f := l.fields[k]
		twin, ok := l.fields[k+"_file"]
		if !ok {
			continue
		}
		name := l.path(twin.Key, twin.value(l.config).String())
		if name == "" {
			continue
		}
		data, err := readFile(name, maxSecretFile)
		if err != nil {
			l.at(twin.Key, "%s %v", name, err)
			continue
		}
		if err := fillSecret(l.config, f, string(data)); err != nil {
			l.at(twin.Key, "%s %v", name, err)
		}
	}
}

func fillSecret(c *Config, f Field, text string) error {
	if !f.List {
		text = strings.TrimSpace(text)
		if text == "" {
			return errEmptySecret
		}
		return f.set(c, text)
	}
	var items []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			items = append(items, line)
		}
	}
	if len(items) == 0 {
		return errEmptySecret
	}
	return f.setList(c, items)
}
