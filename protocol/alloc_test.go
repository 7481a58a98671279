package protocol

import "testing"

// maxAllocs fails if f allocates more than want times on average. The race
// detector allocates by itself, so there the numbers say nothing.
func maxAllocs(t *testing.T, what string, want float64, f func()) {
	t.Helper()
	if got := testing.AllocsPerRun(200, f); got > want {
		t.Errorf("%s: %v allocations, want at most %v", what, got, want)
	}
}

func TestAllocations(t *testing.T) {
	c := NewCipher(testKey())
	content := []byte(`{"content":"hello","msgId":"msg_1","msgType":3}`)
	frame, err := AppendSealed(nil, CmdPush, FlagAutoAck, 7, content, 10240, c)
	if err != nil {
		t.Fatal(err)
	}
	var d Decoder
	var push Push
	out, scratch := make([]byte, 0, 256), make([]byte, 0, 256)
	heartbeat := []byte{HeartbeatByte}
	maxAllocs(t, "heartbeat decode", 0, func() { d.Next(heartbeat, 10240) })
	maxAllocs(t, "frame decode", 0, func() { d.Next(frame, 10240) })
	maxAllocs(t, "push decode", 1, func() {
		p, _, _, _ := d.Next(frame, 10240)
		p.Body, _ = Open(scratch, &p, c, 10240)
		_ = push.UnmarshalBinary(p.Body)
	})
	maxAllocs(t, "push in two pieces", 1, func() {
		d.Next(frame[:40], 10240)
		d.Next(frame[40:], 10240)
	})
	maxAllocs(t, "push encode", 0, func() { out, _ = AppendSealed(out[:0], CmdPush, FlagAutoAck, 7, content, 10240, c) })
	maxAllocs(t, "push encode into a new buffer", 1, func() {
		_, _ = AppendSealed(make([]byte, 0, HeaderSize+len(content)+16), CmdPush, FlagAutoAck, 7, content, 10240, c)
	})
	push.Content = content
	maxAllocs(t, "JSON push encode", 0, func() { out = AppendJSONPacket(out[:0], CmdPush, FlagAutoAck, 7, &push) })
	ok := &OK{Command: CmdBind, Data: DataBindSuccess}
	maxAllocs(t, "OK encode", 0, func() {
		body, _ := ok.AppendBinary(scratch[:0])
		out, _ = AppendSealed(out[:0], CmdOK, 0, 1, body, 10240, nil)
	})
}
