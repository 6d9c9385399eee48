package rig

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestSectionsAreChosenByName(t *testing.T) {
	var ran string
	section := func(name string) Section {
		return Section{name, func() error { ran += name; return nil }}
	}
	all := []Section{section("a"), section("b"), section("c")}
	for only, want := range map[string]string{"": "abc", "c": "c", "c,a": "ca"} {
		chosen, err := Choose(all, only)
		if err != nil {
			t.Fatal(err)
		}
		ran = ""
		if _, err := New(context.Background(), "test", Options{}).Measure(chosen); err != nil || ran != want {
			t.Errorf("%q: ran %q, %v; want %q", only, ran, err, want)
		}
	}
	if _, err := Choose(all, "a,d"); err == nil {
		t.Error("a section that is not there was chosen")
	}
}

func TestSectionThatFailsIsNotedAndTheOthersFollow(t *testing.T) {
	r := New(context.Background(), "test", Options{})
	followed := false
	_, err := r.Measure([]Section{{"first", func() error { return errors.New("no luck") }}, {"second", func() error { followed = true; return nil }}})
	if err != nil || !followed || len(r.Notes) != 1 || r.Notes[0] != "first: not measured: no luck" {
		t.Errorf("followed %v, notes %q, %v", followed, r.Notes, err)
	}
}

func TestMeasurementEndsWhenItIsToldTo(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	second := false
	_, err := New(ctx, "test", Options{}).Measure([]Section{{"first", func() error { stop(); return nil }}, {"second", func() error { second = true; return nil }}})
	if !errors.Is(err, context.Canceled) || second {
		t.Errorf("second ran %v, %v", second, err)
	}
}

func TestTargetAndLoadStartOnTheirOwnHosts(t *testing.T) {
	r := New(context.Background(), "test", Options{})
	r.Link = Link{Target: "onelane-none-1", Load: "onelane-none-2"}
	if _, err := r.Start("target"); err == nil || !strings.Contains(err.Error(), string(r.Link.Target)) {
		t.Errorf("target: %v", err)
	}
	if _, err := r.StartLoad("load"); err == nil || !strings.Contains(err.Error(), string(r.Link.Load)) {
		t.Errorf("load: %v", err)
	}
}
