// Package client speaks to a Fanfare or MPush cluster from the outside: as a
// device that holds a connection and receives pushes, and as a back end that
// pushes through the HTTP API.
//
// [Device] is what an application uses: it connects, resumes its session, binds
// its user, keeps the connection alive, acknowledges and reconnects until its
// context ends. [Conn] is one connection without any of that policy, for load
// generators and tests: it starts no goroutine and the caller runs the loop.
// [Pusher] is the HTTP client.
//
//	Device.Run ── servers (allocator) ── Dial ── Conn ── Receive ── OnPush ── Ack
//	     └───────────── Backoff ◄────────────────┘ any failure but a fatal one
package client
