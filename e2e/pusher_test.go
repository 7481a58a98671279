package e2e

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// long is a wait that is never reached.
const long = 20 * time.Second

// outcomes counts by outcome.
type outcomes = map[protocol.Outcome]int

func TestPushToOne(t *testing.T) {
	r := start(t)
	p := switchOn(t, r.DeviceAddress(), "alice")
	p.until(client.StateBound)
	result := r.push(t, "alice", "hello 你好", protocol.AckAuto)
	if result.Outcome != protocol.OutcomeAcked || result.Node != "node-1" || result.Latency <= 0 || result.Latency > long || result.Duplicate || !result.Known() || result.ID == "" {
		t.Errorf("result %+v", result)
	}
	if m := p.next(); string(m.Content) != "hello 你好" {
		t.Errorf("received %q", m.Content)
	}
	if result := r.push(t, "stranger", "hello", protocol.AckAuto); result.Outcome != protocol.OutcomeOffline || result.Latency != 0 {
		t.Errorf("to a stranger: %+v", result)
	}
	binary := []byte{0xff, 0, 0xfe}
	r.pushed(t, client.PushRequest{User: "alice", Content: binary})
	if m := p.next(); string(m.Content) != string(binary) {
		t.Errorf("received %x, want %x", m.Content, binary)
	}
}

func TestStagesOfAMessage(t *testing.T) {
	r := start(t)
	p := switchOn(t, r.DeviceAddress(), "alice")
	p.until(client.StateBound)
	before := time.Now().Add(-time.Second)
	result := r.push(t, "alice", "hello", protocol.AckAuto)
	m, err := r.pusher.Message(t.Context(), result.ID)
	if err != nil {
		t.Fatal(err)
	}
	var stages []protocol.Stage
	for i, s := range m.Stages {
		stages = append(stages, s.Stage)
		if i > 0 && s.At.Before(m.Stages[i-1].At) {
			t.Errorf("%v is before %v", s.Stage, m.Stages[i-1].Stage)
		}
		if s.Node != "node-1" && s.Stage != protocol.StageAccepted {
			t.Errorf("%v was reached on %q", s.Stage, s.Node)
		}
	}
	want := []protocol.Stage{protocol.StageAccepted, protocol.StageRouted, protocol.StageQueued, protocol.StageWritten, protocol.StageAcked}
	if !slices.Equal(stages, want) {
		t.Errorf("stages %v, want %v", stages, want)
	}
	if m.Outcome != protocol.OutcomeAcked || m.Targets != 1 || m.Ended != 1 || m.Latency != result.Latency || m.Accepted.Before(before) || m.Accepted.After(time.Now()) {
		t.Errorf("message %+v", m)
	}
	refusedWith(t, "an id that never was", messageOf(t, r, "never-was"), http.StatusNotFound, "")
}

func messageOf(t *testing.T, r *rig, id string) error {
	_, err := r.pusher.Message(t.Context(), id)
	return err
}

// refusedWith wants a refusal of the API.
func refusedWith(t *testing.T, what string, err error, status int, field string) {
	t.Helper()
	var refused *client.APIError
	if !errors.As(err, &refused) || refused.Status != status || refused.Field != field || refused.Code == "" {
		t.Errorf("%s: %v, want status %d of field %q", what, err, status, field)
	}
}

// crew is some users of every kind: alice has a phone and a PC.
func crew(t *testing.T, r *rig) map[string]*phone {
	phones := make(map[string]*phone)
	for _, d := range []struct{ device, user, os, version, tags string }{
		{"alice-phone", "alice", "android", "1.2.0", "vip,beta"},
		{"alice-pc", "alice", "windows", "2.0.0", "vip"},
		{"bob-phone", "bob", "ios", "1.0.0", "beta"},
		{"carol-page", "carol", "web", "1.0.0", ""},
	} {
		phones[d.device] = switchOn(t, r.DeviceAddress(), d.user, called(d.device), func(o *client.DeviceOptions) {
			o.OSName, o.ClientVersion, o.Tags = d.os, d.version, d.tags
		})
	}
	for _, p := range phones {
		p.until(client.StateBound)
	}
	return phones
}

