// Package sqlite opens SQLite files the way this program does: durable, private, migrated, with one writer
// that commits what waits in groups, and readers beside it. It knows no table of anyone.
package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	defaultQueueLen    = 4096
	defaultMaxBatch    = 1024
	defaultBusyTimeout = 5 * time.Second // (daemon 4)
)

// Options says what a file holds. The zero value opens a file without tables of its own.
type Options struct {
	// Migrations holds NNNN_what.sql from 0001 without gaps, in its root. They run in order, once, in one
	// transaction; one that was released is never edited.
	Migrations fs.FS
	// Adopt prepares a file with tables but no history, which another program left, for migration 0001.
	// It runs in the transaction of the migrations. Without it such files are refused with ErrForeign.
	Adopt func(*Tx) error
	// Now stamps the history. Required with Migrations.
	Now func() time.Time
	// Log hears of failed stores, late checkpoints and panics. Nil is silence.
	Log *slog.Logger
	// QueueLen bounds the functions that wait for the committer, 0 means 4096. At the bound callers wait.
	QueueLen int
	// MaxBatch bounds the functions of one transaction, 0 means 1024.
	MaxBatch int
	// Small is for a file of one user's daemon, which has several of them, for months: less memory, and fewer readers.
	Small bool

	busyTimeout time.Duration
}

// DB is one open file. All its methods may be called from any goroutine; Close ends it.
type DB struct {
	path     string
	log      *slog.Logger
	maxBatch int
	readDSN  string

	writer    *conn // the committer's; Open's before it starts, Close's after it ended
	syncer    *syncer
	moving    checkpoint // of the log into the file; the committer's
	mu        sync.RWMutex
	closed    bool // under mu
	queue     chan *op
	committed chan struct{} // closed when the committer has ended
	failed    breakage

	readers chan *conn    // idle ones; nil is one not opened yet
	closing chan struct{} // closed by Close, for those who wait for a reader
	close   func() error  // shutdown, once
}

// Open opens the file at path, or makes it with mode 0600 in a folder that exists, migrates it, and starts
// its committer. WAL with a sync before every answer, foreign keys, secure delete (design A6).
//
// It refuses with an error of this package what it does not understand, before it has changed a byte of it:
// a folder, another format, another program's tables, a newer schema, an edited migration, a log without its
// file, damage in the structure. It reads files up to 8 MiB whole for that; Check does so for larger ones.
// The caller decides whether to keep such a file aside, with its -wal and -shm.
func Open(ctx context.Context, path string, opt Options) (*DB, error) {
	db, err := open(ctx, path, opt)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, named(err))
	}
	db.start()
	return db, nil
}

// start begins the goroutines that Close ends.
func (db *DB) start() {
	go db.commitLoop()
	go db.syncer.run()
}

func open(ctx context.Context, path string, opt Options) (*DB, error) {
	opt = opt.withDefaults()
	set, err := readMigrations(opt.Migrations)
	if err != nil {
		return nil, err
	}
	if path, err = claim(path); err != nil {
		return nil, err
	}
	if err := inspect(ctx, path, set, opt); err != nil {
		return nil, err
	}
	if err := harden(path); err != nil {
		return nil, err
	}
	if err := settle(path); err != nil {
		return nil, err
	}
	w, err := openWriter(ctx, path, opt)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, w, set, opt); err != nil {
		return nil, errors.Join(err, w.close())
	}
	db := &DB{
		path:      path,
		log:       opt.Log,
		maxBatch:  opt.MaxBatch,
		readDSN:   dsn(path, readOnly, opt.busyTimeout, cacheSize(opt.size().readerKiB)),
		writer:    w,
		queue:     make(chan *op, opt.QueueLen),
		failed:    breakage{known: make(chan struct{})},
		committed: make(chan struct{}),
		readers:   make(chan *conn, opt.size().readers),
		closing:   make(chan struct{}),
	}
	for range cap(db.readers) {
		db.readers <- nil
	}
	db.syncer = newSyncer(db)
	db.close = sync.OnceValue(db.shutdown)
	return db, nil
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.QueueLen <= 0 {
		o.QueueLen = defaultQueueLen
	}
	if o.MaxBatch <= 0 {
		o.MaxBatch = defaultMaxBatch
	}
	if o.busyTimeout <= 0 {
		o.busyTimeout = defaultBusyTimeout
	}
	return o
}

