package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onelane/onelane/relay/config"
	pb "github.com/onelane/onelane/relay/control/controlpb"
)

// played is a call that went well.
func played(name string) *call {
	ms := func(n int) *durationpb.Duration { return durationpb.New(time.Duration(n) * time.Millisecond) }
	at := func(v float64) *float64 { return &v }
	c := &call{name: name, pressed: "17", sent: "39", second: notice, digits: "17", lengths: []time.Duration{digitLength, digitLength}}
	c.final = &pb.Call{
		EndReason: pb.EndReason_END_REASON_REQUESTED,
		Timings:   &pb.CallTimings{IceConnected: ms(20), DtlsConnected: ms(23), GateOpened: ms(40), FirstPacketSent: ms(41)},
		Stats:     &pb.CallStats{PacketsSent: 850},
	}
	c.verdict = &verdict{
		State: "ended", Heard: "39", Rules: []rule{{Rule: "csrc", Doc: "no CSRC", Pass: true}},
		Timings: phoneTimings{Answered: at(1), Nominated: at(9), DTLS: at(14), Accepted: at(30), FirstHeard: at(33)},
	}
	c.judged = judged{path: "a.ogg", channels: 2, lengths: []length{{"opusinfo", 17004 * time.Millisecond}, {"opusdec", 17003 * time.Millisecond}}}
	return c
}

func TestLastLineHasTheWorstOfBothCalls(t *testing.T) {
	second := played("business-initiated")
	second.digits, second.verdict.Heard = "42", "5#"
	second.final.Timings.FirstPacketSent = durationpb.New(95 * time.Millisecond)
	r := &report{calls: []*call{played("user-initiated"), second}}
	var out bytes.Buffer
	r.printSummary(&out)
	want := `{"violations":0,"recordings":[{"path":"a.ogg","channels":2,"duration_ms":17003},{"path":"a.ogg","channels":2,"duration_ms":17003}],` +
		`"offer_to_ice_ms":20,"ice_to_dtls_ms":5,"gate_to_first_packet_ms":55,"digits_heard":"1742","digits_sent":"395#"}` + "\n"
	if out.String() != want {
		t.Errorf("got  %swant %s", &out, want)
	}
}

func TestWhatWasNotMeasuredIsNull(t *testing.T) {
	var out bytes.Buffer
	(&report{calls: []*call{{name: "user-initiated"}}, failures: []string{"metasim places no call"}}).printSummary(&out)
	want := `{"violations":0,"recordings":[],"offer_to_ice_ms":null,"ice_to_dtls_ms":null,"gate_to_first_packet_ms":null,` +
		`"digits_heard":"","digits_sent":"","failures":["metasim places no call"]}` + "\n"
	if out.String() != want {
		t.Errorf("got  %swant %s", &out, want)
	}
}

