package protocol_test

import (
	"errors"
	"fmt"

	"github.com/fanfare-push/fanfare/protocol"
)

// A read loop hands every piece of data it read to the decoder.
func ExampleDecoder() {
	stream := []byte{protocol.HeartbeatByte}
	stream = protocol.AppendPacket(stream, protocol.Packet{Command: protocol.CmdAck, SessionID: 7})

	var d protocol.Decoder
	for _, piece := range [][]byte{stream[:6], stream[6:]} {
		for data := piece; ; {
			p, rest, ok, err := d.Next(data, 10240)
			if err != nil {
				fmt.Println("closing:", err)
				return
			}
			if !ok {
				break
			}
			fmt.Println(p.Command, p.SessionID)
			data = rest
		}
	}
	// Output:
	// HEARTBEAT 0
	// ACK 7
}

// The length is refused with the header, before a byte of the body is kept.
func ExampleDecoder_Next_tooLarge() {
	var d protocol.Decoder
	_, _, _, err := d.Next(protocol.AppendHeader(nil, protocol.CmdPush, 0, 1, 1<<30), 10240)
	fmt.Println(errors.Is(err, protocol.ErrTooLarge))
	// Output: true
}

// A push to a device: encoded, compressed if it is long, encrypted, framed; and
// what the device does with it.
func ExampleAppendSealed() {
	key := protocol.SessionKey{Key: [16]byte{1}, IV: [16]byte{2}}
	frame, err := protocol.AppendSealed(nil, protocol.CmdPush, protocol.FlagAutoAck, 40,
		[]byte("hello"), 10240, protocol.NewCipher(key))
	if err != nil {
		panic(err)
	}

	var d protocol.Decoder
	p, _, _, err := d.Next(frame, 10240)
	if err != nil {
		panic(err)
	}
	content, err := protocol.Open(nil, &p, protocol.NewCipher(key), 10240)
	fmt.Printf("%v %d %s %v\n", p.Command, p.SessionID, content, err)
	// Output: PUSH 40 hello <nil>
}

// The request that opens a connection is encrypted with the node's RSA key.
func ExamplePublicKey_AppendEncrypt() {
	private, err := protocol.DemoKeyPair()
	if err != nil {
		panic(err)
	}
	hello := &protocol.Handshake{DeviceID: "device-1", OSName: "android"}
	body, err := hello.AppendBinary(nil)
	if err != nil {
		panic(err)
	}
	sealed, err := private.Public().AppendEncrypt(nil, body)
	if err != nil {
		panic(err)
	}

	plain, err := private.AppendDecrypt(nil, sealed)
	if err != nil {
		panic(err)
	}
	var got protocol.Handshake
	err = got.UnmarshalBinary(plain)
	fmt.Println(len(sealed), got.DeviceID, err)
	// Output: 128 device-1 <nil>
}

// On WebSocket a packet is one JSON object.
func ExampleAppendJSONPacket() {
	ok := &protocol.OK{Command: protocol.CmdBind, Data: protocol.DataBindSuccess}
	fmt.Printf("%s\n", protocol.AppendJSONPacket(nil, protocol.CmdOK, 0, 2, ok))
	// Output: {"body":{"data":"bind success","cmd":5},"bodyLength":2,"cmd":11,"flags":16,"sessionId":2}
}

// Numbers may be strings and flags may be missing.
func ExampleParseJSONPacket() {
	p, err := protocol.ParseJSONPacket([]byte(`{"cmd":"5","sessionId":2,"body":{"userId":"u-1"}}`))
	if err != nil {
		panic(err)
	}
	var bind protocol.Bind
	err = p.Unmarshal(&bind)
	fmt.Println(p.Command, p.SessionID, bind.UserID, err)
	// Output: BIND 2 u-1 <nil>
}

// MPush's key generator leaves everything but modulus and exponent out of a
// private key; what is missing is recovered.
func ExampleParseKeyPair() {
	demo, err := protocol.DemoKeyPair()
	if err != nil {
		panic(err)
	}
	fmt.Println(demo.Bits(), demo.IsDemo(), demo)
	// Output: 1024 true [RSA private key, 1024 bits]
}

func ExampleParseHeaders() {
	for _, h := range protocol.ParseHeaders("Accept:text/html\nX-Empty:\n") {
		fmt.Printf("%s=%q\n", h.Name, h.Value)
	}
	// Output:
	// Accept="text/html"
	// X-Empty=""
}
