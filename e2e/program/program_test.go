package program

import (
	"os"
	"os/exec"
	"slices"
	"testing"
)

// fanfare is the program, built once.
var fanfare string

func TestMain(m *testing.M) { Main(m, &fanfare) }

// TestSettingsStayOutside runs the program where the environment has a setting that
// would fail it.
func TestSettingsStayOutside(t *testing.T) {
	t.Setenv("FANFARE_LOG_LEVEL", "loud")
	t.Setenv("PATH_OF_ANOTHER", "stays")
	if !slices.Contains(Environment(), "PATH_OF_ANOTHER=stays") {
		t.Error("what is no setting is gone")
	}
	for wanted, environment := range map[bool][]string{true: Environment(), false: os.Environ()} {
		var printed Output
		command := exec.Command(fanfare, "check-config", "--for", "run")
		command.Stdout, command.Stderr, command.Env, command.Dir = &printed, &printed, environment, t.TempDir()
		if err := command.Run(); (err == nil) != wanted {
			t.Errorf("%v: %v", err, &printed)
		}
	}
}
