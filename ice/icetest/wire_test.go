package icetest

import (
	"net"
	"net/netip"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/stun/v2"
)

// live is the offer of a live call (addresses replaced), to compare shapes with.
const live = `v=0
o=- 1790963543407 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE audio
a=msid-semantic: WMS 7da83f2b-4810-4fe9-b568-5c88eb1b1724
a=ice-lite
m=audio 3480 UDP/TLS/RTP/SAVPF 111 126
c=IN IP4 192.0.2.49
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:2275956755 1 udp 2122260223 192.0.2.49 3480 typ host generation 0 network-cost 50
a=candidate:2684782176 1 udp 2122262783 2001:db8:f312:131:face:b00c:0:699c 3480 typ host generation 0 network-cost 50
a=ice-ufrag:NvPeRHRlBReaRYCZ
a=ice-pwd:+219v9nKr3xSQIn8s+Fy8g==
a=fingerprint:sha-256 75:85:02:48:57:11:85:02:48:57:11:85:02:48:57:11:85:02:48:57:11:85:02:48:57:11:85:02:48:57:C6:71
a=setup:actpass
a=mid:audio
a=sendrecv
a=msid:7da83f2b-4810-4fe9-b568-5c88eb1b1724 WhatsAppTrack1
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 maxaveragebitrate=20000;maxplaybackrate=16000;minptime=20;sprop-maxcapturerate=16000;useinbandfec=1
a=rtpmap:126 telephone-event/8000
a=maxptime:20
a=ptime:20
a=ssrc:613016344 cname:WhatsAppAudioStream1
`

// shape replaces what is random in an SDP.
func shape(text string) string {
	for pattern, with := range map[string]string{
		`o=- \d{13} `:                   "o=- N ",
		`[0-9a-f]{8}(-[0-9a-f]+)+`:      "UUID",
		`candidate:\d+`:                 "candidate:N",
		`ufrag:[A-Za-z0-9+/]{16}\r\n`:   "ufrag:16\r\n",
		`pwd:[A-Za-z0-9+/]{22}==`:       "pwd:24",
		`([0-9A-F]{2}:){31}[0-9A-F]{2}`: "32",
		`ssrc:\d+`:                      "ssrc:N",
	} {
		text = regexp.MustCompile(pattern).ReplaceAllString(text, with)
	}
	return text
}

func TestOfferHasTheShapeOfALiveOne(t *testing.T) {
	var network memory
	s := must(NewServer([]net.PacketConn{network.listen("192.0.2.49:3480"), network.listen("[2001:db8:f312:131:face:b00c:0:699c]:3480")}, Options{}))
	defer s.Close()
	c := must(s.NewCall(CallOptions{}))
	want := shape(strings.ReplaceAll(live, "\n", "\r\n"))
	if got := shape(c.Offer()); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
}

func TestStrangersGetNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network memory
		s := must(NewServer([]net.PacketConn{network.listen("192.0.2.49:3480")}, Options{}))
		stranger := network.listen("192.0.2.66:1")
		c := must(s.NewCall(CallOptions{}))
		c.SetRemote(Remote{Ufrag: "them"})
		build := func(setters ...stun.Setter) []byte {
			return must(stun.Build(append([]stun.Setter{stun.TransactionID}, setters...)...)).Raw
		}
		for name, b := range map[string][]byte{
			"empty":                   {},
			"unknown ufrag":           build(stun.BindingRequest, stun.NewUsername("nobody:them"), stun.NewShortTermIntegrity("x"), stun.Fingerprint),
			"no username":             build(stun.BindingRequest, stun.Fingerprint),
			"wrong integrity":         build(stun.BindingRequest, stun.NewUsername(c.Ufrag()+":them"), stun.NewShortTermIntegrity("x"), stun.Fingerprint),
			"no integrity":            build(stun.BindingRequest, stun.NewUsername(c.Ufrag()+":them"), stun.Fingerprint),
			"another peer":            build(stun.BindingRequest, stun.NewUsername(c.Ufrag()+":others"), stun.NewShortTermIntegrity(c.Pwd()), stun.Fingerprint),
			"success out of the blue": build(stun.BindingSuccess, stun.NewUsername(c.Ufrag()+":them"), stun.NewShortTermIntegrity(c.Pwd()), stun.Fingerprint),
			"lying length":            {0, 1, 0xff, 0xff, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
			"DTLS":                    append([]byte{22, 254, 253, 0, 0}, make([]byte, 60)...),
			"RTP":                     append([]byte{128, 111}, make([]byte, 60)...),
		} {
			_, err := stranger.WriteTo(b, network.conns[netip.MustParseAddrPort("192.0.2.49:3480")].LocalAddr())
			check(err)
			synctest.Wait()
			if len(stranger.queue) != 0 {
				t.Errorf("%s: answered", name)
			}
		}
		if len(c.Breaches()) != 0 || c.Checks() != 0 {
			t.Errorf("unauthenticated input changed the call: %v", c.Breaches())
		}
		check(s.Close())
	})
}

func TestScheduledTasksKeepTheirTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var network memory
		s := must(NewServer([]net.PacketConn{network.listen("192.0.2.49:3480")}, Options{}))
		defer s.Close()
		var worst, runs atomic.Int64
		start := s.Now()
		for i := range 50 {
			due := start + time.Duration(i)*371*time.Microsecond
			s.Schedule(due, func(now time.Duration) (time.Duration, bool) {
				worst.Store(max(worst.Load(), int64(now-due)))
				runs.Add(1)
				due += 20 * time.Millisecond
				return due, due < start+time.Second
			})
		}
		<-time.After(2 * time.Second) // fake time
		if runs.Load() < 49*50 {
			t.Errorf("%d runs", runs.Load())
		}
		if late := time.Duration(worst.Load()); late > pace {
			t.Errorf("a task came %v late", late)
		}
	})
}
