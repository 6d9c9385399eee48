package shard

import (
	"net/netip"
	"testing"
	"time"

	"github.com/onelane/onelane/ice"
	"github.com/onelane/onelane/ice/udp"
)

// A DTLS client (Meta, in the calls that we make) sends its ClientHello in the instant that it answers the nominating check.
func TestClientHelloThatOutrunsTheNominationIsKept(t *testing.T) {
	stranger := netip.MustParseAddrPort("203.0.113.66:9")
	for _, c := range []struct {
		name string
		from []netip.AddrPort
		want string
	}{
		{"from the pair", []netip.AddrPort{metaAddr}, "\x16a"},
		{"the newest", []netip.AddrPort{metaAddr, metaAddr}, "\x16b"},
		{"from elsewhere", []netip.AddrPort{stranger}, ""},
		{"none", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			setup := ice.NewConn(nil, func([]byte, netip.AddrPort) {})
			ref := r.core.Add(NewCall{Owner: 1, Ports: []udp.Port{r.next}, Setup: []*ice.Conn{setup}, SSRC: testSSRC, CNAME: "c"})
			for i, from := range c.from {
				r.core.Turn(r.now, []udp.Datagram{{Port: r.next, Remote: from, Data: []byte{22, byte('a' + i)}}})
			}
			link := ice.NewConn(nil, func([]byte, netip.AddrPort) {})
			link.Connect(metaAddr)
			consent := ice.NewConsent(ice.Credentials{Ufrag: "us", Pwd: "ourpasswordourpassword"}, ice.Credentials{Ufrag: "them", Pwd: "theirpasswordtheirpass"}, metaAddr, true)
			if _, ok := r.core.Nominate(r.now, ref, 0, metaAddr, consent, link); !ok {
				t.Fatal("not nominated")
			}
			drain(r.core)
			if c.want == "" {
				if err := link.SetReadDeadline(time.Unix(1, 0)); err != nil { // long over: Read does not wait
					t.Fatal(err)
				}
			}
			b := make([]byte, 100)
			n, err := link.Read(b)
			if string(b[:n]) != c.want || (err == nil) != (c.want != "") {
				t.Errorf("got %q, %v, want %q", b[:n], err, c.want)
			}
		})
	}
}
