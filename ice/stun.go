package ice

import (
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"net/netip"
)

// STUN as far as ICE needs it (RFC 8489, RFC 8445 section 16.1). Pion/stun is not used here: these few functions neither allocate nor
// keep anything, and they check every bound before a byte is read.

const (
	stunHeader    = 20
	stunCookie    = 0x2112A442
	stunCRCXor    = 0x5354554E
	integritySize = 20

	// maxAttributes bounds one message. A check has six, an answer four; what has many is made to waste our time.
	maxAttributes = 32
	// maxUsername of RFC 8489 section 14.3.
	maxUsername = 509
)

const (
	bindingRequest    = 0x0001
	bindingIndication = 0x0011
	bindingSuccess    = 0x0101
	bindingError      = 0x0111
)

const (
	attrMappedAddress    = 0x0001
	attrUsername         = 0x0006
	attrIntegrity        = 0x0008
	attrErrorCode        = 0x0009
	attrUnknown          = 0x000A
	attrRealm            = 0x0014
	attrNonce            = 0x0015
	attrIntegritySHA256  = 0x001C
	attrXORMappedAddress = 0x0020
	attrPriority         = 0x0024
	attrUseCandidate     = 0x0025
	attrFingerprint      = 0x8028
	attrControlled       = 0x8029
	attrControlling      = 0x802A
)

const (
	codeUnauthorized = 401
	codeRoleConflict = 487
)

type transactionID [12]byte

// StunFault says what is wrong with the form of a STUN message.
type StunFault uint8

const (
	// StunSound: nothing.
	StunSound StunFault = iota
	// StunShort: shorter than a header.
	StunShort
	// StunNoCookie: the magic cookie or the two zero bits are wrong.
	StunNoCookie
	// StunWrongLength: the length in the header is not that of the datagram, or not a multiple of four.
	StunWrongLength
	// StunAttributeOverrun: an attribute, with its padding, ends behind the message.
	StunAttributeOverrun
	// StunTooManyAttributes: more than any ICE message has.
	StunTooManyAttributes
	// StunAttributeSize: an attribute of fixed size has another one.
	StunAttributeSize
	// StunDuplicate: an attribute that counts is there twice.
	StunDuplicate
	// StunOrder: FINGERPRINT is not last, or something other than it follows MESSAGE-INTEGRITY.
	StunOrder
	// StunFingerprint: the checksum is wrong.
	StunFingerprint
	// StunUnknownAttribute: a comprehension-required attribute that we do not know (RFC 8489 section 6.3.1).
	StunUnknownAttribute
	// StunNotBinding: another method.
	StunNotBinding

	// StunFaults is how many there are.
	StunFaults = int(StunNotBinding) + 1
)

func (f StunFault) String() string {
	return [StunFaults]string{
		"sound", "short", "no_cookie", "wrong_length", "attribute_overrun", "too_many_attributes", "attribute_size", "duplicate",
		"order", "fingerprint", "unknown_attribute", "not_binding",
	}[f]
}

// stunMessage is where the parts of a sound message lie. The slices alias the datagram.
type stunMessage struct {
	raw          []byte
	kind         uint16
	id           transactionID
	username     []byte
	integrityAt  int // offset of the MESSAGE-INTEGRITY attribute, 0: none
	fingerprint  bool
	code         int // of ERROR-CODE
	useCandidate bool
	controlling  bool
	controlled   bool
	seen         uint32 // known attributes that were there, by slot
}

// CheckSTUN tells whether a datagram is a Binding message that is safe to hand to pion. It believes nothing and costs well under a
// microsecond; integrity is not its business.
func CheckSTUN(b []byte) StunFault {
	var m stunMessage
	return m.parse(b)
}

