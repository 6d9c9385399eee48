package shard

import (
	"time"

	"github.com/onelane/onelane/ice"
	"github.com/onelane/onelane/ice/udp"
)

// receiveSTUN gives a STUN message to the consent checks, which run here once a pair is nominated, or to the agent that sets the call up.
func (c *Core) receiveSTUN(now time.Duration, k *call, d *udp.Datagram) {
	r := k.rare
	if r.consent != nil && k.nominated(d) {
		reply := c.take()
		if reply == nil {
			c.drop(k, DropOutFull)
			return
		}
		n, verdict := r.consent.Receive(now, d.Remote, d.Data, reply[:udp.MaxDatagram], c.stun)
		k.count.stun[verdict]++
		if n > 0 {
			c.put(d.Port, d.Remote, reply[:n])
		}
		if verdict != ice.StunNotOurs {
			return
		}
	}
	for n, port := range r.ports {
		if port == d.Port && n < len(r.setup) && r.setup[n] != nil {
			c.deliver(k, r.setup[n], d)
			return
		}
	}
	c.drop(k, DropNoSetup)
}

// tickConsent sends the next consent check, and ends the call when they have gone unanswered for too long (RFC 7675 section 5.1).
func (c *Core) tickConsent(now time.Duration, i int32, k *call) {
	r := k.rare
	if r.consent == nil || now < r.consent.Next() {
		return
	}
	b := c.take()
	if b == nil {
		return // the batch is full; the timer is armed anew and comes back at once
	}
	n, lost := r.consent.Tick(now, b[:udp.MaxDatagram], c.stun)
	if lost {
		k.dead = true
		c.wheel.disarm(i)
		c.emit(Event{Owner: r.owner, Kind: ConsentLost, At: now})
		return
	}
	if n > 0 {
		c.put(k.port, k.remote, b[:n])
	}
}
