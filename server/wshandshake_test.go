package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

const wsGoodHead = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"

var wsRoot = &wsPolicy{Path: "/"}

func wsAsk(t *testing.T, policy *wsPolicy, request string) (*http.Response, string) {
	t.Helper()
	var u wsUpgrade
	reply, ok, err := u.next([]byte(request), policy)
	if !ok || err != nil {
		t.Fatalf("%q: ok %v, err %v", request, ok, err)
	}
	response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(reply.Response)), nil)
	if err != nil {
		t.Fatalf("%q: %v in %q", request, err, reply.Response)
	}
	if reply.Upgraded != (response.StatusCode == http.StatusSwitchingProtocols) {
		t.Errorf("%q: upgraded %v with status %d", request, reply.Upgraded, response.StatusCode)
	}
	if !reply.Upgraded && !response.Close {
		t.Errorf("%q: the answer does not say that the connection closes", request)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestWSUpgradeAnswers(t *testing.T) {
	chat := &wsPolicy{Path: "/chat"}
	origins := &wsPolicy{Path: "/", Origins: []string{"https://app.example.com"}}
	const missing = "not a WebSocket handshake request: missing upgrade"
	tests := []struct {
		name    string
		policy  *wsPolicy
		request string
		status  int
		body    string // prefix
	}{
		{"upgrade", wsRoot, wsGoodHead + "\r\n", 101, ""},
		{"query ignored", wsRoot, strings.Replace(wsGoodHead, "/ ", "/?a=1 ", 1) + "\r\n", 101, ""},
		{"header case and lists", wsRoot, strings.NewReplacer("websocket", "h2c, WebSocket", "Connection: Upgrade", "connection: keep-alive, upgrade").Replace(wsGoodHead) + "\r\n", 101, ""},
		{"sub protocol offered", wsRoot, wsGoodHead + "Sec-WebSocket-Protocol: chat\r\n\r\n", 101, ""},
		{"extension offered", wsRoot, wsGoodHead + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", 101, ""},
		{"bare line feeds", wsRoot, strings.ReplaceAll(wsGoodHead, "\r", "") + "\n", 101, ""},
		{"GET /", wsRoot, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400, missing},
		{"GET / HTTP/1.0", wsRoot, "GET / HTTP/1.0\r\n\r\n", 400, missing},
		{"no Connection header", wsRoot, strings.Replace(wsGoodHead, "Connection", "X", 1) + "\r\n", 400, missing},
		{"upgrade over HTTP/1.0", wsRoot, strings.Replace(wsGoodHead, "1.1", "1.0", 1) + "\r\n", 400, "not a WebSocket"},
		{"version 99", wsRoot, strings.Replace(wsGoodHead, "13", "99", 1) + "\r\n", 426, ""},
		{"no version", wsRoot, strings.Replace(wsGoodHead, "Sec-WebSocket-Version", "X", 1) + "\r\n", 426, ""},
		{"no key", wsRoot, strings.Replace(wsGoodHead, "Sec-WebSocket-Key", "X", 1) + "\r\n", 400, "not a WebSocket handshake request: missing key"},
		{"short key", wsRoot, strings.Replace(wsGoodHead, "dGhl", "", 1) + "\r\n", 400, "not a WebSocket"},
		{"page", wsRoot, "GET /index.html HTTP/1.1\r\n\r\n", 200, "<!DOCTYPE html>"},
		{"page at / of another path", chat, "GET / HTTP/1.1\r\n\r\n", 200, "<!DOCTYPE html>"},
		{"other path", wsRoot, "GET /favicon.ico HTTP/1.1\r\n\r\n", 404, "404 Not Found"},
		{"upgrade on another path", wsRoot, strings.Replace(wsGoodHead, "/ ", "/chat ", 1) + "\r\n", 404, "404 Not Found"},
		{"upgrade on its path", chat, strings.Replace(wsGoodHead, "/ ", "/chat ", 1) + "\r\n", 101, ""},
		{"path prefix", chat, strings.Replace(wsGoodHead, "/ ", "/chat/x ", 1) + "\r\n", 404, ""},
		{"POST", wsRoot, "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi", 403, ""},
		{"HEAD", wsRoot, "HEAD / HTTP/1.1\r\n\r\n", 403, ""},
		{"POST elsewhere", wsRoot, "POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi", 403, ""},
		{"garbage", wsRoot, "hello\r\n\r\n", 400, "400 Bad Request"},
		{"empty lines", wsRoot, "\r\n\r\n", 400, "400 Bad Request"},
		{"origin allowed", origins, wsGoodHead + "Origin: https://APP.example.com\r\n\r\n", 101, ""},
		{"not a browser", origins, wsGoodHead + "\r\n", 101, ""},
		{"origin refused", origins, wsGoodHead + "Origin: https://evil.example.com\r\n\r\n", 403, "origin not allowed"},
		{"origin of a sandbox", origins, wsGoodHead + "Origin: null\r\n\r\n", 403, "origin not allowed"},
		{"any origin", wsRoot, wsGoodHead + "Origin: https://evil.example.com\r\n\r\n", 101, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			response, body := wsAsk(t, test.policy, test.request)
			if response.StatusCode != test.status || !strings.HasPrefix(body, test.body) {
				t.Errorf("got %d %q, want %d %q", response.StatusCode, body, test.status, test.body)
			}
			for _, name := range []string{"Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"} {
				if v := response.Header.Get(name); v != "" {
					t.Errorf("%s agreed: %s", name, v)
				}
			}
			if test.status == 426 && response.Header.Get("Sec-WebSocket-Version") != "13" {
				t.Error("426 does not name the version")
			}
		})
	}
}

func TestWSUpgradeAcceptKey(t *testing.T) { // the example of RFC 6455 section 1.3
	response, _ := wsAsk(t, wsRoot, wsGoodHead+"\r\n")
	if got := response.Header.Get("Sec-WebSocket-Accept"); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Error(got)
	}
}

