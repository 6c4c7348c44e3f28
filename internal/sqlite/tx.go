package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Tx runs SQL inside one transaction. SQL uses parameters $1, $2, …; each text is prepared once per
// connection, so texts are constants. Arguments are strings, byte slices, integers, booleans, floats, nil,
// pointers to them, types made of them, and driver.Valuer; times are stored as integers by the caller.
//
// A Tx belongs to the goroutine of the function it was given to and ends with it, as do its rows.
type Tx struct {
	c       *conn
	open    []*Rows
	err     error  // the error that cost the transaction; every later statement gets it too
	harm    damage // of err
	guarded bool   // undo this function alone when it fails: its first change opens a savepoint
	saved   bool   // the savepoint is open
	over    bool
}

var (
	errTxOver  = errors.New("sqlite: transaction is over")
	errControl = errors.New("sqlite: transactions and attached files are the store's business")
)

// Exec runs a statement and returns how many rows it inserted, updated or deleted.
func (t *Tx) Exec(query string, args ...any) (int64, error) {
	st, err := t.start(query, args)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(context.Background(), t.c.args)
	if err = errors.Join(err, t.c.release(query, st)); err != nil {
		return 0, t.note(err)
	}
	return res.RowsAffected()
}

// Query runs a statement and returns its rows, also those of a RETURNING clause.
func (t *Tx) Query(query string, args ...any) (*Rows, error) {
	st, err := t.start(query, args)
	if err != nil {
		return nil, err
	}
	rs, err := st.QueryContext(context.Background(), t.c.args)
	if err != nil {
		return nil, t.note(errors.Join(err, t.c.release(query, st)))
	}
	if n := len(rs.Columns()); n != len(st.vals) {
		st.vals = make([]driver.Value, n)
	}
	st.busy = true
	r := &Rows{tx: t, query: query, st: st, rs: rs}
	t.open = append(t.open, r)
	return r, nil
}

// QueryRow runs a statement for its first row.
func (t *Tx) QueryRow(query string, args ...any) Row {
	rows, err := t.Query(query, args...)
	return Row{rows: rows, err: err}
}

// start prepares the statement, puts its arguments into t.c.args, and opens the savepoint before a change.
func (t *Tx) start(query string, args []any) (*stmt, error) {
	if t.over {
		return nil, errTxOver
	}
	if t.err != nil {
		return nil, t.err
	}
	st, err := t.c.prepare(context.Background(), query)
	if err != nil {
		return nil, t.note(err)
	}
	if err := t.admit(st, args); err != nil {
		return nil, errors.Join(err, t.c.release(query, st))
	}
	return st, nil
}

func (t *Tx) admit(st *stmt, args []any) error {
	if st.control {
		return errControl
	}
	if len(args) != st.params {
		return fmt.Errorf("sqlite: statement has %d parameters, got %d arguments", st.params, len(args))
	}
	if t.guarded && !t.saved && !st.reads {
		if err := t.c.exec(context.Background(), "SAVEPOINT op"); err != nil {
			return t.note(err)
		}
		t.saved = true
	}
	var err error
	t.c.args, err = bind(t.c.args[:0], args)
	return err
}

// note names the driver's error and remembers when it cost the transaction.
func (t *Tx) note(err error) error {
	err, harm := wrap(err)
	if harm > t.harm {
		t.err, t.harm = err, harm
	}
	return err
}

// end closes the rows that the function left open. Nothing runs on t afterwards.
func (t *Tx) end() {
	for len(t.open) > 0 {
		_ = t.open[0].Close() // noted in t.err if it matters
	}
	t.over = true
}

// settle keeps or undoes what a guarded function did, by whether it returned an error.
func (t *Tx) settle(err error) {
	if !t.saved || t.err != nil {
		return
	}
	keep := []string{"RELEASE op"}
	if err != nil {
		keep = []string{"ROLLBACK TO op", "RELEASE op"}
	}
	for _, s := range keep {
		if err := t.c.exec(context.Background(), s); err != nil {
			// The savepoint is gone, so the transaction is: a statement asked for its rollback.
			t.err, t.harm = named(err), max(transaction, t.harm)
			return
		}
	}
}

// Rows is the result of Query, read row by row. Rows that were not read to their end are closed by Close or
// with their transaction.
type Rows struct {
	tx     *Tx
	query  string
	st     *stmt
	rs     driver.Rows
	err    error
	closed bool
}

// Next moves to the next row. It returns false after the last one and at an error, which Err reports.
func (r *Rows) Next() bool {
	if r.closed {
		return false
	}
	err := r.rs.Next(r.st.vals)
	if err == nil {
		return true
	}
	if err != io.EOF {
		r.err = r.tx.note(err)
	}
	r.err = errors.Join(r.err, r.Close())
	return false
}

// Scan copies the row into dest: pointers to strings, byte slices, integers, booleans, floats, to types made
// of them or to any; a pointer to one of these pointers for a column that may be NULL; or a sql.Scanner.
func (r *Rows) Scan(dest ...any) error {
	if r.closed {
		return errors.New("sqlite: Scan without a row")
	}
	if len(dest) != len(r.st.vals) {
		return fmt.Errorf("sqlite: row has %d columns, got %d destinations", len(r.st.vals), len(dest))
	}
	for i, v := range r.st.vals {
		if err := assign(dest[i], v); err != nil {
			return fmt.Errorf("sqlite: column %d: %w", i+1, err)
		}
	}
	return nil
}

// Err returns the error that ended Next, if one did.
func (r *Rows) Err() error { return r.err }

// Close ends the reading. Closing again does nothing.
func (r *Rows) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	if i := slices.Index(r.tx.open, r); i >= 0 {
		r.tx.open = slices.Delete(r.tx.open, i, i+1)
	}
	if err := errors.Join(r.rs.Close(), r.tx.c.release(r.query, r.st)); err != nil {
		return r.tx.note(err)
	}
	return nil
}

// Row is the result of QueryRow. Its Scan must be called.
type Row struct {
	rows *Rows
	err  error
}

// Scan copies the row into dest as Rows.Scan does. Without a row it returns sql.ErrNoRows.
func (r Row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return sql.ErrNoRows
	}
	return errors.Join(r.rows.Scan(dest...), r.rows.Close())
}
