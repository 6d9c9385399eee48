// Package recording writes a call to an Ogg Opus file without decoding it.
//
// # The file
//
// Stereo is two mono Opus streams multiplexed as one (RFC 7845 section 5.1.1, mapping family 1, 2 channels, 2 streams, 0 coupled):
// the caller is the left channel, the business the right one. Mono is an ordinary file of one direction. Position 0 of the playback
// is the first time mark and its end is the last one: 5 ms of silence go in front, which the pre-skip cuts away again, and
// the granule of the last page cuts the last 20 ms (section 4.4). A stereo Opus packet in a mono slot stays as
// it is: the decoder of an uncoupled stream is a mono decoder, which mixes down.
//
// # Slots
//
// Time is cut into slots of 20 ms from the first mark on. A frame goes to the slot nearest to its At, so it is at most 10 ms off,
// whatever the call's length: every frame is placed by its own At, and no error adds up. A sender whose clock is slow leaves a slot
// empty now and then, one whose clock is fast has a frame dropped that falls into a taken slot.
//
// A slot is written when nothing can come for it any more: a mark has passed it, every direction has, or it is a second older than the
// newest frame (holdSlots). A frame that comes later is dropped and counted.
//
// A slot without a frame is a hole. The first 100 ms after audio are empty Opus frames, in which decoders conceal (section 4.1);
// then, and before the first audio, it is digital silence.
//
// # Groups
//
// Both streams of a packet must have one duration. Where one direction has a SILK frame of 40 or 60 ms, which cannot be cut without
// decoding, slots are written as a group up to the next boundary of both directions, 120 ms at most. The frames of a group are
// joined, which needs one TOC configuration: where they differ (an encoder that changes its mode inside the group, about once a talk
// spurt at worst), the configuration with the most bytes is kept, and the odd frames are concealed. When both directions have such
// frames and their boundaries never meet, the frames of one direction are moved by one slot, two at most.
//
// # Faults
//
// Pages are written with one write each, at a known offset, at most one a second (Options.Flush; more only above 128 kbit/s). That
// survives kill -9: the kernel has the pages. There is no fsync but one at the end, so a power cut may cost more. A killed process
// leaves NAME.ogg.part, which plays up to its last whole page; [Repair] closes it. It loses what was not yet a page: a second, and up
// to a second more while one direction is silent and the other is not.
//
// A page that cannot be written is lost: Write returns the error and how to mend it, once for every try, and tries again with each
// Write. When the disk takes pages again, the lost time is written as silence, so that everything after it is in its place. What a
// failed write left behind is cut off or overwritten: there is never half a page in the middle of a file.
//
// The name of the file is made by the caller, who must not put a call id into it: it contains phone numbers. Neither do the tags.
package recording
