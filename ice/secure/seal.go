package secure

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pion/rtcp"
	"github.com/pion/srtp/v3"

	"github.com/onelane/onelane/ice/prefetch"
)

var (
	// ErrIndexUsed: the packet's index is not above that of the last one. Sealing it would use a nonce twice, which under GCM gives the
	// authentication key away.
	ErrIndexUsed = errors.New("srtp: index not above the last one sealed")
	// ErrSSRC: a call sends one SSRC. Another one is a fault of ours.
	ErrSSRC = errors.New("srtp: not the SSRC of this call")
	// ErrExhausted: all indexes are used; the key must go.
	ErrExhausted = errors.New("srtp: all indexes used")
	// ErrRoom: dst has no room for the tag.
	ErrRoom = errors.New("srtp: no room for the tag")
)

// lastIndex of SRTP, 48 bits, and of SRTCP, 31 bits (RFC 3711 section 9.2).
const (
	lastIndex     = 1<<48 - 1
	lastRTCPIndex = 1<<31 - 1
)

// Sealer seals what we send: one SSRC for the life of the key, each index once. One goroutine owns it. Use NewSealer. What every packet
// touches comes first.
type Sealer struct {
	cipher rtpCipher
	state  SealerState

	profile Profile
	context *srtp.Context // for SRTCP
	report  rtcp.Header   // scratch
}

// Prefetch asks for the memory that sealing a packet takes, but for the keys, which are found through it.
func (s *Sealer) Prefetch() { prefetch.Value(s) }

// PrefetchKeys asks for the keys.
func (s *Sealer) PrefetchKeys() { s.cipher.prefetch() }

// SealerState is what a Sealer has used up. Plain data, for a snapshot: a Sealer made from it goes on behind.
type SealerState struct {
	SSRC    uint32
	Started bool   // SSRC and Highest are set
	Highest uint64 // last index sealed: rollover counter and sequence number
	RTCP    uint32 // last SRTCP index used
}

// NewSealer makes the send side of keys.
func NewSealer(k Keys) (*Sealer, error) {
	s := &Sealer{profile: k.Profile}
	err := s.cipher.set(k.Profile, k.LocalKey, k.LocalSalt)
	if err == nil {
		s.context, err = srtp.CreateContext(k.LocalKey, k.LocalSalt, srtp.ProtectionProfile(k.Profile))
	}
	if err != nil {
		return nil, fmt.Errorf("make an SRTP sealer: %w", err)
	}
	return s, nil
}

// Seal seals an RTP packet into dst, which may be plain itself and has capacity for len(plain)+Overhead. Sequence numbers only go up, by
// less than 32768 at a time.
func (s *Sealer) Seal(dst, plain []byte) ([]byte, error) {
	head, ok := headerSize(plain)
	if !ok {
		return nil, ErrMalformed
	}
	if cap(dst) < len(plain)+gcmTag {
		return nil, ErrRoom
	}
	ssrc, index := binary.BigEndian.Uint32(plain[8:]), uint64(binary.BigEndian.Uint16(plain[2:]))
	if s.state.Started {
		if ssrc != s.state.SSRC {
			return nil, ErrSSRC
		}
		index = estimate(s.state.Highest, uint16(index))
		switch {
		case index <= s.state.Highest:
			return nil, ErrIndexUsed
		case index > lastIndex:
			return nil, ErrExhausted
		}
	}
	dst = dst[:len(plain)]
	if &dst[0] != &plain[0] {
		copy(dst, plain)
	}
	s.state.SSRC, s.state.Started, s.state.Highest = ssrc, true, index
	return s.cipher.seal(dst, head, index), nil
}

// SealRTCP seals a compound RTCP packet into dst, which may be plain itself and has capacity for len(plain)+Overhead.
func (s *Sealer) SealRTCP(dst, plain []byte) ([]byte, error) {
	if len(plain) < rtcpHeader || plain[0]>>6 != 2 {
		return nil, ErrMalformed
	}
	if cap(dst) < len(plain)+indexSize+gcmTag {
		return nil, ErrRoom
	}
	if s.state.RTCP >= lastRTCPIndex {
		return nil, ErrExhausted
	}
	// One counter for all sender SSRCs: with one SSRC it is the same, and it can never repeat.
	s.context.SetIndex(binary.BigEndian.Uint32(plain[4:]), s.state.RTCP)
	out, err := s.context.EncryptRTCP(dst, plain, &s.report)
	if err != nil {
		return nil, ErrMalformed
	}
	s.state.RTCP++
	return out, nil
}

// ROC is the rollover counter of an SSRC, 0 when nothing was sealed for it.
func (s *Sealer) ROC(ssrc uint32) uint32 {
	if !s.state.Started || s.state.SSRC != ssrc {
		return 0
	}
	return uint32(s.state.Highest >> 16)
}

// State copies what has been used up.
func (s *Sealer) State() SealerState { return s.state }

// NewSealerFrom makes a Sealer that goes on where another one with the same keys was. The other one must not seal any more.
func NewSealerFrom(k Keys, state SealerState) (*Sealer, error) {
	s, err := NewSealer(k)
	if err != nil {
		return nil, err
	}
	s.state = state
	return s, nil
}
