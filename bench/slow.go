package main

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// backlog is what waits for the session that does not read, and readers are the others.
const (
	backlog = 10_000
	readers = 999
)

// benchSlow measures what a session that does not read does to those who do: how long the slowest of their messages take,
// with it and without it in turns.
func benchSlow(ctx context.Context, p plan, r *report) error {
	h, m, err := p.alone(ctx, "w")
	if err != nil {
		return err
	}
	defer h.down()
	slow, err := newReturning(ctx, m, backlog)
	if err != nil {
		return err
	}
	fast, err := newCrowd(m, readers)
	if err != nil {
		return err
	}
	got := make(chan struct{}, 1)
	fast.came = told(got)
	defer fast.leave()
	if _, err := fast.enter(ctx); err != nil {
		return err
	}
	from, err := dialLean(ctx, m, "from")
	if err != nil {
		return err
	}
	defer from.bye()
	slowest := func() (float64, error) {
		times, err := latencies(p, from, func(int) *lean { return fast.conns[rand.IntN(readers)] }, got)
		return micros(times, 0.99), err
	}
	var beside, alone []float64
	for range p.rounds {
		without, err := slowest()
		if err != nil {
			return err
		}
		deaf, err := slow.enter(ctx)
		if err != nil {
			return err
		}
		with, err := slowest()
		deaf.close()
		if err != nil {
			return err
		}
		beside, alone = append(beside, with), append(alone, without)
	}
	us := func(v []float64) string { return fmt.Sprintf("%.0f µs", quantile(v, 0.5)) }
	r.add(row{what: "DM to one of 999, p99, beside one with 10,000 waiting that does not read", ours: us(beside), theirs: us(alone), anchor: "the same without it", bar: 2}.
		compare(beside, alone))
	return nil
}
