package stranger

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// result is what the HTTP API answers to a push.
type result struct {
	code      int
	ID        string   `json:"id"`
	Status    string   `json:"status"`
	Outcome   string   `json:"outcome"`
	Node      string   `json:"node"`
	LatencyMS *float64 `json:"latency_ms"`
}

// message is what it knows about one later.
type message struct {
	ID      string `json:"id"`
	Outcome string `json:"outcome"`
	Stages  []struct {
		Stage string    `json:"stage"`
		Node  string    `json:"node"`
		At    time.Time `json:"at"`
	} `json:"stages"`
}

// request is the body of a push.
type request map[string]any

func (p *product) push(t *testing.T, r request) (out result) {
	t.Helper()
	body, err := json.Marshal(r)
	if err != nil {
		t.Error(err)
		return result{}
	}
	code, text := fetch(t, http.MethodPost, p.api+"/api/v1/push", strings.NewReader(string(body)))
	if err := json.Unmarshal([]byte(text), &out); (err != nil || code/100 != 2) && t.Context().Err() == nil {
		t.Errorf("push %s is answered %d %s", body, code, text)
	}
	out.code = code
	return out
}

// pushing sends the push in the background; its result comes from the channel.
func (p *product) pushing(t *testing.T, r request) <-chan result {
	t.Helper()
	out := make(chan result, 1)
	var wait sync.WaitGroup
	wait.Go(func() { out <- p.push(t, r) })
	t.Cleanup(wait.Wait)
	return out
}

// outcome waits for the result of a push that has to be known in time.
func outcome(t *testing.T, results <-chan result, want string) result {
	t.Helper()
	r := <-results
	if r.code != http.StatusOK || r.Outcome != want || r.ID == "" || r.Node == "" {
		t.Fatalf("the push ended as %+v, want outcome %s", r, want)
	}
	return r
}

func (p *product) message(t *testing.T, id string) (m message) {
	t.Helper()
	code, text := p.get(t, p.api+"/api/v1/messages/"+id)
	if err := json.Unmarshal([]byte(text), &m); err != nil || code != http.StatusOK || m.ID != id {
		t.Fatalf("message %s: %d %s", id, code, text)
	}
	return m
}

// wantStages checks what a message has gone through, and that time does not run backwards.
func (p *product) wantStages(t *testing.T, id string, want ...string) {
	t.Helper()
	m := p.message(t, id)
	var got []string
	for i, s := range m.Stages {
		got = append(got, s.Stage)
		if s.At.IsZero() || i > 0 && s.At.Before(m.Stages[i-1].At) {
			t.Errorf("message %s: stage %s is at %v", id, s.Stage, s.At)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("message %s went through %v, want %v", id, got, want)
	}
}
