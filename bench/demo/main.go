// Command demo shows a whole edge at work, on loopback: it builds relayd and metasim, the strict stand-in for Meta, is the signalling
// service between them, and makes one user-initiated and one business-initiated call at the same time. Real speech goes both ways, two
// digits each way, the source is switched in the middle, and both sides are recorded. Then the far end, the edge and three programs
// that others wrote (opusinfo, opusdec, ffprobe) say what they found.
//
// Everything that it starts it ends. What it measured and recorded stays in a folder.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// Exit codes, as --help says.
const (
	exitFailed = 1
	exitUsage  = 2
)

// patience is how long the calls may take: four times what they need.
const patience = 90 * time.Second

const help = `demo makes two whole calls over a relayd of its own, against a strict stand-in for Meta, and judges them.

  go run ./bench/demo [--json] [--keep FOLDER]

  --json          print only the JSON object; progress goes to standard error
  --keep FOLDER   keep recordings, logs and settings there (default: a new folder in build/demo)

The last line is a JSON object:
  violations              broken rules of Meta in both calls, and packets that the edge's own egress check stopped
  recordings              path, channels and duration_ms (by opusdec) of each call's recording
  offer_to_ice_ms         from the offer (CreateCall), or Meta's answer (ApplyAnswer), to the nominated pair
  ice_to_dtls_ms          from the nominated pair to SRTP keys
  gate_to_first_packet_ms from OpenMedia to the first packet sent or, at the far end, from accept to the first packet heard
                          each the worst of both calls, as the edge and as the far end saw it; null: not measured
  digits_heard            what the edge heard the phones press, user-initiated call first
  digits_sent             what the edge sent, as the phones heard it, in the same order
  failures                what is wrong; absent when nothing is

Exit codes: 0 everything is as it should be, 1 something failed or was found wanting, 2 wrong usage.
`

type options struct {
	json bool
	keep string
}

func main() { os.Exit(demo()) }

func demo() int {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&o.json, "json", false, "")
	flags.StringVar(&o.keep, "keep", "", "")
	err := flags.Parse(os.Args[1:])
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected %q", flags.Arg(0))
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Print(help)
		return 0
	case err != nil:
		fmt.Fprintf(os.Stderr, "demo: %v; demo --help tells the usage\n", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	out := io.Writer(os.Stdout)
	if o.json {
		out = os.Stderr
	}
	p := &progress{out: out, began: time.Now()}
	r, err := perform(ctx, o, p)
	if err != nil {
		r.fail("%v", err)
	}
	if ctx.Err() != nil {
		r.failures = []string{"interrupted"} // the rest follows from that
	}
	if !o.json {
		r.print(out)
	} else {
		r.printFailures(out)
	}
	r.printSummary(os.Stdout)
	if len(r.failures) > 0 {
		return exitFailed
	}
	return 0
}

// progress tells what is going on.
type progress struct {
	out   io.Writer
	began time.Time
}

func (p *progress) say(format string, args ...any) {
	fmt.Fprintf(p.out, "%6.1f s  %s\n", time.Since(p.began).Seconds(), fmt.Sprintf(format, args...))
}

// perform does everything but printing the report. The report is never nil.
func perform(ctx context.Context, o options, p *progress) (*report, error) {
	r := &report{}
	for _, name := range []string{"opusinfo", "opusdec", "ffprobe"} {
		if err := installed(name); err != nil {
			return r, err
		}
	}
	place, err := newPlace(ctx, o.keep)
	if err != nil {
		return r, err
	}
	defer place.remove()
	r.place = place
	p.say("building relayd and metasim (the first time takes a minute or two)")
	if err := place.build(ctx); err != nil {
		return r, err
	}
	if err := r.make(ctx, p); err != nil || ctx.Err() != nil {
		return r, err
	}
	p.say("judging the recordings with opusinfo, opusdec and ffprobe")
	for _, c := range r.calls {
		c.check()
		if err := c.judge(ctx, place); err != nil {
			c.fail("%v", err)
		}
		r.failures = append(r.failures, c.failures...)
	}
	p.say("done")
	return r, nil
}

// make makes the calls. Whatever it starts has ended when it returns.
func (r *report) make(ctx context.Context, p *progress) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not through after %v; the logs are in %s", patience, r.place.logs))
	defer cancel()
	s, err := openStage(ctx, r.place, p)
	if err != nil {
		return errors.Join(err, s.close())
	}
	r.calls = s.perform(ctx)
	r.failures = append(r.failures, s.failures()...)
	p.say("stopping relayd and metasim")
	if err := s.close(); err != nil {
		r.fail("%v", err)
	}
	return nil
}

// place has the folders of one run.
type place struct {
	root       string // of the module
	folder     string // stays
	recordings string
	heard      string // by the phones
	logs       string
	speech     string
	scratch    string // goes: programs and decoded audio
}

func newPlace(ctx context.Context, keep string) (*place, error) {
	mod, err := run(ctx, "go", "env", "GOMOD")
	if err != nil {
		return nil, err
	}
	l := &place{root: filepath.Dir(trim(mod))}
	l.speech = filepath.Join(l.root, "bench", "demo", "testdata")
	if _, err := os.Stat(l.speech); err != nil {
		return nil, errors.New("this is not the project's folder: run make demo, or go run ./bench/demo, there")
	}
	if keep == "" {
		keep = filepath.Join(l.root, "build", "demo", time.Now().Format("20060102-150405.000"))
	}
	if l.folder, err = filepath.Abs(keep); err != nil {
		return nil, err
	}
	l.recordings, l.heard, l.logs = filepath.Join(l.folder, "recordings"), filepath.Join(l.folder, "heard"), filepath.Join(l.folder, "logs")
	for _, f := range []string{l.recordings, l.heard, l.logs} {
		if err := os.MkdirAll(f, 0o755); err != nil {
			return nil, fmt.Errorf("%w: choose a folder that you may write to with --keep", err)
		}
	}
	l.scratch, err = os.MkdirTemp("", "onelane-demo-")
	return l, err
}

func (l *place) build(ctx context.Context) error {
	_, err := runIn(ctx, l.root, "go", "build", "-o", l.scratch, "./cmd/relayd", "./cmd/metasim")
	return err
}

func (l *place) program(name string) string { return filepath.Join(l.scratch, name) }

func (l *place) remove() { _ = os.RemoveAll(l.scratch) }
