package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// migration is one file of Options.Migrations.
type migration struct {
	name string // of the file
	text string
	sum  string // SHA-256 of the text in hex
}

var (
	migrationName = lazyRegexp(`^([0-9]{4})_[a-z0-9_]+\.sql$`)
	// A conflict or trigger that rolls back takes the writes of others in the group with it.
	rollback = lazyRegexp(`(?i)\bROLLBACK\b`)
)

// readMigrations returns the migrations in order: number n stands at index n-1.
func readMigrations(fsys fs.FS) ([]migration, error) {
	if fsys == nil {
		return nil, nil
	}
	entries, err := fs.ReadDir(fsys, ".") // sorted by name
	if err != nil {
		return nil, err
	}
	var set []migration
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".sql") {
			continue
		}
		m := migrationName().FindStringSubmatch(e.Name())
		if m == nil || m[1] != fmt.Sprintf("%04d", len(set)+1) {
			return nil, fmt.Errorf("migration %s: want %04d_what.sql, without gaps", e.Name(), len(set)+1)
		}
		b, err := fs.ReadFile(fsys, e.Name())
		if err != nil {
			return nil, err
		}
		text := strings.ReplaceAll(string(b), "\r\n", "\n") // a checkout may have changed the line ends
		if rollback().MatchString(text) {
			return nil, fmt.Errorf("migration %s: use ABORT where it says ROLLBACK", e.Name())
		}
		sum := sha256.Sum256([]byte(text))
		set = append(set, migration{name: e.Name(), text: text, sum: hex.EncodeToString(sum[:])})
	}
	return set, nil
}

// history is what a file says about itself.
type history struct {
	kept    bool     // it has our table
	tables  bool     // it has any table
	sums    []string // of the migrations it was made with, in order
	version int64    // user_version, which also other programs can read (daemon 10.2)
}

const createHistory = `CREATE TABLE schema_history (
	version    INTEGER PRIMARY KEY, -- of the migration, from 1
	name       TEXT NOT NULL,       -- of its file
	sha256     TEXT NOT NULL,       -- of its text, hex
	applied_at INTEGER NOT NULL     -- epoch ms
) STRICT`

func readHistory(ctx context.Context, c *conn) (history, error) {
	var h history
	var err error
	if h.version, err = c.number(ctx, "PRAGMA user_version"); err != nil {
		return h, err
	}
	err = c.query(ctx, "SELECT name FROM sqlite_schema WHERE type = 'table'", func(v []driver.Value) error {
		h.tables = true
		h.kept = h.kept || v[0] == "schema_history"
		return nil
	})
	if err != nil || !h.kept {
		return h, err
	}
	err = c.query(ctx, "SELECT version, sha256 FROM schema_history ORDER BY version", func(v []driver.Value) error {
		sum, _ := v[1].(string)
		h.sums = append(h.sums, sum)
		if v[0] != int64(len(h.sums)) {
			return fmt.Errorf("%w: history has no row %d", ErrDrift, len(h.sums))
		}
		return nil
	})
	return h, err
}

// judge says whether a program with these migrations may go on with the file.
func (h history) judge(set []migration, adopts bool) error {
	if len(set) == 0 {
		return nil
	}
	if newest := max(h.version, int64(len(h.sums))); newest > int64(len(set)) {
		return fmt.Errorf("%w: schema %d, this program knows %d", ErrNewerSchema, newest, len(set))
	}
	if !h.kept && h.tables && !adopts {
		return ErrForeign
	}
	if h.kept && h.version != int64(len(h.sums)) {
		return fmt.Errorf("%w: user_version is %d after %d migrations", ErrDrift, h.version, len(h.sums))
	}
	for i, sum := range h.sums {
		if sum != set[i].sum {
			return fmt.Errorf("%w: %s", ErrDrift, set[i].name)
		}
	}
	return nil
}

// migrate runs what the file has not seen, all in one transaction. Foreign keys are off meanwhile, since a
// table can only be rebuilt that way, and are checked before the commit.
func migrate(ctx context.Context, w *conn, set []migration, opt Options) error {
	if len(set) == 0 {
		return nil
	}
	h, err := readHistory(ctx, w)
	if err != nil || len(h.sums) == len(set) {
		return err
	}
	if err := w.exec(ctx, "PRAGMA foreign_keys = OFF"); err != nil {
		return err
	}
	if err := w.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := advance(ctx, w, set, opt); err != nil {
		return errors.Join(err, w.exec(context.WithoutCancel(ctx), "ROLLBACK"))
	}
	if err := w.exec(ctx, "COMMIT"); err != nil {
		return err
	}
	return w.exec(ctx, "PRAGMA foreign_keys = ON")
}

func advance(ctx context.Context, w *conn, set []migration, opt Options) error {
	h, err := readHistory(ctx, w) // again, inside: another process may have been faster
	if err != nil {
		return err
	}
	if err := h.judge(set, opt.Adopt != nil); err != nil {
		return err
	}
	if !h.kept {
		if err := found(ctx, w, h, opt); err != nil {
			return err
		}
	}
	for i := len(h.sums); i < len(set); i++ {
		if err := w.script(ctx, set[i].text); err != nil {
			return fmt.Errorf("migration %s: %w", set[i].name, err)
		}
		if err := record(w, i+1, set[i], opt); err != nil {
			return err
		}
	}
	if err := w.script(ctx, "PRAGMA user_version = "+strconv.Itoa(len(set))); err != nil {
		return err
	}
	return w.query(ctx, "PRAGMA foreign_key_check", func(v []driver.Value) error {
		return fmt.Errorf("migrated rows of %v have no parent in %v", v[0], v[2])
	})
}

// found gives a file its history table, after adopting what another program left in it.
func found(ctx context.Context, w *conn, h history, opt Options) error {
	if h.tables {
		tx := &Tx{c: w}
		err := opt.Adopt(tx)
		tx.end()
		if err = errors.Join(err, tx.err); err != nil {
			return fmt.Errorf("adopt: %w", err)
		}
	}
	return w.script(ctx, createHistory)
}

func record(w *conn, version int, m migration, opt Options) error {
	tx := &Tx{c: w}
	defer tx.end()
	_, err := tx.Exec("INSERT INTO schema_history (version, name, sha256, applied_at) VALUES ($1, $2, $3, $4)",
		version, m.name, m.sum, opt.Now().UnixMilli())
	return err
}
