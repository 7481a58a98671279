package server

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"
)

// wsOpcode is the kind of a WebSocket frame (RFC 6455 section 5.2).
type wsOpcode uint8

const (
	wsContinuation wsOpcode = 0x0
	wsText         wsOpcode = 0x1
	wsBinary       wsOpcode = 0x2
	wsClose        wsOpcode = 0x8
	wsPing         wsOpcode = 0x9
	wsPong         wsOpcode = 0xA
)

// control reports whether frames of this kind may come between the fragments of
// a message; they carry at most wsMaxControl bytes and are never fragmented.
func (o wsOpcode) control() bool { return o&0x8 != 0 }

// known reports whether RFC 6455 defines the opcode.
func (o wsOpcode) known() bool { return o <= wsBinary || o >= wsClose && o <= wsPong }

const (
	// wsMaxHeader is the longest header of a client's frame: 2 bytes, 8 of length, 4 of mask.
	wsMaxHeader = 14
	// wsMaxControl bounds the payload of a control frame.
	wsMaxControl = 125

	wsFin  = 0x80
	wsRSV  = 0x70
	wsMask = 0x80
)

// Close codes that the codec itself decides on (RFC 6455 section 7.4.1).
const (
	wsCodeProtocol    uint16 = 1002
	wsCodeNoStatus    uint16 = 1005 // never on the wire: stands for a close frame without a code
	wsCodeBadText     uint16 = 1007
	wsCodeTooLarge    uint16 = 1009
	wsCodePrivateLast uint16 = 4999
)

// wsError is a violation by the peer. Code is the status of the close frame to
// send before the connection is dropped; Reason is its text.
type wsError struct {
	Code   uint16
	Reason string
}

// Error implements error.
func (e *wsError) Error() string { return fmt.Sprintf("websocket: %s (close %d)", e.Reason, e.Code) }

func wsViolation(reason string) error { return &wsError{Code: wsCodeProtocol, Reason: reason} }

// wsMessage is a whole data message or one control frame.
type wsMessage struct {
	Opcode  wsOpcode // text, binary, close, ping or pong
	Payload []byte
}

// wsDecoder cuts a client's bytes into messages. The zero value is ready. While
// no frame or message is partial it holds no memory but itself (one pointer).
type wsDecoder struct {
	partial *wsPartial
}

// next cuts the first message off the unseen bytes data. With ok false all of
// data was consumed and kept: feed more. A message longer than limit bytes is
// refused at the header that makes it so, before its bytes are kept; what is kept
// grows with the bytes that arrived, not with what a header announced.
//
// The consumed part of data is overwritten (frames are unmasked in place). The
// payload aliases it or a buffer of the decoder and is valid until the next call.
// Errors are of type *wsError and final: the decoder must not be used again.
func (d *wsDecoder) next(data []byte, limit int) (m wsMessage, rest []byte, ok bool, err error) {
	if len(data) == 0 {
		return wsMessage{}, nil, false, nil
	}
	if d.partial == nil {
		m, rest, ok, err = wsWholeFrame(data, limit)
		if ok || err != nil {
			return m, rest, ok, err
		}
		d.partial = new(wsPartial)
	}
	m, rest, ok, err = d.partial.next(data, limit)
	if d.partial.empty() {
		d.partial = nil
	}
	return m, rest, ok, err
}

// wsWholeFrame is the common case: nothing is pending and data starts with an
// unfragmented frame that arrived entirely. ok is false where that does not hold.
func wsWholeFrame(data []byte, limit int) (m wsMessage, rest []byte, ok bool, err error) {
	h, n, err := wsParseHeader(data)
	if err != nil {
		return wsMessage{}, nil, false, err
	}
	if n == 0 || !h.fin || h.opcode == wsContinuation || h.length > uint64(len(data)-n) {
		return wsMessage{}, nil, false, nil
	}
	if err := h.checkSize(0, limit); err != nil {
		return wsMessage{}, nil, false, err
	}
	end := n + int(h.length)
	m = wsMessage{Opcode: h.opcode, Payload: data[n:end:end]}
	wsUnmask(h.key, m.Payload)
	return m, data[end:], true, m.check()
}

// check applies the rules that need the whole payload.
func (m wsMessage) check() error {
	switch m.Opcode {
	case wsText:
		if !utf8.Valid(m.Payload) {
			return &wsError{Code: wsCodeBadText, Reason: "text is not valid UTF-8"}
		}
	case wsClose:
		_, _, err := wsParseClose(m.Payload)
		return err
	}
	return nil
}

