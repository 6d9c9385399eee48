//go:build linux

package report

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// plot is a line chart.
type plot struct {
	title, x, y string
	logX        bool
	lines       []line
}

type line struct {
	name   string
	points []point
}

type point struct{ x, y float64 }

// The drawing area, in pixels. Sizes are fixed: a browser scales what is drawn.
const (
	plotWidth  = 720
	plotHeight = 300
	marginLeft = 64
	marginTop  = 28
	marginFoot = 44
	marginSide = 120  // with the names of the lines
	maxPoints  = 1200 // a line; more are thinned, keeping peaks
)

// colours are told apart by most people who do not see all colours (Okabe and Ito).
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"}

// svg draws the plot; empty when there is nothing to draw.
func (p *plot) svg() string {
	area, ok := p.area()
	if !ok {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, plotWidth, plotHeight, html.EscapeString(p.title))
	fmt.Fprintf(&b, `<text x="%d" y="16" class="title">%s</text>`, marginLeft, html.EscapeString(p.title))
	for _, t := range ticks(area.minX, area.maxX, p.logX) {
		x := area.x(t, p.logX)
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" class="grid"/>`, x, x, marginTop, plotHeight-marginFoot)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" class="tick" text-anchor="middle">%s</text>`, x, plotHeight-marginFoot+16, number(t))
	}
	for _, t := range ticks(area.minY, area.maxY, false) {
		y := area.y(t)
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" class="grid"/>`, marginLeft, plotWidth-marginSide, y, y)
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" class="tick" text-anchor="end">%s</text>`, marginLeft-6, y+4, number(t))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" class="axis" text-anchor="middle">%s</text>`, (plotWidth-marginSide+marginLeft)/2, plotHeight-8, html.EscapeString(p.x))
	fmt.Fprintf(&b, `<text x="14" y="%d" class="axis" text-anchor="middle" transform="rotate(-90 14 %d)">%s</text>`,
		plotHeight/2, plotHeight/2, html.EscapeString(p.y))
	for i, l := range p.lines {
		colour := colours[i%len(colours)]
		dashes := "" // for lines whose colour is used a second time
		if i >= len(colours) {
			dashes = ` stroke-dasharray="4 3"`
		}
		b.WriteString(`<polyline fill="none" stroke-width="1.5" stroke="` + colour + `"` + dashes + ` points="`)
		for _, q := range thin(l.points) {
			fmt.Fprintf(&b, "%.1f,%.1f ", area.x(q.x, p.logX), area.y(q.y))
		}
		b.WriteString(`"/>`)
		if l.name != "" && i < 2*len(colours) {
			fmt.Fprintf(&b, `<text x="%d" y="%d" class="tick" fill="%s">%s</text>`,
				plotWidth-marginSide+6, marginTop+8+14*i, colour, html.EscapeString(l.name))
		}
	}
	b.WriteString("</svg>")
	return b.String()
}

// area maps values to pixels.
type area struct{ minX, maxX, minY, maxY float64 }

func (p *plot) area() (area, bool) {
	a := area{math.Inf(1), math.Inf(-1), 0, math.Inf(-1)}
	n := 0
	for _, l := range p.lines {
		for _, q := range l.points {
			x := q.x
			if p.logX {
				x = max(x, 1)
			}
			a.minX, a.maxX, a.maxY = min(a.minX, x), max(a.maxX, x), max(a.maxY, q.y)
			n++
		}
	}
	if n == 0 {
		return a, false
	}
	if a.maxX <= a.minX {
		a.maxX = a.minX + 1
	}
	if a.maxY <= 0 {
		a.maxY = 1
	}
	return a, true
}

func (a area) x(v float64, logarithmic bool) float64 {
	low, high := a.minX, a.maxX
	if logarithmic {
		v, low, high = math.Log10(max(v, 1)), math.Log10(low), math.Log10(high)
	}
	return marginLeft + (v-low)/(high-low)*(plotWidth-marginLeft-marginSide)
}

func (a area) y(v float64) float64 {
	return plotHeight - marginFoot - (v-a.minY)/(a.maxY-a.minY)*(plotHeight-marginTop-marginFoot)
}

// ticks are round values between two others: powers of ten, with 2 and 5 times them where those are few, or about five steps of 1, 2 or 5.
func ticks(low, high float64, logarithmic bool) []float64 {
	var all []float64
	if logarithmic {
		steps := []float64{1}
		if high/low < 1000 {
			steps = []float64{1, 2, 5}
		}
		for decade := math.Pow(10, math.Floor(math.Log10(low))); decade <= high; decade *= 10 {
			for _, s := range steps {
				if t := s * decade; t >= low && t <= high {
					all = append(all, t)
				}
			}
		}
		return all
	}
	step := math.Pow(10, math.Floor(math.Log10((high-low)/5)))
	for _, f := range []float64{2, 2.5, 2} {
		if (high-low)/step > 6 {
			step *= f
		}
	}
	for t := math.Ceil(low/step) * step; t <= high+step/1e6; t += step {
		all = append(all, t)
	}
	return all
}

// number is a value as short as it can be read.
func number(v float64) string {
	switch {
	case math.Abs(v) >= 1e6:
		return fmt.Sprintf("%.3gM", v/1e6)
	case math.Abs(v) >= 1e4:
		return fmt.Sprintf("%.3gk", v/1e3)
	}
	return fmt.Sprintf("%.4g", v)
}

// thin leaves out points that could not be told apart: of each group the highest stays.
func thin(points []point) []point {
	group := len(points)/maxPoints + 1
	if group == 1 {
		return points
	}
	var kept []point
	for i := 0; i < len(points); i += group {
		best := points[i]
		for _, q := range points[i:min(i+group, len(points))] {
			if q.y > best.y {
				best = q
			}
		}
		kept = append(kept, best)
	}
	return kept
}
