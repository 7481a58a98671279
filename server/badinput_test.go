package server_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/fanfare-push/fanfare/exporter"
	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/cluster"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// dialRaw opens a connection that speaks bytes.
func dialRaw(t *testing.T, address string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(20 * time.Second))
	return nc
}

// readEnd reads until the server closes.
func readEnd(t *testing.T, nc net.Conn) []byte {
	t.Helper()
	got, err := io.ReadAll(nc)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("the server did not close: %v", err)
	}
	return got
}

// closedFor waits until one connection was closed for the reason.
func closedFor(t *testing.T, n *servertest.Node, transport protocol.Transport, reason protocol.CloseReason) {
	t.Helper()
	servertest.Eventually(t, "closed for "+reason.String(), func() bool {
		return testutil.ToFloat64(n.Metrics.Closed(transport, reason)) == 1
	})
}

func header(length int32, cmd protocol.Command, flags protocol.Flags, session int32) []byte {
	return protocol.AppendHeader(nil, cmd, flags, session, int(length))
}

func plainHandshake(device string) []byte {
	body, _ := (&protocol.Handshake{DeviceID: device, OSName: "android", OSVersion: "12", ClientVersion: "1",
		IV: make([]byte, 16), ClientKey: make([]byte, 16), MinHeartbeat: 10000, MaxHeartbeat: 10000}).AppendBinary(nil)
	return protocol.AppendPacket(nil, protocol.Packet{Command: protocol.CmdHandshake, SessionID: 1, Body: body})
}

func frame(cmd protocol.Command, flags protocol.Flags, body []byte) []byte {
	return protocol.AppendPacket(nil, protocol.Packet{Command: cmd, Flags: flags, SessionID: 7, Body: body})
}

func body(m protocol.Message) []byte {
	b, err := m.AppendBinary(nil)
	if err != nil {
		panic(err)
	}
	return b
}

// packed is a frame with a compressed body.
func packed(t *testing.T, cmd protocol.Command, m protocol.Message) []byte {
	t.Helper()
	b, err := protocol.Deflate(nil, body(m))
	if err != nil {
		t.Fatal(err)
	}
	return frame(cmd, protocol.FlagCompress, b)
}

// long900k is a text that inflates within the limit.
var long900k = strings.Repeat("x", 900_000)

