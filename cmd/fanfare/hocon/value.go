package hocon

import (
	"slices"
	"strings"
)

// Kind is what a [Value] is.
type Kind int

// The kinds of values.
const (
	Scalar     Kind = iota // text, number or boolean: see Text
	List                   // see Items
	Object                 // see Fields
	Null                   // null
	Unresolved             // depends on a substitution that the files do not define: see Text
)

// Value is a node of the tree.
type Value struct {
	Kind   Kind
	File   string // where it was written
	Line   int    // from 1
	Text   string // of a scalar; of an unresolved one the substitution, as ${a.b}
	Items  []*Value
	Fields []Field // in the order in which their keys were first written

	pieces []*Value // of a concatenation that holds substitutions, until these are resolved
	path   []string // of a substitution
	maybe  bool     // of a substitution: ${?path}
}

// Field is a member of an object.
type Field struct {
	Key   string
	Value *Value
}

// concatenation and substitution are kinds that a finished tree does not have.
const (
	concatenation Kind = -1 - iota
	substitution
)

// Get finds the value at a path, nil if there is none.
func (v *Value) Get(path ...string) *Value {
	for _, key := range path {
		if v == nil || v.Kind != Object {
			return nil
		}
		v = v.field(key)
	}
	return v
}

func (v *Value) field(key string) *Value {
	if i := v.index(key); i >= 0 {
		return v.Fields[i].Value
	}
	return nil
}

func (v *Value) index(key string) int {
	return slices.IndexFunc(v.Fields, func(f Field) bool { return f.Key == key })
}

// Leaf is a value that is no object with members, with the keys that lead to it.
type Leaf struct {
	Path  []string
	Value *Value
}

// Name is the path with dots, as it is usually written.
func (l Leaf) Name() string { return strings.Join(l.Path, ".") }

// Leaves lists all leaves below v in the order of the keys.
func (v *Value) Leaves() (list []Leaf) { return v.leaves(nil, nil) }

func (v *Value) leaves(dst []Leaf, path []string) []Leaf {
	if v.Kind != Object || len(v.Fields) == 0 {
		return append(dst, Leaf{slices.Clone(path), v})
	}
	for _, f := range v.Fields {
		dst = f.Value.leaves(dst, append(path, f.Key))
	}
	return dst
}

// set puts a value at a path below the object v. An object is merged into the object
// that is there; anything else takes the place of what is there.
func (v *Value) set(path []string, value *Value) {
	for len(path) > 1 {
		next := v.field(path[0])
		if next == nil || next.Kind != Object {
			next = &Value{Kind: Object, File: value.File, Line: value.Line}
			v.put(path[0], next)
		}
		v, path = next, path[1:]
	}
	if old := v.field(path[0]); old != nil && old.Kind == Object && value.Kind == Object {
		old.merge(value)
		return
	}
	v.put(path[0], value)
}

func (v *Value) put(key string, value *Value) {
	if i := v.index(key); i >= 0 {
		v.Fields[i].Value = value
		return
	}
	v.Fields = append(v.Fields, Field{key, value})
}

// merge puts the members of another object into v.
func (v *Value) merge(other *Value) {
	for _, f := range other.Fields {
		v.set([]string{f.Key}, f.Value)
	}
}
