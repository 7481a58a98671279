//go:build linux

package limits

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/fanfare-push/fanfare/protocol"
)

// packed compresses 9 MiB of zeros, which is then about as long as a packet may be.
func packed(t *testing.T, w io.WriteCloser, out *bytes.Buffer) []byte {
	t.Helper()
	_, err := w.Write(make([]byte, 9<<20))
	must(t, err)
	must(t, w.Close())
	if out.Len() > 10<<10 {
		t.Fatalf("a bomb of %d bytes does not fit into a packet", out.Len())
	}
	return out.Bytes()
}

// TestZipBombs sends 9 MiB of zeros in 10 kB, many at a time, to every port that
// inflates.
func TestZipBombs(t *testing.T) {
	t.Parallel()
	p := startProduct(t, 0)
	p.works(t)
	memory := p.memory(t, "VmRSS")
	var flat, gz bytes.Buffer
	bombs := [][]byte{packed(t, zlib.NewWriter(&flat), &flat), packed(t, gzip.NewWriter(&gz), &gz)}
	const times = 20
	for _, bomb := range bombs {
		for range times {
			for _, cmd := range []protocol.Command{protocol.CmdPush, protocol.CmdHandshake, protocol.CmdBind, protocol.CmdFastConnect} {
				conn := dial(t, p.device)
				_, err := conn.Write(protocol.AppendPacket(nil, protocol.Packet{Command: cmd, Flags: protocol.FlagCompress, SessionID: 1, Body: bomb}))
				must(t, err)
				readEnd(t, conn)
			}
			p.bombGateway(t, bomb)
		}
	}
	if n := p.metric(t, closedFor("tcp", "bad_body")); n != 4*times*float64(len(bombs)) {
		t.Errorf("%v connections were closed for a bad body", n)
	}
	p.grewAtMost(t, memory, 64<<20)
	p.works(t)
}

// bombGateway sends a bomb as a push of a back end: it is refused and the connection
// stays, for the pushes of others on it.
func (p *product) bombGateway(t *testing.T, bomb []byte) {
	t.Helper()
	conn := dial(t, p.gateway)
	for session := range int32(3) {
		_, err := conn.Write(protocol.AppendPacket(nil, protocol.Packet{Command: protocol.CmdGatewayPush, Flags: protocol.FlagCompress, SessionID: session, Body: bomb}))
		must(t, err)
		head := make([]byte, protocol.HeaderSize)
		_, err = io.ReadFull(conn, head)
		must(t, err)
		if protocol.Command(head[4]) != protocol.CmdError {
			t.Fatalf("the bomb is answered with command %d", head[4])
		}
		_, err = io.CopyN(io.Discard, conn, int64(head[2])<<8|int64(head[3]))
		must(t, err)
	}
	_ = conn.Close()
}

// nested is text inside depth pairs.
func nested(before, text, after string, depth int) string {
	return strings.Repeat(before, depth) + text + strings.Repeat(after, depth)
}

// TestDeepJSONOverWebSocket sends up to 64 KiB nested as deep as that goes.
func TestDeepJSONOverWebSocket(t *testing.T) {
	t.Parallel()
	p := startProduct(t, 0)
	p.works(t)
	memory := p.memory(t, "VmRSS")
	sent := 0
	for _, text := range []string{
		nested("[", "1", "]", 10_000),
		nested(`{"a":`, "1", "}", 10_000),
		strings.Repeat("[", 65_000),
		strings.Repeat(`{"cmd":`, 9_000),
		`{"cmd":2,"flags":16,"sessionId":1,"body":` + nested("[", "1", "]", 32_000) + `}`,
		`{"cmd":2,"flags":16,"sessionId":1,"body":` + nested(`{"a":`, "1", "}", 10_000) + `}`,
		`{"cmd":2,"flags":16,"sessionId":1,"body":{"deviceId":` + nested("[", "1", "]", 32_000) + `}}`,
		`{"cmd":2,"flags":16,"sessionId":1,"body":{"deviceId":` + nested("[", "1", "]", 9_990) + `}}`,
		`{"cmd":` + nested("[", "2", "]", 10_000) + `}`,
		`{"cmd":2,"sessionId":` + nested(`{"":`, "2", "}", 10_000) + `}`,
		`{"cmd":` + strings.Repeat("9", 65_000) + `}`,
		`{"cmd":1e` + strings.Repeat("9", 65_000) + `}`,
		`{"cmd":2,"flags":16,"sessionId":1,"body":{"deviceId":"` + strings.Repeat(`\u0000`, 10_000) + `"}}x`,
	} {
		if len(text) > 64<<10 {
			t.Fatalf("%.40s… is too long", text)
		}
		w := p.upgrade(t)
		w.send(t, opText, []byte(text))
		for opcode := byte(opText); opcode != 0; {
			opcode, _ = w.next(t)
		}
		sent++
	}
	// A number far too large is one all the same, as in MPush, and no known command.
	m := p.metrics(t)
	frame, body, command := m[closedFor("ws", "bad_frame")], m[closedFor("ws", "bad_body")], m[closedFor("ws", "unsupported")]
	if frame+body+command != float64(sent) || frame == 0 || body == 0 {
		t.Errorf("of %d they closed %v for the frame, %v for the body, %v for the command", sent, frame, body, command)
	}
	p.grewAtMost(t, memory, 64<<20)
	p.works(t)
}

