//go:build unix

package backing

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

func TestStartChildTellsOfTheEnd(t *testing.T) {
	command := exec.Command("cat")
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	ended, err := StartChild(command)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
		t.Error("it has ended though its input has not")
	default:
	}
	if group, err := syscall.Getpgid(command.Process.Pid); err != nil || group != command.Process.Pid {
		t.Errorf("it is in group %d (%v), want one of its own", group, err)
	}
	input.Close()
	<-ended
	if !command.ProcessState.Success() {
		t.Error(command.ProcessState)
	}
	if _, err := StartChild(exec.Command(filepath.Join(t.TempDir(), "nothing"))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a program that is not there: %v", err)
	}
}
