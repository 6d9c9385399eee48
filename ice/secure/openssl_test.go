package secure_test

import (
	"context"
	"encoding/pem"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onelane/onelane/ice/secure"
)

// TestOpenSSLAgrees shakes hands with openssl s_server, as Janus and others link it: with an ECDSA and an RSA certificate, with a
// cookie (HelloVerifyRequest) and without, and with a small MTU that fragments its flight.
func TestOpenSSLAgrees(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl here")
	}
	for name, c := range map[string]struct {
		key  []string
		more []string
		want secure.Profile
	}{
		"ecdsa":      {[]string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"}, nil, secure.AEAD_AES_128_GCM},
		"rsa":        {[]string{"-newkey", "rsa:2048"}, nil, secure.AEAD_AES_128_GCM},
		"cookie":     {[]string{"-newkey", "rsa:2048"}, []string{"-listen"}, secure.AEAD_AES_128_GCM},
		"fragmented": {[]string{"-newkey", "rsa:4096"}, []string{"-mtu", "400"}, secure.AEAD_AES_128_GCM},
		"cm":         {[]string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"}, []string{"-use_srtp", "SRTP_AES128_CM_SHA1_80"}, secure.AES128_CM_HMAC_SHA1_80},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			key, cert := filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
			args := append([]string{"req", "-x509", "-nodes", "-subj", "/CN=test", "-days", "2", "-keyout", key, "-out", cert}, c.key...)
			if out, err := exec.Command(openssl, args...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			raw, err := os.ReadFile(cert)
			if err != nil {
				t.Fatal(err)
			}
			block, _ := pem.Decode(raw)
			probe, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			at := probe.LocalAddr().(*net.UDPAddr).AddrPort()
			_ = probe.Close()
			serve(t, openssl, at, key, cert, c.more)
			wire, err := net.Dial("udp4", at.String())
			if err != nil {
				t.Fatal(err)
			}
			defer wire.Close()
			h := &secure.Handshake{
				Role: secure.Client, Certificate: ours(), RemoteFingerprint: secure.FingerprintOf(block.Bytes), Conn: patient{wire},
				FlightInterval: 100 * time.Millisecond,
			}
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			s, err := h.Run(ctx)
			if err != nil {
				t.Fatal(err, h.Counts())
			}
			if s.Keys.Profile != c.want {
				t.Errorf("profile %v", s.Keys.Profile)
			}
			n := h.Counts()
			n.Tries = 0
			if n.Refused+n.Malformed+n.Forged > 0 {
				t.Errorf("genuine messages were dropped: %+v", n)
			}
		})
	}
}

func serve(t *testing.T, openssl string, at netip.AddrPort, key, cert string, more []string) {
	t.Helper()
	args := []string{"s_server", "-dtls1_2", "-accept", at.String(), "-key", key, "-cert", cert, "-Verify", "1", "-quiet"}
	if !strings.Contains(strings.Join(more, " "), "-use_srtp") {
		args = append(args, "-use_srtp", "SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80")
	}
	cmd := exec.Command(openssl, append(args, more...)...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// patient is a UDP socket on which ECONNREFUSED, of a server that is not there yet, is a lost datagram.
type patient struct{ net.Conn }

func (p patient) Read(b []byte) (int, error) {
	for {
		n, err := p.Conn.Read(b)
		if err == nil || !strings.Contains(err.Error(), "refused") {
			return n, err
		}
	}
}

func (p patient) Write(b []byte) (int, error) {
	_, _ = p.Conn.Write(b)
	return len(b), nil
}
