package settings

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzParse feeds Parse with the files that its users are tested with. It gives a
// document or one problem in a line, which is one of the file's.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"../cmd/fanfare/config/testdata/good/*.yaml", "../cmd/fanfare/config/testdata/bad/*.yaml",
		"../configs/fanfare/*.yaml", "../configs/dingtalk/*.yml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, name := range files {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	for _, text := range []string{"", "a: &a [*a]", "node: !!binary aGVsbG8=", "? ? ? a", "targets: &a {x: *a}", "<<: {targets: {a: {url: ''}}}",
		"? [a]\n: b", "targets:\n  a: &x\n    <<: *x\n    url: ''", "- - - -", "a: '{{ template \"x\" . }}'", "%YAML 9\n---\n", "a\r- b\r\n- c"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		body, problems := Parse("f.yaml", data, Nesting{Levels: 16, Brackets: 64})
		if len(problems) == 0 {
			return
		}
		lines := bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r")) + 1
		if p := problems[0]; body != nil || len(problems) != 1 || p.File != "f.yaml" || p.Text == "" || p.Line < 0 || p.Line > lines || strings.ContainsAny(p.String(), "\r\n") {
			t.Errorf("of %d lines: %v, %q", lines, body, problems)
		}
	})
}
