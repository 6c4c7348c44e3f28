package inbox

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Reopen takes a letter back into the inbox: d is what it is now that it opens, or its sender is proved. In one
// transaction the letter goes, and the message comes as one that has just arrived, once: what was shown before, or came
// by another way meanwhile, is Duplicate or Replayed and not shown again. not_found when the letter is gone.
func (l Letters) Reopen(ctx context.Context, letter Letter, d Draft) (Row, Verdict, error) {
	r, err := rowOf(l.b, d)
	if err != nil {
		return Row{}, 0, err
	}
	var v Verdict
	err = l.b.db.Write(ctx, func(tx *sqlite.Tx) error {
		n, err := tx.Exec("DELETE FROM letter WHERE id = $1", letter.ID)
		if err != nil {
			return err
		}
		if n == 0 {
			return mesh.Errorf(mesh.NotFound, "there is no dead letter %q", letter.ID)
		}
		if letter.Reason == Unproved {
			v = Duplicate // it is in the inbox, and was shown
			_, err = tx.Exec("UPDATE inbox SET verified = 1, sender_name = $2 WHERE id = $1 AND forgotten_at IS NULL", letter.ID, d.From.Name)
			return err
		}
		v, err = replace(tx, letter, d, &r)
		return err
	})
	if err != nil {
		return Row{}, 0, sqlite.Coded(err)
	}
	if v == New {
		l.b.broadcast()
	}
	return r, v, nil
}

// replace puts what opened in the place of the row that says that it did not.
func replace(tx *sqlite.Tx, letter Letter, d Draft, r *Row) (Verdict, error) {
	if letter.Reason == DidNotOpen {
		if err := unseat(tx, letter, d, r); err != nil {
			return 0, err
		}
	}
	v, err := known(tx, d)
	if err != nil || v != New {
		return v, err
	}
	r.Seq, err = insert(tx, *r, d.NonceHash)
	return v, err
}

// unseat makes room for what opened. For the key to which the row came it takes over its id; what turns out to be for
// another key leaves a row that is forgotten, so that a copy which is under way is known.
func unseat(tx *sqlite.Tx, letter Letter, d Draft, r *Row) error {
	if d.To != letter.To {
		_, err := tx.Exec(blank+" WHERE id = $2", r.ReceivedAt.UnixMilli(), letter.ID)
		return err
	}
	r.ID = letter.ID
	_, err := tx.Exec("DELETE FROM inbox WHERE id = $1 AND undecryptable = 1", letter.ID)
	return err
}
