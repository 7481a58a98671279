package protocol

import (
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
)

// codecVectors is testdata/codec.json.gz.
type codecVectors struct {
	CompressThreshold int
	MaxPacketSize     int
	Commands          map[string]int
	ErrorCodes        map[string]struct {
		Code Code
		Msg  string
	}
	ServerLib    []wireVector
	DeviceClient struct {
		CompressLimit int
		HeartbeatHex  string
		Cases         []wireVector
	}
	JSON        []jsonVector                          `json:"json"`
	JSONDecode  []struct{ FrameText, Decoded string } `json:"jsonDecode"`
	HeaderParse []struct {
		Text   string
		Parsed map[string]*string
	}
	Zlib []struct {
		PlainHex, ZlibHex string
		Plain             pattern
	}
	Framing []framingVector
}

// wireVector is a packet that Java encoded.
type wireVector struct {
	Name, Message string
	Cmd           int
	SessionID     int32 `json:"sessionId"`
	InFlags       int8
	Fields        map[string]any
	Via           string
	AES           *struct{ Key, IV string }
	PlainBodyHex  *string
	PlainBodyMd5  string
	PlainBodyLen  int
	Flags         int8
	Deterministic bool
	WireHex       string
	ServerDecoder string
	Decoded       any
}

type jsonVector struct {
	Name, Message string
	Cmd           int
	SessionID     int32 `json:"sessionId"`
	Flags         int
	Fields        map[string]any
	FrameText     string
}

type framingVector struct {
	Name  string
	Steps []struct {
		InHex, InHexPrefix string
		InZeroPadTo        int
		Exception          string
		Packets            []struct {
			Cmd, CC, Flags, LRC, BodyLen int
			SessionID                    int32 `json:"sessionId"`
			BodyHex                      string
		}
	}
}

// pattern is a long repetitive string.
type pattern struct {
	Repeat string
	Chars  int
}

func (p pattern) String() string {
	chars := []rune(p.Repeat)
	var b strings.Builder
	for i := range p.Chars {
		b.WriteRune(chars[i%len(chars)])
	}
	return b.String()
}

