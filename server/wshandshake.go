package server

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"net/http"
	"slices"
	"strings"
)

// wsMaxHead bounds the request line and headers of an upgrade request, in bytes.
const wsMaxHead = 8 << 10

// errHeadTooLarge: no blank line came within wsMaxHead bytes.
var errHeadTooLarge = errors.New("websocket: request head exceeds 8 KiB")

// wsPolicy is what a WebSocket listener accepts.
type wsPolicy struct {
	Path    string   // of the upgrade request, without a query; compared exactly
	Origins []string // allowed values of Origin such as "https://app.example.com"; empty allows all
	Console string   // URL of the console for the built-in page; empty names the default place
}

// wsReply is the answer to a request head.
type wsReply struct {
	Response []byte // a complete HTTP response
	Upgraded bool   // frames follow; otherwise close the connection after Response
	Rest     []byte // bytes after the head; aliases the data given to next
}

// wsUpgrade collects the head of the first HTTP request on a connection. The
// zero value is ready and holds memory only while the head is incomplete.
type wsUpgrade struct {
	head []byte
}

// next takes the unseen bytes data and answers the request once its head is
// complete (ok). With errHeadTooLarge the reply still carries a response (431)
// to send before the connection is closed.
func (u *wsUpgrade) next(data []byte, policy *wsPolicy) (reply wsReply, ok bool, err error) {
	had := len(u.head)
	head := data
	if had > 0 {
		head = append(u.head, data[:min(len(data), wsMaxHead+1-had)]...)
	}
	end := wsHeadEnd(head, had)
	switch {
	case end > wsMaxHead || end == 0 && len(head) > wsMaxHead:
		u.head = nil
		return wsRefuse(http.StatusRequestHeaderFieldsTooLarge, ""), true, errHeadTooLarge
	case end == 0:
		u.head = head
		if had == 0 {
			u.head = bytes.Clone(data)
		}
		return wsReply{}, false, nil
	}
	u.head = nil
	reply = wsAnswer(head[:end], policy)
	if reply.Upgraded {
		reply.Rest = data[end-had:]
	}
	return reply, true, nil
}

// wsHeadEnd is the length of the head in b including its blank line, 0 if that is
// missing. The first seen bytes are known not to contain it.
func wsHeadEnd(b []byte, seen int) int {
	for i := max(seen-2, 0); i < len(b); i++ {
		if b[i] != '\n' {
			continue
		}
		tail := bytes.TrimPrefix(b[i+1:], []byte("\r"))
		if len(tail) > 0 && tail[0] == '\n' {
			return len(b) - len(tail) + 1
		}
	}
	return 0
}

// wsAnswer decides about a complete request head, in MPush's order.
func wsAnswer(head []byte, policy *wsPolicy) wsReply {
	r, err := http.ReadRequest(bufio.NewReaderSize(bytes.NewReader(head), len(head)))
	switch {
	case err != nil:
		return wsRefuse(http.StatusBadRequest, "400 Bad Request")
	case r.Method != http.MethodGet:
		return wsRefuse(http.StatusForbidden, "")
	case r.URL.Path == policy.Path:
		return wsAnswerUpgrade(r, policy)
	case r.URL.Path == "/index.html" || r.URL.Path == "/":
		return wsPage(policy.Console)
	default:
		return wsRefuse(http.StatusNotFound, "404 Not Found")
	}
}

// wsAnswerUpgrade checks the opening handshake (RFC 6455 section 4.2.1).
func wsAnswerUpgrade(r *http.Request, policy *wsPolicy) wsReply {
	const not = "not a WebSocket handshake request: "
	key := r.Header.Get("Sec-WebSocket-Key")
	switch {
	case !wsHasToken(r.Header, "Upgrade", "websocket") || !wsHasToken(r.Header, "Connection", "upgrade"):
		return wsRefuse(http.StatusBadRequest, not+"missing upgrade")
	case !r.ProtoAtLeast(1, 1):
		return wsRefuse(http.StatusBadRequest, not+"HTTP/1.1 needed")
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		return wsRefuse(http.StatusUpgradeRequired, "", "Sec-WebSocket-Version: 13")
	case !wsKeyValid(key):
		return wsRefuse(http.StatusBadRequest, not+"missing key")
	case !wsOriginAllowed(r.Header.Get("Origin"), policy.Origins):
		return wsRefuse(http.StatusForbidden, "origin not allowed")
	}
	return wsReply{Upgraded: true, Response: []byte("HTTP/1.1 101 Switching Protocols\r\n" +
		"Upgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + wsAcceptKey(key) + "\r\n\r\n")}
}

// wsHasToken reports whether a comma-separated header contains the token.
func wsHasToken(h http.Header, name, token string) bool {
	for _, line := range h.Values(name) {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// wsKeyValid reports whether a key is the base64 of 16 bytes.
func wsKeyValid(key string) bool {
	nonce, err := base64.StdEncoding.DecodeString(key)
	return err == nil && len(nonce) == 16
}

// wsAcceptKey is the proof that the server understood the handshake.
func wsAcceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// wsOriginAllowed keeps pages of other sites from using a browser's connection.
// A request without Origin does not come from a page and is let through.
func wsOriginAllowed(origin string, allowed []string) bool {
	return len(allowed) == 0 || origin == "" ||
		slices.ContainsFunc(allowed, func(a string) bool { return strings.EqualFold(a, origin) })
}

// wsRefuse is a plain-text response that ends the connection.
func wsRefuse(status int, body string, headers ...string) wsReply {
	return wsRespond(status, "text/plain; charset=utf-8", body, headers...)
}

// wsPage is what a browser sees that was pointed at the WebSocket port.
func wsPage(console string) wsReply {
	place := "the allocator's HTTP port (9999 unless configured otherwise)"
	if console != "" {
		url := html.EscapeString(console)
		place = `<a href="` + url + `">` + url + `</a>`
	}
	return wsRespond(http.StatusOK, "text/html; charset=utf-8", "<!DOCTYPE html>\n"+
		`<html lang="en"><head><meta charset="utf-8"><title>Fanfare</title></head>`+"\n"+
		"<body><p>This port serves devices over WebSocket. The console is at "+place+".</p></body></html>\n")
}

func wsRespond(status int, contentType, body string, headers ...string) wsReply {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Length: %d\r\n", status, http.StatusText(status), len(body))
	if body != "" {
		b.WriteString("Content-Type: " + contentType + "\r\nX-Content-Type-Options: nosniff\r\n")
	}
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("\r\n" + body)
	return wsReply{Response: b.Bytes()}
}
