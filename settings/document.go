package settings

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Nesting bounds how deep a document may be nested. It is checked before the parser,
// which is recursive, sees the text. Indentation needs no bound of its own: its depth is
// at most the square root of the file's size.
type Nesting struct {
	Levels   int // lists and keys that begin in one line, as in "- - -"
	Brackets int // open at a time; those in texts and comments behind a value count, too
}

// Parse reads YAML and returns the body of the only document, nil for one that is empty.
// Repeated keys are left to the caller. What is wrong is one problem that quotes no line
// of the data, which may hold a secret.
func Parse(file string, data []byte, most Nesting) (ast.Node, Problems) {
	refuse := func(line int, format string, args ...any) (ast.Node, Problems) {
		return nil, Problems{{File: file, Line: line, Text: fmt.Sprintf(format, args...)}}
	}
	if line := most.exceeded(data); line > 0 {
		return refuse(line, "is nested more than %d levels deep", most.Levels)
	}
	doc, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var bad *yaml.SyntaxError
		if errors.As(err, &bad) {
			return refuse(Line(bad.GetToken()), "is not YAML: %s", bad.GetMessage())
		}
		return refuse(0, "is not YAML")
	}
	var body ast.Node
	for _, d := range doc.Docs {
		if d == nil || d.Body == nil {
			continue
		}
		if body != nil {
			return refuse(Line(d.Body.GetToken()), "a second YAML document starts here; keep everything in one")
		}
		body = d.Body
	}
	return body, nil
}

// Line is where a token stands, 0 if that is not known.
func Line(t *token.Token) int {
	if t == nil || t.Position == nil {
		return 0
	}
	return t.Position.Line
}

// Text gives a single value as it was written, so that a name such as 007 stays what it
// is. ok is false for anything that is not one.
func Text(node ast.Node) (text string, ok bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// lineBreaks makes one of each that YAML knows.
var lineBreaks = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// exceeded finds the line that crosses the bounds, 0 if none does.
func (most Nesting) exceeded(data []byte) int {
	open, at := 0, 0
	for line := range strings.SplitSeq(lineBreaks.Replace(string(data)), "\n") {
		at++
		if strings.HasPrefix(strings.TrimLeft(line, " \t"), "#") {
			continue
		}
		if begun(line) > most.Levels {
			return at
		}
		for _, c := range line {
			switch c {
			case '[', '{':
				open++
			case ']', '}':
				open = max(open-1, 0)
			}
			if open > most.Brackets {
				return at
			}
		}
	}
	return 0
}

// begun counts the lists and keys that a line begins with, also where tags and anchors
// stand between them. A dash that no blank follows begins none: a text may be underlined
// with as many as it likes.
func begun(line string) (levels int) {
	for word := range strings.FieldsSeq(line) {
		switch {
		case word == "-" || word == "?":
			levels++
		case word[0] != '!' && word[0] != '&' && word != "---":
			return levels
		}
	}
	return levels
}
