package store

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/servertest/backing"
)

const here = "127.0.0.1:3001"

func TestKicksSurviveRestarts(t *testing.T) {
	server := backing.StartRedis(t)
	var logged lockedBuffer
	metrics := exporter.New(prometheus.NewRegistry())
	s := openRedis(t, RedisOptions{Addresses: []string{server.Addr}, Logger: logTo(&logged), Metrics: metrics})
	e := listen(t, s, here)
	for i := range 3 {
		server.Kill()
		eventually(t, "the node knows that it is deaf", func() bool { return testutil.ToFloat64(metrics.KicksListening) == 0 })
		server.Restart()
		e.awaitJoined(t)
		mustKick(t, s, Kick{User: fmt.Sprint(i), Address: here})
		if got := e.next(t).User; got != fmt.Sprint(i) {
			t.Errorf("kick of %s after restart %d", got, i)
		}
	}
	if n := testutil.ToFloat64(metrics.KicksJoined); n != 4 || testutil.ToFloat64(metrics.KicksListening) != 1 {
		t.Errorf("joined %v times", n)
	}
	if deaf, again := strings.Count(logged.String(), "does not hear"), strings.Count(logged.String(), "hears"); deaf != 3 || again != 3 {
		t.Errorf("logged %d and %d times:\n%s", deaf, again, logged.String())
	}
	e.stop()
	if testutil.ToFloat64(metrics.KicksListening) != 0 {
		t.Error("listening after the end")
	}
}

// TestKicksOverASilentConnection has a server that keeps the connection and says
// nothing, then a client that is cut off by the server.
func TestKicksOverASilentConnection(t *testing.T) {
	server := backing.StartRedis(t)
	metrics := exporter.New(prometheus.NewRegistry())
	s := openRedis(t, RedisOptions{Addresses: []string{server.Addr}, Timeout: 100 * time.Millisecond, Metrics: metrics})
	e := listen(t, s, here)
	server.Pause()
	eventually(t, "the silence is noticed", func() bool { return testutil.ToFloat64(metrics.KicksListening) == 0 })
	server.Resume()
	e.awaitJoined(t)
	server.Do("CLIENT", "KILL", "TYPE", "pubsub")
	e.awaitJoined(t)
	eventually(t, "the store works", func() bool { return s.Ping(t.Context()) == nil })
	mustKick(t, s, Kick{User: "u", Address: here})
	e.next(t)
}

// A quiet channel is not a dead one.
func TestQuietChannelStaysJoined(t *testing.T) {
	server := backing.StartRedis(t)
	metrics := exporter.New(prometheus.NewRegistry())
	s := openRedis(t, RedisOptions{Addresses: []string{server.Addr}, Timeout: 50 * time.Millisecond, Metrics: metrics})
	listen(t, s, here)
	pings := func() bool { return strings.Contains(server.Text("INFO", "commandstats"), "cmdstat_ping:calls=6") }
	eventually(t, "the connection is looked at again and again", pings)
	if n := testutil.ToFloat64(metrics.KicksJoined); n != 1 {
		t.Errorf("joined %v times", n)
	}
}

// TestSlowKicked handles kicks more slowly than they come, and than pings go.
func TestSlowKicked(t *testing.T) {
	const n = 300
	server := backing.StartRedis(t)
	s := openRedis(t, RedisOptions{Addresses: []string{server.Addr}, Timeout: 50 * time.Millisecond})
	sender := openRedis(t, RedisOptions{Addresses: []string{server.Addr}})
	var joined, next, running atomic.Int32
	hold := make(chan struct{})
	stop := s.Kicks(here, func(k Kick) {
		if running.Add(1) > 1 {
			t.Error("two calls at a time")
		}
		if next.Load() == 0 {
			<-hold
		}
		if got := fmt.Sprint(next.Add(1) - 1); k.User != got {
			t.Errorf("kick of %s in the place of %s", k.User, got)
		}
		running.Add(-1)
	}, func() { joined.Add(1) })
	defer stop()
	eventually(t, "it listens", func() bool { return joined.Load() == 1 })
	for i := range n {
		mustKick(t, sender, Kick{User: fmt.Sprint(i), Address: here})
	}
	time.AfterFunc(500*time.Millisecond, func() { close(hold) }) // ten pings long
	eventually(t, "all kicks are handled", func() bool { return next.Load() == n })
	if joined.Load() != 1 {
		t.Errorf("joined %d times", joined.Load())
	}
}