func loadCodec(t testing.TB) *codecVectors {
	t.Helper()
	f, err := os.Open("testdata/codec.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	v := new(codecVectors)
	decodeAll(t, zr, v)
	return v
}

// cryptoVectors is testdata/crypto.json.
type cryptoVectors struct {
	RSAKey struct {
		PublicKey, PrivateKey, ModulusHex, PrivateExponentHex string
	} `json:"rsaKey"`
	RSA []struct {
		PlainHex, CipherHex string
		Blocks              int
	} `json:"rsa"`
	RSABad     []struct{ Name, CipherHex, Result string } `json:"rsaBad"`
	AES        []struct{ KeyHex, IVHex, PlainHex, CipherHex string }
	AESBad     []struct{ KeyHex, IVHex, CipherHex, Result string } `json:"aesBad"`
	MixKey     []struct{ ClientKey, ServerKey, SessionKey string }
	ClientType []struct {
		OSName     string
		ClientType int
	}
	KickJSON string `json:"kickJson"`
}

func loadCrypto(t testing.TB) *cryptoVectors {
	t.Helper()
	f, err := os.Open("testdata/crypto.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	v := new(cryptoVectors)
	decodeAll(t, f, v)
	return v
}

func decodeAll(t testing.TB, r io.Reader, v any) {
	t.Helper()
	if err := json.NewDecoder(r).Decode(v); err != nil {
		t.Fatal(err)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unhex16(t testing.TB, s string) [16]byte {
	t.Helper()
	return [16]byte(unhex(t, s))
}

// fields reads the members of a vector's message.
type fields struct {
	t      testing.TB
	f      map[string]any
	vector *wireVector
}

// text is a string member; null is "".
func (f fields) text(name string) string {
	switch v := f.f[name].(type) {
	case nil:
		return ""
	case string:
		return v
	case map[string]any:
		return f.pattern(v)
	default: // the tags of a gateway push are JSON text
		text, err := json.Marshal(v)
		if err != nil {
			f.t.Fatal(err)
		}
		return string(text)
	}
}

func (f fields) pattern(v map[string]any) string {
	repeat, ok := v["repeat"].(string)
	if !ok {
		f.t.Fatalf("not a pattern: %v", v)
	}
	return pattern{repeat, int(v["chars"].(float64))}.String()
}

// bytes is a byte array member; null and empty are nil.
func (f fields) bytes(name string) []byte {
	switch v := f.f[name].(type) {
	case nil:
		return nil
	case string:
		if v == "=plainBodyHex" {
			return f.vector.plain(f.t)
		}
		f.t.Fatalf("%s is %q", name, v)
	case map[string]any:
		if h, ok := v["hex"].(string); ok {
			return append([]byte(nil), unhex(f.t, h)...)
		}
		return []byte(f.pattern(v))
	}
	return nil
}

func (f fields) num(name string) int64 {
	n, _ := f.f[name].(float64)
	return int64(n)
}

// message builds the Go body of a Java message.
func (f fields) message(class string) Message {
	switch class {
	case "HandshakeMessage":
		return &Handshake{
			DeviceID: f.text("deviceId"), OSName: f.text("osName"), OSVersion: f.text("osVersion"),
			ClientVersion: f.text("clientVersion"), IV: f.bytes("iv"), ClientKey: f.bytes("clientKey"),
			MinHeartbeat: int32(f.num("minHeartbeat")), MaxHeartbeat: int32(f.num("maxHeartbeat")), Timestamp: f.num("timestamp"),
		}
	case "HandshakeOkMessage":
		return &HandshakeOK{
			ServerKey: f.bytes("serverKey"), Heartbeat: int32(f.num("heartbeat")),
			SessionID: f.text("sessionId"), ExpireTime: f.num("expireTime"),
		}
	case "FastConnectMessage":
		return &FastConnect{
			SessionID: f.text("sessionId"), DeviceID: f.text("deviceId"),
			MinHeartbeat: int32(f.num("minHeartbeat")), MaxHeartbeat: int32(f.num("maxHeartbeat")),
		}
	case "FastConnectOkMessage":
		return &FastConnectOK{Heartbeat: int32(f.num("heartbeat"))}
	case "BindUserMessage":
		return &Bind{UserID: f.text("userId"), Data: f.text("data") + f.text("alias"), Tags: f.text("tags")}
	case "OkMessage":
		return &OK{Command: Command(f.num("cmd")), Code: Code(f.num("code")), Data: f.text("data")}
	case "ErrorMessage":
		return &Error{
			Command: Command(f.num("cmd")), Code: Code(f.num("code")), Reason: f.text("reason"), Data: f.text("data"),
		}
	case "KickUserMessage":
		return &Kick{DeviceID: f.text("deviceId"), UserID: f.text("userId")}
	case "PushMessage":
		return &Push{Content: f.bytes("content")}
	case "AckMessage":
		return &Ack{}
	default:
		return f.backendMessage(class)
	}
}

// backendMessage is message for the bodies of the proxy and the gateway.
func (f fields) backendMessage(class string) Message {
	switch class {
	case "HttpRequestMessage":
		return &HTTPRequest{Method: byte(f.num("method")), URI: f.text("uri"), Body: f.bytes("body")}
	case "HttpResponseMessage":
		return &HTTPResponse{Status: int32(f.num("statusCode")), Reason: f.text("reasonPhrase"), Body: f.bytes("body")}
	case "GatewayPushMessage":
		return &GatewayPush{
			UserID: f.text("userId"), ClientType: ClientType(f.num("clientType")), Timeout: int32(f.num("timeout")),
			Content: f.bytes("content"), TaskID: f.text("taskId"), Tags: f.text("tags"), Condition: f.text("condition"),
		}
	case "GatewayKickUserMessage":
		return &GatewayKick{
			UserID: f.text("userId"), DeviceID: f.text("deviceId"), ConnID: f.text("connId"),
			ClientType: ClientType(f.num("clientType")), TargetServer: f.text("targetServer"), TargetPort: int32(f.num("targetPort")),
		}
	default:
		f.t.Fatalf("unknown message class %s", class)
		return nil
	}
}

// plain is the encoded body before compression and encryption, or nil if only
// its sum is recorded.
func (v *wireVector) plain(t testing.TB) []byte {
	switch {
	case v.PlainBodyHex == nil:
		return nil
	case *v.PlainBodyHex == "=wireHex[26:]":
		return unhex(t, v.WireHex[26:])
	default:
		return unhex(t, *v.PlainBodyHex)
	}
}
