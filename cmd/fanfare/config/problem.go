package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing wrong with a configuration: where it is, which key it
// concerns, and in one line what is wrong and how to put it right.
type Problem struct {
	File string // the file, or "--set" or "environment"; empty = a default or no single place
	Line int    // from 1; 0 = not in a file
	Key  string // the dotted key; empty = the file as a whole
	Text string // never holds the value of a secret
}

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
	b.WriteString(oneLine(p.Text))
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
	slices.SortStableFunc(p, func(a, b Problem) int {
		switch {
		case a.Line == b.Line:
			return 0
		case a.Line == 0:
			return 1
		case b.Line == 0:
			return -1
		}
		return cmp.Compare(a.Line, b.Line)
	})
	return p
}

// oneLine folds white space, since a text from a parser or the system may hold line breaks.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// nearest finds the name most like a mistyped one, or "" if none is near.
func nearest(name string, names []string) string {
	const longest = 64 // nobody mistypes a key into something longer
	if len(name) > longest {
		return ""
	}
	best, limit := "", 1+len(name)/4
	for _, n := range names {
		if d := distance(strings.ToLower(name), n); d <= limit && (best == "" || d < limit) {
			best, limit = n, d
		}
	}
	return best
}

// distance is the number of edits (a letter added, left out, changed, or two
// neighbours swapped) between a and b.
func distance(a, b string) int {
	before, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := prev[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(prev[j]+1, row[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, prev, row = prev, row, before
	}
	return prev[len(b)]
}

// didYouMean is the hint for an unknown name, or the list when the list is short.
func didYouMean(name string, names []string) string {
	if n := nearest(name, names); n != "" {
		return fmt.Sprintf("; did you mean %s?", n)
	}
	if len(names) <= 12 {
		return "; known here: " + strings.Join(names, ", ")
	}
	return ""
}
