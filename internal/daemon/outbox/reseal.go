package outbox

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// orphan is a row whose sender has no connection any more.
type orphan struct {
	id, sender, nonce, ciphertext string
	recipient                     mesh.Key
	body                          []byte
}

// Reseal turns rows of sessions that ended for good into the member's own, so that they still leave (daemon 18.4): ended
// says of a session key whether it is one of those, seal seals a body to a recipient with the member's key. It says
// how many rows there were. No Drain may run for the mesh.
func (o *Outbox) Reseal(ctx context.Context, meshID mesh.ID, ended func(mesh.Key) bool, seal func(recipient mesh.Key, body []byte) (nonce, ciphertext string, err error)) (int, error) {
	orphans, err := orphansOf(ctx, o.db, meshID, ended)
	if err != nil {
		return 0, err
	}
	for i, r := range orphans {
		if r.recipient == "" {
			continue // plain text has no sealer
		}
		if orphans[i].nonce, orphans[i].ciphertext, err = seal(r.recipient, r.body); err != nil {
			return 0, err
		}
	}
	err = o.db.Write(ctx, func(tx *sqlite.Tx) error {
		for _, r := range orphans {
			if _, err := tx.Exec(`UPDATE outbox SET sender_session_pubkey = '', nonce = $3, ciphertext = $4, status = 'pending'
				WHERE id = $1 AND sender_session_pubkey = $2 AND status IN ('pending', 'inflight')`, r.id, r.sender, r.nonce, r.ciphertext); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, sqlite.Coded(err)
	}
	return len(orphans), nil
}

// orphansOf reads the open rows of ended sessions.
func orphansOf(ctx context.Context, db *sqlite.DB, meshID mesh.ID, ended func(mesh.Key) bool) ([]orphan, error) {
	var found []orphan
	err := db.Read(ctx, func(tx *sqlite.Tx) error {
		rows, err := tx.Query(`SELECT id, sender_session_pubkey, recipient_key, nonce, ciphertext, payload FROM outbox
			WHERE mesh_id = $1 AND status IN ('pending', 'inflight') AND sender_session_pubkey != '' ORDER BY rowid`, meshID)
		if err != nil {
			return err
		}
		for rows.Next() {
			var r orphan
			if err := rows.Scan(&r.id, &r.sender, &r.recipient, &r.nonce, &r.ciphertext, &r.body); err != nil {
				return err
			}
			if ended(mesh.Key(r.sender)) {
				found = append(found, r)
			}
		}
		return rows.Err()
	})
	if err != nil {
		return nil, sqlite.Coded(err)
	}
	return found, nil
}
