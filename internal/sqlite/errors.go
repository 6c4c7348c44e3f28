package sqlite

import (
	"errors"
	"fmt"

	modernc "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// What Open, Read, Write, Submit and Check report. Compare with errors.Is; the text behind it is SQLite's.
var (
	// ErrClosed answers whoever comes after Close.
	ErrClosed = errors.New("sqlite: store is closed")
	// ErrStoreFailed ends a store: a commit or a write to its files went wrong, so what was being written
	// may or may not be there after a restart. Reads go on; nothing is written until the file is opened again.
	ErrStoreFailed = errors.New("sqlite: store failed, restart needed")
	// ErrFull refuses a write because the disk is full. It changed nothing; the same write may succeed later.
	ErrFull = errors.New("the disk is full, nothing was stored")
	// ErrBusy says that another process held the file for longer than the busy timeout.
	ErrBusy = errors.New("sqlite: file is locked by another process")
	// ErrReadOnly refuses a file that cannot be written, and a write inside Read.
	ErrReadOnly = errors.New("sqlite: read-only")
	// ErrNotDatabase refuses a folder, a device, or a file that is not SQLite's.
	ErrNotDatabase = errors.New("sqlite: not a database file")
	// ErrCorrupt reports a damaged file. The file was not touched.
	ErrCorrupt = errors.New("sqlite: database is damaged")
	// ErrNewerSchema refuses a file that a newer version of the program wrote.
	ErrNewerSchema = errors.New("sqlite: file was written by a newer version")
	// ErrDrift refuses a file whose history differs from the migrations of this program.
	ErrDrift = errors.New("sqlite: migrations differ from those the file was made with")
	// ErrForeign refuses a file with tables but no history, made by another program, when Options.Adopt is nil.
	ErrForeign = errors.New("sqlite: file belongs to another program")
	// ErrUnique says that a row with the same unique or primary key exists.
	ErrUnique = errors.New("sqlite: such a row exists")
)

// PanicError is a panic of a function given to Write or Submit. Its changes were undone and the store goes
// on. Write panics with it again in its caller; Submit hands it to done and logs it.
type PanicError struct {
	Value any
	Stack []byte // of the goroutine that panicked
}

// Error returns the value of the panic, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("sqlite: panic in a write: %v", e.Value) }

// damage says what an error leaves of the transaction it happened in.
type damage int

const (
	statement   damage = iota // only the statement failed
	transaction               // SQLite may have rolled back the whole transaction, and did so cleanly
	store                     // the files or our view of them are in doubt
)

// wrap puts our name in front of the driver's error and says how much is lost. Other errors pass unchanged.
func wrap(err error) (error, damage) {
	e, ok := errors.AsType[*modernc.Error](err)
	if !ok {
		return err, statement
	}
	switch e.Code() {
	case lib.SQLITE_CONSTRAINT_UNIQUE, lib.SQLITE_CONSTRAINT_PRIMARYKEY, lib.SQLITE_CONSTRAINT_ROWID:
		return join(ErrUnique, err), statement
	}
	switch e.Code() & 0xff { // the low byte is the primary result code
	case lib.SQLITE_FULL:
		if !errors.Is(err, ErrFull) {
			err = fullError{err}
		}
		return err, transaction
	case lib.SQLITE_NOMEM, lib.SQLITE_INTERRUPT:
		return err, transaction
	case lib.SQLITE_BUSY:
		return join(ErrBusy, err), statement
	case lib.SQLITE_READONLY:
		return join(ErrReadOnly, err), statement
	case lib.SQLITE_NOTADB:
		return join(ErrNotDatabase, err), store
	case lib.SQLITE_CORRUPT:
		return join(ErrCorrupt, err), store
	case lib.SQLITE_IOERR, lib.SQLITE_CANTOPEN, lib.SQLITE_PROTOCOL, lib.SQLITE_INTERNAL:
		return err, store
	}
	return err, statement
}

// fullError is ErrFull without the driver's words for it, which say no more.
type fullError struct{ driver error }

// Error returns the text of ErrFull.
func (fullError) Error() string { return ErrFull.Error() }

// Unwrap gives both.
func (e fullError) Unwrap() []error { return []error{ErrFull, e.driver} }

func join(name, err error) error {
	if errors.Is(err, name) {
		return err
	}
	return fmt.Errorf("%w: %w", name, err)
}

// named is wrap for callers that stop at any error.
func named(err error) error {
	err, _ = wrap(err)
	return err
}
