package ice

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/pion/stun/v2"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

const vectorPassword = "VOkJxbRl1RmTxUk/WvJxBt"

// The messages of RFC 5769 sections 2.1 to 2.3.
var (
	vectorRequest = unhex(`00 01 00 58 21 12 a4 42 b7 e7 a7 01 bc 34 d6 86 fa 87 df ae 80 22 00 10 53 54 55 4e 20 74 65 73 74 20 63 6c
		69 65 6e 74 00 24 00 04 6e 00 01 ff 80 29 00 08 93 2f f9 b1 51 26 3b 36 00 06 00 09 65 76 74 6a 3a 68 36 76 59 20 20 20
		00 08 00 14 9a ea a7 0c bf d8 cb 56 78 1e f2 b5 b2 d3 f2 49 c1 b5 71 a2 80 28 00 04 e5 7a 3b cf`)
	vectorResponse4 = unhex(`01 01 00 3c 21 12 a4 42 b7 e7 a7 01 bc 34 d6 86 fa 87 df ae 80 22 00 0b 74 65 73 74 20 76 65 63 74 6f 72
		20 00 20 00 08 00 01 a1 47 e1 12 a6 43 00 08 00 14 2b 91 f5 99 fd 9e 90 c3 8c 74 89 f9 2a f9 ba 53 f0 6b e7 d7 80 28 00 04
		c0 7d 4c 96`)
	vectorResponse6 = unhex(`01 01 00 48 21 12 a4 42 b7 e7 a7 01 bc 34 d6 86 fa 87 df ae 80 22 00 0b 74 65 73 74 20 76 65 63 74 6f 72
		20 00 20 00 14 00 02 a1 47 01 13 a9 fa a5 d3 f1 79 bc 25 f4 b5 be d2 b9 d9 00 08 00 14 a3 82 95 4e 4b e6 7b f1 17 84 c9 7c
		82 92 c2 75 bf e3 ed 41 80 28 00 04 c8 fb 0b 4c`)
)

func TestVectorsAreSoundAndAuthentic(t *testing.T) {
	s := new(StunScratch)
	for name, b := range map[string][]byte{"request": vectorRequest, "IPv4": vectorResponse4, "IPv6": vectorResponse6} {
		var m stunMessage
		if f := m.parse(b); f != StunSound {
			t.Fatalf("%s: %v", name, f)
		}
		if !m.fingerprint || !s.authentic(&m, vectorPassword) {
			t.Errorf("%s is not authentic", name)
		}
		if s.authentic(&m, vectorPassword+"x") || s.authentic(&m, "") {
			t.Errorf("%s is authentic with another password", name)
		}
		for i := range b {
			spoilt := bytes.Clone(b)
			spoilt[i] ^= 0x40
			if m.parse(spoilt) == StunSound && i < len(b)-8 {
				t.Errorf("%s: byte %d changed and it still looks sound", name, i)
			}
		}
	}
	var m stunMessage
	m.parse(vectorRequest)
	if !isUsername(m.username, "evtj", "h6vY") || !m.controlled || m.controlling {
		t.Errorf("username %q, controlled %v", m.username, m.controlled)
	}
}

// build makes a message without integrity and with a right fingerprint when asked.
func build(kind uint16, fingerprint bool, attributes ...[]byte) []byte {
	b := make([]byte, stunHeader)
	binary.BigEndian.PutUint16(b, kind)
	binary.BigEndian.PutUint32(b[4:], stunCookie)
	for _, a := range attributes {
		b = append(b, a...)
	}
	size := len(b) - stunHeader
	if fingerprint {
		size += 8
	}
	binary.BigEndian.PutUint16(b[2:], uint16(size))
	if fingerprint {
		sum := crc32.ChecksumIEEE(b) ^ stunCRCXor
		b = append(b, 0x80, 0x28, 0, 4)
		b = binary.BigEndian.AppendUint32(b, sum)
	}
	return b
}

func attribute(kind, length uint16, value ...byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, kind)
	return append(binary.BigEndian.AppendUint16(b, length), value...)
}