func zipBomb(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	for range 1000 { // 8 MiB of nothing in 8 kB
		if _, err := w.Write(make([]byte, 8<<10)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBadBytesOnTheDevicePort(t *testing.T) {
	t.Parallel()
	garbage := make([]byte, 4096)
	_, _ = rand.Read(garbage[4:]) // as a header: a body of no length and a command of chance
	hello := plainHandshake("dev-1")
	long := make([]byte, 13)
	binary.BigEndian.PutUint32(long, 1<<30)
	for name, test := range map[string]struct {
		bytes  []byte
		reason protocol.CloseReason
		reply  protocol.Code // of the ERROR before the close; -1 for none
	}{
		"header of 1 GiB":               {long, protocol.CloseTooLarge, -1},
		"length that overflows":         {header(0x7FFFFFFF, protocol.CmdBind, 0, 1), protocol.CloseTooLarge, -1},
		"one byte over the limit":       {header(10<<10+1, protocol.CmdBind, 0, 1), protocol.CloseTooLarge, -1},
		"negative length":               {header(-1, protocol.CmdBind, 0, 1), protocol.CloseBadFrame, -1},
		"text":                          {[]byte("GET / HTTP/1.1\r\n\r\n"), protocol.CloseTooLarge, -1},
		"10 MB of tags":                 {append(bytes.Clone(hello), header(10<<20, protocol.CmdBind, 0, 2)...), protocol.CloseTooLarge, -1},
		"unknown command":               {frame(99, 0, nil), protocol.CloseUnsupported, protocol.CodeUnsupportedCommand},
		"unknown command, handshaken":   {append(bytes.Clone(hello), frame(17, 0, nil)...), protocol.CloseUnsupported, protocol.CodeUnsupportedCommand},
		"truncated handshake":           {frame(protocol.CmdHandshake, 0, []byte{0, 5, 'a'}), protocol.CloseBadBody, protocol.CodeDispatchError},
		"handshake under a wrong key":   {frame(protocol.CmdHandshake, protocol.FlagCrypto, make([]byte, 128)), protocol.CloseBadBody, protocol.CodeDispatchError},
		"handshake cut to half a block": {frame(protocol.CmdHandshake, protocol.FlagCrypto, make([]byte, 64)), protocol.CloseBadBody, protocol.CodeDispatchError},
		"truncated bind":                {append(bytes.Clone(hello), frame(protocol.CmdBind, 0, []byte{0, 9, 'u'})...), protocol.CloseBadBody, protocol.CodeDispatchError},
		"bind under a wrong key":        {append(bytes.Clone(hello), frame(protocol.CmdBind, protocol.FlagCrypto, make([]byte, 32))...), protocol.CloseBadBody, protocol.CodeDispatchError},
		"field of negative length":      {append(bytes.Clone(hello), frame(protocol.CmdBind, 0, []byte{0xFF, 0xFE, 0, 0})...), protocol.CloseBadBody, protocol.CodeDispatchError},
		"bind without handshake":        {frame(protocol.CmdBind, 0, body(&protocol.Bind{UserID: "u"})), protocol.CloseBadRequest, protocol.CodeNone},
		"bind of nobody":                {append(bytes.Clone(hello), frame(protocol.CmdBind, 0, body(&protocol.Bind{}))...), protocol.CloseBadRequest, protocol.CodeNone},
		"user id of 300 bytes":          {append(bytes.Clone(hello), frame(protocol.CmdBind, 0, body(&protocol.Bind{UserID: strings.Repeat("u", 300)}))...), protocol.CloseBadRequest, protocol.CodeNone},
		"device id of 900 kB":           {packed(t, protocol.CmdHandshake, &protocol.Handshake{DeviceID: long900k, IV: make([]byte, 16), ClientKey: make([]byte, 16)}), protocol.CloseBadRequest, protocol.CodeNone},
		"os version of 900 kB":          {packed(t, protocol.CmdHandshake, &protocol.Handshake{DeviceID: "d", OSVersion: long900k, IV: make([]byte, 16), ClientKey: make([]byte, 16)}), protocol.CloseBadRequest, protocol.CodeNone},
		"tags of 900 kB":                {append(bytes.Clone(hello), packed(t, protocol.CmdBind, &protocol.Bind{UserID: "u", Tags: long900k})...), protocol.CloseBadRequest, protocol.CodeNone},
		"zip bomb":                      {frame(protocol.CmdPush, protocol.FlagCompress, zipBomb(t)), protocol.CloseBadBody, protocol.CodeDispatchError},
		"not zipped at all":             {frame(protocol.CmdPush, protocol.FlagCompress, []byte("plain")), protocol.CloseBadBody, protocol.CodeDispatchError},
		"JSON flag on TCP":              {frame(protocol.CmdBind, protocol.FlagJSONBody, []byte(`{"userId":"u"}`)), protocol.CloseBadBody, protocol.CodeDispatchError},
		"fast connect with garbage":     {frame(protocol.CmdFastConnect, 0, []byte{1}), protocol.CloseBadBody, protocol.CodeDispatchError},
		"encrypted before any key":      {frame(protocol.CmdBind, protocol.FlagCrypto, make([]byte, 16)), protocol.CloseBadBody, protocol.CodeDispatchError},
		"garbage that starts a frame":   {append([]byte{0, 0, 0, 3, 77}, garbage[5:64]...), protocol.CloseUnsupported, protocol.CodeUnsupportedCommand},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := servertest.Start(t)
			nc := dialRaw(t, n.DeviceAddress())
			if _, err := nc.Write(test.bytes); err != nil {
				t.Fatal(err)
			}
			checkLastWord(t, readEnd(t, nc), test.reply)
			closedFor(t, n, protocol.TCP, test.reason)
		})
	}
}

// checkLastWord looks at the last packet before a close.
func checkLastWord(t *testing.T, got []byte, code protocol.Code) {
	t.Helper()
	var last protocol.Packet
	var dec protocol.Decoder
	for {
		p, rest, ok, err := dec.Next(got, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		p.Body = bytes.Clone(p.Body)
		last, got = p, rest
	}
	if code < 0 {
		if last.Command == protocol.CmdError {
			t.Errorf("an error was sent: %x", last.Body)
		}
		return
	}
	var m protocol.Error
	if last.Command != protocol.CmdError || last.Unmarshal(&m) != nil || m.Code != code {
		t.Errorf("the last packet is %s %+v, want an error of code %d", last.Command, m, code)
	}
}

// A header alone must not make the node take memory for the body it announces.
func TestHeadersOfAGiBTakeNoMemory(t *testing.T) {
	n := servertest.Start(t, func(o *server.Options) { o.Limits.PacketBytes = 1 << 30 })
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 50 {
		nc := dialRaw(t, n.DeviceAddress())
		if _, err := nc.Write(append(header(1<<30-1, protocol.CmdBind, 0, 1), make([]byte, 1000)...)); err != nil {
			t.Fatal(err)
		}
	}
	servertest.Eventually(t, "50 connections", func() bool { return n.Info().Connections == 50 })
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
		t.Errorf("%d MiB were allocated for 50 headers of 1 GiB", grown>>20)
	}
}

func TestReplayedHandshakeIsRefusedAndStaysOpen(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	nc := dialRaw(t, n.DeviceAddress())
	hello := plainHandshake("dev-1")
	if _, err := nc.Write(append(bytes.Clone(hello), hello...)); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Write([]byte{protocol.HeartbeatByte}); err != nil {
		t.Fatal(err)
	}
	var dec protocol.Decoder
	buf := make([]byte, 4096)
	var seen []protocol.Command
	for len(seen) < 3 {
		k, err := nc.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		for data := buf[:k]; ; {
			p, rest, ok, err := dec.Next(data, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			seen = append(seen, p.Command)
			data = rest
		}
	}
	if seen[0] != protocol.CmdHandshake || seen[1] != protocol.CmdError || seen[2] != protocol.CmdHeartbeat {
		t.Errorf("answers %v", seen)
	}
}

// One byte now and then keeps nothing alive: only whole packets count.
func TestSilentAndDrippingConnectionsMissTheDeadline(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, func(o *server.Options) { o.Limits.HandshakeTimeout = 2 * time.Second })
	silent, dripping := dialRaw(t, n.DeviceAddress()), dialRaw(t, n.DeviceAddress())
	if _, err := dripping.Write(header(9000, protocol.CmdPush, 0, 1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if _, err := dripping.Write([]byte{0}); err != nil {
					return
				}
			}
		}
	}()
	readEnd(t, silent)
	readEnd(t, dripping)
	cancel()
	<-done
	servertest.Eventually(t, "both closed", func() bool {
		return testutil.ToFloat64(n.Metrics.Closed(protocol.TCP, protocol.CloseHandshakeTimeout)) == 2
	})
}

