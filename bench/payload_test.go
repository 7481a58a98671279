package bench

import (
	"testing"
	"time"
)

func TestPayloadRoundTrip(t *testing.T) {
	sent := time.Unix(1_800_000_000, 123_456_789)
	for _, tt := range []struct{ number, size, want int }{
		{0, smallestLoad, smallestLoad},
		{7, 100, 100},
		{999_999_999, 4096, 4096},
		{1, 0, smallestLoad}, // too small a size gives the smallest
	} {
		prefix := []byte("kept")
		text := appendPayload(prefix, tt.number, tt.size, sent)[len(prefix):]
		if len(text) != tt.want {
			t.Errorf("payload %d of %d bytes has %d, want %d", tt.number, tt.size, len(text), tt.want)
		}
		number, at, err := parsePayload(text)
		if err != nil || number != tt.number || !at.Equal(sent) {
			t.Errorf("parsePayload(%.40q) = %d, %v, %v", text, number, at, err)
		}
	}
}

func TestParsePayloadRefuses(t *testing.T) {
	for _, text := range []string{
		"", "hello", "1800000000123456789", "1800000000123456789 00000000",
		"x800000000123456789 000000001", "1800000000123456789 00000000x", "1800000000123456789-000000001",
	} {
		if _, _, err := parsePayload([]byte(text)); err == nil {
			t.Errorf("parsePayload(%q) succeeded", text)
		}
	}
}
