package secure

import (
	"encoding/binary"

	"github.com/pion/dtls/v2"
)

// Extensions that must be there (RFC 7627, RFC 5764).
const (
	extensionUseSRTP = 14
	extensionEMS     = 23
)

const (
	version10 = 0xFEFF
	version12 = 0xFEFD
)

// reader cuts a message. Once a cut goes over the end it stays bad.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return make([]byte, min(n, maxMessage))
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) uint8() int  { return int(r.take(1)[0]) }
func (r *reader) uint16() int { return int(binary.BigEndian.Uint16(r.take(2))) }
func (r *reader) uint24() int { return uint24(r.take(3)) }
func (r *reader) whole() bool { return !r.bad && len(r.b) == 0 }
func (r *reader) sub(n int) *reader {
	return &reader{b: r.take(n), bad: r.bad}
}

// sane checks the form of a message, and that it says what we can have. Pion answers anything else with an alert and ends.
func (in *inbound) sane(m whole) bool {
	r := &reader{b: m.raw[messageHeader:]}
	switch m.kind {
	case typeHelloVerify:
		v := r.uint16()
		r.take(r.uint8())
		return r.whole() && (v == version10 || v == version12)
	case typeServerHello:
		return in.saneServerHello(r)
	case typeClientHello:
		return in.saneClientHello(r)
	case typeCertificate:
		return saneCertificate(r)
	case typeServerKeyExchange:
		const namedCurve = 3
		kind, curve := r.uint8(), r.uint16()
		return kind == namedCurve && sanePoint(r, curve) && saneSigned(r)
	case typeClientKeyExchange:
		return sanePoint(r, 0) && r.whole()
	case typeVerify:
		return saneSigned(r)
	case typeRequest:
		return saneRequest(r)
	case typeServerHelloDone:
		return r.whole()
	}
	return false
}

func (in *inbound) saneServerHello(r *reader) bool {
	version := r.uint16()
	r.take(32)
	session := r.uint8()
	r.take(session)
	suite, compression := r.uint16(), r.uint8()
	ems, profile, ok := in.extensions(r, 1)
	return ok && version == version12 && session <= 32 && knownSuite(suite) && compression == 0 && ems && profile
}

func (in *inbound) saneClientHello(r *reader) bool {
	version := r.uint16()
	r.take(32)
	session := r.uint8()
	r.take(session)
	r.take(r.uint8()) // cookie
	suites := r.sub(r.uint16())
	known := false
	for !suites.bad && len(suites.b) > 0 {
		known = knownSuite(suites.uint16()) || known
	}
	compressions := r.uint8()
	r.take(compressions)
	ems, profile, ok := in.extensions(r, len(in.profiles)+16)
	return ok && !suites.bad && version == version12 && session <= 32 && known && compressions > 0 && ems && profile
}

// extensions walks the extensions at the end of a hello. limit is how many SRTP profiles it may name.
func (in *inbound) extensions(r *reader, limit int) (ems, profile, ok bool) {
	all := r.sub(r.uint16())
	if !r.whole() {
		return false, false, false
	}
	for n := 0; len(all.b) > 0 && !all.bad; n++ {
		kind := all.uint16()
		e := all.sub(all.uint16())
		switch kind {
		case extensionEMS:
			ems = e.whole()
		case extensionUseSRTP:
			list := e.sub(e.uint16())
			if e.uint8() != 0 || !e.whole() || len(list.b) > 2*limit || list.bad { // no MKI (RFC 5764 section 4.1.3)
				return false, false, false
			}
			for len(list.b) > 0 && !list.bad {
				p := Profile(list.uint16())
				for _, ours := range in.profiles {
					profile = profile || p == ours
				}
			}
		}
		if n >= 64 {
			return false, false, false
		}
	}
	return ems, profile, !all.bad
}

func knownSuite(id int) bool {
	for _, s := range cipherSuites {
		if s == dtls.CipherSuiteID(id) {
			return true
		}
	}
	return false
}

// saneCertificate: a list of certificates, one at least and none empty.
func saneCertificate(r *reader) bool {
	list := r.sub(r.uint24())
	if !r.whole() || len(list.b) == 0 {
		return false
	}
	for len(list.b) > 0 && !list.bad {
		if len(list.take(list.uint24())) == 0 {
			return false
		}
	}
	return !list.bad
}

// sanePoint: a public key on the curve given, or on either when it is not.
func sanePoint(r *reader, curve int) bool {
	const p256, x25519, uncompressed = 23, 29, 4
	n := r.uint8()
	point := r.take(n)
	switch {
	case r.bad:
		return false
	case n == 65 && point[0] == uncompressed:
		return curve == 0 || curve == p256
	case n == 32:
		return curve == 0 || curve == x25519
	}
	return false
}

// saneSigned: algorithm, length, signature, and nothing behind.
func saneSigned(r *reader) bool {
	r.take(2)
	n := r.uint16()
	r.take(n)
	return n > 0 && r.whole()
}

// saneRequest: a CertificateRequest (RFC 5246 section 7.4.4).
func saneRequest(r *reader) bool {
	types := r.uint8()
	r.take(types)
	algorithms := r.uint16()
	r.take(algorithms)
	authorities := r.sub(r.uint16())
	if types == 0 || algorithms == 0 || algorithms%2 != 0 || !r.whole() {
		return false
	}
	for len(authorities.b) > 0 && !authorities.bad {
		authorities.take(authorities.uint16())
	}
	return !authorities.bad
}
