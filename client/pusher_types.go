package client

import (
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/fanfare-push/fanfare/protocol"
)

// PushRequest is one message for one user, for many or for everybody. User, Users
// or Broadcast, and Content, are needed.
type PushRequest struct {
	ID        string // idempotency key; empty = [Pusher.Push] makes one
	User      string
	Users     []string
	Broadcast bool

	Content []byte // not empty; sent as text if it is UTF-8

	Ack         protocol.AckMode      // what the devices are asked for
	TTL         time.Duration         // how long to keep it for a user that is offline; 0 = not at all
	Tags        []string              // only devices with at least one of these
	Condition   string                // only devices for which it holds
	ClientTypes []protocol.ClientType // only devices of these classes
	Wait        time.Duration         // how long the answer may wait for the outcome

	Rate int    // of a broadcast, connections per second on each node, at most 1,000,000; 0 = the nodes' default
	Task string // of a broadcast, MPush's task id, whose counters in the store steer it; at most 128 bytes
}

// MarshalJSON writes the body of POST /api/v1/push; what is zero is left out.
func (r PushRequest) MarshalJSON() ([]byte, error) {
	body := struct {
		ID            string                `json:"id,omitempty"`
		User          string                `json:"user,omitempty"`
		Users         []string              `json:"users,omitempty"`
		Broadcast     bool                  `json:"broadcast,omitempty"`
		Content       string                `json:"content,omitempty"`
		ContentBase64 []byte                `json:"content_base64,omitempty"`
		Ack           protocol.AckMode      `json:"ack,omitzero"`
		TTL           string                `json:"ttl,omitempty"`
		Tags          []string              `json:"tags,omitempty"`
		Condition     string                `json:"condition,omitempty"`
		ClientTypes   []protocol.ClientType `json:"client_types,omitempty"`
		Wait          string                `json:"wait,omitempty"`
		Rate          int                   `json:"rate,omitempty"`
		Task          string                `json:"task,omitempty"`
	}{
		ID: r.ID, User: r.User, Users: r.Users, Broadcast: r.Broadcast, Ack: r.Ack, TTL: spell(r.TTL),
		Tags: r.Tags, Condition: r.Condition, ClientTypes: r.ClientTypes, Wait: spell(r.Wait),
		Rate: r.Rate, Task: r.Task,
	}
	if utf8.Valid(r.Content) {
		body.Content = string(r.Content)
	} else {
		body.ContentBase64 = r.Content
	}
	return json.Marshal(body)
}

// spell writes a duration for the API; nothing for 0.
func spell(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// PushResult is what is known about a message when the answer came.
type PushResult struct {
	ID         string                   `json:"id"`
	Outcome    protocol.Outcome         `json:"outcome"`    // of a message to one user; pending if not known
	Node       string                   `json:"node"`       // that decided the outcome
	Targets    int                      `json:"targets"`    // users of a message to many
	Outcomes   map[protocol.Outcome]int `json:"outcomes"`   // users by outcome, of a message to many
	Deliveries map[protocol.Outcome]int `json:"deliveries"` // connections by outcome, of a message to many
	Nodes      []NodeResult             `json:"nodes"`      // what each node did, of a broadcast
	Latency    time.Duration            `json:"-"`          // from accepted to written or acknowledged; 0 = neither
	Duplicate  bool                     `json:"duplicate"`  // the id was known: this is about the first request
}

// Known tells whether the outcome is known: it is not if it was not waited for or
// took longer. [Pusher.Message] knows it later.
func (r *PushResult) Known() bool {
	return r.Outcome != protocol.OutcomePending || r.Outcomes != nil
}

// UnmarshalJSON reads an answer to POST /api/v1/push.
func (r *PushResult) UnmarshalJSON(text []byte) error {
	type members PushResult
	return unmarshalTimed(text, (*members)(r), &r.Latency)
}

// NodeResult is what one node did of a broadcast, or has done so far.
type NodeResult struct {
	Node       string                   `json:"node"`
	Outcome    protocol.Outcome         `json:"outcome"`    // pending while the node is at it
	Deliveries map[protocol.Outcome]int `json:"deliveries"` // connections by outcome
}

// MessageStatus is what the entry point's books say about a message.
type MessageStatus struct {
	ID         string                   `json:"id"`
	Outcome    protocol.Outcome         `json:"outcome"` // pending until every target has ended
	Accepted   time.Time                `json:"accepted"`
	Broadcast  bool                     `json:"broadcast"`
	Targets    int                      `json:"targets"`    // users; 1 for a broadcast
	Ended      int                      `json:"ended"`      // targets whose outcome is known
	Outcomes   map[protocol.Outcome]int `json:"outcomes"`   // targets by outcome, so far
	Deliveries map[protocol.Outcome]int `json:"deliveries"` // connections by outcome, so far
	Nodes      []NodeResult             `json:"nodes"`      // what each node did, of a broadcast
	Stages     []StageTime              `json:"stages"`
	Latency    time.Duration            `json:"-"` // from accepted to written or acknowledged; 0 = neither
}

// StageTime is when a message reached a stage, and on which node.
type StageTime struct {
	Stage protocol.Stage `json:"stage"`
	Node  string         `json:"node"`
	At    time.Time      `json:"at"`
}

// UnmarshalJSON reads an answer to GET /api/v1/messages/{id}.
func (m *MessageStatus) UnmarshalJSON(text []byte) error {
	type members MessageStatus
	return unmarshalTimed(text, (*members)(m), &m.Latency)
}

// unmarshalTimed reads text into v, which has no methods, and its latency_ms.
func unmarshalTimed(text []byte, v any, latency *time.Duration) error {
	if err := json.Unmarshal(text, v); err != nil {
		return err
	}
	var timed struct {
		Milliseconds float64 `json:"latency_ms"`
	}
	if err := json.Unmarshal(text, &timed); err != nil {
		return err
	}
	*latency = time.Duration(timed.Milliseconds * float64(time.Millisecond))
	return nil
}

// UserDevice is one device of a user.
type UserDevice struct {
	ClientType    protocol.ClientType `json:"client_type"`
	Node          string              `json:"node"`
	Connection    string              `json:"connection"` // empty when offline
	Since         time.Time           `json:"since"`      // bound since, or offline since
	Online        bool                `json:"online"`
	DeviceID      string              `json:"device_id"`
	OSName        string              `json:"os_name"`
	OSVersion     string              `json:"os_version"`
	ClientVersion string              `json:"client_version"`
	Tags          string              `json:"tags"`
	Transport     string              `json:"transport"` // tcp, tls, ws or wss
}

// Node is one push node.
type Node struct {
	ID          string    `json:"id"`
	Device      string    `json:"device"`    // host:port devices connect to
	WebSocket   string    `json:"websocket"` // ws:// or wss:// URL
	Gateway     string    `json:"gateway"`   // host:port for back ends and peers
	Ops         string    `json:"ops"`       // host:port of /metrics
	State       string    `json:"state"`     // serving, draining or lost
	Weight      int       `json:"weight"`    // its share of devices against that of the others
	Java        bool      `json:"java"`      // an MPush node, of which Connections are its users
	Connections int       `json:"connections"`
	Users       int       `json:"users"` // distinct bound users
	Version     string    `json:"version"`
	Since       time.Time `json:"since"`
}
