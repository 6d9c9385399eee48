package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"text/tabwriter"
	"time"
)

// report is what the demo found.
type report struct {
	place    *place
	calls    []*call
	failures []string // that are of no single call
}

func (r *report) fail(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

// summary is the last line.
type summary struct {
	Violations        int         `json:"violations"`
	Recordings        []recording `json:"recordings"`
	OfferToICE        *float64    `json:"offer_to_ice_ms"`
	ICEToDTLS         *float64    `json:"ice_to_dtls_ms"`
	GateToFirstPacket *float64    `json:"gate_to_first_packet_ms"`
	DigitsHeard       string      `json:"digits_heard"`
	DigitsSent        string      `json:"digits_sent"`
	Failures          []string    `json:"failures,omitempty"`
}

type recording struct {
	Path       string  `json:"path"`
	Channels   int     `json:"channels"`
	DurationMS float64 `json:"duration_ms"`
}

func (r *report) summary() summary {
	s := summary{Recordings: []recording{}, Failures: r.failures}
	for _, c := range r.calls {
		s.Violations += c.violations()
		if j := &c.judged; j.path != "" {
			rec := recording{Path: j.path, Channels: j.channels}
			for _, l := range j.lengths {
				if l.by == "opusdec" {
					rec.DurationMS = rounded(l.is)
				}
			}
			s.Recordings = append(s.Recordings, rec)
		}
		for _, t := range c.timings() {
			s.OfferToICE, s.ICEToDTLS = worst(s.OfferToICE, t.ice), worst(s.ICEToDTLS, t.dtls)
			s.GateToFirstPacket = worst(s.GateToFirstPacket, t.first)
		}
		s.DigitsHeard += c.digits
		if c.verdict != nil {
			s.DigitsSent += c.verdict.Heard
		}
	}
	return s
}

func worst(a, b *float64) *float64 {
	if a == nil || b != nil && *b > *a {
		return b
	}
	return a
}

func rounded(d time.Duration) float64 {
	return math.Round(float64(d)/float64(100*time.Microsecond)) / 10
}

// printSummary prints the last line.
func (r *report) printSummary(out io.Writer) {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	_ = e.Encode(r.summary())
}

func (r *report) print(out io.Writer) {
	if len(r.calls) > 0 {
		r.printRules(out)
		r.printTimings(out)
		r.printDigits(out)
		r.printLengths(out)
		r.printProbes(out)
	}
	if r.place != nil {
		fmt.Fprintf(out, "\nKept in %s\n", r.place.folder)
		for _, c := range r.calls {
			if c.judged.path != "" {
				fmt.Fprintf(out, "  %s: %s\n", c.name, c.judged.path)
			}
		}
		fmt.Fprintf(out, "  what the phones heard: %s; logs: %s; the edge's settings: relayd.yaml\n", r.place.heard, r.place.logs)
	}
	r.printFailures(out)
}

func (r *report) printFailures(out io.Writer) {
	if len(r.failures) == 0 {
		fmt.Fprintf(out, "\nEverything is as it should be.\n\n")
		return
	}
	fmt.Fprintf(out, "\nNot as it should be:\n")
	for _, f := range r.failures {
		fmt.Fprintf(out, "  %s\n", f)
	}
	fmt.Fprintln(out)
}

// table prints rows in columns.
func table(out io.Writer, title string, rows func(row func(cells ...string))) {
	fmt.Fprintf(out, "\n%s\n", title)
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	rows(func(cells ...string) {
		for i, cell := range cells {
			if i > 0 {
				fmt.Fprint(w, "\t")
			} else {
				fmt.Fprint(w, "  ")
			}
			fmt.Fprint(w, cell)
		}
		fmt.Fprintln(w)
	})
	_ = w.Flush()
}

// names are the heads of columns that are a call each.
func (r *report) names(first string) []string {
	row := []string{first}
	for _, c := range r.calls {
		row = append(row, c.name)
	}
	return row
}

func (r *report) printRules(out io.Writer) {
	table(out, "Meta's rules, as the phones found them", func(row func(...string)) {
		row(r.names("")...)
		for i, name := range r.rules() {
			cells := []string{name.Doc}
			for _, c := range r.calls {
				cells = append(cells, c.ruled(i))
			}
			row(cells...)
		}
		cells := []string{"the edge's own egress check: packets stopped"}
		for _, c := range r.calls {
			if c.final == nil {
				cells = append(cells, "?")
				continue
			}
			cells = append(cells, fmt.Sprintf("%d of %d", c.final.GetStats().GetViolations(), c.final.GetStats().GetPacketsSent()))
		}
		row(cells...)
	})
}

// rules are those of the first call that has any: they are the same in all.
func (r *report) rules() []rule {
	for _, c := range r.calls {
		if c.verdict != nil {
			return c.verdict.Rules
		}
	}
	return nil
}

func (r *report) printTimings(out io.Writer) {
	table(out, "Timings, in ms", func(row func(...string)) {
		row("", "offer to ICE", "ICE to DTLS", "gate to first packet")
		for _, c := range r.calls {
			for _, t := range c.timings() {
				row(c.name+", "+t.by, milliseconds(t.ice), milliseconds(t.dtls), milliseconds(t.first))
			}
		}
	})
}

func milliseconds(ms *float64) string {
	if ms == nil {
		return "not measured"
	}
	return fmt.Sprintf("%.1f", *ms)
}

func (r *report) printDigits(out io.Writer) {
	table(out, "Digits and packets", func(row func(...string)) {
		row("", "pressed", "heard by the edge", "sent", "heard by the phone", "RTP sent", "heard", "RTP from the phone", "received")
		for _, c := range r.calls {
			if c.verdict == nil || c.final == nil {
				continue
			}
			stats := c.final.GetStats()
			row(c.name, c.pressed, c.digits, c.sent, c.verdict.Heard,
				fmt.Sprint(stats.GetPacketsSent()), fmt.Sprint(c.verdict.Packets.Heard),
				fmt.Sprint(c.verdict.Packets.Sent), fmt.Sprint(stats.GetPacketsReceived()))
		}
	})
}

func (r *report) printLengths(out io.Writer) {
	table(out, "Length of the recordings, in seconds", func(row func(...string)) {
		for _, c := range r.calls {
			if c.judged.path == "" {
				row(c.name, "no recording")
				continue
			}
			cells := []string{c.name, filepath.Base(c.judged.path), fmt.Sprintf("%d channels", c.judged.channels)}
			for _, l := range c.judged.lengths {
				cells = append(cells, fmt.Sprintf("%s %.3f", l.by, l.is.Seconds()))
			}
			row(cells...)
		}
	})
}

func (r *report) printProbes(out io.Writer) {
	title := fmt.Sprintf("What is on the channels: likeness to what was played (at least %.2f) and to the other voice (at most %.2f)", alike, unlike)
	table(out, title, func(row func(...string)) {
		row("", "", "", "played", "likeness", "later by", "other", "likeness")
		for _, c := range r.calls {
			for _, p := range c.judged.probes {
				row(c.name, p.channel, p.window, p.clip, fmt.Sprintf("%.3f", p.likeness), fmt.Sprintf("%d ms", p.later.Milliseconds()),
					p.rival, fmt.Sprintf("%.3f", p.rivalLikeness))
			}
		}
	})
	fmt.Fprintln(out, "  (A clip stands still while digits are sent: from then on it is later by their length.)")
}
