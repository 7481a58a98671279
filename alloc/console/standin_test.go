package console_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/alloc/console"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server/cluster"
)

// standIn plays an allocator and a node for the edges of the page: refusals,
// tokens, nodes that vanish, streams that break. It is strict about what the page
// sends. The way through real nodes is tested where both are at hand.
type standIn struct {
	t    *testing.T
	http *httptest.Server // API and page
	node *httptest.Server // WebSocket

	mu       sync.Mutex
	token    string // "" = everybody may
	mute     bool   // the event stream is refused
	nodes    []cluster.Info
	devices  map[string]*standInDevice // by connection id
	messages map[string]*standInMessage
	kicks    []string // "user type" as asked for
	drains   []string // "node rate" as asked for
	cancels  []string // ids of messages
	pushes   []pushRequest
	changed  chan struct{} // closed when the list of nodes changed or the streams must end
	epoch    int           // streams of an older epoch end
	last     int
	done     chan struct{}
	streams  sync.WaitGroup
}

type pushRequest struct {
	User        string   `json:"user"`
	Users       []string `json:"users"`
	Broadcast   bool     `json:"broadcast"`
	Content     string   `json:"content"`
	Ack         string   `json:"ack"`
	ID          string   `json:"id"`
	Tags        []string `json:"tags"`
	ClientTypes []string `json:"client_types"`
	Condition   string   `json:"condition"`
	Wait        string   `json:"wait"`
	Rate        int      `json:"rate"`
	Task        string   `json:"task"`
}

type standInMessage struct {
	ID         string           `json:"id"`
	Outcome    string           `json:"outcome"`
	Broadcast  bool             `json:"broadcast"`
	Targets    int              `json:"targets"`
	Ended      int              `json:"ended"`
	Outcomes   map[string]int   `json:"outcomes"`
	Deliveries map[string]int   `json:"deliveries"`
	Nodes      []standInResult  `json:"nodes,omitempty"`
	Stages     []map[string]any `json:"stages"`
	LatencyMS  float64          `json:"latency_ms"`
	started    time.Time
}

// standInResult is what a node did of a broadcast.
type standInResult struct {
	Node       string         `json:"node"`
	Outcome    string         `json:"outcome"`
	Deliveries map[string]int `json:"deliveries"`
}

func newStandIn(t *testing.T) *standIn {
	t.Helper()
	s := &standIn{t: t, devices: map[string]*standInDevice{}, messages: map[string]*standInMessage{}, changed: make(chan struct{}), done: make(chan struct{})}
	s.node = httptest.NewServer(http.HandlerFunc(s.serveDevice))
	address := strings.TrimPrefix(s.node.URL, "http://")
	s.nodes = []cluster.Info{{ID: "node-1", Device: "127.0.0.1:3000", WebSocket: "ws://" + address + "/", Gateway: "127.0.0.1:3001", Ops: "127.0.0.1:9310",
		State: cluster.Serving, Weight: 1, Version: "0.1.0", Since: time.Now().Add(-time.Hour)}}
	s.http = httptest.NewServer(s.routes())
	t.Cleanup(s.close)
	return s
}

func (s *standIn) close() {
	close(s.done)
	s.streams.Wait()
	s.http.CloseClientConnections()
	s.http.Close()
	s.node.CloseClientConnections()
	s.node.Close()
}

