package mcp

import (
	"context"
	"log/slog"
	"time"

	"github.com/claudemesh/claudemesh/internal/local"
	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/logkey"
)

const (
	offersQueue = 1000 // what is not confirmed yet; at the bound, messages wait
	offersBatch = 1000 // the most that one call takes
	offersPause = 100 * time.Millisecond
	offersRetry = 2 * time.Second
)

// offer is a message that was written to the host, by its attempt token.
type offer struct{ attempt, path string }

// offers tells the daemon which messages were written to the host, several at once.
type offers struct {
	client *local.Client
	log    *slog.Logger
	queue  chan offer
}

func newOffers(c *local.Client, log *slog.Logger) *offers {
	return &offers{client: c, log: log, queue: make(chan offer, offersQueue)}
}

// add hands over an offer. It waits while the queue is full.
func (o *offers) add(ctx context.Context, one offer) {
	if one.attempt == "" {
		return // the daemon does not ask for it
	}
	select {
	case o.queue <- one:
	case <-ctx.Done():
	}
}

// run confirms until ctx ends, and then what is left, within farewellTime.
func (o *offers) run(ctx context.Context) {
	for {
		select {
		case first := <-o.queue:
			batch := o.collect(ctx, first)
			for !o.confirm(ctx, batch) && ctx.Err() == nil {
				pause(ctx, offersRetry)
			}
			if ctx.Err() != nil {
				o.last(batch)
				return
			}
		case <-ctx.Done():
			o.last(nil)
			return
		}
	}
}

// collect waits a moment for more offers.
func (o *offers) collect(ctx context.Context, first offer) []offer {
	pause(ctx, offersPause)
	return o.take([]offer{first})
}

// take adds what is in the queue.
func (o *offers) take(batch []offer) []offer {
	for len(batch) < offersBatch {
		select {
		case one := <-o.queue:
			batch = append(batch, one)
		default:
			return batch
		}
	}
	return batch
}

// last confirms what is left when the session ends; confirming twice counts once.
func (o *offers) last(batch []offer) {
	ctx, cancel := context.WithTimeout(context.Background(), farewellTime) // the run's own context has ended
	defer cancel()
	for batch = o.take(batch); len(batch) > 0; batch = o.take(nil) {
		if !o.confirm(ctx, batch) {
			return
		}
	}
}

// confirm makes one call per path, and reports whether all of them worked.
func (o *offers) confirm(ctx context.Context, batch []offer) bool {
	byPath := map[string][]string{}
	for _, one := range batch {
		byPath[one.path] = append(byPath[one.path], one.attempt)
	}
	ok := true
	for path, attempts := range byPath {
		ctx, cancel := context.WithTimeout(ctx, callTime)
		_, err := localapi.InboxOffered.Do(ctx, o.client, localapi.OfferedRequest{Attempts: attempts, Path: path})
		cancel()
		if err != nil {
			o.log.Warn("offers are not confirmed", slog.Int(logkey.Count, len(attempts)), slog.Any(logkey.Err, err))
			ok = false
		}
	}
	return ok
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
