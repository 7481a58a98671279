package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// page is a browser's connection; it sends and expects the text of frames.
type page struct {
	t   testing.TB
	ctx context.Context
	ws  *websocket.Conn
}

func pageTo(t testing.TB, n *servertest.Node) *page {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	ws, _, err := websocket.Dial(ctx, n.WebSocketURL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.CloseNow() })
	return &page{t, ctx, ws}
}

func (p *page) send(text string) {
	p.t.Helper()
	if err := p.ws.Write(p.ctx, websocket.MessageText, []byte(text)); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

func (p *page) next() string {
	p.t.Helper()
	kind, text, err := p.ws.Read(p.ctx)
	if err != nil || kind != websocket.MessageText {
		p.t.Fatalf("read: %v %q, %v", kind, text, err)
	}
	return string(text)
}

func (p *page) want(frames ...string) {
	p.t.Helper()
	for _, want := range frames {
		if got := p.next(); got != want {
			p.t.Fatalf("the node sent\n%s, want\n%s", got, want)
		}
	}
}

// wantClosed expects a close frame and nothing before it.
func (p *page) wantClosed(code websocket.StatusCode, reason string) {
	p.t.Helper()
	_, text, err := p.ws.Read(p.ctx)
	var end websocket.CloseError
	if !errors.As(err, &end) || end.Code != code || end.Reason != reason {
		p.t.Fatalf("the node sent %q, %v; want close %d %q", text, err, code, reason)
	}
}

// wantQuiet shows that nothing was sent, by a request that is always answered.
func (p *page) wantQuiet() {
	p.t.Helper()
	p.send(`{"cmd":15,"flags":24,"sessionId":777,"body":{"content":"quiet?"}}`)
	p.want(`{"bodyLength":0,"cmd":23,"flags":16,"sessionId":777}`)
}

// login is what the page of MPush does when it opens.
func (p *page) login(device, user string) {
	p.t.Helper()
	p.send(`{"cmd":2,"flags":16,"sessionId":1,"body":{"deviceId":"` + device + `","osName":"web 1.0","osVersion":"1","clientVersion":"1.0"}}`)
	p.want(`{"bodyLength":0,"cmd":2,"flags":16,"sessionId":1}`)
	p.send(`{"cmd":5,"flags":16,"sessionId":2,"body":{"userId":"` + user + `","tags":"vip"}}`)
	p.want(`{"body":{"data":"bind success","cmd":5},"bodyLength":2,"cmd":11,"flags":16,"sessionId":2}`)
}

// Check 57: the text of every packet of a page's life.
func TestCompatWebSocketLife(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	p := pageTo(t, n)
	p.send(`{"cmd":5,"flags":16,"sessionId":1,"body":{"userId":"alice"}}`)
	p.want(`{"body":{"reason":"not handshake","cmd":5},"bodyLength":2,"cmd":10,"flags":16,"sessionId":1}`)
	p.wantClosed(1000, "Bye")

	p = pageTo(t, n)
	p.login("web-1", "alice")
	p.send(`{"cmd":2,"flags":16,"sessionId":3,"body":{"deviceId":"web-1","osName":"web"}}`)
	p.want(`{"body":{"reason":"repeat handshake","cmd":2,"code":102},"bodyLength":3,"cmd":10,"flags":16,"sessionId":3}`)
	if d := n.Devices("alice"); len(d) != 1 || d[0].ClientType != protocol.ClientWeb || d[0].Tags != "vip" || d[0].Transport != "ws" {
		t.Errorf("alice has %+v", d)
	}
	for mode, flags := range map[protocol.AckMode]int{protocol.AckNone: 16, protocol.AckAuto: 24, protocol.AckBiz: 20} {
		p.push(n, mode, flags)
	}
	if err := p.ping(); err != nil {
		t.Errorf("ping: %v", err)
	}

	second := pageTo(t, n)
	second.login("web-2", "alice")
	p.want(`{"body":{"deviceId":"web-1","userId":"alice"},"bodyLength":2,"cmd":13,"flags":16,"sessionId":0}`)
	p.wantQuiet()
	second.send(`{"cmd":5,"flags":16,"sessionId":3,"body":{"userId":"bob"}}`)
	second.want(`{"body":{"data":"unbind success","cmd":5},"bodyLength":2,"cmd":11,"flags":16,"sessionId":3}`,
		`{"body":{"data":"bind success","cmd":5},"bodyLength":2,"cmd":11,"flags":16,"sessionId":3}`)
	second.send(`{"cmd":6,"flags":16,"sessionId":4,"body":{"userId":"bob"}}`)
	second.want(`{"body":{"data":"unbind success","cmd":6},"bodyLength":2,"cmd":11,"flags":16,"sessionId":4}`)
}

// MPush takes a device id as long as a frame; what is kept of it is bounded.
func TestWebSocketDeviceOfManyNames(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	p := pageTo(t, n)
	p.login(strings.Repeat("wëb", 10_000), "alice")
	d := n.Devices("alice")
	if len(d) != 1 || len(d[0].DeviceID) > 1<<10 || !strings.HasPrefix(d[0].DeviceID, "wëbwëb") || !utf8.ValidString(d[0].DeviceID) {
		t.Errorf("alice has %+v", d)
	}
}

// push sends to alice with an ack mode and acknowledges as the page does.
func (p *page) push(n *servertest.Node, mode protocol.AckMode, flags int) {
	p.t.Helper()
	content := `{"say":"你好"}` + mode.String()
	done := n.Send(p.t, cluster.Push{Content: []byte(content), Ack: mode}, "alice")
	var id int
	got := p.next()
	layout := `{"body":{"content":"{\"say\":\"你好\"}` + mode.String() + fmt.Sprintf(`"},"bodyLength":1,"cmd":15,"flags":%d,"sessionId":`, flags)
	if rest, ok := strings.CutPrefix(got, layout); !ok {
		p.t.Fatalf("the push is %s, want %s…", got, layout)
	} else if _, err := fmt.Sscanf(rest, "%d}", &id); err != nil {
		p.t.Fatalf("the push is %s: %v", got, err)
	}
	want := protocol.OutcomeSent
	if mode != protocol.AckNone {
		p.send(fmt.Sprintf(`{"cmd":23,"flags":16,"sessionId":%d,"body":null}`, id))
		want = protocol.OutcomeAcked
	}
	if r := servertest.Outcome(p.t, done); r.Outcome != want {
		p.t.Errorf("push with ack %s ended as %s", mode, r.Outcome)
	}
}

// ping sends a WebSocket ping. Its answer is seen by a read, which a request with an
// answer ends.
func (p *page) ping() error {
	pong := make(chan error, 1)
	go func() {
		err := p.ws.Ping(p.ctx)
		last := `{"cmd":15,"flags":24,"sessionId":778,"body":{"content":"end of the read"}}`
		pong <- errors.Join(err, p.ws.Write(p.ctx, websocket.MessageText, []byte(last)))
	}()
	p.want(`{"bodyLength":0,"cmd":23,"flags":16,"sessionId":778}`)
	return <-pong
}

// Check 58: what closes a page's connection, after an answer or without one.
func TestCompatWebSocketErrors(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	unsupported := func(cmd int) string {
		return fmt.Sprintf(`{"body":{"reason":"unsupported command","cmd":%d,"code":101},"bodyLength":3,"cmd":10,"flags":16,"sessionId":5}`, cmd)
	}
	broken := `{"body":{"reason":"handle message error","cmd":2,"code":100},"bodyLength":3,"cmd":10,"flags":16,"sessionId":5}`
	for name, test := range map[string]struct{ send, want string }{
		"heartbeat":                {`{"cmd":1,"flags":16,"sessionId":5}`, unsupported(1)},
		"fast connect":             {`{"cmd":7,"flags":16,"sessionId":5,"body":{}}`, unsupported(7)},
		"http proxy":               {`{"cmd":12,"flags":16,"sessionId":5,"body":{}}`, unsupported(12)},
		"number where text is":     {`{"cmd":2,"flags":16,"sessionId":5,"body":{"deviceId":7}}`, broken},
		"flags deny JSON":          {`{"cmd":2,"flags":0,"sessionId":5,"body":{"deviceId":"d"}}`, broken},
		"flags deny JSON, again":   {`{"cmd":2,"flags":8,"sessionId":5,"body":{"deviceId":"d"}}`, broken},
		"no device":                {`{"cmd":2,"flags":16,"sessionId":5,"body":{}}`, `{"body":{"reason":"Param invalid","cmd":2},"bodyLength":2,"cmd":10,"flags":16,"sessionId":5}`},
		"not JSON":                 {`hello`, ""},
		"JSON, but a list":         {`[1,2]`, ""},
		"JSON, but half of a pair": {`{"cmd":`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := pageTo(t, n)
			p.send(test.send)
			if test.want != "" {
				p.want(test.want)
			}
			p.wantClosed(1000, "Bye")
		})
	}
	p := pageTo(t, n)
	if err := p.ws.Write(p.ctx, websocket.MessageBinary, []byte(`{"cmd":2}`)); err != nil {
		t.Fatal(err)
	}
	p.wantClosed(1000, "Bye")
	p = pageTo(t, n)
	p.send(`{"cmd":15,"body":{"content":"` + strings.Repeat("x", 65_536) + `"}}`)
	if _, _, err := p.ws.Read(p.ctx); websocket.CloseStatus(err) != 1009 {
		t.Errorf("a frame over the limit: %v, want close 1009", err)
	}
}

