package config

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/fanfare-push/fanfare/settings"
)

// Bounds of what is parsed. The deepest key is on level 4, brackets in templates count,
// too, and no honest file has so many values, even if it repeats them by alias.
const (
	maxDepth    = 16
	maxBrackets = 4 * maxDepth
	maxValues   = 20000
)

// member reads the value of one key.
type member func(key string, node ast.Node)

// reader walks a YAML document and collects what is wrong with it.
type reader struct {
	file     string
	getenv   func(string) (string, bool)
	anchors  map[string]ast.Node
	values   int // looked at so far
	tooMany  bool
	problems Problems
	files    []string // that values were read from
	set      map[string]string
	used     []string // keys of set
	source   string   // of the value in hand, if it is not the file
}

func lineOf(node ast.Node) int {
	if node == nil {
		return 0
	}
	return settings.Line(node.GetToken())
}

func (r *reader) problem(line int, key, format string, args ...any) {
	p := Problem{File: r.file, Line: line, Key: key, Text: fmt.Sprintf(format, args...)}
	if r.source != "" {
		p.File, p.Line = strings.TrimSuffix(r.source, ":"), 0
	}
	r.problems = append(r.problems, p)
}

// parse returns the body of the only document, nil for an empty file.
func (r *reader) parse(data []byte) ast.Node {
	body, problems := settings.Parse(r.file, data, settings.Nesting{Levels: maxDepth, Brackets: maxBrackets})
	r.problems = append(r.problems, problems...)
	if body != nil {
		ast.Walk(anchorFinder{r.anchors}, body)
	}
	return body
}

// anchorFinder notes what anchors stand for.
type anchorFinder struct{ found map[string]ast.Node }

func (f anchorFinder) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok && a.Name != nil {
		f.found[a.Name.GetToken().Value] = a.Value
	}
	return f
}

// resolve replaces aliases and anchors by what they stand for; nil for nothing.
func (r *reader) resolve(node ast.Node) ast.Node {
	if r.values++; r.values > maxValues {
		if !r.tooMany {
			r.tooMany = true
			r.problem(lineOf(node), "", "has more than %d values; is an alias repeated too often?", maxValues)
		}
		return nil
	}
	for range maxDepth {
		switch n := node.(type) {
		case *ast.AnchorNode:
			node = n.Value
		case *ast.AliasNode:
			node = r.anchors[n.Value.GetToken().Value]
		case *ast.NullNode, *ast.CommentGroupNode:
			return nil
		default:
			return node
		}
	}
	return nil
}

// entry is a key with its value.
type entry struct {
	name string
	line int
	node ast.Node
}

// entries gives the members of a mapping, those merged with << last and not if they are
// given anyway. Nothing at all is an empty mapping.
func (r *reader) entries(key string, node ast.Node, depth int) (list []entry) {
	node, at := r.value(node)
	var values []*ast.MappingValueNode
	switch n := node.(type) {
	case nil:
		return nil
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		r.problem(at, key, "must be a section with keys below it (name: value)")
		return nil
	}
	seen := map[string]int{}
	var merged []ast.Node
	for _, v := range values {
		if _, merge := v.Key.(*ast.MergeKeyNode); merge {
			merged = append(merged, v.Value)
			continue
		}
		name, line := v.Key.GetToken().Value, settings.Line(v.Key.GetToken())
		if first, again := seen[name]; again {
			r.problem(line, join(key, name), "is given twice, first in line %d; remove one", first)
			continue
		}
		seen[name] = line
		list = append(list, entry{name, line, v.Value})
	}
	for _, m := range merged {
		list = append(list, r.merged(key, m, seen, depth)...)
	}
	return list
}

func (r *reader) merged(key string, node ast.Node, seen map[string]int, depth int) (list []entry) {
	if depth > maxDepth {
		r.problem(lineOf(node), key, "merges too deep")
		return nil
	}
	for _, e := range r.entries(key, node, depth+1) {
		if _, given := seen[e.name]; !given {
			list = append(list, e)
		}
	}
	return list
}

// section reads a mapping with known keys.
func (r *reader) section(key string, node ast.Node, members map[string]member) {
	there := map[string]bool{}
	for _, e := range r.entries(key, node, 0) {
		read, ok := members[e.name]
		there[e.name] = true
		if !ok {
			r.problem(e.line, join(key, e.name), "is not a known key; known here: %s", strings.Join(sortedKeys(members), ", "))
			continue
		}
		read(join(key, e.name), located{e.node, e.line})
	}
	for _, name := range sections() {
		if read := members[name]; read != nil && !there[name] {
			read(join(key, name), nil)
		}
	}
	r.overrides(key, members)
}

// each reads a mapping with names of the user's choice.
func (r *reader) each(key string, node ast.Node, read func(name, key string, node ast.Node)) {
	for _, e := range r.entries(key, node, 0) {
		read(e.name, join(key, e.name), located{e.node, e.line})
	}
}

// located is a value that knows the line of its key, for values that are not there.
type located struct {
	ast.Node
	line int
}

// value unwraps a node and gives the line to name.
func (r *reader) value(node ast.Node) (ast.Node, int) {
	line := 0
	if l, ok := node.(located); ok {
		node, line = l.Node, l.line
	}
	if n := lineOf(node); n > 0 && line == 0 {
		line = n
	}
	return r.resolve(node), line
}

// list gives the members of a sequence; a single value is not one.
func (r *reader) list(key string, node ast.Node) []ast.Node {
	n, line := r.value(node)
	switch s := n.(type) {
	case nil:
		return nil
	case given:
		var list []ast.Node
		for _, one := range strings.Split(s.text, ",") {
			list = append(list, given{text: strings.TrimSpace(one)})
		}
		return list
	case *ast.SequenceNode:
		return s.Values
	}
	r.problem(line, key, "must be a list; write [one, two]")
	return nil
}

// scalar gives the text of a single value as it was written. ok is false, and the
// problem noted, for anything else; nothing at all is the empty text.
func (r *reader) scalar(key string, node ast.Node) (text string, line int, ok bool) {
	n, line := r.value(node)
	switch s := n.(type) {
	case nil:
		return "", line, !r.tooMany
	case given:
		return s.text, 0, true
	}
	if text, ok = settings.Text(n); !ok {
		r.problem(line, key, "must be a single value")
	}
	return text, line, ok
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}