func TestWSPageNamesTheConsole(t *testing.T) {
	_, body := wsAsk(t, &wsPolicy{Path: "/", Console: `http://a"b/`}, "GET /index.html HTTP/1.1\r\n\r\n")
	if !strings.Contains(body, `href="http://a&#34;b/"`) {
		t.Errorf("%s", body)
	}
}

func TestWSUpgradeCutAnywhere(t *testing.T) {
	for _, request := range []string{
		wsGoodHead + "\r\nframes", strings.ReplaceAll(wsGoodHead, "\r", "") + "\nframes", "GET / HTTP/1.1\r\n\r\nframes",
	} {
		var u wsUpgrade
		whole, _, _ := u.next([]byte(request), wsRoot)
		for cut := 1; cut < len(request); cut++ {
			var u wsUpgrade
			reply, ok, err := u.next([]byte(request[:cut]), wsRoot)
			rest := request[cut:]
			if !ok {
				reply, ok, err = u.next([]byte(rest), wsRoot)
				rest = ""
			}
			if !ok || err != nil || !bytes.Equal(reply.Response, whole.Response) {
				t.Fatalf("cut at %d: ok %v, err %v, %q", cut, ok, err, reply.Response)
			}
			if reply.Upgraded && string(reply.Rest)+rest != "frames" {
				t.Fatalf("cut at %d: rest %q", cut, reply.Rest)
			}
			if u.head != nil {
				t.Fatalf("cut at %d: memory held", cut)
			}
		}
	}
}

func TestWSUpgradeHeadLimit(t *testing.T) {
	pad := func(total int) string {
		return wsGoodHead + "X-Pad: " + strings.Repeat("x", total-len(wsGoodHead)-len("X-Pad: \r\n\r\n")) + "\r\n\r\n"
	}
	feed := func(request string, step int) (wsReply, error) {
		var u wsUpgrade
		for data := []byte(request); len(data) > 0; {
			n := min(step, len(data))
			if reply, ok, err := u.next(data[:n], wsRoot); ok || err != nil {
				return reply, err
			}
			data = data[n:]
		}
		return wsReply{}, io.ErrUnexpectedEOF
	}
	for _, step := range []int{1, 1000, 1 << 20} {
		if reply, err := feed(pad(wsMaxHead), step); err != nil || !reply.Upgraded {
			t.Errorf("step %d: a head of 8 KiB: %v", step, err)
		}
		for _, request := range []string{pad(wsMaxHead + 1), strings.Repeat("x", 20000)} {
			reply, err := feed(request, step)
			if !errors.Is(err, errHeadTooLarge) || !bytes.HasPrefix(reply.Response, []byte("HTTP/1.1 431 ")) {
				t.Errorf("step %d: %v, %.40q", step, err, reply.Response)
			}
		}
	}
}

