//go:build linux

package watch

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// kind is what a piece of an expression is.
type kind int

const (
	other    kind = iota // operators, brackets, space
	name                 // of a metric, a function, a label
	number               // without a unit
	duration             // 5m, 1h30m
	quoted               // a string with its quotes
	comment              // from # to the end of the line
)

// piece is a part of an expression; together the pieces are the expression.
type piece struct {
	kind kind
	text string
}

// Pieces by how they begin. A number is tried after a duration, which begins like one.
var pieces = []struct {
	kind kind
	form *regexp.Regexp
}{
	{comment, regexp.MustCompile(`^#[^\n]*`)},
	{quoted, regexp.MustCompile("^(?:\"(?:[^\"\\\\\n]|\\\\.)*\"|'(?:[^'\\\\\n]|\\\\.)*'|`[^`]*`)")},
	{name, regexp.MustCompile(`^[A-Za-z_:][A-Za-z0-9_:]*`)},
	{duration, regexp.MustCompile(`^(?:[0-9]+(?:ms|[smhdwy]))+\b`)},
	{number, regexp.MustCompile(`^(?:0[xX][0-9a-fA-F]+|[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)`)},
	{other, regexp.MustCompile(`^(?:[][(){},=!<>~+*/%^@-]+?|\s+)`)},
}

// colon separates the range of a subquery from its step; a name cannot begin there.
var colon = regexp.MustCompile(`^:`)

// tokenize takes an expression apart.
func tokenize(expr string) (all []piece, err error) {
	inRange := false
	for rest := expr; rest != ""; {
		p := piece{}
		if inRange && colon.MatchString(rest) {
			p = piece{other, ":"}
		} else if p = first(rest); p.text == "" {
			return nil, fmt.Errorf("cannot read the expression at %.30q", rest)
		}
		switch p.text {
		case "[":
			inRange = true
		case "]":
			inRange = false
		}
		all, rest = append(all, p), rest[len(p.text):]
	}
	return all, nil
}

func first(rest string) piece {
	for _, try := range pieces {
		if text := try.form.FindString(rest); text != "" {
			return piece{try.kind, text}
		}
	}
	return piece{}
}

// expression lapses the time in an expression over samples that come every scrape, in
// lapsed time: ranges, steps of subqueries, offsets, and numbers on lines that end with
// a comment that names seconds. seconds says that such a comment stands outside.
func (l lapse) expression(expr string, scrape time.Duration, seconds bool) (string, error) {
	all, err := tokenize(expr)
	if err != nil {
		return "", err
	}
	marked := linesInSeconds(expr)
	var b strings.Builder
	line, inRange, step := 0, false, false
	for _, p := range all {
		text := p.text
		switch {
		case text == "[":
			inRange, step = true, false
		case text == "]":
			inRange = false
		case inRange && text == ":":
			step = true
		case p.kind == duration:
			if text, err = l.inExpression(text, scrape, inRange, step); err != nil {
				return "", err
			}
		case p.kind == number && (seconds || marked[line]):
			if text, err = l.number(text); err != nil {
				return "", err
			}
		}
		line += strings.Count(p.text, "\n")
		b.WriteString(text)
	}
	return b.String(), nil
}

// inExpression lapses a duration: a range, a step of a subquery, or an offset.
func (l lapse) inExpression(text string, scrape time.Duration, inRange, step bool) (string, error) {
	d, err := parseDuration(text)
	if err != nil {
		return "", err
	}
	switch {
	case step:
		d = l.interval(d)
	case inRange:
		d = l.span(d, scrape)
	default:
		d = l.of(d)
	}
	return formatDuration(d), nil
}

// inSeconds is how a comment says that the numbers of its line are seconds.
var inSeconds = regexp.MustCompile(`\bseconds\b`)

// linesInSeconds are those with such a comment.
func linesInSeconds(expr string) map[int]bool {
	marked := map[int]bool{}
	all, err := tokenize(expr)
	if err != nil {
		return nil // expression says so
	}
	line := 0
	for _, p := range all {
		if p.kind == comment && inSeconds.MatchString(p.text) {
			marked[line] = true
		}
		line += strings.Count(p.text, "\n")
	}
	return marked
}
