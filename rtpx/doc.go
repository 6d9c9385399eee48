// Package rtpx is what the edge knows about RTP and RTCP (RFC 3550): pure functions and small flat values, without a socket, file,
// lock or clock. The time is always an argument: a [time.Duration] since an origin that the caller keeps.
//
// A packet that was received passes these, in this order:
//
//	Parse       is it RTP at all?                       a view into the datagram
//	Guard       is it from the one source we follow?    a takeover or a restart begins everything below afresh
//	Extender    16 bit on the wire, 64 bit inside       a wrap is no case any more
//	Reception   RFC 3550 A.1, A.3, A.8                  what a receiver report says
//	Window      in order, once, after a bounded wait    packets in order are not copied
//	Timeline    where on the call's own 48 kHz clock    follows timestamps, but not out of this world
//
// A value of each exists per call and a shard touches a thousand calls in turn, so that each of them meets a cold cache: their sizes
// are held down by a test. Nothing here allocates but [NewPool]. All types are for one goroutine, and the zero value of each but
// [Pool] is ready.
package rtpx