// parse reads b. Only a StunSound message may be used.
func (m *stunMessage) parse(b []byte) StunFault {
	*m = stunMessage{raw: b}
	switch {
	case len(b) < stunHeader:
		return StunShort
	case b[0] > 3 || binary.BigEndian.Uint32(b[4:]) != stunCookie:
		return StunNoCookie
	}
	size := int(binary.BigEndian.Uint16(b[2:]))
	if size%4 != 0 || size != len(b)-stunHeader {
		return StunWrongLength
	}
	m.kind = binary.BigEndian.Uint16(b)
	switch m.kind {
	case bindingRequest, bindingIndication, bindingSuccess, bindingError:
	default:
		return StunNotBinding
	}
	copy(m.id[:], b[8:stunHeader])
	for at, n := stunHeader, 0; at < len(b); n++ {
		if n == maxAttributes {
			return StunTooManyAttributes
		}
		if m.fingerprint {
			return StunOrder
		}
		if len(b)-at < 4 {
			return StunAttributeOverrun
		}
		kind, length := binary.BigEndian.Uint16(b[at:]), int(binary.BigEndian.Uint16(b[at+2:]))
		next := at + 4 + (length+3)&^3
		if next > len(b) {
			return StunAttributeOverrun
		}
		if f := m.attribute(kind, at, b[at+4:at+4+length]); f != StunSound {
			return f
		}
		at = next
	}
	return StunSound
}

// attribute takes one attribute at offset at with value v.
func (m *stunMessage) attribute(kind uint16, at int, v []byte) StunFault {
	if m.integrityAt > 0 && kind != attrFingerprint && kind != attrIntegritySHA256 {
		return StunOrder
	}
	slot, size, known := attributeForm(kind)
	if !known {
		if kind < 0x8000 {
			return StunUnknownAttribute
		}
		return StunSound
	}
	if m.seen&(1<<slot) != 0 {
		return StunDuplicate
	}
	m.seen |= 1 << slot
	if size >= 0 && len(v) != size {
		return StunAttributeSize
	}
	switch kind {
	case attrUsername:
		if len(v) > maxUsername {
			return StunAttributeSize
		}
		m.username = v
	case attrIntegrity:
		m.integrityAt = at
	case attrFingerprint:
		m.fingerprint = true
		if crc32.ChecksumIEEE(m.raw[:at])^stunCRCXor != binary.BigEndian.Uint32(v) {
			return StunFingerprint
		}
	case attrErrorCode:
		if len(v) < 4 {
			return StunAttributeSize
		}
		m.code = int(v[2]&7)*100 + int(v[3])
	case attrMappedAddress, attrXORMappedAddress:
		if !(len(v) == 8 && v[1] == 1 || len(v) == 20 && v[1] == 2) {
			return StunAttributeSize
		}
	case attrUseCandidate:
		m.useCandidate = true
	case attrControlled:
		m.controlled = true
	case attrControlling:
		m.controlling = true
	}
	return StunSound
}

// attributeForm gives each attribute we know a slot, and its size where that is fixed (-1: it is not).
func attributeForm(kind uint16) (slot uint, size int, known bool) {
	switch kind {
	case attrMappedAddress:
		return 0, -1, true
	case attrUsername:
		return 1, -1, true
	case attrIntegrity:
		return 2, integritySize, true
	case attrErrorCode:
		return 3, -1, true
	case attrUnknown:
		return 4, -1, true
	case attrRealm:
		return 5, -1, true
	case attrNonce:
		return 6, -1, true
	case attrIntegritySHA256:
		return 7, -1, true
	case attrXORMappedAddress:
		return 8, -1, true
	case attrPriority:
		return 9, 4, true
	case attrUseCandidate:
		return 10, 0, true
	case attrFingerprint:
		return 11, 4, true
	case attrControlled:
		return 12, 8, true
	case attrControlling:
		return 13, 8, true
	}
	return 0, 0, false
}

// StunScratch is memory that STUN work needs for a moment. One goroutine owns it, and any number of Consents use it in turn. Use new.
type StunScratch struct {
	inner hash.Hash
	pad   [sha1.BlockSize]byte
	sum   [sha1.Size]byte
	head  [stunHeader]byte
	msg   stunMessage
}