// Check 59, first half (the other is in TestCompatWebSocketErrors), and the other
// things that Java forgives.
func TestCompatWebSocketTolerance(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	for name, handshake := range map[string]string{
		"flags missing":         `{"cmd":2,"sessionId":1,"body":{"deviceId":"d","osName":"web"}}`,
		"numbers as text":       `{"cmd":"2","flags":"16","sessionId":"1","body":{"deviceId":"d","osName":"web"}}`,
		"other order, spaces":   " { \"body\" : {\"osName\":\"web\",\n\"deviceId\":\"d\"}, \"sessionId\":1, \"flags\":16, \"cmd\":2 } ",
		"members nobody knows":  `{"cmd":2,"sessionId":1,"bodyLength":99,"x":[{}],"body":{"deviceId":"d","y":1}}`,
		"more flags than known": `{"cmd":2,"flags":17,"sessionId":1,"body":{"deviceId":"d"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			p := pageTo(t, n)
			p.send(handshake)
			p.want(`{"bodyLength":0,"cmd":2,"flags":16,"sessionId":1}`)
		})
	}
	p := pageTo(t, n)
	p.login("web-1", "alice")
	p.send(`{"cmd":15,"flags":16,"sessionId":8,"body":{"content":"no ack wanted"}}`)
	p.wantQuiet() // asks for an ack, at which Java closes
}

// Check 57, the page: what browsers get that do not open a WebSocket.
func TestCompatWebSocketHTTP(t *testing.T) {
	t.Parallel()
	n, elsewhere := servertest.Start(t), servertest.Start(t, func(o *server.Options) { o.WebSocketPath = "/ws" })
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	for _, test := range []struct {
		node         *servertest.Node
		method, path string
		status       int
		kind, text   string
	}{
		{n, "GET", "/index.html", 200, "text/html; charset=utf-8", "<!DOCTYPE html>"},
		{n, "GET", "/", 400, "text/plain; charset=utf-8", "not a WebSocket handshake request: missing upgrade"},
		{n, "GET", "/other", 404, "text/plain; charset=utf-8", ""},
		{n, "POST", "/index.html", 403, "", ""},
		{elsewhere, "GET", "/", 200, "text/html; charset=utf-8", "<!DOCTYPE html>"},
	} {
		base := strings.Replace(strings.TrimSuffix(test.node.WebSocketURL(), "/ws"), "ws://", "http://", 1)
		request, err := http.NewRequest(test.method, strings.TrimSuffix(base, "/")+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != test.status || response.Header.Get("Content-Type") != test.kind || !strings.HasPrefix(string(text), test.text) {
			t.Errorf("%s %s: %s, %q, %q", test.method, test.path, response.Status, response.Header.Get("Content-Type"), text)
		}
	}
}
