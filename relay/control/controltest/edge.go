// Package controltest is an edge without media, in memory: what the control API and its clients are tested against.
package controltest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/onelane/onelane/relay"
	"github.com/onelane/onelane/relay/sink"
)

// Start is when every fake edge started; its events are a second apart.
var Start = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

// Edge implements control.Edge and control.Positioner. Use New. Its methods may be called from any goroutine.
type Edge struct {
	// Hook, if set, is called at the start of every method with its name; an error it gives is the method's. Set it before use.
	Hook func(method string) error

	mu      sync.Mutex
	refusal error
	keep    int
	calls   []*relay.View
	events  []relay.Event
	next    uint64
	changed chan struct{} // closed and replaced at every event
}

// New gives an edge without calls.
func New() *Edge { return &Edge{changed: make(chan struct{}), next: 1} }

func (e *Edge) enter(method string) error {
	if e.Hook != nil {
		if err := e.Hook(method); err != nil {
			return err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.refusal
}

// Refuse makes every method fail from now on; nil ends that.
func (e *Edge) Refuse(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refusal = err
}

// Keep says how many events are kept from now on for a watch to resume; 0: all.
func (e *Edge) Keep(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.keep = n
}

// Emit makes something happen; Seq and Time are filled in.
func (e *Edge) Emit(event relay.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.emit(event)
}

func (e *Edge) emit(event relay.Event) {
	event.Seq = e.next
	event.Time = Start.Add(time.Duration(e.next) * time.Second)
	e.next++
	e.events = append(e.events, event)
	if e.keep > 0 && len(e.events) > e.keep {
		e.events = slices.Delete(e.events, 0, len(e.events)-e.keep)
	}
	close(e.changed)
	e.changed = make(chan struct{})
}

func fail(c relay.Code, reason, field, message string) *relay.Error {
	return &relay.Error{Code: c, Reason: reason, Field: field, Message: message}
}

// on runs f on a call; the view is a copy.
func (e *Edge) on(method, id string, f func(v *relay.View) error) (relay.View, error) {
	if err := e.enter(method); err != nil {
		return relay.View{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range e.calls {
		if v.ID == id {
			if err := f(v); err != nil {
				return relay.View{}, err
			}
			return snapshot(v), nil
		}
	}
	return relay.View{}, fail(relay.NotFound, "CALL_NOT_FOUND", "call_id", "no such call on this edge; it may have ended a while ago, or be on another edge")
}

func snapshot(v *relay.View) relay.View {
	out := *v
	out.Attachments = slices.Clone(v.Attachments)
	return out
}

func alive(v *relay.View) error {
	if v.State == relay.StateEnded {
		return fail(relay.FailedPrecondition, "CALL_ENDED", "call_id", "the call has ended; create a new one")
	}
	return nil
}

// Create is idempotent. An offer has to begin with v=0.
func (e *Edge) Create(_ context.Context, n relay.NewCall) (relay.View, error) {
	if err := e.enter("Create"); err != nil {
		return relay.View{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range e.calls {
		if v.ID != n.ID {
			continue
		}
		if v.Direction != n.Direction || v.Tenant != n.Tenant {
			return relay.View{}, fail(relay.AlreadyExists, "CALL_EXISTS", "call_id", "the call id is taken by a different call")
		}
		return snapshot(v), nil
	}
	if n.Direction == relay.UserInitiated && !strings.HasPrefix(n.Offer, "v=0") {
		err := fail(relay.InvalidArgument, "SDP_INVALID", "sdp_offer", "an SDP begins with v=0 (RFC 8866 section 5.1)")
		err.Line = 1
		return relay.View{}, err
	}
	lease := n.Lease
	if lease == 0 {
		lease = time.Minute
	}
	v := &relay.View{
		ID: n.ID, Tenant: n.Tenant, Labels: maps.Clone(n.Labels), Direction: n.Direction, State: relay.StateDialing,
		LocalSDP:  fmt.Sprintf("v=0\r\no=- %d 1 IN IP4 192.0.2.1\r\ns=-\r\n", len(e.calls)+1),
		LocalAddr: "192.0.2.1:40000", Source: "silence", Created: Start.Add(time.Duration(len(e.calls)) * time.Minute), LeaseLeft: lease,
	}
	e.calls = append(e.calls, v)
	e.emit(relay.Event{Kind: relay.EventCallCreated, CallID: n.ID, Tenant: n.Tenant})
	return snapshot(v), nil
}

// ApplyAnswer takes anything.
func (e *Edge) ApplyAnswer(_ context.Context, id, _ string) (relay.View, error) {
	return e.on("ApplyAnswer", id, func(v *relay.View) error {
		if v.Direction != relay.BusinessInitiated {
			return fail(relay.FailedPrecondition, "NOT_BUSINESS_INITIATED", "call_id", "the call was created with an offer; it has its answer already")
		}
		v.RemoteAddr = "198.51.100.7:3480"
		return alive(v)
	})
}

// OpenMedia makes a call live at once.
func (e *Edge) OpenMedia(_ context.Context, id string) (relay.View, error) {
	return e.on("OpenMedia", id, func(v *relay.View) error {
		if err := alive(v); err != nil {
			return err
		}
		v.GateOpen, v.State = true, relay.StateLive
		v.DTLSRole, v.SRTPProfile, v.RemoteAddr = "client", "AEAD_AES_128_GCM", "198.51.100.7:3480"
		v.Timings = relay.Timings{ICE: 41 * time.Millisecond, DTLS: 97 * time.Millisecond, Gate: 320 * time.Millisecond}
		v.Stats = relay.CallStats{
			PacketsReceived: 50, BytesReceived: 4000, PacketsSent: 50, BytesSent: 4100, PacketsLost: 1,
			Jitter: 3 * time.Millisecond, RoundTrip: 25 * time.Millisecond,
		}
		e.emit(relay.Event{Kind: relay.EventGateOpened, CallID: id, Tenant: v.Tenant, Since: v.Timings.Gate})
		return nil
	})
}

// Get gives a call.
func (e *Edge) Get(_ context.Context, id string) (relay.View, error) {
	return e.on("Get", id, func(*relay.View) error { return nil })
}

// List pages by position.
func (e *Edge) List(_ context.Context, f relay.ListFilter) ([]relay.View, string, error) {
	if err := e.enter("List"); err != nil {
		return nil, "", err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	start := 0
	if f.Token != "" {
		n, err := strconv.Atoi(f.Token)
		if err != nil {
			return nil, "", fail(relay.InvalidArgument, "PAGE_TOKEN_INVALID", "page_token", "not a token of this edge")
		}
		start = n
	}
	limit := f.Limit
	if limit == 0 {
		limit = 100
	}
	var views []relay.View
	for i := start; i < len(e.calls); i++ {
		v := e.calls[i]
		if f.Tenant != "" && f.Tenant != v.Tenant || len(f.States) > 0 && !slices.Contains(f.States, v.State) || !has(v.Labels, f.Labels) {
			continue
		}
		if len(views) == limit {
			return views, strconv.Itoa(i), nil
		}
		views = append(views, snapshot(v))
	}
	return views, "", nil
}

func has(labels, want map[string]string) bool {
	for k, v := range want {
		if labels[k] != v {
			return false
		}
	}
	return true
}

// End ends a call.
func (e *Edge) End(_ context.Context, id, message string) (relay.View, error) {
	return e.on("End", id, func(v *relay.View) error {
		if v.State == relay.StateEnded {
			return nil
		}
		v.State, v.EndReason, v.EndMessage, v.Ended = relay.StateEnded, relay.EndRequested, message, v.Created.Add(90*time.Second)
		e.emit(relay.Event{Kind: relay.EventCallEnded, CallID: id, Tenant: v.Tenant, Reason: relay.EndRequested, Message: message})
		return nil
	})
}

// Attach knows the kinds "recording" and "player".
func (e *Edge) Attach(_ context.Context, id string, n relay.NewAttachment) (relay.AttachmentView, error) {
	a := relay.AttachmentView{ID: n.ID, Kind: n.Kind, Direction: n.Direction, State: relay.AttachmentActive, CanSource: n.Kind == "player"}
	_, err := e.on("Attach", id, func(v *relay.View) error {
		if err := alive(v); err != nil {
			return err
		}
		if n.Kind != "recording" && n.Kind != "player" {
			return fail(relay.NotFound, "KIND_NOT_FOUND", "kind", "no such kind; GetNode lists those there are")
		}
		if a.ID == "" {
			a.ID = fmt.Sprintf("%s-%d", n.Kind, len(v.Attachments)+1)
		}
		if a.Direction == 0 {
			a.Direction = sink.Both
		}
		if n.Kind == "recording" {
			a.Result = map[string]string{"path": "2026/11/24/a.opus"}
		}
		for _, other := range v.Attachments {
			if other.ID == a.ID {
				return fail(relay.AlreadyExists, "ATTACHMENT_EXISTS", "attachment_id", "the attachment id is taken")
			}
		}
		v.Attachments = append(v.Attachments, a)
		e.emit(relay.Event{Kind: relay.EventAttached, CallID: id, Tenant: v.Tenant, Attachment: a.ID, Result: a.Result})
		return nil
	})
	return a, err
}

// Detach marks an attachment done.
func (e *Edge) Detach(_ context.Context, id, attachmentID string) (relay.AttachmentView, error) {
	var out relay.AttachmentView
	_, err := e.on("Detach", id, func(v *relay.View) error {
		for i := range v.Attachments {
			if v.Attachments[i].ID == attachmentID {
				v.Attachments[i].State = relay.AttachmentDone
				out = v.Attachments[i]
				e.emit(relay.Event{Kind: relay.EventDetached, CallID: id, Tenant: v.Tenant, Attachment: attachmentID, Result: out.Result})
				return nil
			}
		}
		return fail(relay.NotFound, "ATTACHMENT_NOT_FOUND", "attachment_id", "the call has no such attachment; GetCall lists those there are")
	})
	return out, err
}

// Select chooses a source.
func (e *Edge) Select(_ context.Context, id, source string) (relay.View, error) {
	return e.on("Select", id, func(v *relay.View) error {
		known := source == "silence"
		for _, a := range v.Attachments {
			known = known || a.ID == source && a.CanSource
		}
		if !known {
			return fail(relay.FailedPrecondition, "NOT_A_SOURCE", "source", "the attachment gives no audio; select one that can_source, or silence")
		}
		v.Source = source
		e.emit(relay.Event{Kind: relay.EventSourceSwitched, CallID: id, Tenant: v.Tenant, Attachment: source})
		return alive(v)
	})
}

// SendTones is over at once.
func (e *Edge) SendTones(_ context.Context, id string, t relay.Tones) error {
	_, err := e.on("SendTones", id, func(v *relay.View) error {
		if !v.GateOpen {
			return fail(relay.FailedPrecondition, "GATE_CLOSED", "call_id", "the media gate is closed; call OpenMedia first")
		}
		e.emit(relay.Event{Kind: relay.EventDigitsSent, CallID: id, Tenant: v.Tenant, Digits: len(t.Digits)})
		return nil
	})
	return err
}

// Position is the newest event.
func (e *Edge) Position() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strconv.FormatUint(e.next-1, 10)
}

// Watch gives what happens until ctx ends.
func (e *Edge) Watch(ctx context.Context, o relay.WatchOptions, each func(relay.Event, string) error, gap func(relay.Gap) error) error {
	if err := e.enter("Watch"); err != nil {
		return err
	}
	seen, err := strconv.ParseUint(o.Resume, 10, 64)
	if err != nil {
		return fail(relay.InvalidArgument, "RESUME_TOKEN_INVALID", "resume_token", "not a token of this edge; watch from now on and list the calls")
	}
	for {
		e.mu.Lock()
		events, changed, next := slices.Clone(e.events), e.changed, e.next
		e.mu.Unlock()
		if first := next - uint64(len(events)); first > seen+1 {
			if err := gap(relay.Gap{From: seen + 1, To: first - 1}); err != nil {
				return err
			}
			seen = first - 1
		}
		for _, event := range events {
			if event.Seq <= seen {
				continue
			}
			seen = event.Seq
			if o.Tenant != "" && o.Tenant != event.Tenant || len(o.CallIDs) > 0 && !slices.Contains(o.CallIDs, event.CallID) {
				continue
			}
			if err := each(event, strconv.FormatUint(seen, 10)); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Node describes two kinds.
func (e *Edge) Node() relay.Node {
	e.mu.Lock()
	defer e.mu.Unlock()
	return relay.Node{
		Version: "v0.0.0-test", Started: Start, Calls: len(e.calls), CallsLimit: 500, LimitedBy: "ports", Shards: 1,
		PacketsIn: 1000, PacketsOut: 990, Drops: map[string]uint64{"replay": 3, "no_leg": 2},
		Kinds: []relay.KindView{
			{Name: "player", Doc: "plays an Ogg Opus file to the phone", CanSource: true, Params: []relay.ParamView{
				{Name: "file", Doc: "name of a file in the player's folder", Required: true},
				{Name: "repeat", Doc: "how often, 0 for ever", Default: "1"},
			}},
			{Name: "recording", Doc: "records to Ogg Opus", Params: []relay.ParamView{{Name: "mono", Doc: "caller or business; empty for stereo"}}},
		},
		MediaAddrs: []string{"10.0.0.5=192.0.2.1"}, PortMin: 20000, PortMax: 20499, PortsResting: 2,
		Process: relay.Process{
			Goroutines: 27, Heap: 30 << 20, HeapLive: 20 << 20, Stack: 1 << 20, Allocated: 5000, Descriptors: 61, DescriptorsLimit: 20000, Collections: 4,
			Pauses: []relay.Pauses{{AtMost: 80 * time.Microsecond, Count: 7}, {AtMost: 320 * time.Microsecond, Count: 1}},
		},
		Media: relay.MediaPlane{Wakeups: 700, Calls: 3400, ReceivedBytes: 92000, SentBytes: 91080, ReceiveErrors: 1},
	}
}
