package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fanfare-push/fanfare/cmd/fanfare/config"
	"github.com/fanfare-push/fanfare/cmd/fanfare/hocon"
)

// imported is what an mpush.conf says, in our terms as far as there are any.
type imported struct {
	file     string
	root     *hocon.Value
	leaves   []hocon.Leaf
	seen     map[string]bool     // leaves that were looked at, by their whole name
	settings map[string]*setting // by our key
	notes    []string            // of the reader
	remarks  []remark
	left     int // keys that were left out
}

// setting is a value of ours.
type setting struct {
	text  string
	items []string // of a list, which text is not used for
	list  bool
	at    place
	from  string // keys of MPush that it comes from, or why it is set
	about string // a comment above it
}

// place is where something was written; the zero one is the file as a whole.
type place struct {
	file string
	line int
}

func placeOf(v *hocon.Value) place { return place{v.File, v.Line} }

// remark is a line of the report.
type remark struct {
	at   place
	text string
}

// importConf reads an mpush.conf and says it in our terms. The error is one line.
func importConf(file string, text []byte, open hocon.Opener) (*imported, error) {
	doc, err := hocon.Parse(file, text, open)
	if err != nil {
		return nil, err
	}
	in := &imported{file: file, root: doc.Root, notes: doc.Notes, leaves: doc.Root.Leaves(),
		seen: make(map[string]bool), settings: make(map[string]*setting)}
	if len(doc.Root.Fields) == 0 {
		in.leaves = nil
	}
	for _, group := range []func() error{in.keys, in.addresses, in.cluster, in.limits, in.pace, in.proxy} {
		if err := group(); err != nil {
			return nil, err
		}
	}
	in.rest()
	return in, in.settle()
}

const prefix = "mp." // of every key of MPush

// find looks a value up by its key without the prefix and notes that it was looked at.
func (in *imported) find(key string) *hocon.Value {
	path := strings.Split(prefix+key, ".")
	v := in.root.Get(path...)
	if v == nil {
		return nil
	}
	if v.Kind != hocon.Object || len(v.Fields) == 0 {
		in.seen[prefix+key] = true
	}
	return v
}

// text is the text at a key, if there is one. A value that is none is left out.
func (in *imported) text(key string) (text string, at place, ok bool) {
	v := in.find(key)
	switch {
	case v == nil || v.Kind == hocon.Null:
		return "", place{}, false
	case v.Kind == hocon.Unresolved:
		in.leave(placeOf(v), prefix+key, "it depends on "+v.Text+", which the file does not define; MPush does not resolve it there either")
		return "", place{}, false
	case v.Kind != hocon.Scalar:
		in.leave(placeOf(v), prefix+key, "it should be a single value")
		return "", place{}, false
	case !fit(v.Text):
		in.leave(placeOf(v), prefix+key, "it holds characters that no setting has")
		return "", place{}, false
	}
	return strings.TrimSpace(v.Text), placeOf(v), true
}

// fit tells texts that can stand in a setting.
func fit(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return !unicode.IsPrint(r) && !unicode.IsSpace(r) || r == 0x85 || r == '\u2028' || r == '\u2029'
	})
}

// set takes a value over.
func (in *imported) set(key string, s setting) { in.settings[key] = &s }

// leave says that a key was left out and why; once, however often it was looked at.
func (in *imported) leave(at place, key, why string) {
	if in.remark(at, "%s was left out: %s", label(key), why) {
		in.left++
	}
}

// remark adds a line to the report unless it is there already.
func (in *imported) remark(at place, format string, args ...any) bool {
	r := remark{at, fmt.Sprintf(format, args...)}
	if slices.Contains(in.remarks, r) {
		return false
	}
	in.remarks = append(in.remarks, r)
	return true
}

// label is a key as the report shows it. What is too long for one may be a secret.
func label(key string) string {
	if len(key) > 100 || !fit(key) {
		return "a key of an unusual kind"
	}
	return strings.Join(strings.Fields(key), " ")
}

// report tells what was done, a line each.
func (in *imported) report() []string {
	lines := slices.Clone(in.notes)
	slices.SortStableFunc(in.remarks, func(a, b remark) int {
		return cmp.Or(strings.Compare(a.at.file, b.at.file), cmp.Compare(a.at.line, b.at.line))
	})
	for _, r := range in.remarks {
		if r.at.line > 0 {
			lines = append(lines, fmt.Sprintf("%s:%d: %s", r.at.file, r.at.line, r.text))
		} else {
			lines = append(lines, fmt.Sprintf("%s: %s", in.file, r.text))
		}
	}
	return append(lines, fmt.Sprintf("%s: settings written: %d, keys left out: %d", in.file, len(in.settings), in.left))
}

// settle leaves out what a start would not take, so that what is written is good. The
// error is what cannot be put right so.
func (in *imported) settle() error {
	for {
		_, _, err := config.Load(config.Options{Role: config.RoleNode, Set: in.assignments()})
		var problems config.Problems
		if err == nil || !errors.As(err, &problems) {
			return err
		}
		removed := false
		for _, p := range problems {
			key, _, _ := strings.Cut(p.Key, "[")
			s := in.settings[key]
			if s == nil {
				continue
			}
			in.leave(s.at, s.from, fmt.Sprintf("%s %s", p.Key, p.Text))
			delete(in.settings, key)
			removed = true
		}
		if !removed {
			return fmt.Errorf("%s: cannot be turned into a good configuration: %s %s", in.file, problems[0].Key, problems[0].Text)
		}
	}
}

// assignments are the settings as the command line would give them.
func (in *imported) assignments() (list []config.Assignment) {
	for _, f := range config.Fields() {
		s := in.settings[f.Key]
		if s == nil {
			continue
		}
		text := s.text
		if s.list {
			text = strings.Join(s.items, ",")
		}
		list = append(list, config.Assignment{Key: f.Key, Text: text})
	}
	return list
}
