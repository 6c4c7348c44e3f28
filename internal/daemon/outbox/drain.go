package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

const (
	ackTimeout  = 15 * time.Second // (daemon 6.3)
	sendTimeout = 15 * time.Second // for the socket to take a frame
	claimHold   = 30 * time.Second // (daemon 13.1)
	stopWait    = 2 * time.Second
	storeRetry  = time.Second // when the disk is full or the file locked
	expireEvery = time.Minute
)

// drain sends the rows of one mesh. One goroutine owns it; those that wait for acks only report.
type drain struct {
	o        *Outbox
	meshID   mesh.ID
	route    Route
	log      *slog.Logger
	wake     <-chan struct{}
	plan     *schedule
	cursor   int64        // rowid up to which rows were read
	changes  []change     // to be written with the next claims
	results  chan attempt // never full: as long as all that can be under way
	replies  sync.WaitGroup
	expireAt time.Time
}

// Drain sends what is pending for one mesh until ctx ends, then waits up to 2 s for the acks under way. Rows go in the
// order of their acceptance per (target, sender). Only one Drain may run for a mesh. slug adopts rows of the TypeScript
// daemon, which knew no mesh id. It ends early only when the store fails.
func (o *Outbox) Drain(ctx context.Context, meshID mesh.ID, slug string, r Route) error {
	wake, err := o.wakes.add(meshID)
	if err != nil {
		return err
	}
	defer o.wakes.remove(meshID)
	if err := adoptMesh(ctx, o, meshID, slug); err != nil {
		return stopped(ctx, err)
	}
	d := &drain{
		o: o, meshID: meshID, route: r, wake: wake, plan: newSchedule(),
		log:     o.log.With(slog.String(logkey.Mesh, slug), slog.String(logkey.Component, "outbox")),
		results: make(chan attempt, maxLanes*maxWindow),
	}
	// Acks under way may still come when ctx has ended, until stop gives them up.
	acks, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	err = d.run(ctx, acks)
	return errors.Join(stopped(ctx, err), d.stop(acks, giveUp))
}

// stopped drops what only says that ctx has ended.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return sqlite.Coded(err)
}

// adoptMesh gives rows of the TypeScript daemon their mesh, and frees rows that an earlier drain could not.
func adoptMesh(ctx context.Context, o *Outbox, meshID mesh.ID, slug string) error {
	return insist(ctx, o, func(tx *sqlite.Tx) error {
		if _, err := tx.Exec("UPDATE outbox SET mesh_id = $1 WHERE mesh_id = '' AND mesh = $2", meshID, slug); err != nil {
			return err
		}
		_, err := tx.Exec("UPDATE outbox SET status = 'pending' WHERE mesh_id = $1 AND status = 'inflight'", meshID)
		return err
	})
}

// run goes round: take in what was answered and accepted, write it together with the next claims in one
// transaction, send what was claimed. Whatever comes during the sync is the next round.
func (d *drain) run(ctx, acks context.Context) error {
	if err := d.load(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := d.collect(ctx); err != nil {
			return err
		}
		changed := d.route.Changed() // before Open is asked, so that no change is missed
		now := d.o.now()
		d.plan.limit(d.route.Limits())
		d.expire(now)
		d.giveUp()
		picked := d.plan.pick(now, d.route.Open)
		if len(picked) > 0 || len(d.changes) > 0 {
			frames, err := d.write(ctx, picked)
			if err != nil {
				d.leave(picked)
				return err
			}
			d.send(ctx, acks, frames)
			continue
		}
		if err := d.idle(ctx, changed); err != nil {
			return err
		}
	}
	return nil
}

// leave takes back what was picked and not claimed.
func (d *drain) leave(picked []attempt) {
	for _, a := range picked {
		a.verdict = gone
		d.land(a)
	}
}

