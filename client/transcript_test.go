package client

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/fanfare-push/fanfare/protocol"
)

// What the Java client of MPush and a Java node said to each other. The requests
// are compared byte for byte, except for their numbers and what is random.
const (
	recordedFastConnect = "0000003907000000000000030000203165623565333434393139366533336131633939303362383966313132396662000d7665632d6465766963652d66630003a9800003a980"
	recordedResumed     = "000000040700000000000003000002bf20"
	recordedBind        = "0000001005000001000000040019bb95fd8ff0a63891ddedb0a823de6f"
	recordedBound       = "000000100b00000000000004000500000c62696e642073756363657373"
	recordedPush        = "000000400f000009000000110070872e54e3273a829e08032ecef4b7cf10aab7723f2db203ede6bf15f3f7a009f3eff12cc7edaf76c13f0d5bed04b618df3b5b0fcec2e53c117e9aba408b2b1b"
	recordedAck         = "00000000170000000000001100"
	recordedExpired     = "000000150a00000000000005000767000f73657373696f6e20657870697265640000"

	recordedKickBind    = "00000020050000010000000200309edfb0ef26388f8f66867b4cc50dc9623f09d27a20e43cff018f5127416d39"
	recordedKick        = "000000200d00000100000000008cdf7f246baf4a577d976409ca1119d4f21bb93680323a4901b1f44b6a1d3392"
	recordedKickUnbind  = "00000010060000010000000300fa6f218ac020ce52529f549d7a1b6645"
	recordedKickUnbound = "000000120b00000000000003000600000e756e62696e642073756363657373"
)

func recordedSession(id, key, iv string) *MemorySessions {
	s := Session{ID: id, Expires: time.Now().Add(time.Hour)}
	hex.Decode(s.Key.Key[:], []byte(key))
	hex.Decode(s.Key.IV[:], []byte(iv))
	store := new(MemorySessions)
	store.SaveSession(s)
	return store
}

// replay reads a request, wants it to be the recorded one, and answers with the
// recorded reply, renumbered.
func (p *peer) replay(request, reply string) {
	want, _ := hex.DecodeString(request)
	got := make([]byte, len(want))
	p.nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	for n := 0; n < len(got); {
		m, err := p.nc.Read(got[n:])
		if err != nil {
			p.failf("after %d of %d bytes: %w", n, len(got), err)
		}
		n += m
	}
	id := binary.BigEndian.Uint32(got[8:])
	copy(got[8:12], want[8:12])
	if string(got) != string(want) {
		p.failf("request %x\n recorded %x", got, want)
	}
	if reply != "" {
		frame, _ := hex.DecodeString(reply)
		binary.BigEndian.PutUint32(frame[8:], id)
		p.write(frame)
	}
}

func fastConnectOptions(n *node) DeviceOptions {
	o := n.options()
	o.DeviceID, o.ClientVersion = "vec-device-fc", "2.0"
	o.MinHeartbeat, o.MaxHeartbeat = 4*time.Minute, 4*time.Minute
	o.SessionStore = recordedSession("1eb5e3449196e33a1c9903b89f1129fb", "cd594aa22fe0c84d1710618fe74e5cfe", "0f4eaf511964cffcc7deb0f9294cf906")
	return o
}

func TestRecordedFastConnect(t *testing.T) {
	n := listen(t, func(_ int, p *peer) {
		p.replay(recordedFastConnect, recordedResumed)
		p.replay(recordedBind, recordedBound)
		p.writeHex(recordedPush)
		p.replay(recordedAck, "")
		p.gone()
	})
	c := dialNode(t, fastConnectOptions(n))
	if !c.Resumed() || c.HeartbeatInterval() != 3*time.Minute {
		t.Errorf("resumed %v, heartbeat %v", c.Resumed(), c.HeartbeatInterval())
	}
	if err := c.Bind(t.Context(), "user-fc", "t1", ""); err != nil {
		t.Fatal(err)
	}
	p := receivePush(t, c)
	const content = `{"content":"after fast connect","msgId":"14","msgType":2}`
	if string(p.Body) != content || p.SessionID != 17 || p.Flags != protocol.FlagAutoAck {
		t.Errorf("push %d flags %d %q", p.SessionID, p.Flags, p.Body)
	}
	if err := c.Ack(p.SessionID); err != nil {
		t.Fatal(err)
	}
}

func TestRecordedExpiredSessionFallsBackOnTheSameSocket(t *testing.T) {
	n := listen(t, func(n int, p *peer) {
		if n != 0 {
			p.failf("a second connection")
		}
		p.replay(recordedFastConnect, recordedExpired)
		m := p.shake("017fae61e89cd5400f54a78067f1672b", 180000)
		if m.DeviceID != "vec-device-fc" || m.OSName != "android" || m.OSVersion != "6.0" || m.ClientVersion != "2.0" || m.MaxHeartbeat != 240000 {
			p.failf("handshake %+v", m)
		}
		if b := p.bind(); b != (protocol.Bind{UserID: "user-fc", Tags: "t1"}) {
			p.failf("bind %+v", b)
		}
		p.gone()
	})
	o := fastConnectOptions(n)
	c := dialNode(t, o)
	if c.Resumed() {
		t.Error("resumed an expired session")
	}
	if err := c.Bind(t.Context(), "user-fc", "t1", ""); err != nil {
		t.Fatal(err)
	}
	if s, ok, _ := o.SessionStore.LoadSession(); !ok || s != c.Session() || s.ID != "017fae61e89cd5400f54a78067f1672b" {
		t.Errorf("stored session %q", s.ID)
	}
}

func TestRecordedKick(t *testing.T) {
	n := listen(t, func(_ int, p *peer) {
		p.read(protocol.CmdFastConnect)
		p.send(protocol.CmdFastConnect, 0, 1, &protocol.FastConnectOK{Heartbeat: 180000}, nil)
		p.replay(recordedKickBind, recordedBound)
		p.writeHex(recordedKick)
		p.replay(recordedKickUnbind, recordedKickUnbound)
		p.gone()
	})
	o := n.options()
	o.DeviceID = "vec-kick-a"
	o.SessionStore = recordedSession("bce4d2609415500cc8b39d6213683e10", "7aebc0f1834d8b46f8c1556ce7853016", "c4539586af64b243cdc8b9bcb90a6723")
	c := dialNode(t, o)
	if err := c.Bind(t.Context(), "user-kick", "a", ""); err != nil {
		t.Fatal(err)
	}
	p, err := c.Receive(t.Context())
	var kick protocol.Kick
	if err := errors.Join(err, p.Unmarshal(&kick)); err != nil || p.Command != protocol.CmdKick {
		t.Fatalf("received %v, %v", p.Command, err)
	}
	if kick.DeviceID != "vec-kick-a" || kick.UserID != "user-kick" {
		t.Errorf("kick %+v", kick)
	}
	if err := c.Unbind(t.Context(), "user-kick"); err != nil {
		t.Fatal(err)
	}
}
