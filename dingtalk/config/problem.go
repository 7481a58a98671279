package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing wrong with the file: where it is, which key it concerns, and in
// one line what is wrong and how to put it right. It never holds a secret.
type Problem struct {
	File string
	Line int    // from 1; 0 = the file as a whole
	Key  string // dotted; empty = the file as a whole
	Text string
}

func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File + ": ")
	if p.Line > 0 {
		b.Reset()
		fmt.Fprintf(&b, "%s:%d: ", p.File, p.Line)
	}
	if p.Key != "" {
		b.WriteString(p.Key + " ")
	}
	b.WriteString(strings.Join(strings.Fields(p.Text), " "))
	return b.String()
}

// Problems is every problem that was found, as an error with one line for each.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// sorted puts the problems into the order of the file, those without a line last.
func (p Problems) sorted() Problems {
	place := func(line int) int {
		if line == 0 {
			return 1 << 30
		}
		return line
	}
	slices.SortStableFunc(p, func(a, b Problem) int { return cmp.Compare(place(a.Line), place(b.Line)) })
	return p
}
