package secure

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"github.com/pion/rtcp"
	"github.com/pion/srtp/v3"

	"github.com/onelane/onelane/ice/prefetch"
)

// Why a packet was not opened. They are returned as they are: compare with ==.
var (
	// ErrReplay: seen before, or too old to tell.
	ErrReplay = errors.New("srtp: replayed or too old")
	// ErrAuth: the tag is wrong. Nothing of the packet may be believed.
	ErrAuth = errors.New("srtp: authentication failed")
	// ErrMalformed: too short, or not RTP or RTCP.
	ErrMalformed = errors.New("srtp: malformed")
)

// Overhead is how much longer sealing makes a packet at most: a GCM tag, an SRTCP index, and room to spare.
const Overhead = 32

const (
	rtpHeader  = 12
	rtcpHeader = 8
	gcmTag     = 16
	hmacTag    = 10
	indexSize  = 4

	// maxStreams bounds the SSRCs whose counters are kept. A call has one at a time; the one that has been silent longest gives way.
	maxStreams = 32
	// retryEvery: one in so many packets that fail to open is tried with the next rollover counter as well, so that a flood of forged
	// packets costs an eighth more and no more, and a stream that lives is found again at its second packet.
	retryEvery = 8
	// desyncAfter so many packets in a row that failed to open, the stream counts as lost: a second of audio.
	desyncAfter = 50
)

// Stream is the receive state of one SSRC. Plain data, for a snapshot.
type Stream struct {
	SSRC   uint32
	Failed uint32 // packets in a row that did not open
	Old    uint32 // packets in a row that looked too old
	Used   uint64 // when it last opened a packet, counted in opened packets of all streams
	Window Window
}

// OpenerState is what an Opener has learnt. Plain data, for a snapshot: an Opener made from it refuses what this one has seen.
type OpenerState struct {
	RTP, RTCP []Stream
}

// Opener opens what the peer seals. Forged packets change nothing but counters of failures; rollover counters and windows move only
// after authentication. One goroutine owns it. Use NewOpener.
//
// What every packet touches comes first and lies together: of the thousands of Openers of a shard none is in the cache when its packet
// comes. The state of the first SSRC, the only one of nearly every call, lies among it.
type Opener struct {
	cipher  rtpCipher
	tag     int32 // length of the profile's tag
	last    int32 // index into rtp of the stream that opened last
	opened  uint64
	rtp     []Stream
	one     [1]Stream // the memory of rtp until there is a second SSRC
	strange uint32    // packets in a row of SSRCs that are not known

	keys    Keys
	rtcp    []Stream
	context *srtp.Context // for SRTCP
	made    int           // streams that context has made state for
	report  rtcp.Header   // scratch
	spare   []byte        // of a retry, made on first use
}

// NewOpener makes the receive side of keys.
func NewOpener(k Keys) (*Opener, error) {
	o := &Opener{keys: k, tag: hmacTag}
	if k.Profile == AEAD_AES_128_GCM {
		o.tag = gcmTag
	}
	o.rtp = o.one[:0]
	err := o.cipher.set(k.Profile, k.RemoteKey, k.RemoteSalt)
	if err == nil {
		err = o.renew()
	}
	if err != nil {
		return nil, fmt.Errorf("make an SRTP opener: %w", err)
	}
	return o, nil
}

// Prefetch asks for the memory that opening a packet takes, but for the keys, which are found through it.
func (o *Opener) Prefetch() { prefetch.Memory(unsafe.Pointer(o), int(unsafe.Offsetof(o.keys))) }

// PrefetchKeys asks for the keys.
func (o *Opener) PrefetchKeys() { o.cipher.prefetch() }

// State copies what has been learnt.
func (o *Opener) State() OpenerState {
	return OpenerState{RTP: append([]Stream(nil), o.rtp...), RTCP: append([]Stream(nil), o.rtcp...)}
}

// NewOpenerFrom makes an Opener that goes on where another one with the same keys was.
func NewOpenerFrom(k Keys, state OpenerState) (*Opener, error) {
	if len(state.RTP) > maxStreams || len(state.RTCP) > maxStreams {
		return nil, fmt.Errorf("make an SRTP opener: %d and %d streams, at most %d can be", len(state.RTP), len(state.RTCP), maxStreams)
	}
	o, err := NewOpener(k)
	if err != nil {
		return nil, err
	}
	o.rtp, o.rtcp = append(o.rtp, state.RTP...), append(o.rtcp, state.RTCP...)
	for _, list := range [][]Stream{o.rtp, o.rtcp} {
		for i := range list {
			o.opened = max(o.opened, list[i].Used)
		}
	}
	return o, nil
}

// renew makes pion's context. It keeps nothing that matters: counters and windows are ours.
func (o *Opener) renew() (err error) {
	o.context, err = srtp.CreateContext(o.keys.RemoteKey, o.keys.RemoteSalt, srtp.ProtectionProfile(o.keys.Profile))
	o.made = 0
	return err
}

