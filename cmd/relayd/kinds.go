package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/onelane/onelane/relay"
	"github.com/onelane/onelane/relay/config"
	"github.com/onelane/onelane/relay/shard"
	"github.com/onelane/onelane/relay/sink"
	"github.com/onelane/onelane/relay/sink/discard"
	"github.com/onelane/onelane/relay/sink/recording"
	"github.com/onelane/onelane/relay/sink/rtp"
	"github.com/onelane/onelane/relay/source"
)

// kinds is the registration of everything that can be attached to a call: one line a kind. A new kind is a package with a Writer, and a
// line here.
func kinds(c config.Config) map[string]relay.Kind {
	registered := make(map[string]relay.Kind)
	for _, k := range []relay.Kind{
		recordings(c.Recording),
		legs(c.RTP),
		players(c.Player),
		echoes(),
		discards(),
	} {
		registered[k.Name] = k
	}
	return registered
}

// recordingBatch is how many frames wait before a recorder is woken: a sixth of a second of both directions. What waits is lost when the
// process is killed, and together with a page (recording.flush) that has to stay under a second.
const recordingBatch = 16

func recordings(c config.Recording) relay.Kind {
	to := &recordingFolder{path: c.Folder}
	return relay.Kind{
		Name:      "recording",
		Doc:       "An Ogg Opus file on this host: caller left, business right, as long as the call.",
		Direction: sink.Both,
		Params: []relay.ParamView{
			{Name: "mono", Doc: "Record one side only: caller or business."},
		},
		Open: func(_ context.Context, r relay.OpenRequest) (relay.Opened, error) {
			channels, err := recordedChannels(r)
			if err != nil {
				return relay.Opened{}, err
			}
			folder, err := to.open()
			if err != nil {
				return relay.Opened{}, err
			}
			w, err := recording.Open(recording.Options{
				Folder:   folder,
				Name:     fmt.Sprintf("%s-%s-%s", r.Started.UTC().Format("20060102T150405Z"), r.CallKey, r.AttachmentID),
				Channels: channels,
				Flush:    c.Flush,
				Started:  r.Started,
			})
			if err != nil {
				return relay.Opened{}, err
			}
			path := func() string {
				p := filepath.Join(c.Folder, w.Name())
				if abs, err := filepath.Abs(p); err == nil {
					return abs
				}
				return p
			}
			return relay.Opened{
				Writer: w,
				Batch:  recordingBatch,
				Result: map[string]string{"path": path()},
			}, nil
		},
	}
}

// recordingFolder is opened by the first recording and shared by all: a descriptor less a recording. One that was removed or mounted over
// since is opened anew.
type recordingFolder struct {
	path string

	mu     sync.Mutex
	opened *os.Root
}

func (f *recordingFolder) open() (*os.Root, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := os.MkdirAll(f.path, 0o750); err != nil {
		return nil, fmt.Errorf("recording.folder: %w: make it, or let the service write to its parent", err)
	}
	if f.opened != nil {
		was, errWas := f.opened.Stat(".")
		is, errIs := os.Stat(f.path)
		if errWas == nil && errIs == nil && os.SameFile(was, is) {
			return f.opened, nil
		}
	}
	folder, err := os.OpenRoot(f.path)
	if err != nil {
		return nil, fmt.Errorf("recording.folder: %w", err)
	}
	f.opened = folder // one that was there before is closed by the collector once the last recording in it has ended
	return folder, nil
}

func recordedChannels(r relay.OpenRequest) (recording.Channels, error) {
	switch mono := r.Params["mono"]; mono {
	case "":
		switch r.Direction {
		case sink.Caller:
			return recording.MonoCaller, nil
		case sink.Business:
			return recording.MonoBusiness, nil
		}
		return recording.Stereo, nil
	case "caller":
		return recording.MonoCaller, nil
	case "business":
		return recording.MonoBusiness, nil
	default:
		return 0, fmt.Errorf("mono=%q: it is caller or business, or left out for a stereo recording", mono)
	}
}

