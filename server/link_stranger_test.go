package server

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"

	"github.com/fanfare-push/fanfare/protocol"
)

// lines counts what is logged.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestStrangersDoNotFillTheLog: whoever can reach the gateway can be refused under any
// number of names.
func TestStrangersDoNotFillTheLog(t *testing.T) {
	t.Parallel()
	log := &lines{}
	a := startAfar(t, func(o *Options) {
		o.GatewaySecret, o.Logger = clusterSecret, slog.New(slog.NewTextHandler(log, nil))
	})
	const name = "somebody"
	for i := range 50 {
		hello := protocol.LinkHello{Version: 1, ID: fmt.Sprint(name, i), Want: "node-1"}
		body, err := hello.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		said := protocol.AppendPacket(nil, protocol.Packet{Command: protocol.CmdLinkHello, Body: body})
		body, err = (&protocol.LinkProof{Proof: []byte("a guess")}).AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		said = protocol.AppendPacket(said, protocol.Packet{Command: protocol.CmdLinkProof, Body: body})
		nc := a.dial()
		if _, err := nc.Write(said); err != nil {
			t.Fatal(err)
		}
		_, _ = io.ReadAll(nc) // the challenge, the refusal, and the end
	}
	if n := bytes.Count([]byte(log.String()), []byte("refused")); n < 1 || n > 3 {
		t.Errorf("%d lines about refusals, want one or two", n)
	}
	a.gateways.links.mu.Lock()
	defer a.gateways.links.mu.Unlock()
	if n := len(a.gateways.links.refused) + len(a.gateways.links.memories); n > 0 {
		t.Errorf("%d strangers are remembered", n)
	}
}
