//go:build linux

// Package limits sends the real program what it must survive: floods, silence,
// slowness, bombs, garbage and wrong settings. Its memory, files and goroutines are
// looked at from outside.
package limits

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// fanfare is the program, built once.
var fanfare string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "fanfare-limits-")
	if err == nil {
		fanfare = filepath.Join(dir, "fanfare")
		var out []byte
		if out, err = exec.Command("go", "build", "-o", fanfare, "github.com/fanfare-push/fanfare/cmd/fanfare").CombinedOutput(); err != nil {
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
