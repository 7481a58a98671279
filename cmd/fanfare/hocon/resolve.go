package hocon

// resolve puts values in the place of substitutions.
func (l *loading) resolve() {
	r := resolver{root: l.root, under: make(map[*Value]bool)}
	r.object(l.root)
}

// maxSubstitutions bounds the work, and with maxText the memory, of substitutions that
// name each other.
const (
	maxSubstitutions = 10_000
	maxText          = 64 << 10
)

type resolver struct {
	root  *Value
	under map[*Value]bool // being resolved: meeting one again is a cycle
	done  int
}

func (r *resolver) object(v *Value) {
	for i := range v.Fields {
		v.Fields[i].Value = r.value(v.Fields[i].Value)
	}
}

// value is v without substitutions.
func (r *resolver) value(v *Value) *Value {
	switch v.Kind {
	case Object:
		if !r.under[v] {
			r.under[v] = true
			r.object(v)
			delete(r.under, v)
		}
	case List:
		for i := range v.Items {
			v.Items[i] = r.value(v.Items[i])
		}
	case substitution:
		return r.lookUp(v)
	case concatenation:
		return r.concatenate(v)
	}
	return v
}

// lookUp finds what a substitution names.
func (r *resolver) lookUp(v *Value) *Value {
	lost := &Value{Kind: Unresolved, File: v.File, Line: v.Line, Text: v.Text}
	found := r.root.Get(v.path...)
	if r.done++; found == nil || r.under[found] || r.done > maxSubstitutions {
		return lost
	}
	switch found.Kind {
	case substitution, concatenation:
		named := found
		r.under[named] = true
		found = r.value(named)
		delete(r.under, named)
	case Object, List:
		return lost // who needs them in two places can write them twice
	}
	here := *found
	here.File, here.Line = v.File, v.Line
	return &here
}

// concatenate joins texts around substitutions.
func (r *resolver) concatenate(v *Value) *Value {
	all := &Value{Kind: Scalar, File: v.File, Line: v.Line}
	for _, piece := range v.pieces {
		part := r.value(piece)
		switch {
		case part.Kind == Unresolved && piece.maybe: // as if it were not there
			continue
		case part.Kind == Unresolved:
			return part
		case !isText(part) || len(all.Text)+len(part.Text) > maxText:
			return &Value{Kind: Unresolved, File: v.File, Line: v.Line, Text: "${...} beside a value that is no text"}
		}
		all.join(part)
	}
	return all
}
