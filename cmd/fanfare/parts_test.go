package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanfare-push/fanfare/cmd/fanfare/config"
	"github.com/fanfare-push/fanfare/server"
)

// recorder makes parts that write down what happens to them.
type recorder struct{ calls []string }

func (r *recorder) part(name string, startErr, stopErr error) part {
	return part{name,
		func() error { r.calls = append(r.calls, "start "+name); return startErr },
		func(context.Context) error { r.calls = append(r.calls, "stop "+name); return stopErr }}
}

func TestPartsStopInReverse(t *testing.T) {
	var r recorder
	s := parts{log: slog.New(slog.DiscardHandler)}
	for _, name := range []string{"a", "b", "c"} {
		s.add(r.part(name, nil, nil))
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := s.run(ctx, func() { r.calls = append(r.calls, "ready"); cancel() })
	want := []string{"start a", "start b", "start c", "ready", "stop c", "stop b", "stop a"}
	if err != nil || !slices.Equal(r.calls, want) {
		t.Errorf("%v, %v", r.calls, err)
	}
}

func TestAPartThatFailsToStart(t *testing.T) {
	var r recorder
	s := parts{log: slog.New(slog.DiscardHandler)}
	s.add(r.part("a", nil, errors.New("stuck")))
	s.add(r.part("b", errors.New("broken"), nil))
	s.add(r.part("c", nil, nil))
	err := s.run(t.Context(), func() { t.Error("ready") })
	if err == nil || err.Error() != "starting the b: broken\nstopping the a: stuck" {
		t.Errorf("got %v", err)
	}
	if want := []string{"start a", "start b", "stop c", "stop b", "stop a"}; !slices.Equal(r.calls, want) {
		t.Errorf("got %v", r.calls)
	}
}

func TestStoppingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		s := parts{log: slog.New(slog.DiscardHandler)}
		s.add(r.part("a", nil, nil))
		s.add(part{"slow", nil, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }})
		began := time.Now()
		err := s.stop()
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != stopTime || !slices.Equal(r.calls, []string{"stop a"}) {
			t.Errorf("%v after %v, %v", err, time.Since(began), r.calls)
		}
	})
}

// TestTheDefaultsAreTheNodes holds the two places where defaults stand together.
func TestTheDefaultsAreTheNodes(t *testing.T) {
	got, err := nodeOptions(config.Default())
	if err != nil {
		t.Fatal(err)
	}
	want := server.DefaultOptions()
	if got.Limits != want.Limits {
		t.Errorf("limits\n%+v, the node has\n%+v", got.Limits, want.Limits)
	}
	type times struct{ min, max, ping, ttl, ack time.Duration }
	of := func(o server.Options) times {
		return times{o.MinHeartbeat, o.MaxHeartbeat, o.WebSocketPing, o.SessionTTL, o.AckTimeout}
	}
	if of(got) != of(want) || got.HeartbeatTimeouts != want.HeartbeatTimeouts || got.DrainRate != want.DrainRate || got.WebSocketPath != want.WebSocketPath {
		t.Errorf("times\n%+v, the node has\n%+v", of(got), of(want))
	}
	if !got.Key.IsDemo() || got.TLS != nil || got.RequireEncryption != want.RequireEncryption {
		t.Errorf("security %+v", got)
	}
}

func TestExplain(t *testing.T) {
	c := config.Default()
	taken := func(address string) error {
		a, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		return &net.OpError{Op: "listen", Net: "tcp", Addr: a, Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	for address, key := range map[string]string{
		":3000": "node.listen.device", "127.0.0.1:9999": "alloc.listen", "127.0.0.2:8008": "node.listen.websocket",
	} {
		if got := explain(taken(address), c).Error(); !strings.HasPrefix(got, address+" ("+key+") is in use") {
			t.Errorf("%s: %s", address, got)
		}
	}
	for _, err := range []error{taken("127.0.0.1:1"), errors.New("other"), syscall.EADDRINUSE} {
		if explain(err, c) != err {
			t.Errorf("%v became %v", err, explain(err, c))
		}
	}
}
