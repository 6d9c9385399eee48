//go:build interop

package interop

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/onelane/onelane/bench/internal/hosts"
	"github.com/onelane/onelane/relay/control/controlpb"
)

// relayd is a running edge and the way to its API, which listens on the loopback of its own host.
type relayd struct {
	program    *program
	api        controlpb.RelayServiceClient
	ctl        string // relayctl's binary
	host       hosts.Host
	recordings string
	sounds     string
}

const apiAddress = "127.0.0.1:7070"

// settings of the edge: as shipped, but for where it is and whom it may talk to.
const settings = `media:
  addresses: [%q]
  port_min: 21000
  port_max: 21999
  allow_networks: [%q]
calls:
  max: 100
recording:
  folder: %q
player:
  folder: %q
rtp:
  allow_networks: ["127.0.0.0/8"]
  address: 127.0.0.1
log:
  level: debug
`

// startRelayd builds and runs the edge.
func startRelayd(t *testing.T, edge hosts.Host) *relayd {
	t.Helper()
	folder := t.TempDir()
	r := &relayd{
		ctl: filepath.Join(folder, "relayctl"), host: edge,
		recordings: filepath.Join(folder, "recordings"), sounds: filepath.Join(folder, "sounds"),
	}
	build := exec.Command("go", "build", "-o", folder, "github.com/onelane/onelane/cmd/relayd", "github.com/onelane/onelane/cmd/relayctl")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, f := range []string{r.recordings, r.sounds} {
		if err := os.Mkdir(f, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(folder, "relayd.yaml")
	text := fmt.Sprintf(settings, edgeAddress, peerAddress, r.recordings, r.sounds)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.program = start(t, edge, filepath.Join(folder, "relayd"), "--config", config)
	conn, err := grpc.NewClient("passthrough:///"+apiAddress, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return edge.Dial(ctx, "tcp", address) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	r.api = controlpb.NewRelayServiceClient(conn)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if _, err := r.api.GetNode(ctx, &controlpb.GetNodeRequest{}, grpc.WaitForReady(true)); err != nil {
		t.Fatalf("%v: %s", err, tail(r.program.output(), 2000))
	}
	return r
}

// run runs relayctl on the edge's host, as an operator would, and gives what it prints.
func (r *relayd) run(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := r.host.Command(ctx, r.ctl, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("relayctl %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// call is one call, driven by gRPC.
type call struct {
	t    *testing.T
	edge *relayd
	id   string
}

func (c *call) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	c.t.Cleanup(cancel)
	return ctx
}

// must gives an answer of the API, or ends the test.
func must[T any](t *testing.T, answer T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// offer makes a business-initiated call and gives our offer.
func (r *relayd) offer(t *testing.T, id string) (*call, string) {
	t.Helper()
	c := &call{t, r, id}
	created, err := r.api.CreateCall(c.context(), &controlpb.CreateCallRequest{
		CallId: id, Direction: controlpb.CallDirection_CALL_DIRECTION_BUSINESS_INITIATED,
	})
	return c, must(t, created, err).GetCall().GetLocalSdp()
}

func (c *call) apply(answer string) {
	c.t.Helper()
	applied, err := c.edge.api.ApplyAnswer(c.context(), &controlpb.ApplyAnswerRequest{CallId: c.id, SdpAnswer: answer})
	must(c.t, applied, err)
}

func (c *call) openMedia() {
	c.t.Helper()
	opened, err := c.edge.api.OpenMedia(c.context(), &controlpb.OpenMediaRequest{CallId: c.id})
	must(c.t, opened, err)
}

func (c *call) get() *controlpb.Call {
	c.t.Helper()
	got, err := c.edge.api.GetCall(c.context(), &controlpb.GetCallRequest{CallId: c.id})
	return must(c.t, got, err).GetCall()
}

func (c *call) attach(id, kind string, params map[string]string) *controlpb.Attachment {
	c.t.Helper()
	attached, err := c.edge.api.Attach(c.context(), &controlpb.AttachRequest{CallId: c.id, AttachmentId: id, Kind: kind, Params: params})
	return must(c.t, attached, err).GetAttachment()
}

func (c *call) detach(id string) *controlpb.Attachment {
	c.t.Helper()
	detached, err := c.edge.api.Detach(c.context(), &controlpb.DetachRequest{CallId: c.id, AttachmentId: id})
	return must(c.t, detached, err).GetAttachment()
}

func (c *call) speak(source string) {
	c.t.Helper()
	selected, err := c.edge.api.SelectSource(c.context(), &controlpb.SelectSourceRequest{CallId: c.id, Source: source})
	must(c.t, selected, err)
}

func (c *call) end() *controlpb.Call {
	c.t.Helper()
	ended, err := c.edge.api.EndCall(c.context(), &controlpb.EndCallRequest{CallId: c.id})
	return must(c.t, ended, err).GetCall()
}

// waitState waits until the call is in a state.
func (c *call) waitState(state controlpb.CallState) {
	c.t.Helper()
	until(c.t, 15*time.Second, state.String(), func() bool {
		got := c.get()
		if got.GetState() == controlpb.CallState_CALL_STATE_ENDED && state != got.GetState() {
			c.t.Fatalf("the call ended: %v: %s", got.GetEndReason(), got.GetEndMessage())
		}
		return got.GetState() == state
	})
}
