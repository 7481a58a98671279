// Package server is one push node: listeners, connections, the table of bound
// users, delivery and the gateway.
//
// A connection has three layers, each in a file of its own:
//
//   - stream.go moves bytes. A goroutine reads and hands on what arrived; whoever
//     has something to say writes it at once without blocking, and what the socket
//     does not take waits in a queue bounded in bytes and age. Nothing above this
//     file knows how bytes are waited for.
//   - framing.go cuts bytes into packets and packets into bytes: MPush's binary
//     frames or JSON text frames over WebSocket.
//   - conn.go and the files named after commands are the connection's logic. It is
//     driven by packets and never reads or waits; a request that has to wait (RSA,
//     store) pauses the connection, runs in a bounded pool and resumes it, so that
//     requests of one connection stay in order.
//
// Lock order: conn.mu, then a hub shard or stream.mu, then nothing. No lock is held while a
// tracker, a store or a logger is called. The one exception to "no I/O under a
// lock" is the non-blocking write(2) under stream.mu, which is what keeps frames whole.
package server
