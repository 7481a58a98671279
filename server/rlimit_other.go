//go:build !unix

package server

// openFileLimit is 0: there is no limit to respect.
func openFileLimit() int { return 0 }
