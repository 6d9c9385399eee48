package secure_test

import (
	"encoding/binary"
	"fmt"
	"time"
)

var traceStart time.Time

func traceRecords(direction int, b []byte) {
	arrow := "->"
	if direction == fromPeer {
		arrow = "<-"
	}
	s := fmt.Sprintf("%8v %s", time.Since(traceStart), arrow)
	for len(b) >= 13 {
		n := int(binary.BigEndian.Uint16(b[11:]))
		s += fmt.Sprintf(" [%d e%d #%d", b[0], b[4], b[10])
		if b[0] == 22 && b[4] == 0 {
			s += fmt.Sprintf(" t%d m%d", b[13], b[18])
		}
		s += "]"
		b = b[13+n:]
	}
	fmt.Println(s)
}
