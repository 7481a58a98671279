package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unique"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/store"
)

// stage is a node in virtual time: its devices are pipes, since the system's sockets
// know only real time. What takes a minute here takes a moment.
type stage struct {
	*Node
	t     *testing.T
	start time.Time

	mu  sync.Mutex
	got map[string][]arrival // by user
}

// arrival is a push that a device read.
type arrival struct {
	at      time.Duration // since the start
	content string
	class   protocol.ClientType
}

// onStage runs a test in virtual time.
func onStage(t *testing.T, adjust func(*Options), play func(*stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		key, err := protocol.DemoKeyPair()
		if err != nil {
			t.Fatal(err)
		}
		sessions, err := store.Open(store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		opt := DefaultOptions()
		opt.ID, opt.Key, opt.Listen = "node-1", key, Endpoints{}
		opt.Logger, opt.Store, opt.Metrics = slog.New(slog.DiscardHandler), sessions, exporter.New(prometheus.NewRegistry())
		adjust(&opt)
		n, err := New(opt)
		if err != nil {
			t.Fatal(err)
		}
		s := &stage{Node: n, t: t, start: time.Now(), got: map[string][]arrival{}}
		play(s)
		if err := errors.Join(n.Stop(context.Background()), sessions.Close()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}

// join connects a device of a user and reads what it is sent.
func (s *stage) join(user string, os ...string) *conn {
	c, peer := s.connect(user, append(os, "android")[0])
	go s.listen(user, c.class, peer)
	return c
}

// joinDeaf connects a device that reads nothing.
func (s *stage) joinDeaf(user string) *conn {
	c, peer := s.connect(user, "android")
	s.t.Cleanup(func() { _ = peer.Close() })
	return c
}

func (s *stage) connect(user, os string) (*conn, net.Conn) {
	end, peer := net.Pipe()
	c := newConn(s.Node, end, protocol.TCP, s.connIDs.Add(1))
	c.sniffed = true
	c.countLocked()
	s.hub.add(c)
	c.mu.Lock()
	c.device = &device{id: user, osName: unique.Make(os), osVersion: unique.Make("1"), clientVersion: unique.Make("2"), heartbeat: time.Hour}
	class := c.device.class()
	c.user, c.tags = user, "tag-"+os
	s.hub.bind(user, class, c)
	s.metrics.Bound(class).Inc()
	c.mu.Unlock()
	c.read()
	return c, peer
}

func (s *stage) listen(user string, class protocol.ClientType, peer net.Conn) {
	var dec protocol.Decoder
	buf := make([]byte, 4096)
	for {
		n, err := peer.Read(buf)
		if err != nil {
			_ = peer.Close()
			return
		}
		for data := buf[:n]; len(data) > 0; {
			p, rest, ok, err := dec.Next(data, 1<<16)
			if err != nil || !ok {
				break
			}
			if p.Command == protocol.CmdPush {
				s.mu.Lock()
				s.got[user] = append(s.got[user], arrival{time.Since(s.start), string(p.Body), class})
				s.mu.Unlock()
			}
			data = rest
		}
	}
}

// crowd connects users u0, u1 and so on.
func (s *stage) crowd(count int) (conns []*conn) {
	for i := range count {
		conns = append(conns, s.join(fmt.Sprint("u", i)))
	}
	return conns
}

// times are those of all arrivals, in order.
func (s *stage) times() (all []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, list := range s.got {
		for _, a := range list {
			all = append(all, a.at)
		}
	}
	slices.Sort(all)
	return all
}

// received are the contents that a user got, in order.
func (s *stage) received(user string) (contents []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.got[user] {
		contents = append(contents, a.content)
	}
	return contents
}

// watcher is a tracker that keeps all it is told.
type watcher struct {
	s    *stage
	done chan cluster.Result

	mu       sync.Mutex
	progress []cluster.Result
	at       []time.Duration
	ends     int
	endAt    time.Duration
}

func (s *stage) watch() *watcher { return &watcher{s: s, done: make(chan cluster.Result, 1)} }

func (w *watcher) Reached(protocol.Stage, string, time.Time) {}

func (w *watcher) Progress(r cluster.Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ends > 0 {
		w.s.t.Error("progress after the end")
	}
	w.progress, w.at = append(w.progress, r), append(w.at, time.Since(w.s.start))
}

func (w *watcher) Done(r cluster.Result) {
	w.mu.Lock()
	w.ends++
	w.endAt = time.Since(w.s.start)
	second := w.ends > 1
	w.mu.Unlock()
	if second {
		w.s.t.Error("the push ended twice")
		return
	}
	w.done <- r
}

// cast starts a broadcast.
func (s *stage) cast(p cluster.Push) *watcher {
	w := s.watch()
	p.ID, p.Content = "m", []byte("to all")
	s.Broadcast(&p, w)
	return w
}

// wantEnds checks how the deliveries of a broadcast ended.
func (w *watcher) wantEnds(want map[protocol.Outcome]int) cluster.Result {
	w.s.t.Helper()
	r := <-w.done
	for o, n := range r.Deliveries {
		if n != want[protocol.Outcome(o)] {
			w.s.t.Errorf("%d connections ended as %s, want %d", n, protocol.Outcome(o), want[protocol.Outcome(o)])
		}
	}
	return r
}
