// Package icetest is the far end of a call, for tests and tools: an ICE-lite agent with DTLS-SRTP that serves many calls on one
// ip:port an address family, as Meta's relays do.
//
// It is a judge, so it shares no code with what it judges: STUN is pion/stun with rules of its own, DTLS is pion/dtls, SRTP is
// pion/srtp, and the SDP is written and read here. It never imports pion/ice, nor any package of this module.
//
// How a datagram finds its call: a STUN Binding request by the local half of its USERNAME (our ufrag, RFC 8445 section 7.3.1.1),
// and from the first authenticated request on everything else by the address it comes from. What belongs to no call is counted and
// never answered.
//
// Words used here:
//
//   - check: an authenticated Binding request of the peer.
//   - pair: one of our sockets and a remote address.
//   - breach: a rule of ICE or DTLS that the peer broke. See [Rule].
//
// Goroutines: one reader a socket, one pacing goroutine a Server (see [Server.Schedule]), and one a call for its DTLS association,
// on top of pion's own. Callbacks of media and checks come from the readers, one at a time over the whole Server.
package icetest
