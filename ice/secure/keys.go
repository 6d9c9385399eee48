package secure

import (
	"fmt"
	"io"
	"log/slog"
)

// Profile is an SRTP protection profile by its number in the IANA registry.
type Profile uint16

const (
	// AES128_CM_HMAC_SHA1_80 (RFC 5764 section 4.1.2).
	AES128_CM_HMAC_SHA1_80 Profile = 0x0001
	// AEAD_AES_128_GCM (RFC 7714 section 14.2): the cheaper one, and offered first.
	AEAD_AES_128_GCM Profile = 0x0007
)

// String is the name in the IANA registry.
func (p Profile) String() string {
	switch p {
	case AES128_CM_HMAC_SHA1_80:
		return "SRTP_AES128_CM_HMAC_SHA1_80"
	case AEAD_AES_128_GCM:
		return "SRTP_AEAD_AES_128_GCM"
	}
	return fmt.Sprintf("SRTP_0x%04X", uint16(p))
}

// lengths of the profile's master key and salt.
func (p Profile) lengths() (key, salt int, ok bool) {
	switch p {
	case AES128_CM_HMAC_SHA1_80:
		return 16, 14, true
	case AEAD_AES_128_GCM:
		return 16, 12, true
	}
	return 0, 0, false
}

// Keys are the SRTP master keys of a call. Local seals what we send, Remote opens what we receive. Plain data; it prints redacted.
type Keys struct {
	Profile               Profile
	LocalKey, LocalSalt   []byte
	RemoteKey, RemoteSalt []byte
}

func (k Keys) redacted() string { return "[" + k.Profile.String() + " keys redacted]" }

// String, GoString, Format, LogValue and MarshalText never show a key.
func (k Keys) String() string { return k.redacted() }

// GoString is String.
func (k Keys) GoString() string { return k.redacted() }

// Format is String for every verb.
func (k Keys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.redacted()) }

// LogValue is String for log/slog.
func (k Keys) LogValue() slog.Value { return slog.StringValue(k.redacted()) }

// MarshalText is String for encoders: a snapshot of a call has to name the fields it wants.
func (k Keys) MarshalText() ([]byte, error) { return []byte(k.redacted()), nil }
