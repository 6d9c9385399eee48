package control

import (
	"crypto/tls"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "github.com/onelane/onelane/relay/control/controlpb"
	"github.com/onelane/onelane/relay/control/controltest"
)

func loopback(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func dial(t *testing.T, addr string, creds credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// ask makes one request over a new connection.
func ask(t *testing.T, addr string, c *tls.Config) error {
	t.Helper()
	conn := dial(t, addr, credentials.NewTLS(c))
	defer func() { _ = conn.Close() }()
	_, err := pb.NewRelayServiceClient(conn).GetNode(within(t), &pb.GetNodeRequest{})
	return err
}

func TestOnlyClientsWithAGoodCertificateAreServed(t *testing.T) {
	servers, clients, strangers := authority(t, "servers"), authority(t, "clients"), authority(t, "strangers")
	l := loopback(t)
	serve(t, Options{Edge: controltest.New(), TLS: folder(t, servers, clients, "127.0.0.1")}, l)
	good, strange := client509(t, clients, "controller", tomorrow()), client509(t, strangers, "controller", tomorrow())
	expired := client509(t, clients, "controller", time.Now().Add(-time.Hour))
	// With TLS 1.3 a client may learn of the server's alert, or only of the connection that it closes; TLS 1.2 shows the reason.
	for _, c := range []struct {
		name   string
		config *tls.Config
		want   string // in the error; empty: served
	}{
		{"good", &tls.Config{RootCAs: servers.Pool(), Certificates: []tls.Certificate{good}}, ""},
		{"good with TLS 1.2", &tls.Config{RootCAs: servers.Pool(), Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS12}, ""},
		{"no certificate", &tls.Config{RootCAs: servers.Pool()}, "code = Unavailable"},
		{"no certificate with TLS 1.2", &tls.Config{RootCAs: servers.Pool(), MaxVersion: tls.VersionTLS12}, "handshake failure"},
		{"of a strange authority", &tls.Config{RootCAs: servers.Pool(), GetClientCertificate: always(strange)}, "code = Unavailable"},
		{"of a strange authority with TLS 1.2", &tls.Config{RootCAs: servers.Pool(), GetClientCertificate: always(strange), MaxVersion: tls.VersionTLS12}, "unknown certificate authority"},
		{"expired", &tls.Config{RootCAs: servers.Pool(), GetClientCertificate: always(expired)}, "code = Unavailable"},
		{"expired with TLS 1.2", &tls.Config{RootCAs: servers.Pool(), GetClientCertificate: always(expired), MaxVersion: tls.VersionTLS12}, "expired certificate"},
		{"TLS 1.1", &tls.Config{RootCAs: servers.Pool(), Certificates: []tls.Certificate{good}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, "protocol version"},
		{"client that expects another name", &tls.Config{RootCAs: servers.Pool(), Certificates: []tls.Certificate{good}, ServerName: "other.example"}, "wanted to match other.example"},
		{"client that trusts another authority", &tls.Config{RootCAs: strangers.Pool(), Certificates: []tls.Certificate{good}}, "unknown authority"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := ask(t, l.Addr().String(), c.config)
			if c.want == "" && err != nil || c.want != "" && (status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	conn := dial(t, l.Addr().String(), insecure.NewCredentials())
	if _, err := pb.NewRelayServiceClient(conn).GetNode(within(t), &pb.GetNodeRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("plaintext: %v", err)
	}
}

// always sends a certificate whatever authorities the server names.
func always(c tls.Certificate) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c, nil }
}

func TestTLS13IsUsedWhenTheClientCan(t *testing.T) {
	servers := authority(t, "servers")
	files := folder(t, servers, servers, "127.0.0.1")
	files.ClientCA = ""
	l := loopback(t)
	serve(t, Options{Edge: controltest.New(), TLS: files}, l)
	conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: servers.Pool(), NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if s := conn.ConnectionState(); s.Version != tls.VersionTLS13 || s.NegotiatedProtocol != "h2" {
		t.Errorf("version %x, protocol %q", s.Version, s.NegotiatedProtocol)
	}
}

func TestCertificatesRotateWithoutARestart(t *testing.T) {
	old, fresh, clients := authority(t, "old"), authority(t, "fresh"), authority(t, "clients")
	files := folder(t, old, clients, "127.0.0.1")
	l, log := loopback(t), &journal{}
	serve(t, Options{Edge: controltest.New(), TLS: files, Log: log.logger()}, l)
	addr := l.Addr().String()
	cert := []tls.Certificate{client509(t, clients, "controller", tomorrow())}
	trustsOld := &tls.Config{RootCAs: old.Pool(), Certificates: cert}
	trustsFresh := &tls.Config{RootCAs: fresh.Pool(), Certificates: cert}
	standing := pb.NewRelayServiceClient(dial(t, addr, credentials.NewTLS(trustsOld)))
	standingWorks := func() {
		t.Helper()
		if _, err := standing.GetNode(within(t), &pb.GetNodeRequest{}); err != nil {
			t.Error(err)
		}
	}
	standingWorks()

	pemCert, pemKey, err := fresh.Issue("127.0.0.1", tomorrow())
	if err != nil {
		t.Fatal(err)
	}
	replace(t, files.Cert, pemCert) // half done: the key does not fit yet
	for range 3 {
		if err := ask(t, addr, trustsOld); err != nil {
			t.Errorf("half-done rotation: %v", err)
		}
	}
	if n := strings.Count(log.String(), "cannot be used"); n != 1 {
		t.Errorf("warned %d times", n)
	}
	replace(t, files.Key, pemKey)
	if err := ask(t, addr, trustsFresh); err != nil {
		t.Errorf("after the rotation: %v", err)
	}
	if err := ask(t, addr, trustsOld); err == nil {
		t.Error("the old certificate is still served")
	}
	standingWorks()

	if err := os.Remove(files.Key); err != nil {
		t.Fatal(err)
	}
	if err := ask(t, addr, trustsFresh); err != nil {
		t.Errorf("key gone: %v", err)
	}
	if s := log.String(); strings.Contains(s, "PRIVATE KEY") {
		t.Error("a key is in the log")
	}
}

func TestClientAuthoritiesRotateWithoutARestart(t *testing.T) {
	servers, before, after := authority(t, "servers"), authority(t, "before"), authority(t, "after")
	files := folder(t, servers, before, "127.0.0.1")
	l := loopback(t)
	serve(t, Options{Edge: controltest.New(), TLS: files}, l)
	// One cache for all connections: a session from before must not be resumed afterwards.
	cache := tls.NewLRUClientSessionCache(8)
	as := func(c tls.Certificate) error {
		return ask(t, l.Addr().String(), &tls.Config{RootCAs: servers.Pool(), GetClientCertificate: always(c), ClientSessionCache: cache})
	}
	one, two := client509(t, before, "controller", tomorrow()), client509(t, after, "controller", tomorrow())
	if err := as(one); err != nil {
		t.Error(err)
	}
	if err := as(two); err == nil {
		t.Error("an unknown authority is trusted")
	}
	replace(t, files.ClientCA, after.PEM())
	if err := as(two); err != nil {
		t.Error(err)
	}
	if err := as(one); err == nil {
		t.Error("the old authority is still trusted")
	}
}

func TestUnusableTLSFilesShowAtTheStart(t *testing.T) {
	a := authority(t, "a")
	good := folder(t, a, a, "127.0.0.1")
	noPEM := folder(t, a, a, "127.0.0.1")
	replace(t, noPEM.ClientCA, []byte("nothing"))
	other := folder(t, a, a, "127.0.0.1")
	for name, f := range map[string]Files{
		"no key":         {Cert: good.Cert},
		"no certificate": {Key: good.Key},
		"only a CA":      {ClientCA: good.ClientCA},
		"missing file":   {Cert: good.Cert + "x", Key: good.Key},
		"wrong key":      {Cert: good.Cert, Key: other.Key},
		"CA without PEM": noPEM,
	} {
		if _, err := New(Options{Edge: controltest.New(), Log: (&journal{}).logger(), TLS: f}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPlaintextStaysOnLoopbackUnlessAllowed(t *testing.T) {
	for _, c := range []struct {
		addr net.Addr
		fine bool
	}{
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, true},
		{&net.TCPAddr{IP: net.IPv4(127, 9, 9, 9)}, true},
		{&net.TCPAddr{IP: net.IPv6loopback}, true},
		{&net.TCPAddr{IP: net.ParseIP("::ffff:127.0.0.1")}, true},
		{&net.UnixAddr{Name: "/run/relayd.sock", Net: "unix"}, true},
		{&net.TCPAddr{}, false},
		{&net.TCPAddr{IP: net.IPv4zero}, false},
		{&net.TCPAddr{IP: net.IPv6unspecified}, false},
		{&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}, false},
		{&net.TCPAddr{IP: net.IPv4(203, 0, 113, 9)}, false},
		{&net.TCPAddr{IP: net.ParseIP("fe80::1")}, false},
		{&net.IPAddr{IP: net.IPv4(127, 0, 0, 1)}, false},
	} {
		if err := CheckPlaintext(c.addr, false); (err == nil) != c.fine {
			t.Errorf("%T %v: %v", c.addr, c.addr, err)
		}
		if err := CheckPlaintext(c.addr, true); err != nil {
			t.Errorf("%v allowed: %v", c.addr, err)
		}
	}
}

func TestServingPlaintextToTheWorldFails(t *testing.T) {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{Edge: controltest.New(), Log: (&journal{}).logger()})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(within(t), l); err == nil || !strings.Contains(err.Error(), "without TLS") {
		t.Errorf("got %v", err)
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("the listener is still open")
	}
}
