// Package ice gets a call from its sockets to one nominated candidate pair, and keeps the peer's consent after that.
//
// Set-up is pion/ice as a full, controlling agent ([Dialer]). Pion sees no socket but a [Conn], which the shard delivers into and which
// hands what pion writes back to the shard. Only STUN ever reaches the agent, and only what has passed [CheckSTUN] and comes from a
// candidate of the peer: a panic in one of pion's goroutines would end every call of the process.
//
// Once a pair is nominated the shard runs [Consent] (RFC 7675) and the agent goes, with its four goroutines. Consent is plain data
// without a clock, a lock or a socket.
//
// Words used here:
//
//   - check: a STUN Binding request that we send to learn whether a pair works (RFC 8445 section 7.2).
//   - kick: an authenticated Binding request that we make ourselves and give to pion, so that it nominates at once.
//   - consent: the peer's continuing agreement to receive from us, shown by valid answers to our checks.
package ice
