package exporter

import (
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// brokenListener accepts, or fails with what its error says now.
type brokenListener struct {
	net.Listener // nil: only what is below is used
	mu           sync.Mutex
	err          error
	asked        int
	accepted     chan struct{} // a connection that comes
	closed       chan struct{}
}

func newBrokenListener() *brokenListener {
	return &brokenListener{accepted: make(chan struct{}), closed: make(chan struct{})}
}

func (b *brokenListener) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func (b *brokenListener) Accept() (net.Conn, error) {
	select {
	case <-b.closed:
		return nil, net.ErrClosed
	case <-b.accepted:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if b.err != nil {
		return nil, b.err
	}
	conn, other := net.Pipe()
	_ = other.Close()
	return conn, nil
}

func (b *brokenListener) Close() error {
	close(b.closed)
	return errors.New("once")
}

// come lets connections come for so long, one a millisecond, as if many waited.
func (b *brokenListener) come(d time.Duration) {
	end := time.After(d)
	for {
		select {
		case b.accepted <- struct{}{}:
		case <-end:
			return
		}
		time.Sleep(time.Millisecond) // virtual
	}
}

func emfile() error { return &net.OpError{Op: "accept", Err: syscall.EMFILE} }

// TestAListenerOutlivesTrouble goes through two troubles, one of which flickers.
func TestAListenerOutlivesTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book, metrics, inner := new(logBook), New(prometheus.NewRegistry()), newBrokenListener()
		l := NewListener(inner, ListenerOptions{Port: "device", Metrics: metrics, Logger: book.logger()})
		served := make(chan error)
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					served <- err
					return
				}
				_ = conn.Close()
			}
		}()
		expect := func(what string, cannot, again int) {
			t.Helper()
			synctest.Wait()
			text := book.String()
			if c, a := strings.Count(text, "cannot accept"), strings.Count(text, "accepting connections again"); c != cannot || a != again {
				t.Errorf("%s: %d and %d lines, want %d and %d:\n%s", what, c, a, cannot, again, text)
			}
		}
		inner.come(time.Second)
		expect("all is well", 0, 0)
		inner.fail(emfile())
		asked := inner.asked
		inner.come(10 * time.Second)
		expect("no files", 1, 0)
		if more := inner.asked - asked; more < 10 || more > 25 {
			t.Errorf("%d attempts in ten seconds, want more and more time between them", more)
		}
		for range 20 { // a file is free now and then
			inner.fail(nil)
			inner.come(200 * time.Millisecond)
			inner.fail(emfile())
			inner.come(200 * time.Millisecond)
		}
		expect("on the brink", 1, 0)
		inner.fail(nil)
		inner.come(calmTime + 2*lastPause)
		expect("files again", 1, 1)
		inner.fail(errors.New("something else"))
		inner.come(time.Second)
		expect("another trouble", 2, 1)
		if n := testutil.ToFloat64(metrics.AcceptErrors(AcceptOther)); n < 3 || n > 20 {
			t.Errorf("%v failures of the other kind were counted", n)
		}
		if n := testutil.ToFloat64(metrics.AcceptErrors(AcceptEMFILE)); n < 10 {
			t.Errorf("%v failures for want of files were counted", n)
		}
		if first, second := l.Close(), l.Close(); first == nil || first != second {
			t.Errorf("closed with %v, then with %v", first, second)
		}
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept ends with %v", err)
		}
	})
}

// TestTheLastFilesAreForOthers pretends that few files may be opened.
func TestTheLastFilesAreForOthers(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	book, metrics := new(logBook), New(prometheus.NewRegistry())
	l := NewListener(inner, ListenerOptions{Port: "device", Spare: SpareOfDevices, Metrics: metrics, Logger: book.logger()})
	l.files = 0
	served := make(chan error)
	go func() {
		_, err := l.Accept()
		served <- err
	}()
	for range 3 {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%d bytes came", n)
		}
		_ = conn.Close()
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a connection was accepted: %v", err)
	}
	if n := testutil.ToFloat64(metrics.AcceptErrors(AcceptEMFILE)); n != 3 || strings.Count(book.String(), "cannot accept") != 1 {
		t.Errorf("%v were counted, the log is\n%s", n, book)
	}
}

func TestHowManyFilesAreSpared(t *testing.T) {
	for _, c := range []struct{ spare, limit, want int }{
		{SpareOfDevices, 20_000, 20_000 - 64}, {SpareOfAPI, 20_000, 20_000 - 32}, {0, 20_000, 20_000},
		{SpareOfDevices, 1024, 1024 - 64}, {SpareOfDevices, 256, 224}, {SpareOfAPI, 256, 240},
		{SpareOfDevices, 16, 14}, {SpareOfAPI, 16, 15},
	} {
		if got := filesWithout(c.spare, c.limit); got != c.want {
			t.Errorf("%d spare of %d: %d, want %d", c.spare, c.limit, got, c.want)
		}
	}
	if got := filesWithout(SpareOfDevices, 0); got < 1<<30 {
		t.Errorf("without a limit: %d", got)
	}
}
