// Package store keeps what outlives a connection: the sessions that devices
// resume with FAST_CONNECT and the routes that say where a user's devices are.
//
// [Embedded] is the store of a single node. It answers from memory; with a
// directory it also writes a bbolt file there, so that a restart keeps the
// sessions and the devices that were seen.
package store
