package shard

import (
	"github.com/onelane/onelane/ice/prefetch"
	"github.com/onelane/onelane/ice/secure"
	"github.com/onelane/onelane/ice/udp"
)

// prefetchGroup datagrams are prepared together: as many as hide each other's waits, and few enough that their lines, some 40 each, are
// still near when their turn comes.
const prefetchGroup = 8

// prefetch asks for the state that a group of datagrams will meet. It decides nothing and changes nothing: each step asks for what the
// step before has made known, for all of the group.
func (c *Core) prefetch(in []udp.Datagram) {
	var refs [prefetchGroup]portRef
	for i := range in {
		refs[i].call = noCall
		if p := in[i].Port; int(p) < len(c.ports) && c.ports[p].call != noCall {
			refs[i] = c.ports[p]
			prefetch.Value(c.at(refs[i].call))
		}
	}
	var ways [prefetchGroup]way
	for i, ref := range refs[:len(in)] {
		if ref.call != noCall {
			ways[i] = c.at(ref.call).way(ref.leg)
			ways[i].prefetch()
		}
	}
	for i := range ways[:len(in)] {
		ways[i].prefetchKeys()
	}
}

// way is what a packet meets besides its call: what it comes in by and what it goes out by.
type way struct {
	opener *secure.Opener
	leg    *rtpLeg
	sealer *secure.Sealer
}

// way is the one of a packet that comes in by the Meta leg or by an RTP leg.
func (k *call) way(in int16) (w way) {
	if in == metaLeg {
		w.opener, w.leg = k.opener, k.legs[0]
		if k.lane.kind == sourceEcho {
			w.sealer = k.sealer
		}
		return w
	}
	w.leg = k.legs[in]
	if w.leg != nil && k.lane.kind == sourceLeg && k.lane.source == w.leg.id {
		w.sealer = k.sealer
	}
	return w
}

func (w *way) prefetch() {
	if w.opener != nil {
		w.opener.Prefetch()
	}
	if w.leg != nil {
		prefetch.Value(w.leg)
	}
	if w.sealer != nil {
		w.sealer.Prefetch()
	}
}

func (w *way) prefetchKeys() {
	if w.opener != nil {
		w.opener.PrefetchKeys()
	}
	if w.sealer != nil {
		w.sealer.PrefetchKeys()
	}
}
