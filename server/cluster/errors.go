package cluster

import "errors"

// ErrTaken: another living node has the id. The error that wraps it says who.
var ErrTaken = errors.New("node id is taken")
