package protocol

import "strings"

// canaryPrefix starts the users that belong to nodes themselves.
const canaryPrefix = "$canary."

// CanaryUser is the user to which the node of that id binds a device of its own, so that
// the way of a push to it can be tried at any time. Nobody else may bind such a user. It
// is on no list of online users, gets no broadcasts, and nobody is told of its coming and
// going.
func CanaryUser(node string) string { return canaryPrefix + node }

// IsCanary reports whether a user is a node's own.
func IsCanary(user string) bool { return strings.HasPrefix(user, canaryPrefix) }
