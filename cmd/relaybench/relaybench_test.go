//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/onelane/onelane/cmd/relaybench/internal/report"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(builtIn)
		os.Exit(code)
	}))
}

// builtIn is the folder of the relayd that built has made, empty before.
var builtIn string

var built = sync.OnceValues(func() (path string, err error) {
	if builtIn, err = os.MkdirTemp("", "relaybench-test-"); err != nil {
		return "", err
	}
	path = filepath.Join(builtIn, "relayd")
	if out, err := exec.Command("go", "build", "-o", path, "../relayd").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build relayd: %w: %s", err, out)
	}
	return path, nil
})

// relayd builds one, once.
func relayd(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// outcome is what the tool gave.
type outcome struct {
	report.Report
	progress string
	failed   bool // the verdict
}

// benchJSON runs the tool and reads its JSON. A relay that failed is a report as well.
func benchJSON(t *testing.T, args ...string) outcome {
	t.Helper()
	var out, progress bytes.Buffer
	cmd := command()
	cmd.SetArgs(append(args, "--json"))
	cmd.SetOut(&out)
	cmd.SetErr(&progress)
	err := cmd.ExecuteContext(t.Context())
	if err != nil && !errors.Is(err, errVerdict) {
		t.Fatalf("%v: %v\n%s", args, err, &progress)
	}
	o := outcome{progress: progress.String(), failed: err != nil}
	if err := json.Unmarshal(out.Bytes(), &o.Report); err != nil {
		t.Fatalf("%v: %v in %s", args, err, &out)
	}
	if len(o.Rows) == 0 {
		t.Fatalf("%v: no rows", args)
	}
	return o
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
		r := benchJSON(t, append(args, "--start", path, "--calls", "5", "--time", "1500ms", "--settle", "200ms")...)
		row := r.Rows[0]
		// 5 calls, 50 packets a second; a busy host may be late for some.
		if row.Calls != 5 || row.Traffic.Sent < 200 || row.Traffic.Sent > 750 {
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
		if m, s := row.Target.Runtime, row.Target.Sockets; !m.Known || m.Goroutines < 5 || m.HeapPerCall <= 0 || m.StackPerCall < 0 ||
			s.CallsPerPacket < 2 && !silent || s.CallsPerPacket > 30 || s.WakeupsPerPacket <= 0 || row.Target.Descriptors < 10 {
			t.Errorf("%v: the relay tells %+v, %+v, %d descriptors", args, m, s, row.Target.Descriptors)
		}
		if c := row.Target.CPU; c.CPUPerRelayed <= 0 || math.Abs(c.UserPerRelayed+c.SystemPerRelayed-c.CPUPerRelayed) > 0.001 {
			t.Errorf("%v: CPU %+v", args, c)
		}
		if !strings.Contains(r.progress, "run   1 s: 5 calls, sent ") {
			t.Errorf("%v: progress %q", args, r.progress)
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
	r := benchJSON(t, "churn", "--start", relayd(t), "--calls", "3", "--rate", "20", "--hold", "100ms", "--time", "1500ms", "--settle", "200ms")
	row := r.Rows[0]
	if row.SetUp.Ended < 5 || row.SetUp.Ended > row.SetUp.PerSecond {
		t.Errorf("%v tear-downs a second, %v set-ups", row.SetUp.Ended, row.SetUp.PerSecond)
	}
	if row.Calls != 3 || row.SetUp.Calls < 10 || row.SetUp.Failed > 0 || row.SetUp.PerSecond < 5 || row.Continuity.Breaches() > 0 {
		t.Errorf("got %+v, %+v: %q", row.SetUp, row.Continuity, row.Problems)
	}
}

func TestFailureOfARelayThatIsSpentCountsWhateverDisturbedTheLoad(t *testing.T) {
	row := func(cpu float64, doubts ...string) *report.Row {
		r := &report.Row{Doubts: doubts}
		r.Target.CPUPercent = cpu
		return r
	}
	for _, c := range []struct {
		row  *report.Row
		cpus int
		want bool
	}{
		{row(50), 1, true},
		{row(80, "the generator used 95 % of a CPU"), 1, false},
		{row(91, "the generator used 95 % of a CPU"), 1, true},
		{row(150, "the generator used 95 % of a CPU"), 2, false},
		{row(185, "the generator used 95 % of a CPU"), 2, true},
		{row(185, "the generator used 95 % of a CPU"), 0, false},
	} {
		if got := counts(c.row, c.cpus); got != c.want {
			t.Errorf("at %v %% of %d CPUs, doubts %q: counts %v", c.row.Target.CPUPercent, c.cpus, c.row.Doubts, got)
		}
	}
}

// quick makes a mode short on the smallest load.
func quick(t *testing.T, args ...string) outcome {
	t.Helper()
	return benchJSON(t, append(args, "--start", relayd(t), "--settle", "100ms")...)
}

func TestRampHasARowForEachNumber(t *testing.T) {
	r := quick(t, "ramp", "--from", "2", "--to", "6", "--step", "2", "--time", "500ms")
	for i, row := range r.Rows {
		if row.Calls != 2+2*i || row.Traffic.Sent == 0 {
			t.Errorf("row %d: %d calls sent %d", i, row.Calls, row.Traffic.Sent)
		}
	}
	if len(r.Rows) != 3 {
		t.Errorf("%d rows", len(r.Rows))
	}
}

func TestKneeIsWhereABoundIsBroken(t *testing.T) {
	wide := quick(t, "knee", "--from", "2", "--to", "3", "--time", "500ms", "--max-latency", "10s", "--max-pacing", "10s", "--worst-pacing", "0")
	if wide.Summary["calls_held"] != 3.0 || wide.Summary["calls_failed"] != 0.0 || wide.failed {
		t.Errorf("within wide bounds: %v, %q", wide.Summary, wide.Notes)
	}
	narrow := quick(t, "knee", "--from", "2", "--to", "3", "--time", "500ms", "--tries", "1", "--max-latency", "1ns")
	if narrow.Summary["calls_held"] != 0.0 || !narrow.failed || !slices.Contains(narrow.Rows[len(narrow.Rows)-1].Problems, "not one number of calls was held") {
		t.Errorf("within no bound: %v, failed %v", narrow.Summary, narrow.failed)
	}
}

func TestKneeEndsWhereTheRelayIsFull(t *testing.T) {
	r := quick(t, "knee", "--from", "2", "--to", "50", "--set", "calls.max=2", "--time", "500ms", "--max-latency", "10s", "--max-pacing", "10s", "--worst-pacing", "0")
	if r.Summary["calls_held"] != 2.0 || !strings.Contains(strings.Join(r.Notes, "\n"), "takes no more than 2 (limited by config)") {
		t.Errorf("%v, %q", r.Summary, r.Notes)
	}
}

func TestCallsThatDoNotFitAreToldBeforeTheFirst(t *testing.T) {
	cmd := command()
	cmd.SetArgs([]string{"run", "--start", relayd(t), "--calls", "3", "--set", "calls.max=2"})
	cmd.SetOut(&bytes.Buffer{})
	cmd.SetErr(&bytes.Buffer{})
	if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "3 calls do not fit: the relay takes 2 more") {
		t.Errorf("got %v", err)
	}
}

func TestSoakTellsWhatHasGrown(t *testing.T) {
	r := quick(t, "soak", "--calls", "2", "--time", "2s", "--row", "1s")
	notes := strings.Join(r.Notes, "\n")
	if len(r.Rows) != 2 || !strings.Contains(notes, "from the first row to the last: goroutines") || !strings.Contains(notes, "from the first row to the last: memory") {
		t.Errorf("%d rows: %s", len(r.Rows), notes)
	}
}

func TestMixesOfSinksAreMeasuredOneAfterTheOther(t *testing.T) {
	r := quick(t, "attach", "--calls", "2", "--mix", "none", "--mix", "recording,discard", "--time", "500ms")
	if len(r.Rows) != 2 || r.Rows[0].Limits.Attach != "none" || r.Rows[1].Limits.Attach != "recording,discard" || r.Rows[1].Calls != 2 {
		t.Fatalf("rows %+v", r.Rows)
	}
	// Each of the two queues has a goroutine while it is attached.
	if a, b := r.Rows[0].Target.Runtime.Goroutines, r.Rows[1].Target.Runtime.Goroutines; b < a+4 {
		t.Errorf("%d goroutines without sinks, %d with two on two calls", a, b)
	}
}

func TestTwoConfigurationsTakeTurns(t *testing.T) {
	r := quick(t, "compare", "--calls", "2", "--rounds", "2", "--time", "500ms", "--b-set", "media.shards=2")
	var labels []string
	for _, row := range r.Rows {
		labels = append(labels, fmt.Sprintf("%s of %d shards", row.Label, row.Limits.Shards))
	}
	if want := []string{"A1 of 1 shards", "B1 of 2 shards", "A2 of 1 shards", "B2 of 2 shards"}; !slices.Equal(labels, want) {
		t.Errorf("rows %v", labels)
	}
	if len(r.Ratios) != len(figures) || r.Ratios[0].A <= 0 || r.Ratios[0].B <= 0 || r.Ratios[0].Ratio != r.Ratios[0].B/r.Ratios[0].A {
		t.Errorf("ratios %+v", r.Ratios)
	}
}

func TestWrongFlagIsToldWithWhereTheRightOnesAre(t *testing.T) {
	root := command()
	root.SetArgs([]string{"knee", "--no-such-flag"})
	root.SetOut(&bytes.Buffer{})
	root.SetErr(&bytes.Buffer{})
	if err := root.Execute(); err == nil || err.Error() != "unknown flag: --no-such-flag; relaybench knee --help lists the flags" {
		t.Error(err)
	}
}

func TestWrongUsageIsToldBeforeAnythingStarts(t *testing.T) {
	for _, args := range [][]string{
		{"run"},
		{"run", "--start", "x", "--relayd", "y"},
		{"run", "--relayd", "x", "--set", "a=b"},
		{"run", "--relayd", "x", "--ports", "10000-10999"},
		{"run", "--start", "x", "--pid", "1"},
		{"knee", "--start", "x", "--calls", "100"},
		{"ramp", "--start", "x", "-n", "100"},
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
	l := bounds{latency: 2 * time.Millisecond, pacing: 10 * time.Millisecond, worst: 60 * time.Millisecond}
	for want, r := range map[string]report.Row{
		"":        {Latency: report.Spread{P99: 2000}, Pacing: report.Spread{P99: 10000, Max: 60000}},
		"latency": {Latency: report.Spread{P99: 2001}},
		"pacing":  {Pacing: report.Spread{P99: 10001}},
		"longest": {Pacing: report.Spread{P99: 10000, Max: 60001}},
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
			all = append(all, report.Row{Target: report.Target{CPU: report.CPU{CPUPerRelayed: v}}})
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
