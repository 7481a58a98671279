//go:build linux

// Package cluster runs the real program as a cluster: three nodes and two allocators,
// each a process, on a real Redis and a real ZooKeeper. Then processes are killed and
// stopped, servers end, networks are cut, all while devices are connected and
// messages come without end, and afterwards everything has to be accounted for.
package cluster

import (
	"testing"

	"github.com/fanfare-push/fanfare/e2e/program"
)

// fanfare is the program, built once, with the race detector.
var fanfare string

func TestMain(m *testing.M) { program.Main(m, &fanfare, "-race") }
