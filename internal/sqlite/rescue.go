package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Salvage is what was saved of one table.
type Salvage struct {
	Table string
	Rows  int64
	Holes int64 // places where rows could not be read, or not be kept; 0: it is whole
}

// Rescue makes a new file at to by the migrations, for nobody else to read, and copies into it every row that can still be
// read of the file at path, which is not changed. Tables that cannot be read at all count one hole. Rows whose parents are
// lost are left out. It fails when nothing can be read, with ErrNotDatabase, and leaves no file then.
func Rescue(ctx context.Context, path, to string, opt Options) ([]Salvage, error) {
	saved, err := rescue(ctx, path, to, opt.withDefaults())
	if err != nil {
		for _, suffix := range append([]string{""}, companions...) {
			_ = os.Remove(to + suffix) // it was made here
		}
		return nil, fmt.Errorf("rescue %s: %w", path, named(err))
	}
	return saved, nil
}

func rescue(ctx context.Context, path, to string, opt Options) (saved []Salvage, err error) {
	set, err := readMigrations(opt.Migrations)
	if err != nil {
		return nil, err
	}
	if err := create(to); err != nil {
		return nil, err
	}
	in, err := connect(ctx, dsn(path, readOnly, opt.busyTimeout))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	if _, err := in.number(ctx, "SELECT count(*) FROM sqlite_schema"); err != nil {
		return nil, join(ErrNotDatabase, err)
	}
	out, err := openWriter(ctx, to, opt)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, out.close()) }()
	if err := migrate(ctx, out, set, opt); err != nil {
		return nil, err
	}
	return salvage(ctx, in, out)
}

