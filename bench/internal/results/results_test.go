package results

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPartIsReplacedAndTheOthersStay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "RESULTS.md")
	for _, step := range []struct {
		part Part
		text string
	}{{Ratios, "one\n"}, {Benchmarks, "two\n"}, {Ratios, "three"}} {
		if err := Replace(file, step.part, step.text); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	two, three := strings.Index(string(text), "\ntwo\n"), strings.Index(string(text), "\nthree\n")
	if strings.Contains(string(text), "one\n") || two < 0 || three < two || strings.Count(string(text), "# Results") != 1 {
		t.Errorf("the file is\n%s", text)
	}
}

func TestMedian(t *testing.T) {
	if m := Median([]float64{9, 1, 5}); m != 5 {
		t.Errorf("of three: %v", m)
	}
	if m := Median([]float64{4, 1, 3, 9}); m != 3.5 {
		t.Errorf("of four: %v", m)
	}
}
