package localdb

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Departed is a session that has ended, as its messages that have not left yet name it.
type Departed struct {
	ID   string // the host's session id
	Name string
	Role string
	CWD  string
}

// EndSession forgets a session, but for 30 days what the messages that it left need. One that is unknown is no error.
func (d *DB) EndSession(ctx context.Context, id string, now time.Time) error {
	return d.write(ctx, "end a session", func(tx *sqlite.Tx) error {
		_, err := tx.Exec(`INSERT OR REPLACE INTO departed (session_id, name, role, cwd, ended_at)
			SELECT session_id, name, role, cwd, $2 FROM session WHERE session_id = $1`, id, now.UnixMilli())
		if err != nil {
			return err
		}
		if _, err = tx.Exec("DELETE FROM departed WHERE ended_at <= $1", now.Add(-sessionIdle).UnixMilli()); err != nil {
			return err
		}
		_, err = tx.Exec("DELETE FROM session WHERE session_id = $1", id)
		return err
	})
}

// Depart notes a session that has ended, though its program goes on as another one.
func Depart(ctx context.Context, d *DB, s Departed, now time.Time) error {
	return d.write(ctx, "note a session that ended", func(tx *sqlite.Tx) error {
		_, err := tx.Exec("INSERT OR REPLACE INTO departed (session_id, name, role, cwd, ended_at) VALUES ($1, $2, $3, $4, $5)",
			s.ID, s.Name, s.Role, s.CWD, now.UnixMilli())
		return err
	})
}

// FindDeparted returns the first of some sessions that has ended; not_found when none of them has in the last 30 days.
func FindDeparted(ctx context.Context, d *DB, ids ...string) (Departed, error) {
	var s Departed
	err := d.read(ctx, "find a session that ended", func(tx *sqlite.Tx) error {
		for _, s.ID = range ids {
			found, err := find(tx.QueryRow("SELECT name, role, cwd FROM departed WHERE session_id = $1", s.ID), &s.Name, &s.Role, &s.CWD)
			if err != nil || found {
				return err
			}
		}
		return mesh.Errorf(mesh.NotFound, "no session %q has ended", ids)
	})
	return s, err
}