func TestPushToMany(t *testing.T) {
	r := start(t)
	phones := crew(t, r)
	everybody := slices.Sorted(maps.Keys(phones))
	content := []byte("hello, all of you")
	for name, test := range map[string]struct {
		request    client.PushRequest
		targets    int
		outcomes   outcomes
		deliveries outcomes
		reached    []string
	}{
		"a list": {
			client.PushRequest{Users: []string{"alice", "bob", "stranger"}, Ack: protocol.AckAuto}, 3,
			outcomes{protocol.OutcomeAcked: 2, protocol.OutcomeOffline: 1}, outcomes{protocol.OutcomeAcked: 3}, []string{"alice-pc", "alice-phone", "bob-phone"},
		},
		"everybody": {
			client.PushRequest{Broadcast: true}, 1,
			outcomes{protocol.OutcomeSent: 1}, outcomes{protocol.OutcomeSent: 4}, everybody,
		},
		"tags": {
			client.PushRequest{Broadcast: true, Tags: []string{"beta", "nobody has this"}}, 1,
			outcomes{protocol.OutcomeSent: 1}, outcomes{protocol.OutcomeSent: 2, protocol.OutcomeFiltered: 2}, []string{"alice-phone", "bob-phone"},
		},
		"classes": {
			client.PushRequest{Broadcast: true, ClientTypes: []protocol.ClientType{protocol.ClientPC, protocol.ClientWeb}}, 1,
			outcomes{protocol.OutcomeSent: 1}, outcomes{protocol.OutcomeSent: 2, protocol.OutcomeFiltered: 2}, []string{"alice-pc", "carol-page"},
		},
		"a condition": {
			client.PushRequest{Broadcast: true, Condition: `tags != null && tags.indexOf("vip") >= 0 && clientVersion > "1.5"`}, 1,
			outcomes{protocol.OutcomeSent: 1}, outcomes{protocol.OutcomeSent: 1, protocol.OutcomeFiltered: 3}, []string{"alice-pc"},
		},
		"a list with a filter": {
			client.PushRequest{Users: []string{"alice", "carol"}, ClientTypes: []protocol.ClientType{protocol.ClientMobile}, Ack: protocol.AckAuto}, 2,
			outcomes{protocol.OutcomeAcked: 1, protocol.OutcomeFiltered: 1}, outcomes{protocol.OutcomeAcked: 1, protocol.OutcomeFiltered: 2}, []string{"alice-phone"},
		},
		"nobody fits": {
			client.PushRequest{Broadcast: true, Tags: []string{"nobody has this"}}, 1,
			outcomes{protocol.OutcomeFiltered: 1}, outcomes{protocol.OutcomeFiltered: 4}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.request.Content, test.request.Wait = content, long
			result := r.pushed(t, test.request)
			if result.Targets != test.targets || !maps.Equal(result.Outcomes, test.outcomes) || !maps.Equal(result.Deliveries, test.deliveries) || !result.Known() {
				t.Errorf("result %+v\nwant %d targets, %v, deliveries %v", result, test.targets, test.outcomes, test.deliveries)
			}
			for device, p := range phones {
				if slices.Contains(test.reached, device) {
					if got := p.next().Content; string(got) != string(content) {
						t.Errorf("%s received %q", device, got)
					}
				} else if len(p.pushes) > 0 {
					t.Errorf("%s received what it should not", device)
				}
			}
		})
	}
}

