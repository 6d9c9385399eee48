package secure

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"
)

// Handshake message types (RFC 5246 section 7.4, RFC 6347 section 4.3.2).
const (
	typeClientHello       = 1
	typeServerHello       = 2
	typeHelloVerify       = 3
	typeCertificate       = 11
	typeServerKeyExchange = 12
	typeRequest           = 13
	typeServerHelloDone   = 14
	typeVerify            = 15
	typeClientKeyExchange = 16
)

const (
	// maxMessage bounds one handshake message: a chain of three RSA certificates fits.
	maxMessage = 16 << 10
	// maxFragments bounds what is kept of a handshake, fragments and whole messages together.
	maxFragments = 64 << 10
	// maxParts bounds the messages that are being put together, and maxVariants the whole ones that claim one place in the flight.
	maxParts    = 16
	maxVariants = 3
	// maxNumber bounds message numbers: a flight ends at 5 or 6.
	maxNumber = 12
	// maxVerifications bounds the signatures that are checked in one try.
	maxVerifications = 64
	// maxHelloVerify bounds the cookies that we follow.
	maxHelloVerify = 4
	// rivalAfter: as server, how long a ClientHello keeps its place against another one. The first may be forged; a genuine client is
	// through by then or begins anew.
	rivalAfter = 500 * time.Millisecond
)

// errRival ends a try of the server's: another ClientHello has come.
var errRival = errors.New("another ClientHello came")

// fragment is one fragment as it lies in a record.
type fragment struct {
	kind           byte
	length, offset int
	number         uint16
	data           []byte
}

// cutFragment takes the first fragment of a handshake record's body.
func cutFragment(b []byte) (f fragment, rest []byte, ok bool) {
	if len(b) < messageHeader {
		return f, nil, false
	}
	f = fragment{kind: b[0], length: uint24(b[1:]), number: binary.BigEndian.Uint16(b[4:]), offset: uint24(b[6:])}
	n := uint24(b[9:])
	b = b[messageHeader:]
	if n > len(b) || f.length > maxMessage || f.offset+n > f.length || n == 0 && f.length != 0 {
		return f, nil, false
	}
	f.data = b[:n]
	return f, b[n:], true
}

// part is a message that is being put together.
type part struct {
	kind   byte
	number uint16
	body   []byte
	have   []uint64 // a bit a byte: fragments may overlap
	left   int
}

// whole is a complete message, with a header that says it is one fragment.
type whole struct {
	kind   byte
	number uint16
	raw    []byte
}

// inbound puts the peer's plaintext messages together and decides which of them pion sees. It is plain: the guard owns and locks it.
type inbound struct {
	role        Role
	fingerprint string
	profiles    []Profile

	parts    []part
	wholes   []whole
	kept     int      // bytes in parts and wholes
	early    [][]byte // encrypted records that wait for complete
	complete bool     // the peer's flight of plaintext messages has been handed over
	sequence uint64   // of records made for pion

	base     uint16 // as client: number of the ServerHello, behind the cookies
	random   []byte // of our ClientHello, or of the peer's that is answered
	hello    []byte // as server: the peer's ClientHello message
	since    time.Time
	out      []byte // as server: our flight, as the transcript has it
	rival    []byte
	verified int
}

// fragment adds a fragment and returns the message that it completes, nil if none. A flight that comes anew is put together anew: a
// forged fragment spoils one round of it and no more.
func (in *inbound) fragment(f fragment, count *Counts) []byte {
	if !in.expected(f) {
		count.OutOfPlace++
		return nil
	}
	at := -1
	for i := range in.parts {
		if p := &in.parts[i]; p.kind == f.kind && p.number == f.number && len(p.body) == f.length {
			at = i
		}
	}
	if at < 0 {
		for len(in.parts) >= maxParts || in.kept+f.length > maxFragments {
			if !in.giveUp() {
				count.Overflow++
				return nil
			}
			count.Overflow++
		}
		in.parts = append(in.parts, part{
			kind: f.kind, number: f.number, body: make([]byte, f.length), have: make([]uint64, (f.length+63)/64), left: f.length,
		})
		in.kept += f.length
		at = len(in.parts) - 1
	}
	p := &in.parts[at]
	copy(p.body[f.offset:], f.data)
	for i := range f.data {
		if at := f.offset + i; p.have[at/64]&(1<<(at%64)) == 0 {
			p.have[at/64] |= 1 << (at % 64)
			p.left--
		}
	}
	if p.left > 0 {
		return nil
	}
	raw := make([]byte, messageHeader, messageHeader+len(p.body))
	raw[0] = p.kind
	putUint24(raw[1:], len(p.body))
	binary.BigEndian.PutUint16(raw[4:], p.number)
	putUint24(raw[9:], len(p.body))
	raw = append(raw, p.body...)
	in.kept -= len(p.body)
	in.parts = append(in.parts[:at], in.parts[at+1:]...)
	return raw
}

