package rig

import (
	"slices"
	"testing"
)

const sockets = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  517: 0100007F:55F0 00000000:0000 07 00000000:00000340 00:00000000 00000000     0        0 36341 2 0000000000000000 0
  518: 0100007F:55F1 0100007F:E1B2 01 00000000:00008000 00:00000000 00000000     0        0 36342 2 0000000000000000 27
`

func TestSocketsOfTheKernelAreRead(t *testing.T) {
	got, err := udpSockets(sockets)
	if want := []UDPSocket{{22000, 0x340, 0}, {22001, 0x8000, 27}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if _, err := udpSockets(sockets + "  519: 0100007F:55F1\n"); err == nil {
		t.Error("a row of another form is taken")
	}
}
