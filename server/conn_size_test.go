package server

import (
	"testing"
	"unsafe"
)

// TestConnFitsItsSizeClass: Go's allocator hands out 320 bytes and then 352. With a
// million connections the difference is 32 MB.
func TestConnFitsItsSizeClass(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(conn{}); size > 320 {
		t.Errorf("a connection takes %d bytes, want at most 320", size)
	}
}
