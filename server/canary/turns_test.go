package canary

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func named(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprintf("node-%03d", i))
	}
	return ids
}

// TestTurns: however nodes come and go, a round is bounded and names none twice, and
// those that stay all have their turn in as many rounds as that takes.
func TestTurns(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := &Prober{last: rapid.SampledFrom(named(200)).Draw(t, "last")}
		nodes := named(rapid.IntRange(0, 150).Draw(t, "nodes"))
		seen := map[string]int{}
		rounds := (len(nodes) + maxPerRound - 1) / maxPerRound
		for range rounds {
			turn := p.next(nodes)
			if len(turn) != min(len(nodes), maxPerRound) {
				t.Fatalf("a round of %d of %d nodes", len(turn), len(nodes))
			}
			once := slices.Clone(turn)
			slices.Sort(once)
			if len(slices.Compact(once)) != len(turn) {
				t.Fatalf("%v names a node twice", turn)
			}
			for _, id := range turn {
				seen[id]++
			}
		}
		if len(seen) != len(nodes) {
			t.Fatalf("%d of %d nodes had a turn in %d rounds", len(seen), len(nodes), rounds)
		}
	})
}
