package rtp

import (
	"net/netip"
	"strings"
	"testing"
)

func networks(s ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range s {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

var everything = networks("0.0.0.0/0", "::/0")

func TestALegHasDefaults(t *testing.T) {
	leg, err := Parse(map[string]string{"peer": "203.0.113.9:5004"}, networks("203.0.113.0/24"))
	want := Leg{Peer: netip.MustParseAddrPort("203.0.113.9:5004"), OpusPT: 111, DTMFPT: 101, DTMFClock: 8000}
	if err != nil || leg != want {
		t.Errorf("%+v, %v", leg, err)
	}
	leg, err = Parse(map[string]string{"peer": "[2001:db8::9]:5004", "opus": "96", "dtmf": "127"}, networks("2001:db8::/32"))
	want = Leg{Peer: netip.MustParseAddrPort("[2001:db8::9]:5004"), OpusPT: 96, DTMFPT: 127, DTMFClock: 8000}
	if err != nil || leg != want {
		t.Errorf("%+v, %v", leg, err)
	}
}

func TestDefaultsAreTheDocumentedOnes(t *testing.T) {
	params := map[string]string{}
	for _, p := range Params {
		if p.Doc == "" || p.Required {
			t.Errorf("%+v", p)
		}
		params[p.Name] = p.Default
	}
	filled, err := Parse(params, everything)
	if err != nil {
		t.Fatal(err)
	}
	if empty, err := Parse(nil, everything); err != nil || empty != filled {
		t.Errorf("%+v, %+v, %v", empty, filled, err)
	}
}

func TestWithoutAPeerItIsLearnt(t *testing.T) {
	leg, err := Parse(map[string]string{"peer": ""}, networks("10.0.0.0/8"))
	if err != nil || !leg.Learn || leg.Peer.IsValid() {
		t.Errorf("%+v, %v", leg, err)
	}
}

func TestWithoutAllowedNetworksThereAreNoLegs(t *testing.T) {
	for _, peer := range []string{"", "203.0.113.9:5004", "127.0.0.1:5004"} {
		if _, err := Parse(map[string]string{"peer": peer}, nil); err == nil || !strings.Contains(err.Error(), "rtp.allow_networks") {
			t.Errorf("peer %q: %v", peer, err)
		}
	}
}

func TestWideNetworksDoNotAllowSpecialOnes(t *testing.T) {
	for _, peer := range []string{
		"127.0.0.1:5004", "127.8.8.8:5004", "[::1]:5004", "169.254.169.254:80", "[fe80::1]:5004", "10.1.2.3:5004", "172.31.0.1:5004",
		"192.168.0.1:5004", "100.100.100.200:80", "192.0.0.192:80", "198.18.0.1:5004", "240.0.0.1:5004", "[fd00:ec2::254]:80", "[fc00::1]:5004",
		"[fec0::1]:5004", "[64:ff9b::a9fe:a9fe]:80", "[64:ff9b:1::7f00:1]:80", "[2002:7f00:1::]:80", "[2001:0:1::1]:80",
		"0.0.0.0:5004", "0.1.2.3:5004", "[::]:5004", "224.0.0.1:5004", "239.1.1.1:5004", "[ff02::1]:5004", "255.255.255.255:5004",
		"[::ffff:127.0.0.1]:5004", "[::ffff:203.0.113.9]:5004", "[::127.0.0.1]:5004", "[::7f00:1]:5004",
	} {
		if leg, err := Parse(map[string]string{"peer": peer}, everything); err == nil {
			t.Errorf("%s is allowed: %+v", peer, leg)
		}
	}
}

func TestSpecialNetworksAreAllowedByName(t *testing.T) {
	for peer, network := range map[string]string{
		"127.0.0.1:5004":       "127.0.0.1/32",
		"10.77.0.2:5004":       "10.0.0.0/8",
		"192.168.3.4:5004":     "192.168.3.0/24",
		"[::1]:5004":           "::1/128",
		"[fd00::1]:5004":       "fd00::/8",
		"[64:ff9b::808:1]:999": "64:ff9b::/96",
	} {
		if _, err := Parse(map[string]string{"peer": peer}, networks(network)); err != nil {
			t.Errorf("%s in %s: %v", peer, network, err)
		}
	}
	for peer, network := range map[string]string{
		"224.0.0.1:5004":       "224.0.0.0/4",
		"0.0.0.0:5004":         "0.0.0.0/32",
		"255.255.255.255:5004": "255.255.255.255/32",
		"[ff02::1]:5004":       "ff00::/8",
		"10.77.0.2:5004":       "10.78.0.0/16",
		"203.0.113.9:5004":     "203.0.112.0/24",
	} {
		if _, err := Parse(map[string]string{"peer": peer}, networks(network)); err == nil {
			t.Errorf("%s is allowed by %s", peer, network)
		}
	}
}

func TestOnlyTheCanonicalFormIsAnAddress(t *testing.T) {
	for _, peer := range []string{
		"2130706433:5004", "0177.0.0.1:5004", "0x7f.0.0.1:5004", "0x7f000001:5004", "127.1:5004", "127.0.0.1", "127.0.0.1:", ":5004", "5004",
		"localhost:5004", "example.com:5004", "203.0.113.9:0", "203.0.113.9:65536", "203.0.113.9:-1", "203.0.113.9:sip", " 203.0.113.9:5004",
		"203.0.113.9:5004 ", "203.0.113.09:5004", "[fe80::1%eth0]:5004", "2001:db8::9:5004", "[203.0.113.9]:5004", "203.0.113.9:5004\x00",
		"rtp://203.0.113.9:5004", strings.Repeat("1", 1<<16),
	} {
		_, err := Parse(map[string]string{"peer": peer}, append(networks("127.0.0.0/8", "fe80::/10"), everything...))
		if err == nil {
			t.Errorf("%.80q is allowed", peer)
		} else if len(err.Error()) > 400 {
			t.Errorf("%.40q: an error of %d bytes", peer, len(err.Error()))
		}
	}
}

func TestBadPayloadTypesAreRefused(t *testing.T) {
	for _, params := range []map[string]string{
		{"opus": "0"}, {"opus": "95"}, {"opus": "128"}, {"opus": "-1"}, {"opus": "+111"}, {"opus": "0111"}, {"opus": "x"}, {"dtmf": "8"},
		{"opus": "101"}, {"dtmf": "111"}, {"opus": "120", "dtmf": "120"}, {"codec": "pcmu"}, {"Peer": "203.0.113.9:5004"},
	} {
		if leg, err := Parse(params, everything); err == nil {
			t.Errorf("%v: %+v", params, leg)
		}
	}
}

func FuzzNoPeerEscapesTheAllowedNetworks(f *testing.F) {
	for _, s := range []string{"203.0.113.9:5004", "127.0.0.1:1", "[::1]:1", "[::ffff:1.2.3.4]:5", "0x7f.1:2", ""} {
		f.Add(s)
	}
	allow := networks("203.0.113.0/24", "2001:db8::/32")
	f.Fuzz(func(t *testing.T, s string) {
		leg, err := Parse(map[string]string{"peer": s}, allow)
		if err != nil || leg.Learn {
			return
		}
		if a := leg.Peer.Addr(); !allow[0].Contains(a) && !allow[1].Contains(a) || leg.Peer.Port() == 0 {
			t.Errorf("%q gives %v", s, leg.Peer)
		}
	})
}

func TestALegSaysItsClockOfDigits(t *testing.T) {
	allow := networks("203.0.113.0/24")
	if l, err := Parse(map[string]string{"dtmf_clock": "48000"}, allow); err != nil || l.DTMFClock != 48000 {
		t.Errorf("%+v, %v", l, err)
	}
	if _, err := Parse(map[string]string{"dtmf_clock": "16000"}, allow); err == nil || !strings.Contains(err.Error(), "8000 or 48000") {
		t.Errorf("16000: %v", err)
	}
}
