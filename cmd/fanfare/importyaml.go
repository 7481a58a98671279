package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/fanfare-push/fanfare/cmd/fanfare/config"
)

// yaml writes the settings in the order of the reference, each with where it comes from.
func (in *imported) yaml() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Made from %s by \"fanfare import-config\". Behind each setting stands the key of MPush that it comes from.\n", label(filepath.Base(in.file)))
	b.WriteString("# Settings that are not here have their defaults; docs/CONFIGURATION.md lists all. Check changes with\n#   fanfare check-config --config FILE\n")
	if in.secrets() {
		b.WriteString("# This file holds secrets: let nobody but the node read it.\n")
	}
	var open []string // sections that the last setting is in
	for _, f := range config.Fields() {
		s := in.settings[f.Key]
		if s == nil {
			continue
		}
		path := strings.Split(f.Key, ".")
		last := len(path) - 1
		for i := range last {
			if i >= len(open) || open[i] != path[i] {
				if i == 0 {
					b.WriteByte('\n')
				}
				fmt.Fprintf(&b, "%s%s:\n", indent(i), path[i])
				open = append(open[:i:i], path[i])
			}
		}
		open = path[:last]
		if s.about != "" {
			fmt.Fprintf(&b, "%s# %s\n", indent(last), s.about)
		}
		fmt.Fprintf(&b, "%s%s: %s  # %s\n", indent(last), path[last], s.yaml(), label(s.from))
	}
	return b.Bytes()
}

func indent(level int) string { return strings.Repeat("  ", level) }

// secrets tells whether any of the settings is one.
func (in *imported) secrets() bool {
	for _, f := range config.Fields() {
		if f.Secret && in.settings[f.Key] != nil {
			return true
		}
	}
	return false
}

func (s *setting) yaml() string {
	if !s.list {
		return scalar(s.text)
	}
	items := make([]string, len(s.items))
	for i, item := range s.items {
		items[i] = scalar(item)
	}
	return "[" + strings.Join(items, ", ") + "]"
}

var plainScalar = regexp.MustCompile(`^([0-9]+[a-z]*|true|false)$`)

// scalar writes a text so that YAML reads the same text. JSON's form of a string is one
// of YAML's.
func scalar(text string) string {
	if plainScalar.MatchString(text) {
		return text
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil {
		panic("a string cannot be encoded: " + err.Error()) // it always can
	}
	return strings.TrimSuffix(b.String(), "\n")
}
