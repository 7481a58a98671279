package client

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

func TestReceivedBodiesBelongToTheCaller(t *testing.T) {
	plain := protocol.AppendPacket(nil, protocol.Packet{Command: protocol.CmdPush, SessionID: 1, Body: []byte("in clear")})
	n := listen(t, func(_ int, p *peer) {
		p.shake("s", 180000)
		p.write(plain)
		p.push(2, protocol.FlagBizAck, "encrypted")
		p.push(3, 0, strings.Repeat("compressed ", 2000))
		p.push(4, 0, "")
		p.gone()
	})
	c := dialNode(t, n.options())
	var all []protocol.Packet
	for range 4 {
		all = append(all, receivePush(t, c))
	}
	for i, want := range []string{"in clear", "encrypted", strings.Repeat("compressed ", 2000), ""} {
		if string(all[i].Body) != want || all[i].SessionID != int32(i+1) {
			t.Errorf("packet %d: id %d, %.30q, want %.30q", i, all[i].SessionID, all[i].Body, want)
		}
		if all[i].Flags&(protocol.FlagCrypto|protocol.FlagCompress) != 0 {
			t.Errorf("packet %d: flags %d of a body in clear", i, all[i].Flags)
		}
	}
	if all[1].Flags != protocol.FlagBizAck {
		t.Errorf("flags %d, want biz ack", all[1].Flags)
	}
}

func TestReceiveInPieces(t *testing.T) {
	n := newNode(t, func(_ int, p *peer) {
		p.shake("s", 180000)
		body := bytes.Repeat([]byte("piece "), 500)
		var stream []byte
		for id := range int32(3) {
			frame, _ := protocol.AppendSealed(nil, protocol.CmdPush, 0, id, body, 0, p.cipher)
			stream = append(append(stream, protocol.HeartbeatByte), frame...)
		}
		for size := 1; len(stream) > 0; size = size%17 + 1 { // a pipe hands over each write by itself
			part := stream[:min(size, len(stream))]
			p.write(part)
			stream = stream[len(part):]
		}
		p.gone()
	})
	c := dialNode(t, n.options())
	for id := range int32(3) {
		if p := receivePush(t, c); p.SessionID != id || len(p.Body) != 3000 {
			t.Fatalf("push %d has id %d and %d bytes", id, p.SessionID, len(p.Body))
		}
	}
}

func TestReceiveEndsWithItsContextAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, func(_ int, p *peer) {
			p.shake("s", 180000)
			frame, _ := protocol.AppendSealed(nil, protocol.CmdPush, 0, 7, []byte("whole"), 0, p.cipher)
			time.Sleep(time.Second)
			p.write(frame[:9])
			time.Sleep(10 * time.Second)
			p.write(frame[9:])
			p.gone()
		})
		c, err := Dial(t.Context(), n.options())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for range 3 { // each with a context of its own
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			_, err := c.Receive(ctx)
			cancel()
			wantError(t, err, context.DeadlineExceeded)
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = c.Receive(over)
		wantError(t, err, context.Canceled)
		if c.Err() != nil {
			t.Fatalf("the connection ended: %v", c.Err())
		}
		if p := receivePush(t, c); string(p.Body) != "whole" {
			t.Errorf("received %q", p.Body)
		}
	})
}

func TestWhatEndsAConnection(t *testing.T) {
	bomb, err := protocol.Deflate(nil, make([]byte, 4096))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		script func(p *peer)
		want   error
	}{
		{"server closes", func(p *peer) {}, ErrPeerClosed},
		{"header over the limit", func(p *peer) { p.writeHex("000008010f0000000000000100") }, protocol.ErrTooLarge},
		{"negative length", func(p *peer) { p.writeHex("800000000f0000000000000100") }, protocol.ErrNegativeLength},
		{"wrong key", func(p *peer) {
			push := protocol.Push{Content: []byte("not for us")}
			p.send(protocol.CmdPush, 0, 1, &push, foreign(&push, p.session.Key))
		}, protocol.ErrDecrypt},
		{"inflates over the limit", func(p *peer) {
			p.write(protocol.AppendPacket(nil, protocol.Packet{Command: protocol.CmdPush, Flags: protocol.FlagCompress, Body: bomb}))
		}, protocol.ErrTooLarge},
		{"no zlib", func(p *peer) {
			p.write(protocol.AppendPacket(nil, protocol.Packet{Command: protocol.CmdPush, Flags: protocol.FlagCompress, Body: []byte("xx")}))
		}, protocol.ErrInflate},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := listen(t, func(_ int, p *peer) { p.shake("s", 180000); c.script(p) })
			o := n.options()
			o.MaxPacket = 2048
			conn := dialNode(t, o)
			_, err := conn.Receive(t.Context())
			wantError(t, err, c.want)
			wantError(t, conn.Err(), c.want)
			_, again := conn.Receive(t.Context())
			wantError(t, again, c.want)
			wantError(t, conn.Bind(t.Context(), "u", "", ""), c.want)
			wantError(t, conn.Ack(1), c.want)
		})
	}
}

func TestCloseEndsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, func(_ int, p *peer) { p.shake("s", 180000); p.read(protocol.CmdBind); p.gone() })
		c, err := Dial(t.Context(), n.options())
		if err != nil {
			t.Fatal(err)
		}
		ends := make(chan error, 2)
		go func() { _, err := c.Receive(t.Context()); ends <- err }()
		go func() { ends <- c.Bind(t.Context(), "u", "", "") }()
		synctest.Wait()
		for range 2 {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		for range 2 {
			wantError(t, <-ends, ErrClosed)
		}
		wantError(t, c.Err(), ErrClosed)
	})
}

func TestReceiveCostsFewAllocations(t *testing.T) {
	const warm, runs = 10, 100
	n := listen(t, func(_ int, p *peer) {
		p.shake("s", 180000)
		for id := range int32(warm + runs + 1) {
			p.push(id, protocol.FlagAutoAck, fmt.Sprintf("content of push %d", id))
			p.readAck(id)
		}
		p.gone()
	})
	c := dialNode(t, n.options())
	exchange := func() {
		if err := c.Ack(receivePush(t, c).SessionID); err != nil {
			t.Fatal(err)
		}
	}
	for range warm {
		exchange()
	}
	// The node's side runs in this process and is counted too; measured 16 in all.
	if got := testing.AllocsPerRun(runs, exchange); got > 40 {
		t.Errorf("%v allocations per push on both sides", got)
	}
}
