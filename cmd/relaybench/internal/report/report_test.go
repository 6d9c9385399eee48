//go:build linux

package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onelane/onelane/cmd/relaybench/internal/farend"
)

// example is a report with one of everything.
func example() *Report {
	t := &farend.Tally{Phones: 500, Duration: 30 * time.Second, Sent: 750000, Received: 749990, Lost: 10}
	for i := range 5000 {
		t.Latency.Add(time.Duration(20+i%100) * time.Microsecond)
		t.Pacing.Add(time.Duration(i%50) * time.Microsecond)
		t.Own.Late.Add(time.Duration(i%80) * time.Microsecond)
	}
	for i := range 30 {
		t.Seconds = append(t.Seconds, farend.Second{Sent: 25000, Received: 24999, Lost: uint32(i % 2), Latency: time.Duration(i) * time.Millisecond})
	}
	row := Row{Label: "<run & more>", Problems: []string{"10 packets lost"}, Doubts: []string{"the generator was busy"}}
	row.OfTally(t)
	row.Target = Target{PID: 42, CPU: CPU{CPUPercent: 31.4, CPUPerRelayed: 12.3}, Resident: 100e6, ResidentPerCall: 150 << 10,
		Drops: Drops{"late": 3, "ahead": 2}, Runtime: Runtime{Known: true, Cycles: 3, PauseMax: 120, HeapLive: 50 << 20}}
	for i := range 30 {
		row.Plots.CPU = append(row.Plots.CPU, CPUPoint{At: float64(i), Target: 30 + float64(i%3), Generator: 20, Resident: 100e6})
	}
	row.SetUp.Calls = 500
	row.Limits = Limits{PortMin: 10000, PortMax: 29999, LimitedBy: "config", Shards: 1}
	return &Report{Mode: "ramp", Rows: []Row{row, {Label: "empty"}}, Notes: []string{"a note"}, Ratios: []Ratio{{"CPU", 1, 2, 2}}}
}

func TestTableHasEveryRowAndWhatIsWrong(t *testing.T) {
	var out bytes.Buffer
	example().Text(&out)
	for _, want := range []string{"<run & more>", "empty", "FAILED      10 packets lost", "doubtful    the generator was busy", "ports 10000-29999",
		"dropped: ahead 2, late 3", "note: a note", "B/A", "ports, calls and shards not told", "longest pause at most 120 us", "sockets     not told"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the text has no %q:\n%s", want, out.String())
		}
	}
}

func TestFiguresThatAreNotToldAreNotZeros(t *testing.T) {
	silent := Row{Label: "silent"}
	telling := Row{Label: "telling", Target: Target{
		PID: 1, CPU: CPU{CPUPerRelayed: 5, UserPerRelayed: 2, SystemPerRelayed: 3}, Descriptors: 61,
		Runtime: Runtime{Known: true, Goroutines: 27, HeapPerCall: 15 << 10}, Sockets: Sockets{Known: true, CallsKnown: true, CallsPerPacket: 2.5},
	}}
	r := Report{Rows: []Row{silent, telling}}
	cells := r.Relay()
	for i, name := range cells[0][1:] {
		if got := cells[1][i+1]; got != notTold {
			t.Errorf("%s of a relay that tells nothing: %q", name, got)
		}
		if got := cells[2][i+1]; got == notTold {
			t.Errorf("%s of a relay that tells everything: %q", name, got)
		}
	}
	for name, want := range map[string]string{"user": "2.00", "system": "3.00", "system calls a packet": "2.50", "goroutines": "27", "descriptors": "61", "heap KB a call": "15.0"} {
		if i := slices.Index(cells[0], name); i < 0 || cells[2][i] != want {
			t.Errorf("%s: %v", name, cells[2])
		}
	}
	for _, row := range append(r.Traffic(), cells...) {
		if len(row) != len(cells[0]) && len(row) != len(r.Traffic()[0]) {
			t.Errorf("a row of %d cells: %v", len(row), row)
		}
	}
	var text, page bytes.Buffer
	r.Text(&text)
	if err := r.HTML(&page); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "runtime     not told") || strings.Count(page.String(), "<td>not told</td>") != len(cells[0])-1 {
		t.Errorf("text: %s\npage: %s", &text, &page)
	}
}

func TestPageNeedsNothingFromElsewhere(t *testing.T) {
	var out bytes.Buffer
	if err := example().HTML(&out); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	if found := regexp.MustCompile(`(?i)https?:|src=|<script|<link|@import|url\(`).FindString(page); found != "" {
		t.Errorf("the page has %q", found)
	}
	if strings.Contains(page, "<run") {
		t.Error("a label is not escaped")
	}
	if !strings.Contains(page, "1 of 2 rows are doubtful") || strings.Index(page, "the generator was busy") < strings.Index(page, "<table>") {
		t.Error("doubts are not told, or in front of what was measured")
	}
	drawings := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1)
	if len(drawings) != 8 {
		t.Errorf("%d drawings", len(drawings))
	}
	for _, d := range drawings {
		if strings.Contains(d, "NaN") || strings.Contains(d, "Inf") {
			t.Errorf("a drawing has no number: %.300s", d)
		}
		for decoder := xml.NewDecoder(strings.NewReader(d)); ; {
			if _, err := decoder.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("a drawing is not XML: %v", err)
			}
		}
	}
}

func TestReportSurvivesJSON(t *testing.T) {
	b, err := json.Marshal(example())
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Rows []struct {
			Traffic struct {
				Lost uint64 `json:"lost"`
			} `json:"traffic"`
			Latency map[string]float64 `json:"added_latency_us"`
			Limits  struct {
				PortMin int `json:"port_min"`
			} `json:"limits"`
		} `json:"rows"`
	}
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if r := back.Rows[0]; r.Traffic.Lost != 10 || r.Latency["p99"] < 100 || r.Limits.PortMin != 10000 {
		t.Errorf("got %+v", r)
	}
}

func TestTicksAreFewAndWithin(t *testing.T) {
	for _, c := range []struct {
		low, high   float64
		logarithmic bool
	}{{0, 1, false}, {0, 37, false}, {20, 1e6, false}, {0, 0.003, false}, {12, 98000, true}, {1, 2, true}} {
		all := ticks(c.low, c.high, c.logarithmic)
		if len(all) > 9 || len(all) < 2 {
			t.Errorf("%v to %v: %v", c.low, c.high, all)
		}
		for _, v := range all {
			if v < c.low-1e-9 || v > c.high*1.001 {
				t.Errorf("%v to %v: %v", c.low, c.high, all)
			}
		}
	}
}

func TestThinningKeepsPeaks(t *testing.T) {
	points := make([]point, 50000)
	for i := range points {
		points[i].x = float64(i)
	}
	points[34567].y = 9
	thinned := thin(points)
	highest := 0.0
	for _, p := range thinned {
		highest = max(highest, p.y)
	}
	if len(thinned) > maxPoints || highest != 9 {
		t.Errorf("%d points, highest %v", len(thinned), highest)
	}
}
