package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/fanfare-push/fanfare/client"
	"github.com/fanfare-push/fanfare/protocol"
)

// exampleNode plays a push server for one device, so that the examples run
// without one: it makes the handshake, binds, pushes a greeting that wants an
// acknowledgement and waits for the device to leave.
func exampleNode() (address string, done <-chan struct{}) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer listener.Close()
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		defer conn.Close()
		greet(conn)
	}()
	return listener.Addr().String(), ended
}

func greet(conn net.Conn) {
	key, err := protocol.DemoKeyPair()
	if err != nil {
		log.Fatal(err)
	}
	var decoder protocol.Decoder
	var cipher *protocol.Cipher
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return // the device left
		}
		p, _, ok, err := decoder.Next(buf[:n], 4096)
		if !ok || err != nil {
			continue
		}
		switch p.Command {
		case protocol.CmdHandshake:
			plain, _ := key.AppendDecrypt(nil, p.Body)
			var hello protocol.Handshake
			hello.UnmarshalBinary(plain)
			clientKey, iv, serverKey := [16]byte(hello.ClientKey), [16]byte(hello.IV), [16]byte{1, 2, 3}
			reply, _ := (&protocol.HandshakeOK{ServerKey: serverKey[:], Heartbeat: 180_000, SessionID: "example"}).AppendBinary(nil)
			frame, _ := protocol.AppendSealed(nil, protocol.CmdHandshake, 0, p.SessionID, reply, 0,
				protocol.NewCipher(protocol.SessionKey{Key: clientKey, IV: iv}))
			conn.Write(frame)
			cipher = protocol.NewCipher(protocol.SessionKey{Key: protocol.MixKey(clientKey, serverKey), IV: iv})
		case protocol.CmdBind:
			reply, _ := (&protocol.OK{Command: protocol.CmdBind, Data: protocol.DataBindSuccess}).AppendBinary(nil)
			frame := protocol.AppendPacket(nil, protocol.Packet{Command: protocol.CmdOK, SessionID: p.SessionID, Body: reply})
			frame, _ = protocol.AppendSealed(frame, protocol.CmdPush, protocol.FlagAutoAck, 1, []byte("hello, phone"), 0, cipher)
			conn.Write(frame)
		}
	}
}

// A device that stays connected until it was greeted.
func ExampleDevice() {
	address, done := exampleNode()
	ctx, cancel := context.WithCancel(context.Background())
	dir, err := os.MkdirTemp("", "device")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	device, err := client.NewDevice(client.DeviceOptions{
		Address:      address, // or Allocator: "http://alloc:9999/"
		DemoKey:      true,    // in production PublicKey, with the cluster's own
		DeviceID:     "phone-1",
		OSName:       "android",
		User:         "alice",
		SessionStore: client.FileSessions(filepath.Join(dir, "session")),
		OnPush: func(m *client.Message) {
			fmt.Printf("%s (ack: %v)\n", m.Content, m.Mode)
			cancel()
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	err = device.Run(ctx)
	fmt.Println("stopped:", errors.Is(err, context.Canceled))
	<-done
	// Output:
	// hello, phone (ack: auto)
	// stopped: true
}

// One connection without a policy, as a load generator uses it.
func ExampleDial() {
	address, done := exampleNode()
	ctx := context.Background()
	conn, err := client.Dial(ctx, client.DeviceOptions{Address: address, DemoKey: true, DeviceID: "load-1", OSName: "android"})
	if err != nil {
		log.Fatal(err)
	}
	if err := conn.Bind(ctx, "alice", "", ""); err != nil {
		log.Fatal(err)
	}
	p, err := conn.Receive(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if protocol.AckModeOf(p.Flags) == protocol.AckAuto {
		if err := conn.Ack(p.SessionID); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("%v %d: %s\n", p.Command, p.SessionID, p.Body)
	conn.Close()
	<-done
	// Output: PUSH 1: hello, phone
}

// A back end that pushes and wants to know the outcome.
func ExamplePusher() {
	alloc := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"id":"order-17","outcome":"acked","node":"n1","latency_ms":12}`)
	}))
	defer alloc.Close()

	pusher, err := client.NewPusher(client.PusherOptions{URL: alloc.URL, Token: "from a file"})
	if err != nil {
		log.Fatal(err)
	}
	defer pusher.Close()
	result, err := pusher.Push(context.Background(), client.PushRequest{
		ID: "order-17", User: "alice", Content: []byte("your order is on its way"), Ack: protocol.AckAuto, Wait: 3e9,
	})
	var refused *client.APIError
	switch {
	case errors.As(err, &refused):
		fmt.Println("refused:", refused.Code)
	case err != nil:
		fmt.Println("ask later about", result.ID)
	default:
		fmt.Println(result.Outcome, "on", result.Node, "after", result.Latency)
	}
	// Output: acked on n1 after 12ms
}
