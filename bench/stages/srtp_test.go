package stages

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/stun/v2"

	"github.com/onelane/onelane/ice"
	"github.com/onelane/onelane/ice/secure"
	"github.com/onelane/onelane/rtpx"
)

// keys of both ends; swapped, they are the far end's.
func keys(swap bool) secure.Keys {
	a, b := bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 16)
	sa, sb := bytes.Repeat([]byte{3}, 12), bytes.Repeat([]byte{4}, 12)
	if swap {
		a, b, sa, sb = b, a, sb, sa
	}
	return secure.Keys{Profile: secure.AEAD_AES_128_GCM, LocalKey: a, LocalSalt: sa, RemoteKey: b, RemoteSalt: sb}
}

func openers(b *testing.B, calls int) []*secure.Opener {
	list := make([]*secure.Opener, calls)
	for i := range list {
		var err error
		if list[i], err = secure.NewOpener(keys(false)); err != nil {
			b.Fatal(err)
		}
	}
	return list
}

func sealers(b *testing.B, calls int, swap bool) []*secure.Sealer {
	list := make([]*secure.Sealer, calls)
	for i := range list {
		var err error
		if list[i], err = secure.NewSealer(keys(swap)); err != nil {
			b.Fatal(err)
		}
	}
	return list
}

func open(b *testing.B, calls, round int) (func(), func(int)) {
	ours, theirs := openers(b, calls), sealers(b, calls, true)
	packets, sealed := plain(round), make([][]byte, round)
	from, to := newTurn(calls), newTurn(calls)
	ready := func() {
		for i, p := range packets {
			k, number := from.next()
			rtpx.PutHeader(p, opusPT, false, uint16(number), 0, ssrc)
			var err error
			if sealed[i], err = theirs[k].Seal(p[:0], p); err != nil {
				b.Fatal(err)
			}
		}
	}
	return ready, func(n int) {
		for i := range n {
			k, _ := to.next()
			if _, err := ours[k].Open(sealed[i]); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func seal(b *testing.B, calls, round int) (func(), func(int)) {
	ours, packets := sealers(b, calls, false), plain(round)
	t := newTurn(calls)
	return nil, func(n int) {
		for i := range n {
			k, number := t.next()
			binary.BigEndian.PutUint16(packets[i][2:], uint16(number))
			if _, err := ours[k].Seal(packets[i][:0], packets[i]); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func compound(b []byte) []byte {
	return rtpx.AppendReport(b, rtpx.SenderReport{SSRC: ssrc, CNAME: "c", Packets: 1, Octets: 80}, new(rtpx.Reception).Report(ssrc, 0))
}

// rtcpIn opens and reads a report.
func rtcpIn(b *testing.B, calls, round int) (func(), func(int)) {
	ours, theirs := openers(b, calls), sealers(b, calls, true)
	plain := compound(nil)
	sealed := make([][]byte, round)
	for i := range sealed {
		sealed[i] = make([]byte, 0, len(plain)+secure.Overhead)
	}
	from, to := newTurn(calls), newTurn(calls)
	ready := func() {
		for i := range sealed {
			k, _ := from.next()
			var err error
			if sealed[i], err = theirs[k].SealRTCP(sealed[i][:0], plain); err != nil {
				b.Fatal(err)
			}
		}
	}
	return ready, func(n int) {
		for i := range n {
			k, _ := to.next()
			opened, err := ours[k].OpenRTCP(sealed[i])
			if err != nil {
				b.Fatal(err)
			}
			if _, fault := rtpx.ParseRTCP(opened, ssrc); fault != rtpx.OK {
				b.Fatal(fault)
			}
		}
	}
}

// rtcpOut writes and seals a report.
func rtcpOut(b *testing.B, calls, _ int) (func(), func(int)) {
	ours := sealers(b, calls, false)
	memory := make([]byte, 0, 200)
	t := newTurn(calls)
	return nil, func(n int) {
		for range n {
			k, _ := t.next()
			p := compound(memory)
			if _, err := ours[k].SealRTCP(p[:0], p); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// consentAnswer answers an authenticated Binding request of the far end.
func consentAnswer(b *testing.B, calls, round int) (func(), func(int)) {
	us, them := ice.Credentials{Ufrag: "ours", Pwd: "ourpasswordourpassword"}, ice.Credentials{Ufrag: "them", Pwd: "theirpasswordtheirpass"}
	far := netip.MustParseAddrPort("203.0.113.9:3480")
	checks := make([]*ice.Consent, calls)
	for i := range checks {
		checks[i] = ice.NewConsent(us, them, far, true)
		checks[i].Start(0)
	}
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername("ours:them"), stun.NewShortTermIntegrity(us.Pwd), stun.Fingerprint)
	if err != nil {
		b.Fatal(err)
	}
	scratch := new(ice.StunScratch)
	reply := make([]byte, 1500)
	work := make([]byte, 0, 256)
	t := newTurn(calls)
	return nil, func(n int) {
		for range n {
			k, number := t.next()
			work = append(work[:0], m.Raw...)
			if size, v := checks[k].Receive(time.Duration(number)*time.Second, far, work, reply, scratch); size == 0 {
				b.Fatal(v)
			}
		}
	}
}
