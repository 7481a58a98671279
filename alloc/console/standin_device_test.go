package console_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// standInDevice is the node's side of one WebSocket.
type standInDevice struct {
	s                          *standIn
	conn                       *websocket.Conn
	connection                 string
	id, os, osVersion, version string
	user, tags                 string
	since                      time.Time
	waiting                    map[int]*standInMessage // by session id of the push
	out                        chan func()             // written by one goroutine, in order
}

type standInPacket struct {
	Cmd       int               `json:"cmd"`
	Flags     int               `json:"flags"`
	SessionID int               `json:"sessionId"`
	Body      map[string]string `json:"body"`
}

func (s *standIn) serveDevice(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // pages come from the allocator's origin
	if err != nil {
		return
	}
	s.streams.Add(1)
	defer s.streams.Done()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	d := &standInDevice{s: s, conn: conn, waiting: map[int]*standInMessage{}, since: time.Now(), out: make(chan func(), 64)}
	go func() { // ends the read below
		select {
		case <-s.done:
			_ = conn.CloseNow()
		case <-ctx.Done():
		}
	}()
	go d.write(ctx)
	d.read(ctx)
	s.mu.Lock()
	delete(s.devices, d.connection)
	s.mu.Unlock()
}

func (d *standInDevice) write(ctx context.Context) {
	for {
		select {
		case act := <-d.out:
			act()
		case <-ctx.Done():
			return
		}
	}
}

func (d *standInDevice) read(ctx context.Context) {
	for {
		_, text, err := d.conn.Read(ctx)
		if err != nil {
			return
		}
		var packet standInPacket
		if err := json.Unmarshal(text, &packet); err != nil || packet.Flags != 16 {
			d.s.t.Errorf("the page sent %s: %v", text, err)
		}
		d.s.mu.Lock()
		d.handle(packet)
		d.s.mu.Unlock()
	}
}

func (d *standInDevice) handle(p standInPacket) {
	switch p.Cmd {
	case 2:
		d.handshake(p)
	case 5:
		d.bind(p)
	case 6:
		d.user = ""
		d.send(11, 0, p.SessionID, map[string]any{"cmd": 6, "data": "unbind success"})
	case 23:
		d.acknowledge(p)
	default:
		d.s.t.Errorf("the page sent command %d", p.Cmd)
	}
}

func (d *standInDevice) handshake(p standInPacket) {
	if p.Body["deviceId"] == "" || p.Body["osName"] == "" || p.Body["clientVersion"] == "" || d.connection != "" {
		d.s.t.Errorf("handshake %v", p)
	}
	d.id, d.os, d.osVersion, d.version = p.Body["deviceId"], p.Body["osName"], p.Body["osVersion"], p.Body["clientVersion"]
	d.s.last++
	d.connection = fmt.Sprintf("c%07x", d.s.last)
	d.s.devices[d.connection] = d
	d.send(2, 0, p.SessionID, nil)
}

// bind refuses the user "banned" as a validator would.
func (d *standInDevice) bind(p standInPacket) {
	switch {
	case d.connection == "" || p.Body["userId"] == "":
		d.s.t.Errorf("bind %v", p)
	case p.Body["userId"] == "banned":
		d.send(10, 0, p.SessionID, map[string]any{"cmd": 5, "reason": "bind failed"})
		d.hangUp(1000, "Bye")
	default:
		if d.user != "" && d.user != p.Body["userId"] {
			d.send(11, 0, p.SessionID, map[string]any{"cmd": 5, "data": "unbind success"})
		}
		d.user, d.tags = p.Body["userId"], p.Body["tags"]
		d.send(11, 0, p.SessionID, map[string]any{"cmd": 5, "data": "bind success"})
	}
}

func (d *standInDevice) acknowledge(p standInPacket) {
	m, ok := d.waiting[p.SessionID]
	if !ok {
		d.s.t.Errorf("ack of %d, which nobody waits for", p.SessionID)
		return
	}
	delete(d.waiting, p.SessionID)
	d.s.stage(m, "acked")
	d.s.end(m, "acked")
}

// send queues a packet with MPush's members.
func (d *standInDevice) send(cmd, flags, session int, body map[string]any) {
	packet := map[string]any{"bodyLength": len(body), "cmd": cmd, "flags": flags | 16, "sessionId": session}
	if body != nil {
		packet["body"] = body
	}
	text, _ := json.Marshal(packet)
	d.out <- func() { _ = d.conn.Write(context.Background(), websocket.MessageText, text) }
}

func (d *standInDevice) hangUp(code websocket.StatusCode, reason string) {
	d.out <- func() { go func() { _ = d.conn.Close(code, reason) }() }
}

// tellKicked sends KICK to every device and leaves the connections open, as a Java
// node does.
func (s *standIn) tellKicked() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.devices {
		d.send(13, 0, 0, map[string]any{"deviceId": d.id, "userId": d.user})
	}
}

// hangUpAll closes every device's connection.
func (s *standIn) hangUpAll(code websocket.StatusCode, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.devices {
		d.hangUp(code, reason)
	}
}
