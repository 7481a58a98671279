//go:build !linux

package bench

import (
	"errors"
	"fmt"
)

// processUsage is known on Linux only; what the server's own /metrics say is used
// elsewhere where that is possible.
func processUsage(int) (usage, error) {
	return usage{}, fmt.Errorf("processor time and memory of another process: %w", errors.ErrUnsupported)
}

// loadAverage is 0, unknown.
func loadAverage() float64 { return 0 }
