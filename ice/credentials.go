package ice

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
)

// Credentials are the short-term STUN credentials of one end (RFC 8445 section 5.3). The zero value authenticates nobody. They print
// redacted: whoever has the password can keep a call's media flowing to where it should not.
type Credentials struct {
	Ufrag, Pwd string
}

const redacted = "[redacted]"

// Sizes of what NewCredentials makes, before base64: 48 bits of name and 144 bits of secret. RFC 8445 section 5.3 wants 24 and 128.
const (
	ufragBytes = 6
	pwdBytes   = 18
)

// NewCredentials makes random ones. The alphabet is base64 without padding, which is the ice-char of RFC 8839 section 5.4.
func NewCredentials() (Credentials, error) {
	var b [ufragBytes + pwdBytes]byte
	if _, err := rand.Read(b[:]); err != nil {
		return Credentials{}, fmt.Errorf("make ICE credentials: %w", err)
	}
	return Credentials{
		Ufrag: base64.RawStdEncoding.EncodeToString(b[:ufragBytes]),
		Pwd:   base64.RawStdEncoding.EncodeToString(b[ufragBytes:]),
	}, nil
}

// maxCredential of RFC 8839 section 5.4. It also keeps the largest message that we write far below a datagram.
const maxCredential = 256

func (c Credentials) usable() bool {
	return c.Ufrag != "" && c.Pwd != "" && len(c.Ufrag) <= maxCredential && len(c.Pwd) <= maxCredential
}

// String, GoString, Format and LogValue never show what is inside.
func (Credentials) String() string { return redacted }

// GoString is String.
func (Credentials) GoString() string { return redacted }

// Format is String for every verb.
func (Credentials) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue is String for log/slog.
func (Credentials) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText is String for encoders.
func (Credentials) MarshalText() ([]byte, error) { return []byte(redacted), nil }
