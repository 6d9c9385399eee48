package relay

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/onelane/onelane/ice/udp"
	"github.com/onelane/onelane/relay/sdp"
	"github.com/onelane/onelane/relay/shard"
	"github.com/onelane/onelane/rtpx/dtmf"
)

// ApplyAnswer gives Meta's answer to a business-initiated call; the checks start. The same answer again changes nothing.
func (s *Server) ApplyAnswer(ctx context.Context, id, answer string) (View, error) {
	c, err := s.find(ctx, id)
	if err != nil {
		return View{}, err
	}
	if c.direction != BusinessInitiated {
		return View{}, fail(FailedPrecondition, "NOT_OFFERER", "call_id", "this call is user-initiated: Meta made the offer and the edge the answer")
	}
	sum := sha256.Sum256([]byte(answer))
	c.attaching.Lock()
	defer c.attaching.Unlock()
	c.mu.Lock()
	ended, applied, same := c.state.state == StateEnded, c.state.remote != nil, c.state.answer == sum
	c.mu.Unlock()
	switch {
	case ended:
		return View{}, fail(FailedPrecondition, "CALL_ENDED", "call_id", "the call has ended")
	case applied && same:
		return c.view(), nil
	case applied:
		return View{}, fail(FailedPrecondition, "ANSWER_EXISTS", "answer", "the call has another answer already; Meta does not renegotiate")
	}
	remote, err := sdp.ParseAnswer(answer, &c.local, s.allow)
	if err != nil {
		return View{}, sdpError("answer", err)
	}
	c.mu.Lock()
	c.state.answer, c.state.started = sum, s.now()
	c.mu.Unlock()
	if !c.start(remote) {
		return View{}, fail(FailedPrecondition, "CALL_ENDED", "call_id", "the call has ended")
	}
	return c.view(), nil
}

// OpenMedia opens the media gate: the signalling service says that accept has returned 200. Opening it again changes nothing.
func (s *Server) OpenMedia(ctx context.Context, id string) (View, error) {
	c, err := s.find(ctx, id)
	if err != nil {
		return View{}, err
	}
	c.mu.Lock()
	st := &c.state
	if st.state == StateEnded || st.remote == nil {
		ended := st.state == StateEnded
		c.mu.Unlock()
		if ended {
			return View{}, fail(FailedPrecondition, "CALL_ENDED", "call_id", "the call has ended")
		}
		return View{}, fail(FailedPrecondition, "ANSWER_MISSING", "call_id", "the gate cannot open before Meta's answer is applied: call ApplyAnswer first")
	}
	if st.gate {
		c.mu.Unlock()
		return c.view(), nil
	}
	since := s.now() - st.started
	st.gate, st.timings.Gate = true, since
	if st.state == StateGated {
		st.state = StateLive
	}
	pending := st.handshake
	if st.session != nil {
		pending = nil
	}
	remote := st.remote
	c.mu.Unlock()
	s.event(c, Event{Kind: EventGateOpened, Since: since}) // first, for the first packet is told by the shard at once
	c.shard.Wait(func(t *shard.Turn) {
		t.Core.Describe(c.ref, remote.OpusPT, remote.DTMFPT) // in case set-up has not come so far
		t.Core.OpenGate(t.Now, c.ref)
	})
	if pending != nil {
		pending.Kick() // Meta drops what comes too early and hears us from now on
	}
	return c.view(), nil
}

// Get gives a call as it is now.
func (s *Server) Get(ctx context.Context, id string) (View, error) {
	c, err := s.find(ctx, id)
	if err != nil {
		return View{}, err
	}
	return c.view(), nil
}

