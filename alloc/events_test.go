package alloc

import (
	"bufio"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// frame splits an event and checks its data against the schema of that name.
func frame(t *testing.T, event []byte, schema map[string]string) (name string, data map[string]any) {
	t.Helper()
	var body string
	for _, line := range strings.Split(string(event), "\n") {
		if v, ok := strings.CutPrefix(line, "event: "); ok {
			name = v
		} else if v, ok := strings.CutPrefix(line, "data: "); ok {
			body = v
		}
	}
	if !strings.HasSuffix(string(event), "\n\n") || json.Unmarshal([]byte(body), &data) != nil {
		t.Fatalf("not an event: %q", event)
	}
	doc, err := spec()
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Components.Schemas[schema[name]].Value.VisitJSON(data); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return name, data
}

var eventSchemas = map[string]string{"stats": "Stats", "nodes": "Nodes"}

// stage is an events with instruments to play on.
type stage struct {
	*events
	metrics *exporter.Metrics
	roster  *roster
	reads   atomic.Int64 // how often the numbers were read
}

func newStage(nodes ...*scriptedNode) *stage {
	s := &stage{metrics: exporter.New(prometheus.NewRegistry()), roster: &roster{}}
	s.roster.set(nodes...)
	s.events = newEvents(func() exporter.Snapshot { s.reads.Add(1); return s.metrics.Snapshot() }, s.list, time.Now)
	return s
}

// list is what an allocator makes of the roster.
func (s *stage) list() (answer nodesAnswer, ok bool) {
	members, ok := s.roster.List()
	for _, m := range members {
		answer.Nodes = append(answer.Nodes, m.Info())
	}
	return answer, ok
}

func TestStatsAreRates(t *testing.T) {
	if _, err := spec(); err != nil { // outside of the bubble, which its mutex must not join
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		defer s.stop()
		s.metrics.Accepted(exporter.SourceAPI, false).Add(1000) // before: no part of a rate
		stream, _ := s.subscribe()
		synctest.Wait()
		s.metrics.Accepted(exporter.SourceAPI, false).Add(30)
		s.metrics.Accepted(exporter.SourceGateway, true).Add(1)
		s.metrics.Messages(protocol.OutcomeAcked).Add(20)
		s.metrics.Messages(protocol.OutcomeOffline).Add(10)
		s.metrics.Deliveries(protocol.OutcomeAcked).Add(20)
		s.metrics.Deliveries(protocol.OutcomeSlow).Add(2)
		s.metrics.Opened(protocol.TCP).Add(4)
		s.metrics.Closed(protocol.WS, protocol.ClosePeer).Add(3)
		s.metrics.Connections(protocol.TCP).Set(7)
		s.metrics.Bound(protocol.ClientWeb).Set(2)
		s.metrics.MessagesInFlight.Set(1)
		s.metrics.SlowConnections(exporter.Over1s).Set(5)
		for range 100 {
			s.metrics.DeliveryDuration(protocol.AckAuto).Observe(0.004)
		}
		name, v := frame(t, <-stream, eventSchemas)
		same(t, "event", name, "stats")
		same(t, "rates", []any{v["accepted"], v["deliveries"], v["opened"], v["closed"], v["in_flight"], v["slow"]},
			[]any{31.0, 22.0, 4.0, 3.0, 1.0, 5.0})
		same(t, "connections", v["connections"], map[string]any{"tcp": 7.0, "tls": 0.0, "ws": 0.0, "wss": 0.0})
		same(t, "bound", v["bound"], map[string]any{"mobile": 0.0, "pc": 0.0, "web": 2.0, "unknown": 0.0})
		outcomes := v["outcomes"].(map[string]any)
		same(t, "outcomes", []any{outcomes["acked"], outcomes["offline"], outcomes["sent"], len(outcomes)},
			[]any{20.0, 10.0, 0.0, len(protocol.Outcomes())})
		latency := v["latency_ms"].(map[string]any)
		if p50, p99 := latency["p50"].(float64), latency["p99"].(float64); p50 <= 0 || p50 > p99 || p99 > 100 {
			t.Errorf("latency %v for deliveries of 4 ms", latency)
		}

		_, v = frame(t, <-stream, eventSchemas)
		same(t, "a quiet second", []any{v["accepted"], v["latency_ms"]}, []any{0.0, nil})
	})
}