func TestUnsoundMessagesAreNamed(t *testing.T) {
	integrity := attribute(attrIntegrity, 20, make([]byte, 20)...)
	many := make([][]byte, 300)
	for i := range many {
		many[i] = attribute(0x8022, 0)
	}
	crc := build(bindingSuccess, true)[stunHeader:]
	long := build(bindingRequest, false)
	binary.BigEndian.PutUint16(long[2:], 65532)
	for name, c := range map[string]struct {
		b    []byte
		want StunFault
	}{
		"empty":                       {nil, StunShort},
		"header only is fine":         {build(bindingRequest, false), StunSound},
		"no cookie":                   {make([]byte, 20), StunNoCookie},
		"length of 65532":             {long, StunWrongLength},
		"cut":                         {vectorRequest[:40], StunWrongLength},
		"tail":                        {append(bytes.Clone(vectorRequest), 0, 0, 0, 0), StunWrongLength},
		"odd length":                  {append(build(bindingRequest, false), 0), StunWrongLength},
		"attribute of 65535":          {build(bindingRequest, false, attribute(0x8022, 65535, 1, 2, 3, 4)), StunAttributeOverrun},
		"padding missing":             {build(bindingRequest, false, attribute(0x8022, 5, 1, 2, 3, 4)), StunAttributeOverrun},
		"300 attributes":              {build(bindingRequest, false, many...), StunTooManyAttributes},
		"short XOR-MAPPED-ADDRESS":    {build(bindingSuccess, false, attribute(attrXORMappedAddress, 4, 0, 1, 0, 0)), StunAttributeSize},
		"wrong family":                {build(bindingSuccess, false, attribute(attrXORMappedAddress, 8, 0, 2, 0, 0, 0, 0, 0, 0)), StunAttributeSize},
		"short integrity":             {build(bindingRequest, false, attribute(attrIntegrity, 4, 0, 0, 0, 0)), StunAttributeSize},
		"short error code":            {build(bindingError, false, attribute(attrErrorCode, 0)), StunAttributeSize},
		"duplicated integrity":        {build(bindingRequest, false, integrity, integrity), StunOrder},
		"duplicated priority":         {build(bindingRequest, false, attribute(attrPriority, 4, 0, 0, 0, 0), attribute(attrPriority, 4, 0, 0, 0, 0)), StunDuplicate},
		"attribute behind integrity":  {build(bindingRequest, false, integrity, attribute(attrUseCandidate, 0)), StunOrder},
		"fingerprint not last":        {build(bindingSuccess, false, crc, attribute(0x8022, 0)), StunFingerprint},
		"wrong fingerprint":           {build(bindingRequest, false, attribute(attrFingerprint, 4, 1, 2, 3, 4)), StunFingerprint},
		"unknown, must be understood": {build(bindingRequest, true, attribute(0x7777, 0)), StunUnknownAttribute},
		"unknown, may be ignored":     {build(bindingRequest, true, attribute(0x8777, 3, 1, 2, 3, 0)), StunSound},
		"allocate request":            {build(0x0003, true), StunNotBinding},
	} {
		if got := CheckSTUN(c.b); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// FuzzCheckSTUN: what is let through must not make pion panic, and pion must see the same message.
func FuzzCheckSTUN(f *testing.F) {
	f.Add(vectorRequest)
	f.Add(vectorResponse4)
	f.Add(vectorResponse6)
	f.Add(build(bindingError, true, attribute(attrErrorCode, 4, 0, 0, 4, 87)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if CheckSTUN(b) != StunSound {
			return
		}
		m := &stun.Message{Raw: bytes.Clone(b)}
		if err := m.Decode(); err != nil {
			t.Fatalf("sound, but pion says %v", err)
		}
		_ = stun.MessageIntegrity(vectorPassword).Check(m)
		_ = stun.Fingerprint.Check(m)
		var x stun.XORMappedAddress
		_ = x.GetFrom(m)
		var c stun.ErrorCodeAttribute
		_ = c.GetFrom(m)
		var u stun.Username
		_ = u.GetFrom(m)
		_ = m.String()
	})
}