// salvage copies table by table, and drops what has lost its parent.
func salvage(ctx context.Context, in, out *conn) ([]Salvage, error) {
	if err := out.script(ctx, "PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	var names []string
	err := out.query(ctx, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name <> 'schema_history'`,
		func(v []driver.Value) error { names = append(names, v[0].(string)); return nil })
	if err != nil {
		return nil, err
	}
	saved := make([]Salvage, 0, len(names))
	for _, name := range names {
		t, err := newTable(ctx, in, out, name)
		if err == nil {
			err = t.copy(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", name, err)
		}
		saved = append(saved, t.Salvage)
	}
	if err := dropStrays(ctx, out, saved); err != nil {
		return nil, err
	}
	return saved, out.script(ctx, "COMMIT; PRAGMA foreign_keys = ON; PRAGMA wal_checkpoint(TRUNCATE)")
}

// table is one that is being copied.
type table struct {
	Salvage
	in, out *conn
	columns string // that both files have
	rowid   bool   // rows have numbers, by which holes are passed
	insert  *stmt
}

func newTable(ctx context.Context, in, out *conn, name string) (*table, error) {
	t := &table{Salvage: Salvage{Table: name}, in: in, out: out}
	has := map[string]bool{}
	quoted := quote(name)
	if err := in.query(ctx, "SELECT name FROM pragma_table_info("+literal(name)+")", func(v []driver.Value) error {
		has[v[0].(string)] = true
		return nil
	}); err != nil {
		return t, err
	}
	var columns, marks []string
	err := out.query(ctx, "SELECT name FROM pragma_table_info("+literal(name)+")", func(v []driver.Value) error {
		if column := v[0].(string); has[column] {
			columns = append(columns, quote(column))
			marks = append(marks, fmt.Sprintf("$%d", len(marks)+2))
		}
		return nil
	})
	if err != nil || len(columns) == 0 {
		return t, err
	}
	without, err := out.number(ctx, "SELECT wr FROM pragma_table_list("+literal(name)+")")
	if err != nil {
		return t, err
	}
	t.rowid, t.columns = without == 0, strings.Join(columns, ", ")
	into := "INSERT OR IGNORE INTO " + quoted + " (" + t.columns + ") SELECT " + strings.Join(marks, ", ") + " WHERE $1 IS NOT NULL"
	if t.rowid {
		into = "INSERT OR IGNORE INTO " + quoted + " (rowid, " + t.columns + ") VALUES ($1, " + strings.Join(marks, ", ") + ")"
	}
	t.insert, err = out.prepare(ctx, into)
	return t, err
}

// copy reads what can be read.
func (t *table) copy(ctx context.Context) error {
	if t.columns == "" {
		t.Holes = 1 // the older file has no such table, or its place is not readable
		return nil
	}
	if t.rowid {
		return t.copyNumbered(ctx)
	}
	_, broken, err := t.read(ctx, "SELECT 1, "+t.columns+" FROM "+quote(t.Table))
	if err != nil || !broken {
		return err
	}
	t.Holes++
	key, err := t.key(ctx)
	if err != nil || key == "" {
		return err
	}
	_, _, err = t.read(ctx, "SELECT 1, "+t.columns+" FROM "+quote(t.Table)+" ORDER BY "+key) // from the other end
	return err
}

// key is the primary key, descending.
func (t *table) key(ctx context.Context) (string, error) {
	var parts []string
	err := t.out.query(ctx, "SELECT name FROM pragma_table_info("+literal(t.Table)+") WHERE pk > 0 ORDER BY pk", func(v []driver.Value) error {
		parts = append(parts, quote(v[0].(string))+" DESC")
		return nil
	})
	return strings.Join(parts, ", "), err
}

// copyNumbered reads rows by their numbers. Where that breaks off, it looks for the next number that can be reached: a
// damaged page costs its own rows only.
func (t *table) copyNumbered(ctx context.Context) error {
	last := int64(-1 << 63)
	for {
		next, broken, err := t.read(ctx, fmt.Sprintf("SELECT rowid, %s FROM %s NOT INDEXED WHERE rowid > %d ORDER BY rowid", t.columns, quote(t.Table), last))
		if err != nil || !broken {
			return err
		}
		t.Holes++
		last = max(last, next)
		if last == -1<<63 {
			last = 0 // numbers begin with 1, unless somebody chose others
		}
		beyond, found := t.beyond(ctx, last)
		if !found {
			return ctx.Err()
		}
		last = beyond
	}
}

// maxLeap bounds the search for the end of a hole: 2^40 rows.
const maxLeap = 40

// beyond finds the least number after from behind which a row can be read.
func (t *table) beyond(ctx context.Context, from int64) (int64, bool) {
	readable := func(n int64) bool {
		_, err := t.in.number(ctx, fmt.Sprintf("SELECT count(*) FROM (SELECT %s FROM %s NOT INDEXED WHERE rowid > %d ORDER BY rowid LIMIT 1)", t.columns, quote(t.Table), n))
		return err == nil
	}
	for leap := range maxLeap {
		far := from + 1<<leap
		if !readable(far) {
			continue
		}
		near := from + 1<<leap>>1 // not readable, or from itself
		for near+1 < far {
			if middle := near + (far-near)/2; readable(middle) {
				far = middle
			} else {
				near = middle
			}
		}
		return far, true
	}
	return 0, false
}

// read copies the rows of a query, whose first column is their number, and gives the last number, and whether the file
// broke off.
func (t *table) read(ctx context.Context, query string) (last int64, broken bool, err error) {
	last = -1 << 63
	rs, err := t.in.dc.(driver.QueryerContext).QueryContext(ctx, query, nil)
	if err != nil {
		return last, true, ctx.Err() // the file is what is wrong
	}
	defer func() { _ = rs.Close() }() // it repeats what the last row reported
	vals := make([]driver.Value, len(rs.Columns()))
	for {
		switch err := rs.Next(vals); {
		case err == io.EOF:
			return last, false, nil
		case err != nil:
			return last, true, ctx.Err()
		}
		last = vals[0].(int64)
		if err := t.put(ctx, vals); err != nil {
			return last, false, err
		}
	}
}

// put writes one row. One that breaks what must hold of it is a hole.
func (t *table) put(ctx context.Context, vals []driver.Value) error {
	args := make([]driver.NamedValue, len(vals))
	for i, v := range vals {
		args[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	res, err := t.insert.ExecContext(ctx, args)
	if err != nil {
		if _, harm := wrap(err); harm > statement || ctx.Err() != nil {
			return err
		}
		t.Holes++
		return nil
	}
	n, err := res.RowsAffected()
	t.Rows += n
	if t.rowid && n == 0 { // others are read from both ends, and may come twice
		t.Holes++
	}
	return err
}

// dropStrays deletes rows whose parents could not be read, and rows that hang on those.
func dropStrays(ctx context.Context, out *conn, saved []Salvage) error {
	for {
		var stray []string
		err := out.query(ctx, "PRAGMA foreign_key_check", func(v []driver.Value) error {
			if n, ok := v[1].(int64); ok {
				name := v[0].(string)
				stray = append(stray, fmt.Sprintf("DELETE FROM %s WHERE rowid = %d", quote(name), n))
				for i := range saved {
					if saved[i].Table == name {
						saved[i].Rows--
						saved[i].Holes++
					}
				}
			}
			return nil
		})
		if err != nil || len(stray) == 0 {
			return err
		}
		if err := out.script(ctx, strings.Join(stray, ";")); err != nil {
			return err
		}
	}
}

// quote writes a name of a table or column.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal writes a text.
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
