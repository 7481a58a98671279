package protocol

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// LinkNonce is random: one names a life of a program, another makes an exchange of
// proofs unlike any before it.
type LinkNonce [16]byte

// LinkHello opens a link. Bodies of links are binary only; fields are encoded as in
// [Message].
//
//	int version · string id · string want · bytes instance · bytes nonce
type LinkHello struct {
	Version  int32
	ID       string    // of the node or allocator that asks
	Want     string    // id of the node that it means to talk to
	Instance LinkNonce // of the asking link; results are kept for it
	Nonce    LinkNonce
}

// AppendBinary appends the fields in their order. The only error is [ErrFieldTooLong].
func (m *LinkHello) AppendBinary(dst []byte) ([]byte, error) {
	out, err := appendFields(binary.BigEndian.AppendUint32(dst, uint32(m.Version)), m.ID, m.Want)
	if err != nil {
		return dst, err
	}
	return appendFields(out, m.Instance[:], m.Nonce[:])
}

// UnmarshalBinary reads what AppendBinary wrote; errors are those of [Message].
func (m *LinkHello) UnmarshalBinary(data []byte) error {
	r := fieldReader{rest: data}
	*m = LinkHello{
		Version: r.int32("version"), ID: r.string("id"), Want: r.string("want"),
		Instance: r.nonce("instance"), Nonce: r.nonce("nonce"),
	}
	return r.done("link hello")
}

// nonce reads bytes that must be as many as a nonce has.
func (r *fieldReader) nonce(what string) (n LinkNonce) {
	if field := r.field(what); r.err == nil && copy(n[:], field) < len(n) {
		r.err = fmt.Errorf("%s: %w: want %d bytes, have %d", what, ErrTruncated, len(n), len(field))
	}
	return n
}

// LinkChallenge is the answer to a hello. Version and ID are those of the node that
// was asked, so that the other can tell what is wrong with them.
//
//	int version · string id · bytes nonce · bytes proof
type LinkChallenge struct {
	Version int32
	ID      string
	Nonce   LinkNonce
	Proof   []byte // see [ProveLink]; empty without a secret
}

// AppendBinary appends the fields in their order. The only error is [ErrFieldTooLong].
func (m *LinkChallenge) AppendBinary(dst []byte) ([]byte, error) {
	out, err := appendFields(binary.BigEndian.AppendUint32(dst, uint32(m.Version)), m.ID)
	if err != nil {
		return dst, err
	}
	return appendFields(out, m.Nonce[:], m.Proof)
}

// UnmarshalBinary reads what AppendBinary wrote; errors are those of [Message].
func (m *LinkChallenge) UnmarshalBinary(data []byte) error {
	r := fieldReader{rest: data}
	*m = LinkChallenge{
		Version: r.int32("version"), ID: r.string("id"), Nonce: r.nonce("nonce"), Proof: r.bytes("proof"),
	}
	return r.done("link challenge")
}

// LinkProof ends the asking side's part of the opening.
//
//	bytes proof · long received
type LinkProof struct {
	Proof []byte // see [ProveLink]; empty without a secret
	// Received is the number of the last result that came over an earlier connection of
	// the same instance, 0 if none did.
	Received uint64
}

// AppendBinary appends the fields in their order. The only error is [ErrFieldTooLong].
func (m *LinkProof) AppendBinary(dst []byte) ([]byte, error) {
	out, err := appendFields(dst, m.Proof)
	if err != nil {
		return dst, err
	}
	return binary.BigEndian.AppendUint64(out, m.Received), nil
}

// UnmarshalBinary reads what AppendBinary wrote; errors are those of [Message].
func (m *LinkProof) UnmarshalBinary(data []byte) error {
	r := fieldReader{rest: data}
	*m = LinkProof{Proof: r.bytes("proof"), Received: uint64(r.int64("received"))}
	return r.done("link proof")
}

// LinkReady says that requests are taken.
//
//	byte resumed · long last · int window · int ackTimeout
type LinkReady struct {
	// Resumed: the instance is remembered from an earlier connection, and the results
	// after [LinkProof].Received follow.
	Resumed bool
	// Last is the highest number of a request that arrived then. What has a higher one
	// never did and never will.
	Last       uint64
	Window     int32 // how many users' pushes may be unanswered
	AckTimeout int32 // milliseconds that are waited for an ack if a push does not say
}

// AppendBinary appends the fields in their order; it never fails.
func (m *LinkReady) AppendBinary(dst []byte) ([]byte, error) {
	resumed := byte(0)
	if m.Resumed {
		resumed = 1
	}
	dst = binary.BigEndian.AppendUint64(append(dst, resumed), m.Last)
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.Window))
	return binary.BigEndian.AppendUint32(dst, uint32(m.AckTimeout)), nil
}

// UnmarshalBinary reads what AppendBinary wrote; errors are those of [Message].
func (m *LinkReady) UnmarshalBinary(data []byte) error {
	r := fieldReader{rest: data}
	*m = LinkReady{
		Resumed: r.byte1("resumed") != 0, Last: uint64(r.int64("last")),
		Window: r.int32("window"), AckTimeout: r.int32("ackTimeout"),
	}
	return r.done("link ready")
}

// LinkRefusal is why a link is not opened.
type LinkRefusal uint8

// The refusals.
const (
	LinkRefusedOther    LinkRefusal = iota // the reason's text says why
	LinkRefusedVersion                     // the two sides speak different versions
	LinkRefusedIdentity                    // the node that was asked is not the one that is wanted
	LinkRefusedSecret                      // the proof of the shared secret is missing or wrong
)

// LinkRefused ends the opening of a link.
//
//	byte code · string reason
type LinkRefused struct {
	Code   LinkRefusal
	Reason string // for a log
}

// AppendBinary appends the fields in their order. The only error is [ErrFieldTooLong].
func (m *LinkRefused) AppendBinary(dst []byte) ([]byte, error) {
	out, err := appendFields(append(dst, byte(m.Code)), m.Reason)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// UnmarshalBinary reads what AppendBinary wrote; errors are those of [Message].
func (m *LinkRefused) UnmarshalBinary(data []byte) error {
	r := fieldReader{rest: data}
	*m = LinkRefused{Code: LinkRefusal(r.byte1("code")), Reason: r.string("reason")}
	return r.done("link refusal")
}

// ProveLink is the proof that a side of an opening link knows the secret: an
// HMAC-SHA256 over everything that both have said, and which side it is, so that
// neither proof can be used for anything else. It is empty without a secret.
func ProveLink(secret string, asking bool, hello *LinkHello, challenge *LinkChallenge) []byte {
	if secret == "" {
		return nil
	}
	said := []byte("fanfare link, side that answers\n")
	if asking {
		said = []byte("fanfare link, side that asks\n")
	}
	bare := *challenge
	bare.Proof = nil
	// Fields are too long only beyond 2 GiB, which no frame can carry.
	said, _ = hello.AppendBinary(said)
	said, _ = bare.AppendBinary(said)
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write(said) // never fails
	return mac.Sum(nil)
}
