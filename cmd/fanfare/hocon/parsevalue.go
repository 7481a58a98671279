package hocon

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// value reads what stands behind a key, up to a line break, a comma or a closing
// bracket: one value, or several that become one.
func (p *parser) value(name string) (*Value, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail("is nested more than %d levels deep", maxDepth)
	}
	defer func() { p.depth-- }()
	line := p.line
	var pieces []*Value
	for {
		space := p.spaces()
		piece, err := p.piece()
		if err != nil {
			return nil, err
		}
		if piece == nil {
			break
		}
		if len(pieces) > 0 && space != "" && isText(piece) && isText(pieces[len(pieces)-1]) {
			pieces = append(pieces, &Value{Kind: Scalar, Text: space})
		}
		pieces = append(pieces, piece)
	}
	if len(pieces) == 0 {
		return nil, p.fail("%s has no value", name)
	}
	return p.joined(name, line, pieces)
}

func isText(v *Value) bool { return v.Kind == Scalar || v.Kind == substitution || v.Kind == Null }

// piece reads one part of a value, nil if none comes.
func (p *parser) piece() (*Value, error) {
	v := &Value{Kind: Scalar, File: p.file, Line: p.line}
	var err error
	switch c := p.peek(); {
	case p.end(), strings.IndexByte("\n,}]#", c) >= 0, p.sees("//"):
		return nil, nil
	case c == '{':
		p.next()
		v.Kind = Object
		return v, p.fields(v, '}')
	case c == '[':
		p.next()
		v.Kind = List
		v.Items, err = p.items()
		return v, err
	case c == '"':
		v.Text, err = p.quoted()
		return v, err
	case p.sees("${"):
		return p.substitution(v)
	}
	if v.Text = p.bare(""); v.Text == "" {
		return nil, p.fail("%s needs quotes around the text that it stands in", p.shown())
	}
	if v.Text == "null" {
		v.Kind = Null
	}
	return v, nil
}

// joined makes one value of its parts.
func (p *parser) joined(name string, line int, pieces []*Value) (*Value, error) {
	if len(pieces) == 1 {
		return pieces[0], nil
	}
	all := &Value{Kind: pieces[0].Kind, File: p.file, Line: line}
	for _, v := range pieces {
		switch {
		case v.Kind == substitution:
			return &Value{Kind: concatenation, File: p.file, Line: line, pieces: pieces}, nil
		case all.Kind == Null && isText(v), v.Kind == Null && isText(all):
			all.Kind = Scalar
		case v.Kind != all.Kind:
			return nil, p.failAt(line, "%s joins values that do not fit together", name)
		}
	}
	for _, v := range pieces {
		all.join(v)
	}
	return all, nil
}

// join adds a part of the same kind.
func (v *Value) join(part *Value) {
	switch v.Kind {
	case Object:
		v.merge(part)
	case List:
		v.Items = append(v.Items, part.Items...)
	default:
		if part.Kind == Null {
			part = &Value{Text: "null"}
		}
		v.Text += part.Text
	}
}

// items reads a list behind its bracket.
func (p *parser) items() (list []*Value, err error) {
	opened := p.line
	for {
		p.blank()
		switch {
		case p.end():
			return nil, p.failAt(opened, "the [ in this line is not closed")
		case p.peek() == ']':
			p.next()
			return list, nil
		}
		item, err := p.value("an item of a list")
		if err != nil {
			return nil, err
		}
		if list = append(list, item); len(list) > maxKeys {
			return nil, p.fail("a list has more than %d items", maxKeys)
		}
		if err := p.separator("]"); err != nil {
			return nil, err
		}
	}
}

// substitution reads ${path} or ${?path}.
func (p *parser) substitution(v *Value) (*Value, error) {
	start, line := p.pos, p.line
	p.pos += len("${")
	v.Kind = substitution
	if v.maybe = p.peek() == '?'; v.maybe {
		p.next()
	}
	var err error
	if v.path, err = p.path("}"); err != nil || p.peek() != '}' {
		return nil, p.failAt(line, "this ${ is no substitution; write ${path.of.a.key}, or quotes around the text")
	}
	p.next()
	v.Text = p.src[start:p.pos]
	return v, nil
}

// quoted reads a text in quotes, or in three of them.
func (p *parser) quoted() (string, error) {
	line := p.line
	if p.sees(`"""`) {
		return p.tripleQuoted()
	}
	if p.peek() != '"' {
		return "", p.fail("a text in quotes is missing")
	}
	p.next()
	var b strings.Builder
	for {
		switch c := p.peek(); {
		case p.end(), c == '\n':
			return "", p.failAt(line, "the quotes in this line are not closed")
		case c == '"':
			p.next()
			return b.String(), nil
		case c == '\\':
			r, ok := p.escape()
			if !ok {
				return "", p.fail(`a \ in quotes is followed by none of " \ / b f n r t u; write \\ for the character itself`)
			}
			b.WriteRune(r)
		default:
			b.WriteByte(p.next())
		}
	}
}

// tripleQuoted reads a text that may have several lines and no escapes. Quotes at its
// end belong to it, but for the last three.
func (p *parser) tripleQuoted() (string, error) {
	line := p.line
	p.pos += 3
	start := p.pos
	length := strings.Index(p.src[start:], `"""`)
	if length < 0 {
		return "", p.failAt(line, `the """ in this line is not closed`)
	}
	for p.pos = start + length + 3; p.peek() == '"'; p.pos++ {
		length++
	}
	text := p.src[start : start+length]
	p.line += strings.Count(text, "\n")
	return text, nil
}

// escape reads a backslash and what it stands for.
func (p *parser) escape() (rune, bool) {
	p.next()
	c := p.next()
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
		return rune("\"\\/\b\f\n\r\t"[i]), true
	}
	if c != 'u' || p.pos+4 > len(p.src) {
		return 0, false
	}
	n, err := strconv.ParseUint(p.src[p.pos:p.pos+4], 16, 16)
	p.pos += 4
	if r := rune(n); utf8.ValidRune(r) {
		return r, err == nil
	}
	return utf8.RuneError, err == nil
}