func TestWaitEndsBeforeTheOutcome(t *testing.T) {
	r := start(t, func(o *server.Options) { o.AckTimeout = time.Second })
	p := switchOn(t, r.DeviceAddress(), "alice")
	p.until(client.StateBound)
	result := r.pushed(t, client.PushRequest{User: "alice", Content: []byte("hello"), Ack: protocol.AckBiz, Wait: time.Millisecond})
	if result.Known() || result.ID == "" {
		t.Errorf("result %+v", result)
	}
	if m := p.next(); m.Mode != protocol.AckBiz { // and it is never acknowledged
		t.Errorf("ack mode %v", m.Mode)
	}
	servertest.Eventually(t, "the ack is overdue", func() bool {
		m, err := r.pusher.Message(t.Context(), result.ID)
		return err == nil && m.Outcome == protocol.OutcomeAckTimeout
	})
}

func TestSameIDIsPushedOnce(t *testing.T) {
	r := start(t)
	p := switchOn(t, r.DeviceAddress(), "alice")
	p.until(client.StateBound)
	request := client.PushRequest{ID: "order-1", User: "alice", Content: []byte("once"), Ack: protocol.AckAuto, Wait: long}
	first := r.pushed(t, request)
	second := r.pushed(t, request)
	if first.Duplicate || !second.Duplicate {
		t.Errorf("duplicate flags: %v, %v", first.Duplicate, second.Duplicate)
	}
	if second.Duplicate = false; second.Outcome != first.Outcome || second.Latency != first.Latency || second.ID != first.ID {
		t.Errorf("the duplicate's answer is %+v, the first was %+v", second, first)
	}
	if n := testutil.ToFloat64(r.Metrics.Messages(protocol.OutcomeCollapsed)); n != 1 {
		t.Errorf("%v messages ended as collapsed, want 1", n)
	}
	request.Content = []byte("something else")
	_, err := r.pusher.Push(t.Context(), request)
	refusedWith(t, "other content", err, http.StatusConflict, "id")
	p.next()
	r.reaches(t, p, "alice", "and nothing between")
	if books := r.Ledger.Books(); books.Accepted != 3 || books.InFlight != 0 {
		t.Errorf("books %+v", books)
	}
}

// lossy loses the first answers to pushes, after the server gave them.
type lossy struct {
	http.RoundTripper
	lose, tries atomic.Int32
}

func (l *lossy) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := l.RoundTripper.RoundTrip(r)
	if l.tries.Add(1); err == nil && l.lose.Add(-1) >= 0 {
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		return nil, errors.New("the line went dead")
	}
	return answer, err
}

func TestLostAnswerIsAskedForAgain(t *testing.T) {
	r := start(t)
	p := switchOn(t, r.DeviceAddress(), "alice")
	p.until(client.StateBound)
	line := &lossy{RoundTripper: new(http.Transport)}
	line.lose.Store(2)
	pusher, err := client.NewPusher(client.PusherOptions{URL: r.url, HTTPClient: &http.Client{Transport: line}})
	if err != nil {
		t.Fatal(err)
	}
	defer line.RoundTripper.(*http.Transport).CloseIdleConnections()
	result, err := pusher.Push(t.Context(), client.PushRequest{User: "alice", Content: []byte("once"), Ack: protocol.AckAuto, Wait: long})
	if err != nil || result.Outcome != protocol.OutcomeAcked || !result.Duplicate || line.tries.Load() != 3 {
		t.Errorf("after %d tries: %+v, %v", line.tries.Load(), result, err)
	}
	if got := string(p.next().Content); got != "once" {
		t.Errorf("received %q", got)
	}
	r.reaches(t, p, "alice", "and nothing between")
}

