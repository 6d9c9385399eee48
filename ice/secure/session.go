package secure

import (
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/pion/dtls/v2"
)

// Session is a completed handshake.
type Session struct {
	Keys Keys

	role  Role
	guard *guard

	mu    sync.Mutex
	conn  *dtls.Conn  // nil once released
	state *dtls.State // what a close_notify needs; nil once said
}

// newSession takes the keys out of a connection. A client has the server's last flight, so nothing of the connection is needed any
// more; a server may have to repeat its own.
func newSession(conn *dtls.Conn, g *guard, role Role) (*Session, error) {
	state := conn.ConnectionState()
	keys, err := exportKeys(&state, conn, role)
	if err != nil {
		return nil, err
	}
	s := &Session{Keys: keys, role: role, guard: g, conn: conn}
	if role == Client {
		s.Release()
	}
	return s, nil
}

// exportKeys derives the SRTP keys (RFC 5764 section 4.2).
func exportKeys(state *dtls.State, conn *dtls.Conn, role Role) (Keys, error) {
	selected, ok := conn.SelectedSRTPProtectionProfile()
	k := Keys{Profile: Profile(selected)}
	key, salt, known := k.Profile.lengths()
	if !ok || !known {
		return Keys{}, fmt.Errorf("export SRTP keys: no profile negotiated")
	}
	m, err := state.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 2*(key+salt))
	if err != nil {
		return Keys{}, fmt.Errorf("export SRTP keys: %w", err)
	}
	client, m := m[:key:key], m[key:]
	server, m := m[:key:key], m[key:]
	clientSalt, serverSalt := m[:salt:salt], m[salt:]
	if role == Client {
		k.LocalKey, k.LocalSalt, k.RemoteKey, k.RemoteSalt = client, clientSalt, server, serverSalt
	} else {
		k.LocalKey, k.LocalSalt, k.RemoteKey, k.RemoteSalt = server, serverSalt, client, clientSalt
	}
	return k, nil
}

// Role is our side of the handshake.
func (s *Session) Role() Role { return s.role }

// String says nothing about keys.
func (s *Session) String() string {
	return "DTLS session as " + s.role.String() + ", " + s.Keys.String()
}

// GoString is String.
func (s *Session) GoString() string { return s.String() }

// Release ends the connection's goroutines and frees its memory, without a word to the peer. As client that has happened before Run
// returned; as server call it after the first authentic SRTP packet, which shows that the peer has our last flight.
func (s *Session) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return
	}
	state := s.conn.ConnectionState()
	state.PeerCertificates = nil
	s.state = &state
	s.guard.mute()
	_ = s.conn.Close()
	s.conn, s.guard = nil, nil
}

// Farewell gives one close_notify record to send, best effort, and releases the session. It runs in well under a millisecond and leaves
// no goroutine. A second one does nothing.
func (s *Session) Farewell(send func([]byte)) {
	s.Release()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == nil {
		return
	}
	state := s.state
	s.state = nil
	// Pion's Close loses the record now and then, when its reader is faster. Nothing has left in that case, so it can be said again.
	for range 3 {
		w := &farewellWire{send: send, closed: make(chan struct{})}
		conn, err := dtls.Resume(state, w, &dtls.Config{LoggerFactory: silence{}, CipherSuites: cipherSuites})
		if err != nil {
			return
		}
		_ = conn.Close()
		_ = w.Close()
		if w.said {
			return
		}
	}
}

// farewellWire is a wire on which nothing ever comes in.
type farewellWire struct {
	send   func([]byte)
	said   bool
	once   sync.Once
	closed chan struct{}

	mu      sync.Mutex
	expired chan struct{}
}

func (w *farewellWire) Read([]byte) (int, error) {
	w.mu.Lock()
	if w.expired == nil {
		w.expired = make(chan struct{})
	}
	expired := w.expired
	w.mu.Unlock()
	select {
	case <-w.closed:
		return 0, net.ErrClosed
	case <-expired:
		return 0, os.ErrDeadlineExceeded
	}
}

func (w *farewellWire) Write(b []byte) (int, error) {
	w.said = true
	w.send(b)
	return len(b), nil
}

func (w *farewellWire) Close() error {
	w.once.Do(func() { close(w.closed) })
	return nil
}

func (w *farewellWire) SetReadDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t.IsZero() {
		w.expired = nil
		return nil
	}
	if w.expired == nil {
		w.expired = make(chan struct{})
	}
	select {
	case <-w.expired:
	default:
		close(w.expired)
	}
	return nil
}

func (w *farewellWire) LocalAddr() net.Addr              { return &net.UDPAddr{} }
func (w *farewellWire) RemoteAddr() net.Addr             { return &net.UDPAddr{} }
func (w *farewellWire) SetDeadline(t time.Time) error    { return w.SetReadDeadline(t) }
func (w *farewellWire) SetWriteDeadline(time.Time) error { return nil }
