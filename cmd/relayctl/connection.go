package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/pflag"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

const (
	defaultAddr = "127.0.0.1:7070" // the edge's own default
	// maxSDP is the most that an edge takes; it is checked here too, since reading and sending more is useless.
	maxSDP = 64 << 10
	// maxAnswer fits a page of a thousand calls with all their attachments.
	maxAnswer = 64 << 20
)

// connection says how to reach the edge.
type connection struct {
	addr, ca, cert, key, serverName string
	tls, plaintext                  bool
}

func (c *connection) flags(f *pflag.FlagSet) {
	addr := os.Getenv("ONELANE_ADDR")
	if addr == "" {
		addr = defaultAddr
	}
	f.StringVar(&c.addr, "addr", addr, "the edge's control API, host:port or unix:path; from ONELANE_ADDR if that is set")
	f.BoolVar(&c.tls, "tls", false, "use TLS also on loopback; everywhere else it is the default")
	f.StringVar(&c.ca, "ca", "", "trust the authorities in this PEM `file` and no others (implies --tls)")
	f.StringVar(&c.cert, "cert", "", "our certificate, a PEM `file` (implies --tls)")
	f.StringVar(&c.key, "key", "", "our certificate's key, a PEM `file`")
	f.StringVar(&c.serverName, "server-name", "", "the name that the edge's certificate has to have, if it is not that of --addr")
	f.BoolVar(&c.plaintext, "plaintext", false, "no TLS off loopback: SDPs have passwords and call ids phone numbers in them")
}

func (c *connection) check() error {
	switch {
	case (c.cert == "") != (c.key == ""):
		return usage("--cert and --key belong together")
	case c.plaintext && (c.tls || c.ca != "" || c.cert != ""):
		return usage("--plaintext contradicts --tls, --ca and --cert")
	}
	return nil
}

// secure says whether to use TLS: whenever it is asked for, and wherever others could read along.
func (c *connection) secure() bool {
	if c.tls || c.ca != "" || c.cert != "" {
		return true
	}
	return !c.plaintext && !local(c.addr)
}

// local says whether an address stays on this machine.
func local(addr string) bool {
	if strings.HasPrefix(addr, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

func (c *connection) dial() (*grpc.ClientConn, error) {
	creds := insecure.NewCredentials()
	if c.secure() {
		config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.serverName}
		if c.ca != "" {
			pem, err := os.ReadFile(c.ca)
			if err != nil {
				return nil, fmt.Errorf("--ca: %w", err)
			}
			config.RootCAs = x509.NewCertPool()
			if !config.RootCAs.AppendCertsFromPEM(pem) {
				return nil, usage("--ca: %s has no PEM certificate", c.ca)
			}
		}
		if c.cert != "" {
			pair, err := tls.LoadX509KeyPair(c.cert, c.key)
			if err != nil {
				return nil, fmt.Errorf("--cert: %w", err)
			}
			config.Certificates = []tls.Certificate{pair}
		}
		creds = credentials.NewTLS(config)
	}
	conn, err := grpc.NewClient(c.addr,
		grpc.WithTransportCredentials(creds),
		grpc.WithNoProxy(), // an edge is reached directly: a proxy for the web knows nothing of it
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
	)
	if err != nil {
		return nil, usage("--addr %s: %w", c.addr, err)
	}
	return conn, nil
}

// checkSDP refuses what cannot be sent, and says where it is wrong.
func checkSDP(b []byte) (string, error) {
	if len(b) > maxSDP {
		return "", usage("the SDP is longer than %d KiB, the most that an edge takes", maxSDP>>10)
	}
	if len(b) == 0 {
		return "", usage("the SDP is empty")
	}
	line := 1
	for rest := b; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		if r == utf8.RuneError && n == 1 {
			return "", usage("line %d of the SDP is not valid UTF-8", line)
		}
		if r == '\n' {
			line++
		}
		rest = rest[n:]
	}
	return string(b), nil
}
