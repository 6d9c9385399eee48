package main

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	pb "github.com/onelane/onelane/relay/control/controlpb"
)

func TestTLSIsTheDefaultWhereOthersCanListen(t *testing.T) {
	for _, c := range []struct {
		c    connection
		want bool
	}{
		{connection{addr: "127.0.0.1:7070"}, false},
		{connection{addr: "127.9.9.9:7070"}, false},
		{connection{addr: "[::1]:7070"}, false},
		{connection{addr: "localhost:7070"}, false},
		{connection{addr: "unix:/run/relayd.sock"}, false},
		{connection{addr: "127.0.0.1:7070", tls: true}, true},
		{connection{addr: "127.0.0.1:7070", ca: "x"}, true},
		{connection{addr: "10.0.0.1:7070"}, true},
		{connection{addr: "edge-1:7070"}, true},
		{connection{addr: "localhost.example.com:7070"}, true},
		{connection{addr: "127.0.0.1.example.com:7070"}, true},
		{connection{addr: "10.0.0.1:7070", plaintext: true}, false},
	} {
		if got := c.c.secure(); got != c.want {
			t.Errorf("%+v: %v", c.c, got)
		}
	}
}

func TestAnSDPThatCannotBeSentNamesItsLine(t *testing.T) {
	for in, want := range map[string]string{
		"v=0\r\ns=-\r\na=\xff":        "line 3",
		"":                            "empty",
		strings.Repeat("a", maxSDP+1): "64 KiB",
	} {
		if _, err := checkSDP([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v", in, err)
		}
	}
	if s, err := checkSDP([]byte("v=0\r\ns=Grüße\r\n")); err != nil || s == "" {
		t.Error(err)
	}
}

func TestCodesHaveTheirNames(t *testing.T) {
	for c, want := range map[codes.Code]string{
		codes.NotFound: "NOT_FOUND", codes.Canceled: "CANCELLED", codes.Unavailable: "UNAVAILABLE", codes.InvalidArgument: "INVALID_ARGUMENT",
	} {
		if got := codeName(c); got != want {
			t.Errorf("%v: %s, want %s", c, got, want)
		}
	}
}

func TestEnumsAreShownShort(t *testing.T) {
	if s := short(pb.CallState_CALL_STATE_LIVE); s != "live" {
		t.Error(s)
	}
	if s := short(pb.CallState(99)); s != "99" {
		t.Error(s)
	}
	if s := short(pb.EndReason_END_REASON_UNSPECIFIED); s != "" {
		t.Error(s)
	}
}
