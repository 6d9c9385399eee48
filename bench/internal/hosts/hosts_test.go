package hosts

import (
	"context"
	"net"
	"testing"
)

func TestOnlyOurNamespacesHaveAnOwner(t *testing.T) {
	for name, want := range map[string]int{"onelane-edge-123": 123, "onelane-peer-1": 1, "onelane-edge-": 0, "onelane-edge-x": 0, "edge-123": 0, "onelane-edge-0": 0, "onelane-": 0} {
		if pid, ok := owner(name); ok != (want > 0) || ok && pid != want {
			t.Errorf("%s: %d, %v, want %d", name, pid, ok, want)
		}
	}
}

func TestCommandRunsHereOrOnTheHost(t *testing.T) {
	ctx := context.Background()
	if got := Host("").Command(ctx, "true", "x").Args; len(got) != 2 || got[0] != "true" {
		t.Errorf("here: %v", got)
	}
	if got := Host("there").Command(ctx, "true", "x").Args; len(got) != 6 || got[3] != "there" || got[4] != "true" {
		t.Errorf("there: %v", got)
	}
}

func TestAHostThatIsNotThereCannotBeEntered(t *testing.T) {
	ran := false
	if err := Host("onelane-none-0").Inside(func() error { ran = true; return nil }); err == nil || ran {
		t.Errorf("error %v, ran %v", err, ran)
	}
	if err := Host("").Inside(func() error { ran = true; return nil }); err != nil || !ran {
		t.Errorf("here: error %v, ran %v", err, ran)
	}
}

func TestFreeAddressIsFreeForBothProtocols(t *testing.T) {
	at, err := Host("").FreeAddress("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.ListenPacket("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := Host("onelane-none-0").FreeAddress("127.0.0.1"); err == nil {
		t.Error("an address on a host that is not there")
	}
}
