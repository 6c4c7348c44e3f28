package localdb

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Level is how far a pin is trusted.
type Level string

// The levels. A key is Seen by itself; the others are a human's word.
const (
	Seen     Level = "seen"     // met first under its name
	Accepted Level = "accepted" // a human compared it
	Rejected Level = "rejected" // a human will have nothing to do with it
	Replaced Level = "replaced" // a human accepted another key under its name
)

// Pin is a member's key with the name under which it was first met (design C7).
type Pin struct {
	MeshID     mesh.ID
	Member     mesh.Key
	Name       string // empty while nobody told it
	Level      Level
	Unattended bool     // reaches sessions that act without their human (design E3)
	Device     bool     // another device of this user: asked for permissions, and may answer
	Features   []string // capabilities of package protocol that it proved, in order
	FirstSeen  time.Time
	LastSeen   time.Time
}

// Proved reports whether the key once proved a capability.
func (p Pin) Proved(feature string) bool { return slices.Contains(p.Features, feature) }

// PinnedSession is a session key that a member vouched for.
type PinnedSession struct {
	MeshID   mesh.ID
	Session  mesh.Key
	Member   mesh.Key
	LastSeen time.Time
}

// SavePins writes pins and sessions, replacing those of the same keys. Bounds are the caller's.
func (d *DB) SavePins(ctx context.Context, pins []Pin, sessions []PinnedSession) error {
	if len(pins)+len(sessions) == 0 {
		return nil
	}
	return d.write(ctx, "save pinned keys", func(tx *sqlite.Tx) error {
		for _, p := range pins {
			if _, err := tx.Exec("INSERT OR REPLACE INTO pin ("+pinColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
				p.MeshID, p.Member, p.Name, string(p.Level), p.Unattended, strings.Join(p.Features, " "),
				p.FirstSeen.UnixMilli(), p.LastSeen.UnixMilli(), p.Device); err != nil {
				return err
			}
		}
		for _, s := range sessions {
			if _, err := tx.Exec("INSERT OR REPLACE INTO pin_session (mesh_id, session_key, member_key, last_seen) VALUES ($1, $2, $3, $4)",
				s.MeshID, s.Session, s.Member, s.LastSeen.UnixMilli()); err != nil {
				return err
			}
		}
		return nil
	})
}

const pinColumns = "mesh_id, member_key, name, level, unattended, features, first_seen, last_seen, device"

// ListPins returns the pins of a mesh and the sessions that they vouched for.
func (d *DB) ListPins(ctx context.Context, id mesh.ID) (pins []Pin, sessions []PinnedSession, err error) {
	err = d.read(ctx, "list pinned keys", func(tx *sqlite.Tx) error {
		rows, err := tx.Query("SELECT "+pinColumns+" FROM pin WHERE mesh_id = $1 ORDER BY first_seen, member_key", id)
		if err != nil {
			return err
		}
		if err := each(rows, func(rows *sqlite.Rows) error {
			p, err := scanPin(rows)
			pins = append(pins, p)
			return err
		}); err != nil {
			return err
		}
		rows, err = tx.Query("SELECT mesh_id, session_key, member_key, last_seen FROM pin_session WHERE mesh_id = $1", id)
		if err != nil {
			return err
		}
		return each(rows, func(rows *sqlite.Rows) error {
			var s PinnedSession
			var last int64
			err := rows.Scan(&s.MeshID, &s.Session, &s.Member, &last)
			s.LastSeen = time.UnixMilli(last)
			sessions = append(sessions, s)
			return err
		})
	})
	return pins, sessions, err
}

func scanPin(rows *sqlite.Rows) (Pin, error) {
	var p Pin
	var features string
	var first, last int64
	err := rows.Scan(&p.MeshID, &p.Member, &p.Name, &p.Level, &p.Unattended, &features, &first, &last, &p.Device)
	p.Features, p.FirstSeen, p.LastSeen = strings.Fields(features), time.UnixMilli(first), time.UnixMilli(last)
	return p, err
}

// Handshake returns the strongest handshake that the broker of a mesh ever spoke: 2, or 1 where nothing is known.
func (d *DB) Handshake(ctx context.Context, id mesh.ID) (version int, err error) {
	version = 1
	err = d.read(ctx, "read the handshake of a mesh", func(tx *sqlite.Tx) error {
		_, err := find(tx.QueryRow("SELECT version FROM handshake WHERE mesh_id = $1", id), &version)
		return err
	})
	return version, err
}

// SaveHandshake notes a handshake that the broker of a mesh spoke; a weaker one than before changes nothing.
func (d *DB) SaveHandshake(ctx context.Context, id mesh.ID, version int) error {
	return d.write(ctx, "save the handshake of a mesh", func(tx *sqlite.Tx) error {
		_, err := tx.Exec(`INSERT INTO handshake (mesh_id, version) VALUES ($1, $2)
			ON CONFLICT (mesh_id) DO UPDATE SET version = max(version, excluded.version)`, id, version)
		return err
	})
}

// prunePinnedSessions forgets session keys that were not seen for as long as those of peers.
func prunePinnedSessions(tx *sqlite.Tx, before time.Time) error {
	_, err := tx.Exec("DELETE FROM pin_session WHERE last_seen <= $1", before.UnixMilli())
	return err
}