// wsPartial is what is known of a frame that has not arrived entirely, and of a
// fragmented message whose last frame has not.
type wsPartial struct {
	head    [wsMaxHeader]byte // bytes of an incomplete header
	headLen uint8
	inFrame bool     // frame is valid; its length counts down, its key rotates
	kind    wsOpcode // of the data message that is open; wsContinuation if none is
	frame   wsHeader
	message []byte // unmasked bytes of the open data message
	control []byte // unmasked bytes of a control frame
}

func (p *wsPartial) empty() bool { return p.headLen == 0 && !p.inFrame && p.kind == wsContinuation }

func (p *wsPartial) next(data []byte, limit int) (m wsMessage, rest []byte, ok bool, err error) {
	for len(data) > 0 {
		if !p.inFrame {
			if data, err = p.readHeader(data, limit); err != nil || !p.inFrame {
				return wsMessage{}, nil, false, err
			}
		}
		if data = p.readPayload(data); p.frame.length > 0 {
			return wsMessage{}, nil, false, nil
		}
		p.inFrame = false
		if p.frame.fin {
			m = p.take()
			return m, data, true, m.check()
		}
	}
	return wsMessage{}, nil, false, nil
}

// readHeader collects a header and opens its frame; inFrame stays false while
// bytes of it are missing.
func (p *wsPartial) readHeader(data []byte, limit int) (rest []byte, err error) {
	had := int(p.headLen)
	have := had + copy(p.head[had:], data)
	h, n, err := wsParseHeader(p.head[:have])
	if err != nil {
		return nil, err
	}
	if n == 0 {
		p.headLen = uint8(have)
		return nil, nil
	}
	p.headLen = 0
	return data[n-had:], p.open(h, limit)
}

// open starts a frame if it may come now and fits.
func (p *wsPartial) open(h wsHeader, limit int) error {
	switch {
	case h.opcode.control():
		p.control = p.control[:0]
	case h.opcode == wsContinuation && p.kind == wsContinuation:
		return wsViolation("continuation of no message")
	case h.opcode != wsContinuation && p.kind != wsContinuation:
		return wsViolation("new message inside a fragmented one")
	case h.opcode != wsContinuation:
		p.kind = h.opcode
	}
	if err := h.checkSize(len(p.message), limit); err != nil {
		return err
	}
	p.frame, p.inFrame = h, true
	return nil
}

// readPayload keeps what data holds of the open frame's payload.
func (p *wsPartial) readPayload(data []byte) (rest []byte) {
	n := int(min(p.frame.length, uint64(len(data))))
	into := &p.message
	if p.frame.opcode.control() {
		into = &p.control
	}
	*into = append(*into, data[:n]...)
	p.frame.key = wsUnmask(p.frame.key, (*into)[len(*into)-n:])
	p.frame.length -= uint64(n)
	return data[n:]
}

// take ends the open frame, which is a control frame or the last of a message,
// and gives its memory to the caller.
func (p *wsPartial) take() wsMessage {
	if p.frame.opcode.control() {
		m := wsMessage{Opcode: p.frame.opcode, Payload: p.control}
		p.control = nil
		return m
	}
	m := wsMessage{Opcode: p.kind, Payload: p.message}
	p.kind, p.message = wsContinuation, nil
	return m
}

// wsHeader is a parsed frame header.
type wsHeader struct {
	length uint64
	key    uint32 // mask, first byte lowest
	opcode wsOpcode
	fin    bool
}

// checkSize refuses a data frame that would make its message, of which have
// bytes arrived in earlier frames, longer than limit.
func (h wsHeader) checkSize(have, limit int) error {
	if !h.opcode.control() && h.length > uint64(max(limit-have, 0)) {
		return &wsError{Code: wsCodeTooLarge, Reason: fmt.Sprintf("message exceeds %d bytes", limit)}
	}
	return nil
}

