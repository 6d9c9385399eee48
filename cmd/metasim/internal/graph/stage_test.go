package graph

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/onelane/onelane/cmd/metasim/internal/phone"
	"github.com/onelane/onelane/cmd/metasim/internal/rules"
	"github.com/onelane/onelane/ice/icetest"
	"github.com/onelane/onelane/ice/udp/udptest"
)

const secret, phoneNumberID = "app secret", "100000000000001"

// stage is the simulator and a business, on a network in memory and in fake time.
type stage struct {
	t        *testing.T
	server   *icetest.Server
	exchange *Exchange
	business *business

	mu    sync.Mutex
	hooks []value
	fail  int // so many webhooks are answered with 500
}

// RoundTrip is the business's webhook receiver.
func (g *stage) RoundTrip(r *http.Request) (*http.Response, error) {
	b := must(io.ReadAll(r.Body))
	g.mu.Lock()
	defer g.mu.Unlock()
	status := http.StatusOK
	var w webhook
	check(json.Unmarshal(b, &w))
	switch {
	case r.Header.Get("X-Hub-Signature-256") != Sign(secret, b):
		g.t.Error("a webhook with a wrong signature")
	case w.Object != "whatsapp_business_account" || w.Entry[0].Changes[0].Field != "calls":
		g.t.Errorf("webhook %s", b)
	case g.fail > 0:
		g.fail--
		status = http.StatusInternalServerError
	default:
		g.hooks = append(g.hooks, w.Entry[0].Changes[0].Value)
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}

func newStage(t *testing.T) *stage {
	g := &stage{t: t}
	network := udptest.New(1)
	g.server = must(icetest.NewServer([]net.PacketConn{must(network.Conn(netip.MustParseAddrPort("192.0.2.49:3480")))}, icetest.Options{}))
	g.exchange = New(Options{
		Server: g.server, WebhookURL: "http://business.invalid/hook", AppSecret: secret,
		Recordings: t.TempDir(), Client: &http.Client{Transport: g},
	})
	g.business = newBusiness(must(network.Conn(netip.MustParseAddrPort("192.0.2.7:40000"))))
	return g
}

func (g *stage) end() {
	g.business.close()
	g.exchange.Close()
	check(g.server.Close())
}

// ask sends a request and returns the answer's status and body.
func (g *stage) ask(method, path string, body any) (int, map[string]any) {
	w := httptest.NewRecorder()
	g.exchange.ServeHTTP(w, httptest.NewRequest(method, path, bytes.NewReader(must(json.Marshal(body)))))
	out := map[string]any{}
	_ = json.Unmarshal(w.Body.Bytes(), &out)
	return w.Code, out
}

func (g *stage) act(name, id, kind, sdp string) (int, map[string]any) {
	a := action{Product: "whatsapp", Action: name, CallID: id}
	if sdp != "" {
		a.Session = &session{kind, sdp}
	}
	return g.ask("POST", "/v23.0/"+phoneNumberID+"/calls", a)
}

func (g *stage) ok(status int, body map[string]any) {
	g.t.Helper()
	if status/100 != 2 {
		g.t.Fatalf("answered %d %v", status, body)
	}
}

func (g *stage) verdict(id string) Verdict {
	w := httptest.NewRecorder()
	g.exchange.ServeHTTP(w, httptest.NewRequest("GET", "/sim/calls/"+id, nil))
	var v Verdict
	check(json.Unmarshal(w.Body.Bytes(), &v))
	return v
}

// event is the last webhook of a kind: connect, terminate, or a status.
func (g *stage) event(name string) (callEvent, bool) {
	synctest.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := len(g.hooks) - 1; i >= 0; i-- {
		for _, c := range g.hooks[i].Calls {
			if c.Event == name {
				return c, true
			}
		}
		for _, s := range g.hooks[i].Statuses {
			if s.Status == name {
				return callEvent{ID: s.ID}, true
			}
		}
	}
	return callEvent{}, false
}

// dial places a user's call and takes it to where ICE and DTLS are done and the gate is closed.
func (g *stage) dial(s phone.Scenario) (id, answer string) {
	g.t.Helper()
	s.To = phoneNumberID
	status, body := g.ask("POST", "/sim/call", s)
	g.ok(status, body)
	rang, ok := g.event("connect")
	if !ok || rang.Session == nil || rang.Session.Type != "offer" || rang.ID != body["id"] || rang.Direction != "USER_INITIATED" {
		g.t.Fatalf("connect: %+v", rang)
	}
	answer = g.business.sdp("active")
	g.ok(g.act("pre_accept", rang.ID, "answer", answer))
	if err := g.business.connect(rang.Session.SDP); err != nil {
		g.t.Fatal(err)
	}
	synctest.Wait()
	return rang.ID, answer
}

func (g *stage) clean(v Verdict) {
	g.t.Helper()
	for _, r := range v.Rules {
		if !r.Pass {
			g.t.Errorf("%s: %s (at %.1f ms)", r.Rule, r.Reason, r.AtMS)
		}
	}
	if len(v.Rules) != len(rules.All) {
		g.t.Errorf("%d rules in the report, %d exist", len(v.Rules), len(rules.All))
	}
}

func bubble(t *testing.T, do func(g *stage)) {
	synctest.Test(t, func(t *testing.T) {
		g := newStage(t)
		defer g.end()
		do(g)
	})
}