func TestConnectionsBeyondTheCapacityAreClosed(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, func(o *server.Options) { o.Limits.Connections = 2 })
	first := n.Dial(t, "dev-1", "alice")
	dialRaw(t, n.DeviceAddress())
	servertest.Eventually(t, "two connections", func() bool { return n.Info().Connections == 2 })
	readEnd(t, dialRaw(t, n.DeviceAddress()))
	closedFor(t, n, protocol.TCP, protocol.CloseCapacity)
	if err := first.Heartbeat(); err != nil {
		t.Errorf("a connection within the capacity: %v", err)
	}
}

func TestSlowDeviceIsClosedAndOthersGoOn(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	frozen := n.Dial(t, "dev-1", "frozen")
	_ = frozen // never reads
	lively := n.Dial(t, "dev-2", "lively")
	content := make([]byte, 60<<10)
	_, _ = rand.Read(content) // or it would be compressed to nothing
	slow := 0
	for slow == 0 {
		r := servertest.Outcome(t, lastOf(n.Send(t, cluster.Push{Content: content}, "frozen")))
		switch r.Outcome {
		case protocol.OutcomeSlow, protocol.OutcomeOffline:
			slow++
		case protocol.OutcomeSent:
		default:
			t.Fatalf("outcome %s", r.Outcome)
		}
		done := n.Send(t, cluster.Push{Content: []byte("hi")}, "lively")
		next(t, lively)
		if o := servertest.Outcome(t, done).Outcome; o != protocol.OutcomeSent {
			t.Fatalf("push to the other device ended as %s", o)
		}
	}
	closedFor(t, n, protocol.TCP, protocol.CloseSlowBytes)
}

// lastOf gives a push that waits behind a frozen device a while to end; while it
// waits it counts as sent, so that the test goes on filling the queue.
func lastOf(done <-chan cluster.Result) <-chan cluster.Result {
	out := make(chan cluster.Result, 1)
	select {
	case r := <-done:
		out <- r
	case <-time.After(50 * time.Millisecond):
		out <- cluster.Result{Outcome: protocol.OutcomeSent}
	}
	return out
}