func TestDevicesOfAUser(t *testing.T) {
	r := start(t)
	phones := crew(t, r)
	devices, err := r.pusher.User(t.Context(), "alice")
	if err != nil || len(devices) != 2 {
		t.Fatalf("devices %+v, %v", devices, err)
	}
	slices.SortFunc(devices, func(a, b client.UserDevice) int { return int(a.ClientType) - int(b.ClientType) })
	for i, want := range []client.UserDevice{
		{ClientType: protocol.ClientMobile, DeviceID: "alice-phone", OSName: "android", OSVersion: "12", ClientVersion: "1.2.0", Tags: "vip,beta", Node: "node-1", Online: true, Transport: "tcp"},
		{ClientType: protocol.ClientPC, DeviceID: "alice-pc", OSName: "windows", OSVersion: "12", ClientVersion: "2.0.0", Tags: "vip", Node: "node-1", Online: true, Transport: "tcp"},
	} {
		got := devices[i]
		if got.Connection == "" || got.Since.IsZero() {
			t.Errorf("device %+v", got)
		}
		if got.Connection, got.Since = "", (time.Time{}); got != want {
			t.Errorf("device %+v\n  want %+v", got, want)
		}
	}
	phones["alice-pc"].stop()
	servertest.Eventually(t, "the PC is offline", func() bool {
		devices, err := r.pusher.User(t.Context(), "alice")
		return err == nil && len(devices) == 2 && slices.ContainsFunc(devices, func(d client.UserDevice) bool { return d.ClientType == protocol.ClientPC && !d.Online })
	})
	if devices, err := r.pusher.User(t.Context(), "stranger"); err != nil || len(devices) != 0 {
		t.Errorf("devices of a stranger: %+v, %v", devices, err)
	}
}

func TestNodesAreListed(t *testing.T) {
	r := start(t)
	crew(t, r)
	nodes, err := r.pusher.Nodes(t.Context())
	if err != nil || len(nodes) != 1 {
		t.Fatalf("nodes %+v, %v", nodes, err)
	}
	got := nodes[0]
	if got.Since.IsZero() {
		t.Error("the node does not say since when it serves")
	}
	got.Since = time.Time{}
	want := client.Node{ID: "node-1", Device: r.DeviceAddress(), WebSocket: r.WebSocketURL(), Gateway: r.GatewayAddress(), State: "serving", Weight: 1, Connections: 4, Users: 3, Version: "test"}
	if got != want {
		t.Errorf("node %+v\nwant %+v", got, want)
	}
}

func TestTokensGuardTheAPI(t *testing.T) {
	r := startGuarded(t, []string{"first-token", "second-token"})
	p := switchOn(t, "", "alice", func(o *client.DeviceOptions) { o.Allocator = r.url }) // devices need no token
	p.until(client.StateBound)
	r.reaches(t, p, "alice", "hello")
	for token, allowed := range map[string]bool{"": false, "wrong": false, "first-tokens": false, "second-token": true} {
		pusher, err := client.NewPusher(client.PusherOptions{URL: r.url, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		defer pusher.Close()
		_, pushErr := pusher.Push(t.Context(), client.PushRequest{User: "alice", Content: []byte("hello")})
		_, kickErr := pusher.Kick(t.Context(), "stranger")
		_, nodesErr := pusher.Nodes(t.Context())
		for call, err := range map[string]error{"push": pushErr, "kick": kickErr, "nodes": nodesErr, "drain": pusher.Drain(t.Context(), "node-9", 0)} {
			switch {
			case !allowed:
				refusedWith(t, call+" with token "+token, err, http.StatusUnauthorized, "")
			case call == "drain":
				refusedWith(t, "a node that is not there", err, http.StatusNotFound, "")
			case err != nil:
				t.Errorf("%s with token %s: %v", call, token, err)
			}
		}
	}
}

func TestWrongPushesAreRefusedByField(t *testing.T) {
	r := start(t)
	content := []byte("x")
	for field, request := range map[string]client.PushRequest{
		"user":      {Content: content},
		"content":   {User: "alice"},
		"ttl":       {User: "alice", Content: content, TTL: time.Hour},
		"wait":      {User: "alice", Content: content, Wait: time.Hour},
		"condition": {User: "alice", Content: content, Condition: "tags +"},
		"id":        {User: "alice", Content: content, ID: "no spaces"},
	} {
		_, err := r.pusher.Push(t.Context(), request)
		refusedWith(t, field, err, http.StatusBadRequest, field)
	}
	if books := r.Ledger.Books(); books.Accepted != 0 {
		t.Errorf("books %+v: what was refused was accepted", books)
	}
}
