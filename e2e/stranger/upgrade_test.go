package stranger

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

// TestUpgrade asks the WebSocket port for what is there and what is not.
func TestUpgrade(t *testing.T) {
	p := startProduct(t)
	if _, err := dialSocket(soon(t), p.websocket, "/elsewhere"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("another path: %v", err)
	}
	if code, text := p.get(t, "http://"+p.websocket+"/index.html"); code != http.StatusOK || !strings.Contains(text, "WebSocket") {
		t.Errorf("the page: %d %.200s", code, text)
	}
}

// TestMessages sends messages over a WebSocket that a device of today would not.
func TestMessages(t *testing.T) {
	p := startProduct(t)
	for _, c := range []struct {
		name, text string
		opcode     byte
		refusal    *Refusal // nil: none
		closed     bool
	}{
		{"no flags", `{"cmd":2,"sessionId":1,"body":{"deviceId":"d","osName":"web","osVersion":"1","clientVersion":"1"}}`, opText, nil, false},
		{"numbers in quotes", `{"cmd":"2","flags":"16","sessionId":"1","body":{"deviceId":"d","osName":"web","osVersion":"1","clientVersion":"1"}}`, opText, nil, false},
		{"flags without 16", `{"cmd":2,"flags":0,"sessionId":1,"body":{"deviceId":"d"}}`, opText, &Refusal{cmdHandshake, 100, "handle message error"}, true},
		{"a number for a string", `{"cmd":2,"flags":16,"sessionId":1,"body":{"deviceId":7}}`, opText, &Refusal{cmdHandshake, 100, "handle message error"}, true},
		{"not JSON", `nonsense`, opText, nil, true},
		{"an array", `[]`, opText, nil, true},
		{"binary", `{"cmd":2,"flags":16,"sessionId":1}`, 2, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := ConnectJS(soon(t), p.websocket, "d")
			must(t, err)
			defer d.Close()
			defer guard(soon(t), d.socket.conn)()
			must(t, d.socket.write(c.opcode, []byte(c.text)))
			if !c.closed {
				_, err := d.await(cmdHandshake, 1)
				must(t, err)
				return
			}
			_, err = d.read()
			if c.refusal != nil {
				wantRefusal(t, err, *c.refusal)
				_, err = d.read()
			}
			var closed errClosed
			if !errors.As(err, &closed) || closed.code != 1000 || c.refusal == nil && closed.reason != "Bye" {
				t.Errorf("the end is: %v", err)
			}
		})
	}
}
