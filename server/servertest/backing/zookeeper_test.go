//go:build unix

package backing

import (
	"strings"
	"testing"
)

func TestZooKeeperRestarts(t *testing.T) {
	z := StartZooKeeper(t)
	pid := z.Pid()
	z.Kill()
	if _, err := z.Ask("ruok"); err == nil {
		t.Error("answers after it was killed")
	}
	z.Restart()
	if z.Pid() == pid {
		t.Error("the process is the same after a restart")
	}
	if answer, err := z.Ask("ruok"); err != nil || answer != "imok" {
		t.Errorf("ruok: %q, %v", answer, err)
	}
	z.Pause()
	if answer, err := z.Ask("ruok"); err == nil && answer != "" {
		t.Errorf("ruok while paused: %q", answer)
	}
	z.Resume()
	if answer, err := z.Ask("ruok"); err != nil || answer != "imok" {
		t.Errorf("ruok after a pause: %q, %v", answer, err)
	}
}

func TestEnsembleElectsAnother(t *testing.T) {
	servers := StartEnsemble(t, 3)
	old := leader(servers)
	if old < 0 {
		t.Fatal("no server leads")
	}
	servers[old].Kill()
	rest := append(append([]*ZooKeeper(nil), servers[:old]...), servers[old+1:]...)
	rest[0].ready()
	if err := rest[0].await(func() error {
		if leader(rest) < 0 {
			return errNoLeader
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	servers[old].Restart()
	if answer, _ := servers[old].Ask("srvr"); !strings.Contains(answer, "Mode: follower") {
		t.Errorf("the old leader came back as %q", answer)
	}
}

const errNoLeader = textError("no server leads")

type textError string

func (e textError) Error() string { return string(e) }

func leader(servers []*ZooKeeper) int {
	for i, z := range servers {
		if z.Leader() {
			return i
		}
	}
	return -1
}
