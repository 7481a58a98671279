package bench

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// startOwn starts the test binary as a child of the load generator.
func startOwn(t *testing.T, args ...string) *child {
	t.Helper()
	c := must(startChild(t.Context(), must(os.Executable())(t), args...))(t)
	t.Cleanup(c.close)
	return c
}

func TestBareServerAndPlainDevices(t *testing.T) {
	const sockets, size, rounds = 40, 100, 3
	ctx := patience(t)
	writer := startOwn(t, "bare-server", "--size", "100")
	listening := must(writer.await(ctx, opListening))(t)
	devices := startOwn(t, "devices", "--mode", "plain", "--address", listening.Address)
	s := &bareSide{writer: writer, devices: devices, expect: sockets * (13 + size)}
	if err := s.fill(ctx, sockets); err != nil {
		t.Fatal(err)
	}
	for range rounds {
		if err := s.round(ctx); err != nil {
			t.Fatal(err)
		}
	}
	got := must(devices.ask(ctx, order{Op: opReport}))(t)
	if got.Units != rounds*sockets*(13+size) || got.Ended != 0 {
		t.Errorf("%+v: want %d bytes and no ended connection", got, rounds*sockets*(13+size))
	}
	if _, err := s.cpu(ctx); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}

func TestDevicesNoticeTheirServersEnd(t *testing.T) {
	ctx := patience(t)
	writer := startOwn(t, "bare-server")
	listening := must(writer.await(ctx, opListening))(t)
	devices := startOwn(t, "devices", "--mode", "plain", "--address", listening.Address)
	if err := (&bareSide{writer: writer, devices: devices}).fill(ctx, 10); err != nil {
		t.Fatal(err)
	}
	must(devices.ask(ctx, order{Op: opVanish, Devices: 4}))(t)
	writer.close()
	for {
		got := must(devices.ask(ctx, order{Op: opReport}))(t)
		if got.Ended == 10 { // 4 vanished, 6 were left
			return
		}
	}
}

func TestArrivedSaysHowFarItCame(t *testing.T) {
	ctx := patience(t)
	writer := startOwn(t, "bare-server")
	listening := must(writer.await(ctx, opListening))(t)
	devices := startOwn(t, "devices", "--mode", "plain", "--address", listening.Address)
	s := &bareSide{writer: writer, devices: devices, expect: 1 << 40}
	if err := s.fill(ctx, 2); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	err := s.round(short)
	if err == nil || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "226 units had arrived") {
		t.Errorf("a round of too few bytes: %v", err)
	}
	must(devices.ask(ctx, order{Op: opReset}))(t)
}

func TestChildErrors(t *testing.T) {
	ctx := patience(t)
	t.Run("refuses to start", func(t *testing.T) {
		c := startOwn(t, "devices", "--address", "192.0.2.1:1")
		_, err := c.await(ctx, opConnect)
		if err == nil || !strings.Contains(err.Error(), "--yes-remote") {
			t.Errorf("a remote address: %v", err)
		}
		<-c.exited
		if err := c.tell(order{Op: opConnect}); err == nil || !strings.Contains(err.Error(), "--yes-remote") {
			t.Errorf("an order to a child that is gone: %v", err)
		}
	})
	t.Run("unknown order", func(t *testing.T) {
		c := startOwn(t, "bare-server")
		must(c.await(ctx, opListening))(t)
		if _, err := c.ask(ctx, order{Op: "dance"}); err == nil || !strings.Contains(err.Error(), `unknown order "dance"`) {
			t.Errorf("an unknown order: %v", err)
		}
	})
	t.Run("unexpected answer", func(t *testing.T) {
		c := startOwn(t, "bare-server")
		if _, err := c.await(ctx, opReport); err == nil || !strings.Contains(err.Error(), opListening) {
			t.Errorf("another event than expected: %v", err)
		}
	})
	t.Run("no such program", func(t *testing.T) {
		if _, err := startChild(ctx, "/nowhere/fanfare", "devices"); err == nil {
			t.Error("a program that does not exist was started")
		}
	})
	t.Run("nobody to connect to", func(t *testing.T) {
		ports := must(freePorts(1))(t)
		c := startOwn(t, "devices", "--mode", "plain", "--address", ports[0])
		if _, err := c.ask(ctx, order{Op: opConnect, Devices: 1}); err == nil || !strings.Contains(err.Error(), "device 0") {
			t.Errorf("connecting to nobody: %v", err)
		}
	})
}

func TestChildEndsWithItsInput(t *testing.T) {
	c := startOwn(t, "bare-server")
	must(c.await(patience(t), opListening))(t)
	c.orders.Close()
	select {
	case <-c.exited:
	case <-patience(t).Done():
		t.Fatal("the child outlives its input")
	}
	if c.err != nil {
		t.Errorf("it ended with %v", c.err)
	}
}

func TestChildEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := must(startChild(ctx, must(os.Executable())(t), "bare-server"))(t)
	defer c.close()
	must(c.await(patience(t), opListening))(t)
	cancel()
	select {
	case <-c.exited:
	case <-patience(t).Done():
		t.Fatal("the child outlives its context")
	}
}

func TestEventWriter(t *testing.T) {
	w := &eventWriter{out: make(chan event, 4)}
	for _, piece := range []string{`{"op":"a"}`, "\n{\"op\":", `"b","units":7}` + "\n" + `{"op":"c"}` + "\n"} {
		if n, err := w.Write([]byte(piece)); err != nil || n != len(piece) {
			t.Fatalf("Write(%q) = %d, %v", piece, n, err)
		}
	}
	for _, want := range []event{{Op: "a"}, {Op: "b", Units: 7}, {Op: "c"}} {
		if got := <-w.out; got.Op != want.Op || got.Units != want.Units {
			t.Errorf("event %+v, want %+v", got, want)
		}
	}
	if _, err := w.Write([]byte("no json\n")); err == nil {
		t.Error("a line that is no event was taken")
	}
	flood := &eventWriter{out: make(chan event, 1)}
	if _, err := flood.Write([]byte("{}\n{}\n")); !errors.Is(err, errTooManyEvents) {
		t.Errorf("more events than there is room for: %v", err)
	}
	long := &eventWriter{out: make(chan event, 1)}
	if _, err := long.Write(make([]byte, longestLine+1)); err == nil {
		t.Error("a line without end was taken")
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	kept := &tail{limit: 8}
	for _, piece := range []string{"abc", "defgh", "ij", "", "a longer line"} {
		kept.Write([]byte(piece))
	}
	if got := kept.String(); got != "ger line" {
		t.Errorf("kept %q", got)
	}
}
