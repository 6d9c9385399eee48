package relay

import (
	"context"
	"sort"
	"time"

	"github.com/onelane/onelane/relay/shard"
	"github.com/onelane/onelane/relay/sink"
)

// Kind is a kind of sink or source that calls can have attached. cmd/relayd registers the kinds it offers in one visible map; a new one
// is a package with an Open function and a line there.
type Kind struct {
	Name      string
	Doc       string // one sentence for relayctl node
	Params    []ParamView
	Direction sink.Direction // the default
	CanSource bool
	// Open makes an attachment. It runs on the goroutine of the Attach call, so it may block while ctx lives. An error is told to the
	// caller as it is: it has to say what to do, and must not contain the call id.
	Open func(ctx context.Context, r OpenRequest) (Opened, error)
}

// OpenRequest is what Open gets. Params has every parameter of the kind: what was given, else its default.
type OpenRequest struct {
	CallID       string // personal data: it has phone numbers in it
	CallKey      string // a short name of the call without personal data, for files and logs
	Tenant       string
	AttachmentID string
	Direction    sink.Direction
	Params       map[string]string
	Started      time.Time
}

// Opened is an attachment before it is on its call: one of Writer, Clip, Leg and Echo.
type Opened struct {
	// Writer gets a queue of its own; Batch is how many frames may wait before it is woken (0: 1).
	Writer sink.Writer
	Batch  int
	// Clip is played while it is the active source; Repeat is how often again (shard.Forever).
	Clip   shard.Clip
	Repeat int
	// Leg is an RTP leg; the edge opens a port for it and adds its address to Result as "local".
	Leg *shard.LegConfig
	// Echo lets the phone hear itself while it is the active source.
	Echo bool
	// Result tells the caller what came of it: a path, an address.
	Result map[string]string
	// Closed, if not nil, adds to Result when the Writer has been closed.
	Closed func() map[string]string
}

// view describes the kind.
func (k *Kind) view() KindView {
	return KindView{Name: k.Name, Doc: k.Doc, Params: k.Params, CanSource: k.CanSource}
}

// complete checks parameters against what the kind knows, and fills in defaults.
func (k *Kind) complete(given map[string]string) (map[string]string, error) {
	all := make(map[string]string, len(k.Params))
	for _, p := range k.Params {
		v, ok := given[p.Name]
		if !ok {
			v = p.Default
		}
		if p.Required && v == "" {
			return nil, fail(InvalidArgument, "PARAM_MISSING", "params["+p.Name+"]", "kind %q needs %q: %s", k.Name, p.Name, p.Doc)
		}
		all[p.Name] = v
	}
	for name := range given {
		if _, ok := all[name]; !ok {
			return nil, fail(InvalidArgument, "PARAM_UNKNOWN", "params["+printable(name)+"]", "kind %q has no such parameter; it has: %s", k.Name, paramNames(k.Params))
		}
	}
	return all, nil
}

func paramNames(params []ParamView) string {
	if len(params) == 0 {
		return "none"
	}
	s := ""
	for i, p := range params {
		if i > 0 {
			s += ", "
		}
		s += p.Name
	}
	return s
}

// kindNames lists what is registered, for errors.
func kindNames(kinds map[string]Kind) string {
	names := make([]string, 0, len(kinds))
	for n := range kinds {
		names = append(names, n)
	}
	sort.Strings(names)
	s := ""
	for i, n := range names {
		if i > 0 {
			s += ", "
		}
		s += n
	}
	return s
}

// printable bounds a name from a request before it is put into an error.
func printable(s string) string {
	if len(s) > 32 {
		s = s[:32] + "…"
	}
	b := []rune(s)
	for i, r := range b {
		if r < ' ' || r == 0x7F || r == 0xFFFD {
			b[i] = '?'
		}
	}
	return string(b)
}
