package bench

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// A payload is text, so that every producer and every device can carry it:
//
//	19 digits  when it was sent, nanoseconds since 1970
//	1 space
//	9 digits   its number in the run
//	the rest   dots up to the wanted size
const (
	stampDigits  = 19
	numberDigits = 9
	smallestLoad = stampDigits + 1 + numberDigits
)

var errPayload = errors.New("not a payload of the load generator")

// appendPayload writes a payload of size bytes, at least smallestLoad, to dst.
func appendPayload(dst []byte, number, size int, sent time.Time) []byte {
	start := len(dst)
	dst = fmt.Appendf(dst, "%0*d %0*d", stampDigits, sent.UnixNano(), numberDigits, number)
	for len(dst)-start < size {
		dst = append(dst, '.')
	}
	return dst
}

// parsePayload reads what appendPayload wrote.
func parsePayload(text []byte) (number int, sent time.Time, err error) {
	if len(text) < smallestLoad || text[stampDigits] != ' ' {
		return 0, time.Time{}, errPayload
	}
	nanos, err := strconv.ParseInt(string(text[:stampDigits]), 10, 64)
	if err != nil {
		return 0, time.Time{}, errPayload
	}
	number, err = strconv.Atoi(string(text[stampDigits+1 : smallestLoad]))
	if err != nil {
		return 0, time.Time{}, errPayload
	}
	return number, time.Unix(0, nanos), nil
}
