package hocon

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
)

// The bounds of what is read. No honest file comes near them.
const (
	// MaxSize is the most bytes of all files together.
	MaxSize = 1 << 20

	maxDepth    = 32 // objects and lists within each other
	maxIncludes = 32
	maxKeys     = 1 << 14
)

// Error is what is wrong with a file, in one line.
type Error struct {
	File string
	Line int
	Text string
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text) }

// ErrNoFile is what an opener returns for a file that does not exist.
var ErrNoFile = errors.New("there is no such file")

// Opener reads an included file; a name that is not absolute was made relative to the
// file that includes it.
type Opener func(name string) ([]byte, error)

// Document is what was read.
type Document struct {
	Root  *Value   // an object
	Notes []string // what a person should know, a line each: files that were included, or not there
}

// Parse reads the file of the given name with what it includes. A nil open refuses
// includes. The error is an [Error].
func Parse(name string, text []byte, open Opener) (*Document, error) {
	l := &loading{open: open, root: &Value{Kind: Object, File: name, Line: 1}}
	if err := l.load(name, text, l.root); err != nil {
		return nil, err
	}
	l.resolve()
	return &Document{l.root, l.notes}, nil
}

// loading is the reading of a file and those it includes.
type loading struct {
	open    Opener
	root    *Value
	notes   []string
	size    int
	keys    int
	stack   []string // files that are being read
	counted int      // includes
}

func (l *loading) load(name string, text []byte, into *Value) error {
	p := &parser{loading: l, file: name, src: strings.TrimPrefix(string(text), "\uFEFF"), line: 1}
	if l.size += len(text); l.size > MaxSize {
		return p.fail("is too large; %d bytes are read at most", MaxSize)
	}
	l.stack = append(l.stack, name)
	defer func() { l.stack = l.stack[:len(l.stack)-1] }()
	p.blank()
	switch p.peek() {
	case '{':
		p.next()
		if err := p.fields(into, '}'); err != nil {
			return err
		}
	case '[':
		return p.fail("starts with a list; a configuration is an object")
	default:
		return p.fields(into, 0)
	}
	if p.blank(); !p.end() {
		return p.fail("%s stands behind the end of the object", p.shown())
	}
	return nil
}

// parser reads one file.
type parser struct {
	*loading
	file  string
	src   string
	pos   int
	line  int
	depth int
}

func (p *parser) fail(format string, args ...any) error { return p.failAt(p.line, format, args...) }

func (p *parser) failAt(line int, format string, args ...any) error {
	return &Error{p.file, line, fmt.Sprintf(format, args...)}
}

func (p *parser) end() bool { return p.pos >= len(p.src) }

// peek is the next byte, 0 at the end.
func (p *parser) peek() byte {
	if p.end() {
		return 0
	}
	return p.src[p.pos]
}

func (p *parser) next() byte {
	c := p.peek()
	if !p.end() {
		p.pos++
	}
	if c == '\n' {
		p.line++
	}
	return c
}

func (p *parser) sees(text string) bool { return !p.end() && strings.HasPrefix(p.src[p.pos:], text) }

// shown is the next character as an error shows it.
func (p *parser) shown() string {
	for _, r := range p.src[p.pos:] {
		return fmt.Sprintf("%q", r)
	}
	return "the end of the file"
}

// spaces skips white space within a line and returns it.
func (p *parser) spaces() string {
	start := p.pos
	for {
		switch {
		case p.sees("\u00A0"):
			p.pos += len("\u00A0")
		case p.sees("\uFEFF"):
			p.pos += len("\uFEFF")
		case p.peek() == ' ', p.peek() == '\t', p.peek() == '\r', p.peek() == '\f', p.peek() == '\v':
			p.pos++
		default:
			return p.src[start:p.pos]
		}
	}
}

// comment skips a comment up to its line break.
func (p *parser) comment() bool {
	if p.peek() != '#' && !p.sees("//") {
		return false
	}
	for !p.end() && p.peek() != '\n' {
		p.pos++
	}
	return true
}

// blank skips white space, line breaks and comments, and tells whether there was a
// line break.
func (p *parser) blank() (broke bool) {
	for {
		p.spaces()
		switch {
		case p.peek() == '\n':
			p.next()
			broke = true
		case !p.comment():
			return broke
		}
	}
}

// fields reads members into an object until closing, or to the end if that is 0.
func (p *parser) fields(into *Value, closing byte) error {
	opened := p.line
	for {
		p.blank()
		switch c := p.peek(); {
		case p.end() && closing == 0:
			return nil
		case p.end():
			return p.failAt(opened, "the { in this line is not closed")
		case c == '}' && closing == '}':
			p.next()
			return nil
		case c == '}':
			return p.fail("} closes nothing")
		}
		if err := p.member(into); err != nil {
			return err
		}
		if err := p.separator("}"); err != nil {
			return err
		}
	}
}

