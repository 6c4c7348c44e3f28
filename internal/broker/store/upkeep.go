package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// invariants are what the functions of this package keep true, and no constraint of the tables does.
var invariants = []sqlite.Rule{
	{Broken: "copy without its message", Count: "SELECT count(*) FROM delivery d WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.n = d.message)"},
	{Broken: "copy with another sender than its message", Count: "SELECT count(*) FROM delivery d JOIN message m ON m.n = d.message WHERE m.sender <> d.sender"},
	{Broken: "copy for nobody", Count: "SELECT count(*) FROM delivery d WHERE NOT EXISTS (SELECT 1 FROM member r WHERE r.n = d.member)"},
	{Broken: "copy that waits for a session that is unknown", Count: "SELECT count(*) FROM delivery d WHERE d.state = 0 AND d.session <> 0 AND NOT EXISTS (SELECT 1 FROM session k WHERE k.n = d.session)"},
	{Broken: "copy that waits for a message whose text is gone", Count: "SELECT count(*) FROM delivery d JOIN message m ON m.n = d.message WHERE d.state = 0 AND length(m.nonce) + length(m.ciphertext) = 0"},
	{Broken: "waiting copies without their message", Count: "SELECT count(*) FROM spread p WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.n = p.message)"},
	{Broken: "waiting copies of a message whose text is gone", Count: "SELECT count(*) FROM spread p JOIN message m ON m.n = p.message WHERE length(m.nonce) + length(m.ciphertext) = 0"},
	{Broken: "settled copies without their message", Count: "SELECT count(*) FROM settled s WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.n = s.message)"},
	{Broken: "message without its sender", Count: "SELECT count(*) FROM message m WHERE NOT EXISTS (SELECT 1 FROM member s WHERE s.n = m.sender)"},
	{Broken: "number that two receipts of one sender have", Count: "SELECT count(*) FROM (SELECT 1 FROM delivery WHERE receipt > 0 GROUP BY sender, receipt HAVING count(*) > 1)"},
	{Broken: "session of a member of another mesh", Count: "SELECT count(*) FROM session k JOIN member r ON r.n = k.member WHERE k.mesh_id <> r.mesh_id"},
	{Broken: "skill of a member of another mesh", Count: "SELECT count(*) FROM skill s JOIN member r ON r.n = s.author WHERE s.mesh_id <> r.mesh_id"},
	{Broken: "presence of a member of another mesh", Count: "SELECT count(*) FROM presence p JOIN member r ON r.id = p.member WHERE p.mesh_id <> r.mesh_id"},
}

// Broken is a rule that rows of the store break, and how many.
type Broken struct {
	Rule string
	Rows int64
}

// ListBroken looks for rows that break a rule: those without what they belong to, above all. Each rule is read by itself, so
// that no snapshot lasts.
func ListBroken(ctx context.Context, db *sqlite.DB) (all []Broken, err error) {
	for _, rule := range invariants {
		broken := Broken{Rule: rule.Broken}
		err := db.Read(ctx, func(tx *sqlite.Tx) error { return tx.QueryRow(rule.Count).Scan(&broken.Rows) })
		if err != nil {
			return nil, fmt.Errorf("look for a %s: %w", rule.Broken, err)
		}
		if broken.Rows > 0 {
			all = append(all, broken)
		}
	}
	return all, nil
}

// Verify reads the file at path, also while a broker has it open, and lists what is wrong in it. What it does not understand
// is an error with the code of a store; a missing file is fs.ErrNotExist.
func Verify(ctx context.Context, path string) ([]string, error) {
	set, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	faults, err := sqlite.Verify(ctx, path, sqlite.Options{Migrations: set}, invariants)
	return faults, sqlite.Coded(err)
}

// receiptLeap is more than the receipts that a member can get between a backup and its return.
const receiptLeap = 1 << 32

// leapReceipts moves the numbers of the next receipts beyond all that were given since the backup: those who were told of
// them ask for later ones only.
const leapReceipts = `UPDATE member SET receipt_seq = $1 + max(
	(SELECT max(receipt_seq) FROM member),
	(SELECT coalesce(max(receipt), 0) FROM delivery),
	(SELECT coalesce(max(last_receipt), 0) FROM settled))`

// Return makes a copy of an older file ready to be the broker's again: it is migrated, and what members were told
// meanwhile is not told anew under the same numbers. Nobody may have it open.
func Return(ctx context.Context, path string, now mesh.Clock) error {
	db, err := Open(ctx, path, now, slog.New(slog.DiscardHandler))
	if err != nil {
		return sqlite.Coded(err)
	}
	err = db.Write(ctx, func(tx *sqlite.Tx) error {
		_, err := tx.Exec(leapReceipts, int64(receiptLeap))
		return err
	})
	return sqlite.Coded(errors.Join(err, db.Close()))
}
