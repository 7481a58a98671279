package stranger

import (
	"context"
	"fmt"
	"net"
	"time"
)

// Push is a message from the server.
type Push struct {
	// ID is the sessionId of the frame; the ack repeats it.
	ID int32
	// Content is what the back end sent.
	Content []byte
	// WantsAck tells whether the server waits for an ack.
	WantsAck bool
	// Flags are those of the frame.
	Flags byte
}

// Kick tells a device that another one has taken its place.
type Kick struct {
	// DeviceID is the device that is kicked, UserID the user it was bound to.
	DeviceID string `json:"deviceId"`
	UserID   string `json:"userId"`
}

// Refusal is an ERROR from the server. Its code decides whether the connection stays open.
type Refusal struct {
	// Cmd is the command that was refused.
	Cmd byte
	// Code and Reason are those of table 2.3.
	Code   byte
	Reason string
}

// Error returns the reason with its numbers.
func (r *Refusal) Error() string {
	return fmt.Sprintf("server refuses command %d: %s (%d)", r.Cmd, r.Reason, r.Code)
}

// arrivals keeps what came while the device waited for something else.
type arrivals struct {
	pushes []Push
	kicks  []Kick
}

// Waiting returns how many pushes have arrived and were not taken by NextPush.
func (a *arrivals) Waiting() int { return len(a.pushes) }

func pushOf(id int32, flags byte, content []byte) Push {
	return Push{ID: id, Content: content, WantsAck: flags&(flagBizAck|flagAutoAck) != 0, Flags: flags}
}

// first takes the oldest of a queue, reading until there is one.
func first[T any](queue *[]T, read func() error) (T, error) {
	for len(*queue) == 0 {
		if err := read(); err != nil {
			var none T
			return none, err
		}
	}
	out := (*queue)[0]
	*queue = (*queue)[1:]
	return out, nil
}

// guard makes reads and writes fail once ctx ends, until the function it returns is called. A
// connection whose ctx ended within a call is good for nothing but Close.
func guard(ctx context.Context, conn net.Conn) (release func()) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return func() { stop() }
}
