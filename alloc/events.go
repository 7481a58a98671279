package alloc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/fanfare-push/fanfare/exporter"
)

const (
	maxSubscribers = 64               // streams at a time
	maxBacklog     = 8                // events that may wait for one stream
	samplePeriod   = time.Second      // between two readings
	streamTimeout  = 10 * time.Second // to take one event
)

// events makes the console's events once for all streams. Its sampler runs only
// while there is a stream.
type events struct {
	snapshot func() exporter.Snapshot
	list     func() (nodesAnswer, bool)
	now      func() time.Time

	mu          sync.Mutex
	subscribers map[chan []byte]struct{}
	stopSampler context.CancelFunc // not nil while the sampler runs
	stopped     bool
	samplers    sync.WaitGroup
}

func newEvents(snapshot func() exporter.Snapshot, list func() (nodesAnswer, bool), now func() time.Time) *events {
	return &events{snapshot: snapshot, list: list, now: now, subscribers: make(map[chan []byte]struct{})}
}

// subscribe begins a stream. The channel gets whole events and is closed when the
// subscriber took them too slowly. ok is false when there is no room.
func (e *events) subscribe() (stream chan []byte, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped || len(e.subscribers) >= maxSubscribers {
		return nil, false
	}
	stream = make(chan []byte, maxBacklog)
	e.subscribers[stream] = struct{}{}
	if e.stopSampler == nil {
		ctx, cancel := context.WithCancel(context.Background())
		e.stopSampler = cancel
		e.samplers.Go(func() { e.sample(ctx) })
	}
	return stream, true
}

// unsubscribe ends a stream; with the last one the sampler ends.
func (e *events) unsubscribe(stream chan []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.drop(stream)
}

// drop forgets a stream. The caller holds mu.
func (e *events) drop(stream chan []byte) {
	if _, known := e.subscribers[stream]; !known {
		return
	}
	delete(e.subscribers, stream)
	close(stream)
	if len(e.subscribers) == 0 {
		e.stopSampler()
		e.stopSampler = nil
	}
}

// stop ends all streams and waits for the sampler.
func (e *events) stop() {
	e.mu.Lock()
	e.stopped = true
	for stream := range e.subscribers {
		e.drop(stream)
	}
	e.mu.Unlock()
	e.samplers.Wait()
}

// publish gives an event to every stream and drops those that do not keep up: one
// slow console must not hold memory or the others back.
func (e *events) publish(event []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for stream := range e.subscribers {
		select {
		case stream <- event:
		default:
			e.drop(stream)
		}
	}
}

// sample reads the numbers each second until ctx ends.
func (e *events) sample(ctx context.Context) {
	ticker := time.NewTicker(samplePeriod)
	defer ticker.Stop()
	last, lastAt, nodes := e.snapshot(), e.now(), e.nodes()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if changed := e.nodes(); changed != nil && !bytes.Equal(changed, nodes) {
			nodes = changed
			e.publish(nodes)
		}
		snapshot, at := e.snapshot(), e.now()
		e.publish(event("stats", difference(last, snapshot, at, at.Sub(lastAt))))
		last, lastAt = snapshot, at
	}
}

// nodes is the event with the list of nodes, nil while the membership is unknown.
func (e *events) nodes() []byte {
	answer, ok := e.list()
	if !ok {
		return nil
	}
	return event("nodes", answer)
}

// event is one server-sent event; JSON has no line breaks of its own.
func event(name string, data any) []byte {
	body, err := json.Marshal(data)
	if err != nil {
		panic(fmt.Sprintf("marshal %T: %v", data, err)) // no event can cause it
	}
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, body)
}

// serveEvents streams events until the peer leaves or the allocator stops.
func (a *Allocator) serveEvents(w http.ResponseWriter, r *http.Request) error {
	stream, ok := a.events.subscribe()
	if !ok {
		p := refuse(http.StatusServiceUnavailable, "too_many_streams", "%d consoles are connected already", maxSubscribers)
		p.retryAfter = 5 * time.Second
		return p
	}
	defer a.events.unsubscribe(stream)
	ctx, cancel := a.until(r, 0)
	defer cancel()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would collect events otherwise
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Time{}) // the request was read; its time limit must not end the stream
	// The list is read after subscribing, so that no change falls between.
	if send(w, c, a.events.nodes()) != nil {
		return nil
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, open := <-stream:
			if !open || send(w, c, event) != nil {
				return nil // too slow, or gone; the status was sent
			}
		}
	}
}

// send writes an event, with a time limit of its own, and flushes even if it is nil.
func send(w http.ResponseWriter, c *http.ResponseController, event []byte) error {
	_ = c.SetWriteDeadline(time.Now().Add(streamTimeout)) // no deadline on a connection that is not the server's own
	if _, err := w.Write(event); err != nil {
		return fmt.Errorf("writing an event: %w", err)
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("flushing an event: %w", err)
	}
	return nil
}
