//go:build unix

package spool

import (
	"bytes"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanfare-push/fanfare/dingtalk/dingtalktest"
)

// TestSmallWriteProvesNothing: on a full disk something small may still find room. The
// disk works again when something as large as what failed was written, which the spool
// tries by itself, and it gives the room back.
func TestSmallWriteProvesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s, err := Open(Options{Dir: dir, Limits: Limits{Queue: 10, Bytes: 1 << 30, DeadLetters: 1}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		began := time.Now()
		repair, err := dingtalktest.BreakDisk(filepath.Join(dir, fileName))
		if err != nil {
			t.Fatal(err)
		}
		large := Item{Entry: Entry{Target: "ops"}, Body: bytes.Repeat([]byte("x"), 1<<20)}
		if _, err := s.Accept(large); err == nil {
			t.Fatal("a broken disk took something")
		}
		time.Sleep(11 * time.Second)
		if since, err := s.Failing(); !since.Equal(began) || err == nil {
			t.Errorf("it fails since %v, %v", since, err)
		}
		if err := repair(); err != nil {
			t.Fatal(err)
		}
		if err := s.SetState("robot", "a", []byte("small")); err != nil || s.Err() == nil {
			t.Errorf("after something small: %v, %v", err, s.Err())
		}
		time.Sleep(probeEvery)
		synctest.Wait()
		if since, err := s.Failing(); !since.IsZero() || err != nil {
			t.Errorf("it still fails since %v, %v", since, err)
		}
		if probe, err := s.State("spool", "probe"); err != nil || len(probe) != leastProbe {
			t.Errorf("%d bytes are left of the probe, %v", len(probe), err)
		}
		if _, err := s.Accept(large); err != nil || s.Depth("ops") != 1 {
			t.Errorf("%v, %d wait", err, s.Depth("ops"))
		}
	})
}
