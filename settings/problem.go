// Package settings is what the readers of configuration files have in common: files of
// bounded size, one strict YAML document whose lines no error quotes, and problems by
// file, line and key.
package settings

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Problem is one thing wrong with a configuration: where it is, which key it
// concerns, and in one line what is wrong and how to put it right.
type Problem struct {
	File string // the file, or what else gave the value: "--set"; empty = a default or no single place
	Line int    // from 1; 0 = not in a file, or the file as a whole
	Key  string // dotted; empty = the file as a whole
	Text string // never holds the value of a secret
}

// String is the problem in one line.
func (p Problem) String() string {
	var b strings.Builder
	switch {
	case p.Line > 0:
		fmt.Fprintf(&b, "%s:%d: ", p.File, p.Line)
	case p.File != "":
		b.WriteString(p.File + ": ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + " ")
	}
	// A text from a parser or the system may hold line breaks.
	b.WriteString(strings.Join(strings.Fields(p.Text), " "))
	return b.String()
}

// Problems is every problem that was found, as an error with one line for each.
type Problems []Problem

// Error is all of them, in the order that they are in.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// Sort puts the problems into the order of the file, those without a line last.
func (p Problems) Sort() {
	place := func(one Problem) int {
		if one.Line == 0 {
			return math.MaxInt
		}
		return one.Line
	}
	slices.SortStableFunc(p, func(a, b Problem) int { return cmp.Compare(place(a), place(b)) })
}
