//go:build interop

package interop

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/onelane/onelane/relay/control/controlpb"
	"github.com/onelane/onelane/relay/sdp"
)

const spoken = "Thank you for calling. Your order is on its way, and it should be with you tomorrow before noon. Is there anything else?"

// A whole call with a WebRTC server that we did not write: our offer, its answer, speech from a file to its echo test and back into a
// recording; and what was on the wire, what Janus heard and what a plain-RTP leg got are judged by tshark.
func TestCallWithJanusEcho(t *testing.T) {
	edge, peer := pair(t)
	far := startJanus(t, peer)
	near := startRelayd(t, edge)
	wire := startCapture(t, edge, "v-edge", "udp")
	legPort := listen(t, edge)
	loopback := startCapture(t, edge, "lo", "udp port "+strconv.Itoa(legPort))

	sound := filepath.Join(near.sounds, "speech.ogg")
	speech(t, sound, spoken)
	echo := far.attachEchoTest(t)
	c, offer := near.offer(t, "interop-echo")
	heard := filepath.Join(t.TempDir(), "heard")
	c.apply(echo.answer(t, offer, heard))
	c.waitState(controlpb.CallState_CALL_STATE_GATED)
	echo.wait(t, "webrtcup")

	c.attach("speech", "player", map[string]string{"file": "speech.ogg"})
	c.attach("leg", "rtp", map[string]string{"peer": net.JoinHostPort("127.0.0.1", strconv.Itoa(legPort))})
	recording := c.attach("recording", "recording", nil)
	c.openMedia()
	c.waitState(controlpb.CallState_CALL_STATE_LIVE)
	began := time.Now()
	c.speak("speech")
	until(t, 30*time.Second, "the speech to end", func() bool { return c.get().GetSource() == "silence" })
	// The last words come back, and the recording gets half a second of quiet behind them.
	if node := near.run(t, "node", "--json"); !json.Valid([]byte(node)) {
		t.Errorf("relayctl node --json prints %s", node)
	}
	quiet := time.Now().Add(time.Second)
	until(t, 5*time.Second, "a second of silence", func() bool { return time.Now().After(quiet) })
	length := time.Since(began)
	closed := c.detach("recording")
	live := c.get()
	ended := c.end()
	echo.hangup(t)
	wire.stop(t)
	loopback.stop(t)

	if ended.GetEndReason() != controlpb.EndReason_END_REASON_REQUESTED || ended.GetStats().GetViolations() != 0 {
		t.Errorf("ended %v (%s), %d violations", ended.GetEndReason(), ended.GetEndMessage(), ended.GetStats().GetViolations())
	}
	t.Logf("ICE %v, DTLS %v, %s, drops %v", live.GetTimings().GetIceConnected().AsDuration(), live.GetTimings().GetDtlsConnected().AsDuration(),
		live.GetSrtpProfile(), live.GetStats().GetDrops())
	packets := int(length / (20 * time.Millisecond))
	checkWire(t, wire.file, packets)
	checkHeardByJanus(t, heard, packets)
	checkOpus(t, loopback.file, legPort, packets)

	path := closed.GetResult()["path"]
	if path == "" {
		path = recording.GetResult()["path"]
	}
	file := path
	if !filepath.IsAbs(file) {
		file = filepath.Join(near.recordings, path)
	}
	checkEchoRecorded(t, file, sound, length)
}

// checkHeardByJanus judges what Janus decrypted, in the format of Janus's own recordings.
func checkHeardByJanus(t *testing.T, heard string, packets int) {
	t.Helper()
	until(t, 5*time.Second, "Janus's recording", func() bool {
		found, err := os.Stat(heard + "-audio.mjr")
		return err == nil && found.Size() > 0
	})
	converted := filepath.Join(t.TempDir(), "heard.pcap")
	command(t, "mjr2pcap", heard+"-audio.mjr", converted)
	ports := dissect(t, converted, []string{"udp.dstport"})
	if len(ports) == 0 {
		t.Fatal("Janus heard nothing")
	}
	port, err := strconv.Atoi(ports[0]["udp.dstport"])
	if err != nil {
		t.Fatal(err)
	}
	checkOpus(t, converted, port, packets)
}

func checkWire(t *testing.T, file string, packets int) {
	t.Helper()
	w := judgeWire(t, file)
	for _, f := range w.faults {
		t.Errorf("on the wire: %s", f)
	}
	t.Logf("on the wire: %v; RTP sent %d, received %d", w.kinds, w.sent, w.received)
	if w.sent < packets*95/100 || w.received < packets*95/100 {
		t.Errorf("%d RTP packets sent and %d received, want about %d", w.sent, w.received, packets)
	}
	for _, kind := range []string{"stun", "dtls", "rtcp"} {
		if w.kinds[kind] == 0 {
			t.Errorf("no %s was seen", kind)
		}
	}
}

func checkOpus(t *testing.T, file string, port, packets int) {
	t.Helper()
	n, faults := judgeOpus(t, file, port, sdp.OfferOpusPT)
	for _, f := range faults {
		t.Errorf("%s: %s", filepath.Base(file), f)
	}
	if n < packets*95/100 {
		t.Errorf("%s: %d Opus packets, want about %d", filepath.Base(file), n, packets)
	}
}

// checkEchoRecorded finds the speech on both channels of the recording: the business said it, and the phone, an echo, said it again.
func checkEchoRecorded(t *testing.T, file, sound string, length time.Duration) {
	t.Helper()
	// The call's own clock is not known here to 20 ms, so the judges are asked for agreement with one another.
	samples := decode(t, file, 2)
	recorded := time.Duration(len(samples[0])) * time.Second / pcmRate
	if off := recorded - length; off.Abs() > 250*time.Millisecond {
		t.Errorf("the recording has %v, the call had %v", recorded, length)
	}
	checkRecording(t, file, 2, recorded)
	said := decode(t, sound, 1)[0]
	business, at := likeness(said, samples[1], 2*time.Second)
	caller, later := likeness(said, samples[0], 2*time.Second)
	t.Logf("recorded %v; likeness to what was said: business %.3f at %v, caller %.3f at %v", recorded, business, at, caller, later)
	if business < 0.9 || caller < 0.9 {
		t.Errorf("likeness to what was said: business %.3f, caller %.3f", business, caller)
	}
	if later < at || later-at > 500*time.Millisecond {
		t.Errorf("the echo is %v behind", later-at)
	}
}
