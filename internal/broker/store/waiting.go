package store

import (
	"fmt"

	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// CountWaiting counts the copies that wait for their recipients, in all meshes.
func CountWaiting(tx *sqlite.Tx) (int64, error) {
	var n int64
	if err := tx.QueryRow(`SELECT count(*) FROM delivery WHERE state = 0`).Scan(&n); err != nil {
		return 0, fmt.Errorf("count waiting copies: %w", err)
	}
	spread, err := listSpreads(tx)
	for i := range spread {
		n += int64(len(spread[i].Boxes))
	}
	return n, err
}
