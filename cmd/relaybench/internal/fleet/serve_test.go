//go:build linux

package fleet

import (
	"net"
	"testing"

	"google.golang.org/grpc"
)

type server struct {
	*grpc.Server
	l net.Listener
}

func (s *server) serve() { _ = s.Serve(s.l) }

func listen(t *testing.T) (string, *server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l.Addr().String(), &server{grpc.NewServer(), l}
}
