package sqlite

import (
	"os"
	"testing"
)

// TestCheckpoints writes much more than the log should ever hold, without a pause in which it could be emptied.
func TestCheckpoints(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db := openTest(t, path, options())
	const rows, rowBytes = 600, 120_000
	for n := range rows {
		err := db.Write(t.Context(), func(tx *Tx) error {
			_, err := tx.Exec("INSERT INTO note VALUES ($1, hex(zeroblob($2)))", n, rowBytes/2)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if limit := int64(rows * rowBytes / 2); info.Size() > limit {
		t.Errorf("log has %d bytes after %d were written, want at most %d", info.Size(), rows*rowBytes, limit)
	}
}
