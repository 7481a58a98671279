// Package compose tests docker-compose.yml: what it says, and, behind "make
// test-compose", the cluster that it starts.
package compose

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// root is the top of the tree.
const root = "../.."

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// needDocker skips a test that "make test-compose" runs. It needs a Docker daemon,
// root, and minutes, so it is not among those of "make test".
func needDocker(t *testing.T) {
	t.Helper()
	if os.Getenv("FANFARE_TEST_COMPOSE") != "1" {
		t.Skip("not part of this run: make test-compose runs it")
	}
}
