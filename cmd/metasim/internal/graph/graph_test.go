package graph

import (
	"errors"
	"io"
	"math"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/onelane/onelane/cmd/metasim/internal/phone"
	"github.com/onelane/onelane/cmd/metasim/internal/rules"
	"github.com/onelane/onelane/rtpx/ogg"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAUsersCallFromOfferToVerdict(t *testing.T) {
	bubble(t, func(g *stage) {
		id, answer := g.dial(phone.Scenario{Voice: phone.Voice{Digits: []phone.Press{{Digit: "7", AtMS: 1000}, {Digit: "#", AtMS: 2000, DurationMS: 200}}}})
		g.ok(g.act("accept", id, "answer", answer))
		g.business.speak(200)
		g.business.press(4)
		g.business.speak(10)
		g.business.press(2)
		g.business.speak(200)
		if v := g.verdict(id); v.State != "live" {
			t.Errorf("state %s", v.State)
		}
		g.ok(g.act("terminate", id, "", ""))
		v := g.verdict(id)
		g.clean(v)
		if v.DigitsHeard != "42" || v.DigitsSent != 2 || v.Packets.Missing != 0 || v.State != "ended" || !v.Ending.ByBusiness {
			t.Errorf("%+v", v)
		}
		if want := 420 * 20.0; math.Abs(v.RecordingMS-want) > 20 {
			t.Errorf("recorded %v ms, spoken %v", v.RecordingMS, want)
		}
		if _, granule := packets(t, v.Recording); granule != 80*48+int64(v.RecordingMS*48) {
			t.Errorf("the file ends at %d", granule)
		}
		if v.Timings.NominatedMS == nil || v.Timings.GateToFirstMS == nil || *v.Timings.GateToFirstMS > 20 {
			t.Errorf("timings %+v", v.Timings)
		}
		over, ok := g.event("terminate")
		if !ok || over.Status != "COMPLETED" || over.Duration != 8 || len(over.Errors) != 0 {
			t.Errorf("terminate %+v", over)
		}
		g.business.mu.Lock()
		defer g.business.mu.Unlock()
		events := 0
		for i, h := range g.business.heard {
			if h.PayloadType == 126 {
				events++
			}
			if i > 0 && h.SequenceNumber != g.business.heard[i-1].SequenceNumber+1 {
				t.Errorf("the phone's sequence jumps at %d", i)
			}
		}
		if n := len(g.business.heard); events != 7+12 || n < 410 || n > 430 {
			t.Errorf("the business heard %d packets, %d of digits", n, events)
		}
	})
}

func packets(t *testing.T, path string) (n int, granule int64) {
	t.Helper()
	f, err := os.Open(path)
	check(err)
	defer f.Close()
	x, err := ogg.Scan(f)
	if err != nil || !x.Complete || x.Damage != nil {
		t.Fatalf("%s: %+v %v", path, x, err)
	}
	return x.Pages, x.Granule
}

func TestTheBusinessCalls(t *testing.T) {
	for _, setup := range []string{"active", "actpass"} {
		t.Run(setup, func(t *testing.T) {
			bubble(t, func(g *stage) {
				status, _ := g.ask("PUT", "/sim/phones/15550001", phone.Scenario{
					DurationMS: 5000, AnswerDelayMS: 3000, Description: phone.Description{Setup: setup},
				})
				g.ok(status, nil)
				status, body := g.ask("POST", "/"+phoneNumberID+"/calls", action{
					Product: "whatsapp", Action: "connect", To: "15550001", Session: &session{"offer", g.business.sdp("actpass")},
				})
				g.ok(status, body)
				<-time.After(20 * time.Millisecond) // fake time
				if _, ok := g.event("RINGING"); !ok {
					t.Fatal("no RINGING")
				}
				answer, ok := g.event("connect")
				if !ok || answer.Session.Type != "answer" || !strings.Contains(answer.Session.SDP, "a=setup:"+setup+"\r\n") {
					t.Fatalf("connect %+v", answer)
				}
				check(g.business.connect(answer.Session.SDP))
				if _, ok := g.event("ACCEPTED"); ok {
					t.Fatal("accepted too early")
				}
				<-time.After(3 * time.Second) // fake time
				if _, ok := g.event("ACCEPTED"); !ok {
					t.Fatal("no ACCEPTED")
				}
				g.business.speak(250)
				<-time.After(100 * time.Millisecond) // fake time
				v := g.verdict(answer.ID)
				g.clean(v)
				if v.Ending == nil || v.Ending.Reason != "hung up by the user" || v.Packets.Heard < 240 {
					t.Errorf("ended %+v after %+v", v.Ending, v.Packets)
				}
			})
		})
	}
}

func TestThePhoneHangsUp(t *testing.T) {
	tests := []struct {
		rule rules.Name
		code int
		do   func(g *stage, id, answer string)
	}{
		{rules.MediaBeforeGate, rules.CodeBrokenMedia, func(g *stage, _, _ string) { g.business.speak(1) }},
		{rules.NoMediaAtStart, rules.CodeNoMedia, func(g *stage, id, answer string) {
			g.ok(g.act("accept", id, "answer", answer))
			<-time.After(21 * time.Second) // fake time
		}},
		{rules.SecondSSRC, rules.CodeBrokenMedia, func(g *stage, id, answer string) {
			g.ok(g.act("accept", id, "answer", answer))
			g.business.speak(50)
			g.business.header.SSRC++
			g.business.speak(1)
		}},
		{rules.SequenceJump, rules.CodeBrokenMedia, func(g *stage, id, answer string) {
			g.ok(g.act("accept", id, "answer", answer))
			g.business.speak(50)
			g.business.header.SequenceNumber += 100
			g.business.speak(1)
		}},
		{rules.HeaderExtension, rules.CodeBrokenMedia, func(g *stage, id, answer string) {
			g.ok(g.act("accept", id, "answer", answer))
			check(g.business.header.SetExtension(1, []byte{0, 1}))
			g.business.speak(1)
		}},
		{rules.ConsentGap, rules.CodeConsent, func(g *stage, id, answer string) { // pion/ice sends no checks while media flows
			g.ok(g.act("accept", id, "answer", answer))
			g.business.speak(50 * 20)
		}},
		{rules.NotAccepted, rules.CodeTimeout, func(g *stage, _, _ string) { <-time.After(61 * time.Second) /* fake time */ }},
	}
	for _, tt := range tests {
		t.Run(string(tt.rule), func(t *testing.T) {
			bubble(t, func(g *stage) {
				id, answer := g.dial(phone.Scenario{})
				tt.do(g, id, answer)
				over, ok := g.event("terminate")
				if !ok || over.Status != "FAILED" || len(over.Errors) != 1 || over.Errors[0].Code != tt.code ||
					!strings.HasPrefix(over.Errors[0].Data.Details, string(tt.rule)) {
					t.Fatalf("terminate %+v; breaches %+v", over, g.verdict(id).Ending)
				}
				if v := g.verdict(id); v.Ending == nil || v.Ending.Rule != tt.rule || v.Violations == 0 {
					t.Errorf("ended %+v", v.Ending)
				}
				check(g.business.dtls.SetReadDeadline(time.Now().Add(time.Second)))
				if _, err := g.business.dtls.Read(make([]byte, 1500)); !errors.Is(err, io.EOF) {
					t.Errorf("the business heard %v instead of a farewell", err)
				}
				check(g.business.dtls.SetReadDeadline(time.Time{})) // a pending one is a goroutine
				if status, _ := g.act("accept", id, "answer", answer); status != http.StatusBadRequest {
					t.Errorf("accept after the end: %d", status)
				}
			})
		})
	}
}

func TestALenientPhoneStaysOnTheLine(t *testing.T) {
	bubble(t, func(g *stage) {
		id, answer := g.dial(phone.Scenario{Lenient: true})
		g.business.speak(1)
		g.ok(g.act("accept", id, "answer", answer))
		g.business.speak(10)
		if v := g.verdict(id); v.State != "live" || v.Violations != 1 || v.Packets.Heard != 11 {
			t.Fatalf("%+v", v)
		}
	})
}

func TestRefusedSDP(t *testing.T) {
	tests := []struct {
		name          string
		code, subcode float64
		rule          rules.Name
		change        func(string) string
	}{
		{"two fingerprints", 100, rules.SubFingerprint, rules.FingerprintCount, func(s string) string {
			return strings.Replace(s, "a=fingerprint", "a=fingerprint:sha-1 AA\r\na=fingerprint", 1)
		}},
		{"video", rules.CodeSDP, 0, rules.SDPMediaLines, func(s string) string { return s + "m=video 9 UDP/TLS/RTP/SAVPF 97\r\n" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(g *stage) {
				_, body := g.ask("POST", "/sim/call", phone.Scenario{To: phoneNumberID})
				status, got := g.act("pre_accept", body["id"].(string), "answer", tt.change(g.business.sdp("active")))
				g.refused(status, got, tt.code, tt.subcode, tt.rule)
				status, got = g.ask("POST", "/"+phoneNumberID+"/calls", action{
					Product: "whatsapp", Action: "connect", To: "1", Session: &session{"offer", tt.change(g.business.sdp("actpass"))},
				})
				g.refused(status, got, tt.code, tt.subcode, tt.rule)
			})
		})
	}
	t.Run("changed between pre_accept and accept", func(t *testing.T) {
		bubble(t, func(g *stage) {
			id, answer := g.dial(phone.Scenario{})
			status, got := g.act("accept", id, "answer", strings.Replace(answer, "o=- 1 1", "o=- 1 2", 1))
			g.refused(status, got, rules.CodeSDP, 0, rules.SDPChanged)
		})
	})
}