// separator skips what stands between two members or items: a comma or a line break.
func (p *parser) separator(closing string) error {
	broke := p.blank()
	switch {
	case p.peek() == ',':
		p.next()
	case !broke && !p.end() && !strings.Contains(closing, string(p.peek())):
		return p.fail("%s is not expected here; write a new line or a comma between two values", p.shown())
	}
	return nil
}

// member reads one key with its value, or an include.
func (p *parser) member(into *Value) error {
	if ok, err := p.include(into); ok || err != nil {
		return err
	}
	if p.keys++; p.keys > maxKeys {
		return p.fail("has more than %d keys", maxKeys)
	}
	line := p.line
	path, err := p.path(":={+")
	if err != nil {
		return err
	}
	name := short(strings.Join(path, "."))
	p.blank()
	add := p.sees("+=")
	switch {
	case add:
		p.pos += 2
	case p.peek() == ':', p.peek() == '=':
		p.next()
	case p.peek() != '{':
		return p.failAt(line, "behind %s a = or { is missing", name)
	}
	p.blank()
	value, err := p.value(name)
	if err != nil {
		return err
	}
	if add {
		if value, err = p.appended(into.Get(path...), value); err != nil {
			return err
		}
	}
	into.set(path, value)
	return nil
}

// short is a key as an error shows it, in one line. What is too long for a key may be a
// secret whose quotes are missing.
func short(name string) string {
	if len(name) > 60 || !printable(name) {
		return "this word"
	}
	return name
}

func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// appended is the list that a += makes.
func (p *parser) appended(old, item *Value) (*Value, error) {
	list := &Value{Kind: List, File: p.file, Line: item.Line}
	switch {
	case old == nil:
	case old.Kind == List:
		list.Items = append(list.Items, old.Items...)
	default:
		return nil, p.failAt(item.Line, "+= adds to what is no list")
	}
	list.Items = append(list.Items, item)
	return list, nil
}

// path reads a key: parts with dots between them, quoted where they hold one.
func (p *parser) path(stop string) (path []string, err error) {
	for {
		p.spaces()
		var part string
		if p.peek() == '"' {
			part, err = p.quoted()
		} else if part = p.bare("." + stop); part == "" {
			err = p.fail("%s is no start of a key", p.shown())
		}
		if err != nil {
			return nil, err
		}
		if path = append(path, part); len(path) > maxDepth {
			return nil, p.fail("a key has more than %d parts", maxDepth)
		}
		p.spaces()
		if p.peek() != '.' {
			return path, nil
		}
		p.next()
	}
}

// bare reads characters that need no quotes, up to white space, a comment, one of stop
// or one that does need quotes.
func (p *parser) bare(stop string) string {
	const needQuotes = `$"{}[]:=,+#^?!@*&\` + "`"
	start := p.pos
	for !p.end() && !p.sees("//") && !p.sees("\u00A0") {
		c := p.peek()
		if c <= ' ' || strings.IndexByte(stop, c) >= 0 || strings.IndexByte(needQuotes, c) >= 0 {
			break
		}
		p.pos++
	}
	return p.src[start:p.pos]
}

// include reads an include statement, if that is what comes.
func (p *parser) include(into *Value) (ok bool, err error) {
	line, start := p.line, p.pos
	if !p.sees("include") {
		return false, nil
	}
	p.pos += len("include")
	p.spaces()
	call := p.bare("()")
	if p.peek() != '"' && p.peek() != '(' { // a key that begins with this word
		p.pos = start
		return false, nil
	}
	required := call == "required"
	for p.peek() == '(' {
		p.next()
		if p.spaces(); p.peek() != '"' {
			call = p.bare("()")
		}
	}
	name, err := p.quoted()
	if err != nil || name == "" || !printable(name) {
		return false, p.failAt(line, "this include names no file; write include \"name.conf\"")
	}
	for p.spaces(); p.peek() == ')'; p.spaces() {
		p.next()
	}
	if call == "url" || call == "classpath" {
		return true, p.failAt(line, "include %s(...) cannot be read here; put what it names into this file, or into one beside it", call)
	}
	return true, p.read(line, name, required, into)
}

// read reads an included file into an object. As in HOCON one that is not there is left
// out unless it is required; a person should know.
func (p *parser) read(line int, name string, required bool, into *Value) error {
	if p.open == nil {
		return p.failAt(line, "includes are not read here; put what %s holds into this file", name)
	}
	if p.counted++; p.counted > maxIncludes {
		return p.failAt(line, "more than %d files are included", maxIncludes)
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(p.file), name)
	}
	for _, open := range p.stack {
		if open == name {
			return p.failAt(line, "%s is included by itself", name)
		}
	}
	text, err := p.open(name)
	switch {
	case errors.Is(err, ErrNoFile) && !required:
		p.notes = append(p.notes, fmt.Sprintf("%s:%d: includes %s, which does not exist and was left out", p.file, line, name))
		return nil
	case err != nil:
		return p.failAt(line, "the included file %s: %v", name, err)
	}
	p.notes = append(p.notes, fmt.Sprintf("%s:%d: includes %s, which was read", p.file, line, name))
	return p.load(name, text, into)
}
