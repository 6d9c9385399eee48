package relay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onelane/onelane/ice/udp"
	"github.com/onelane/onelane/relay/shard"
	"github.com/onelane/onelane/relay/sink"
)

const (
	maxAttachments = 16
	// stallTime is how long a write may take before the attachment is told as failing.
	stallTime = 500 * time.Millisecond
)

// silence is the name of the lane's own source.
const silence = "silence"

var attachmentID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// attachment is one sink or source on a call. Its media state is with the shard.
type attachment struct {
	id        string
	serial    uint32 // its name on the shard
	kind      *Kind
	direction sink.Direction
	params    map[string]string
	opened    Opened
	queue     *sink.Queue // nil if it has no Writer
	number    uint16      // port number of an RTP leg; 0: none

	stalled atomic.Bool // told as failing because a write takes too long

	mu      sync.Mutex // guards what follows
	state   AttachmentState
	failing string
	result  map[string]string
	frames  uint64 // of the shard, when it ended
}

// Attach puts a sink or a source on a call. Attach with the id of an attachment that is there gives that, if kind, direction and
// parameters are the same.
func (s *Server) Attach(ctx context.Context, id string, n NewAttachment) (AttachmentView, error) {
	c, err := s.find(ctx, id)
	if err != nil {
		return AttachmentView{}, err
	}
	kind, ok := s.kinds[n.Kind]
	if !ok {
		return AttachmentView{}, fail(NotFound, "KIND_UNKNOWN", "kind", "no kind %q here; there are: %s", printable(n.Kind), kindNames(s.kinds))
	}
	if n.ID != "" && (!attachmentID.MatchString(n.ID) || n.ID == silence) {
		return AttachmentView{}, fail(InvalidArgument, "ATTACHMENT_ID", "attachment_id", "has to be 1 to 64 of A-Z a-z 0-9 . _ - and not %q", silence)
	}
	if n.Direction > sink.Both {
		return AttachmentView{}, fail(InvalidArgument, "ATTACHMENT_DIRECTION", "direction", "has to be caller, business or both")
	}
	if n.Direction == 0 {
		n.Direction = kind.Direction
	}
	params, err := kind.complete(n.Params)
	if err != nil {
		return AttachmentView{}, err
	}
	c.attaching.Lock()
	defer c.attaching.Unlock()
	a, existing, err := c.admit(n, &kind, params)
	if err != nil || existing {
		if err != nil {
			return AttachmentView{}, err
		}
		return c.attachmentView(a), nil
	}
	if err := c.attach(ctx, a); err != nil {
		return AttachmentView{}, err
	}
	c.mu.Lock()
	c.state.attachments = append(c.state.attachments, a)
	c.mu.Unlock()
	s.event(c, Event{Kind: EventAttached, Attachment: a.id, Result: maps.Clone(a.result)})
	return c.attachmentView(a), nil
}

// admit makes the attachment, or finds the one that is there.
func (c *Call) admit(n NewAttachment, kind *Kind, params map[string]string) (a *attachment, existing bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.state == StateEnded {
		return nil, false, fail(FailedPrecondition, "CALL_ENDED", "call_id", "the call has ended")
	}
	active := 0
	for _, a := range c.state.attachments {
		if a.id == n.ID {
			if a.done() {
				return nil, false, fail(AlreadyExists, "ATTACHMENT_EXISTS", "attachment_id", "this id was used on this call before: choose another")
			}
			if a.kind.Name != kind.Name || a.direction != n.Direction || !maps.Equal(a.params, params) {
				return nil, false, fail(AlreadyExists, "ATTACHMENT_EXISTS", "attachment_id", "this id is taken by an attachment with another kind, direction or parameters")
			}
			return a, true, nil
		}
		if !a.done() {
			active++
		}
	}
	if active >= maxAttachments {
		return nil, false, fail(Exhausted, "ATTACHMENTS_EXHAUSTED", "", "a call has at most %d attachments: detach one", maxAttachments)
	}
	c.state.serials++
	a = &attachment{id: n.ID, serial: c.state.serials, kind: kind, direction: n.Direction, params: params, state: AttachmentActive}
	if a.id == "" {
		a.id = fmt.Sprintf("%s-%d", kind.Name, a.serial)
	}
	return a, false, nil
}

