//go:build interop

package interop

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/onelane/onelane/bench/internal/hosts"
)

// capture is a running tshark that writes what passes an interface to a file.
type capture struct {
	program *program
	file    string
}

// startCapture returns when packets are being captured.
func startCapture(t *testing.T, h hosts.Host, device, filter string) *capture {
	t.Helper()
	c := &capture{file: filepath.Join(t.TempDir(), device+".pcap")}
	c.program = start(t, h, "tshark", "-q", "-n", "-i", device, "-f", filter, "-F", "pcap", "-w", c.file)
	until(t, 15*time.Second, "tshark to capture", func() bool {
		if c.program.ended() {
			t.Fatalf("tshark ended: %s", c.program.output())
		}
		return strings.Contains(c.program.output(), "Capture started")
	})
	return c
}

// stop gives the kernel time to hand over what it has captured: it does so in blocks.
func (c *capture) stop(t *testing.T) {
	t.Helper()
	settled := time.Now().Add(time.Second)
	until(t, 5*time.Second, "the last packets", func() bool { return time.Now().After(settled) })
	c.program.stop(t, syscall.SIGINT)
}

// frame is what tshark says of one packet.
type frame map[string]string

// violations are the fields by which tshark's Opus dissector names the requirements of RFC 6716 section 3.4.
var violations = []string{"opus.violate_r1", "opus.violate_r2", "opus.violate_r3", "opus.violate_r4", "opus.violate_r5", "opus.violate_r6", "opus.violate_r7"}

// dissect has tshark read a capture.
func dissect(t *testing.T, file string, fields []string, options ...string) []frame {
	t.Helper()
	args := append([]string{"-n", "-r", file, "-T", "fields", "-E", "separator=,", "-E", "quote=d", "-E", "occurrence=f"}, options...)
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	var out, complaints bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "tshark", args...)
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		t.Fatalf("tshark: %v: %s", err, &complaints)
	}
	rows, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	frames := make([]frame, len(rows))
	for i, row := range rows {
		frames[i] = frame{}
		for k, f := range fields {
			frames[i][f] = row[k]
		}
	}
	return frames
}

// traffic is what passed between the hosts.
type traffic struct {
	kinds          map[string]int
	sent, received int // RTP packets of the edge and of the peer
	faults         []string
}

func (w *traffic) fault(format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

// judgeWire holds a capture between the hosts to what a call may put on the wire: STUN, DTLS, RTP and RTCP, one SSRC each way, and from
// the edge packets without extension and CSRC, in one unbroken sequence.
func judgeWire(t *testing.T, file string) traffic {
	t.Helper()
	frames := dissect(t, file, []string{
		"frame.number", "ip.src", "frame.protocols", "rtp.ssrc", "rtp.seq", "rtp.ext", "rtp.cc", "_ws.malformed",
	}, "--enable-heuristic", "rtp_udp")
	w := traffic{kinds: map[string]int{}}
	sources := map[string]map[string]bool{edgeAddress: {}, peerAddress: {}}
	last := -1
	for _, f := range frames {
		kind, number := kindOf(f), f["frame.number"]
		w.kinds[kind]++
		switch kind {
		case "stun", "dtls":
			// What follows the header of RTCP is encrypted, so tshark cannot judge it; these it can.
			if f["_ws.malformed"] != "" {
				w.fault("frame %s: malformed %s", number, kind)
			}
		case "rtp":
			sources[f["ip.src"]][f["rtp.ssrc"]] = true
			if f["ip.src"] == peerAddress {
				w.received++
				continue
			}
			w.sent++
			if f["rtp.ext"] != "0" || f["rtp.cc"] != "0" {
				w.fault("frame %s: extension %s, CSRC count %s", number, f["rtp.ext"], f["rtp.cc"])
			}
			seq, err := strconv.Atoi(f["rtp.seq"])
			if err != nil || last >= 0 && seq != (last+1)&0xFFFF {
				w.fault("frame %s: sequence number %s after %d", number, f["rtp.seq"], last)
			}
			last = seq
		case "rtcp":
		default:
			w.fault("frame %s from %s is neither STUN, DTLS, RTP nor RTCP: %s", number, f["ip.src"], f["frame.protocols"])
		}
	}
	for address, ssrcs := range sources {
		if len(ssrcs) > 1 {
			w.fault("%s sends %d SSRCs: %v", address, len(ssrcs), slices.Sorted(maps.Keys(ssrcs)))
		}
	}
	return w
}

// kindOf reads frame.protocols, such as "eth:ethertype:ip:udp:rtp".
func kindOf(f frame) string {
	for _, protocol := range strings.Split(f["frame.protocols"], ":") {
		switch protocol {
		case "stun", "dtls", "rtp", "rtcp":
			return protocol
		case "srtp", "srtcp":
			return protocol[1:]
		}
	}
	return "other"
}

// judgeOpus has tshark judge the Opus packets of plain RTP to or from a port. It gives how many there are and what is wrong with them.
func judgeOpus(t *testing.T, file string, port, payloadType int) (packets int, faults []string) {
	t.Helper()
	fields := append([]string{"frame.number", "opus.TOC.config", "_ws.malformed"}, violations...)
	frames := dissect(t, file, fields, "-d", fmt.Sprintf("udp.port==%d,rtp", port), "-d", fmt.Sprintf("rtp.pt==%d,opus", payloadType),
		"-Y", fmt.Sprintf("rtp.p_type==%d", payloadType))
	for _, f := range frames {
		for _, v := range violations {
			if f[v] != "" {
				faults = append(faults, fmt.Sprintf("frame %s: %s", f["frame.number"], v))
			}
		}
		if f["_ws.malformed"] != "" || f["opus.TOC.config"] == "" {
			faults = append(faults, fmt.Sprintf("frame %s is not a well-formed Opus packet", f["frame.number"]))
		}
	}
	return len(frames), faults
}
