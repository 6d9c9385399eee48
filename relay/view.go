package relay

import (
	"maps"
	"time"

	"github.com/onelane/onelane/ice/secure"
	"github.com/onelane/onelane/relay/shard"
)

func (c *Call) stateNow() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.state
}

// view copies the call as it is now, with its numbers from the shard.
func (c *Call) view() View {
	c.mu.Lock()
	attachments := c.state.attachments
	ended := c.state.state == StateEnded
	c.mu.Unlock()
	serials := make([]uint32, len(attachments))
	for i, a := range attachments {
		serials[i] = a.serial
	}
	var snap shard.Snapshot
	live := false
	if !ended {
		c.shard.Wait(func(t *shard.Turn) { snap, live = t.Core.Look(c.ref, serials) })
	}
	now := c.server.now()
	c.mu.Lock()
	st := c.state
	if live {
		c.state.source = snap.Source // a player may have come to its end
		st.source = snap.Source
	}
	c.mu.Unlock()
	if !live {
		snap = shard.Snapshot{Stats: st.last}
	}
	v := View{
		ID: c.id, Tenant: c.tenant, Labels: maps.Clone(c.labels), Direction: c.direction,
		State: st.state, GateOpen: st.gate, LocalSDP: c.localSDP,
		LocalAddr: c.locals[0].Addr.String(), SRTPProfile: st.profile, Source: c.sourceName(st.source),
		Created: c.server.wall(c.created), Timings: st.timings, Stats: callStats(&snap.Stats),
	}
	if st.path != nil {
		v.LocalAddr, v.RemoteAddr = c.locals[st.path.Local].Addr.String(), st.path.Remote.String()
	}
	if st.session != nil {
		v.DTLSRole = "client"
		if st.role == secure.Server {
			v.DTLSRole = "server"
		}
	}
	if st.state == StateEnded {
		v.Ended, v.EndReason, v.EndMessage = c.server.wall(st.endedAt), st.reason, st.message
	} else {
		v.LeaseLeft = max(0, c.lease-(now-st.renewed))
	}
	for _, a := range attachments {
		v.Attachments = append(v.Attachments, a.view(snap.Attachments[a.serial]))
	}
	return v
}

// sourceName gives the controller's name of a source.
func (c *Call) sourceName(serial uint32) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.state.attachments {
		if a.serial == serial {
			return a.id
		}
	}
	return silence
}

// attachmentView is one attachment as it is now.
func (c *Call) attachmentView(a *attachment) AttachmentView {
	var snap shard.Snapshot
	c.shard.Wait(func(t *shard.Turn) { snap, _ = t.Core.Look(c.ref, []uint32{a.serial}) })
	return a.view(snap.Attachments[a.serial])
}

func (a *attachment) view(s shard.AttachmentStats) AttachmentView {
	a.mu.Lock()
	defer a.mu.Unlock()
	v := AttachmentView{
		ID: a.id, Kind: a.kind.Name, Direction: a.direction, State: a.state, CanSource: a.kind.CanSource,
		Result: maps.Clone(a.result), Frames: max(s.Frames, a.frames), LastError: a.failing,
	}
	if a.queue != nil {
		q := a.queue.Stats()
		v.Frames, v.Dropped, v.Errors = q.Frames, q.Dropped+q.Refused, q.Errors
		if q.LastError != "" {
			v.LastError = q.LastError
		}
	}
	if s.Peer != "" {
		v.Result["peer"] = s.Peer
	}
	return v
}

func callStats(s *shard.Stats) CallStats {
	return CallStats{
		PacketsReceived: s.Received, BytesReceived: s.ReceivedBytes,
		PacketsSent: s.Sent, BytesSent: s.SentBytes, SilenceSent: s.Silence,
		PacketsLost: s.Lost, Jitter: s.Jitter.Round(time.Microsecond), RoundTrip: s.RoundTrip.Round(time.Microsecond),
		HasRemote: s.HasRemote, RemoteLost: s.RemoteLost, RemoteJitter: s.RemoteJitter, RemoteFractionLost: s.RemoteFraction,
		Violations: s.Violations, Drops: s.Drops.ByName(),
	}
}