func (s *standIn) routes() http.Handler {
	mux := http.NewServeMux()
	page := console.Handler()
	for _, path := range []string{"/html", "/index.html", "/console/"} {
		mux.Handle("GET "+path, page)
	}
	mux.HandleFunc("POST /api/v1/push", s.push)
	mux.HandleFunc("GET /api/v1/messages/{id}", s.message)
	mux.HandleFunc("POST /api/v1/messages/{id}/cancel", s.cancel)
	mux.HandleFunc("GET /api/v1/users/{user}", s.user)
	mux.HandleFunc("POST /api/v1/users/{user}/kick", s.kick)
	mux.HandleFunc("GET /api/v1/nodes", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, s.nodeList()) })
	mux.HandleFunc("POST /api/v1/nodes/{id}/drain", s.drain)
	mux.HandleFunc("GET /api/v1/events", s.events)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		allowed := s.token == "" || r.Header.Get("Authorization") == "Bearer "+s.token
		s.mu.Unlock()
		if strings.HasPrefix(r.URL.Path, "/api/") && !allowed {
			problem(w, 401, "unauthorized", "a bearer token is needed", "")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func problem(w http.ResponseWriter, status int, code, detail, field string) {
	body := map[string]any{"type": "about:blank", "title": http.StatusText(status), "status": status, "code": code, "detail": detail}
	if field != "" {
		body["field"] = field
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (s *standIn) push(w http.ResponseWriter, r *http.Request) {
	var request pushRequest
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil {
		s.t.Errorf("push: %v", err)
	}
	if request.Condition != "" {
		problem(w, 400, "bad_condition", "unexpected token at 1:5", "condition")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pushes = append(s.pushes, request)
	s.last++
	m := &standInMessage{ID: request.ID, Outcome: "pending", Targets: 1, Outcomes: map[string]int{}, Deliveries: map[string]int{}, started: time.Now()}
	if m.ID == "" {
		m.ID = fmt.Sprintf("01JD%08d", s.last)
	}
	s.messages[m.ID] = m
	s.stage(m, "accepted")
	if m.Broadcast = request.Broadcast; request.Broadcast && request.Rate > 0 {
		m.run()
	} else {
		s.route(m, request)
	}
	answer(w, http.StatusAccepted, map[string]string{"id": m.ID, "status": "accepted"})
}

// route delivers to every device that matches and ends what nobody acknowledges.
func (s *standIn) route(m *standInMessage, request pushRequest) {
	users := append(request.Users, request.User)
	if len(request.Users) > 0 {
		users, m.Targets = request.Users, len(request.Users)
	}
	waiting, found := 0, map[string]bool{}
	s.stage(m, "routed")
	for _, d := range s.devices {
		if d.user == "" || (!request.Broadcast && !slices.Contains(users, d.user)) {
			continue
		}
		found[d.user] = true
		if len(request.Tags) > 0 && !slices.ContainsFunc(request.Tags, func(tag string) bool { return slices.Contains(strings.Split(d.tags, ","), tag) }) {
			s.end(m, "filtered")
			continue
		}
		s.last++
		d.send(15, ackFlags(request.Ack), s.last, map[string]any{"content": request.Content})
		if request.Ack == "none" || request.Broadcast {
			s.end(m, "sent")
			continue
		}
		waiting++
		d.waiting[s.last] = m
	}
	if waiting > 0 || len(found) > 0 {
		s.stage(m, "queued")
		s.stage(m, "written")
	}
	for range m.Targets - len(found) {
		if !request.Broadcast {
			s.end(m, "offline")
		}
	}
}

func ackFlags(mode string) int {
	return map[string]int{"auto": 8, "biz": 4}[mode]
}

func (s *standIn) stage(m *standInMessage, name string) {
	m.Stages = append(m.Stages, map[string]any{"stage": name, "node": "node-1", "at": time.Now().Format(time.RFC3339Nano)})
}

func (s *standIn) end(m *standInMessage, outcome string) {
	m.Ended++
	m.Outcomes[outcome]++
	m.Deliveries[outcome]++
	if m.Ended < m.Targets {
		return
	}
	m.Outcome = outcome
	m.LatencyMS = float64(time.Since(m.started).Microseconds()) / 1000
}

// run makes a broadcast one that is slow: done on one node and busy on another until
// it is cancelled.
func (m *standInMessage) run() {
	m.Deliveries = map[string]int{"sent": 160, "slow": 1}
	m.Nodes = []standInResult{{"node-1", "sent", map[string]int{"sent": 150}}, {"node-2", "pending", map[string]int{"sent": 10, "slow": 1}}}
}

func (s *standIn) cancel(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancels = append(s.cancels, r.PathValue("id"))
	m := s.messages[r.PathValue("id")]
	if m == nil || m.Outcome != "pending" || !m.Broadcast {
		problem(w, 409, "not_running", "the broadcast has ended", "")
		return
	}
	m.Outcome, m.Ended, m.Outcomes["sent"], m.Deliveries["rejected"] = "sent", 1, 1, 39
	m.Nodes[1].Outcome, m.Nodes[1].Deliveries["rejected"] = "sent", 39
	answer(w, http.StatusAccepted, map[string]string{"id": m.ID, "status": "cancelling"})
}

func (s *standIn) message(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.messages[r.PathValue("id")]
	if !ok {
		problem(w, 404, "unknown_message", "no message "+r.PathValue("id")+" is known here", "")
		return
	}
	answer(w, 200, m)
}

func (s *standIn) user(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	devices := []cluster.Device{}
	for id, d := range s.devices {
		if d.user == r.PathValue("user") {
			devices = append(devices, cluster.Device{ClientType: protocol.ClientTypeOf(d.os), Node: "node-1", Connection: id, Since: d.since, Online: true,
				DeviceID: d.id, OSName: d.os, OSVersion: d.osVersion, ClientVersion: d.version, Tags: d.tags, Transport: "ws"})
		}
	}
	answer(w, 200, map[string]any{"user": r.PathValue("user"), "devices": devices})
}

func (s *standIn) kick(w http.ResponseWriter, r *http.Request) {
	var request struct {
		ClientType string `json:"client_type"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		s.t.Errorf("kick: %v", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kicks = append(s.kicks, strings.TrimSpace(r.PathValue("user")+" "+request.ClientType))
	kicked := 0
	for id, d := range s.devices {
		if d.user == r.PathValue("user") {
			kicked++
			delete(s.devices, id)
			d.send(13, 0, 0, map[string]any{"deviceId": d.id, "userId": d.user})
			d.hangUp(4017, "kicked")
		}
	}
	answer(w, 200, map[string]int{"kicked": kicked})
}

func (s *standIn) nodeList() map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	nodes := slices.Clone(s.nodes)
	for i := range nodes {
		if nodes[i].ID == "node-1" {
			nodes[i].Connections = len(s.devices)
			nodes[i].Users = len(s.devices)
		}
	}
	return map[string]any{"nodes": nodes}
}

// setNodes changes the list and tells the streams.
func (s *standIn) setNodes(change func([]cluster.Info) []cluster.Info) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes = change(s.nodes)
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *standIn) drain(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Rate int `json:"rate"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		s.t.Errorf("drain: %v", err)
	}
	id := r.PathValue("id")
	s.mu.Lock()
	s.drains = append(s.drains, fmt.Sprint(id, " ", request.Rate))
	s.mu.Unlock()
	s.setNodes(func(nodes []cluster.Info) []cluster.Info {
		nodes = slices.Clone(nodes)
		for i := range nodes {
			if nodes[i].ID == id {
				nodes[i].State = cluster.Draining
			}
		}
		return nodes
	})
	answer(w, http.StatusAccepted, map[string]string{"id": id, "state": "draining"})
}

// breakStreams ends the event streams and refuses new ones while mute.
func (s *standIn) breakStreams(mute bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mute = mute
	s.epoch++
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *standIn) events(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	mute, epoch := s.mute, s.epoch
	if !mute {
		s.streams.Add(1)
	}
	s.mu.Unlock()
	if mute {
		problem(w, 503, "too_many_subscribers", "64 subscribers are connected", "")
		return
	}
	defer s.streams.Done()
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for wanted := "nodes"; ; {
		s.mu.Lock()
		changed, over := s.changed, s.epoch != epoch
		s.mu.Unlock()
		if over {
			return
		}
		data, _ := json.Marshal(s.nodeList())
		if wanted == "stats" {
			data, _ = json.Marshal(s.stats())
		}
		fmt.Fprintf(w, "event: %s\ndata: %s\n\n", wanted, data)
		w.(http.Flusher).Flush()
		select {
		case <-tick.C:
			wanted = "stats"
		case <-changed:
			wanted = "nodes"
		case <-r.Context().Done():
			return
		case <-s.done:
			return
		}
	}
}

func (s *standIn) stats() map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	latency := map[string]any{"p50": nil, "p90": nil, "p99": nil}
	if len(s.pushes) > 0 {
		latency = map[string]any{"p50": 0.42, "p90": 1.9, "p99": 12.5}
	}
	return map[string]any{"at": time.Now().UnixMilli(), "connections": map[string]int{"tcp": 0, "tls": 0, "ws": len(s.devices), "wss": 0},
		"bound": map[string]int{"web": len(s.devices)}, "accepted": len(s.pushes), "deliveries": len(s.pushes),
		"outcomes": map[string]int{"acked": len(s.pushes), "offline": 0}, "latency_ms": latency, "opened": 0.5, "closed": 0, "in_flight": 0, "slow": 0}
}
