package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// row is one measured ratio. A bar is the worst that is accepted; a goal is what is aimed at.
type row struct {
	what         string
	ours, theirs string // absolute, for the order of magnitude
	anchor       string
	ratio        float64
	low, high    float64 // quartiles of the rounds
	bar, goal    float64
	moreIsGood   bool
}

func (r row) verdict() string {
	meets := func(limit float64) bool {
		if r.moreIsGood {
			return r.ratio >= limit
		}
		return r.ratio <= limit
	}
	switch {
	case r.bar == 0:
		return ""
	case r.goal != 0 && meets(r.goal):
		return "goal met"
	case meets(r.bar):
		return "bar met"
	}
	return "**missed**"
}

type report struct{ rows []row }

func (r *report) add(x row) {
	r.rows = append(r.rows, x)
	fmt.Fprintf(os.Stderr, "    %-52s %.2f  [%.2f, %.2f]  %s\n", x.what, x.ratio, x.low, x.high, x.verdict())
}

func (r *report) text(p plan) string {
	var b strings.Builder
	b.WriteString("<!-- Written by `make bench`. -->\n\n# Benchmarks\n\nEvery ratio comes from one run in which both contenders took turns, " +
		"round by round, on the same machine and disk. The ratio is the\nmedian over the rounds, with its quartiles. Absolute figures " +
		"give the order of magnitude only.\n\n")
	fmt.Fprintf(&b, "%s, %d cores, %s/%s, %d rounds. Payload of messages: 1 KiB of text, sealed.\n\n", runtime.Version(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, p.rounds)
	b.WriteString("| Measured | Ours | Beside | Theirs | Ratio | Quartiles | Bar | Goal | |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, x := range r.rows {
		sign := "≤"
		if x.moreIsGood {
			sign = "≥"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %.2f | %.2f to %.2f | %s | %s | %s |\n", x.what, x.ours, x.anchor, x.theirs, x.ratio, x.low, x.high,
			limit(sign, x.bar), limit(sign, x.goal), x.verdict())
	}
	return b.String()
}

func limit(sign string, v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%s %.3g", sign, v)
}

// compare fills the ratio of a row from paired rounds.
func (x row) compare(ours, theirs []float64) row {
	ratios := make([]float64, len(ours))
	for i := range ours {
		ratios[i] = ours[i] / theirs[i]
	}
	x.ratio, x.low, x.high = quantile(ratios, 0.5), quantile(ratios, 0.25), quantile(ratios, 0.75)
	return x
}

// quantile interpolates between the sorted values.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	v := slices.Sorted(slices.Values(values))
	at := q * float64(len(v)-1)
	i := int(at)
	if i+1 >= len(v) {
		return v[len(v)-1]
	}
	return v[i] + (at-float64(i))*(v[i+1]-v[i])
}

func median(d []time.Duration) time.Duration {
	v := make([]float64, len(d))
	for i := range d {
		v[i] = float64(d[i])
	}
	return time.Duration(quantile(v, 0.5))
}
