package outbox

import (
	"embed"
	"io/fs"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

func migrations() (fs.FS, error) { return fs.Sub(migrationFiles, "migrations") }

// baseColumns are those of the first TypeScript daemon: a table without one of them is not its outbox.
var baseColumns = []string{
	"id", "client_message_id", "request_fingerprint", "payload", "enqueued_at", "attempts", "next_attempt_at", "status",
	"last_error", "delivered_at", "broker_message_id", "aborted_at", "aborted_by", "superseded_by",
}

// laterColumns are what its later releases and we added, with the types of the first migration.
var laterColumns = []struct{ name, definition string }{
	{"mesh", "TEXT"},
	{"target_spec", "TEXT"},
	{"nonce", "TEXT"},
	{"ciphertext", "TEXT"},
	{"priority", "TEXT"},
	{"sender_session_pubkey", "TEXT"},
	{"reply_to_id", "TEXT"},
	{"mesh_id", "TEXT NOT NULL DEFAULT ''"},
	{"target_name", "TEXT NOT NULL DEFAULT ''"},
	{"recipient_key", "TEXT NOT NULL DEFAULT ''"},
	{"trace_id", "TEXT NOT NULL DEFAULT ''"},
	{"body_bytes", "INTEGER NOT NULL DEFAULT 0"},
	{"mailboxes", "INTEGER NOT NULL DEFAULT 0"},
}

// adopt widens the table of the TypeScript daemon and fills what we add (daemon 10.2).
func adopt(tx *sqlite.Tx) error {
	found, err := columnsOf(tx)
	if err != nil {
		return err
	}
	for _, name := range baseColumns {
		if !found[name] {
			return sqlite.ErrForeign
		}
	}
	for _, c := range laterColumns {
		if found[c.name] {
			continue
		}
		if _, err := tx.Exec("ALTER TABLE outbox ADD COLUMN " + c.name + " " + c.definition); err != nil {
			return err
		}
	}
	// A row without its routing was once sent to everyone, in clear: it is never sent (daemon 13.2).
	if _, err := tx.Exec(`UPDATE outbox SET status = 'dead', last_error = $1
		WHERE status IN ('pending', 'inflight')
		AND (mesh IS NULL OR target_spec IS NULL OR nonce IS NULL OR ciphertext IS NULL)`, mesh.LegacyUnroutable); err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE outbox SET
		body_bytes = length(payload),
		ciphertext = CASE WHEN status IN ('done', 'aborted') THEN coalesce(ciphertext, '') ELSE ciphertext END,
		recipient_key = CASE WHEN length(target_spec) = 64 AND target_spec NOT GLOB '*[^0-9a-f]*' THEN target_spec ELSE '' END`)
	return err
}

func columnsOf(tx *sqlite.Tx) (map[string]bool, error) {
	rows, err := tx.Query("SELECT name FROM pragma_table_info('outbox')")
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		found[name] = true
	}
	return found, rows.Err()
}
