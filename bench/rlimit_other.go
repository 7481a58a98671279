//go:build !unix

package bench

// openFileLimit is 0, unknown: there is no such limit here.
func openFileLimit() uint64 { return 0 }
