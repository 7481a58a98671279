package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	maxFile  = 256 << 10 // bytes of a configuration file
	maxDepth = 16        // levels of nesting; the deepest real one is 3
)

// readFile reads a file of at most limit bytes, and no more of one that claims to be
// short and has no end.
func readFile(name string, limit int64) (data []byte, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, cause(err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return nil, cause(err)
	}
	if info.IsDir() {
		return nil, errors.New("is a directory, not a file")
	}
	if data, err = io.ReadAll(io.LimitReader(file, limit+1)); err != nil {
		return nil, cause(err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("is larger than %v", Size(limit))
	}
	return data, nil
}

// cause leaves the operation and the path out of an error of the os package, since
// the line it becomes part of names the path already.
func cause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("cannot be read: %w", path.Err)
	}
	return err
}

// yamlLayer reads settings from one YAML document.
type yamlLayer struct {
	*loader
	file string
}

// line is where a token stands, 0 if that is not known.
func line(tk *token.Token) int {
	if tk == nil || tk.Position == nil {
		return 0
	}
	return tk.Position.Line
}

func (y yamlLayer) problem(tk *token.Token, key, format string, args ...any) {
	y.problems = append(y.problems, Problem{File: y.file, Line: line(tk), Key: key, Text: fmt.Sprintf(format, args...)})
}

// refuse reports what makes the file unreadable as a whole.
func (y yamlLayer) refuse(line int, format string, args ...any) {
	y.problems = append(y.problems, Problem{File: y.file, Line: line, Text: fmt.Sprintf(format, args...)})
	y.unread = true
}

func (y yamlLayer) read(data []byte) {
	if line := tooDeep(data); line > 0 {
		y.refuse(line, "is nested more than %d levels deep", maxDepth)
		return
	}
	doc, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		y.syntax(err)
		return
	}
	var body ast.Node
	for _, d := range doc.Docs {
		if d == nil || d.Body == nil {
			continue
		}
		if body != nil {
			y.refuse(line(d.Body.GetToken()), "a second YAML document starts here; keep everything in one")
			return
		}
		body = d.Body
	}
	y.section("", body)
}

// syntax reports what the parser says without the source lines it would quote.
func (y yamlLayer) syntax(err error) {
	var bad *yaml.SyntaxError
	if errors.As(err, &bad) {
		y.refuse(line(bad.GetToken()), "is not YAML: %s", bad.GetMessage())
		return
	}
	y.refuse(0, "is not YAML")
}

// section walks a mapping whose keys are settings or further sections.
func (y yamlLayer) section(prefix string, node ast.Node) {
	entries, ok := y.entries(prefix, node)
	if !ok {
		return
	}
	seen := map[string]int{}
	for _, e := range entries {
		name, ok := keyName(e.Key)
		if !ok {
			y.problem(e.Key.GetToken(), "", "this kind of key is not supported; write a plain name")
			continue
		}
		key := prefix + name
		if first, again := seen[name]; again {
			y.problem(e.Key.GetToken(), key, "is given twice, first in line %d; remove one", first)
			continue
		}
		seen[name] = line(e.Key.GetToken())
		y.entry(key, name, prefix, e)
	}
}

func (y yamlLayer) entry(key, name, prefix string, e *ast.MappingValueNode) {
	if f, ok := y.fields[key]; ok {
		y.leaf(f, e)
		return
	}
	if y.sections[key+"."] {
		y.section(key+".", e.Value)
		return
	}
	y.problem(e.Key.GetToken(), key, "is not a known key%s", didYouMean(name, y.names(prefix)))
}

// entries gives the members of a mapping; nothing at all is an empty mapping.
func (y yamlLayer) entries(prefix string, node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case nil, *ast.NullNode, *ast.CommentGroupNode:
		return nil, true
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	y.problem(node.GetToken(), strings.TrimSuffix(prefix, "."), "must be a section with keys below it (name: value)")
	return nil, false
}

func keyName(k ast.MapKeyNode) (string, bool) {
	switch n := k.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// leaf reads the value of one setting.
func (y yamlLayer) leaf(f Field, e *ast.MappingValueNode) {
	from := origin{layer: layerFile, file: y.file, line: line(e.Key.GetToken())}
	if f.List {
		if items, ok := y.items(f, e.Value); ok {
			y.assign(f, from, func() error { return f.setList(y.config, items) })
		}
		return
	}
	if text, ok := y.scalar(f, e.Key, e.Value); ok {
		y.assign(f, from, func() error { return f.set(y.config, text) })
	}
}

func (y yamlLayer) items(f Field, node ast.Node) ([]string, bool) {
	seq, ok := node.(*ast.SequenceNode)
	if !ok {
		y.problem(node.GetToken(), f.Key, "must be a list; write [one, two]")
		return nil, false
	}
	items := make([]string, 0, len(seq.Values))
	for _, v := range seq.Values {
		text, ok := y.scalar(f, v, v)
		if !ok {
			return nil, false
		}
		items = append(items, text)
	}
	return items, true
}

// scalar gives the text of a single value as it was written, so that a name such
// as 007 stays what it is.
func (y yamlLayer) scalar(f Field, at, node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	case nil, *ast.NullNode:
		y.problem(at.GetToken(), f.Key, `has no value; write "" for none, or remove the line for the default`)
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		y.problem(at.GetToken(), f.Key, "uses a YAML anchor, alias or tag, which is not supported; write the value out")
	default:
		y.problem(at.GetToken(), f.Key, "must be a single value")
	}
	return "", false
}

// tooDeep finds the line where nesting crosses maxDepth, before the recursive
// parser sees it: by flow brackets, by "- - - " and by indentation. Brackets in
// texts count too; no honest file comes near the bound.
func tooDeep(data []byte) int {
	open := 0
	for i, line := range strings.Split(string(data), "\n") {
		trimmed := strings.TrimLeft(line, " -?\t")
		before := line[:len(line)-len(trimmed)]
		if trimmed != "" && strings.Count(before, "-")+strings.Count(before, "?") > maxDepth {
			return i + 1
		}
		if strings.HasPrefix(trimmed, "#") {
			continue
		}
		for _, c := range line {
			switch c {
			case '[', '{':
				open++
			case ']', '}':
				open = max(open-1, 0)
			}
			if open > maxDepth {
				return i + 1
			}
		}
	}
	return 0
}
