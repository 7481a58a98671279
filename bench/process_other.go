//go:build !linux

package bench

import "os/exec"

// dieWithParent has nothing to set here: a child of the load generator also ends
// when its standard input does.
func dieWithParent(*exec.Cmd) {}
