//go:build interop

package interop

import (
	"context"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/onelane/onelane/bench/internal/hosts"
	"github.com/onelane/onelane/bench/internal/janus"
)

// janusServer is a running Janus and the way to its HTTP API.
type janusServer struct {
	program *program
	api     *janus.API
}

// startJanus runs Janus on the peer.
func startJanus(t *testing.T, peer hosts.Host) *janusServer {
	t.Helper()
	folder, err := filepath.Abs("janus")
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: janus.PollTime + 10*time.Second, Transport: &http.Transport{DialContext: peer.Dial}}
	j := &janusServer{api: &janus.API{URL: "http://" + peerAddress + ":8088/janus", Client: client}}
	j.program = start(t, peer, "janus", "-F", folder, "-C", filepath.Join(folder, "janus.jcfg"))
	t.Cleanup(client.CloseIdleConnections)
	until(t, 20*time.Second, "Janus to answer", func() bool {
		if j.program.ended() {
			t.Fatalf("Janus ended: %s", tail(j.program.output(), 2000))
		}
		_, err := j.api.Get(context.Background(), "/info")
		return err == nil
	})
	return j
}

// echoTest is a session of Janus's echo plugin: what it hears, it sends back.
type echoTest struct {
	handle *janus.Handle

	mu     sync.Mutex
	events []janus.Message
}

// attachEchoTest opens a session and collects its events until the end of the test.
func (j *janusServer) attachEchoTest(t *testing.T) *echoTest {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	handle, err := j.api.Attach(ctx, "janus.plugin.echotest")
	if err != nil {
		t.Fatal(err)
	}
	e := &echoTest{handle: handle}
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
		m, err := e.handle.Event(ctx)
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
func (e *echoTest) wait(t *testing.T, kind string) janus.Message {
	t.Helper()
	var found janus.Message
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
	if err := e.handle.Post(ctx, janus.Message{Janus: "message", Body: body, Jsep: &janus.Jsep{Type: "offer", SDP: offer}}); err != nil {
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
	if err := e.handle.Post(context.Background(), janus.Message{Janus: "hangup"}); err != nil {
		t.Error(err)
	}
}
