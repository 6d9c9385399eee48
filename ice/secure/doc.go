// Package secure gets a call from a nominated pair to SRTP keys, and from keys to plain packets and back.
//
// [Handshake] runs DTLS (pion/dtls) behind a guard: pion ends a handshake on one forged plaintext record, so it never sees one. The
// guard puts flights together itself and hands pion a server's flight only when its signature over our own random is right. What gets
// through and fails all the same is retried with a fresh ClientHello while the budget lasts.
//
// [Opener] and [Sealer] are the two directions of SRTP and SRTCP (pion/srtp), in place and without allocation. They keep rollover
// counters and replay windows themselves, as plain data. One goroutine, the call's shard, owns them.
package secure
