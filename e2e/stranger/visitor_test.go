package stranger

import (
	"context"
	"errors"
	"testing"
)

// visitor is what both kinds of device can do once they are introduced.
type visitor interface {
	Bind(ctx context.Context, user, tags string) error
	Unbind(ctx context.Context, user string) error
	Heartbeat(ctx context.Context) error
	NextPush(ctx context.Context) (Push, error)
	NextKick(ctx context.Context) (Kick, error)
	Ack(ctx context.Context, p Push) error
	ClientPush(ctx context.Context, content []byte) error
	Waiting() int
	Close() error
}

// kind makes devices of one kind.
type kind struct {
	name string
	// flags are those of every push, long those of one that is worth compressing.
	flags, long byte

	open func(t *testing.T, p *product, deviceID string) visitor
}

var kinds = []kind{
	{"tcp", flagCrypto, flagCrypto | flagCompress, func(t *testing.T, p *product, deviceID string) visitor { return phone(t, p, deviceID) }},
	{"websocket", flagJSON, flagJSON, func(t *testing.T, p *product, deviceID string) visitor { return page(t, p, deviceID) }},
}

// dial opens a TCP connection without a handshake.
func dial(t *testing.T, p *product, deviceID string) *Device {
	t.Helper()
	d, err := Connect(t.Context(), p.device, deviceID)
	must(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

// phone opens a TCP connection with a handshake.
func phone(t *testing.T, p *product, deviceID string) *Device {
	t.Helper()
	d := dial(t, p, deviceID)
	_, err := d.Handshake(soon(t))
	must(t, err)
	return d
}

// page opens a WebSocket with a handshake.
func page(t *testing.T, p *product, deviceID string) *JSDevice {
	t.Helper()
	d, err := ConnectJS(soon(t), p.websocket, deviceID)
	must(t, err)
	t.Cleanup(func() { d.Close() })
	must(t, d.Handshake(soon(t)))
	return d
}

// soon bounds a call.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// receive waits for a push and checks it.
func receive(t *testing.T, d visitor, content string, wantsAck bool) Push {
	t.Helper()
	push, err := d.NextPush(soon(t))
	must(t, err)
	if string(push.Content) != content || push.WantsAck != wantsAck {
		t.Fatalf("push %.80q, wants ack: %v; want %.80q, %v", push.Content, push.WantsAck, content, wantsAck)
	}
	return push
}

// wantSilence checks that the server has sent the device no push until now.
func wantSilence(t *testing.T, d visitor) {
	t.Helper()
	must(t, d.Heartbeat(soon(t)))
	if n := d.Waiting(); n != 0 {
		t.Errorf("%d pushes that are not for this device", n)
	}
}

func wantRefusal(t *testing.T, err error, want Refusal) {
	t.Helper()
	var got *Refusal
	if !errors.As(err, &got) || *got != want {
		t.Fatalf("error %v, want: %v", err, &want)
	}
}
