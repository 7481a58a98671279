//go:build linux

package watch

import (
	"slices"
	"testing"
)

// TestEveryAlertHasAScenario compares what ships with what is proven.
func TestEveryAlertHasAScenario(t *testing.T) {
	var shippedAlerts []string
	for _, which := range []string{"leader", "follower-1", "follower-2"} {
		for _, r := range readRules(t, which, shipped(t, "rules/"+which)) {
			shippedAlerts = append(shippedAlerts, r.name)
		}
	}
	slices.Sort(shippedAlerts)
	shippedAlerts = slices.Compact(shippedAlerts)
	proven := map[string]bool{"Watchdog": true} // by the dead man's message when the leader is killed
	for _, first := range faults() {
		for sc := &first; sc != nil; sc = sc.then {
			for _, a := range sc.alerts {
				proven[a] = true
				if !slices.Contains(shippedAlerts, a) {
					t.Errorf("%s expects %s, which does not ship", sc.name, a)
				}
			}
		}
	}
	var missing []string
	for _, a := range shippedAlerts {
		if !proven[a] {
			missing = append(missing, a)
		}
	}
	t.Logf("%d alerts ship, %d have no scenario yet: %v", len(shippedAlerts), len(missing), missing)
	if len(missing) > 0 {
		t.Errorf("no scenario for %v", missing)
	}
}
