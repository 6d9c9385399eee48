package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/onelane/onelane/relay/control/controlpb"
)

// settings of the edge: as shipped, but for where it is and whom it may talk to. The ports are few and on one shard, because the calls are
// two.
const settings = `# relayd's settings in the demo.
media:
  addresses: ["127.0.0.1"]
  port_min: %d
  port_max: %d
  allow_networks: ["127.0.0.0/8"]
  shards: 1
calls:
  max: 4
grpc:
  listen: "127.0.0.1:0"
recording:
  folder: %q
player:
  folder: %q
rtp:
  allow_networks: ["127.0.0.0/8"]
log:
  format: json
`

// stage is everything that runs: Meta, the edge, and the signalling service between them, which is this program.
type stage struct {
	place    *place
	progress *progress
	metasim  *program
	relayd   *program
	hooks    *http.Server // takes Meta's webhooks
	serving  chan error
	inbox    *inbox
	meta     *meta
	conn     *grpc.ClientConn
	api      pb.RelayServiceClient
	watch    *watch
}

// openStage starts everything. The stage is to be closed even if that fails.
func openStage(ctx context.Context, l *place, p *progress) (*stage, error) {
	s := &stage{place: l, progress: p}
	if err := s.openInbox(); err != nil {
		return s, err
	}
	if err := s.startMetasim(ctx); err != nil {
		return s, err
	}
	return s, s.startRelayd(ctx)
}

// openInbox serves Meta's webhooks.
func (s *stage) openInbox() error {
	s.inbox = newInbox(rand.Text())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for webhooks: %w", err)
	}
	s.hooks = &http.Server{Addr: l.Addr().String(), Handler: s.inbox, ReadHeaderTimeout: 10 * time.Second}
	s.serving = make(chan error, 1)
	go func() { s.serving <- s.hooks.Serve(l) }()
	return nil
}

func (s *stage) startMetasim(ctx context.Context) error {
	var place struct {
		HTTP  string   `json:"http"`
		Media []string `json:"media"`
	}
	announced := func(line string) bool { return json.Unmarshal([]byte(line), &place) == nil && place.HTTP != "" }
	var err error
	s.metasim, err = start("metasim", s.place.program("metasim"), filepath.Join(s.place.logs, "metasim.log"), announced,
		[]string{"METASIM_APP_SECRET=" + s.inbox.secret}, // not an argument: ps shows those
		"serve", "--json", "--listen", "127.0.0.1:0", "--media", "127.0.0.1:0", "--recordings", s.place.heard,
		"--webhook-url", "http://"+s.hooks.Addr+"/webhook", "--webhooks-twice")
	if err != nil {
		return err
	}
	if err := s.metasim.ready(ctx); err != nil {
		return err
	}
	s.meta = &meta{url: place.HTTP, number: businessNumber}
	s.progress.say("metasim, the stand-in for Meta, is at %s, its media at %v; it sends every webhook twice", place.HTTP, place.Media)
	return nil
}

func (s *stage) startRelayd(ctx context.Context) error {
	low, err := choosePorts()
	if err != nil {
		return err
	}
	file := filepath.Join(s.place.folder, "relayd.yaml")
	text := fmt.Sprintf(settings, low, low+mediaPorts-1, s.place.recordings, s.place.speech)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	var ready struct {
		Message string `json:"msg"`
		API     string `json:"api"`
	}
	announced := func(line string) bool { return json.Unmarshal([]byte(line), &ready) == nil && ready.Message == "ready" }
	s.relayd, err = start("relayd", s.place.program("relayd"), filepath.Join(s.place.logs, "relayd.log"), announced, nil, "--config", file)
	if err != nil {
		return err
	}
	if err := s.relayd.ready(ctx); err != nil {
		return err
	}
	if s.conn, err = grpc.NewClient(ready.API, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		return err
	}
	s.api = pb.NewRelayServiceClient(s.conn)
	if s.watch, err = newWatch(s.api); err != nil {
		return err
	}
	select {
	case <-s.watch.ready:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s.progress.say("relayd, the edge, is at %s, its media at 127.0.0.1:%d-%d", ready.API, low, low+mediaPorts-1)
	return nil
}

// perform makes the calls, both at the same time, and gives what became of them.
func (s *stage) perform(ctx context.Context) []*call {
	calls := scripts()
	var both sync.WaitGroup
	for _, c := range calls {
		both.Go(func() {
			c.say = func(format string, args ...any) { s.progress.say("%s: %s", c.name, fmt.Sprintf(format, args...)) }
			if err := c.perform(ctx, s); err != nil {
				c.aborted = true
				c.fail("%v", err)
			}
			c.collect(s)
		})
	}
	both.Wait()
	return calls
}

// failures are those of the stage as a whole.
func (s *stage) failures() []string {
	var found []string
	taken, repeated, forged := s.inbox.counts()
	if forged > 0 {
		found = append(found, fmt.Sprintf("%d webhooks had a wrong X-Hub-Signature-256", forged))
	}
	s.progress.say("%d webhooks verified, and %d repetitions of them ignored", taken, repeated)
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	if s.watch.gaps > 0 {
		found = append(found, fmt.Sprintf("WatchEvents had %d gaps", s.watch.gaps))
	}
	return found
}

// close ends everything that was started, in the reverse order.
func (s *stage) close() error {
	var failed []error
	if s.watch != nil {
		s.watch.close()
	}
	if s.conn != nil {
		failed = append(failed, s.conn.Close())
	}
	for _, p := range []*program{s.relayd, s.metasim} {
		if p != nil {
			failed = append(failed, p.stop())
		}
	}
	if s.hooks != nil {
		_ = s.hooks.Close()
		if err := <-s.serving; !errors.Is(err, http.ErrServerClosed) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}
