package main

import (
	"reflect"
	"testing"
)

func TestBencodingComesBack(t *testing.T) {
	b := appendValue(nil, map[string]any{"command": "offer", "flags": []string{"a", "bc"}, "n": -3, "d": map[string]any{}})
	if want := "d7:command5:offer1:dde5:flagsl1:a2:bce1:ni-3ee"; string(b) != want {
		t.Fatalf("got %s", b)
	}
	v, err := parse(string(b))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"command": "offer", "flags": []any{"a", "bc"}, "n": int64(-3), "d": map[string]any{}}
	if !reflect.DeepEqual(v, want) {
		t.Errorf("got %v", v)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "i3e", "l1:ae", "d1:a1:be", "99:a", "i", "dl", "-1:"} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, s string) { _, _ = parse(s) })
}
