package secure

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// certificateLife is how long a certificate says it is valid. Peers know it by its fingerprint alone; a process lives less long.
const certificateLife = 365 * 24 * time.Hour

// Certificate is a self-signed ECDSA P-256 certificate: small, so that no flight is fragmented. One serves a whole process, and any
// number of goroutines. Use NewCertificate.
type Certificate struct {
	tls         tls.Certificate
	fingerprint string
}

// NewCertificate makes one, with a name and serial number that say nothing about the host.
func NewCertificate() (*Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a DTLS key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("make a DTLS certificate: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "WebRTC"},
		NotBefore:    now.Add(-24 * time.Hour), // a peer's clock may be behind
		NotAfter:     now.Add(certificateLife),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make a DTLS certificate: %w", err)
	}
	return &Certificate{
		tls:         tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		fingerprint: fingerprintOf(der),
	}, nil
}

// Fingerprint is the SHA-256 of the certificate as an SDP writes it: upper-case hex with colons (RFC 8122 section 5).
func (c *Certificate) Fingerprint() string { return c.fingerprint }

// String shows the fingerprint and never the key.
func (c *Certificate) String() string { return "certificate " + c.fingerprint }

// GoString is String.
func (c *Certificate) GoString() string { return c.String() }

func fingerprintOf(der []byte) string {
	const digits = "0123456789ABCDEF"
	sum := sha256.Sum256(der)
	b := make([]byte, 0, 3*len(sum)-1)
	for i, v := range sum {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, digits[v>>4], digits[v&15])
	}
	return string(b)
}

// ErrFingerprintForm: what the peer's SDP gives as fingerprint is not exactly one SHA-256.
var ErrFingerprintForm = errors.New("remote fingerprint is not exactly one SHA-256")

// canonicalFingerprint takes upper and lower case, and a "sha-256 " in front. Anything else, also SHA-1, several fingerprints or none,
// is refused: a call without a verified peer has no media.
func canonicalFingerprint(s string) (string, error) {
	f := strings.ToUpper(strings.TrimSpace(s))
	f = strings.TrimPrefix(f, "SHA-256 ")
	const length = sha256.Size*3 - 1
	if len(f) != length {
		return "", fmt.Errorf("%w: %d characters instead of %d", ErrFingerprintForm, len(f), length)
	}
	for i := 0; i < length; i++ {
		c := f[i]
		if i%3 == 2 {
			if c != ':' {
				return "", fmt.Errorf("%w: no colon at %d", ErrFingerprintForm, i)
			}
		} else if (c < '0' || c > '9') && (c < 'A' || c > 'F') {
			return "", fmt.Errorf("%w: no hex digit at %d", ErrFingerprintForm, i)
		}
	}
	return f, nil
}
