package relay

import (
	"time"

	"github.com/onelane/onelane/relay/sink"
)

// This file is what the control plane offers: the values that relay/control decodes into and encodes from.

// CallDirection says who called whom.
type CallDirection uint8

const (
	// UserInitiated: the WhatsApp user calls. Meta's offer comes in, our answer goes out.
	UserInitiated CallDirection = 1
	// BusinessInitiated: the business calls. Our offer goes out, Meta's answer comes in.
	BusinessInitiated CallDirection = 2
)

// State is where a call is in its life. It only ever moves forward.
type State uint8

const (
	// StateDialing: the ICE checks run, or, in a business-initiated call, Meta's answer is awaited.
	StateDialing State = 1 + iota
	// StateSecuring: a candidate pair is nominated and the DTLS handshake runs on it.
	StateSecuring
	// StateGated: SRTP keys are there and the media gate is closed: not one RTP packet goes out.
	StateGated
	// StateLive: SRTP keys are there and the media gate is open.
	StateLive
	// StateEnded: over. The call stays readable for a while.
	StateEnded
)

// EndReason says why a call ended. The list is fixed: services switch over it.
type EndReason uint8

const (
	// EndRequested: EndCall was called.
	EndRequested EndReason = 1 + iota
	// EndSetupTimeout: the set-up budget ran out before media was ready; the message says in which state.
	EndSetupTimeout
	// EndICEFailed: no candidate pair answered.
	EndICEFailed
	// EndDTLSFailed: the handshake failed in every try; the message says how.
	EndDTLSFailed
	// EndFingerprintMismatch: the peer's certificate is not the one in the SDP.
	EndFingerprintMismatch
	// EndConsentLost: no valid answer to our consent checks for 30 s (RFC 7675).
	EndConsentLost
	// EndLeaseExpired: no controller asked for this call for as long as its lease.
	EndLeaseExpired
	// EndDrained: the edge shuts down.
	EndDrained
	// EndInternal: a fault of the edge itself; the log has the stack.
	EndInternal
)

// NewCall asks for a call.
type NewCall struct {
	ID        string // the caller's name for it, 1 to 256 bytes; WhatsApp's wacid contains phone numbers, so it is never logged
	Tenant    string // 0 to 64 bytes
	Labels    map[string]string
	Direction CallDirection
	Offer     string        // Meta's SDP; only in a user-initiated call
	Lease     time.Duration // 0: the configured default
}

// View is a call as it is now.
type View struct {
	ID          string
	Tenant      string
	Labels      map[string]string
	Direction   CallDirection
	State       State
	GateOpen    bool
	LocalSDP    string // our answer or offer: the same bytes for the whole life of the call
	LocalAddr   string // the local media address in use, ip:port
	RemoteAddr  string // the nominated remote address, empty before
	DTLSRole    string // "client" or "server", empty before
	SRTPProfile string // as in the IANA registry, empty before
	Source      string // attachment id that the phone hears, or "silence"
	Created     time.Time
	Ended       time.Time // zero while it lives
	EndReason   EndReason // 0 while it lives
	EndMessage  string
	LeaseLeft   time.Duration
	Timings     Timings
	Attachments []AttachmentView
	Stats       CallStats
}

// Timings are durations since Create (business-initiated: since ApplyAnswer). Zero: has not happened.
type Timings struct {
	ICE        time.Duration // pair nominated
	DTLS       time.Duration // keys ready
	Gate       time.Duration // gate opened
	FirstSent  time.Duration // first RTP packet to the phone
	FirstHeard time.Duration // first authentic RTP packet from the phone
}

// CallStats are counters of the Meta leg.
type CallStats struct {
	PacketsReceived, BytesReceived uint64        // authentic RTP
	PacketsSent, BytesSent         uint64        // RTP
	SilenceSent                    uint64        // of those sent: Opus silence of the lane
	PacketsLost                    int64         // RFC 3550 A.3, from the phone
	Jitter                         time.Duration // RFC 3550 A.8
	RoundTrip                      time.Duration // from STUN consent checks; 0: not measured
	HasRemote                      bool          // the peer has sent a report about what it gets; else the next three say nothing
	RemoteLost                     int64         // as the peer's receiver reports say
	RemoteJitter                   time.Duration
	RemoteFractionLost             float64
	Violations                     uint64            // packets that the egress check repaired or dropped; 0 in a correct edge
	Drops                          map[string]uint64 // by reason, only those that are not zero
}