// giveUp makes room: the oldest message that is not whole, or else the oldest whole one.
func (in *inbound) giveUp() bool {
	switch {
	case len(in.parts) > 0:
		in.kept -= len(in.parts[0].body)
		in.parts = append(in.parts[:0], in.parts[1:]...)
	case len(in.wholes) > 0:
		in.kept -= len(in.wholes[0].raw)
		in.wholes = append(in.wholes[:0], in.wholes[1:]...)
	default:
		return false
	}
	return true
}

// expected tells whether such a message may come at this point.
func (in *inbound) expected(f fragment) bool {
	if f.number > maxNumber {
		return false
	}
	if in.role == Server {
		switch f.kind {
		case typeClientHello:
			return !in.complete
		case typeCertificate, typeClientKeyExchange, typeVerify:
			return in.hello != nil && !in.complete
		}
		return false
	}
	switch f.kind {
	case typeHelloVerify, typeServerHello, typeCertificate, typeServerKeyExchange, typeRequest, typeServerHelloDone:
		return in.random != nil && !in.complete
	}
	return false
}

// sent takes note of what we send in plaintext: our random, and as server our flight.
func (in *inbound) sent(b []byte) {
	for len(b) >= recordHeader {
		size := min(len(b), recordHeader+int(binary.BigEndian.Uint16(b[11:])))
		if b[0] == contentHandshake && binary.BigEndian.Uint16(b[3:]) == 0 {
			in.sentMessages(b[recordHeader:size])
		}
		b = b[size:]
	}
}

func (in *inbound) sentMessages(b []byte) {
	for len(b) > 0 {
		f, rest, ok := cutFragment(b)
		if !ok {
			return
		}
		switch {
		case f.kind == typeClientHello && f.offset == 0 && len(f.data) >= 34:
			in.random = append([]byte(nil), f.data[2:34]...)
		case in.role == Server:
			if f.kind == typeServerHello {
				in.out = nil
			}
			if f.offset == 0 && len(in.out) < maxFragments {
				header := append([]byte(nil), b[:messageHeader]...)
				putUint24(header[9:], f.length)
				in.out = append(in.out, header...)
			}
			in.out = append(in.out, f.data...)
		}
		b = rest
	}
}

// message takes a whole message and returns those that pion may now see. An error ends the try.
func (in *inbound) message(raw []byte, count *Counts) (pass [][]byte, err error) {
	m := whole{kind: raw[0], number: binary.BigEndian.Uint16(raw[4:]), raw: raw}
	if !in.sane(m) {
		count.Refused++
		return nil, nil
	}
	switch {
	case m.kind == typeHelloVerify:
		if m.number != in.base || in.base >= maxHelloVerify {
			count.OutOfPlace++
			return nil, nil
		}
		in.base++
		return [][]byte{raw}, nil
	case m.kind == typeClientHello:
		return in.clientHello(raw, count)
	}
	if !in.keep(m, count) {
		if m.kind == typeServerHelloDone && in.verified > 0 {
			count.Forged++ // a flight that was looked at, and found wrong, has come again
		}
		return nil, nil
	}
	if in.role == Server {
		return in.clientFlight(count)
	}
	return in.serverFlight(count)
}

