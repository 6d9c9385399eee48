package ice

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestConnReadsEndAsPionExpects(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := NewConn(net.UDPAddrFromAddrPort(local4), func([]byte, netip.AddrPort) {})
		for range 100 {
			c.Deliver([]byte("x"), remote4)
		}
		if c.Dropped() != 100-queueDepth {
			t.Errorf("%d dropped", c.Dropped())
		}
		b := make([]byte, 10)
		n, from, err := c.ReadFrom(b)
		if n != 1 || err != nil || from.String() != remote4.String() {
			t.Error(n, from, err)
		}
		c.Connect(remote4)
		c.Deliver([]byte("y"), remote6)
		if c.Dropped() != 100-queueDepth+1 {
			t.Error("took a datagram from elsewhere")
		}
		for range queueDepth - 1 {
			if _, err := c.Read(b); err != nil {
				t.Fatal(err)
			}
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		var timeout net.Error
		if _, err := c.Read(b); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Error(err)
		}
		_ = c.SetReadDeadline(time.Time{})
		for _, end := range []func(){func() { _ = c.SetReadDeadline(time.Unix(0, 0)) }, func() { _ = c.Close() }} {
			time.AfterFunc(time.Second, end)
			_ = c.SetReadDeadline(time.Time{})
			if _, err := c.Read(b); err == nil {
				t.Error("read something")
			}
		}
		if _, err := c.Read(b); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if _, err := c.WriteTo(b, net.UDPAddrFromAddrPort(remote4)); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		c.Deliver([]byte("z"), remote4)
	})
}

func TestCredentialsPrintRedacted(t *testing.T) {
	c, err := NewCredentials()
	if err != nil || len(c.Ufrag) < 8 || len(c.Pwd) < 22 {
		t.Fatal(c, err)
	}
	c = Credentials{Ufrag: "CANARY-ufrag", Pwd: "CANARY-pwd"}
	for _, v := range []any{c, &c, []Credentials{c}, struct{ C Credentials }{c}, &Dialer{Local: c}, Local{}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
			if out := fmt.Sprintf(verb, v); bytes.Contains([]byte(out), []byte("CANARY")) || bytes.Contains([]byte(out), []byte("43414e")) {
				t.Errorf("%s of %T: %s", verb, v, out)
			}
		}
	}
}
