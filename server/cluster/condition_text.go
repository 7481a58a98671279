package cluster

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/dop251/goja"
)

// The calls that take a pattern. [parse] gives them names that nobody can write and the
// number of the pattern in its place.
const (
	testCall    = "%test" // a function: the number, the text
	matchCall   = "%match"
	searchCall  = "%search"
	splitCall   = "%split"
	replaceCall = "%replace"
)

// subject is what a method of a text works on.
type subject struct {
	vm *goja.Runtime
	p  *pattern
	s  string
}

// addPatterns gives a machine the calls with patterns.
func addPatterns(vm *goja.Runtime, patterns []*pattern) {
	if len(patterns) == 0 {
		return
	}
	take := func(p, s goja.Value, all bool) subject {
		t := subject{vm, patterns[p.ToInteger()], s.String()}
		if !t.p.fits(t.s, all) {
			panic(vm.NewTypeError("the text is too long for the pattern"))
		}
		return t
	}
	_ = vm.Set(testCall, func(c goja.FunctionCall) goja.Value {
		t := take(c.Argument(0), c.Argument(1), false)
		return vm.ToValue(t.p.re.MatchString(t.s))
	})
	methods := vm.Get("String").ToObject(vm).Get("prototype").ToObject(vm)
	for name, call := range map[string]func(subject, goja.Value) goja.Value{
		matchCall: subject.match, searchCall: subject.search, splitCall: subject.split, replaceCall: subject.replace,
	} {
		_ = methods.Set(name, func(c goja.FunctionCall) goja.Value {
			all := name == splitCall || name != searchCall && patterns[c.Argument(0).ToInteger()].global
			return call(take(c.Argument(0), c.This, all), c.Argument(1))
		})
	}
}

// match is the first match with its groups, with the flag g all matches; null if there
// is none.
func (t subject) match(goja.Value) goja.Value {
	if t.p.global {
		all := t.p.re.FindAllString(t.s, -1)
		if all == nil {
			return goja.Null()
		}
		return t.list(all)
	}
	found := t.p.re.FindStringSubmatchIndex(t.s)
	if found == nil {
		return goja.Null()
	}
	groups := make([]any, len(found)/2)
	for i := range groups {
		groups[i] = goja.Undefined()
		if found[2*i] >= 0 {
			groups[i] = t.s[found[2*i]:found[2*i+1]]
		}
	}
	return t.vm.NewArray(groups...)
}

func (t subject) list(parts []string) goja.Value {
	items := make([]any, len(parts))
	for i, part := range parts {
		items[i] = part
	}
	return t.vm.NewArray(items...)
}

// search is the place of the first match, as JavaScript counts; -1 if there is none.
func (t subject) search(goja.Value) goja.Value {
	found := t.p.re.FindStringIndex(t.s)
	if found == nil {
		return t.vm.ToValue(-1)
	}
	place := 0
	for rest := t.s[:found[0]]; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		place += max(1, utf16.RuneLen(r))
		rest = rest[size:]
	}
	return t.vm.ToValue(place)
}

// split cuts at every match.
func (t subject) split(goja.Value) goja.Value {
	return t.list(t.p.re.Split(t.s, -1))
}

// replace puts a text in the place of the first match, with the flag g of all.
func (t subject) replace(by goja.Value) goja.Value {
	found := t.p.re.FindStringIndex(t.s)
	switch {
	case found == nil:
		return t.vm.ToValue(t.s)
	case !t.p.global:
		return t.vm.ToValue(strings.Join([]string{t.s[:found[0]], t.s[found[1]:]}, by.String()))
	}
	return t.vm.ToValue(t.p.re.ReplaceAllLiteralString(t.s, by.String()))
}