func TestTablesShowBothCalls(t *testing.T) {
	broken := played("business-initiated")
	broken.verdict.Rules = []rule{{Rule: "csrc", Doc: "no CSRC", Reason: "2 of them", AtMS: 120, Count: 3}}
	var out bytes.Buffer
	(&report{calls: []*call{played("user-initiated"), broken, {name: "not made"}}, failures: []string{"alas"}}).print(&out)
	for _, want := range []string{
		"user-initiated business-initiated not made",
		"no CSRC pass BROKEN 3 times, first at 120 ms: 2 of them ?",
		"user-initiated, the edge 20.0 3.0 1.0",
		"opusinfo 17.004 opusdec 17.003",
		"not made no recording",
		"Not as it should be: alas",
	} {
		if !strings.Contains(strings.Join(strings.Fields(out.String()), " "), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

func TestEveryFaultOfACallIsFound(t *testing.T) {
	good := played("good")
	if good.check(); len(good.failures) > 0 {
		t.Fatal(good.failures)
	}
	for want, change := range map[string]func(*call){
		"rule csrc":              func(c *call) { c.verdict.Rules[0].Pass = false },
		"judged no rule":         func(c *call) { c.verdict.Rules = nil },
		"egress check stopped 1": func(c *call) { c.final.Stats.Violations = 1 },
		`the edge heard "1"`:     func(c *call) { c.digits = "1" },
		`the phone heard "399"`:  func(c *call) { c.verdict.Heard = "399" },
		"600ms long":             func(c *call) { c.lengths[1] = 600 * time.Millisecond },
		"CONSENT_LOST":           func(c *call) { c.final.EndReason = pb.EndReason_END_REASON_CONSENT_LOST },
		"not ended":              func(c *call) { c.verdict.State = "live" },
		"dropped 4 frames":       func(c *call) { c.final.Attachments = []*pb.Attachment{{FramesDropped: 4}} },
		"a timing is missing":    func(c *call) { c.final.Timings.FirstPacketSent = nil },
		"never made":             func(c *call) { c.verdict = nil },
	} {
		c := played("bad")
		change(c)
		if c.check(); !strings.Contains(strings.Join(c.failures, "\n"), want) {
			t.Errorf("want %q, got %q", want, c.failures)
		}
	}
}

func TestBrokenRuleIsToldOfACallThatCameToNothing(t *testing.T) {
	c := played("aborted")
	c.aborted, c.digits, c.verdict.State, c.verdict.Rules[0].Pass = true, "", "live", false
	if c.check(); len(c.failures) != 1 || !strings.Contains(c.failures[0], "rule csrc") {
		t.Errorf("%q", c.failures)
	}
}

func TestLengthsAgreeWithinTwentyMilliseconds(t *testing.T) {
	all := []length{{"a", 17 * time.Second}, {"b", 17*time.Second + 20*time.Millisecond}}
	if why := disagree(all); why != "" {
		t.Error(why)
	}
	all = append(all, length{"c", 17*time.Second - time.Millisecond})
	if why := disagree(all); !strings.Contains(why, "21ms apart") {
		t.Errorf("%q", why)
	}
}

func TestWindowsKeepOffWhatChanges(t *testing.T) {
	began := time.Unix(1000, 0)
	after := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	c := &call{second: echo, marks: marks{
		gate: after(10), firstSent: after(12), firstHeard: began, tonesFrom: after(4000), tonesTo: after(4300), switched: after(9500), ended: after(17000),
	}}
	for i, want := range [][2]int{{512, 3700}, {4600, 9200}, {9800, 16700}} {
		w := c.windows()[i]
		if w.from != time.Duration(want[0])*time.Millisecond || w.to != time.Duration(want[1])*time.Millisecond {
			t.Errorf("%s: %v to %v, want %v ms", w.name, w.from, w.to, want)
		}
		if w.business == w.rival || w.caller == w.absent {
			t.Errorf("%s: a channel is compared with its own voice: %+v", w.name, w)
		}
	}
	if w := c.windows()[2]; w.business.clip != "caller" || w.rival.clip != welcome {
		t.Errorf("the echo is the caller's voice: %+v", w)
	}
}

func TestSlippingChannelIsFound(t *testing.T) {
	c := &call{judged: judged{probes: []probe{
		{channel: "left: caller", later: 4 * time.Millisecond}, {channel: "right: business", later: 300 * time.Millisecond},
		{channel: "left: caller", later: 24 * time.Millisecond},
	}}}
	if c.aligned(); len(c.failures) > 0 {
		t.Error(c.failures)
	}
	c.judged.probes[2].later = 25 * time.Millisecond
	if c.aligned(); len(c.failures) != 1 {
		t.Error("a slip of 21 ms was not found")
	}
}

func TestWaveIsTakenApart(t *testing.T) {
	b := []byte("RIFF\x00\x00\x00\x00WAVELIST\x03\x00\x00\x00abc\x00fmt \x10\x00\x00\x00\x01\x00\x02\x00")
	b = binary.LittleEndian.AppendUint32(b, decodeRate)
	b = append(b, 0, 0, 0, 0, 4, 0, 16, 0)
	b = binary.LittleEndian.AppendUint32(append(b, "data"...), 48*4)
	for range 48 {
		b = append(b, 1, 0, 0xFE, 0xFF)
	}
	w, err := parseWave(b)
	if err != nil {
		t.Fatal(err)
	}
	if w.length != time.Millisecond || len(w.channels) != 2 || len(w.channels[0]) != 8 || w.channels[0][3] != 6 || w.channels[1][7] != -12 {
		t.Errorf("%+v", w)
	}
	for n := range b {
		if w, err := parseWave(b[:n]); err == nil && w.length > time.Millisecond {
			t.Errorf("cut to %d bytes: %v", n, w.length)
		}
	}
}

func TestWebhooksAreVerifiedAndTakenOnce(t *testing.T) {
	in := newInbox("secret")
	post := func(body, signature string) int {
		r := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(body))
		r.Header.Set("X-Hub-Signature-256", signature)
		w := httptest.NewRecorder()
		in.ServeHTTP(w, r)
		return w.Code
	}
	body := `{"entry":[{"changes":[{"field":"messages","value":{}},{"field":"calls","value":{"calls":[` +
		`{"id":"a","event":"connect","session":{"sdp_type":"offer","sdp":"v=0"}}]}}]}]}`
	if code := post(body, signature("another secret", []byte(body))); code != http.StatusUnauthorized {
		t.Errorf("a wrong signature is answered %d", code)
	}
	for range 2 {
		if code := post(body, signature("secret", []byte(body))); code != http.StatusOK {
			t.Errorf("answered %d", code)
		}
	}
	if sdp, err := in.await(context.Background(), "a", connected); sdp != "v=0" || err != nil {
		t.Errorf("%q, %v", sdp, err)
	}
	if taken, repeated, forged := in.counts(); taken != 1 || repeated != 1 || forged != 1 {
		t.Errorf("%d taken, %d repeated, %d forged", taken, repeated, forged)
	}
	failed := `{"entry":[{"changes":[{"field":"calls","value":{"calls":[{"id":"a","event":"terminate","errors":[` +
		`{"code":138023,"message":"Broken media","error_data":{"details":"csrc: 2 of them"}}]}]}}]}]}`
	post(failed, signature("secret", []byte(failed)))
	if _, err := in.await(context.Background(), "a", accepted); err == nil || !strings.Contains(err.Error(), "csrc: 2 of them") {
		t.Errorf("the end of a call does not end the waiting: %v", err)
	}
	if _, err := in.await(context.Background(), "a", terminated); err != nil {
		t.Errorf("an end that was waited for: %v", err)
	}
}

func TestSignatureIsHMACOfTheBody(t *testing.T) {
	const body = "what do ya want for nothing?" // RFC 4231 section 4.3
	if !signed("Jefe", []byte(body), "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843") {
		t.Error("RFC 4231's second test case is refused")
	}
	for _, wrong := range []string{"", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", "sha256="} {
		if signed("Jefe", []byte(body), wrong) {
			t.Errorf("%q is taken", wrong)
		}
	}
}

func TestPortsKeepOffEphemeralOnes(t *testing.T) {
	for _, c := range []struct {
		low, high int
		ephemeral string
		want      bool
	}{
		{16000, 16015, "32768\t60999\n", false}, {32760, 32775, "32768\t60999\n", true}, {61000, 61015, "32768\t60999\n", false},
		{40000, 40015, "32768\t60999\n", true}, {40000, 40015, "", false},
	} {
		if got := overlaps(c.low, c.high, c.ephemeral); got != c.want {
			t.Errorf("%d to %d in %q: %v", c.low, c.high, c.ephemeral, got)
		}
	}
}

func TestSettingsAreWhatRelaydTakes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "relayd.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, settings, 16000, 16015, `a "folder"`, "sounds"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(file, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil || c.Media.PortMax != 16015 || c.Recording.Folder != `a "folder"` {
		t.Errorf("%v, %+v", err, c)
	}
}

func TestProgramIsAwaitedAndEnded(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	announced := func(line string) bool { return line == "ready" }
	p, err := start("sh", "/bin/sh", log, announced, nil, "-c", `trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done`)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.ready(t.Context()); err != nil {
		t.Error(err)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	p, err = start("sh", "/bin/sh", log, announced, nil, "-c", "echo no port left >&2; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.ready(t.Context()); err == nil || !strings.Contains(err.Error(), "no port left") {
		t.Errorf("a program that ends at once: %v", err)
	}
	if err := p.stop(); err == nil || !strings.Contains(err.Error(), log) {
		t.Errorf("a failure was not told: %v", err)
	}
}