// attach opens the kind and gives it to the shard.
func (c *Call) attach(ctx context.Context, a *attachment) error {
	opened, err := a.kind.Open(ctx, OpenRequest{
		CallID: c.id, CallKey: c.key, Tenant: c.tenant, AttachmentID: a.id,
		Direction: a.direction, Params: a.params, Started: c.server.wall(c.server.now()),
	})
	if err != nil {
		var typed *Error
		if errors.As(err, &typed) {
			return typed
		}
		return fail(FailedPrecondition, "ATTACH_FAILED", "kind", "%s: %v", a.kind.Name, err)
	}
	a.opened, a.result = opened, maps.Clone(opened.Result)
	if a.result == nil {
		a.result = make(map[string]string)
	}
	ok := false
	switch {
	case opened.Writer != nil:
		a.queue = sink.NewQueue(opened.Writer, sink.QueueOptions{
			Batch:     opened.Batch,
			Failed:    func(err error) { c.attachmentFailed(a, err) },
			Recovered: func() { c.attachmentRecovered(a) },
		})
		c.shard.Wait(func(t *shard.Turn) { ok = t.Core.AttachQueue(t.Now, c.ref, a.serial, a.direction, a.queue) })
		if !ok {
			a.queue.Close(ctx, sink.Frame{})
		}
	case opened.Leg != nil:
		if ok, err = c.attachLeg(a); err != nil {
			return err
		}
	case opened.Clip != nil:
		c.shard.Wait(func(t *shard.Turn) { ok = t.Core.AttachClip(c.ref, a.serial, opened.Clip, opened.Repeat) })
	case opened.Echo:
		c.shard.Wait(func(t *shard.Turn) { ok = t.Core.AttachEcho(c.ref, a.serial) })
	}
	if !ok {
		return fail(FailedPrecondition, "ATTACH_FAILED", "kind", "the call takes no more attachments of kind %q (at most %d RTP legs and %d of each other)", a.kind.Name, shard.MaxLegs, shard.MaxTakers)
	}
	return nil
}

// attachLeg opens a port for an RTP leg.
func (c *Call) attachLeg(a *attachment) (attached bool, err error) {
	s := c.server
	address := s.config.RTP.Address
	if !address.IsValid() {
		address = s.config.Media.Addresses[0].Local
	}
	for range portTries {
		now := s.now()
		s.mu.Lock()
		number, ok := s.ranges[c.at].take(now)
		s.mu.Unlock()
		if !ok {
			break
		}
		var local netip.AddrPort
		c.shard.Wait(func(t *shard.Turn) {
			var p udp.Port
			if p, err = t.Ports.Open(netip.AddrPortFrom(address, number)); err != nil {
				return
			}
			local = t.Ports.Local(p)
			attached = t.Core.AttachLeg(c.ref, a.serial, p, max(1, random32()), random32(), uint16(random32()), *a.opened.Leg)
			if !attached {
				t.Ports.Close(p)
			} else if peer := a.opened.Leg.Peer; peer.IsValid() {
				_ = t.Ports.Connect(p, peer) // it works unconnected too
			}
		})
		if err == nil && attached {
			a.number = number
			a.result["local"] = local.String()
			return true, nil
		}
		s.mu.Lock()
		s.ranges[c.at].give(now, number)
		s.mu.Unlock()
		if err == nil {
			return false, nil
		}
		if !errors.Is(err, udp.ErrInUse) {
			return false, fail(Exhausted, "PORT_FAILED", "", "cannot open a port for the leg: %v", err)
		}
	}
	return false, fail(Exhausted, "PORTS_EXHAUSTED", "", "no free port for the leg: widen media.port_min to port_max")
}

