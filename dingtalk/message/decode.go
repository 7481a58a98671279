package message

import (
	"fmt"
	"io"
)

// DecodeError says why a body is not a payload. Its text can be answered to the sender.
type DecodeError struct {
	// Reason is a sentence without the body's content.
	Reason string
	// TooLarge: the body is longer than the limit and was not read to its end.
	TooLarge bool
}

// Error implements error.
func (e *DecodeError) Error() string { return e.Reason }

// Decode reads a payload of at most limit bytes. Unknown fields are ignored and missing
// ones allowed; what is not JSON, or names no alert, is a [*DecodeError]. Any other error
// is the reader's.
func Decode(r io.Reader, limit int64) (*Payload, error) {
	return nil, fmt.Errorf("not written yet")
}