// clientHello takes the first one, and lets another one take its place when the first leads nowhere.
func (in *inbound) clientHello(raw []byte, count *Counts) ([][]byte, error) {
	random := raw[messageHeader+2 : messageHeader+34]
	switch {
	case in.hello == nil:
		in.hello, in.random, in.since = raw, random, time.Now()
		return [][]byte{raw}, nil
	case bytes.Equal(random, in.random):
		return nil, nil // pion repeats its flight by its own clock
	case time.Since(in.since) < rivalAfter:
		count.OutOfPlace++
		return nil, nil
	}
	r := make([]byte, recordHeader, recordHeader+len(raw))
	r[0], r[1], r[2] = contentHandshake, 0xFE, 0xFD
	binary.BigEndian.PutUint16(r[11:], uint16(len(raw)))
	in.rival = append(r, raw...)
	return nil, errRival
}

// keep stores a message; it tells whether it is a new one. Several may claim one place, because anybody can send plaintext.
func (in *inbound) keep(m whole, count *Counts) bool {
	oldest, n := -1, 0
	for i := range in.wholes {
		w := &in.wholes[i]
		if w.kind != m.kind || w.number != m.number {
			continue
		}
		if bytes.Equal(w.raw, m.raw) {
			return false
		}
		if n++; oldest < 0 {
			oldest = i
		}
	}
	if n >= maxVariants {
		in.kept -= len(in.wholes[oldest].raw)
		in.wholes = append(in.wholes[:oldest], in.wholes[oldest+1:]...)
		count.Overflow++
	}
	for in.kept+len(m.raw) > maxFragments {
		if !in.giveUp() {
			return false
		}
		count.Overflow++
	}
	in.kept += len(m.raw)
	in.wholes = append(in.wholes, m)
	return true
}

// at returns the messages that claim a place, newest first: the genuine flight comes again and again.
func (in *inbound) at(kind byte, number uint16) (out [][]byte) {
	for i := len(in.wholes) - 1; i >= 0; i-- {
		if w := &in.wholes[i]; w.kind == kind && w.number == number {
			out = append(out, w.raw)
		}
	}
	return out
}

// serverFlight looks for a ServerHello, a Certificate and a ServerKeyExchange that fit together: the exchange is signed over both
// randoms, and ours is known only to who has seen our ClientHello. The CertificateRequest is not signed, but it must be there: both ends
// of a WebRTC call show a certificate (RFC 8827 section 6.5), and a flight without one could be made of a genuine one by a forged end.
func (in *inbound) serverFlight(count *Counts) ([][]byte, error) {
	for base := uint16(0); base <= maxHelloVerify; base++ {
		request, end := in.at(typeRequest, base+3), in.at(typeServerHelloDone, base+4)
		if len(request) == 0 || len(end) == 0 {
			continue
		}
		for _, hello := range in.at(typeServerHello, base) {
			for _, certificate := range in.at(typeCertificate, base+1) {
				for _, exchange := range in.at(typeServerKeyExchange, base+2) {
					if in.verified++; in.verified > maxVerifications {
						return nil, errStuck
					}
					if !exchangeSigned(in.random, hello, certificate, exchange) {
						count.Forged++
						continue
					}
					if leafFingerprint(certificate) != in.fingerprint {
						return nil, ErrFingerprint
					}
					if base != in.base {
						return nil, errStuck // a forged HelloVerifyRequest has put pion on other numbers
					}
					return in.finish([][]byte{hello, certificate, exchange, request[0], end[0]}), nil
				}
			}
		}
	}
	return nil, nil
}

// clientFlight looks for a Certificate, a ClientKeyExchange and a CertificateVerify that fit together and to all that was said before.
func (in *inbound) clientFlight(count *Counts) ([][]byte, error) {
	base := binary.BigEndian.Uint16(in.hello[4:]) + 1
	for _, certificate := range in.at(typeCertificate, base) {
		for _, exchange := range in.at(typeClientKeyExchange, base+1) {
			for _, verify := range in.at(typeVerify, base+2) {
				if in.verified++; in.verified > maxVerifications {
					return nil, errStuck
				}
				said := bytes.Join([][]byte{in.hello, in.out, certificate, exchange}, nil)
				if !verifySigned(said, certificate, verify) {
					count.Forged++
					continue
				}
				if leafFingerprint(certificate) != in.fingerprint {
					return nil, ErrFingerprint
				}
				return in.finish([][]byte{certificate, exchange, verify}), nil
			}
		}
	}
	return nil, nil
}

func (in *inbound) finish(flight [][]byte) [][]byte {
	in.complete = true
	in.parts, in.wholes, in.kept = nil, nil, 0
	return flight
}
