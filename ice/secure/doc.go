// Package secure gets a call from a nominated pair to SRTP keys, and from keys to plain packets and back.
//
// [Handshake] runs DTLS (pion/dtls) behind a guard: pion ends a handshake on one forged plaintext record, so it never sees one. The
// guard puts flights together itself and hands pion a server's flight only when its signature over our own random is right. What gets
// through and fails all the same is retried with a fresh ClientHello while the budget lasts.
//
// [Opener] and [Sealer] are the two directions of SRTP and SRTCP, in place and without allocation, also for what is forged. SRTP is done
// here, on the standard library's ciphers (cipher.go); SRTCP is left to pion/srtp. They keep rollover counters and replay windows
// themselves, as plain data. One goroutine, the call's shard, owns them.
//
// What a packet that is no good costs, at most: a forged one an opening, every eighth of a row of them two; a replayed one nothing but its
// look-up, every eighth that is older than the window an opening. None allocates, and none moves a counter or a window.
package secure
