//go:build linux

package watch

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// result is a line of the table.
type result struct {
	fault, alert, severity, how string
	wait                        time.Duration // for, lapsed
	message, resolved           time.Duration // from the fault, from the repair
}

// results are those of all scenarios.
type results struct {
	mu  sync.Mutex
	all []result
}

func (r *results) add(line result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, line)
}

// table has one line for each fault and alert, in Markdown, and says below it how many
// kept what is promised.
func (r *results) table() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortFunc(r.all, func(a, b result) int { return cmp.Or(cmp.Compare(a.alert, b.alert), cmp.Compare(a.fault, b.fault)) })
	var b strings.Builder
	b.WriteString("| alert | severity | fault | how real | `for` | seconds to the message | seconds to resolved |\n|---|---|---|---|---|---|---|\n")
	for _, l := range r.all {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %.1f | %.1f |\n", l.alert, l.severity, l.fault, l.how, formatDuration(l.wait), l.message.Seconds(), l.resolved.Seconds())
	}
	var late []string
	for _, l := range r.all {
		if l.message > l.wait+promised {
			late = append(late, l.alert)
		}
	}
	fmt.Fprintf(&b, "\nWithin `for` and %v: %d of %d.", promised, len(r.all)-len(late), len(r.all))
	if len(late) > 0 {
		fmt.Fprintf(&b, " Later: %s.", strings.Join(late, ", "))
	}
	b.WriteString("\n")
	return b.String()
}

// Where the table stands in docs/ALERTS.md.
const tableBegins, tableEnds = "<!-- table: begins -->\n", "<!-- table: ends -->\n"

// write puts the table into docs/ALERTS.md.
func (r *results) write(t *testing.T, l lapse) {
	t.Helper()
	path := filepath.Join(root, "docs", "ALERTS.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), tableBegins)
	_, tail, ok2 := strings.Cut(rest, tableEnds)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", path)
	}
	note := fmt.Sprintf("Measured with time lapsed by %g: every `for`, interval and range was that much shorter.\n\n", l.factor)
	writeFile(t, path, head+tableBegins+note+r.table()+tableEnds+tail)
}
