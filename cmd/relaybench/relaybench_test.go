//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/onelane/onelane/cmd/relaybench/internal/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// relayd builds one. Whether it compiles is for its own tests to say.
func relayd(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "relayd")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../relayd").CombinedOutput(); err != nil {
		t.Skipf("relayd does not compile: %s", out)
	}
	return path
}

// benchJSON runs the tool and reads its JSON. A relay that failed is a report as well.
func benchJSON(t *testing.T, args ...string) report.Report {
	t.Helper()
	var out, progress bytes.Buffer
	cmd := command()
	cmd.SetArgs(append(args, "--json"))
	cmd.SetOut(&out)
	cmd.SetErr(&progress)
	if err := cmd.ExecuteContext(t.Context()); err != nil && !errors.Is(err, errVerdict) {
		t.Fatalf("%v: %v\n%s", args, err, &progress)
	}
	var r report.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v: %v in %s", args, err, &out)
	}
	if len(r.Rows) == 0 {
		t.Fatalf("%v: no rows", args)
	}
	return r
}

// The host may be busy, so this test does not want the relay to be good, only the figures to fit together.
func TestCallsAreMeasured(t *testing.T) {
	path := relayd(t)
	page := filepath.Join(t.TempDir(), "page.html")
	for _, args := range [][]string{
		{"run", "--attach", "recording,discard", "--html", page},
		{"run", "--rtp", "--profile", "aescm"},
		{"run", "--silence"},
	} {
		r := benchJSON(t, append(args, "--start", path, "--calls", "5", "--time", "1s", "--settle", "200ms")...)
		row := r.Rows[0]
		// 5 calls, 50 packets a second; a busy host may be late for some.
		if row.Calls != 5 || row.Traffic.Sent < 150 || row.Traffic.Sent > 500 {
			t.Errorf("%v: %d calls sent %d packets", args, row.Calls, row.Traffic.Sent)
		}
		silent := slices.Contains(args, "--silence")
		if !silent && row.Traffic.Received+row.Traffic.Lost != row.Traffic.Sent || silent && row.Traffic.Silence < 150 {
			t.Errorf("%v: %+v", args, row.Traffic)
		}
		if row.Continuity.Breaches() > 0 || row.Target.Violations > 0 || row.SetUp.Failed > 0 || row.SetUp.Calls != 5 {
			t.Errorf("%v: %+v, %+v: %q", args, row.Continuity, row.SetUp, row.Problems)
		}
		if row.Target.PID == 0 || row.Target.Relayed < 150 || row.Target.Resident == 0 || row.Limits.PortMin == 0 || row.Limits.TargetDescriptors == 0 {
			t.Errorf("%v: %+v, %+v", args, row.Target, row.Limits)
		}
		if !silent && (row.Latency.P50 <= 0 || row.Latency.P50 > row.Latency.P99 || row.Latency.P99 > row.Latency.Max) {
			t.Errorf("%v: latency %+v", args, row.Latency)
		}
	}
	if text, err := os.ReadFile(page); err != nil || !bytes.Contains(text, []byte("</html>")) {
		t.Errorf("the page is %d bytes: %v", len(text), err)
	}
}

func TestCallsComeAndGoBesideLiveOnes(t *testing.T) {
	row := benchJSON(t, "churn", "--start", relayd(t), "--calls", "3", "--rate", "20", "--hold", "100ms", "--time", "1500ms", "--settle", "200ms").Rows[0]
	if row.Calls != 3 || row.SetUp.Calls < 10 || row.SetUp.Failed > 0 || row.SetUp.PerSecond < 5 || row.Continuity.Breaches() > 0 {
		t.Errorf("got %+v, %+v: %q", row.SetUp, row.Continuity, row.Problems)
	}
}

