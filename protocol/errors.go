package protocol

import "errors"

// The ways in which bytes from a peer can be wrong. They are wrapped with what
// was being read; test with [errors.Is].
var (
	// ErrTooLarge: a header announced more than the limit, or a compressed body
	// unfolded to more. Close with [CloseTooLarge].
	ErrTooLarge = errors.New("larger than the limit")
	// ErrNegativeLength: a header announced a negative length. MPush reads it as 0
	// and takes the bytes that follow for the next frame; here the stream is over.
	// Close with [CloseBadFrame].
	ErrNegativeLength = errors.New("negative length")
	// ErrTruncated: a body ended before its last field.
	ErrTruncated = errors.New("body ends early")
	// ErrFieldTooLong: a field to be written does not fit its length prefix.
	ErrFieldTooLong = errors.New("field longer than the encoding allows")
	// ErrDecrypt: a body is not what the cipher in force would have produced.
	ErrDecrypt = errors.New("cannot decrypt")
	// ErrInflate: a body marked as compressed is neither zlib nor gzip, or is damaged.
	ErrInflate = errors.New("cannot inflate")
	// ErrNotJSON: a text frame is not a packet; answer with close 1000 "Bye" as
	// MPush does.
	ErrNotJSON = errors.New("not a JSON packet")
	// ErrNotJSONBody: a text frame is a packet whose flags lack [FlagJSONBody];
	// answer ERROR 100 and close.
	ErrNotJSONBody = errors.New("flags do not announce a JSON body")
	// ErrBadJSON: the JSON body of a packet has a member of the wrong type.
	ErrBadJSON = errors.New("JSON body of the wrong shape")
	// ErrBadKey: a key file holds no RSA key that can be used.
	ErrBadKey = errors.New("unusable RSA key")
)
