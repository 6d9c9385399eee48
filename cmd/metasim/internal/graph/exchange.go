// Package graph is the signalling side of the simulator: enough of Meta's Graph API and webhooks to drive calls both ways, and a few
// requests under /sim/ that play the user and read the verdict.
//
// # Graph
//
//	POST /{phone_number_id}/calls            (also with a version in front: /v23.0/{phone_number_id}/calls)
//	  {"messaging_product":"whatsapp","action":"connect","to":"<user>","session":{"sdp_type":"offer","sdp":"..."}}
//	      200 {"messaging_product":"whatsapp","calls":[{"id":"wacid..."}]}
//	  {..., "action":"pre_accept","call_id":"wacid...","session":{"sdp_type":"answer","sdp":"..."}}
//	  {..., "action":"accept","call_id":"wacid...","session":{"sdp_type":"answer","sdp":"..."}}
//	  {..., "action":"reject","call_id":"wacid..."}
//	  {..., "action":"terminate","call_id":"wacid..."}
//	      200 {"messaging_product":"whatsapp","success":true}
//	  400 {"error":{"message","type","code","error_subcode","error_data":{"details"},"fbtrace_id"}}
//
// Codes: 100 (with subcode 2494010 for a fingerprint), 138008 for an SDP that breaks a rule; error_data.details names the rule. An SDP
// that is refused ends the call. The media gate of a user-initiated call opens when accept is answered with 200.
//
// # Webhooks
//
// POSTed to the webhook URL, field "calls", signed with X-Hub-Signature-256 when there is an app secret: calls[].event connect (with
// session: Meta's offer, or its answer to connect) and terminate (status COMPLETED or FAILED, duration, errors[].code with the broken
// rule in error_data.details); statuses[].status RINGING, ACCEPTED, REJECTED for calls of the business.
//
// # The user
//
//	POST /sim/call                 a phone.Scenario; its "to" is the phone_number_id. The phone dials; 200 {"id":"wacid..."}
//	PUT  /sim/phones/{number}      a phone.Scenario: what the phone with this number does when the business calls it. 204
//	GET  /sim/calls                {"calls":[...]}: every call without its rules
//	GET  /sim/calls/{id}           the call: id, direction, from, to, and a phone.Report
//	POST /sim/calls/{id}/hangup    the user hangs up. 204
//	GET  /sim/health               200
package graph

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onelane/onelane/cmd/metasim/internal/phone"
	"github.com/onelane/onelane/cmd/metasim/internal/rules"
	"github.com/onelane/onelane/ice/icetest"
)

// maxCalls bounds the calls that are remembered, ended ones included; the oldest ended ones are forgotten first.
const maxCalls = 10_000

// soon lets an HTTP answer go out before the webhook that belongs to it.
const soon = 10 * time.Millisecond

// Options of an Exchange.
type Options struct {
	Server        *icetest.Server
	WebhookURL    string
	AppSecret     string
	WebhooksTwice bool
	WebhookPause  time.Duration // between tries; 0: 1 s
	Recordings    string        // folder; empty: nothing is recorded
	Client        *http.Client
	Log           *slog.Logger // names calls by number: their ids contain phone numbers
}

// Exchange serves calls. Its methods may be called from any goroutine.
type Exchange struct {
	options Options
	hooks   *hooks
	log     *slog.Logger
	mux     *http.ServeMux

	mu     sync.Mutex
	calls  map[string]*call
	order  []*call
	plans  map[string]phone.Scenario // by the user's number
	number int
}

// call is one call. What is not guarded by the Exchange's mu never changes.
type call struct {
	id            string
	number        int
	userInitiated bool
	from, to      string
	businessID    string
	opaque        string
	phone         *phone.Phone
	told          atomic.Bool // the business knows the id: it hears of the end
}

// New makes an Exchange. Close it before the server.
func New(o Options) *Exchange {
	e := &Exchange{options: o, hooks: newHooks(o), log: o.Log, calls: map[string]*call{}, plans: map[string]phone.Scenario{}}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	e.mux = e.routes()
	return e
}

// ServeHTTP implements http.Handler.
func (e *Exchange) ServeHTTP(w http.ResponseWriter, r *http.Request) { e.mux.ServeHTTP(w, r) }

// Close hangs every phone up and stops sending webhooks.
func (e *Exchange) Close() {
	e.mu.Lock()
	all := append([]*call(nil), e.order...)
	e.mu.Unlock()
	for _, c := range all {
		c.phone.HangUp(false)
	}
	e.hooks.close()
}

