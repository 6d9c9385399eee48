// Package janus speaks the HTTP API of a Janus, the WebRTC server.
package janus

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// PollTime is how long Janus holds a request for events when there is none.
const PollTime = 30 * time.Second

// API is one Janus. It is for concurrent use.
type API struct {
	URL    string // http://host:port/janus
	Client *http.Client
}

// Message is what the API says, in either direction; only what we use.
type Message struct {
	Janus       string          `json:"janus"`
	Transaction string          `json:"transaction,omitempty"`
	Plugin      string          `json:"plugin,omitempty"`
	Body        any             `json:"body,omitempty"`
	Jsep        *Jsep           `json:"jsep,omitempty"`
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

// Jsep is a description of the WebRTC side.
type Jsep struct {
	Type string `json:"type"`
	SDP  string `json:"sdp"`
}

// Post sends a message to the server (path empty), a session or a handle.
func (a *API) Post(ctx context.Context, path string, m Message) (Message, error) {
	m.Transaction = "onelane"
	body, err := json.Marshal(m)
	if err != nil {
		return Message{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL+path, bytes.NewReader(body))
	if err != nil {
		return Message{}, err
	}
	return a.do(request)
}

// Get asks the server (/info), or a session for its next event.
func (a *API) Get(ctx context.Context, path string) (Message, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.URL+path, nil)
	if err != nil {
		return Message{}, err
	}
	return a.do(request)
}

func (a *API) do(request *http.Request) (Message, error) {
	response, err := a.Client.Do(request)
	if err != nil {
		return Message{}, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return Message{}, err
	}
	var m Message
	if err := json.Unmarshal(content, &m); err != nil {
		return Message{}, fmt.Errorf("janus answers %s with %q", response.Status, content)
	}
	if m.Error != nil {
		return m, fmt.Errorf("janus refuses: %s (%d)", m.Error.Reason, m.Error.Code)
	}
	return m, nil
}

// Handle is a plugin in a session of its own.
type Handle struct {
	API     *API
	Session string // path
	path    string
}

// Attach opens a session with a plugin in it.
func (a *API) Attach(ctx context.Context, plugin string) (*Handle, error) {
	created, err := a.Post(ctx, "", Message{Janus: "create"})
	if err != nil {
		return nil, fmt.Errorf("create a session: %w", err)
	}
	h := &Handle{API: a, Session: "/" + strconv.FormatUint(created.Data.ID, 10)}
	attached, err := a.Post(ctx, h.Session, Message{Janus: "attach", Plugin: plugin})
	if err != nil {
		h.Destroy(ctx)
		return nil, fmt.Errorf("attach %s: %w", plugin, err)
	}
	h.path = h.Session + "/" + strconv.FormatUint(attached.Data.ID, 10)
	return h, nil
}

// Post sends a message to the plugin.
func (h *Handle) Post(ctx context.Context, m Message) error {
	_, err := h.API.Post(ctx, h.path, m)
	return err
}

// Event waits for the session's next event; Janus says "keepalive" when there is none for PollTime.
func (h *Handle) Event(ctx context.Context) (Message, error) {
	return h.API.Get(ctx, h.Session+"?maxev=1")
}

// Destroy ends the session and what is in it.
func (h *Handle) Destroy(ctx context.Context) {
	_, _ = h.API.Post(ctx, h.Session, Message{Janus: "destroy"}) // it may be gone
}