func TestNodesAreSentWhenTheyChange(t *testing.T) {
	if _, err := spec(); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		n := newNode("n1")
		s := newStage(n)
		defer s.stop()
		stream, _ := s.subscribe()
		synctest.Wait()
		names := func() (seen []string) {
			for {
				name, _ := frame(t, <-stream, eventSchemas)
				if seen = append(seen, name); name == "stats" {
					return seen
				}
			}
		}
		same(t, "no change", names(), []string{"stats"})
		n.state(cluster.Draining)
		same(t, "draining", names(), []string{"nodes", "stats"})
		same(t, "no change", names(), []string{"stats"})
		s.roster.set(n, newNode("n2"))
		same(t, "a new node", names(), []string{"nodes", "stats"})
		s.roster.forget()
		same(t, "unknown", names(), []string{"stats"})
	})
}

func TestOneSamplerOnlyWhileSomebodyLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		defer s.stop()
		time.Sleep(time.Minute) // virtual
		same(t, "reads before anybody looks", s.reads.Load(), int64(0))
		a, _ := s.subscribe()
		b, _ := s.subscribe()
		for range 3 {
			if string(<-a) != string(<-b) {
				t.Error("two streams, two readings")
			}
		}
		synctest.Wait()
		same(t, "reads for two streams", s.reads.Load(), int64(1+3))
		s.unsubscribe(a)
		<-b
		s.unsubscribe(b)
		s.unsubscribe(b) // again, as after a drop
		synctest.Wait()
		reads := s.reads.Load()
		time.Sleep(time.Minute)
		same(t, "reads after everybody left", s.reads.Load(), reads)
		c, _ := s.subscribe()
		<-c
	})
}

func TestSlowStreamsAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		defer s.stop()
		slow, _ := s.subscribe()
		good, _ := s.subscribe()
		for range maxBacklog + 2 {
			<-good
		}
		synctest.Wait()
		got := 0
		for range slow { // ends because it was closed
			got++
		}
		same(t, "events that waited", got, maxBacklog)
		<-good // goes on
	})
}

func TestStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		for range maxSubscribers {
			if _, ok := s.subscribe(); !ok {
				t.Fatal("no room")
			}
		}
		if _, ok := s.subscribe(); ok {
			t.Error("one too many")
		}
		s.stop()
		if _, ok := s.subscribe(); ok {
			t.Error("subscribed after the stop")
		}
	})
}

func TestEventStream(t *testing.T) {
	n := newNode("n1")
	r := newRig(t, nil, n)
	res := r.do("GET", "/api/v1/events", "")
	defer res.Body.Close()
	if res.StatusCode != 200 || res.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("status %d, headers %v", res.StatusCode, res.Header)
	}
	read := bufio.NewReader(res.Body)
	next := func() (string, map[string]any) {
		var event strings.Builder
		for !strings.HasSuffix(event.String(), "\n\n") {
			line, err := read.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			event.WriteString(line)
		}
		return frame(t, []byte(event.String()), eventSchemas)
	}
	name, data := next()
	same(t, "first event", []any{name, data}, []any{"nodes", r.answer(r.do("GET", "/api/v1/nodes", ""), 200)})
	if name, _ := next(); name != "stats" {
		t.Errorf("second event %s", name)
	}
	stopped := make(chan struct{})
	go func() { defer close(stopped); r.stop() }()
	for {
		if _, err := read.ReadString('\n'); err != nil {
			break
		}
	}
	<-stopped
}

func TestTooManyEventStreams(t *testing.T) {
	r := newRig(t, nil, newNode("n1"))
	for range maxSubscribers {
		r.events.subscribe()
	}
	r.refused(r.do("GET", "/api/v1/events", ""), 503, "too_many_streams", "")
}

func TestHeadOfEventStream(t *testing.T) {
	r := newRig(t, nil, newNode("n1"))
	if res := r.do("HEAD", "/api/v1/events", ""); res.StatusCode != 200 {
		t.Errorf("status %d", res.StatusCode)
	}
	eventually(t, func() bool { r.events.mu.Lock(); defer r.events.mu.Unlock(); return len(r.events.subscribers) == 0 })
}

func TestCounterThatBeganAnew(t *testing.T) {
	same(t, "rate", perSecond(1000, 30, 2*time.Second), 15.0)
	same(t, "no time passed", perSecond(0, 1, 0), 1000.0)
}