// Open opens an SRTP packet where it lies and returns the RTP packet, in the same memory. b is destroyed when that fails.
func (o *Opener) Open(b []byte) ([]byte, error) {
	head, ok := headerSize(b)
	if !ok || head+int(o.tag) > len(b) {
		return nil, ErrMalformed
	}
	ssrc, seq := binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint16(b[2:])
	s := o.find(ssrc)
	if s == nil {
		return o.first(b, head, ssrc, seq)
	}
	index := estimate(s.Window.Top, seq)
	retry := index + 1<<16
	if !s.Window.fresh(index) {
		// Most often a duplicate. After an outage of over half the sequence space it is a packet of the next round that looks old.
		if !s.Window.old(index) {
			return nil, ErrReplay
		}
		if s.Old++; s.Old%retryEvery != 1 {
			return nil, ErrReplay
		}
		out, ok := o.cipher.open(b, b, head, retry)
		if !ok {
			return nil, ErrReplay
		}
		return o.accept(s, retry, out), nil
	}
	if s.Failed%retryEvery == 1 {
		if out, ok := o.cipher.open(o.scratch(len(b)), b, head, retry); ok {
			return o.accept(s, retry, b[:copy(b, out)]), nil
		}
	}
	out, ok := o.cipher.open(b, b, head, index)
	if !ok {
		s.Failed++
		return nil, ErrAuth
	}
	return o.accept(s, index, out), nil
}

// first opens a packet of an SSRC that is not known: rollover counter 0, and now and then 1, for a stream that we join late.
func (o *Opener) first(b []byte, head int, ssrc uint32, seq uint16) ([]byte, error) {
	index := uint64(seq)
	o.strange++
	if o.strange%retryEvery == 2 {
		if out, ok := o.cipher.open(o.scratch(len(b)), b, head, index+1<<16); ok {
			return o.accept(o.add(&o.rtp, ssrc), index+1<<16, b[:copy(b, out)]), nil
		}
	}
	out, ok := o.cipher.open(b, b, head, index)
	if !ok {
		return nil, ErrAuth
	}
	o.strange = 0
	return o.accept(o.add(&o.rtp, ssrc), index, out), nil
}

func (o *Opener) scratch(n int) []byte {
	if cap(o.spare) < n {
		o.spare = make([]byte, n)
	}
	return o.spare[:n]
}

func (o *Opener) accept(s *Stream, index uint64, out []byte) []byte {
	s.Window.accept(index)
	o.opened++
	s.Failed, s.Old, s.Used = 0, 0, o.opened
	return out
}

// OpenRTCP opens an SRTCP packet where it lies.
func (o *Opener) OpenRTCP(b []byte) ([]byte, error) {
	if len(b) < rtcpHeader+indexSize+int(o.tag) || b[0]>>6 != 2 {
		return nil, ErrMalformed
	}
	end := len(b)
	if o.keys.Profile == AES128_CM_HMAC_SHA1_80 {
		end -= hmacTag
	}
	index := uint64(binary.BigEndian.Uint32(b[end-indexSize:]) &^ (1 << 31))
	ssrc := binary.BigEndian.Uint32(b[4:])
	var s *Stream
	for i := range o.rtcp {
		if o.rtcp[i].SSRC == ssrc {
			s = &o.rtcp[i]
		}
	}
	if s != nil && !s.Window.fresh(index) {
		return nil, ErrReplay
	}
	out, err := o.context.DecryptRTCP(b, b, &o.report)
	if err != nil {
		return nil, ErrAuth
	}
	if s == nil {
		o.grow()
		s = o.add(&o.rtcp, ssrc)
	}
	return o.accept(s, index, out), nil
}

// Profile is that of the keys.
func (o *Opener) Profile() Profile { return o.keys.Profile }

// find returns the stream of an SSRC, nil when there is none.
func (o *Opener) find(ssrc uint32) *Stream {
	if int(o.last) < len(o.rtp) && o.rtp[o.last].SSRC == ssrc {
		return &o.rtp[o.last]
	}
	for i := range o.rtp {
		if o.rtp[i].SSRC == ssrc {
			o.last = int32(i)
			return &o.rtp[i]
		}
	}
	return nil
}

// add makes a stream of an SSRC that has just shown an authentic packet.
func (o *Opener) add(list *[]Stream, ssrc uint32) *Stream {
	if len(*list) < maxStreams {
		*list = append(*list, Stream{SSRC: ssrc})
		return &(*list)[len(*list)-1]
	}
	oldest := 0
	for i := range *list {
		if (*list)[i].Used < (*list)[oldest].Used {
			oldest = i
		}
	}
	(*list)[oldest] = Stream{SSRC: ssrc}
	return &(*list)[oldest]
}

// grow bounds pion's maps, which only grow: its context is made anew now and then.
func (o *Opener) grow() {
	if o.made++; o.made > 4*maxStreams {
		if o.renew() == nil { // the keys were good before
			o.made = 1
		}
	}
}

// ROC is the rollover counter of an SSRC, 0 when it is not known.
func (o *Opener) ROC(ssrc uint32) uint32 {
	if s := o.find(ssrc); s != nil {
		return uint32(s.Window.Top >> 16)
	}
	return 0
}

// Desynced tells that packets of a stream which used to open have not done so for a second of audio: its rollover counter is lost, or
// its address is being flooded while it is silent. It is over with the next packet that opens.
func (o *Opener) Desynced() bool {
	for i := range o.rtp {
		if o.rtp[i].Failed >= desyncAfter || o.rtp[i].Old >= desyncAfter {
			return true
		}
	}
	return o.strange >= desyncAfter
}

// estimate is the index nearest to the highest one (RFC 3711 section 3.3.1, appendix A).
func estimate(top uint64, seq uint16) uint64 {
	index := top&^0xFFFF | uint64(seq)
	switch {
	case index+1<<15 < top:
		return index + 1<<16
	case index > top+1<<15 && index >= 1<<16:
		return index - 1<<16
	}
	return index
}