// NewAttachment asks for a sink or a source on a call.
type NewAttachment struct {
	ID        string // chosen by the caller, 1 to 64 bytes of [A-Za-z0-9._-]; empty: the edge chooses
	Kind      string
	Direction sink.Direction // 0: the kind's default
	Params    map[string]string
}

// AttachmentState is where an attachment is in its life.
type AttachmentState uint8

const (
	// AttachmentActive: takes or gives frames.
	AttachmentActive AttachmentState = 1 + iota
	// AttachmentFailing: the last write failed or has been blocked for over half a second.
	AttachmentFailing
	// AttachmentDone: detached, finished, or stopped for good.
	AttachmentDone
)

// AttachmentView is an attachment as it is now.
type AttachmentView struct {
	ID        string
	Kind      string
	Direction sink.Direction
	State     AttachmentState
	CanSource bool              // SelectSource may name it
	Result    map[string]string // what the kind tells: path of a recording, local address of an RTP leg
	Frames    uint64            // frames taken from or given to the call
	Dropped   uint64            // frames that the queue dropped because the writer was slow
	Errors    uint64
	LastError string
}

// Tones asks for DTMF to the phone.
type Tones struct {
	Digits string        // 1 to 64 of 0-9 * # A-D
	Tone   time.Duration // length of one digit, 40 ms to 5 s; 0: 100 ms
	Gap    time.Duration // silence between digits, 40 ms to 5 s; 0: 60 ms
}

// ListFilter chooses calls. Zero fields choose all.
type ListFilter struct {
	Tenant string
	States []State
	Labels map[string]string // all must be equal
	Limit  int               // 1 to 1000; 0: 100
	Token  string            // of the page before
}

// EventKind names what happened.
type EventKind uint8

const (
	EventCallCreated EventKind = 1 + iota
	EventICEConnected
	EventDTLSConnected
	EventGateOpened
	EventFirstPacketSent
	EventFirstPacketReceived
	EventDigit
	EventDigitsSent
	EventSourceSwitched
	EventSourceEnded
	EventAttached
	EventAttachmentFailed
	EventAttachmentRecovered
	EventDetached
	EventQuality
	EventSSRCChanged
	EventSRTPDesync
	EventConsentLost
	EventCallEnded
)

// Event is one thing that happened to one call. Fields that the kind does not use are zero.
type Event struct {
	Seq    uint64 // +1 an event, over the whole edge
	Time   time.Time
	Kind   EventKind
	CallID string
	Tenant string

	Since      time.Duration     // EventICEConnected, DTLSConnected, GateOpened, FirstPacket*: the timing
	Digit      string            // EventDigit: one of 0-9 * # A-D
	Duration   time.Duration     // EventDigit: how long it was pressed; EventSourceEnded: how much of it was sent
	Digits     int               // EventDigitsSent: how many
	Attachment string            // EventSource*, EventAttach*, EventDetached
	Message    string            // failures: what and what to do
	Result     map[string]string // EventAttached, EventDetached
	Quality    *CallStats        // EventQuality
	Reason     EndReason         // EventCallEnded
}

// Gap in a watch: events between two resume points that are no longer kept.
type Gap struct {
	From, To uint64 // first and last sequence number that were lost
}

// WatchOptions choose events.
type WatchOptions struct {
	Resume  string   // token of the last event seen; empty: from now on
	Tenant  string   // empty: all
	CallIDs []string // empty: all
}

// Node describes the edge.
type Node struct {
	Version      string
	Started      time.Time
	Draining     bool
	Calls        int    // not ended
	CallsLimit   int    // how many fit
	LimitedBy    string // "ports", "descriptors" or "config"
	Shards       int
	PacketsIn    uint64
	PacketsOut   uint64
	Drops        map[string]uint64 // by reason, those of sockets too
	Violations   uint64
	Attachments  int
	Kinds        []KindView
	MediaAddrs   []string // local=public
	PortMin      int
	PortMax      int
	PortsResting int
	Process      Process
	Media        MediaPlane
}

// MediaPlane is what the shards' loops did since the start.
type MediaPlane struct {
	Wakeups, Calls           uint64 // returns from the kernel's wait; system calls for datagrams
	ReceivedBytes, SentBytes uint64
	ReceiveErrors            uint64
	EventsLost               uint64 // too many came at once
	Panics                   uint64
}

// KindView tells what can be attached.
type KindView struct {
	Name      string
	Doc       string
	Params    []ParamView
	CanSource bool
}

// ParamView describes one parameter of a kind.
type ParamView struct {
	Name, Doc, Default string
	Required           bool
}
