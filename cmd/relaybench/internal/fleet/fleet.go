//go:build linux

// Package fleet puts calls on a relay by its control API, with a phone of package farend at the far end of each.
//
// Goroutines: Fleet.watch reads the relay's events, which also keeps the calls' leases; Close awaits it.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/onelane/onelane/cmd/relaybench/internal/farend"
	"github.com/onelane/onelane/cmd/relaybench/internal/histogram"
	"github.com/onelane/onelane/relay/control/controlpb"
)

// Source is what the relay sends to the phones.
type Source string

// Echo sends a phone's packets back, Mirror does so by a plain RTP leg, Silence sends the relay's own silence.
const (
	Echo    Source = "echo"
	Mirror  Source = "rtp"
	Silence Source = "silence"
)

// Attachment is what each call also has.
type Attachment struct {
	Kind   string
	Params map[string]string
}

// Options of a Fleet.
type Options struct {
	Controllers []grpc.ClientConnInterface // used in turn
	Exchange    *farend.Exchange
	Tenant      string // tells this fleet's calls from all others
	Source      Source
	Attach      []Attachment
	Parallel    int // set-ups at a time
}

const (
	// setupTime bounds one set-up; a phone would have given up.
	setupTime = 30 * time.Second
	// lease is longer than the relay's default: a controller that measures may be slow. The event stream renews it.
	lease = 2 * time.Minute
	// heard is the id of the attachment that the phone hears.
	heard = "heard"
)

// Call is one call of the fleet.
type Call struct {
	ID    string
	Phone *farend.Phone
	relay controlpb.RelayServiceClient
}

// Timings are how long set-ups took.
type Timings struct {
	Create histogram.Histogram // CreateCall alone
	Keys   histogram.Histogram // from sending the offer to SRTP keys at the phone
	Whole  histogram.Histogram // until every attachment is attached, too
	Failed int
	Waited int // creates that the relay's quota or taken ports made wait; the wait is in no timing
}

// Fleet is a number of calls. Its methods may be called from any goroutine, but Resize by one at a time.
type Fleet struct {
	options Options
	relays  []controlpb.RelayServiceClient
	stop    context.CancelFunc
	watched chan struct{}

	mu      sync.Mutex
	calls   []*Call
	serial  int
	ending  map[string]bool // calls that we have asked to end
	timings *Timings
	ended   map[string]int // reasons of calls that ended though we had not asked
}

// New makes a fleet without calls.
func New(o Options) *Fleet {
	f := &Fleet{options: o, watched: make(chan struct{}), ending: map[string]bool{}, ended: map[string]int{}, timings: &Timings{}}
	for _, c := range o.Controllers {
		f.relays = append(f.relays, controlpb.NewRelayServiceClient(c))
	}
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	go f.watch(ctx)
	return f
}

// Size is how many calls there are.
func (f *Fleet) Size() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.calls)
}

// Timings takes the timings of the set-ups since the last time.
func (f *Fleet) Timings() *Timings {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.timings
	f.timings = &Timings{}
	return t
}

// Ended gives the reasons of calls that ended unasked, with how many of each.
func (f *Fleet) Ended() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	reasons := make(map[string]int, len(f.ended))
	for r, n := range f.ended {
		reasons[r] = n
	}
	return reasons
}

// Resize sets up or ends calls until there are n. The first set-up that fails ends it.
func (f *Fleet) Resize(ctx context.Context, n int) error {
	have := f.Size()
	if n < have {
		f.mu.Lock()
		leaving := append([]*Call(nil), f.calls[n:]...)
		f.calls = f.calls[:n]
		f.mu.Unlock()
		return f.each(ctx, leaving, f.End)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(f.options.Parallel)
	for range n - have {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			c, err := f.SetUp(ctx)
			if err != nil {
				return err
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			f.calls = append(f.calls, c)
			return nil
		})
	}
	return group.Wait()
}

func (f *Fleet) each(ctx context.Context, calls []*Call, do func(context.Context, *Call) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(f.options.Parallel)
	for _, c := range calls {
		group.Go(func() error { return do(ctx, c) })
	}
	return group.Wait()
}

// SetUp sets one call up that is not counted in Size, with everything attached and its phone speaking. The caller ends it.
func (f *Fleet) SetUp(ctx context.Context) (*Call, error) {
	ctx, cancel := context.WithTimeout(ctx, setupTime)
	defer cancel()
	f.mu.Lock()
	f.serial++
	c := &Call{ID: fmt.Sprintf("%s-%d", f.options.Tenant, f.serial), relay: f.relays[f.serial%len(f.relays)]}
	f.mu.Unlock()
	c.Phone = f.options.Exchange.NewPhone()
	if err := f.setUp(ctx, c); err != nil {
		f.mu.Lock()
		f.timings.Failed++
		f.mu.Unlock()
		ending, done := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer done()
		f.End(ending, c) // what there is of it
		return nil, fmt.Errorf("set a call up: %w", err)
	}
	return c, nil
}

