package control

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
)

// Files name the PEM files of TLS. They are read again when they change: a certificate is rotated by replacing its files.
type Files struct {
	Cert, Key string
	// ClientCA: only clients with a certificate from one of these authorities are served (mTLS). Empty: every client is.
	ClientCA string
}

// config loads the files once, so that a mistake shows at the start, and gives a configuration that follows them.
func (f Files) config(log *slog.Logger) (*tls.Config, error) {
	r := &rotation{files: f, log: log}
	if err := r.load(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return r.latest(), nil },
	}, nil
}

// rotation is the configuration made from the newest files that were usable. Handshakes use it from many goroutines.
type rotation struct {
	files Files
	log   *slog.Logger

	mu     sync.Mutex
	loaded []os.FileInfo // of the files that now was made from
	failed string        // why newer files could not be used: tried at every handshake, but reported once
	now    *tls.Config
}

// latest is what a new connection gets. Three calls of stat are nothing beside the handshake that follows. Files that do not fit
// together, because their replacement is half done, leave the old configuration in place.
func (r *rotation) latest() *tls.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen, err := r.stat()
	if err == nil && same(seen, r.loaded) {
		return r.now
	}
	if err == nil {
		err = r.loadLocked()
	}
	if err == nil {
		r.log.Info("TLS files reloaded")
		r.failed = ""
		return r.now
	}
	if r.failed != err.Error() {
		r.failed = err.Error()
		r.log.Warn("TLS files changed and cannot be used; the old ones stay in use", "error", err)
	}
	return r.now
}

func (r *rotation) load() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.loadLocked()
}

func (r *rotation) loadLocked() error {
	// Looked at before they are read: a change in between is then seen by the next handshake.
	seen, err := r.stat()
	if err != nil {
		return err
	}
	if r.files.Cert == "" || r.files.Key == "" {
		return errors.New("TLS needs both a certificate file and a key file")
	}
	cert, err := tls.LoadX509KeyPair(r.files.Cert, r.files.Key)
	if err != nil {
		return fmt.Errorf("load TLS certificate %s with key %s: %w", r.files.Cert, r.files.Key, err)
	}
	c := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2"},
		Certificates: []tls.Certificate{cert},
		// A resumed session would outlive the authority that vouched for its client. Controllers keep their connections anyway.
		SessionTicketsDisabled: true,
	}
	if r.files.ClientCA != "" {
		pem, err := os.ReadFile(r.files.ClientCA)
		if err != nil {
			return fmt.Errorf("load TLS client authorities: %w", err)
		}
		c.ClientCAs = x509.NewCertPool()
		if !c.ClientCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("load TLS client authorities: %s has no PEM certificate", r.files.ClientCA)
		}
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	r.loaded, r.now = seen, c
	return nil
}

func (r *rotation) stat() ([]os.FileInfo, error) {
	var out []os.FileInfo
	for _, name := range []string{r.files.Cert, r.files.Key, r.files.ClientCA} {
		if name == "" {
			continue
		}
		i, err := os.Stat(name)
		if err != nil {
			return nil, fmt.Errorf("look at TLS file: %w", err)
		}
		out = append(out, i)
	}
	return out, nil
}

func same(a, b []os.FileInfo) bool {
	return slices.EqualFunc(a, b, func(x, y os.FileInfo) bool {
		return os.SameFile(x, y) && x.ModTime().Equal(y.ModTime()) && x.Size() == y.Size()
	})
}
