// Command naive echoes calls as a Go program does that is put together from pion's parts in the way of pion/webrtc: an ice.Agent with a
// socket a call, its Conn split by the first byte of each packet into DTLS, SRTP and SRTCP, and srtp sessions over that, read by a goroutine
// a call. It leaves out what pion/webrtc has besides (interceptors, statistics, tracks), so it is the better of the two.
//
// It serves the part of relayd's control API that relaybench needs, and prints a line "api ADDRESS" when it is ready.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"flag"
	"fmt"
	"math/big"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pion/transport/v3/stdnet"

	"github.com/onelane/onelane/bench/internal/standin"
	"github.com/onelane/onelane/bench/internal/wire"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "`address` of the control API")
	flag.Parse()
	wire.RaiseDescriptors()
	s, err := newStack()
	if err == nil {
		err = standin.Serve(s, *listen, func(address string) { fmt.Println("api", address) })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "naive:", err)
		os.Exit(1)
	}
}

// stack is what all calls share.
type stack struct {
	certificate    tls.Certificate
	fingerprint    string
	net            *stdnet.Net
	received, sent atomic.Uint64
}

func newStack() (*stack, error) {
	n, err := stdnet.NewNet()
	if err != nil {
		return nil, fmt.Errorf("read the network interfaces: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "naive"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return &stack{certificate: tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, fingerprint: fingerprintOf(raw), net: n}, nil
}

// fingerprintOf is the SHA-256 of a certificate as an SDP writes it.
func fingerprintOf(raw []byte) string {
	sum := sha256.Sum256(raw)
	var parts []string
	for i := range sum {
		parts = append(parts, strings.ToUpper(hex.EncodeToString(sum[i:i+1])))
	}
	return strings.Join(parts, ":")
}

func (s *stack) Name() string { return "naive" }

func (s *stack) Packets() (received, sent uint64) { return s.received.Load(), s.sent.Load() }

func (s *stack) Answer(ctx context.Context, text string) (string, func(), error) {
	offer, err := standin.ReadOffer(text)
	if err != nil {
		return "", nil, err
	}
	c, err := s.newCall(ctx, offer)
	if err != nil {
		return "", nil, err
	}
	go c.run()
	return c.answer(), c.end, nil
}
