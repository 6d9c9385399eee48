package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// agreement is how far the lengths that the judges find, and the edge's own, may be apart.
const agreement = 20 * time.Millisecond

// judged is what the judges made of a call's recording.
type judged struct {
	path     string
	channels int
	lengths  []length
	probes   []probe
}

// length is how long a recording is, as somebody finds it.
type length struct {
	by string
	is time.Duration
}

// probe is one comparison: what was to be heard in a window of a channel, and what was not.
type probe struct {
	channel, window string
	clip            string
	likeness        float64
	later           time.Duration // than played
	rival           string
	rivalLikeness   float64
}

func (p *probe) good() bool { return p.likeness >= alike && p.rivalLikeness <= unlike }

// judge has the judges look at a call's recording, and at what its phone heard.
func (c *call) judge(ctx context.Context, l *place) error {
	path := c.recording()
	if path == "" {
		if !c.aborted {
			c.fail("there is no recording")
		}
		return nil
	}
	c.judged.path = path
	played, err := measure(ctx, path, l.scratch, &c.judged)
	if err != nil {
		return err
	}
	if c.aborted {
		return nil
	}
	c.judged.lengths = append(c.judged.lengths, length{"the edge's clock", c.marks.ended.Sub(c.marks.began())})
	if why := disagree(c.judged.lengths); why != "" {
		c.fail("%s: %s", filepath.Base(path), why)
	}
	if c.judged.channels != 2 {
		c.fail("%s has %d channels, want 2", filepath.Base(path), c.judged.channels)
		return nil
	}
	return c.compare(ctx, l, played)
}

// recording is where the edge says that it is.
func (c *call) recording() string {
	for _, a := range c.final.GetAttachments() {
		if a.GetKind() == "recording" {
			return a.GetResult()["path"]
		}
	}
	return ""
}

var playback = regexp.MustCompile(`Playback length: (\d+)m:([\d.]+)s`)

// measure has opusinfo, opusdec and ffprobe read a recording.
func measure(ctx context.Context, path, scratch string, j *judged) (*wave, error) {
	told, err := run(ctx, "opusinfo", path)
	if err != nil {
		return nil, err
	}
	m := playback.FindStringSubmatch(told)
	if m == nil || strings.Contains(told, "WARNING") || strings.Contains(told, "ERROR") {
		return nil, fmt.Errorf("opusinfo complains: %s", trim(told))
	}
	minutes, _ := strconv.Atoi(m[1])
	seconds, _ := strconv.ParseFloat(m[2], 64)
	j.lengths = append(j.lengths, length{"opusinfo", time.Duration(minutes)*time.Minute + span(seconds)})

	decoded, err := decode(ctx, path, scratch)
	if err != nil {
		return nil, err
	}
	j.channels = len(decoded.channels)
	j.lengths = append(j.lengths, length{"opusdec", decoded.length})

	probed, err := run(ctx, "ffprobe", "-v", "error", "-show_entries", "format=duration:stream=channels", "-of", "json", path)
	if err != nil {
		return nil, err
	}
	var streams struct {
		Streams []struct{ Channels int }
		Format  struct{ Duration string }
	}
	if err := json.Unmarshal([]byte(probed), &streams); err != nil || len(streams.Streams) != 1 || streams.Streams[0].Channels != j.channels {
		return nil, fmt.Errorf("ffprobe does not find one stream of %d channels: %s", j.channels, trim(probed))
	}
	seconds, _ = strconv.ParseFloat(streams.Format.Duration, 64)
	j.lengths = append(j.lengths, length{"ffprobe", span(seconds)})
	return decoded, nil
}

func span(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// disagree tells which lengths are too far apart, if any.
func disagree(all []length) string {
	shortest, longest := all[0], all[0]
	for _, l := range all {
		if l.is < shortest.is {
			shortest = l
		}
		if l.is > longest.is {
			longest = l
		}
	}
	if longest.is-shortest.is <= agreement {
		return ""
	}
	return fmt.Sprintf("%s finds %v, %s %v: %v apart, at most %v", shortest.by, shortest.is.Round(time.Millisecond),
		longest.by, longest.is.Round(time.Millisecond), (longest.is - shortest.is).Round(time.Millisecond), agreement)
}

// compare looks for what was said in what was recorded, and in what the phone heard.
func (c *call) compare(ctx context.Context, l *place, recorded *wave) error {
	clips := make(map[string][]float64)
	for _, name := range []string{"caller", welcome, notice} {
		w, err := decode(ctx, filepath.Join(l.speech, name+".opus"), l.scratch)
		if err != nil {
			return err
		}
		clips[name] = w.channels[0]
	}
	var phone *wave
	if c.verdict != nil && c.verdict.Recording != "" {
		var err error
		if phone, err = decode(ctx, c.verdict.Recording, l.scratch); err != nil {
			return err
		}
	}
	find := func(pcm []float64, w *window, h heard, start time.Duration) (float64, time.Duration) {
		mean, later := follow(cut(pcm, w.from-start, w.to-start), clips[h.clip], at(w.from-h.begin))
		return mean, lasting(later)
	}
	add := func(channel string, pcm []float64, start time.Duration, w *window, played, rival heard) {
		p := probe{channel: channel, window: w.name, clip: played.clip, rival: rival.clip}
		p.likeness, p.later = find(pcm, w, played, start)
		p.rivalLikeness, _ = find(pcm, w, rival, start)
		if !p.good() {
			c.fail("%s, %s: %s has likeness %.2f (at least %.2f), %s %.2f (at most %.2f)",
				channel, w.name, p.clip, p.likeness, alike, p.rival, p.rivalLikeness, unlike)
		}
		c.judged.probes = append(c.judged.probes, p)
	}
	for _, w := range c.windows() {
		if w.to-w.from < shortest {
			c.fail("the call went too slowly to judge it %s: %v of it are left; is the machine overloaded?", w.name, w.to-w.from)
			continue
		}
		add("left: caller", recorded.channels[0], 0, &w, w.caller, w.absent)
		add("right: business", recorded.channels[1], 0, &w, w.business, w.rival)
		if phone != nil {
			add("heard by the phone", phone.channels[0], c.marks.firstSent.Sub(c.marks.began()), &w, w.business, w.rival)
		}
	}
	c.aligned()
	return nil
}

// aligned checks that the caller's voice, which nothing interrupts, keeps its place from the call's beginning to its end.
func (c *call) aligned() {
	first, latest := time.Duration(1<<62), time.Duration(-1<<62)
	for _, p := range c.judged.probes {
		if p.channel == "left: caller" {
			first, latest = min(first, p.later), max(latest, p.later)
		}
	}
	if latest-first > slip {
		c.fail("the caller's channel slips by %v within the call, at most %v", latest-first, slip)
	}
}
