// Package store keeps what outlives a connection: the sessions that devices
// resume with FAST_CONNECT and the routes that say where a user's devices are. It
// also carries what nodes tell each other about them: kicks, online lists and the
// state of broadcast tasks.
//
// [Embedded] is the store of a single node. It answers from memory; with a
// directory it also writes a bbolt file there, so that a restart keeps the
// sessions and the devices that were seen.
//
// [Redis] is the store of a cluster. Keys, values and channels are those of MPush
// (PROTOCOL section 5), so that its Java nodes and back ends share them; what is
// ours alone is in members of the JSON that Java passes over and under keys that
// start with ff. Routes are changed by the scripts in the .lua files, each of which
// touches one key.
package store
