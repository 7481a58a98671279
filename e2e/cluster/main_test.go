//go:build linux

// Package cluster runs the real program as a cluster: three nodes and two allocators,
// each a process, on a real Redis and a real ZooKeeper. Then processes are killed and
// stopped, servers end, networks are cut, all while devices are connected and
// messages come without end, and afterwards everything has to be accounted for.
package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// fanfare is the program, built once, with the race detector.
var fanfare string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "fanfare-cluster-")
	if err == nil {
		fanfare = filepath.Join(dir, "fanfare")
		var out []byte
		if out, err = exec.Command("go", "build", "-race", "-o", fanfare, "github.com/fanfare-push/fanfare/cmd/fanfare").CombinedOutput(); err != nil {
			err = fmt.Errorf("building the program: %w\n%s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}
