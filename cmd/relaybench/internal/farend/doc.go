//go:build linux

// Package farend is many phones behind one ICE-lite ip:port, as Meta's relays are, and lean enough to load a relay without being its
// bottleneck: one thread, one socket, batches of datagrams a system call, AEADs straight from crypto/cipher.
//
// It stamps each packet when it goes, knows it again when it comes back, and judges what the relay made of it: loss, order, added latency,
// pacing, and whether SSRC, sequence number and timestamp go on as they must.
//
// Words used here:
//
//   - phone: the far end of one call.
//   - slot: a place in the 20 ms period. The phones of a slot send together; slots are so short that few share one.
//   - mark: the name of a packet, in its payload.
//   - stamp: wall-clock nanoseconds. A packet is stamped as it enters the kernel to be sent, and by the kernel when it is back, so that the
//     time until this process reads it is not counted.
//   - window: the time in which packets are counted, of the phones that were up when it began.
//
// Goroutines: Exchange.run owns the socket, the phones' media state and the counters; other goroutines post functions to it. A phone's
// handshake has a goroutine until the relay's first packet has come.
package farend