func FuzzWSUpgrade(f *testing.F) {
	f.Add([]byte(wsGoodHead+"\r\nrest"), uint16(40))
	f.Add([]byte("GET /index.html HTTP/1.1\n\r\n"), uint16(25))
	f.Fuzz(func(t *testing.T, request []byte, at uint16) {
		var whole, cut wsUpgrade
		want, wantOK, wantErr := whole.next(request, wsRoot)
		n := int(at) % (len(request) + 1)
		got, ok, err := cut.next(request[:n], wsRoot)
		if !ok {
			got, ok, err = cut.next(request[n:], wsRoot)
		}
		if ok != wantOK || (err == nil) != (wantErr == nil) || !bytes.Equal(got.Response, want.Response) {
			t.Fatalf("cut at %d: %v %v %q, whole: %v %v %q", n, ok, err, got.Response, wantOK, wantErr, want.Response)
		}
	})
}

// wsEcho serves one connection with the codec: text comes back, pings are
// answered, a close is echoed. Reads are small so that frames arrive in parts.
func wsEcho(conn net.Conn) error {
	defer conn.Close()
	var upgrade wsUpgrade
	var decoder wsDecoder
	upgraded := false
	buf := make([]byte, 100)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		data := buf[:n]
		if !upgraded {
			reply, ok, err := upgrade.next(data, wsRoot)
			if err != nil {
				return err
			}
			if ok {
				upgraded, data = true, reply.Rest
				if _, err := conn.Write(reply.Response); err != nil {
					return err
				}
			}
		}
		for upgraded && len(data) > 0 {
			m, rest, ok, err := decoder.next(data, wsTestLimit)
			if err != nil {
				conn.Write(wsAppendClose(nil, err.(*wsError).Code, err.(*wsError).Reason))
				return err
			}
			data = rest
			if !ok {
				break
			}
			if m.Opcode == wsPing {
				m.Opcode = wsPong
			}
			if _, err := conn.Write(wsAppendFrame(nil, m.Opcode, m.Payload)); err != nil {
				return err
			}
			if m.Opcode == wsClose {
				return nil
			}
		}
	}
}

func TestWSInterop(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	server, device := net.Pipe()
	served := make(chan error, 1)
	go func() { served <- wsEcho(server) }()
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return device, nil }}
	c, _, err := websocket.Dial(ctx, "ws://device/", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, CompressionMode: websocket.CompressionContextTakeover,
	})
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadLimit(wsTestLimit)
	for _, text := range []string{"", "hello", "你好", strings.Repeat("x", 126), strings.Repeat("y", wsTestLimit)} {
		go c.Write(ctx, websocket.MessageText, []byte(text))
		kind, got, err := c.Read(ctx)
		if err != nil || kind != websocket.MessageText || string(got) != text {
			t.Fatalf("%d bytes: %v %v, %d came back", len(text), kind, err, len(got))
		}
	}
	fragments, err := c.Writer(ctx, websocket.MessageText)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for range 3 {
			io.WriteString(fragments, strings.Repeat("z", 5000))
		}
		fragments.Close()
	}()
	if _, got, err := c.Read(ctx); err != nil || len(got) != 15000 {
		t.Fatalf("fragments: %v, %d came back", err, len(got))
	}
	reading := c.CloseRead(ctx)
	if err := c.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(websocket.StatusNormalClosure, "done"); err != nil {
		t.Error(err)
	}
	<-reading.Done()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
