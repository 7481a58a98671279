package cluster

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/dop251/goja/parser"
)

// JavaScript's own patterns search by trial and error: /(a+)+$/ takes longer than the
// world will last, and no time limit interrupts it. Those of a condition are matched by
// package regexp, in time proportional to pattern and text; what it does not have
// (look-around, back references) is refused.

const (
	// maxPatternSize bounds a compiled pattern, in instructions.
	maxPatternSize = 1000
	// maxPatternWork bounds instructions times bytes that are looked at, which takes
	// about 6 ns each; more is an exception.
	maxPatternWork = 1 << 18
)

// pattern is a regular expression of a condition.
type pattern struct {
	re      *regexp.Regexp
	global  bool
	size    int  // of the compiled form
	groups  int  // in parentheses
	nothing bool // it can match the empty text
	ahead   int  // see lookAhead
}

// newPattern compiles what stands between the slashes, and the flags behind them.
func newPattern(source, flags string) (*pattern, error) {
	prefix := ""
	for _, f := range flags {
		switch f {
		case 'g', 'u':
		case 'i', 'm', 's':
			prefix += string(f)
		default:
			return nil, fmt.Errorf("the flag %c", f)
		}
	}
	text, err := parser.TransformRegExp(source, strings.Contains(flags, "s"), strings.Contains(flags, "u"))
	if err != nil {
		return nil, errors.New("a pattern with look-around or back references")
	}
	if prefix != "" {
		text = "(?" + prefix + ")" + text
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, errors.New("a pattern that is not understood")
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil || len(program.Inst) > maxPatternSize {
		return nil, errors.New("a pattern this large")
	}
	p := &pattern{global: strings.Contains(flags, "g"), size: len(program.Inst), groups: tree.MaxCap()}
	least, _ := lengths(tree)
	p.nothing, p.ahead = least == 0, lookAhead(tree)
	p.re, err = regexp.Compile(text)
	return p, err
}

// fits reports whether a text can be searched within the bound, once or for all matches.
func (p *pattern) fits(text string, all bool) bool {
	work := p.size
	if all {
		work *= p.ahead
	}
	return len(text) <= maxPatternWork/work
}

// unbounded is a length without limit.
const unbounded = 1 << 30

// lengths are the least and the most characters that a pattern matches.
func lengths(re *syntax.Regexp) (least, most int) {
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune), len(re.Rune)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1, 1
	case syntax.OpCapture:
		return lengths(re.Sub[0])
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest, syntax.OpRepeat:
		return repeatLengths(re)
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			l, m := lengths(sub)
			least, most = least+l, min(most+m, unbounded)
		}
		return least, most
	case syntax.OpAlternate:
		least = unbounded
		for _, sub := range re.Sub {
			l, m := lengths(sub)
			least, most = min(least, l), max(most, m)
		}
		return least, most
	}
	return 0, 0 // conditions on the place, as ^
}

func repeatLengths(re *syntax.Regexp) (least, most int) {
	least, most = lengths(re.Sub[0])
	from, to := 0, unbounded
	switch re.Op {
	case syntax.OpPlus:
		from = 1
	case syntax.OpQuest:
		to = 1
	case syntax.OpRepeat:
		from = re.Min
		if re.Max >= 0 {
			to = re.Max
		}
	}
	if most > 0 && to > unbounded/most {
		return min(least*from, unbounded), unbounded
	}
	return min(least*from, unbounded), most * to
}

// lookAhead is how many times finding one match after the other looks at a character
// of the text, at most; 0 if that depends on the text, as with an unbounded repetition
// that something has to follow: the end of the text is looked for from every place.
func lookAhead(re *syntax.Regexp) int {
	re = inside(re)
	options := []*syntax.Regexp{re}
	if re.Op == syntax.OpAlternate {
		options = re.Sub
	}
	most, near, few := 0, true, true
	for _, o := range options {
		ahead := nearAhead(o)
		most, near, few = max(most, ahead), near && ahead > 0, few && atOneEnd(o)
	}
	switch {
	case few: // at most a match at the start, one at the end and a search in vain
		return 3
	case near:
		return most
	}
	return 0
}

// nearAhead is lookAhead of a pattern whose length is bounded but for a repetition of
// single characters at its very end, which takes all that it looks at; 0 for others.
func nearAhead(re *syntax.Regexp) int {
	re = inside(re)
	parts := []*syntax.Regexp{re}
	if re.Op == syntax.OpConcat {
		parts = re.Sub
	}
	bounded := 1
	for _, part := range parts[:len(parts)-1] {
		_, most := lengths(part)
		bounded += most
	}
	last := inside(parts[len(parts)-1])
	_, most := lengths(last)
	switch last.Op {
	case syntax.OpStar, syntax.OpPlus, syntax.OpRepeat:
		if _, each := lengths(last.Sub[0]); each <= 1 && last.Flags&syntax.NonGreedy == 0 {
			most = 1
		}
	}
	if bounded += most; bounded > maxPatternSize {
		return 0
	}
	return bounded
}

// atOneEnd reports whether a pattern matches only at the start or the end of a text.
func atOneEnd(re *syntax.Regexp) bool {
	re = inside(re)
	if re.Op == syntax.OpConcat {
		return re.Sub[0].Op == syntax.OpBeginText || re.Sub[len(re.Sub)-1].Op == syntax.OpEndText
	}
	return re.Op == syntax.OpBeginText || re.Op == syntax.OpEndText
}

// inside takes parentheses off.
func inside(re *syntax.Regexp) *syntax.Regexp {
	for re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	return re
}