func legs(c config.RTP) relay.Kind {
	params := make([]relay.ParamView, 0, len(rtp.Params))
	for _, p := range rtp.Params {
		params = append(params, relay.ParamView{Name: p.Name, Doc: p.Doc, Default: p.Default, Required: p.Required})
	}
	return relay.Kind{
		Name:      "rtp",
		Doc:       "A plain-RTP leg to a SIP media server, both ways, on a port of its own.",
		Direction: sink.Both,
		CanSource: true,
		Params:    params,
		Open: func(_ context.Context, r relay.OpenRequest) (relay.Opened, error) {
			if r.Direction == sink.Business {
				return relay.Opened{}, fmt.Errorf("direction business: an RTP leg hears the caller; use both, or caller for a leg that only listens")
			}
			leg, err := rtp.Parse(r.Params, c.AllowNetworks)
			if err != nil {
				return relay.Opened{}, err
			}
			return relay.Opened{Leg: &shard.LegConfig{
				Peer: leg.Peer, OpusPT: leg.OpusPT, DTMFPT: leg.DTMFPT, DTMFClock: leg.DTMFClock, SendOnly: r.Direction == sink.Caller,
				Permit: func(a netip.Addr) bool { return rtp.Permit(a, c.AllowNetworks) == nil },
			}}, nil
		},
	}
}

func players(c config.Player) relay.Kind {
	folder := &clips{path: c.Folder, most: time.Duration(c.MaxSeconds) * time.Second}
	return relay.Kind{
		Name:      "player",
		Doc:       "Plays an Ogg Opus file of player.folder to the phone, from its beginning, each time it is selected.",
		Direction: sink.Business,
		CanSource: true,
		Params: []relay.ParamView{
			{Name: "file", Doc: "The file's name in the folder, such as welcome.opus.", Required: true},
			{Name: "repeat", Doc: "How often again after the first time; forever until stopped.", Default: "0"},
		},
		Open: func(_ context.Context, r relay.OpenRequest) (relay.Opened, error) {
			repeat := shard.Forever
			if s := r.Params["repeat"]; s != "forever" {
				n, err := strconv.ParseUint(s, 10, 16)
				if err != nil {
					return relay.Opened{}, fmt.Errorf("repeat=%q: it is a number up to 65535, or forever", s)
				}
				repeat = int(n)
			}
			clip, err := folder.open(r.Params["file"])
			if err != nil {
				return relay.Opened{}, err
			}
			return relay.Opened{
				Clip: clip, Repeat: repeat,
				Result: map[string]string{"duration": (time.Duration(clip.Frames()) * 20 * time.Millisecond).String()},
			}, nil
		},
	}
}

// clips opens the player's folder when it is first asked for: an edge that plays nothing needs none.
type clips struct {
	path string
	most time.Duration

	mu     sync.Mutex
	folder *source.Folder
}

func (c *clips) open(name string) (*source.Clip, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.folder == nil {
		folder, err := source.OpenFolder(c.path, c.most)
		if err != nil {
			return nil, fmt.Errorf("player.folder: %w", err)
		}
		c.folder = folder
	}
	return c.folder.Open(name)
}

func echoes() relay.Kind {
	return relay.Kind{
		Name:      "echo",
		Doc:       "Lets the phone hear itself: for tests of a line.",
		Direction: sink.Business,
		CanSource: true,
		Open: func(context.Context, relay.OpenRequest) (relay.Opened, error) {
			return relay.Opened{Echo: true}, nil
		},
	}
}

func discards() relay.Kind {
	return relay.Kind{
		Name:      "discard",
		Doc:       "Counts frames and throws them away: for tests of load.",
		Direction: sink.Both,
		Open: func(context.Context, relay.OpenRequest) (relay.Opened, error) {
			return relay.Opened{Writer: new(discard.Writer), Batch: recordingBatch}, nil
		},
	}
}