// Detach takes an attachment off a call and waits until what it has open is closed, for a bounded time.
func (s *Server) Detach(ctx context.Context, id, attachmentID string) (AttachmentView, error) {
	c, err := s.find(ctx, id)
	if err != nil {
		return AttachmentView{}, err
	}
	c.attaching.Lock()
	defer c.attaching.Unlock()
	a, err := c.attachment(attachmentID)
	if err != nil {
		return AttachmentView{}, err
	}
	if a.done() {
		return c.attachmentView(a), nil
	}
	var d shard.Detached
	c.shard.Wait(func(t *shard.Turn) {
		d, _ = t.Core.Detach(t.Now, c.ref, a.serial)
		if d.Port != udp.NoPort {
			t.Ports.Close(d.Port)
		}
	})
	c.mu.Lock()
	if c.state.source == a.serial {
		c.state.source = 0
	}
	c.mu.Unlock()
	a.ended(d.Stats.Frames)
	c.closeAttachments([]*attachment{a}, d.Mark)
	return c.attachmentView(a), nil
}

// closeAttachments closes what attachments have open, side by side, and tells each. One that takes too long goes on by itself.
func (c *Call) closeAttachments(attachments []*attachment, mark sink.Frame) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var closing sync.WaitGroup
	for _, a := range attachments {
		if !a.begin() {
			continue
		}
		closing.Add(1)
		go func() {
			defer closing.Done()
			c.closeAttachment(ctx, a, mark)
		}()
	}
	closing.Wait()
}

func (c *Call) closeAttachment(ctx context.Context, a *attachment, mark sink.Frame) {
	message := ""
	if a.queue != nil {
		if err := a.queue.Close(ctx, mark); err != nil {
			message = err.Error()
		}
	}
	if a.number != 0 {
		s := c.server
		s.mu.Lock()
		s.ranges[c.at].give(s.now(), a.number)
		s.mu.Unlock()
	}
	a.mu.Lock()
	if a.opened.Closed != nil && ctx.Err() == nil {
		maps.Copy(a.result, a.opened.Closed())
	}
	if message != "" {
		a.failing = message
	}
	result := maps.Clone(a.result)
	a.mu.Unlock()
	c.server.event(c, Event{Kind: EventDetached, Attachment: a.id, Message: message, Result: result})
}

// begin marks the attachment as done. It returns false when somebody else has.
func (a *attachment) begin() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.state == AttachmentDone {
		return false
	}
	a.state = AttachmentDone
	return true
}

func (a *attachment) ended(frames uint64) {
	a.mu.Lock()
	a.frames = frames
	a.mu.Unlock()
}

func (a *attachment) done() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state == AttachmentDone
}

// attachment finds an attachment by the id that its controller knows.
func (c *Call) attachment(id string) (*attachment, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.state.attachments {
		if a.id == id {
			return a, nil
		}
	}
	return nil, fail(NotFound, "ATTACHMENT_UNKNOWN", "attachment_id", "the call has no such attachment: GetCall lists them")
}

// attachmentFailed runs on the queue's goroutine.
func (c *Call) attachmentFailed(a *attachment, err error) {
	a.mu.Lock()
	if a.state == AttachmentActive {
		a.state = AttachmentFailing
	}
	a.failing = err.Error()
	a.mu.Unlock()
	c.server.event(c, Event{Kind: EventAttachmentFailed, Attachment: a.id, Message: err.Error()})
	c.server.log.Warn("attachment failed", "call", c.key, "attachment", a.id, "kind", a.kind.Name, "error", err)
}

func (c *Call) attachmentRecovered(a *attachment) {
	a.mu.Lock()
	if a.state == AttachmentFailing {
		a.state = AttachmentActive
	}
	a.mu.Unlock()
	c.server.event(c, Event{Kind: EventAttachmentRecovered, Attachment: a.id})
}

// watchStall tells an attachment whose writer has been busy with one write for too long, and again when it goes on.
func (a *attachment) watchStall(c *Call) {
	if a.queue == nil || a.done() {
		return
	}
	blocked := a.queue.Stats().Blocked
	switch {
	case blocked > stallTime && a.stalled.CompareAndSwap(false, true):
		c.attachmentFailed(a, fmt.Errorf("a write has been under way for %v: its target is slow; frames are dropped when the queue is full", blocked.Round(time.Millisecond)))
	case blocked <= stallTime && a.stalled.CompareAndSwap(true, false):
		c.attachmentRecovered(a)
	}
}