// List gives calls in the order in which they were created, a page at a time. It renews no lease.
func (s *Server) List(ctx context.Context, f ListFilter) (views []View, next string, err error) {
	limit := f.Limit
	if limit == 0 {
		limit = 100
	}
	if limit < 0 || limit > 1000 {
		return nil, "", fail(InvalidArgument, "PAGE_SIZE", "page_size", "has to be 1 to 1000; 0 is 100")
	}
	after, err := parsePage(f.Token)
	if err != nil {
		return nil, "", err
	}
	s.mu.Lock()
	calls := make([]*Call, 0, len(s.calls))
	for _, c := range s.calls {
		if c.serial > after && (f.Tenant == "" || c.tenant == f.Tenant) && subset(f.Labels, c.labels) {
			calls = append(calls, c)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(calls, func(a, b *Call) int { return int(int64(a.serial) - int64(b.serial)) })
	for _, c := range calls {
		select {
		case <-c.made:
		default:
			continue // not made yet
		}
		if c.failed != nil {
			continue
		}
		if len(f.States) > 0 && !slices.Contains(f.States, c.stateNow()) {
			continue
		}
		if len(views) == limit {
			return views, next, nil
		}
		views = append(views, c.view())
		next = pageToken(c.serial)
	}
	return views, "", nil
}

func subset(want, have map[string]string) bool {
	for k, v := range want {
		if h, ok := have[k]; !ok || h != v {
			return false
		}
	}
	return true
}

// A page token is the serial number of the last call shown.
func pageToken(serial uint64) string {
	b := make([]byte, 8)
	for i := range b {
		b[i] = byte(serial >> (56 - 8*i))
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func parsePage(token string) (serial uint64, err error) {
	if token == "" {
		return 0, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) != 8 {
		return 0, fail(InvalidArgument, "PAGE_TOKEN", "page_token", "not a page token of this service: use the one of the page before, or none")
	}
	for _, x := range b {
		serial = serial<<8 | uint64(x)
	}
	return serial, nil
}

// End ends a call and waits until what it has open is closed. A call that has ended already is given as it ended.
func (s *Server) End(ctx context.Context, id, message string) (View, error) {
	c, err := s.find(ctx, id)
	if err != nil {
		return View{}, err
	}
	c.end(EndRequested, printableMessage(message))
	select {
	case <-c.finished:
	case <-ctx.Done():
		return View{}, ctx.Err()
	}
	return c.view(), nil
}

func printableMessage(m string) string {
	if len(m) > 256 {
		m = m[:256]
	}
	return strings.ToValidUTF8(m, "?")
}

// Select makes an attachment, or "silence", what the phone hears.
func (s *Server) Select(ctx context.Context, id, source string) (View, error) {
	c, err := s.find(ctx, id)
	if err != nil {
		return View{}, err
	}
	c.attaching.Lock()
	defer c.attaching.Unlock()
	var serial uint32
	if source != silence && source != "" {
		a, err := c.attachment(source)
		if err != nil {
			return View{}, err
		}
		if a.done() {
			return View{}, fail(FailedPrecondition, "ATTACHMENT_DONE", "source", "the attachment is detached")
		}
		serial = a.serial
	}
	ok := false
	c.shard.Wait(func(t *shard.Turn) { ok = t.Core.Select(c.ref, serial) })
	if !ok {
		if c.stateNow() == StateEnded {
			return View{}, fail(FailedPrecondition, "CALL_ENDED", "call_id", "the call has ended")
		}
		return View{}, fail(FailedPrecondition, "NOT_A_SOURCE", "source", "this attachment gives no audio: attach a player, an echo or an RTP leg in direction both")
	}
	s.event(c, Event{Kind: EventSourceSwitched, Attachment: c.sourceName(serial)})
	return c.view(), nil
}

// SendTones sends DTMF to the phone (RFC 4733). It returns when the digits are queued; an event tells when they have been sent.
func (s *Server) SendTones(ctx context.Context, id string, t Tones) error {
	c, err := s.find(ctx, id)
	if err != nil {
		return err
	}
	if t.Tone == 0 {
		t.Tone = 100 * time.Millisecond
	}
	if t.Gap == 0 {
		t.Gap = 60 * time.Millisecond
	}
	const least, most = 40 * time.Millisecond, 5 * time.Second
	switch {
	case len(t.Digits) == 0 || len(t.Digits) > 64:
		return fail(InvalidArgument, "DIGITS", "digits", "1 to 64 digits")
	case t.Tone < least || t.Tone > most:
		return fail(InvalidArgument, "TONE_LENGTH", "tone", "has to be %v to %v", least, most)
	case t.Gap < least || t.Gap > most:
		return fail(InvalidArgument, "TONE_GAP", "gap", "has to be %v to %v", least, most)
	}
	tones := make([]shard.Tone, 0, len(t.Digits))
	for i := range len(t.Digits) {
		event, ok := dtmf.Event(t.Digits[i])
		if !ok {
			return fail(InvalidArgument, "DIGITS", "digits", "character %d is not one of 0-9 * # A-D", i+1)
		}
		tones = append(tones, shard.Tone{Event: event, Length: t.Tone, Gap: t.Gap})
	}
	if st := c.stateNow(); st != StateLive {
		return fail(FailedPrecondition, "NOT_LIVE", "call_id", "digits can be sent once the call is live; it is %s", st)
	}
	ok := false
	c.shard.Wait(func(t *shard.Turn) { ok = t.Core.SendTones(c.ref, tones) })
	if !ok {
		return fail(Exhausted, "TONES_EXHAUSTED", "digits", "more digits wait on this call than it keeps (64): wait for the digits_sent event")
	}
	return nil
}

// Node describes the edge.
func (s *Server) Node() Node {
	n := Node{
		Version: s.version, Started: s.wall(0), Shards: len(s.shards),
		PortMin: int(s.config.Media.PortMin), PortMax: int(s.config.Media.PortMax),
		CallsLimit: s.capacity.calls, LimitedBy: s.capacity.by, Drops: make(map[string]uint64),
		Process: readProcess(),
	}
	n.Process.DescriptorsLimit = s.capacity.descriptors
	for _, a := range s.config.Media.Addresses {
		n.MediaAddrs = append(n.MediaAddrs, a.String())
	}
	for _, name := range slices.Sorted(maps.Keys(s.kinds)) {
		k := s.kinds[name]
		n.Kinds = append(n.Kinds, k.view())
	}
	s.mu.Lock()
	n.Calls, n.Draining = s.live, s.draining
	live := make([]*Call, 0, s.live)
	for _, c := range s.bySerial {
		live = append(live, c)
	}
	for _, r := range s.ranges {
		n.PortsResting += len(r.resting)
	}
	s.mu.Unlock()
	for _, c := range live {
		c.mu.Lock()
		for _, a := range c.state.attachments {
			if !a.done() {
				n.Attachments++
			}
		}
		c.mu.Unlock()
	}
	for _, sh := range s.shards {
		sh.Wait(func(t *shard.Turn) {
			n.add(&t.Core.Totals, t.Ports.Counters())
		})
	}
	return n
}

// add counts what one shard did.
func (n *Node) add(total *shard.Totals, sockets udp.Counters) {
	n.PacketsIn += total.PacketsIn
	n.PacketsOut += total.PacketsOut
	n.Violations += total.Violations
	for name, count := range total.Drops.ByName() {
		n.Drops[name] += count
	}
	for name, count := range map[string]uint64{
		"too_long": sockets.TooLong, "send_full": sockets.SendAgain, "send_unreachable": sockets.SendUnreachable, "send_error": sockets.SendErrors,
	} {
		if count > 0 {
			n.Drops[name] += count
		}
	}
	m := &n.Media
	m.Wakeups += sockets.Wakeups
	m.Calls += sockets.Calls
	m.ReceivedBytes += sockets.ReceivedBytes
	m.SentBytes += sockets.SentBytes
	m.ReceiveErrors += sockets.ReceiveErrors
	m.EventsLost += total.EventsLost
	m.Panics += total.Panics
}
