package main

import (
	"strings"
	"testing"
)

const printed = `goos: linux
pkg: github.com/onelane/onelane/rtpx
BenchmarkParse-2   	  100	 10.0 ns/op	 0 B/op	 0 allocs/op
BenchmarkParse-2   	  100	 30.0 ns/op	 0 B/op	 0 allocs/op
PASS
ok  	github.com/onelane/onelane/rtpx	1.0s
pkg: github.com/onelane/onelane/ice
PASS
pkg: github.com/onelane/onelane/ice/udp
BenchmarkEcho/ports=1000-2 	 50	 2000 ns/op	 1.5 datagrams/wakeup	 16 B/op	 1 allocs/op
`

func TestOutputOfBenchmarksIsRead(t *testing.T) {
	suites := parse(strings.NewReader(printed))
	if len(suites) != 2 {
		t.Fatalf("%d suites", len(suites))
	}
	parse, echo := suites[0].runs["Parse"], suites[1].runs["Echo/ports=1000"]
	if parse == nil || len(parse.ns) != 2 || parse.ns[1] != 30 {
		t.Errorf("Parse: %+v", parse)
	}
	if echo == nil || len(echo.allocs) != 1 || echo.allocs[0] != 1 || echo.bytes[0] != 16 {
		t.Errorf("Echo: %+v", echo)
	}
}
