package config

import (
	"fmt"
	"strings"

	"github.com/fanfare-push/fanfare/settings"
)

// Problem is one thing wrong with a configuration. Its File may also be "--set" or
// "environment".
type Problem = settings.Problem

// Problems is every problem that was found, as an error with one line for each.
type Problems = settings.Problems

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