func TestWrongUsageIsToldBeforeAnythingStarts(t *testing.T) {
	for _, args := range [][]string{
		{"run"},
		{"run", "--start", "x", "--relayd", "y"},
		{"run", "--relayd", "x", "--set", "a=b"},
		{"run", "--start", "x", "--calls", "0"},
		{"run", "--start", "x", "--payload", "12"},
		{"run", "--start", "x", "--pps", "100"},
		{"run", "--start", "x", "--profile", "null"},
		{"run", "--start", "x", "--rtp", "--echo"},
		{"run", "--start", "x", "--mirror", "127.0.0.1:4000"},
		{"run", "--start", "x", "--rtp", "--mirror", "127.0.0.1"},
		{"run", "--start", "x", "--rtp", "--mirror", "[::1]:4000"},
		{"run", "--start", "x", "--ports", "99-100"},
		{"run", "--start", "x", "--attach", "rtp:peer"},
		{"run", "--start", "x", "--own-cpus", "one"},
		{"run", "--start", "x", "--slot", "1s"},
		{"run", "--no-such-flag"},
		{"run", "argument"},
		{"attach", "--start", "x"},
		{"churn", "--start", "x", "--rate", "-1"},
		{"ramp", "--start", "x", "--from", "9", "--to", "8"},
		{"knee", "--start", "x", "--precision", "0"},
		{"soak", "--start", "x", "--row", "2h"},
		{"compare", "--relayd", "x"},
		{"compare", "--start", "x", "--rounds", "0"},
	} {
		cmd := command()
		cmd.SetArgs(args)
		cmd.SetOut(&bytes.Buffer{})
		cmd.SetErr(&bytes.Buffer{})
		var usage usageError
		if err := cmd.ExecuteContext(t.Context()); !errors.As(err, &usage) {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestRelayThatCannotBeStartedIsNoMeasurement(t *testing.T) {
	cmd := command()
	cmd.SetArgs([]string{"run", "--start", filepath.Join(t.TempDir(), "nothing")})
	var usage usageError
	if err := cmd.ExecuteContext(t.Context()); err == nil || errors.Is(err, errVerdict) || errors.As(err, &usage) {
		t.Errorf("got %v", err)
	}
}

func TestSearchFindsTheKnee(t *testing.T) {
	for _, knee := range []int{0, 1, 150, 199, 200, 777, 1100, 3999, 9000} {
		q := search{from: 200, most: 4000, precision: 5}
		held, failed, steps := 0, 0, 0
		for n := q.next(0, 0); n > 0 && (held > 0 || failed != 1); n = q.next(held, failed) {
			if n > q.most {
				t.Fatalf("knee %d: %d was tried", knee, n)
			}
			if n <= knee {
				held = n
			} else {
				failed = n
			}
			if steps++; steps > 30 {
				t.Fatalf("knee %d: no end, between %d and %d", knee, held, failed)
			}
		}
		if knee = min(knee, q.most); held > knee || float64(held) < float64(knee)*0.9-1 {
			t.Errorf("knee %d: %d were held, %d failed", knee, held, failed)
		}
	}
}

func TestBoundsAreKeptOrNamed(t *testing.T) {
	l := bounds{latency: 2 * time.Millisecond, pacing: 10 * time.Millisecond}
	for want, r := range map[string]report.Row{
		"":        {Latency: report.Spread{P99: 2000}, Pacing: report.Spread{P99: 10000}},
		"latency": {Latency: report.Spread{P99: 2001}},
		"pacing":  {Pacing: report.Spread{P99: 10001}},
		"lost":    {Problems: []string{"3 packets lost"}},
	} {
		if good, why := l.held(&r); good != (want == "") || !strings.Contains(why, want) {
			t.Errorf("%q: got %v, %q", want, good, why)
		}
	}
}

func TestRatiosAreThoseOfMedians(t *testing.T) {
	rows := func(values ...float64) (all []report.Row) {
		for _, v := range values {
			all = append(all, report.Row{Target: report.Target{CPUPerRelayed: v}})
		}
		return all
	}
	first := ratios(rows(5, 1, 2), rows(6, 2, 100, 4))[0]
	if first.A != 2 || first.B != 5 || first.Ratio != 2.5 {
		t.Errorf("got %+v", first)
	}
}

func TestListsAreRead(t *testing.T) {
	cpus, err := cpuList("0,2-4")
	if err != nil || !slices.Equal(cpus, []int{0, 2, 3, 4}) {
		t.Errorf("CPUs %v: %v", cpus, err)
	}
	list, err := attachments([]string{"recording:mono=caller", "none", "player:file=a.opus:repeat=forever"})
	if err != nil || len(list) != 2 || list[0].Params["mono"] != "caller" || list[1].Params["repeat"] != "forever" {
		t.Errorf("attachments %v: %v", list, err)
	}
}