// writerPragmas make a commit durable and private. Checkpoints are ours: see checkpoint.go.
var writerPragmas = []string{
	"journal_mode(wal)",
	"synchronous(normal)", // commits are synced by the syncer, checkpoints by SQLite
	"foreign_keys(1)",
	"secure_delete(1)",
	"wal_autocheckpoint(0)",
}

// size is how much is kept in memory: the pages of the writer, best those of a group until its commit, those of each reader,
// which the system keeps as well, and the statements of each of them.
type size struct{ cacheKiB, readers, readerKiB int }

func (o Options) size() size {
	if o.Small {
		return size{cacheKiB: 128, readers: 2, readerKiB: 64}
	}
	return size{cacheKiB: 8192, readers: 4, readerKiB: 128}
}

// cacheSize is the pragma of a cache.
func cacheSize(kib int) string { return "cache_size(-" + strconv.Itoa(kib) + ")" }

// openWriter opens the connection that writes, and makes sure that it can and that the file is in WAL mode.
func openWriter(ctx context.Context, path string, opt Options) (*conn, error) {
	w, err := connect(ctx, dsn(path, readWrite, opt.busyTimeout, append(slices.Clone(writerPragmas), cacheSize(opt.size().cacheKiB))...))
	if err != nil {
		return nil, err
	}
	if err := checkWriter(ctx, w); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func checkWriter(ctx context.Context, w *conn) error {
	ro, err := w.dc.(interface {
		IsReadOnly(schema string) (bool, error)
	}).IsReadOnly("main")
	if err != nil {
		return err
	}
	if ro {
		return ErrReadOnly
	}
	return w.query(ctx, "PRAGMA journal_mode", func(v []driver.Value) error {
		if v[0] != "wal" {
			return fmt.Errorf("journal mode is %v, want wal: this file system has no shared memory", v[0])
		}
		return nil
	})
}

// Read runs fn on a snapshot of what was committed when its first statement ran, and returns when that is on the
// disk. A write in it fails with ErrReadOnly. At most four run at a time, others wait; fn must not wait for a Read of its own. Ctx ends the
// waiting, not fn. The log cannot shrink below what the oldest snapshot needs, so fn is short.
func (db *DB) Read(ctx context.Context, fn func(*Tx) error) error {
	c, err := db.reader(ctx)
	if err != nil {
		return err
	}
	tx := &Tx{c: c}
	defer db.syncer.wait()
	defer func() {
		tx.end()
		if err := c.exec(context.Background(), "ROLLBACK"); err != nil || tx.harm > statement {
			_ = c.close() // a fresh one will tell what is wrong
			c = nil
		} else {
			c.trim()
		}
		db.readers <- c
	}()
	if err := c.exec(context.Background(), "BEGIN"); err != nil {
		return tx.note(err)
	}
	return fn(tx)
}

// reader takes a reader out of the pool, opening it at its first use.
func (db *DB) reader(ctx context.Context) (*conn, error) {
	select {
	case <-db.closing:
		return nil, ErrClosed
	default:
	}
	select {
	case c := <-db.readers:
		if c != nil {
			return c, nil
		}
		c, err := connect(ctx, db.readDSN)
		if err != nil {
			db.readers <- nil
			return nil, named(err)
		}
		return c, nil
	case <-db.closing:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Check reads the whole file and returns ErrCorrupt with what is wrong in its structure. It takes about a
// second per gigabyte, one reader, and ends with ctx.
func (db *DB) Check(ctx context.Context) error {
	c, err := db.reader(ctx)
	if err != nil {
		return err
	}
	defer func() { db.readers <- c }()
	return named(quickCheck(ctx, c))
}

// Close refuses new work, finishes what was accepted, moves the log into the file and closes it. Closing
// again waits for the first Close and returns the same.
func (db *DB) Close() error { return db.close() }

func (db *DB) shutdown() error {
	db.mu.Lock() // waits for those who are sending
	db.closed = true
	db.mu.Unlock()
	close(db.closing)
	close(db.queue)
	<-db.committed
	errs := []error{db.syncer.close()}
	for range cap(db.readers) {
		if c := <-db.readers; c != nil {
			errs = append(errs, c.close())
		}
	}
	return named(errors.Join(append(errs, db.writer.close())...))
}
