package relay

// The names that logs and people get. The API's own names are in relay/control.

var (
	stateNames  = [...]string{"", "dialing", "securing", "gated", "live", "ended"}
	reasonNames = [...]string{"", "requested", "setup_timeout", "ice_failed", "dtls_failed", "fingerprint_mismatch", "consent_lost", "lease_expired", "drained", "internal"}
)

func (s State) String() string     { return stateNames[s] }
func (r EndReason) String() string { return reasonNames[r] }
