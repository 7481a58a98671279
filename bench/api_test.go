package bench

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// apiServer answers pushes with the status and counts them.
func apiServer(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) *apiProducer {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(answer))
	t.Cleanup(server.Close)
	a := newAPIProducer(strings.TrimPrefix(server.URL, "http://"), "secret-token", 3)
	t.Cleanup(a.close)
	return a
}

func shortLoad() unicastLoad {
	return unicastLoad{users: 5, size: 40, burst: 1, pace: newPace(time.Now(), 1000, 30*time.Millisecond)}
}

func TestAPIProducer(t *testing.T) {
	var bad atomic.Int64
	a := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		var body struct{ User, Content string }
		err := json.NewDecoder(r.Body).Decode(&body)
		number, _, malformed := parsePayload([]byte(body.Content))
		if err != nil || malformed != nil || r.URL.Path != "/api/v1/push" || r.Header.Get("Authorization") != "Bearer secret-token" ||
			body.User != userOf(scatter(number, 5)) {
			bad.Add(1)
		}
		if number%10 == 9 {
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	})
	sent, err := a.run(patience(t), shortLoad())
	if err != nil || bad.Load() != 0 {
		t.Fatalf("%v; %d bad requests", err, bad.Load())
	}
	if sent.Sent != 30 || sent.Replies != (Replies{OK: 27, Other: 3}) {
		t.Errorf("%+v: want 30 sent, 27 accepted, 3 refused", sent)
	}
}

func TestAPIProducerGivesUp(t *testing.T) {
	a := apiServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	if _, err := a.run(patience(t), shortLoad()); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a wrong token: %v", err)
	}
	gone := newAPIProducer(must(freePorts(1))(t)[0], "", 2)
	if _, err := gone.run(patience(t), shortLoad()); err == nil {
		t.Error("pushing to nobody succeeds")
	}
}
