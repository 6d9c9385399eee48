package sdp

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	pion "github.com/pion/sdp/v3"
)

var update = flag.Bool("update", false, "write the golden files anew")

// fixed is a complete Local; documentation addresses, no secret.
var fixed = Local{
	SessionID:   7000000000000000001,
	Ufrag:       "oUfr4g88",
	Pwd:         "oPassword0123456789abcdef0123456",
	Fingerprint: strings.TrimSuffix(strings.Repeat("0A:", 32), ":"),
	Candidates:  []netip.AddrPort{netip.MustParseAddrPort("203.0.113.7:20000"), netip.MustParseAddrPort("[2001:db8:7::1]:20000")},
	SSRC:        305419896,
	CNAME:       "c0ffee",
	MSID:        "5tream",
}

func load(t testing.TB, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(filepath.Join("testdata", name), []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(load(t, name), got); d != "" {
		t.Errorf("%s (-golden +got; -update writes it):\n%s", name, d)
	}
}

func public(t testing.TB) func(netip.Addr) error {
	t.Helper()
	return AllowPublic(nil)
}

func ports(s ...string) []netip.AddrPort {
	var result []netip.AddrPort
	for _, s := range s {
		result = append(result, netip.MustParseAddrPort(s))
	}
	return result
}

var comparer = cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })

func TestLiveOfferIsRead(t *testing.T) {
	got, err := ParseOffer(load(t, "offer.sdp"), public(t))
	if err != nil {
		t.Fatal(err)
	}
	want := &Remote{
		Ufrag: "NvPeRHRlBReaRYCZ", Pwd: "+219v9nKr3xSQIn8s+Fy8g==", Lite: true,
		Candidates:  ports("[2001:db8:f312:131:face:b00c:0:699c]:3480", "192.0.2.49:3480"),
		Fingerprint: "75:85:02:48:9C:1A:E7:0D:33:5B:F2:60:8E:41:D9:A6:17:BC:54:0F:92:E8:3D:7A:C5:28:61:9F:04:B3:C6:71",
		Setup:       SetupActpass, Profile: "UDP/TLS/RTP/SAVPF", Mid: "audio", BundleID: "audio",
		OpusPT: 111, DTMFPT: 126, DTMFListed: true,
		OpusFmtp: "maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;sprop-maxcapturerate=16000;useinbandfec=1",
		SSRC:     613016344,
	}
	if d := cmp.Diff(want, got, comparer); d != "" {
		t.Error(d)
	}
	if !got.Client() {
		t.Error("actpass leaves the client's role to us")
	}
}

// The older shape: extension maps, four ssrc lines, a ufrag behind the candidate, a 32-character password, port 40012, no group.
func TestOlderOfferIsRead(t *testing.T) {
	got, err := ParseOffer(load(t, "offer-older.sdp"), public(t))
	if err != nil {
		t.Fatal(err)
	}
	want := &Remote{
		Ufrag: "Cx7T", Pwd: "0123456789abcdef0123456789abcdef", Lite: true,
		Candidates:  ports("198.51.100.62:40012"),
		Fingerprint: "75:85:02:48:9C:1A:E7:0D:33:5B:F2:60:8E:41:D9:A6:17:BC:54:0F:92:E8:3D:7A:C5:28:61:9F:04:B3:C6:71",
		Setup:       SetupActpass, Profile: "UDP/TLS/RTP/SAVPF", Mid: "0",
		OpusPT: 109, DTMFPT: 126, OpusFmtp: "minptime=10;useinbandfec=1", SSRC: 3735928559,
	}
	if d := cmp.Diff(want, got, comparer); d != "" {
		t.Error(d)
	}
}

func TestAnswerIsWrittenByteForByte(t *testing.T) {
	for _, test := range []struct{ offer, golden string }{
		{"offer.sdp", "answer.golden"},
		{"offer-older.sdp", "answer-older.golden"},
	} {
		r, err := ParseOffer(load(t, test.offer), public(t))
		if err != nil {
			t.Fatal(err)
		}
		text := Answer(r, fixed)
		golden(t, test.golden, text)
		if text != Answer(r, fixed) {
			t.Error("twice is not the same")
		}
		checkOurs(t, text)
	}
}

func TestOfferIsWrittenByteForByte(t *testing.T) {
	text := Offer(fixed)
	golden(t, "our-offer.golden", text)
	checkOurs(t, text)
}

// checkOurs holds every description of ours to the list that Meta refuses by.
func checkOurs(t testing.TB, text string) {
	t.Helper()
	if strings.Count(text, "\n") != strings.Count(text, "\r\n") || !strings.HasSuffix(text, "\r\n") {
		t.Error("lines must end in CRLF")
	}
	parsed := new(pion.SessionDescription)
	if err := parsed.UnmarshalString(text); err != nil {
		t.Fatalf("pion: %v\n%s", err, text)
	}
	again, err := parsed.Marshal()
	if err != nil || string(again) != text {
		t.Errorf("pion writes it differently (%v):\n%s", err, cmp.Diff(text, string(again)))
	}
	for prefix, want := range map[string]int{
		"m=": 1, "a=fingerprint:sha-256 ": 1, "a=ssrc:": 1, "a=ice-lite": 0, "a=sendrecv": 1, "a=rtcp-mux": 1, "a=ptime:20": 1,
		"a=maxptime:20": 1, "a=setup:": 1, "a=extmap": 0, "a=msid:": 1, "a=rtcp-fb": 0, "a=crypto": 0,
	} {
		if n := strings.Count(text, "\n"+prefix); n != want {
			t.Errorf("%q stands %d times, want %d", prefix, n, want)
		}
	}
}