// idle waits for whatever comes first.
func (d *drain) idle(ctx context.Context, changed <-chan struct{}) error {
	now := d.o.now()
	wait := d.expireAt.Sub(now)
	if due, ok := d.plan.wait(now, d.route.Open); ok {
		wait = min(wait, due)
	}
	timer := time.NewTimer(max(wait, time.Millisecond))
	defer timer.Stop()
	select {
	case a := <-d.results:
		d.land(a)
	case <-d.wake:
		return d.load(ctx)
	case <-changed:
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

// collect takes in what was answered and accepted meanwhile.
func (d *drain) collect(ctx context.Context) error {
	for {
		select {
		case a := <-d.results:
			d.land(a)
		case <-d.wake:
			if err := d.load(ctx); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// load reads the rows that were accepted since the last time, and lets go those that were aborted. Rowids are given in
// the order of the commits, so that none below the cursor can appear later.
func (d *drain) load(ctx context.Context) error {
	d.plan.forget(d.o.wakes.dropped(d.meshID))
	return d.o.db.Read(ctx, func(tx *sqlite.Tx) error {
		rows, err := tx.Query(`SELECT rowid, client_message_id, target_spec, coalesce(sender_session_pubkey, ''),
			enqueued_at, next_attempt_at, attempts FROM outbox
			WHERE mesh_id = $1 AND status IN ('pending', 'inflight') AND status = 'pending' AND rowid > $2
			ORDER BY rowid`, d.meshID, d.cursor)
		if err != nil {
			return err
		}
		for rows.Next() {
			var key laneKey
			var r ref
			if err := rows.Scan(&r.seq, &r.id, &key.target, &key.sender, &r.enqueuedMs, &r.nextMs, &r.attempts); err != nil {
				return err
			}
			d.plan.add(key, r)
			d.cursor = r.seq
		}
		return rows.Err()
	})
}

// expire ends rows that are too old to be sent without danger (daemon 10.6).
func (d *drain) expire(now time.Time) {
	if now.Before(d.expireAt) {
		return
	}
	d.expireAt = now.Add(expireEvery)
	for _, a := range d.plan.expire(now.Add(-maxAge(d.route.Limits()))) {
		d.log.Warn("message was not accepted in time", slog.String(logkey.ClientMessageID, string(a.id)))
		d.changes = append(d.changes, change{attempt: a, from: Pending, to: Dead, error: string(mesh.MaxAge)})
	}
}

// giveUp ends the rows of senders whom the broker will not hear again.
func (d *drain) giveUp() {
	for _, a := range d.plan.abandon(func(sender mesh.Key) bool { return d.route.Barred(sender) != "" }) {
		code := d.route.Barred(a.lane.key.sender)
		d.log.Warn("message was given up", slog.String(logkey.ClientMessageID, string(a.id)), slog.String(logkey.Reason, string(code)))
		d.changes = append(d.changes, change{attempt: a, from: Pending, to: Dead, error: string(code)})
	}
}

// frame is a claimed row as it goes out.
type frame struct {
	attempt
	req protocol.SendRequest
}

// send writes frames in order. When one of a lane was not written, those behind it stay back.
func (d *drain) send(ctx, acks context.Context, frames []frame) {
	for _, f := range frames {
		switch l := f.lane; {
		case f.verdict == gone:
			d.land(f.attempt)
		case len(l.broken) > 0:
			f.verdict = overtaking
			d.land(f.attempt)
		case tooBig(f.req, d.route.Limits()):
			f.verdict, f.reason = final, string(mesh.PayloadTooLarge)
			d.land(f.attempt)
		default:
			d.sendOne(ctx, acks, f)
		}
	}
}

func (d *drain) sendOne(ctx, acks context.Context, f frame) {
	f.req.After = f.lane.last
	timed, cancel := context.WithTimeout(ctx, sendTimeout)
	reply, err := d.route.Send(timed, f.lane.key.sender, f.req)
	cancel()
	if err != nil {
		f.verdict, f.reason = unanswered, err.Error()
		if mesh.IsCode(err, mesh.PayloadTooLarge) {
			f.verdict = final
		}
		d.land(f.attempt)
		return
	}
	f.lane.last = f.id
	d.replies.Go(func() {
		timed, cancel := context.WithTimeout(acks, ackTimeout)
		defer cancel()
		d.results <- f.answered(reply(timed))
	})
}

// answered notes in an attempt how it ended.
func (a attempt) answered(ack protocol.Ack, err error) attempt {
	if err != nil {
		a.verdict, a.reason = judgeError(err), err.Error()
		return a
	}
	a.verdict, a.reason, a.mailboxes = judge(ack), ack.Error, ack.Recipients
	a.retry = min(time.Duration(max(ack.RetryMs, 0))*time.Millisecond, maxBackoff)
	if a.brokerID = ack.MessageID; a.brokerID == "" {
		a.brokerID = mesh.ID(ack.ID)
	}
	if a.reason == "" {
		a.reason = string(ack.Code)
	}
	return a
}

// land takes in how an attempt ended and notes what is to be written.
func (d *drain) land(a attempt) {
	now := d.o.now()
	a.reason = clean(a.reason)
	if a.verdict == oversized && d.plan.suspects[a.lane.key.sender][a.seq] {
		a.verdict = final // it was alone this time
	}
	switch a.verdict {
	case accepted:
		d.changes = append(d.changes, change{attempt: a, from: Inflight, to: Done, atMs: now.UnixMilli()})
	case final:
		d.log.Warn("message was refused for good", slog.String(logkey.ClientMessageID, string(a.id)), slog.String(logkey.Reason, a.reason))
		d.changes = append(d.changes, change{attempt: a, from: Inflight, to: Dead, error: a.reason})
	case refused, throttled, unanswered, overtaking, oversized, gone:
	}
	for _, back := range d.plan.landed(now, a) {
		d.changes = append(d.changes, change{attempt: back, from: Inflight, to: Pending, error: back.reason})
	}
}

// tooBig reports whether the broker would close the connection over the frame.
func tooBig(req protocol.SendRequest, l protocol.Limits) bool {
	limit := l.FrameBytes
	if limit <= 0 {
		limit = defaultFrameBytes
	}
	if int64(len(req.Ciphertext))+2048 < limit {
		return false // the other fields cannot make it that long
	}
	data, err := protocol.Send.Encode("", req)
	return err != nil || int64(len(data)) > limit
}

// defaultFrameBytes is the limit of brokers that name none (wire 1).
const defaultFrameBytes = 64 << 10

// stop waits a little for the acks under way and puts the rest back.
func (d *drain) stop(acks context.Context, giveUp context.CancelFunc) error {
	wait := time.AfterFunc(stopWait, giveUp)
	d.replies.Wait()
	wait.Stop()
	for range len(d.results) {
		d.land(<-d.results)
	}
	if len(d.changes) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(acks), stopWait)
	defer cancel()
	if _, err := d.write(ctx, nil); err != nil {
		return sqlite.Coded(fmt.Errorf("put rows back at the end of a drain: %w", err))
	}
	return nil
}
