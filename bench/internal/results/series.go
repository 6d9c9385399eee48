package results

import (
	"fmt"
	"strings"
)

// Series are the values of one target's turns.
type Series []float64

// Median is the middle one; NaN of none.
func (s Series) Median() float64 { return Median(s) }

func (s Series) String() string {
	var parts []string
	for _, v := range s {
		parts = append(parts, fmt.Sprintf("%.2f", v))
	}
	return strings.Join(parts, ", ")
}
