package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// result is what one sender did.
type result struct {
	n   int
	err error
}

func sum(counts <-chan result, senders int) (int, error) {
	total := 0
	var errs []error
	for range senders {
		r := <-counts
		total += r.n
		if r.err != nil && !errors.Is(r.err, context.DeadlineExceeded) {
			errs = append(errs, r.err)
		}
	}
	return total, errors.Join(errs...)
}

// benchDurable measures what is on disk before it is acknowledged: our broker beside JetStream with sync_interval
// always, each a process of its own on the same disk, with one connection that receives everything.
func benchDurable(ctx context.Context, p plan, r *report) error {
	h, m, err := p.alone(ctx, "d")
	if err != nil {
		return err
	}
	defer h.down()
	url, stop, err := startJetStream(ctx, filepath.Join(p.dir, "n"))
	if err != nil {
		return err
	}
	defer stop()
	if err := latencyRounds(ctx, p, r, m, url); err != nil {
		return err
	}
	if err := throughputRounds(ctx, p, r, m, url, load{"accepts, 64 senders", 64, 1, 4, 7}); err != nil {
		return err
	}
	return throughputRounds(ctx, p, r, m, url, load{"accepts, 4 senders with 128 in flight", 4, 128, 5, 10})
}

func latencyRounds(ctx context.Context, p plan, r *report, m member, url string) error {
	var a, b, a99, b99 []float64
	for range p.rounds {
		ours, err := ourLatency(ctx, p, m)
		if err != nil {
			return fmt.Errorf("ours: %w", err)
		}
		slice, cancel := context.WithTimeout(ctx, p.slice)
		theirs, err := jsLatency(slice, url)
		cancel()
		if err != nil {
			return fmt.Errorf("JetStream: %w", err)
		}
		a, b = append(a, micros(ours, 0.5)), append(b, micros(theirs, 0.5))
		a99, b99 = append(a99, micros(ours, 0.99)), append(b99, micros(theirs, 0.99))
	}
	us := func(v []float64) string { return fmt.Sprintf("%.0f µs", quantile(v, 0.5)) }
	r.add(row{what: "durable DM, acked and delivered, p50", ours: us(a), theirs: us(b), anchor: anchorName, bar: 1.4, goal: 1.0}.compare(a, b))
	r.add(row{what: "durable DM, acked and delivered, p99", ours: us(a99), theirs: us(b99), anchor: anchorName}.compare(a99, b99))
	return nil
}

const anchorName = "JetStream, sync_interval always"

func micros(d []time.Duration, q float64) float64 {
	v := make([]float64, len(d))
	for i := range d {
		v[i] = float64(d[i].Nanoseconds()) / 1e3
	}
	return quantile(v, q)
}

// ourLatency sends one message at a time until it is both acknowledged and pushed to another connection.
func ourLatency(ctx context.Context, p plan, m member) ([]time.Duration, error) {
	from, err := dialLean(ctx, m, "from")
	if err != nil {
		return nil, err
	}
	defer from.bye()
	to, err := dialLean(ctx, m, "to")
	if err != nil {
		return nil, err
	}
	defer to.bye()
	got := make(chan struct{}, 1)
	go to.receive(told(got))
	return latencies(p, from, func(int) *lean { return to }, got)
}

// told says of each message that it came.
func told(got chan<- struct{}) func(int) {
	return func(n int) {
		for range n {
			got <- struct{}{}
		}
	}
}

// latencies sends one message at a time for a slice, until it is both acknowledged and delivered. The n-th goes to whom to
// gives.
func latencies(p plan, from *lean, to func(n int) *lean, got <-chan struct{}) ([]time.Duration, error) {
	var times []time.Duration
	for end := time.Now().Add(p.slice); time.Now().Before(end); {
		frame, err := prepare(to(len(times)).key.String())
		if err != nil {
			return nil, err
		}
		began := time.Now()
		if err := from.send(frame); err != nil {
			return nil, err
		}
		if err := from.acked(); err != nil {
			return nil, err
		}
		select {
		case <-got:
		case <-time.After(patience):
			return nil, fmt.Errorf("message %d was acknowledged and not delivered within %s", len(times)+1, patience)
		}
		times = append(times, time.Since(began))
	}
	return times, nil
}

// patience is how long a message that was acknowledged may take; one that takes longer is a fault and no figure.
const patience = 10 * time.Second

// load is a number of senders, each with a window of messages that wait for their acknowledgement.
type load struct {
	what            string
	senders, window int
	bar, goal       float64
}

func throughputRounds(ctx context.Context, p plan, r *report, m member, url string, l load) error {
	var a, b []float64
	for range p.rounds {
		ours, err := ourThroughput(ctx, p, m, l)
		if err != nil {
			return fmt.Errorf("ours: %w", err)
		}
		slice, cancel := context.WithTimeout(ctx, p.slice)
		theirs, err := jsSenders(slice, url, l.senders, l.window)
		cancel()
		if err != nil {
			return fmt.Errorf("JetStream: %w", err)
		}
		a, b = append(a, float64(ours)/p.slice.Seconds()), append(b, float64(theirs)/p.slice.Seconds())
	}
	rate := func(v []float64) string { return fmt.Sprintf("%.0f/s", quantile(v, 0.5)) }
	r.add(row{what: "durable " + l.what, ours: rate(a), theirs: rate(b), anchor: anchorName, bar: l.bar, goal: l.goal, moreIsGood: true}.compare(a, b))
	return nil
}

// ourThroughput counts what is acknowledged in a slice while another connection receives everything.
func ourThroughput(ctx context.Context, p plan, m member, l load) (int, error) {
	to, err := dialLean(ctx, m, "to")
	if err != nil {
		return 0, err
	}
	defer to.bye()
	go to.receive(func(int) {})
	frame, err := prepare(to.key.String())
	if err != nil {
		return 0, err
	}
	clients := make([]*lean, l.senders)
	for i := range clients {
		if clients[i], err = dialLean(ctx, m, fmt.Sprintf("sender-%d", i)); err != nil {
			return 0, err
		}
		defer clients[i].bye()
	}
	counts := make(chan result, l.senders)
	end := time.Now().Add(p.slice)
	for _, c := range clients {
		go func() {
			n, err := c.pump(frame, l.window, end)
			counts <- result{n, err}
		}()
	}
	return sum(counts, l.senders)
}

// pump keeps a window full until the end.
func (c *lean) pump(frame []string, window int, end time.Time) (int, error) {
	c.wide()
	for range window {
		c.sendLater(frame)
	}
	for n := 0; ; n++ {
		if err := c.acked(); err != nil || time.Now().After(end) {
			return n, err
		}
		c.sendLater(frame)
	}
}