// wsParseHeader reads the header at the start of b and its length n; n is 0 if
// it is incomplete. Violations are found as early as the bytes show them.
func wsParseHeader(b []byte) (h wsHeader, n int, err error) {
	if len(b) == 0 {
		return h, 0, nil
	}
	h.fin, h.opcode = b[0]&wsFin != 0, wsOpcode(b[0]&0x0F)
	switch {
	case b[0]&wsRSV != 0:
		return h, 0, wsViolation("reserved bits set, no extension was agreed")
	case !h.opcode.known():
		return h, 0, wsViolation(fmt.Sprintf("reserved opcode %d", h.opcode))
	case h.opcode.control() && !h.fin:
		return h, 0, wsViolation("fragmented control frame")
	case len(b) == 1:
		return h, 0, nil
	case b[1]&wsMask == 0:
		return h, 0, wsViolation("client frame is not masked")
	}
	short := b[1] &^ wsMask
	if h.opcode.control() && short > wsMaxControl {
		return h, 0, wsViolation("control frame longer than 125 bytes")
	}
	extended, ok, err := h.parseLength(short, b[2:])
	if n = 2 + extended + 4; !ok || err != nil || len(b) < n {
		return h, 0, err
	}
	h.key = binary.LittleEndian.Uint32(b[n-4:])
	return h, n, nil
}

// parseLength reads the length whose first seven bits are short and whose other
// n bytes start b. ok is false while bytes are missing.
func (h *wsHeader) parseLength(short byte, b []byte) (n int, ok bool, err error) {
	switch {
	case short < 126:
		h.length = uint64(short)
		return 0, true, nil
	case short == 126 && len(b) >= 2:
		if h.length = uint64(binary.BigEndian.Uint16(b)); h.length < 126 {
			return 0, false, wsViolation("length not in its shortest form")
		}
		return 2, true, nil
	case short == 127 && len(b) >= 8:
		h.length = binary.BigEndian.Uint64(b)
		if h.length <= 0xFFFF || h.length>>63 != 0 {
			return 0, false, wsViolation("length not in its shortest form or negative")
		}
		return 8, true, nil
	}
	return 0, false, nil
}

// wsUnmask applies the mask to b and returns it rotated for the byte after b.
// Masking is its own inverse, so tests use it to write client frames.
func wsUnmask(key uint32, b []byte) uint32 {
	wide := uint64(key)<<32 | uint64(key)
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^wide)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= byte(key)
		key = bits.RotateLeft32(key, -8)
	}
	return key
}

// wsAppendFrame appends an unfragmented, unmasked frame, as a server sends it.
func wsAppendFrame(dst []byte, opcode wsOpcode, payload []byte) []byte {
	dst = append(dst, wsFin|byte(opcode))
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, byte(n))
	case n <= 0xFFFF:
		dst = binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
	return append(dst, payload...)
}

// wsAppendClose appends a close frame. A reason that does not fit is cut at a
// character; code 0 or 1005 makes a frame without a payload.
func wsAppendClose(dst []byte, code uint16, reason string) []byte {
	if code == 0 || code == wsCodeNoStatus {
		return wsAppendFrame(dst, wsClose, nil)
	}
	if cut := wsMaxControl - 2; len(reason) > cut {
		for cut > 0 && !utf8.RuneStart(reason[cut]) {
			cut--
		}
		reason = reason[:cut]
	}
	dst = append(dst, wsFin|byte(wsClose), byte(2+len(reason)))
	return append(binary.BigEndian.AppendUint16(dst, code), reason...)
}

// wsParseClose reads the payload of a close frame; an empty one is code 1005. A
// code that must not be sent, a single byte and a reason that is not UTF-8 are errors.
func wsParseClose(payload []byte) (code uint16, reason string, err error) {
	if len(payload) == 0 {
		return wsCodeNoStatus, "", nil
	}
	if len(payload) == 1 {
		return 0, "", wsViolation("close frame with half a code")
	}
	code = binary.BigEndian.Uint16(payload)
	if !wsCodeSendable(code) {
		return 0, "", wsViolation(fmt.Sprintf("invalid close code %d", code))
	}
	if !utf8.Valid(payload[2:]) {
		return 0, "", &wsError{Code: wsCodeBadText, Reason: "close reason is not valid UTF-8"}
	}
	return code, string(payload[2:]), nil
}

// wsCodeSendable reports whether a close frame may carry the code.
func wsCodeSendable(code uint16) bool {
	switch {
	case code >= 3000:
		return code <= wsCodePrivateLast
	case code == 1004, code == wsCodeNoStatus, code == 1006:
		return false
	default:
		return code >= 1000 && code <= 1014
	}
}
