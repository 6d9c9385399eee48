//go:build interop

package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/onelane/onelane/bench/internal/hosts"
)

const janusURL = "http://" + peerAddress + ":8088/janus"

// janus is a running Janus and the way to its HTTP API.
type janus struct {
	program *program
	client  *http.Client
}

// startJanus runs Janus on the peer.
func startJanus(t *testing.T, peer hosts.Host) *janus {
	t.Helper()
	folder, err := filepath.Abs("janus")
	if err != nil {
		t.Fatal(err)
	}
	// Long polls last 30 s.
	j := &janus{client: &http.Client{Timeout: 40 * time.Second, Transport: &http.Transport{DialContext: peer.Dial}}}
	j.program = start(t, peer, "janus", "-F", folder, "-C", filepath.Join(folder, "janus.jcfg"))
	t.Cleanup(j.client.CloseIdleConnections)
	until(t, 20*time.Second, "Janus to answer", func() bool {
		if j.program.ended() {
			t.Fatalf("Janus ended: %s", tail(j.program.output(), 2000))
		}
		_, err := j.get(context.Background(), "/info")
		return err == nil
	})
	return j
}

// message is what the API says, in either direction; only what we use.
type message struct {
	Janus       string          `json:"janus"`
	Transaction string          `json:"transaction,omitempty"`
	Plugin      string          `json:"plugin,omitempty"`
	Body        any             `json:"body,omitempty"`
	Jsep        *jsep           `json:"jsep,omitempty"`
	Reason      string          `json:"reason,omitempty"`
	Media       json.RawMessage `json:"receiving,omitempty"`
	Data        struct {
		ID uint64 `json:"id"`
	} `json:"data,omitzero"`
	Error *struct {
		Code   int    `json:"code"`
		Reason string `json:"reason"`
	} `json:"error,omitempty"`
	PluginData struct {
		Data json.RawMessage `json:"data"`
	} `json:"plugindata,omitzero"`
}

type jsep struct {
	Type string `json:"type"`
	SDP  string `json:"sdp"`
}

func (j *janus) post(ctx context.Context, path string, m message) (message, error) {
	m.Transaction = "interop"
	body, err := json.Marshal(m)
	if err != nil {
		return message{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, janusURL+path, bytes.NewReader(body))
	if err != nil {
		return message{}, err
	}
	return j.do(request)
}

func (j *janus) get(ctx context.Context, path string) (message, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, janusURL+path, nil)
	if err != nil {
		return message{}, err
	}
	return j.do(request)
}

func (j *janus) do(request *http.Request) (message, error) {
	response, err := j.client.Do(request)
	if err != nil {
		return message{}, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return message{}, err
	}
	var m message
	if err := json.Unmarshal(content, &m); err != nil {
		return message{}, fmt.Errorf("janus answers %s with %q", response.Status, content)
	}
	if m.Error != nil {
		return m, fmt.Errorf("janus refuses: %s (%d)", m.Error.Reason, m.Error.Code)
	}
	return m, nil
}

// echoTest is a session of Janus's echo plugin: what it hears, it sends back.
type echoTest struct {
	janus  *janus
	path   string // of the session
	handle string // of the plugin in it

	mu     sync.Mutex
	events []message
}

// attachEchoTest opens a session and collects its events until the end of the test.
func (j *janus) attachEchoTest(t *testing.T) *echoTest {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	created, err := j.post(ctx, "", message{Janus: "create"})
	if err != nil {
		t.Fatal(err)
	}
	e := &echoTest{janus: j, path: fmt.Sprintf("/%d", created.Data.ID)}
	attached, err := j.post(ctx, e.path, message{Janus: "attach", Plugin: "janus.plugin.echotest"})
	if err != nil {
		t.Fatal(err)
	}
	e.handle = fmt.Sprintf("%s/%d", e.path, attached.Data.ID)
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return e
}

// run polls for events, which also keeps the session from timing out.
func (e *echoTest) run(ctx context.Context) {
	for ctx.Err() == nil {
		m, err := e.janus.get(ctx, e.path+"?maxev=1")
		if err != nil {
			return
		}
		if m.Janus != "keepalive" {
			e.mu.Lock()
			e.events = append(e.events, m)
			e.mu.Unlock()
		}
	}
}

// wait gives the first event of a kind: "event", "webrtcup", "media", "hangup".
func (e *echoTest) wait(t *testing.T, kind string) message {
	t.Helper()
	var found message
	until(t, 15*time.Second, "Janus's event "+kind, func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, m := range e.events {
			if m.Janus == kind {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// answer gives Janus's answer to an offer. record, if not empty, is the file, without its suffix, that Janus records what it hears to.
func (e *echoTest) answer(t *testing.T, offer, record string) string {
	t.Helper()
	body := map[string]any{"audio": true, "video": false}
	if record != "" {
		body["record"], body["filename"] = true, record
	}
	ctx := context.Background()
	if _, err := e.janus.post(ctx, e.handle, message{Janus: "message", Body: body, Jsep: &jsep{"offer", offer}}); err != nil {
		t.Fatal(err)
	}
	event := e.wait(t, "event")
	if event.Jsep == nil || event.Jsep.Type != "answer" {
		t.Fatalf("Janus did not answer: %s", event.PluginData.Data)
	}
	return event.Jsep.SDP
}

// hangup ends the peer connection from Janus's side.
func (e *echoTest) hangup(t *testing.T) {
	t.Helper()
	if _, err := e.janus.post(context.Background(), e.handle, message{Janus: "hangup"}); err != nil {
		t.Error(err)
	}
}
