package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
)

func TestPushResults(t *testing.T) {
	type many = map[protocol.Outcome]int
	for _, c := range []struct {
		name     string
		result   client.PushResult
		wait     time.Duration
		reached  bool
		sentence string
		json     string
	}{
		{"acked", client.PushResult{ID: "i", Outcome: protocol.OutcomeAcked, Node: "n", Latency: 1500 * time.Microsecond}, time.Second, true,
			"acked by n after 1.5ms, id i", `{"id":"i","latency_ms":1.5,"node":"n","outcome":"acked"}`},
		{"late", client.PushResult{ID: "i"}, time.Second, false,
			"accepted, outcome not known yet, id i", `{"id":"i","status":"accepted"}`},
		{"not waited for", client.PushResult{ID: "i"}, 0, true,
			"accepted, outcome not known yet, id i", `{"id":"i","status":"accepted"}`},
		{"no ack", client.PushResult{ID: "i", Outcome: protocol.OutcomeAckTimeout, Node: "n"}, time.Second, false,
			"ack_timeout by n, id i", `{"id":"i","node":"n","outcome":"ack_timeout"}`},
		{"again", client.PushResult{ID: "i", Outcome: protocol.OutcomeSent, Node: "n", Duplicate: true}, time.Second, true,
			"sent by n, was pushed before, id i", `{"duplicate":true,"id":"i","node":"n","outcome":"sent"}`},
		{"many", client.PushResult{ID: "i", Targets: 3, Outcomes: many{protocol.OutcomeSent: 2, protocol.OutcomeOffline: 1, protocol.OutcomeAcked: 0}, Deliveries: many{protocol.OutcomeSent: 4}}, time.Second, false,
			"2 sent, 1 offline (deliveries: 4 sent), id i", ""},
		{"all of many", client.PushResult{ID: "i", Targets: 3, Outcomes: many{protocol.OutcomeSent: 2, protocol.OutcomeAcked: 1}}, time.Second, true,
			"1 acked, 2 sent, id i", ""},
		{"everybody", client.PushResult{ID: "i", Targets: 1, Outcomes: many{protocol.OutcomeSent: 1}, Deliveries: many{protocol.OutcomeSent: 4},
			Nodes: []client.NodeResult{{Node: "n", Outcome: protocol.OutcomeSent, Deliveries: many{protocol.OutcomeSent: 4}}}}, time.Second, true,
			"1 sent (deliveries: 4 sent), id i",
			`{"deliveries":{"sent":4},"id":"i","nodes":[{"node":"n","outcome":"sent","deliveries":{"sent":4}}],"outcomes":{"sent":1},"targets":1}`},
		{"none", client.PushResult{ID: "i", Outcomes: many{}}, time.Second, true, "nobody, id i", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := pushCmd{Wait: c.wait}
			if got := cmd.reached(&c.result); got != c.reached {
				t.Errorf("reached: %v", got)
			}
			if got := sentence(&c.result); got != c.sentence {
				t.Errorf("%q, want %q", got, c.sentence)
			}
			got, err := json.Marshal(jsonResult(&c.result))
			if err != nil || c.json != "" && string(got) != c.json {
				t.Errorf("%s, %v, want %s", got, err, c.json)
			}
		})
	}
}

func TestPushSteersBroadcastsOnly(t *testing.T) {
	cmd := pushCmd{Broadcast: true, Rate: 500, Task: "t", Content: "x", Ack: "none"}
	if err := cmd.Validate(); err != nil {
		t.Error(err)
	}
	if r, err := cmd.request(nil); err != nil || r.Rate != 500 || r.Task != "t" {
		t.Errorf("%+v, %v", r, err)
	}
	for _, wrong := range []pushCmd{{User: "u", Rate: 1}, {User: "u", Task: "t"}, {Broadcast: true, Rate: -1}} {
		if err := wrong.Validate(); err == nil || !strings.Contains(err.Error(), "--rate") {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
}

func TestPushContentIsBounded(t *testing.T) {
	cmd := pushCmd{User: "u", Ack: "none"}
	if r, err := cmd.request(bytes.NewReader(make([]byte, maxContent))); err != nil || len(r.Content) != maxContent {
		t.Errorf("%d bytes, %v", len(r.Content), err)
	}
	if _, err := cmd.request(bytes.NewReader(make([]byte, maxContent+1))); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %v", err)
	}
}

func TestListenPrintsWhatIsNotText(t *testing.T) {
	var out bytes.Buffer
	cmd := listenCmd{JSON: true}
	if err := cmd.print(&out, &client.Message{Content: []byte{0xff, 0}}); err != nil || !strings.Contains(out.String(), `"content_base64":"/wA="`) {
		t.Errorf("%s, %v", &out, err)
	}
	if err := cmd.receive(failingWriter{}, &client.Message{Content: []byte("x")}); err == nil {
		t.Error("a full disk is not reported")
	}
}
