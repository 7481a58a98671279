package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzFile feeds the reader of the file. Whatever it is given it says in lines that
// a person can use, and never crashes.
func FuzzFile(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.yaml", "testdata/bad/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range files {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("node: !!binary aGVsbG8="))
	f.Add([]byte("? ? ? a"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := newLoader()
		yamlLayer{l, "f.yaml"}.read(data)
		lines := bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r")) + 1
		for _, p := range l.problems {
			if s := p.String(); strings.ContainsAny(s, "\n\r") || p.Text == "" || p.Line < 0 || p.Line > lines {
				t.Errorf("line %d of %d: %q", p.Line, lines, s)
			}
		}
		for key, o := range l.origins {
			if o.layer != layerFile || l.fields[key].Key != key {
				t.Errorf("%s comes from %+v", key, o)
			}
		}
	})
}

// FuzzValues feeds the values of the environment and --set: what is taken is
// written in a form that is read as the same value.
func FuzzValues(f *testing.F) {
	for _, s := range []string{"10k", "1d12h", "0.0.0.0:3000", "true", "a,b", "debug", "1e3", ""} {
		f.Add(s)
	}
	fields := Fields()
	f.Fuzz(func(t *testing.T, text string) {
		for _, field := range fields {
			c := Default()
			if err := field.set(c, text); err != nil {
				continue
			}
			again := Default()
			if err := field.set(again, reveal(field, c)); err != nil || reveal(field, again) != reveal(field, c) {
				t.Errorf("%s: %q is read as %q, which is read as %q (%v)", field.Key, text, reveal(field, c), reveal(field, again), err)
			}
		}
	})
}
