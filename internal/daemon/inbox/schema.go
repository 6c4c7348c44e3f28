package inbox

import (
	"embed"
	"io/fs"

	"github.com/claudemesh/claudemesh/internal/sqlite"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

func migrations() (fs.FS, error) { return fs.Sub(migrationFiles, "migrations") }

// baseColumns are those of the first TypeScript daemon: a table without one of them is not its inbox.
var baseColumns = []string{
	"id", "client_message_id", "broker_message_id", "mesh", "topic", "sender_pubkey", "sender_name", "body", "meta",
	"received_at", "reply_to_id",
}

// laterColumns came with its later releases.
var laterColumns = []struct{ name, definition string }{
	{"seen_at", "INTEGER"},
	{"recipient_pubkey", "TEXT"},
	{"recipient_kind", "TEXT"},
}

// adopt moves the table of the TypeScript daemon aside, with all columns that the first migration copies from it:
// its primary key and its unique ids cannot be changed in place.
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
		if _, err := tx.Exec("ALTER TABLE inbox ADD COLUMN " + c.name + " " + c.definition); err != nil {
			return err
		}
	}
	_, err = tx.Exec("ALTER TABLE inbox RENAME TO inbox_left")
	return err
}

func columnsOf(tx *sqlite.Tx) (map[string]bool, error) {
	rows, err := tx.Query("SELECT name FROM pragma_table_info('inbox')")
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

// Stored is what the file holds, for those who look after it.
func Stored() (sqlite.Options, []sqlite.Rule, error) {
	files, err := migrations()
	return sqlite.Options{Migrations: files, Adopt: adopt}, []sqlite.Rule{
		{Broken: "message that opened and has no text", Count: "SELECT count(*) FROM inbox WHERE body IS NULL AND undecryptable = 0 AND forgotten_at IS NULL"},
	}, err
}
