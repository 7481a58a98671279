// Package ledger keeps the books of the messages that an entry point accepted: how
// far each one came, where it ended, and that every one ends exactly once.
//
// The books count targets: a message to three users counts three, a broadcast one.
// At every instant Accepted is InFlight plus the sum of Ended.
package ledger
