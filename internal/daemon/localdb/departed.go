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

// FindDeparted returns a session that has ended; not_found when none of that id has in the last 30 days.
func FindDeparted(ctx context.Context, d *DB, id string) (Departed, error) {
	s := Departed{ID: id}
	err := d.read(ctx, "find a session that ended", func(tx *sqlite.Tx) error {
		found, err := find(tx.QueryRow("SELECT name, role, cwd FROM departed WHERE session_id = $1", id), &s.Name, &s.Role, &s.CWD)
		if err == nil && !found {
			return mesh.Errorf(mesh.NotFound, "no session %s has ended", id)
		}
		return err
	})
	return s, err
}
