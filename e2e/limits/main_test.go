//go:build linux

// Package limits sends the real program what it must survive: floods, silence,
// slowness, bombs, garbage and wrong settings. Its memory, files and goroutines are
// looked at from outside.
package limits

import (
	"testing"

	"github.com/fanfare-push/fanfare/e2e/program"
)

// fanfare is the program, built once.
var fanfare string

func TestMain(m *testing.M) { program.Main(m, &fanfare) }
