// Package program is for tests that run the real program as processes: it is built
// once for a package of tests, gets an environment without settings of its own, and
// what it prints is kept. The process itself is one of backing.StartChild. The package
// is for tests alone.
package program

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// Main is all that a TestMain does: it builds the program with more flags of "go build",
// such as -race, sets path to where it is, runs the tests and exits. Goroutines that the
// tests leave are a failure. The program goes away with the tests.
func Main(m *testing.M, path *string, flags ...string) {
	dir, err := os.MkdirTemp("", "fanfare-program-")
	if err == nil {
		*path = filepath.Join(dir, "fanfare")
		err = build(*path, flags)
	}
	if err != nil {
		os.RemoveAll(dir)
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

func build(path string, flags []string) error {
	args := append([]string{"build", "-o", path}, flags...)
	out, err := exec.Command("go", append(args, "github.com/fanfare-push/fanfare/cmd/fanfare")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return nil
}

// Environment is this process's without settings of the program, so that nobody's shell
// changes what is tested.
func Environment() (variables []string) {
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "FANFARE_") {
			variables = append(variables, v)
		}
	}
	return variables
}
