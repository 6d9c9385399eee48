// Package shard is the data plane: it owns the media state of some thousands of calls and moves their packets.
//
// [Core] decides and does no I/O and reads no clock: it is a function from (now, datagrams in) to (datagrams out, next deadline).
// [Shard] is the loop around it: it owns the sockets, the clock and the mailbox, and nothing in it decides. A test drives the Core
// by hand-made batches and times.
//
// # Who owns what
//
// The goroutine Shard.run, pinned to its thread, owns the Core and everything in it: ports, calls, SRTP contexts, lanes, counters.
// The control plane changes them by functions that it posts to the shard ([Shard.Do], mailbox.go) and that run between two batches. What a
// turn leaves for other goroutines (events, datagrams of set-up, queues to wake, who waits for a posted function) are errands, which the
// goroutine porter.run does (errands.go): the shard itself lets no goroutine go on, and waits for no lock. On the packet path there is no
// lock, no channel, no allocation, no log line and no clock read; every packet that is not passed on is counted under a [Drop].
//
// # Words
//
//   - call: one WhatsApp call. It has a Meta leg, a lane, and attachments.
//   - Meta leg: the ICE, DTLS-SRTP leg to Meta's relay. It has one UDP port (on each local address until a pair is nominated).
//   - RTP leg: a plain-RTP leg to a SIP media server, on a UDP port of its own.
//   - lane: what the phone hears: one active source, one SSRC, one sequence. See lane.go.
//   - taker: an attachment that gets frames: a sink's queue, or an RTP leg.
//   - position: time on the call's own clock in samples at 48 kHz, 0 when its media began.
//
// # A packet's way in (receive.go; the order of the steps is the order of trust)
//
//	Core.Turn      by eights: their state is asked for together (prefetch.go), then one datagram after the other
//	receive        port -> call and leg, else NoLeg
//	receiveMeta    first byte (RFC 7983): STUN to consent or set-up, DTLS to set-up
//	receiveSRTP    keys there, address nominated, rate; opened in place: nothing in a packet is believed before this
//	receiveRTP     parse, payload type, SSRC guard, 64-bit sequence, duplicates, reorder window
//	packet         telephone-event to the detector, Opus by its TOC to frames of 20 ms
//	frame          to queues, to RTP legs, to the lane
//
// # A packet's way out (lane.go, transmit.go)
//
//	lane.place     position of the frame on the lane: +960 a packet, following the clock over gaps
//	transmit       header: one SSRC, sequence +1, payload type of Meta's SDP; to the queues that record the business
//	check          asserts every rule on the finished packet; a packet that breaks one is dropped and counted
//	seal           SRTP in place, into the batch that goes out at the end of the turn
//
// # What a hostile packet costs
//
// A packet that is not let through (a wrong tag, a wrong address, STUN of a wrong password, one of a flood, garbage) and one at which a
// sequence number wraps cost the shard at most as much time as three packets that are relayed, and no memory. A call that floods over its
// nominated address is held to 500 packets a second; what is more costs a look at its bucket. hostile_test.go asserts it, in the same run
// against good packets.
package shard
