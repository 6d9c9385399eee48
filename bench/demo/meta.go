package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// meta speaks to Meta as a signalling service does, and to the simulator behind it.
type meta struct {
	url    string // of metasim
	number string // our phone number id
}

// session is an SDP as Graph carries it.
type session struct {
	Type string `json:"sdp_type"`
	SDP  string `json:"sdp"`
}

// action is a request of Graph's.
type action struct {
	Product string   `json:"messaging_product"`
	Action  string   `json:"action"`
	To      string   `json:"to,omitempty"`
	CallID  string   `json:"call_id,omitempty"`
	Session *session `json:"session,omitempty"`
}

// act sends an action and gives the id of a call that was connected.
func (m *meta) act(ctx context.Context, a action) (id string, err error) {
	a.Product = "whatsapp"
	var answer struct {
		Calls []struct {
			ID string `json:"id"`
		} `json:"calls"`
	}
	if err := m.do(ctx, http.MethodPost, "/v23.0/"+m.number+"/calls", a, &answer); err != nil {
		return "", fmt.Errorf("refused by Meta: %s: %w", a.Action, err)
	}
	if len(answer.Calls) > 0 {
		id = answer.Calls[0].ID
	}
	return id, nil
}

// scenario is what a simulated phone does.
type scenario struct {
	From          string  `json:"from,omitempty"`
	To            string  `json:"to,omitempty"`
	AnswerDelayMS int     `json:"answer_delay_ms,omitempty"`
	Speech        string  `json:"speech"`
	Digits        []press `json:"digits"`
}

type press struct {
	Digit string `json:"digit"`
	AtMS  int64  `json:"at_ms"`
}

// verdict is what a simulated phone has to say about a call.
type verdict struct {
	State  string `json:"state"`
	Ending *struct {
		Reason string `json:"reason"`
		Detail string `json:"detail"`
	} `json:"ending"`
	Violations int          `json:"violations"`
	Rules      []rule       `json:"rules"`
	Timings    phoneTimings `json:"timings"`
	Heard      string       `json:"digits_heard"`
	Digits     []struct {
		DurationMS float64 `json:"duration_ms"`
	} `json:"digits"`
	Packets struct {
		Heard   uint64 `json:"heard"`
		Missing int    `json:"missing"`
		Sent    uint64 `json:"sent"`
	} `json:"packets"`
	Recording   string  `json:"recording"`
	RecordingMS float64 `json:"recording_ms"`
	SaveError   string  `json:"save_error"`
	Profile     string  `json:"srtp_profile"`
}

type rule struct {
	Rule   string  `json:"rule"`
	Doc    string  `json:"doc"`
	Pass   bool    `json:"pass"`
	Reason string  `json:"reason"`
	AtMS   float64 `json:"at_ms"`
	Count  int     `json:"count"`
}

// phoneTimings are milliseconds since the call began; nil has not come.
type phoneTimings struct {
	Answered   *float64 `json:"answered_ms"`
	Nominated  *float64 `json:"nominated_ms"`
	DTLS       *float64 `json:"dtls_ms"`
	Accepted   *float64 `json:"accepted_ms"`
	FirstHeard *float64 `json:"first_heard_ms"`
}

// dial makes a phone call us.
func (m *meta) dial(ctx context.Context, s scenario) (id string, err error) {
	var placed struct {
		ID string `json:"id"`
	}
	err = m.do(ctx, http.MethodPost, "/sim/call", s, &placed)
	return placed.ID, err
}

// plan tells a phone what to do when we call it.
func (m *meta) plan(ctx context.Context, number string, s scenario) error {
	return m.do(ctx, http.MethodPut, "/sim/phones/"+number, s, nil)
}

// hangUp lets the user hang up.
func (m *meta) hangUp(ctx context.Context, id string) error {
	return m.do(ctx, http.MethodPost, "/sim/calls/"+url.PathEscape(id)+"/hangup", nil, nil)
}

func (m *meta) verdict(ctx context.Context, id string) (*verdict, error) {
	v := new(verdict)
	return v, m.do(ctx, http.MethodGet, "/sim/calls/"+url.PathEscape(id), nil, v)
}

// do sends a request; into may be nil.
func (m *meta) do(ctx context.Context, method, path string, body, into any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, m.url+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the URL: a call's id contains phone numbers
		}
		return fmt.Errorf("metasim at %s: %w", m.url, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return err
	case answer.StatusCode/100 != 2:
		return fmt.Errorf("%s: %s", answer.Status, bytes.TrimSpace(text))
	case into == nil:
		return nil
	}
	return json.Unmarshal(text, into)
}

// signature is the X-Hub-Signature-256 of a webhook: the HMAC of its raw body with the app secret.
func signature(secret string, body []byte) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write(body)
	return "sha256=" + hex.EncodeToString(m.Sum(nil))
}

// signed tells whether a webhook is Meta's.
func signed(secret string, body []byte, given string) bool {
	return hmac.Equal([]byte(given), []byte(signature(secret, body)))
}
