package graph

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// hookDepth bounds the webhooks that wait for a slow receiver; beyond it they are lost and counted.
const hookDepth = 4096

// hookTries is how often one is sent. Meta's retries come after about 20 s; a test does not want to wait as long.
const hookTries = 3

// hooks sends webhooks, in order, from one goroutine.
type hooks struct {
	url    string
	secret string
	twice  bool // every webhook is sent twice, as Meta's sometimes are
	pause  time.Duration
	client *http.Client
	queue  chan []byte
	stop   context.CancelFunc
	ctx    context.Context
	done   chan struct{}

	Sent, Failed, Lost atomic.Uint64
}

func newHooks(o Options) *hooks {
	h := &hooks{
		url: o.WebhookURL, secret: o.AppSecret, twice: o.WebhooksTwice, pause: o.WebhookPause,
		client: o.Client, queue: make(chan []byte, hookDepth), done: make(chan struct{}),
	}
	if h.client == nil {
		h.client = &http.Client{Timeout: 10 * time.Second}
	}
	if h.pause == 0 {
		h.pause = time.Second
	}
	h.ctx, h.stop = context.WithCancel(context.Background())
	go h.run()
	return h
}

// add never blocks.
func (h *hooks) add(v webhook) {
	if h.url == "" {
		return
	}
	b, err := json.Marshal(v)
	if err != nil {
		h.Lost.Add(1)
		return
	}
	copies := 1
	if h.twice {
		copies = 2
	}
	for range copies {
		select {
		case h.queue <- b:
		default:
			h.Lost.Add(1)
		}
	}
}

func (h *hooks) close() {
	h.stop()
	<-h.done
}

func (h *hooks) run() {
	defer close(h.done)
	defer h.client.CloseIdleConnections()
	for {
		select {
		case <-h.ctx.Done():
			return
		case b := <-h.queue:
			h.deliver(b)
		}
	}
}

func (h *hooks) deliver(b []byte) {
	for try := range hookTries {
		if try > 0 {
			select {
			case <-h.ctx.Done():
				return
			case <-time.After(h.pause):
			}
		}
		if h.post(b) == nil {
			h.Sent.Add(1)
			return
		}
	}
	h.Failed.Add(1)
}

func (h *hooks) post(b []byte) error {
	r, err := http.NewRequestWithContext(h.ctx, http.MethodPost, h.url, bytes.NewReader(b))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "facebookexternalua")
	if h.secret != "" {
		r.Header.Set("X-Hub-Signature-256", Sign(h.secret, b))
	}
	answer, err := h.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<16)) // so that the connection can be used again
	if answer.StatusCode/100 != 2 {
		return http.ErrAbortHandler
	}
	return nil
}

// Sign is the value of X-Hub-Signature-256 for a body.
func Sign(secret string, body []byte) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write(body)
	return "sha256=" + hex.EncodeToString(m.Sum(nil))
}
