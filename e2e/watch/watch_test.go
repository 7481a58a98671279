//go:build linux

package watch

import (
	"os"
	"slices"
	"testing"
)

// faults are all scenarios. Each file faults_*_test.go has those of one subject.
func faults() []scenario {
	return slices.Concat(nodeFaults(), clusterFaults(), connectionFaults(), storeFaults(), deliveryFaults(), pipelineFaults(), dingtalkFaults(), bridgeFaults(), alertmanagerFaults(), wayFaults(), routeFaults(), serverFaults(), promiseFaults(), hostFaults(), probeFaults(), prometheusFaults())
}

// TestStack starts everything once and then breaks it in every way there is.
func TestStack(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	t.Run("every panel has data", func(t *testing.T) { dashboardsHaveData(t, s) })
	t.Run("together", func(t *testing.T) {
		for _, sc := range faults() {
			if !sc.alone && !sc.last {
				t.Run(sc.name, func(t *testing.T) { t.Parallel(); sc.run(t, s) })
			}
		}
	})
	s.settle(t)
	for _, sc := range faults() {
		if sc.alone {
			t.Run(sc.name, func(t *testing.T) { sc.run(t, s) })
		}
	}
	t.Run("a push node is stopped in order", func(t *testing.T) { stoppedInOrder(t, s) })
	t.Run("at last", func(t *testing.T) {
		for _, sc := range faults() {
			if sc.last {
				t.Run(sc.name, func(t *testing.T) { t.Parallel(); sc.run(t, s) })
			}
		}
	})
	t.Logf("time lapsed by %g\n%s", s.lapse.factor, s.results.table())
	if os.Getenv("FANFARE_WATCH_WRITE") == "1" {
		s.results.write(t, s.lapse)
	}
}
