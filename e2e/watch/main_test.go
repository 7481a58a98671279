//go:build linux

// Package watch runs everything that watches a cluster as real processes, with the
// configuration that ships: three nodes, two allocators and the DingTalk bridge of the
// program, Redis, ZooKeeper, three Prometheus servers, Alertmanager and the exporters,
// and a strict stand-in for DingTalk. Then something breaks, for every alert there is,
// and a message has to arrive: one, that names what broke, and later that it is well.
//
// Time is lapsed: durations of the shipped files are divided by FANFARE_WATCH_SCALE,
// 15 unless it is set; 1 runs them as they are. FANFARE_WATCH_WRITE=1 writes the table
// of all faults into docs/ALERTS.md.
package watch

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/fanfare-push/fanfare/e2e/program"
)

// root is the repository.
const root = "../.."

// atOnce is how many scenarios that do not disturb each other run beside each other.
// They wait for most of the time.
const atOnce = "32"

// fanfare is the program, built once; without the race detector, which other tests of
// processes have: here a second is fifteen.
var fanfare string

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program.Main(m, &fanfare)
}