// TestDeepJSONToTheAPI sends a megabyte, nested as deep as that goes, to everything
// that reads JSON.
func TestDeepJSONToTheAPI(t *testing.T) {
	t.Parallel()
	p := startProduct(t, 0)
	p.works(t)
	memory := p.memory(t, "VmRSS")
	const depth = 500_000
	for _, body := range []string{
		nested("[", "1", "]", depth),
		strings.Repeat("[", 2*depth),
		nested(`{"a":`, "1", "}", depth/3),
		`{"user":` + nested("[", "1", "]", depth) + `}`,
		`{"users":` + nested("[", "1", "]", depth) + `}`,
		`{"unknown":` + nested(`{"a":`, "1", "}", depth/3) + `}`,
		`{"userId":` + nested("[", "1", "]", depth) + `}`,
		`{"client_type":` + nested("[", "1", "]", depth) + `}`,
		`{"broadcast":true,"content":"x","condition":"` + nested("(", "1", ")", depth) + `"}`,
		`{"broadcast":true,"hello":"x","condition":"` + nested("(", "1", ")", depth) + `"}`,
		`{"tags":[` + strings.Repeat(`"t",`, depth/3) + `"t"]}`,
		`{"users":[` + strings.Repeat(`"u",`, depth/3) + `"u"],"content":"x"}`,
		`{"user":"` + strings.Repeat("u", 2*depth) + `","content":"x"}`,
		strings.Repeat(`{"user":"a",`, depth/6),
	} {
		for _, path := range []string{"/api/v1/push", "/push", "/api/v1/users/u/kick"} {
			code, text, err := fetch(t, http.MethodPost, "http://"+p.alloc+path, body)
			must(t, err)
			if code < 400 || code >= 500 || !strings.Contains(text, `"code":`) || len(text) > 1000 {
				t.Errorf("%s %.60s… is answered with %d %.300s", path, body, code, text)
			}
		}
	}
	p.grewAtMost(t, memory, 96<<20)
	p.works(t)
}

// TestHarmfulConditions are within the length that is allowed, nested as deep as that
// goes, or would take all memory or all time.
func TestHarmfulConditions(t *testing.T) {
	t.Parallel()
	p := startProduct(t, 0)
	alice := p.connect(t, "alice")
	memory := p.memory(t, "VmRSS")
	for _, condition := range []string{
		nested("(", "1", ")", 2000), nested("[", "1", "]", 2000), strings.Repeat("!", 4000) + "1", strings.Repeat("(", 4000),
		strings.Repeat("a[", 2000), "1" + strings.Repeat("+1", 2000), nested("{a:", "1", "}", 1000), strings.Repeat("()=>", 1000) + "1",
		nested("(function(){return ", "1", "})()", 130), "/" + nested("(", "a", ")*", 1000) + "/.test('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab')",
		"`" + nested("${`", "1", "`}", 500) + "`", strings.Repeat("-", 4000) + "1",
		"new Uint8Array(1099511627776).length>0", "new Float64Array(500000000).fill(1)[0]==1", "Array.from({length:100000000}).length>0",
		"(2n**10000000000n)>0n", "[].constructor(4294967295).fill(1).length>0", "while(true){}", "(function(){var a=[1];for(;;)a=a.concat(a)})()",
		"false//# sourceMappingURL=/dev/zero", "false\\n//# sourceMappingURL=/dev/zero",
	} {
		body := `{"broadcast":true,"content":"x","condition":"` + condition + `","wait":"20s"}`
		if code, text, err := fetch(t, http.MethodPost, "http://"+p.alloc+"/api/v1/push", body); err != nil || code != http.StatusOK && code != http.StatusBadRequest {
			t.Errorf("%.40s… is answered with %d %.200s, %v", condition, code, text, err)
		}
	}
	p.grewAtMost(t, memory, 128<<20)
	alice.reaches(t, p.pusher(t), "alice", "still here")
}
