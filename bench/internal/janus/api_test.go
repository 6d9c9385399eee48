package janus

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// fake answers as Janus does, and notes what it was asked.
type fake struct{ asked []string }

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var m Message
	if r.Method == http.MethodPost {
		_ = json.NewDecoder(r.Body).Decode(&m)
	}
	f.asked = append(f.asked, r.Method+" "+r.URL.RequestURI()+" "+m.Janus)
	switch {
	case m.Janus == "create":
		w.Write([]byte(`{"janus":"success","data":{"id":18446744073709551615}}`))
	case m.Janus == "attach" && m.Plugin == "janus.plugin.nosip":
		w.Write([]byte(`{"janus":"success","data":{"id":8}}`))
	case m.Janus == "attach":
		w.Write([]byte(`{"janus":"error","error":{"code":460,"reason":"No such plugin"}}`))
	case m.Janus == "message":
		w.Write([]byte(`{"janus":"ack"}`))
	case r.Method == http.MethodGet:
		w.Write([]byte(`{"janus":"event","plugindata":{"data":{"nosip":"event"}},"jsep":{"type":"offer","sdp":"v=0"}}`))
	default:
		w.Write([]byte(`<html>`))
	}
}

func TestHandleIsAttachedAskedAndDestroyed(t *testing.T) {
	f := &fake{}
	s := httptest.NewServer(f)
	defer s.Close()
	api := &API{URL: s.URL + "/janus", Client: s.Client()}
	ctx := t.Context()
	h, err := api.Attach(ctx, "janus.plugin.nosip")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Post(ctx, Message{Janus: "message", Body: map[string]any{"request": "generate"}}); err != nil {
		t.Error(err)
	}
	m, err := h.Event(ctx)
	if err != nil || m.Jsep == nil || m.Jsep.SDP != "v=0" || string(m.PluginData.Data) != `{"nosip":"event"}` {
		t.Errorf("%+v, %v", m, err)
	}
	h.Destroy(ctx)
	want := []string{
		"POST /janus create", "POST /janus/18446744073709551615 attach", "POST /janus/18446744073709551615/8 message",
		"GET /janus/18446744073709551615?maxev=1 ", "POST /janus/18446744073709551615 destroy",
	}
	if !slices.Equal(f.asked, want) {
		t.Errorf("asked %q", f.asked)
	}
}

func TestRefusalsAreErrors(t *testing.T) {
	f := &fake{}
	s := httptest.NewServer(f)
	defer s.Close()
	api := &API{URL: s.URL + "/janus", Client: s.Client()}
	if _, err := api.Attach(t.Context(), "janus.plugin.none"); err == nil || !strings.Contains(err.Error(), "No such plugin") {
		t.Errorf("%v", err)
	}
	if last := f.asked[len(f.asked)-1]; !strings.HasSuffix(last, "destroy") {
		t.Errorf("the session stays: %q", f.asked)
	}
	if _, err := api.Post(t.Context(), "", Message{Janus: "what"}); err == nil || !strings.Contains(err.Error(), "<html>") {
		t.Errorf("%v", err)
	}
}
