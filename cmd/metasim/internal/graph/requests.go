package graph

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/onelane/onelane/cmd/metasim/internal/phone"
)

// maxBody bounds a request: an SDP of 64 KiB in JSON.
const maxBody = 256 << 10

func (e *Exchange) routes() *http.ServeMux {
	m := http.NewServeMux()
	m.HandleFunc("POST /{number}/calls", e.act)
	m.HandleFunc("POST /{version}/{number}/calls", e.act)
	m.HandleFunc("POST /sim/call", e.place)
	m.HandleFunc("PUT /sim/phones/{number}", e.plan)
	m.HandleFunc("GET /sim/calls", e.list)
	m.HandleFunc("GET /sim/calls/{id}", e.show)
	m.HandleFunc("POST /sim/calls/{id}/hangup", e.hangup)
	m.HandleFunc("GET /sim/health", func(http.ResponseWriter, *http.Request) {})
	return m
}

func read(w http.ResponseWriter, r *http.Request, into any) bool {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		fail(w, http.StatusBadRequest, 100, "Invalid parameter", "body: "+err.Error())
		return false
	}
	return true
}

// act is Graph's one request.
func (e *Exchange) act(w http.ResponseWriter, r *http.Request) {
	var a action
	if !read(w, r, &a) {
		return
	}
	if a.Product != "whatsapp" {
		fail(w, http.StatusBadRequest, 100, "Invalid parameter", "messaging_product must be whatsapp")
		return
	}
	if a.Action == "connect" {
		e.connect(w, r.PathValue("number"), a)
		return
	}
	c := e.find(a.CallID)
	if c == nil || c.businessID != r.PathValue("number") {
		fail(w, http.StatusBadRequest, 100, "Invalid parameter", "call_id names no call of this phone number")
		return
	}
	var err error
	switch a.Action {
	case "pre_accept", "accept":
		if !c.userInitiated {
			fail(w, http.StatusBadRequest, 100, "Invalid parameter", a.Action+" is for calls that a user makes")
			return
		}
		if a.Session == nil || a.Session.Type != "answer" || a.Session.SDP == "" {
			fail(w, http.StatusBadRequest, 100, "Invalid parameter", "session must have sdp_type answer and sdp")
			return
		}
		if a.Action == "accept" {
			err = c.phone.Accept(a.Session.SDP)
		} else {
			err = c.phone.PreAccept(a.Session.SDP)
		}
	case "reject", "terminate":
		c.phone.HangUp(true)
	default:
		fail(w, http.StatusBadRequest, 100, "Invalid parameter", "action must be connect, pre_accept, accept, reject or terminate")
		return
	}
	if !answered(w, err) {
		return
	}
	reply(w, http.StatusOK, map[string]any{"messaging_product": "whatsapp", "success": true})
}

// answered answers for a call that refuses; it says whether there is anything left to answer.
func answered(w http.ResponseWriter, err error) bool {
	var refusal *phone.Refusal
	switch {
	case err == nil:
		return true
	case errors.As(err, &refusal):
		refuse(w, refusal.Rule, refusal.Code, refusal.Detail)
	default:
		fail(w, http.StatusBadRequest, 100, "Invalid parameter", err.Error())
	}
	return false
}

// connect is the business calling a user.
func (e *Exchange) connect(w http.ResponseWriter, number string, a action) {
	if a.To == "" || a.Session == nil || a.Session.Type != "offer" || a.Session.SDP == "" {
		fail(w, http.StatusBadRequest, 100, "Invalid parameter", "connect needs to, and a session with sdp_type offer and sdp")
		return
	}
	e.mu.Lock()
	s := e.plans[a.To]
	e.mu.Unlock()
	c := &call{from: number, to: a.To, businessID: number, opaque: a.Opaque}
	if err := e.dial(c, s); err != nil {
		fail(w, http.StatusInternalServerError, 1, "An unknown error occurred", err.Error())
		return
	}
	e.log.Info("the business calls", "call", c.number)
	sdp, err := c.phone.Answer(a.Session.SDP)
	if !answered(w, err) {
		return
	}
	c.told.Store(true)
	e.answer(c, sdp)
	reply(w, http.StatusOK, map[string]any{"messaging_product": "whatsapp", "calls": []map[string]string{{"id": c.id}}})
}

// place makes a phone dial the business.
func (e *Exchange) place(w http.ResponseWriter, r *http.Request) {
	var s phone.Scenario
	if !read(w, r, &s) {
		return
	}
	if s.From == "" {
		s.From = "15555550100"
	}
	if s.To == "" {
		s.To = "100000000000001"
	}
	c := &call{userInitiated: true, from: s.From, to: s.To, businessID: s.To}
	if err := e.dial(c, s); err != nil {
		fail(w, http.StatusBadRequest, 100, "Invalid parameter", err.Error())
		return
	}
	e.log.Info("a user calls", "call", c.number)
	c.told.Store(true)
	e.ring(c)
	reply(w, http.StatusOK, map[string]string{"id": c.id})
}

func (e *Exchange) plan(w http.ResponseWriter, r *http.Request) {
	var s phone.Scenario
	if !read(w, r, &s) {
		return
	}
	if err := s.Check(); err != nil {
		fail(w, http.StatusBadRequest, 100, "Invalid parameter", err.Error())
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.plans) >= maxCalls {
		fail(w, http.StatusInsufficientStorage, 100, "Invalid parameter", "too many phones")
		return
	}
	e.plans[r.PathValue("number")] = s
	w.WriteHeader(http.StatusNoContent)
}

// Verdict is a call with its report.
type Verdict struct {
	ID        string `json:"id"`
	Number    int    `json:"number"`
	Direction string `json:"direction"`
	From      string `json:"from"`
	To        string `json:"to"`
	phone.Report
}

func (e *Exchange) verdict(c *call) Verdict {
	return Verdict{ID: c.id, Number: c.number, Direction: e.eventOf(c, "").Direction, From: c.from, To: c.to, Report: c.phone.Report()}
}

func (e *Exchange) list(w http.ResponseWriter, _ *http.Request) {
	e.mu.Lock()
	all := append([]*call(nil), e.order...)
	e.mu.Unlock()
	out := make([]Verdict, 0, len(all))
	for _, c := range all {
		v := e.verdict(c)
		v.Rules = nil
		out = append(out, v)
	}
	reply(w, http.StatusOK, map[string]any{"calls": out})
}

func (e *Exchange) show(w http.ResponseWriter, r *http.Request) {
	c := e.find(r.PathValue("id"))
	if c == nil {
		fail(w, http.StatusNotFound, 100, "Invalid parameter", "no such call")
		return
	}
	reply(w, http.StatusOK, e.verdict(c))
}

func (e *Exchange) hangup(w http.ResponseWriter, r *http.Request) {
	c := e.find(r.PathValue("id"))
	if c == nil {
		fail(w, http.StatusNotFound, 100, "Invalid parameter", "no such call")
		return
	}
	c.phone.HangUp(false)
	w.WriteHeader(http.StatusNoContent)
}