func TestForeignKicks(t *testing.T) {
	server := backing.StartRedis(t)
	var logged lockedBuffer
	metrics := exporter.New(prometheus.NewRegistry())
	s := openRedis(t, RedisOptions{Addresses: []string{server.Addr}, Logger: logTo(&logged), Metrics: metrics})
	e := listen(t, s, here)
	for _, text := range []string{
		"", "x", "[]", `{"userId":7}`, `{"userId":"u"}`, `{"targetPort":3001,"targetServer":"127.0.0.1"}`,
		`{"clientType":1,"connId":"c","targetPort":3002,"targetServer":"127.0.0.1","userId":"u"}`,
	} {
		server.Do("PUBLISH", "/mpush/kick/"+here, text)
	}
	java := `{"clientType":1,"connId":"16e5ed65","deviceId":"dB","targetPort":3001,"targetServer":"127.0.0.1","userId":"k1"}`
	server.Do("PUBLISH", "/mpush/kick/"+here, java)
	want := Kick{User: "k1", DeviceID: "dB", Connection: "16e5ed65", ClientType: protocol.ClientMobile, Address: here}
	if got := e.next(t); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if n := testutil.ToFloat64(metrics.StoreUnreadable(exporter.ValueKick)); n != 7 {
		t.Errorf("counted %v", n)
	}
}

func TestListenerWithoutRedis(t *testing.T) {
	server := backing.StartRedis(t)
	server.Kill()
	s := openRedis(t, RedisOptions{Addresses: []string{server.Addr}})
	joined := make(chan struct{}, 10)
	stop := s.Kicks(here, func(Kick) {}, func() { joined <- struct{}{} })
	server.Restart()
	select {
	case <-joined:
	case <-time.After(20 * time.Second):
		t.Error("it did not begin to listen")
	}
	server.Kill()
	stop() // also while it tries again
}

// Embedded kicks wait for a slow listener, with their sender.
func TestEmbeddedKicksAreBounded(t *testing.T) {
	s := openTest(t, Options{})
	hold := make(chan struct{})
	stop := s.Kicks(here, func(Kick) { <-hold }, func() {})
	sent := make(chan int)
	go func() {
		defer close(sent)
		for i := range maxKicks + 10 {
			mustKick(t, s, Kick{User: fmt.Sprint(i), Address: here})
			if i >= maxKicks-1 {
				sent <- i
			}
		}
	}()
	last := 0
	for waiting := false; !waiting; {
		select {
		case last = <-sent:
		case <-time.After(200 * time.Millisecond):
			waiting = true
		}
	}
	if last > maxKicks {
		t.Errorf("%d kicks were taken", last+1)
	}
	close(hold)
	for range sent {
	}
	stop()
	mustKick(t, s, Kick{User: "u", Address: here}) // nobody listens
	if len(s.ears) != 0 {
		t.Errorf("%d listeners remain", len(s.ears))
	}
}

// TestCutFromRedis has a network that swallows everything, with connections that
// stay open, then one that refuses connections.
func TestCutFromRedis(t *testing.T) {
	t.Parallel()
	server := backing.StartRedis(t)
	network := backing.StartProxy(t, server.Addr)
	c := newClock()
	metrics := exporter.New(prometheus.NewRegistry())
	s := openRedis(t, RedisOptions{Addresses: []string{network.Addr}, Timeout: 200 * time.Millisecond, Metrics: metrics, Now: c.Now})
	other := openRedis(t, RedisOptions{Addresses: []string{server.Addr}, Now: c.Now})
	e := listen(t, s, here)
	mustPut(t, s, "u", testRoute(c, "c1"))
	for _, fail := range []func(){network.Cut, network.Break} {
		fail()
		for name, call := range calls(s, c) {
			if err := bounded(t, call); Explain(err) == "" {
				t.Errorf("%s: %v", name, err)
			}
		}
		eventually(t, "the node knows that it is deaf", func() bool { return testutil.ToFloat64(metrics.KicksListening) == 0 })
		network.Heal()
		e.awaitJoined(t)
		eventually(t, "the store works again", func() bool { return s.Ping(t.Context()) == nil })
		mustKick(t, other, Kick{User: "u", Address: here})
		e.next(t)
		if _, err := s.Routes(t.Context(), "u"); err != nil {
			t.Error(err)
		}
	}
}