func (f *Fleet) setUp(ctx context.Context, c *Call) error {
	answer, began, err := f.create(ctx, c)
	if err != nil {
		return err
	}
	created := time.Now()
	if err := c.Phone.Accept(answer); err != nil {
		return err
	}
	if _, err := c.relay.OpenMedia(ctx, &controlpb.OpenMediaRequest{CallId: c.ID}); err != nil {
		return fmt.Errorf("open media: %w", err)
	}
	if err := f.source(ctx, c); err != nil {
		return err
	}
	for i, a := range f.options.Attach {
		if err := c.Attach(ctx, fmt.Sprintf("mix-%d", i), a); err != nil {
			return err
		}
	}
	select {
	case <-c.Phone.Secured():
		if err := c.Phone.Err(); err != nil {
			return fmt.Errorf("keys: %w", err)
		}
	case <-ctx.Done():
		return errors.New("keys: no DTLS handshake in time")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.timings.Create.Add(created.Sub(began))
	f.timings.Keys.Add(c.Phone.SecuredAt().Sub(began))
	f.timings.Whole.Add(time.Since(began))
	return nil
}

// create creates the call, again as long as the relay says later, and gives its answer and when it was asked for.
func (f *Fleet) create(ctx context.Context, c *Call) (string, time.Time, error) {
	request := &controlpb.CreateCallRequest{
		CallId: c.ID, Tenant: f.options.Tenant, SdpOffer: c.Phone.Offer(), Lease: durationpb.New(lease),
	}
	for tries := 0; ; tries++ {
		began := time.Now()
		answer, err := c.relay.CreateCall(ctx, request)
		if err == nil {
			return answer.GetCall().GetLocalSdp(), began, nil
		}
		delay, again := retry(err, tries)
		if !again {
			return "", began, fmt.Errorf("create: %w", err)
		}
		f.mu.Lock()
		f.timings.Waited++
		f.mu.Unlock()
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return "", began, fmt.Errorf("create: %w", err)
		}
	}
}

// source attaches and selects what the phone hears.
func (f *Fleet) source(ctx context.Context, c *Call) error {
	a := Attachment{Kind: string(f.options.Source)}
	switch f.options.Source {
	case Silence:
		return nil
	case Mirror:
		a.Params = map[string]string{"peer": f.options.Exchange.Mirror().String()}
	}
	if err := c.Attach(ctx, heard, a); err != nil {
		return err
	}
	if _, err := c.relay.SelectSource(ctx, &controlpb.SelectSourceRequest{CallId: c.ID, Source: heard}); err != nil {
		return fmt.Errorf("select source: %w", err)
	}
	return nil
}

// Attach attaches something to a call.
func (c *Call) Attach(ctx context.Context, id string, a Attachment) error {
	_, err := c.relay.Attach(ctx, &controlpb.AttachRequest{CallId: c.ID, AttachmentId: id, Kind: a.Kind, Params: a.Params})
	if err != nil {
		return fmt.Errorf("attach %s: %w", a.Kind, err)
	}
	return nil
}

// Detach takes it off.
func (c *Call) Detach(ctx context.Context, id string) error {
	if _, err := c.relay.Detach(ctx, &controlpb.DetachRequest{CallId: c.ID, AttachmentId: id}); err != nil {
		return fmt.Errorf("detach: %w", err)
	}
	return nil
}

// AttachAll attaches something to every call, and DetachAll takes it off again.
func (f *Fleet) AttachAll(ctx context.Context, id string, a Attachment) error {
	return f.each(ctx, f.all(), func(ctx context.Context, c *Call) error { return c.Attach(ctx, id, a) })
}

// DetachAll takes off what AttachAll has attached.
func (f *Fleet) DetachAll(ctx context.Context, id string) error {
	return f.each(ctx, f.all(), func(ctx context.Context, c *Call) error { return c.Detach(ctx, id) })
}

func (f *Fleet) all() []*Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*Call(nil), f.calls...)
}

// End hangs up and ends a call.
func (f *Fleet) End(ctx context.Context, c *Call) error {
	f.mu.Lock()
	f.ending[c.ID] = true
	f.mu.Unlock()
	c.Phone.HangUp()
	if _, err := c.relay.EndCall(ctx, &controlpb.EndCallRequest{CallId: c.ID, Message: "measured"}); err != nil {
		return fmt.Errorf("end a call: %w", err)
	}
	return nil
}

// Close ends every call, and waits for the event stream.
func (f *Fleet) Close(ctx context.Context) error {
	err := f.Resize(ctx, 0)
	f.stop()
	<-f.watched
	return err
}
