package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const written = `version: 1
creator: callgrind-3.19.0
events: Ir Dr Dw I1mr D1mr D1mw ILmr DLmr DLmw
fn=(1) a
16 400 3
totals: 1000 300 200 7 20 3 2 5 1
`

func TestTotalsAreRead(t *testing.T) {
	got, err := parse(written)
	if err != nil {
		t.Fatal(err)
	}
	if want := (tally{instructions: 1000, codeMisses: 7, dataMisses: 23, farMisses: 6}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTotalsThatEndInZerosAreRead(t *testing.T) {
	got, err := parse("events: Ir Dr Dw I1mr D1mr D1mw ILmr DLmr DLmw\ntotals: 9 1 1 4\n")
	if want := (tally{instructions: 9, codeMisses: 4}); err != nil || got != want {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestWhatHasNoTotalsIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty":            "",
		"no totals":        "events: Ir\n",
		"no number":        "events: Ir\ntotals: many\n",
		"nothing in there": "events: Ir Dr\ntotals: 0\n",
	} {
		if got, err := parse(text); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestSetUpFallsOut(t *testing.T) {
	low, high := tally{1_001_000, 50, 0, 7}, tally{1_006_000, 51, 100, 7}
	if got, want := each(low, high, 50), (tally{100, 0.02, 2, 0}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWholeRoundsAreCounted(t *testing.T) {
	for _, s := range choose("") {
		if calls := regexp.MustCompile(`calls=(1000|5000)$`).FindStringSubmatch(s.name); calls != nil {
			n := map[string]int{"1000": 1000, "5000": 5000}[calls[1]]
			if s.low%n != 0 || s.more%n != 0 {
				t.Errorf("%s: %d and %d more operations end within a round", s.name, s.low, s.more)
			}
		}
	}
}

func TestPatternIsAnchoredPartByPart(t *testing.T) {
	if got := (subject{name: "Core/echo/calls=1"}).pattern(); got != "^BenchmarkCore$/^echo$/^calls=1$" {
		t.Error(got)
	}
}

// A function that is renamed would count nothing.
func TestFunctionsThatCountAreThere(t *testing.T) {
	for _, s := range choose("") {
		if s.only == "" {
			continue
		}
		name := strings.TrimPrefix(s.only, module)
		dot := strings.LastIndexByte(name, '/') + strings.IndexByte(name[strings.LastIndexByte(name, '/'):], '.')
		path, kind, method := name[:dot], strings.Trim(name[dot+1:strings.LastIndexByte(name, '.')], "(*)"), name[strings.LastIndexByte(name, '.')+1:]
		files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(path), "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files: %v", path, err)
		}
		declared := regexp.MustCompile(`(?m)^func \(\w+ \*?` + kind + `\) ` + method + `\(`)
		found := false
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			found = found || declared.Match(text)
		}
		if !found {
			t.Errorf("there is no %s", s.only)
		}
	}
}

func TestRunsThatAreApartAreTold(t *testing.T) {
	got := apart([]row{
		{subject{name: "near"}, []tally{{1000, 1, 1, 1}, {1001, 1, 1, 1}}},
		{subject{name: "far"}, []tally{{1020, 1, 1, 1}, {1000, 1, 1.5, 1}}},
	})
	if !strings.Contains(got, "2.00 % apart in instructions (far)") || !strings.Contains(got, "0.50 an operation in misses (far)") {
		t.Error(got)
	}
}

func TestHardwareCountersAreRecognised(t *testing.T) {
	for out, want := range map[string]bool{
		"1234,,instructions:u,100,100.00,,\n":             true,
		"<not supported>,,instructions:u,0,100.00,,\n":    false,
		"<not counted>,,instructions:u,0,0.00,,\n":        false,
		"Error: access to performance counters limited\n": false,
	} {
		if got := counts(out); got != want {
			t.Errorf("%q: %v", out, got)
		}
	}
}
