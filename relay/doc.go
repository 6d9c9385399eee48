// Package relay is the control plane of the edge: it sets calls up, changes them on request, tells what happens to them, and ends them.
// Their packets never pass through it: package [github.com/onelane/onelane/relay/shard] is the data plane.
//
// # A call's life
//
//	Create        a port of its own, credentials, our SDP                     dialing
//	Call.dial     pion/ice as controlling agent, on virtual connections       dialing
//	Core.Nominate the pair, for life, as soon as its nominating check is      securing
//	              on its way; consent checks move to the shard
//	Call.secure   pion/dtls on the nominated pair -> keys                     securing
//	Core.Secure   SRTP contexts; pion's agent and connection are let go       gated
//	OpenMedia     the gate: silence flows at once                             live
//	Call.finish   close_notify, ports closed, queues flushed, ended told      ended
//
// # Who owns what
//
//	goroutine         how many                 owns                                  ended by
//	Shard.run         one a shard, own thread  ports, legs, SRTP, lanes, counters    Shard.Close, awaited
//	porter.run        one a shard              the shard's errands to others         Shard.Close, awaited
//	Server.run        one                      the shards' events, the sweep         Server.Close, awaited
//	Call.run          one a call in set-up     ICE and DTLS of that call             keys, budget or end; Call.finish waits
//	Call.finish       one a call that ends     the order of taking it apart          Server.Close waits
//	pion ICE, DTLS    in set-up only           checks, handshake                     Path.Release, Session.Release
//	Queue.run         one an attached sink     the Writer                            Queue.Close: flush, close, wait
//	a live call       none
//
// # Every lock
//
// In the order in which they may be taken. A shard takes none: its mailbox and its errands are lists without a lock, and its porter, which
// has no packets to move, takes those of others.
//
//	Call.attaching    Attach, Detach, Select, ApplyAnswer and the end of one call, one at a time; may be held while a kind opens a file
//	Call.mu           what changes in a call's life
//	attachment.mu     state and result of one attachment
//	Server.mu         the tables of calls, ports and watches
//	eventLog.mu       the ring of events
//	inbox.mu          events on their way from the shards
//	ice.Conn          the bounded queue in front of pion, for STUN and DTLS of set-up
//	turnstile.mu      whose turn it is in a handshake; in set-up only
//	ice.checker.mu    what an agent's checks have shown; taken under an ice.Conn
//	eventfd.mu        of udp: that a Wake never writes to a descriptor that was closed; once a coalesced Wake
//	source.Folder.mu  clips by name
//	in cmd/relayd     the folders of recordings and clips, each opened by its first user
//
// # What a packet meets
//
// See [github.com/onelane/onelane/relay/shard]: the functions of receive.go, lane.go and transmit.go stand in the order in which a
// packet passes them.
//
// # Secrets
//
// Call ids contain phone numbers, SDPs contain passwords. Logs and file names have Call.key instead, a salted hash.
package relay
