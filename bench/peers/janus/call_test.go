package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/onelane/onelane/bench/internal/janus"
)

const phone = "v=0\r\na=group:BUNDLE audio\r\na=ice-lite\r\nm=audio 40000 UDP/TLS/RTP/SAVPF 111 126\r\n" +
	"a=candidate:1 1 udp 2122260223 10.77.0.2 40000 typ host\r\na=ice-ufrag:phone\r\na=ice-pwd:secretsecretsecretsecret\r\n" +
	"a=fingerprint:sha-256 AA:BB\r\na=setup:actpass\r\na=mid:audio\r\na=ssrc:16909060 cname:relaybench\r\n"

func said(t *testing.T, text string) janus.Message {
	t.Helper()
	var m janus.Message
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestEventsOfNosipAreTold(t *testing.T) {
	const processed = `"plugindata":{"plugin":"janus.plugin.nosip","data":{"nosip":"event","result":{"event":"processed"}}}`
	for _, c := range []struct {
		text, want string
		sdp        string
		ok, fails  bool
	}{
		{`{"janus":"event",` + processed + `,"jsep":{"type":"offer","sdp":"ours"}}`, "processed", "ours", true, false},
		{`{"janus":"event",` + processed + `}`, "processed", "", false, true},
		{`{"janus":"event",` + processed + `}`, "generated", "", false, false},
		{`{"janus":"event","plugindata":{"data":{"result":{"event":"generated","type":"answer","sdp":"plain"}}}}`, "generated", "", true, false},
		{`{"janus":"event","plugindata":{"data":{"error_code":447,"error":"Wrong state"}}}`, "generated", "", false, true},
		{`{"janus":"webrtcup"}`, "generated", "", false, false},
		{`{"janus":"keepalive"}`, "generated", "", false, false},
		{`{"janus":"hangup","reason":"ICE failed"}`, "generated", "", false, true},
	} {
		sdp, ok, err := read(said(t, c.text), c.want)
		if sdp != c.sdp || ok != c.ok || (err != nil) != c.fails {
			t.Errorf("%s: %q, %v, %v", c.text, sdp, ok, err)
		}
	}
}

func TestPhonesAnswerNamesTheMediumAsJanusDoes(t *testing.T) {
	a := asAnswerTo("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:a\r\n", phone)
	for _, line := range []string{"a=mid:a", "a=group:BUNDLE a", "a=setup:passive", "a=ice-lite"} {
		if !strings.Contains(a, line+"\r\n") {
			t.Errorf("no %q in\n%s", line, a)
		}
	}
}

// nosip answers as the plugin does, step by step.
type nosip struct {
	t     *testing.T
	steps []string
	ended bool
}

func (n *nosip) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var m struct {
		Janus string
		Body  struct{ Request, Type, SDP string }
		Jsep  janus.Jsep
	}
	if r.Method == http.MethodPost {
		_ = json.NewDecoder(r.Body).Decode(&m)
	}
	answer := `{"janus":"success","data":{"id":7}}`
	switch {
	case m.Janus == "destroy":
		n.ended = true
	case m.Janus == "message":
		answer = `{"janus":"ack"}`
		n.steps = append(n.steps, m.Body.Request)
		if m.Body.Request == "process" && (m.Body.Type != "offer" || !strings.Contains(m.Body.SDP, "m=audio 4000 RTP/AVP")) {
			n.t.Errorf("process: %+v", m.Body)
		}
		if m.Body.Request == "generate" && (m.Jsep.Type != "answer" || !strings.Contains(m.Jsep.SDP, "a=mid:7\r\n")) {
			n.t.Errorf("generate: %+v", m.Jsep)
		}
	case r.Method == http.MethodGet && len(n.steps) == 1:
		answer = `{"janus":"event","plugindata":{"data":{"result":{"event":"processed"}}},"jsep":{"type":"offer","sdp":"v=0\r\na=mid:7\r\na=ssrc:1 cname:janus\r\n"}}`
	case r.Method == http.MethodGet:
		answer = `{"janus":"event","plugindata":{"data":{"result":{"event":"generated","sdp":"v=0"}}}}`
	}
	w.Write([]byte(answer))
}

func TestCallIsBridgedAndTakenDown(t *testing.T) {
	n := &nosip{t: t}
	s := httptest.NewServer(n)
	defer s.Close()
	b := &bridge{api: &janus.API{URL: s.URL, Client: s.Client()}, mirror: netip.MustParseAddrPort("10.77.0.2:4000")}
	answer, end, err := b.Answer(context.Background(), phone)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(answer, "a=ssrc:1 cname:janus") || strings.Join(n.steps, " ") != "process generate" {
		t.Errorf("steps %v, answer %q", n.steps, answer)
	}
	if end(); !n.ended {
		t.Error("the session is not destroyed")
	}
	if _, _, err := b.Answer(context.Background(), "v=0\r\n"); err == nil {
		t.Error("an offer with nothing in it is answered")
	}
}
