package control

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/onelane/onelane/relay/control/controltest"
)

func authority(t *testing.T, name string) *controltest.Authority {
	t.Helper()
	a, err := controltest.NewAuthority(name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func client509(t *testing.T, a *controltest.Authority, name string, until time.Time) tls.Certificate {
	t.Helper()
	c, err := a.Client(name, until)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func tomorrow() time.Time { return time.Now().Add(24 * time.Hour) }

// replace writes a file as an operator's tool does: whole, under another name, and then renamed.
func replace(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// folder gives the three files in a folder, filled for a server at name.
func folder(t *testing.T, servers, clients *controltest.Authority, name string) Files {
	t.Helper()
	dir := t.TempDir()
	f := Files{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), ClientCA: filepath.Join(dir, "ca.pem")}
	cert, key, err := servers.Issue(name, tomorrow())
	if err != nil {
		t.Fatal(err)
	}
	replace(t, f.Cert, cert)
	replace(t, f.Key, key)
	replace(t, f.ClientCA, clients.PEM())
	return f
}