func TestOverloadedKeyExchangeIsRefusedByName(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	n := servertest.Start(t, func(o *server.Options) {
		o.Limits.StoreWorkers, o.Limits.StoreQueue = 1, 1
		o.Validate = func(string, string) bool { <-release; return true }
	})
	var conns []net.Conn
	for range 8 {
		nc := dialRaw(t, n.DeviceAddress())
		conns = append(conns, nc)
		hello := plainHandshake("dev")
		if _, err := nc.Write(append(hello, frame(protocol.CmdBind, 0, body(&protocol.Bind{UserID: "u"}))...)); err != nil {
			t.Fatal(err)
		}
	}
	servertest.Eventually(t, "a connection closed for overload", func() bool {
		return testutil.ToFloat64(n.Metrics.Closed(protocol.TCP, protocol.CloseOverload)) > 0
	})
	if testutil.ToFloat64(n.Metrics.PoolRejected(exporter.PoolStore)) == 0 {
		t.Error("the refusal was not counted")
	}
	close(release)
	_ = conns
}

func TestTwoNodesOnOnePortIsOneClearLine(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	key, err := protocol.DemoKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	opt := server.DefaultOptions()
	opt.Key, opt.Store, opt.Ledger, opt.Metrics = key, n.Store, n.Ledger, n.Metrics
	opt.Logger = discard
	opt.Listen = server.Endpoints{Device: n.DeviceAddress()}
	_, err = server.New(opt)
	if err == nil || !strings.Contains(err.Error(), "node.listen.device") || !strings.Contains(err.Error(), n.DeviceAddress()) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q does not name the setting and the address in one line", err)
	}
}

// Bytes that are no UTF-8 become U+FFFD, as in Java, so that what the API and the
// store say of the user is text.
func TestNamesThatAreNotUTF8(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	nc := dialRaw(t, n.DeviceAddress())
	bind := frame(protocol.CmdBind, 0, body(&protocol.Bind{UserID: "ali\xffce", Tags: "v\xc3ip,beta"}))
	if _, err := nc.Write(append(plainHandshake("dev-1"), bind...)); err != nil {
		t.Fatal(err)
	}
	servertest.Eventually(t, "the user is bound under a readable name", func() bool { return len(n.Devices("ali\uFFFDce")) == 1 })
	d := n.Devices("ali\uFFFDce")[0]
	if !utf8.ValidString(d.Tags) || !strings.HasSuffix(d.Tags, ",beta") {
		t.Errorf("tags %q", d.Tags)
	}
	if len(n.Devices("ali\xffce")) != 0 {
		t.Error("the user is bound under the bytes that were sent, too")
	}
	r := servertest.Outcome(t, n.Send(t, cluster.Push{Content: []byte("hi"), Tags: []string{"beta"}}, "ali\uFFFDce"))
	if r.Outcome != protocol.OutcomeSent {
		t.Errorf("a push ended as %s", r.Outcome)
	}
}

// A store that fails makes a bind fail, for the device to try again, and is counted
// as failing.
func TestBindWhileTheStoreFails(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	nc := dialRaw(t, n.DeviceAddress())
	if _, err := nc.Write(plainHandshake("dev-1")); err != nil {
		t.Fatal(err)
	}
	servertest.Eventually(t, "the handshake is done", func() bool {
		return testutil.ToFloat64(n.Metrics.Handshakes(exporter.Plain, exporter.HandshakeOK)) == 1
	})
	if err := n.Store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Write(frame(protocol.CmdBind, 0, body(&protocol.Bind{UserID: "alice"}))); err != nil {
		t.Fatal(err)
	}
	checkLastWord(t, readEnd(t, nc), protocol.CodeDispatchError)
	closedFor(t, n, protocol.TCP, protocol.CloseStore)
	if got := observations(t, n, "put_route", "error"); got != 1 {
		t.Errorf("%d failed calls of the store were counted, want 1", got)
	}
	if n.Info().Users != 0 {
		t.Error("the user is bound although nobody wrote the route")
	}
}

// observations is how often a store operation ended with a result.
func observations(t *testing.T, n *servertest.Node, operation, result string) (count uint64) {
	t.Helper()
	families, err := n.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "fanfare_store_duration_seconds" {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["operation"] == operation && labels["result"] == result {
				count += m.GetHistogram().GetSampleCount()
			}
		}
	}
	return count
}