// hmac computes HMAC-SHA1 (RFC 2104) of b[:at] as if the header's length reached to the end of a MESSAGE-INTEGRITY attribute at offset
// at (RFC 8489 section 14.5). The result is valid until the next call.
func (s *StunScratch) hmac(key string, b []byte, at int) []byte {
	if s.inner == nil {
		s.inner = sha1.New()
	}
	h := s.inner
	s.pad = [sha1.BlockSize]byte{}
	if len(key) > len(s.pad) {
		h.Reset()
		h.Write([]byte(key))
		h.Sum(s.pad[:0])
	} else {
		copy(s.pad[:], key)
	}
	for i := range s.pad {
		s.pad[i] ^= 0x36
	}
	copy(s.head[:], b)
	binary.BigEndian.PutUint16(s.head[2:], uint16(at+4+integritySize-stunHeader))
	h.Reset()
	h.Write(s.pad[:])
	h.Write(s.head[:])
	h.Write(b[stunHeader:at])
	h.Sum(s.sum[:0])
	for i := range s.pad {
		s.pad[i] ^= 0x36 ^ 0x5C
	}
	h.Reset()
	h.Write(s.pad[:])
	h.Write(s.sum[:])
	return h.Sum(s.sum[:0])
}

// authentic checks MESSAGE-INTEGRITY. A message without one is not authentic.
func (s *StunScratch) authentic(m *stunMessage, key string) bool {
	if m.integrityAt == 0 || key == "" {
		return false
	}
	want := m.raw[m.integrityAt+4 : m.integrityAt+4+integritySize]
	return subtle.ConstantTimeCompare(s.hmac(key, m.raw, m.integrityAt), want) == 1
}

// stunWriter appends attributes to a message in b, which must have the room: callers give whole datagram buffers.
type stunWriter struct {
	b []byte
	n int
}

func writeSTUN(b []byte, kind uint16, id transactionID) stunWriter {
	binary.BigEndian.PutUint16(b, kind)
	binary.BigEndian.PutUint32(b[4:], stunCookie)
	copy(b[8:], id[:])
	return stunWriter{b: b, n: stunHeader}
}

// attribute makes room for a value of the given size, zeroed, and returns it.
func (w *stunWriter) attribute(kind uint16, size int) []byte {
	at := w.n
	w.n += 4 + (size+3)&^3
	clear(w.b[at:w.n])
	binary.BigEndian.PutUint16(w.b[at:], kind)
	binary.BigEndian.PutUint16(w.b[at+2:], uint16(size))
	return w.b[at+4 : at+4+size]
}

func (w *stunWriter) username(left, right string) {
	v := w.attribute(attrUsername, len(left)+1+len(right))
	copy(v, left)
	v[len(left)] = ':'
	copy(v[len(left)+1:], right)
}

// xorMapped writes XOR-MAPPED-ADDRESS (RFC 8489 section 14.2).
func (w *stunWriter) xorMapped(a netip.AddrPort) {
	ip := a.Addr().Unmap()
	var v []byte
	if ip.Is4() {
		v = w.attribute(attrXORMappedAddress, 8)
		v[1] = 1
		raw := ip.As4()
		copy(v[4:], raw[:])
	} else {
		v = w.attribute(attrXORMappedAddress, 20)
		v[1] = 2
		raw := ip.As16()
		copy(v[4:], raw[:])
	}
	binary.BigEndian.PutUint16(v[2:], a.Port()^uint16(stunCookie>>16))
	for i := range v[4:] {
		v[4+i] ^= w.b[4+i] // cookie and transaction id, as they lie in the header
	}
}

// finish adds MESSAGE-INTEGRITY and FINGERPRINT, and returns the length of the message.
func (w *stunWriter) finish(s *StunScratch, key string) int {
	at := w.n
	sum := s.hmac(key, w.b, at)
	copy(w.attribute(attrIntegrity, integritySize), sum)
	at = w.n
	v := w.attribute(attrFingerprint, 4)
	binary.BigEndian.PutUint16(w.b[2:], uint16(w.n-stunHeader))
	binary.BigEndian.PutUint32(v, crc32.ChecksumIEEE(w.b[:at])^stunCRCXor)
	return w.n
}
