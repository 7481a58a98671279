package server_test

import (
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// scenario is a transcript and how the Java server was configured for it.
type scenario struct {
	name         string
	minHeartbeat time.Duration
	sessionTTL   time.Duration
	paced        bool // the moments matter
	until        int  // ms after which only closes matter; 0: all does
}

var scenarios = []scenario{
	{name: "01-full-session"},
	{name: "02-fast-connect"},
	{name: "03-fast-connect-expired"},
	{name: "04-fast-connect-errors"},
	{name: "06-handshake-errors"},
	{name: "07-bind-errors"},
	{name: "08-kick"},
	{name: "09-kick-same-device"},
	{name: "11-push-offline"},
	{name: "12-ack-timeout", paced: true},
	{name: "13-broadcast"},
	{name: "16-bad-bytes"},
	{name: "17-gateway-big-push"},
	{name: "20-websocket"},
	{name: "21-websocket-errors"},
	{name: "23-websocket-http"},
	{name: "30-timing-heartbeat", paced: true, until: 22_000, minHeartbeat: time.Second, sessionTTL: 4 * time.Second},
	{name: "31-timing-session-expiry", paced: true, minHeartbeat: time.Second, sessionTTL: 4 * time.Second},
	{name: "32-timing-ack", paced: true, minHeartbeat: time.Second, sessionTTL: 4 * time.Second},
}

// TestReplay plays the recorded clients against a node: everything that the Java
// server said and did must come back, but for the deviations that are listed.
func TestReplay(t *testing.T) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			script, err := loadTranscript(s.name, s.until)
			if err != nil {
				t.Fatal(err)
			}
			for _, unused := range script.deviate(deviations) {
				t.Errorf("nothing was recorded that this deviates from: %+v", unused)
			}
			s.defaults()
			r := &replay{t: t, script: script, target: startReplayNode(t, s), paced: s.paced, ttl: s.sessionTTL, report: t.Errorf}
			r.run()
		})
	}
}

func (s *scenario) defaults() {
	if s.minHeartbeat == 0 {
		s.minHeartbeat = 10 * time.Second
	}
	if s.sessionTTL == 0 {
		s.sessionTTL = 24 * time.Hour
	}
}

// startReplayNode starts a node with the recorded configuration.
func startReplayNode(t *testing.T, s scenario) replayTarget {
	t.Helper()
	n := servertest.Start(t, func(o *server.Options) {
		o.MinHeartbeat, o.SessionTTL = s.minHeartbeat, s.sessionTTL
		if s.until > 0 { // MPush has no such limit, but its idle check acts later still
			o.Limits.HandshakeTimeout = time.Duration(s.until) * time.Millisecond
		}
	})
	return replayTarget{Device: n.DeviceAddress(), WebSocket: n.Addr("websocket").String(), Gateway: n.GatewayAddress()}
}
