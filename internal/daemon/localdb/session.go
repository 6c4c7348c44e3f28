package localdb

import (
	"context"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Session is a registered host session, as it survives a restart of the daemon. It has no secrets: the token is
// kept as its SHA-256 (daemon 18.2).
type Session struct {
	ID          string // the host's session id
	PID         int
	StartTime   string // start of the process, as package host reads it: opaque, compared for equality
	CWD         string
	Name        string
	Role        string
	Groups      []protocol.Group
	MessageMode string // push, inbox or off
	HostName    string // claude-code, codex, …
	HostVersion string
	HostMode    string    // permission mode of the host, as last seen
	TokenHash   string    // 64 hex
	Meshes      []mesh.ID // empty: all joined meshes, also later ones
	Registered  time.Time // in milliseconds
	Amended     string    // what the user changed since, as package registry writes it; empty for nothing
}

const sessionColumns = "session_id, pid, start_time, cwd, name, role, groups, message_mode, host_name, host_version, host_mode, token_hash, meshes, registered, amended"

// SaveSession writes s, replacing the session of the same id.
func (d *DB) SaveSession(ctx context.Context, s Session) error {
	groups, err := wire.Encode(s.Groups)
	if err != nil {
		return err
	}
	meshes, err := wire.Encode(s.Meshes)
	if err != nil {
		return err
	}
	return d.write(ctx, "save a session", func(tx *sqlite.Tx) error {
		_, err := tx.Exec("INSERT OR REPLACE INTO session ("+sessionColumns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
			s.ID, s.PID, s.StartTime, s.CWD, s.Name, s.Role, string(groups), s.MessageMode, s.HostName, s.HostVersion,
			s.HostMode, s.TokenHash, string(meshes), s.Registered.UnixMilli(), s.Amended)
		return err
	})
}

// ListSessions returns the sessions, oldest registration first.
func (d *DB) ListSessions(ctx context.Context) (list []Session, err error) {
	err = d.read(ctx, "list the sessions", func(tx *sqlite.Tx) error {
		rows, err := tx.Query("SELECT " + sessionColumns + " FROM session ORDER BY registered, session_id")
		if err != nil {
			return err
		}
		return each(rows, func(rows *sqlite.Rows) error {
			s, err := scanSession(rows)
			list = append(list, s)
			return err
		})
	})
	return list, err
}

func scanSession(rows *sqlite.Rows) (Session, error) {
	var s Session
	var groups, meshes string
	var registered int64
	err := rows.Scan(&s.ID, &s.PID, &s.StartTime, &s.CWD, &s.Name, &s.Role, &groups, &s.MessageMode, &s.HostName,
		&s.HostVersion, &s.HostMode, &s.TokenHash, &meshes, &registered, &s.Amended)
	if err != nil {
		return Session{}, err
	}
	s.Registered = time.UnixMilli(registered)
	if err := wire.Decode([]byte(groups), &s.Groups); err != nil {
		return Session{}, err
	}
	return s, wire.Decode([]byte(meshes), &s.Meshes)
}
