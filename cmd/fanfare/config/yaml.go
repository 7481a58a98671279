package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/fanfare-push/fanfare/settings"
)

const (
	maxFile  = 256 << 10 // bytes of a configuration file
	maxDepth = 16        // levels of nesting; the deepest real one is 3
)

// readFile is [settings.ReadFile] with an error that tells the limit.
func readFile(name string, limit int64) ([]byte, error) {
	data, err := settings.ReadFile(name, limit)
	if errors.Is(err, settings.ErrTooLarge) {
		return nil, fmt.Errorf("is larger than %v", Size(limit))
	}
	return data, err
}

// yamlLayer reads settings from one YAML document.
type yamlLayer struct {
	*loader
	file string
}

func (y yamlLayer) problem(tk *token.Token, key, format string, args ...any) {
	y.problems = append(y.problems, Problem{File: y.file, Line: settings.Line(tk), Key: key, Text: fmt.Sprintf(format, args...)})
}

// read takes the settings of a document. Brackets get no more room than levels: the texts
// of an honest file hold few.
func (y yamlLayer) read(data []byte) {
	body, problems := settings.Parse(y.file, data, settings.Nesting{Levels: maxDepth, Brackets: maxDepth})
	if len(problems) > 0 {
		y.problems, y.unread = append(y.problems, problems...), true
		return
	}
	y.section("", body)
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
		seen[name] = settings.Line(e.Key.GetToken())
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
	from := origin{layer: layerFile, file: y.file, line: settings.Line(e.Key.GetToken())}
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

// scalar gives the text of a single value, or says what else stands there.
func (y yamlLayer) scalar(f Field, at, node ast.Node) (string, bool) {
	if text, ok := settings.Text(node); ok {
		return text, true
	}
	switch node.(type) {
	case nil, *ast.NullNode:
		y.problem(at.GetToken(), f.Key, `has no value; write "" for none, or remove the line for the default`)
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		y.problem(at.GetToken(), f.Key, "uses a YAML anchor, alias or tag, which is not supported; write the value out")
	default:
		y.problem(at.GetToken(), f.Key, "must be a single value")
	}
	return "", false
}
