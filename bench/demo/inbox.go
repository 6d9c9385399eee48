package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// What webhooks tell of a call.
const (
	connected  = "connect" // with Meta's offer or answer
	terminated = "terminate"
	accepted   = "ACCEPTED"
)

// maxWebhook bounds the body of a webhook: an SDP of 64 KiB in JSON, and room.
const maxWebhook = 256 << 10

// inbox takes Meta's webhooks. They come signed, in any order and more than once.
type inbox struct {
	secret string

	mu       sync.Mutex // guards what follows
	calls    map[string]map[string]*arrival
	taken    int
	repeated int
	forged   int
}

// arrival is one thing that a webhook tells, or will tell.
type arrival struct {
	come    chan struct{} // closed when it is told
	sdp     string
	failure string
}

func newInbox(secret string) *inbox {
	return &inbox{secret: secret, calls: make(map[string]map[string]*arrival)}
}

// ServeHTTP implements http.Handler.
func (i *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxWebhook))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if !signed(i.secret, body, r.Header.Get("X-Hub-Signature-256")) {
		i.mu.Lock()
		i.forged++
		i.mu.Unlock()
		http.Error(w, "the signature is not that of the app", http.StatusUnauthorized)
		return
	}
	var hook struct {
		Entry []struct {
			Changes []change `json:"changes"`
		} `json:"entry"`
	}
	if err := json.Unmarshal(body, &hook); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, entry := range hook.Entry {
		for _, c := range entry.Changes {
			if c.Field == "calls" {
				i.take(&c)
			}
		}
	}
}

// change is one change of field calls.
type change struct {
	Field string `json:"field"`
	Value struct {
		Calls []struct {
			ID      string   `json:"id"`
			Event   string   `json:"event"`
			Session *session `json:"session"`
			Errors  []struct {
				Code    int    `json:"code"`
				Message string `json:"message"`
				Data    struct {
					Details string `json:"details"`
				} `json:"error_data"`
			} `json:"errors"`
		} `json:"calls"`
		Statuses []struct {
			ID     string `json:"id"`
			Status string `json:"status"`
		} `json:"statuses"`
	} `json:"value"`
}

func (i *inbox) take(c *change) {
	for _, call := range c.Value.Calls {
		var sdp, failure string
		if call.Session != nil {
			sdp = call.Session.SDP
		}
		if len(call.Errors) > 0 {
			e := call.Errors[0]
			failure = fmt.Sprintf("%d %s: %s", e.Code, e.Message, e.Data.Details)
		}
		i.tell(call.ID, call.Event, sdp, failure)
	}
	for _, s := range c.Value.Statuses {
		i.tell(s.ID, s.Status, "", "")
	}
}

func (i *inbox) tell(id, what, sdp, failure string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	a := i.arrival(id, what)
	select {
	case <-a.come:
		i.repeated++ // the same again is no news
	default:
		i.taken++
		a.sdp, a.failure = sdp, failure
		close(a.come)
	}
}

// arrival is held under mu.
func (i *inbox) arrival(id, what string) *arrival {
	if i.calls[id] == nil {
		i.calls[id] = make(map[string]*arrival)
	}
	a := i.calls[id][what]
	if a == nil {
		a = &arrival{come: make(chan struct{})}
		i.calls[id][what] = a
	}
	return a
}

// of gives what is or will be told of a call.
func (i *inbox) of(id, what string) *arrival {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.arrival(id, what)
}

// await waits for what a webhook tells of a call. The end of the call ends the waiting.
func (i *inbox) await(ctx context.Context, id, what string) (sdp string, err error) {
	a, end := i.of(id, what), i.of(id, terminated)
	select {
	case <-a.come:
	case <-end.come:
	case <-ctx.Done():
		return "", fmt.Errorf("no webhook %q: %w", what, context.Cause(ctx))
	}
	select {
	case <-a.come: // also if the end has come too, or is what was waited for
		return a.sdp, nil
	default:
		return "", end.asError()
	}
}

// asError is for an end that nobody asked for. It may be read once come is closed.
func (a *arrival) asError() error {
	if a.failure == "" {
		return errors.New("the phone hung up too early")
	}
	return fmt.Errorf("the phone hung up: %s", a.failure)
}

func (i *inbox) counts() (taken, repeated, forged int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.taken, i.repeated, i.forged
}
