package server_test

import (
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/fanfare-push/fanfare/protocol"
	"github.com/fanfare-push/fanfare/server"
	"github.com/fanfare-push/fanfare/server/servertest"
)

// quickly makes a node whose devices agree on a heartbeat of one second, which is
// the shortest there is.
func quickly(t testing.TB) *servertest.Node {
	return servertest.Start(t, func(o *server.Options) {
		o.MinHeartbeat, o.MaxHeartbeat, o.WebSocketPing = time.Second, time.Second, time.Second
	})
}

// Check 64: a device that says nothing is cut, not before three heartbeats are over
// and without a farewell; one that sends heartbeats, or anything else, is not.
func TestCompatIdle(t *testing.T) {
	t.Parallel()
	n := quickly(t)
	silent, beating, talking := device(t, n, "dev-1", "android", "alice"), device(t, n, "dev-2", "android", "bob"), device(t, n, "dev-3", "android", "carol")
	dripping := device(t, n, "dev-4", "android", "dave")
	start := time.Now()
	ended := make(chan time.Duration, 1)
	go func() {
		_, err := silent.take()
		if err == nil {
			t.Error("the silent device was told something")
		}
		ended <- time.Since(start)
	}()
	drip := raw(15, 8, 1, make([]byte, 200)) // a byte now and then is no sign of life
	for tick := time.NewTicker(300 * time.Millisecond); ; {
		select {
		case after := <-ended:
			tick.Stop()
			if after < 3*time.Second {
				t.Errorf("the silent device was cut after %v, want three heartbeats at least", after)
			}
			dripping.wantClosed()
			beating.wantQuiet()
			talking.wantQuiet()
			if devices := n.Devices("alice"); len(devices) != 1 || devices[0].Online {
				t.Errorf("alice has %+v", devices)
			}
			return
		case <-tick.C:
			beating.wantQuiet()
			talking.send(raw(15, 8, 1, []byte("x")))
			talking.want(raw(23, 0, 1, nil))
			if _, err := dripping.nc.Write(drip[:1]); err == nil {
				drip = drip[1:]
			}
		}
	}
}

// A connection that never gets as far as a handshake ends too, heartbeats or not.
// Its silence may last as long as MPush allows, so the deadline stands in for it here.
func TestCompatNoHandshake(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, func(o *server.Options) { o.Limits.HandshakeTimeout = time.Second })
	w := wireTo(t, n.DeviceAddress())
	w.wantQuiet()
	w.wantClosed()
	servertest.Eventually(t, "the node is empty", func() bool { return n.Info().Connections == 0 })
}

// WebSockets need no heartbeat: a silent page is pinged, and browsers answer.
func TestCompatWebSocketIdle(t *testing.T) {
	t.Parallel()
	n := quickly(t)
	answering, deaf := pageTo(t, n), wireTo(t, n.Addr("websocket").String())
	answering.login("web-1", "alice")
	key := "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	text := `{"cmd":2,"flags":16,"sessionId":1,"body":{"deviceId":"web-2","osName":"web"}}`
	deaf.send([]byte(key), []byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, []byte(text))

	reading := make(chan error, 1)
	go func() { // answers pings while it reads
		_, _, err := answering.ws.Read(answering.ctx)
		reading <- err
	}()
	servertest.Eventually(t, "the page that answers nothing is closed", func() bool { return n.Info().Connections == 1 })
	if devices := n.Devices("alice"); len(devices) != 1 || !devices[0].Online {
		t.Errorf("alice has %+v", devices)
	}
	if kicked := n.Kick("alice"); kicked != 1 {
		t.Errorf("kicked %d connections", kicked)
	}
	if err := <-reading; err != nil {
		t.Errorf("the page that answers pings: %v (%d)", err, websocket.CloseStatus(err))
	}
}

// Check 69: the Objective-C SDK sees a heartbeat only if a read returns it alone. So
// it must leave in a segment of its own, after what was written before it.
func TestCompatHeartbeatArrivesAlone(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	w := device(t, n, "dev-1", "ios", "alice")
	buffer := make([]byte, 1<<10)
	for range 20 {
		w.send(beat)
		if got, err := w.nc.Read(buffer); err != nil || got != 1 || buffer[0] != protocol.HeartbeatByte {
			t.Fatalf("read %x, %v; want the heartbeat alone", buffer[:got], err)
		}
		w.send(raw(15, 8, 1, []byte("x")))
		if got, err := w.nc.Read(buffer); err != nil || got != protocol.HeaderSize {
			t.Fatalf("read %x, %v; want the ack alone", buffer[:got], err)
		}
	}
}
