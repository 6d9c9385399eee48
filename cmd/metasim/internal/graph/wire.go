package graph

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/onelane/onelane/cmd/metasim/internal/rules"
)

// session is an SDP as Graph carries it.
type session struct {
	Type string `json:"sdp_type"`
	SDP  string `json:"sdp"`
}

// action is the body of POST /{phone_number_id}/calls.
type action struct {
	Product string   `json:"messaging_product"`
	Action  string   `json:"action"`
	To      string   `json:"to"`
	CallID  string   `json:"call_id"`
	Session *session `json:"session"`
	Opaque  string   `json:"biz_opaque_callback_data,omitempty"`
}

// failure is Graph's error.
type failure struct {
	Message   string `json:"message"`
	Type      string `json:"type"`
	Code      int    `json:"code"`
	Subcode   int    `json:"error_subcode,omitempty"`
	ErrorData struct {
		Product string `json:"messaging_product"`
		Details string `json:"details"`
	} `json:"error_data"`
	Trace string `json:"fbtrace_id"`
}

func fail(w http.ResponseWriter, status, code int, message, details string) {
	f := failure{Message: message, Type: "OAuthException", Code: code, Trace: "metasim"}
	f.Message = "(#" + strconv.Itoa(code) + ") " + message
	f.ErrorData.Product, f.ErrorData.Details = "whatsapp", details
	reply(w, status, map[string]any{"error": f})
}

// refuse answers for an SDP that breaks a rule.
func refuse(w http.ResponseWriter, rule rules.Name, code int, details string) {
	f := failure{Type: "OAuthException", Code: code, Trace: "metasim"}
	f.Message = "(#" + strconv.Itoa(code) + ") " + titles[code]
	if code == rules.CodeParameter {
		f.Subcode = rules.SubFingerprint
	}
	f.ErrorData.Product, f.ErrorData.Details = "whatsapp", string(rule)+": "+details
	reply(w, http.StatusBadRequest, map[string]any{"error": f})
}

// titles of the codes, for errors in answers and in terminate webhooks.
var titles = map[int]string{
	rules.CodeParameter:   "Invalid parameter",
	rules.CodeTimeout:     "Connect timeout",
	rules.CodeSDP:         "SDP Validation error",
	rules.CodeICE:         "Media set-up failed: ICE",
	rules.CodeDTLS:        "Media set-up failed: DTLS",
	rules.CodeNoMedia:     "No media from the business",
	rules.CodeConsent:     "Media connection lost",
	rules.CodeBrokenMedia: "Broken media from the business",
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client went away: nobody to tell
}

// The webhook: one change of field calls.
type webhook struct {
	Object string  `json:"object"`
	Entry  []entry `json:"entry"`
}

type entry struct {
	ID      string   `json:"id"`
	Changes []change `json:"changes"`
}

type change struct {
	Value value  `json:"value"`
	Field string `json:"field"`
}

type value struct {
	Product  string       `json:"messaging_product"`
	Metadata metadata     `json:"metadata"`
	Contacts []contact    `json:"contacts,omitempty"`
	Calls    []callEvent  `json:"calls,omitempty"`
	Statuses []callStatus `json:"statuses,omitempty"`
	Errors   []callError  `json:"errors,omitempty"`
}

type metadata struct {
	Display string `json:"display_phone_number"`
	ID      string `json:"phone_number_id"`
}

type contact struct {
	Profile struct {
		Name string `json:"name"`
	} `json:"profile"`
	ID string `json:"wa_id"`
}

type callEvent struct {
	ID        string      `json:"id"`
	From      string      `json:"from"`
	To        string      `json:"to"`
	Event     string      `json:"event"` // connect, terminate
	Timestamp string      `json:"timestamp"`
	Direction string      `json:"direction"` // USER_INITIATED, BUSINESS_INITIATED
	Session   *session    `json:"session,omitempty"`
	Status    string      `json:"status,omitempty"` // COMPLETED, FAILED
	StartTime string      `json:"start_time,omitempty"`
	EndTime   string      `json:"end_time,omitempty"`
	Duration  int         `json:"duration,omitempty"` // seconds
	Opaque    string      `json:"biz_opaque_callback_data,omitempty"`
	Errors    []callError `json:"errors,omitempty"`
}

type callStatus struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	Status    string `json:"status"` // RINGING, ACCEPTED, REJECTED
	Timestamp string `json:"timestamp"`
	Recipient string `json:"recipient_id"`
}

type callError struct {
	Code    int    `json:"code"`
	Title   string `json:"title"`
	Message string `json:"message"`
	Data    struct {
		Details string `json:"details"`
	} `json:"error_data"`
}
