package settings

import (
	"fmt"
	"strings"
	"testing"

	"github.com/goccy/go-yaml/ast"
)

// four is a bound that the tables below can cross in a short line.
var four = Nesting{Levels: 4, Brackets: 4}

func TestParseTakesOneDocument(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", ""},
		{"comments", "# nothing\n# [[[[[\n", ""},
		{"no text", "---\n", ""},
		{"values", "a: 1\nb: [x, y]\n", "a: 1\nb: [x, y]"},
		{"marked", "---\na: 1\n...\n", "a: 1"},
		{"empty second", "a: 1\n---\n", "a: 1"},
		{"repeated key", "a: 1\na: 2\n", "a: 1\na: 2"},
		{"as deep as may be", "a: [[[[x]]]]\n", "a: [[[[x]]]]"},
		{"closed again", "a: [[x], [x], [x], [x], [x]]\n", "a: [[x], [x], [x], [x], [x]]"},
		{"underlined", "a: |\n  text\n  --------\n  - - - -\n", "a: |\n  text\n  --------\n  - - - -"},
	} {
		t.Run(c.name, func(t *testing.T) {
			body, problems := Parse("f.yaml", []byte(c.text), four)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			got := ""
			if body != nil {
				got = strings.TrimSpace(body.String())
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestParseRefuses: with the line, and without what stands in it.
func TestParseRefuses(t *testing.T) {
	const deep = "is nested more than 4 levels deep"
	for _, c := range []struct{ name, text, want string }{
		{"not YAML", "a: 1\nb: [HUSH\n", "f.yaml:2: is not YAML: "},
		{"not YAML in a secret", "a: \"HUSH\n", "f.yaml:1: is not YAML: "},
		{"second document", "a: 1\n---\nb: HUSH\n", "f.yaml:3: a second YAML document starts here; keep everything in one"},
		{"brackets", "a: 1\nb: [[[[[HUSH]]]]]\n", "f.yaml:2: " + deep},
		{"brackets of two kinds", "a: {b: [{c: [{d: HUSH}]}]}\n", "f.yaml:1: " + deep},
		{"brackets over lines", "a: [[\n[[\n[HUSH]]]]]\n", "f.yaml:3: " + deep},
		{"braces of a template", "a: {{{{{HUSH}}}}}\n", "f.yaml:1: " + deep},
		{"brackets behind a value", "a: HUSH # [[[[[\n", "f.yaml:1: " + deep},
		{"lists", "a:\n  - - - - - HUSH\n", "f.yaml:2: " + deep},
		{"lists without an end of line", "- - - - - x", "f.yaml:1: " + deep},
		{"lists of nothing", "- - - - -\n", "f.yaml:1: " + deep},
		{"lists before a comment", "- - - - - # HUSH\n", "f.yaml:1: " + deep},
		{"lists with tags", "- !a - !b - !c - !d - HUSH\n", "f.yaml:1: " + deep},
		{"keys", "? ? ? ? ? HUSH\n", "f.yaml:1: " + deep},
		{"keys and lists", "--- ? - ? - ? HUSH\n", "f.yaml:1: " + deep},
		{"line breaks of old", "a: 1\rb:\r- - - - - HUSH\r", "f.yaml:3: " + deep},
		{"line breaks of Windows", "a: 1\r\nb:\r\n- - - - - HUSH\r\n", "f.yaml:3: " + deep},
	} {
		t.Run(c.name, func(t *testing.T) {
			body, problems := Parse("f.yaml", []byte(c.text), four)
			if body != nil || len(problems) != 1 {
				t.Fatalf("got %v and %v, want one problem alone", body, problems)
			}
			if got := problems.Error(); !strings.HasPrefix(got, c.want) || strings.Contains(got, "HUSH") {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestParseBoundsAreApart: a file that is full of templates has more brackets than levels.
func TestParseBoundsAreApart(t *testing.T) {
	most := Nesting{Levels: 2, Brackets: 6}
	for text, want := range map[string]bool{"[[[[[[x]]]]]]": true, "[[[[[[[x]]]]]]]": false, "- - x": true, "- - - x": false} {
		if _, problems := Parse("f.yaml", []byte(text), most); (len(problems) == 0) != want {
			t.Errorf("%s: %v", text, problems)
		}
	}
}

func TestText(t *testing.T) {
	for _, c := range []struct {
		value, want string
		ok          bool
	}{
		{"word", "word", true},
		{`"quoted: 1"`, "quoted: 1", true},
		{`""`, "", true},
		{"007", "007", true},
		{"0x1F", "0x1F", true},
		{"1.50", "1.50", true},
		{"true", "true", true},
		{".inf", ".inf", true},
		{".nan", ".nan", true},
		{"|\n  two\n  lines", "two\nlines\n", true},
		{"null", "", false},
		{"[x]", "", false},
		{"{x: 1}", "", false},
		{"!!str x", "", false},
		{"&x y", "", false},
	} {
		body, problems := Parse("f.yaml", fmt.Appendf(nil, "a: %s\n", c.value), four)
		if len(problems) > 0 {
			t.Errorf("%s: %v", c.value, problems)
			continue
		}
		m, ok := body.(*ast.MappingNode)
		if !ok || len(m.Values) != 1 {
			t.Errorf("%s: the body is %T", c.value, body)
			continue
		}
		if got, ok := Text(m.Values[0].Value); got != c.want || ok != c.ok {
			t.Errorf("%s: got %q, %v, want %q, %v", c.value, got, ok, c.want, c.ok)
		}
	}
	if _, ok := Text(nil); ok {
		t.Error("nothing has a text")
	}
}

func TestLine(t *testing.T) {
	body, problems := Parse("f.yaml", []byte("# one\n\na: 1\n"), four)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	token := body.GetToken()
	if got := Line(token); got != 3 {
		t.Errorf("got line %d, want 3", got)
	}
	token.Position = nil
	if Line(token) != 0 || Line(nil) != 0 {
		t.Error("a token without a place has a line")
	}
}