func TestDTMFIsAnsweredOnlyWhenListed(t *testing.T) {
	offer := edit(load(t, "offer.sdp"), "SAVPF 111 126", "SAVPF 111", "a=rtpmap:126 telephone-event/8000\n", "")
	r, err := ParseOffer(offer, public(t))
	if err != nil {
		t.Fatal(err)
	}
	if r.DTMFPT != 126 || r.DTMFListed {
		t.Errorf("payload type %d, listed %t; Meta assumes 126", r.DTMFPT, r.DTMFListed)
	}
	if a := Answer(r, fixed); strings.Contains(a, "126") {
		t.Errorf("an answer may not list what was not offered:\n%s", a)
	}
}

func TestWideClockTelephoneEventIsSkipped(t *testing.T) {
	offer := edit(load(t, "offer.sdp"), "SAVPF 111 126", "SAVPF 111 110 126", "a=rtpmap:126", "a=rtpmap:110 telephone-event/48000\na=rtpmap:126")
	r, err := ParseOffer(offer, public(t))
	if err != nil || r.DTMFPT != 126 || !r.DTMFListed {
		t.Fatalf("%v, %v", r, err)
	}
}

func TestAttributesMayStandAtSessionLevel(t *testing.T) {
	text := load(t, "offer.sdp")
	var session, media []string
	for _, l := range strings.Split(strings.TrimSpace(text), "\n") {
		for _, key := range []string{"a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=setup"} {
			if strings.HasPrefix(l, key) {
				session = append(session, l)
			}
		}
		if len(session) == 0 || session[len(session)-1] != l {
			media = append(media, l)
		}
	}
	moved := strings.Replace(strings.Join(media, "\n"), "m=audio", strings.Join(session, "\n")+"\nm=audio", 1) + "\n"
	want, _ := ParseOffer(text, public(t))
	got, err := ParseOffer(moved, public(t))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, comparer); d != "" {
		t.Error(d)
	}
}

func TestMediaLevelWinsOverSessionLevel(t *testing.T) {
	offer := edit(load(t, "offer.sdp"), "a=ice-lite", "a=ice-lite\na=ice-ufrag:other\na=setup:active")
	r, err := ParseOffer(offer, public(t))
	if err != nil || r.Ufrag != "NvPeRHRlBReaRYCZ" || r.Setup != SetupActpass {
		t.Errorf("%v, %v", r, err)
	}
	offer = edit(load(t, "offer.sdp"), "a=ice-lite\n", "", "a=mid:audio", "a=mid:audio\na=ice-lite")
	if r, err = ParseOffer(offer, public(t)); err != nil || !r.Lite {
		t.Errorf("ice-lite at media level: %v, %v", r, err)
	}
	offer = edit(load(t, "offer.sdp"), "a=ice-lite\n", "")
	if r, err = ParseOffer(offer, public(t)); err != nil || r.Lite {
		t.Errorf("no ice-lite: %v, %v", r, err)
	}
}

func TestSetupDecidesWhoIsClient(t *testing.T) {
	for setup, answered := range map[string]string{"actpass": "active", "passive": "active", "active": "passive"} {
		r, err := ParseOffer(edit(load(t, "offer.sdp"), "setup:actpass", "setup:"+setup), public(t))
		if err != nil {
			t.Fatal(err)
		}
		if a := Answer(r, fixed); !strings.Contains(a, "a=setup:"+answered+"\r\n") {
			t.Errorf("%s is not answered with %s", setup, answered)
		}
		if r.Client() != (answered == "active") {
			t.Errorf("%s: client %t", setup, r.Client())
		}
	}
}

func TestAnswerMirrorsOurOffer(t *testing.T) {
	for _, setup := range []string{"active", "passive", "actpass"} {
		text := edit(load(t, "meta-answer.sdp"), "setup:active", "setup:"+setup)
		r, err := ParseAnswer(text, &fixed, public(t))
		if err != nil {
			t.Fatal(err)
		}
		if r.Client() != (setup != "active") {
			t.Errorf("setup %s: client %t", setup, r.Client())
		}
		if r.Mid != OfferMid || r.OpusPT != 111 || r.DTMFPT != 126 || !r.Lite {
			t.Errorf("%v", r)
		}
	}
}

func TestAnswerThatDoesNotMirrorIsRefused(t *testing.T) {
	for name, change := range map[string][]string{
		"opus moved":   {"SAVPF 111", "SAVPF 109", "rtpmap:111", "rtpmap:109"},
		"event moved":  {" 126\n", " 101\n", "rtpmap:126", "rtpmap:101"},
		"other mid":    {"mid:audio", "mid:0", "BUNDLE audio", "BUNDLE 0"},
		"other proto":  {"SAVPF", "SAVP"},
		"our own back": {load(t, "meta-answer.sdp"), Offer(fixed)},
	} {
		_, err := ParseAnswer(edit(load(t, "meta-answer.sdp"), change...), &fixed, public(t))
		var refused *Error
		if !errors.As(err, &refused) || refused.Rule != RuleMirror {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseAnswer(load(t, "meta-answer.sdp"), nil, public(t)); err != nil {
		t.Errorf("without our offer at hand: %v", err)
	}
}

// edit replaces in pairs and insists that there was something to replace.
func edit(s string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(s, pairs[i]) {
			panic("nothing to replace: " + pairs[i])
		}
		s = strings.Replace(s, pairs[i], pairs[i+1], 1)
	}
	return s
}
