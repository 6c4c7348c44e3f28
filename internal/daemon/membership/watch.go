package membership

import (
	"bytes"
	"context"
	"crypto/sha256"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/claudemesh/claudemesh/internal/logkey"
)

// How long a burst of changes must be over, and how often the file is looked at where the system reports nothing:
// a network file system, a folder that was moved away.
const (
	watchSettle = 200 * time.Millisecond
	watchPoll   = 15 * time.Second
)

// PollOnly makes Watch look at the file from time to time instead of being told of changes: for file systems that do not
// tell, and for tests in a synctest bubble, whose clock would wait for the system. It is called before Watch.
func (b *Book) PollOnly() { b.pollOnly = true }

// Watch calls changed once at the start and again after config.json has other content, until ctx ends: a moment after
// the last of a burst of changes, whoever made them. Changed runs on this goroutine; what happens meanwhile leads to
// one more call.
func (b *Book) Watch(ctx context.Context, changed func()) error {
	return watch{b, watchSettle, watchPoll}.run(ctx, changed)
}

type watch struct {
	book         *Book
	settle, poll time.Duration
}

func (w watch) run(ctx context.Context, changed func()) error {
	var events <-chan fsnotify.Event
	var failures <-chan error
	if watcher := w.watcher(); watcher != nil {
		defer watcher.Close() // nothing is written through it
		events, failures = watcher.Events, watcher.Errors
	}
	poll := time.NewTicker(w.poll)
	defer poll.Stop()
	settle := time.NewTimer(w.settle)
	settle.Stop()
	last := w.content()
	changed()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-events:
			if filepath.Base(e.Name) == filepath.Base(w.book.Path()) {
				settle.Reset(w.settle)
			}
			continue
		case <-failures: // events were lost
			settle.Reset(w.settle)
			continue
		case <-settle.C:
		case <-poll.C:
		}
		if now := w.content(); !bytes.Equal(now, last) {
			last = now
			changed()
		}
	}
}

// watcher reports changes in the folder; nil where none is wanted, or the system has no room for one.
func (w watch) watcher() *fsnotify.Watcher {
	if w.book.pollOnly {
		return nil
	}
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		if err = watcher.Add(w.book.config.Dir); err == nil {
			return watcher
		}
		_ = watcher.Close() // the first error is the one to report
	}
	w.book.log.Warn("config folder is not watched, only polled", slog.String(logkey.Path, w.book.config.Dir), slog.Any(logkey.Err, err))
	return nil
}

// content stands for what the file says, or for why it cannot be read.
func (w watch) content() []byte {
	data, err := w.book.read()
	if err != nil {
		return []byte(err.Error())
	}
	sum := sha256.Sum256(data)
	return sum[:]
}
