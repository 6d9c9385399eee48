//go:build linux

package report

import (
	"bytes"
	"fmt"
	"html/template"
	"io"
)

// maxDrawn is how many rows have lines of their own in a plot: more cannot be told apart.
const maxDrawn = 7

// HTML writes the report as a page that needs nothing else: no script, no font, no picture from elsewhere.
func (r *Report) HTML(out io.Writer) error {
	var text bytes.Buffer
	r.Text(&text)
	var plots []template.HTML
	for _, p := range r.plots() {
		if drawn := p.svg(); drawn != "" {
			plots = append(plots, template.HTML(drawn)) // made of numbers, and names that are escaped
		}
	}
	err := page.Execute(out, struct {
		*Report
		Plots []template.HTML
		Text  string
	}{r, plots, text.String()})
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	return nil
}

func (r *Report) plots() []plot {
	rows := r.Rows[:min(len(r.Rows), maxDrawn)]
	distribution := plot{title: "Added latency: share of packets", x: "microseconds, logarithmic", y: "share", logX: true}
	cpu := plot{title: "CPU", x: "seconds", y: "% of one CPU"}
	lost := plot{title: "Packets lost", x: "seconds, by the time of sending", y: "packets a second"}
	longest := plot{title: "Longest added latency of each second", x: "seconds", y: "milliseconds"}
	memory := plot{title: "Memory of the relay", x: "seconds", y: "MB resident"}
	for i := range rows {
		row := &rows[i]
		distribution.lines = append(distribution.lines, row.distribution())
		relay, own, resident := row.usage()
		lines := []line{relay, resident}
		for j, to := range []*plot{&cpu, &memory} {
			if row.Target.PID != 0 {
				to.lines = append(to.lines, lines[j])
			}
		}
		cpu.lines = append(cpu.lines, own)
		losses, latencies := row.overTime()
		lost.lines, longest.lines = append(lost.lines, losses), append(longest.lines, latencies)
	}
	return append([]plot{distribution, cpu, lost, longest, memory}, r.levels()...)
}

func (r *Row) distribution() line {
	l := line{name: r.Label}
	for _, p := range r.Plots.Latency {
		l.points = append(l.points, point{float64(p.At) / 1e3, p.Share})
	}
	return l
}

func (r *Row) usage() (relay, own, resident line) {
	relay.name, own.name, resident.name = r.Label+" relay", r.Label+" generator", r.Label
	for _, p := range r.Plots.CPU {
		relay.points = append(relay.points, point{p.At, p.Target})
		own.points = append(own.points, point{p.At, p.Generator})
		resident.points = append(resident.points, point{p.At, float64(p.Resident) / 1e6})
	}
	return relay, own, resident
}

func (r *Row) overTime() (losses, latencies line) {
	losses.name, latencies.name = r.Label, r.Label
	for i, s := range r.Plots.Seconds {
		losses.points = append(losses.points, point{float64(i), float64(s.Lost)})
		latencies.points = append(latencies.points, point{float64(i), float64(s.Latency) / 1e6})
	}
	return losses, latencies
}

// levels are the plots over the number of calls, when that changes from row to row.
func (r *Report) levels() []plot {
	if r.Mode != "ramp" && r.Mode != "knee" {
		return nil
	}
	latency := plot{title: "Added latency over calls", x: "calls", y: "microseconds", lines: []line{{name: "p50"}, {name: "p99"}}}
	cost := plot{title: "CPU of a relayed packet over calls", x: "calls", y: "microseconds", lines: []line{{}}}
	use := plot{title: "CPU over calls", x: "calls", y: "% of one CPU", lines: []line{{name: "relay"}, {name: "generator"}}}
	for _, row := range r.sorted() {
		n := float64(row.Calls)
		latency.add(0, n, row.Latency.P50)
		latency.add(1, n, row.Latency.P99)
		cost.add(0, n, row.Target.CPUPerRelayed)
		use.add(0, n, row.Target.CPUPercent)
		use.add(1, n, row.Generator.CPUPercent)
	}
	return []plot{latency, cost, use}
}

func (p *plot) add(i int, x, y float64) { p.lines[i].points = append(p.lines[i].points, point{x, y}) }

var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>relaybench {{.Mode}} {{.Host.Time}}</title>
<style>
body{font:14px/1.4 system-ui,sans-serif;margin:2em auto;max-width:1340px;padding:0 1em;color:#222;background:#fff}
table{border-collapse:collapse;margin-bottom:1.2em}td,th{padding:.2em .7em;text-align:right;border-bottom:1px solid #ddd;font-variant-numeric:tabular-nums}
td:first-child,th:first-child{text-align:left}.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(520px,1fr));gap:1em;margin:1.5em 0}
svg{width:100%;height:auto;border:1px solid #eee}.grid{stroke:#e5e5e5}.tick{font-size:11px}.axis{font-size:12px;fill:#555}.title{font-size:14px;font-weight:600}
pre{white-space:pre-wrap;background:#f6f6f6;padding:1em;font-size:12px}.bad{color:#b00020;font-weight:600}.doubt{color:#8a5a00}
</style></head><body>
<h1>relaybench {{.Mode}}</h1>
<p>{{.Host.Time}}, {{.Host.CPU}}, {{.Host.CPUs}} CPUs, Linux {{.Host.Kernel}}, {{.Host.Go}}<br><code>{{.Host.Command}}</code></p>
{{range .Rows}}{{$label := .Label}}{{range .Problems}}<p class="bad">{{$label}}: {{.}}</p>{{end}}{{end}}
{{range .Notes}}<p>{{.}}</p>{{end}}
{{template "table" .Traffic}}
{{template "table" .Relay}}
{{if .Ratios}}<h2>Medians</h2><table><tr><th></th><th>A</th><th>B</th><th>B/A</th></tr>
{{range .Ratios}}<tr><td>{{.Figure}}</td><td>{{printf "%.4g" .A}}</td><td>{{printf "%.4g" .B}}</td><td>{{.Quotient}}</td></tr>{{end}}</table>{{end}}
{{if .Doubtful}}<details><summary class="doubt">{{.Doubtful}} of {{len .Rows}} rows are doubtful</summary>
{{range .Rows}}{{$label := .Label}}{{range .Doubts}}<div class="doubt">{{$label}}: {{.}}</div>{{end}}{{end}}</details>{{end}}
<div class="plots">{{range .Plots}}<div>{{.}}</div>{{end}}</div>
<pre>{{.Text}}</pre>
</body></html>
{{define "table"}}<table>{{range $i, $row := .}}<tr>{{range $row}}{{if $i}}<td>{{.}}</td>{{else}}<th>{{.}}</th>{{end}}{{end}}</tr>
{{end}}</table>{{end}}`))
