package protocol

import (
	"encoding/binary"
	"fmt"
)

// AppendHeader appends the 13 bytes of a frame header. CheckCode and LRC are 0.
func AppendHeader(dst []byte, cmd Command, flags Flags, sessionID int32, bodyLen int) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(bodyLen))
	dst = append(dst, byte(cmd), 0, 0, byte(flags))
	dst = binary.BigEndian.AppendUint32(dst, uint32(sessionID))
	return append(dst, 0)
}

// AppendPacket appends p as one frame, its body as it is: what a raw reply needs.
// CheckCode and LRC are sent as 0, as every MPush program does.
func AppendPacket(dst []byte, p Packet) []byte {
	dst = AppendHeader(dst, p.Command, p.Flags, p.SessionID, len(p.Body))
	return append(dst, p.Body...)
}

// AppendSealed appends a whole frame with the encoded body. The body is
// compressed if it is longer than threshold bytes (never if threshold <= 0), then
// encrypted if c is not nil; [FlagCompress] and [FlagCrypto] in the header say
// what was done, whatever flags said of them. An empty body is neither, as in
// MPush. The error is a fault of the compressor and not to be expected.
func AppendSealed(dst []byte, cmd Command, flags Flags, sessionID int32, body []byte, threshold int, c *Cipher) ([]byte, error) {
	flags &^= FlagCompress | FlagCrypto
	if len(body) == 0 {
		return AppendHeader(dst, cmd, flags, sessionID, 0), nil
	}
	start := len(dst)
	dst = AppendHeader(dst, cmd, flags, sessionID, len(body))
	if threshold > 0 && len(body) > threshold {
		var err error
		if dst, err = Deflate(dst, body); err != nil {
			return dst[:start], fmt.Errorf("sealing %v: %w", cmd, err)
		}
		flags |= FlagCompress
	} else {
		dst = append(dst, body...)
	}
	if c != nil {
		dst = c.sealTail(dst, start+HeaderSize)
		flags |= FlagCrypto
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-HeaderSize))
	dst[start+7] = byte(flags)
	return dst, nil
}

// Open returns the encoded body of p: decrypted if [FlagCrypto] is set and c is
// not nil, then inflated to at most limit bytes if [FlagCompress] is set. The
// body of a JSON packet ([FlagJSONBody]) is returned as it is, as is an empty
// one. buf is scratch memory and may be nil; the result may alias it or p.Body,
// and buf must not overlap p.Body. The errors are [ErrDecrypt], [ErrInflate] and
// [ErrTooLarge].
//
// A HANDSHAKE is encrypted with RSA: decrypt it with [PrivateKey.AppendDecrypt],
// put that in p.Body, clear FlagCrypto, and call Open for the rest.
func Open(buf []byte, p *Packet, c *Cipher, limit int) ([]byte, error) {
	body := p.Body
	if len(body) == 0 || p.Flags&FlagJSONBody != 0 {
		return body, nil
	}
	buf = buf[:0]
	if p.Flags&FlagCrypto != 0 && c != nil {
		plain, err := c.AppendDecrypt(buf, body)
		if err != nil {
			return nil, fmt.Errorf("opening %v: %w", p.Command, err)
		}
		buf, body = plain, plain
	}
	if p.Flags&FlagCompress != 0 && len(body) > 0 {
		kept := len(buf) // the compressed bytes, if they were decrypted into buf
		plain, err := Inflate(buf, body, limit)
		if err != nil {
			return nil, fmt.Errorf("opening %v: %w", p.Command, err)
		}
		body = plain[kept:]
	}
	return body, nil
}