func (g *stage) refused(status int, body map[string]any, code, subcode float64, rule rules.Name) {
	g.t.Helper()
	f, _ := body["error"].(map[string]any)
	details, _ := f["error_data"].(map[string]any)
	sub, _ := f["error_subcode"].(float64)
	if text, _ := details["details"].(string); status != http.StatusBadRequest || f["code"] != code || sub != subcode || !strings.HasPrefix(text, string(rule)) {
		g.t.Errorf("%d %v", status, body)
	}
}

func TestBadRequestsAreAnswered(t *testing.T) {
	bubble(t, func(g *stage) {
		_, body := g.ask("POST", "/sim/call", phone.Scenario{To: phoneNumberID})
		id := body["id"].(string)
		for name, status := range map[string]int{
			"no product":     first(g.ask("POST", "/"+phoneNumberID+"/calls", action{Action: "accept"})),
			"unknown action": first(g.act("sing", id, "", "")),
			"unknown call":   first(g.act("accept", "wacid.x", "answer", "v=0")),
			"no session":     first(g.act("accept", id, "", "")),
			"an offer":       first(g.act("accept", id, "offer", "v=0")),
			"other number":   first(g.ask("POST", "/2/calls", action{Product: "whatsapp", Action: "reject", CallID: id})),
			"loss":           first(g.ask("POST", "/sim/call", phone.Scenario{Network: phone.Network{Loss: 2}})),
			"speech":         first(g.ask("POST", "/sim/call", phone.Scenario{Voice: phone.Voice{Speech: "/nowhere.opus"}})),
			"digit":          first(g.ask("PUT", "/sim/phones/1", phone.Scenario{Voice: phone.Voice{Digits: []phone.Press{{Digit: "x"}}}})),
			"not JSON":       first(g.ask("POST", "/sim/call", "x")),
		} {
			if status != http.StatusBadRequest {
				t.Errorf("%s: %d", name, status)
			}
		}
		if status, _ := g.ask("GET", "/sim/calls/none", nil); status != http.StatusNotFound {
			t.Errorf("unknown call shown: %d", status)
		}
		g.ok(g.act("reject", id, "", ""))
		if over, ok := g.event("terminate"); !ok || over.Status != "COMPLETED" {
			t.Errorf("terminate %+v", over)
		}
	})
}

func first(status int, _ map[string]any) int { return status }

func TestWebhooksAreTriedAgain(t *testing.T) {
	bubble(t, func(g *stage) {
		g.fail = 2
		_, body := g.ask("POST", "/sim/call", phone.Scenario{To: phoneNumberID})
		<-time.After(3 * time.Second) // fake time
		if rang, ok := g.event("connect"); !ok || rang.ID != body["id"] {
			t.Fatal("lost")
		}
	})
}
