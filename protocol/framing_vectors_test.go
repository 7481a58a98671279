package protocol

import (
	"bytes"
	"errors"
	"testing"
)

// framingDeviations are the recordings that this decoder answers differently, on
// purpose, by name: the error it gives at the first step instead.
var framingDeviations = map[string]error{
	// Java reads a negative length as 0 and the following bytes as the next frame.
	"negative length":       ErrNegativeLength,
	"negative length + ack": ErrNegativeLength,
	// Java compares with the limit only once the whole body has arrived.
	"body 10241 header only": ErrTooLarge,
	// Java throws here too; the error is ours.
	"body 10241 complete":                                    ErrTooLarge,
	"body 0x7fffffff header only":                            ErrTooLarge,
	"body 0x7ffffff3 header only (int overflow with header)": ErrTooLarge,
}

func TestFraming(t *testing.T) {
	v := loadCodec(t)
	seen := 0
	for _, f := range v.Framing {
		t.Run(f.Name, func(t *testing.T) {
			want, deviates := framingDeviations[f.Name]
			if deviates {
				seen++
			}
			var d Decoder
			for _, step := range f.Steps {
				if step.Exception != "" && !deviates {
					t.Fatalf("Java threw %s", step.Exception)
				}
				data := unhex(t, step.InHex+step.InHexPrefix)
				data = append(data, make([]byte, max(0, step.InZeroPadTo-len(data)))...)
				packets, err := decodeStep(&d, data, v.MaxPacketSize)
				if !errors.Is(err, want) || (err == nil) != (want == nil) {
					t.Fatalf("err %v, want %v", err, want)
				}
				if want != nil {
					if len(packets) != 0 || d.Buffered() != 0 {
						t.Errorf("%d packets before the error, %d bytes kept after it", len(packets), d.Buffered())
					}
					return
				}
				if len(packets) != len(step.Packets) {
					t.Fatalf("%d packets, want %d", len(packets), len(step.Packets))
				}
				for i, w := range step.Packets {
					want := Packet{
						Command: Command(w.Cmd), CheckCode: int16(w.CC), Flags: Flags(w.Flags),
						SessionID: w.SessionID, LRC: int8(w.LRC), Body: unhex(t, w.BodyHex),
					}
					if !samePacket(packets[i], want) {
						t.Errorf("packet %+v, want %+v", packets[i], want)
					}
				}
			}
			if d.Buffered() != 0 || d.partial != nil {
				t.Errorf("%d bytes kept", d.Buffered())
			}
		})
	}
	if seen != len(framingDeviations) {
		t.Errorf("%d of %d named deviations are recorded", seen, len(framingDeviations))
	}
}

// decodeStep cuts all packets off data. Bodies are copied.
func decodeStep(d *Decoder, data []byte, limit int) (packets []Packet, err error) {
	for {
		p, rest, ok, err := d.Next(data, limit)
		if err != nil || !ok {
			return packets, err
		}
		p.Body = bytes.Clone(p.Body)
		packets = append(packets, p)
		data = rest
	}
}

func samePacket(a, b Packet) bool {
	return a.Command == b.Command && a.CheckCode == b.CheckCode && a.Flags == b.Flags &&
		a.SessionID == b.SessionID && a.LRC == b.LRC && bytes.Equal(a.Body, b.Body)
}
