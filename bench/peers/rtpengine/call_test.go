package main

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/onelane/onelane/bench/internal/standin"
)

const phone = "v=0\r\na=ice-lite\r\nm=audio 40000 UDP/TLS/RTP/SAVPF 111 126\r\na=candidate:1 1 udp 2122260223 10.77.0.2 40000 typ host\r\n" +
	"a=ice-ufrag:phone\r\na=ice-pwd:secretsecretsecretsecret\r\na=fingerprint:sha-256 AA:BB\r\na=setup:actpass\r\na=ssrc:16909060 cname:relaybench\r\n"

// far is an rtpengine's control port that answers each command, the first one only when it is repeated.
func far(t *testing.T, answers map[string]string) (address string, asked chan map[string]any) {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	asked = make(chan map[string]any, 16)
	go func() {
		b := make([]byte, 64<<10)
		for first := true; ; first = false {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			cookie, rest, _ := strings.Cut(string(b[:n]), " ")
			v, _ := parse(rest)
			m, _ := v.(map[string]any)
			if first {
				continue
			}
			asked <- m
			command, _ := m["command"].(string)
			c.WriteTo([]byte(cookie+" "+answers[command]), from)
		}
	}()
	return c.LocalAddr().String(), asked
}

func TestCallIsOfferedAnsweredAndDeleted(t *testing.T) {
	address, asked := far(t, map[string]string{
		"offer": "d6:result2:ok3:sdp14:v=0\r\na=mid:1\r\ne", "answer": "d6:result2:ok3:sdp0:e", "delete": "d6:result2:oke",
	})
	b := &bridge{control: control{address}, mirror: netip.MustParseAddrPort("10.77.0.2:4000")}
	sdp, end, err := b.Answer(context.Background(), phone)
	if err != nil {
		t.Fatal(err)
	}
	if sdp != "v=0\r\na=mid:1\r\na=ssrc:1532516702 cname:mirror\r\n" {
		t.Errorf("for the phone: %q", sdp)
	}
	end()
	offer, answer, gone := <-asked, <-asked, <-asked
	if plain, _ := offer["sdp"].(string); offer["command"] != "offer" || !strings.Contains(plain, "m=audio 4000 RTP/AVP") || offer["ICE"] != "force" {
		t.Errorf("offered %v", offer)
	}
	if theirs, _ := answer["sdp"].(string); answer["command"] != "answer" || !strings.Contains(theirs, "a=setup:passive\r\n") || answer["ICE"] != "remove" {
		t.Errorf("answered %v", answer)
	}
	if gone["command"] != "delete" || gone["call-id"] != offer["call-id"] || gone["call-id"] != answer["call-id"] {
		t.Errorf("deleted %v", gone)
	}
}

func TestRefusalIsAnError(t *testing.T) {
	for _, answer := range []string{"d12:error-reason7:no port6:result5:errore", "garbage", "i3e"} {
		if _, err := result("offer", answer); err == nil {
			t.Errorf("%q is taken", answer)
		}
	}
	if _, err := result("offer", "d12:error-reason7:no port6:result5:errore"); err == nil || !strings.Contains(err.Error(), "no port") {
		t.Errorf("%v", err)
	}
}

func TestSourceIsNamedOnce(t *testing.T) {
	o := standin.Offer{SSRC: 1}
	if sdp := forPhone(map[string]any{"sdp": "v=0\r\na=ssrc:5 cname:x\r\n"}, o); strings.Count(sdp, "a=ssrc:") != 1 {
		t.Errorf("%q", sdp)
	}
}