// dial opens a call.
func (e *Exchange) dial(c *call, s phone.Scenario) error {
	e.mu.Lock()
	e.number++
	c.number = e.number
	e.mu.Unlock()
	c.id = newID(c.from, c.to)
	o := phone.Options{Server: e.options.Server, Scenario: s, UserInitiated: c.userInitiated}
	if e.options.Recordings != "" {
		o.Recording = filepath.Join(e.options.Recordings, fmt.Sprintf("call-%04d.opus", c.number))
	}
	o.OnEnd = func(end phone.Ending) { e.ended(c, end) }
	p, err := phone.New(o)
	if err != nil {
		return err
	}
	c.phone = p
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls[c.id] = c
	e.order = append(e.order, c)
	e.prune()
	return nil
}

// prune forgets the oldest ended calls over the limit. e.mu is held.
func (e *Exchange) prune() {
	for i := 0; len(e.order) > maxCalls && i < len(e.order); {
		if !e.order[i].phone.Ended() {
			i++
			continue
		}
		delete(e.calls, e.order[i].id)
		e.order = append(e.order[:i], e.order[i+1:]...)
	}
}

func (e *Exchange) find(id string) *call {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.calls[id]
}

// newID makes an id as Meta's: base64 that contains both numbers.
func newID(from, to string) string {
	b := make([]byte, 12)
	_, _ = rand.Read(b) // never fails
	return "wacid." + base64.RawURLEncoding.EncodeToString(append([]byte(from+to), b...))
}

// ring tells the business of a call that a user makes.
func (e *Exchange) ring(c *call) {
	e.send(c, func(v *value) {
		v.Calls = []callEvent{e.eventOf(c, "connect")}
		v.Calls[0].Session = &session{"offer", c.phone.Offer()}
		who := contact{ID: c.from}
		who.Profile.Name = "metasim"
		v.Contacts = []contact{who}
	})
}

// answer plays the user whom the business calls: ringing, the tunnel's answer, and then the finger on the screen.
func (e *Exchange) answer(c *call, sdp string) {
	s := c.phone.Scenario()
	delay := time.Duration(s.AnswerDelayMS) * time.Millisecond
	at := e.options.Server.Now() + soon
	e.options.Server.Schedule(at, func(time.Duration) (time.Duration, bool) {
		c.phone.Tunnel()
		e.status(c, "RINGING")
		e.send(c, func(v *value) {
			v.Calls = []callEvent{e.eventOf(c, "connect")}
			v.Calls[0].Session = &session{"answer", sdp}
		})
		return 0, false
	})
	e.options.Server.Schedule(at+delay, func(time.Duration) (time.Duration, bool) {
		switch {
		case c.phone.Ended():
		case s.Reject:
			e.status(c, "REJECTED")
			c.phone.HangUp(false)
		default:
			c.phone.PickUp()
			e.status(c, "ACCEPTED")
		}
		return 0, false
	})
}

func (e *Exchange) ended(c *call, end phone.Ending) {
	e.log.Info("call ended", "call", c.number, "reason", end.Reason, "rule", string(end.Rule), "detail", end.Detail, "code", end.Code)
	if !c.told.Load() {
		return
	}
	e.send(c, func(v *value) {
		event := e.eventOf(c, "terminate")
		event.Status = "COMPLETED"
		if end.Talked > 0 {
			finish := time.Now()
			event.StartTime = stamp(finish.Add(-end.Talked))
			event.EndTime = stamp(finish)
			event.Duration = int(end.Talked.Round(time.Second) / time.Second)
		}
		if end.Code != 0 {
			event.Status = "FAILED"
			f := callError{Code: end.Code, Title: titles[end.Code], Message: titles[end.Code]}
			f.Data.Details = string(end.Rule) + ": " + end.Detail
			event.Errors = []callError{f}
			if end.Code == rules.CodeParameter {
				event.Errors[0].Message += " (" + strconv.Itoa(rules.SubFingerprint) + ")"
			}
		}
		v.Calls = []callEvent{event}
	})
}

func (e *Exchange) eventOf(c *call, name string) callEvent {
	direction := "BUSINESS_INITIATED"
	if c.userInitiated {
		direction = "USER_INITIATED"
	}
	return callEvent{
		ID: c.id, From: c.from, To: c.to, Event: name, Timestamp: stamp(time.Now()), Direction: direction, Opaque: c.opaque,
	}
}

func (e *Exchange) status(c *call, name string) {
	e.send(c, func(v *value) {
		v.Statuses = []callStatus{{ID: c.id, Type: "call", Status: name, Timestamp: stamp(time.Now()), Recipient: c.to}}
	})
}

func (e *Exchange) send(c *call, fill func(*value)) {
	v := value{Product: "whatsapp", Metadata: metadata{Display: c.businessID, ID: c.businessID}}
	fill(&v)
	e.hooks.add(webhook{Object: "whatsapp_business_account", Entry: []entry{{
		ID: "0", Changes: []change{{Field: "calls", Value: v}},
	}}})
}

func stamp(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
