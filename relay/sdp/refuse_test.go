package sdp

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestFaultyOffersAreRefusedByLineAndRule(t *testing.T) {
	offer := load(t, "offer.sdp")
	const fingerprint = "a=fingerprint:sha-256 75:85:02"
	tests := []struct {
		name  string
		text  string
		line  int
		rule  string
		words string
	}{
		{"empty", "", 0, RuleText, "empty"},
		{"blank", " \r\n\r\n", 0, RuleText, "empty"},
		{"NUL", edit(offer, "s=-", "s=\x00"), 3, RuleText, "control character 0x00"},
		{"bad UTF-8", edit(offer, "s=-", "s=\xff"), 3, RuleText, "UTF-8"},
		{"CR only", strings.ReplaceAll(offer, "\n", "\r"), 1, RuleText, "CR alone"},
		{"CR inside", edit(offer, "s=-", "s=\r-"), 3, RuleText, "CR stands inside"},
		{"escaped JSON", strings.ReplaceAll(offer, "\n", `\r\n`), 1, RuleText, "unescape the JSON"},
		{"not SDP", "hello", 1, RuleGrammar, "does not begin with"},
		{"JSON", "{\"sdp\":\"v=0\"}\n", 1, RuleGrammar, "does not begin with"},
		{"no version", edit(offer, "v=0\n", ""), 1, RuleGrammar, "out of order"},
		{"bad origin", edit(offer, "o=- 1790963543407", "o=- x"), 2, RuleGrammar, `"o=" line`},
		{"bad port", edit(offer, "m=audio 3480", "m=audio 99999"), 8, RuleGrammar, `"m=" line`},
		{"bad transport", edit(offer, "UDP/TLS/RTP/SAVPF", "CARRIER/PIGEON"), 8, RuleGrammar, `"m=" line`},
		{"no media", offer[:strings.Index(offer, "m=")], 0, RuleMedia, "no m= line"},
		{"video", edit(offer, "m=audio", "m=video"), 8, RuleMedia, "needs m=audio"},
		{"two media", offer + "m=video 9 UDP/TLS/RTP/SAVPF 96\n", 28, RuleMedia, "second m= line"},
		{"rejected", edit(offer, "m=audio 3480", "m=audio 0"), 8, RuleRejected, "rejects the media"},
		{"SDES", edit(offer, "UDP/TLS/RTP/SAVPF", "RTP/SAVP", "a=setup:actpass", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:canary"), 15, RuleSDES, "not supported here"},
		{"plain RTP", edit(offer, "UDP/TLS/RTP/SAVPF", "RTP/AVP"), 8, RuleTransport, "only UDP/TLS/RTP/SAVPF"},
		{"no rtcp-mux", edit(offer, "a=rtcp-mux\n", ""), 8, RuleMux, "missing"},
		{"hold", edit(offer, "a=sendrecv", "a=sendonly"), 17, RuleDirection, "both directions"},
		{"short packets only", edit(offer, "maxptime:20", "maxptime:10"), 25, RulePtime, "20 ms"},
		{"no number of ms", edit(offer, "maxptime:20", "maxptime:NaN"), 25, RulePtime, "20 ms"},

		{"no opus", edit(offer, "opus/48000/2", "PCMU/8000"), 8, RuleCodec, "PCMU/8000, telephone-event/8000"},
		{"mono opus", edit(offer, "opus/48000/2", "opus/48000"), 8, RuleCodec, "opus/48000/2 is not among"},
		{"opus not in m=", edit(offer, "SAVPF 111 126", "SAVPF 0 126"), 8, RuleCodec, "payload type 0"},
		{"payload type text", edit(offer, "SAVPF 111 126", "SAVPF opus"), 8, RulePayloadType, "not a payload type"},
		{"payload type of RTCP", edit(offer, "SAVPF 111 ", "SAVPF 72 ", "rtpmap:111", "rtpmap:72"), 20, RulePayloadType, "RFC 5761"},
		{"payload type twice", edit(offer, "rtpmap:126", "rtpmap:111"), 23, RulePayloadType, "mapped again"},
		{"126 is another", edit(offer, "telephone-event/8000", "telephone-event/48000"), 23, RulePayloadType, "payload type 126"},
		{"long fmtp", edit(offer, "minptime=20", strings.Repeat("x", 600)), 22, RuleCodec, "at most 512"},

		{"no fingerprint", dropLine(offer, "a=fingerprint"), 8, RuleFingerprint, "missing"},
		{"two fingerprints", edit(offer, "a=setup", "a=fingerprint:sha-256 00:11\na=setup"), 15, RuleFingerprint, "2 a=fingerprint lines"},
		{"one at each level", edit(offer, "a=ice-lite", "a=ice-lite\na=fingerprint:sha-1 00:11"), 15, RuleFingerprint, "2 a=fingerprint lines"},
		{"sha-1", edit(offer, "fingerprint:sha-256", "fingerprint:sha-1"), 14, RuleFingerprint, "only sha-256"},
		{"short fingerprint", edit(offer, fingerprint, "a=fingerprint:sha-256 75:85"), 14, RuleFingerprint, "32 pairs"},
		{"fingerprint not hex", edit(offer, fingerprint, "a=fingerprint:sha-256 75:85:0G"), 14, RuleFingerprint, "32 pairs"},

		{"no setup", edit(offer, "a=setup:actpass\n", ""), 8, RuleSetup, "missing"},
		{"holdconn", edit(offer, "setup:actpass", "setup:holdconn"), 15, RuleSetup, "holdconn"},
		{"two setups", edit(offer, "a=setup:actpass", "a=setup:actpass\na=setup:active"), 16, RuleSetup, "first is on line 15"},
		{"no ufrag", dropLine(offer, "a=ice-ufrag"), 8, RuleCredentials, "ice-ufrag is missing"},
		{"no pwd", dropLine(offer, "a=ice-pwd"), 8, RuleCredentials, "ice-pwd is missing"},
		{"short ufrag", edit(offer, "ice-ufrag:NvPeRHRlBReaRYCZ", "ice-ufrag:abc"), 12, RuleCredentials, "3 characters"},
		{"ufrag with colon", edit(offer, "ice-ufrag:NvPeRH", "ice-ufrag:Nv:eRH"), 12, RuleCredentials, "without ':'"},
		{"short pwd", edit(offer, "ice-pwd:+219v9nKr3xSQIn8s+Fy8g==", "ice-pwd:abc"), 13, RuleCredentials, "3 characters"},
		{"long pwd", edit(offer, "ice-pwd:", "ice-pwd:"+strings.Repeat("a", 256)), 13, RuleCredentials, "280 characters"},
		{"another pwd", edit(offer, "a=setup", "a=ice-pwd:0123456789abcdef0123456789abcdef\na=setup"), 15, RuleCredentials, "again with another value"},
		{"bundle of others", edit(offer, "BUNDLE audio", "BUNDLE video"), 5, RuleMid, "does not name the mid"},
		{"empty mid", edit(offer, "mid:audio", "mid:"), 16, RuleMid, "1 to 64"},
		{"mid with space", edit(offer, "mid:audio", "mid:au dio"), 16, RuleMid, "visible ASCII"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseOffer(test.text, public(t))
			var refused *Error
			if !errors.As(err, &refused) {
				t.Fatalf("not refused: %v", err)
			}
			if refused.Line != test.line || refused.Rule != test.rule || !strings.Contains(refused.Message, test.words) {
				t.Errorf("got  line %d, %s\nwant line %d, %s: ... %s ...", refused.Line, err, test.line, test.rule, test.words)
			}
			for _, secret := range []string{"+219v9nKr3xSQIn8s", "NvPeRHRlBReaRYCZ", "canary", "0123456789abcdef"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error has a secret in it: %v", err)
				}
			}
			if len(err.Error()) > 300 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

func dropLine(s, prefix string) string {
	var kept []string
	for _, l := range strings.Split(s, "\n") {
		if !strings.HasPrefix(l, prefix) {
			kept = append(kept, l)
		}
	}
	return strings.Join(kept, "\n")
}

func TestHugeDescriptionsAreRefusedInMilliseconds(t *testing.T) {
	offer := load(t, "offer.sdp")
	for name, test := range map[string]struct {
		text string
		rule string
	}{
		"10 MB":             {strings.Repeat("a=x\r\n", 2<<20), RuleSize},
		"a million lines":   {strings.Repeat("\n", 1<<20), RuleSize},
		"one byte too many": {offer + "a=" + strings.Repeat("x", MaxBytes-len(offer)-1), RuleSize},
		"64 KiB of lines":   {offer + strings.Repeat("\n", MaxBytes-len(offer)), RuleSize},
		"64 KiB of media":   {offer + strings.Repeat("m=audio 9 RTP/AVP 0\n", 900), RuleMedia},
		"fault at the end":  {offer + strings.Repeat("a=x\n", 900) + "z=!\n", RuleGrammar},
		"rtpmaps":           {offer + strings.Repeat("a=rtpmap:111 x\n", 900), RulePayloadType},
		"candidates":        {offer + strings.Repeat("a=candidate:1 1 udp 1 192.0.2.1 9 typ host\n", 900), RuleCandidate},
		"formats":           {edit(offer, "SAVPF 111", "SAVPF"+strings.Repeat(" 112", 10000)), RuleCodec},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "formats" {
				test.text = edit(test.text, "opus", "opux")
			}
			began := time.Now()
			_, err := ParseOffer(test.text, public(t))
			// Generous for the race detector on a busy machine: the point is that it is not seconds.
			if took := time.Since(began); took > 500*time.Millisecond {
				t.Errorf("took %v", took)
			}
			var refused *Error
			if !errors.As(err, &refused) || refused.Rule != test.rule {
				t.Errorf("want %s, got %v", test.rule, err)
			}
			if err != nil && len(err.Error()) > 400 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

func TestCandidatesOfNoUseAreSkipped(t *testing.T) {
	offer := edit(load(t, "offer.sdp"), "a=ice-ufrag", strings.Join([]string{
		"a=candidate:1 2 udp 1 192.0.2.50 9 typ host",
		"a=candidate:2 1 tcp 1 192.0.2.51 9 typ host tcptype passive",
		"a=candidate:3 1 udp 1 192.0.2.52 9 typ srflx raddr 0.0.0.0 rport 9",
		"a=candidate:4 1 udp 1 10.0.0.1 9 typ relay raddr 0.0.0.0 rport 9",
		"a=candidate:5 1 UDP 5 192.0.2.53 9 typ host generation 0 ufrag abcd network-id 1",
		"a=candidate:6 1 udp 4 192.0.2.49 3480 typ host",
		"a=ice-ufrag",
	}, "\n"))
	r, err := ParseOffer(offer, public(t))
	if err != nil {
		t.Fatal(err)
	}
	want := ports("[2001:db8:f312:131:face:b00c:0:699c]:3480", "192.0.2.49:3480", "192.0.2.53:9")
	if fmt.Sprint(r.Candidates) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", r.Candidates, want)
	}
}

func TestFaultyCandidatesAreRefused(t *testing.T) {
	for text, words := range map[string]string{
		"1 1 udp 1 192.0.2.1 9":                                "does not read",
		"1 1 udp 1 192.0.2.1 9 type host":                      "does not read",
		"1 x udp 1 192.0.2.1 9 typ host":                       "component",
		"1 1 udp 4294967296 192.0.2.1 9 typ host":              "priority",
		"1 1 udp 1 192.0.2.1 0 typ host":                       "port",
		"1 1 udp 1 192.0.2.1 65536 typ host":                   "port",
		"1 1 udp 1 relay.example.org 9 typ host":               "names are not resolved",
		"1 1 udp 1 6a1f-42.local 9 typ host":                   "mDNS",
		"1 1 udp 1 2130706433 9 typ host":                      "not an IP address",
		"1 1 udp 1 0177.0.0.1 9 typ host":                      "not an IP address",
		"1 1 udp 1 fe80::1%eth0 9 typ host":                    "zone",
		"1 1 udp 1 " + strings.Repeat("a", 99) + " 9 typ host": "not an IP address",
	} {
		_, err := ParseOffer(edit(load(t, "offer.sdp"), "a=ice-ufrag", "a=candidate:"+text+"\na=ice-ufrag"), public(t))
		var refused *Error
		if !errors.As(err, &refused) || refused.Rule != RuleCandidate || refused.Line != 12 || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", text, err)
		}
	}
	none := dropLine(load(t, "offer.sdp"), "a=candidate")
	if _, err := ParseOffer(none, public(t)); err == nil || !strings.Contains(err.Error(), "no UDP host candidate") {
		t.Errorf("no candidate: %v", err)
	}
}

func TestCandidatesInForbiddenNetworksAreRefused(t *testing.T) {
	for _, address := range []string{
		"127.0.0.1", "127.8.8.8", "0.0.0.0", "0.1.2.3", "10.77.0.2", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
		"100.64.0.1", "100.100.100.200", "192.0.0.192", "198.18.0.1", "224.0.0.1", "239.255.255.250", "255.255.255.255", "240.0.0.1",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:192.0.2.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001::1", "fe80::1",
		"fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "203.0.113.7",
	} {
		policy := AllowPublic(nil, netip.MustParseAddr("203.0.113.7"))
		text := edit(load(t, "offer.sdp"), "192.0.2.49 3480 typ", address+" 3480 typ")
		_, err := ParseOffer(text, policy)
		var refused *Error
		if !errors.As(err, &refused) || refused.Rule != RuleAddress || refused.Line != 11 && refused.Line != 10 {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"1.1.1.1", "157.240.19.49", "172.32.0.1", "2a03:2880:f312:131:face:b00c:0:699c", "192.0.2.49", "2001:db8::1", "2001:4860::1"} {
		if err := AllowPublic(nil)(netip.MustParseAddr(address)); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestAllowedNetworkWinsOverEveryRefusal(t *testing.T) {
	own := netip.MustParseAddr("127.0.0.1")
	policy := AllowPublic([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("fd00:77::/64")}, own)
	for address, allowed := range map[string]bool{"127.0.0.1": true, "fd00:77::2": true, "10.0.0.1": false, "fd00:78::2": false, "::ffff:127.0.0.1": false} {
		if err := policy(netip.MustParseAddr(address)); (err == nil) != allowed {
			t.Errorf("%s: %v", address, err)
		}
	}
	if err := policy(netip.Addr{}); err == nil {
		t.Error("the zero address is allowed")
	}
}

func TestSecretsStayOutOfPrintedValues(t *testing.T) {
	r, err := ParseOffer(load(t, "offer.sdp"), public(t))
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%v %+v %#v %s %v %+v %#v %v", r, r, r, r, fixed, fixed, fixed, &fixed)
	for _, secret := range []string{r.Pwd, r.Ufrag, fixed.Pwd, fixed.Ufrag} {
		if strings.Contains(text, secret) {
			t.Errorf("printed: %s", text)
		}
	}
}
