// Package upkeep is what the verbs that look after stored data ask for, and what they are told. The broker and the daemon
// each do it for their own files; verbs link neither.
package upkeep

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
)

// Keeper looks after the files of a broker, or of a daemon. What a part does not do is nil.
type Keeper struct {
	// Check reads everything and lists what is wrong, also while the files are in use. It changes nothing.
	Check func(context.Context, Site) ([]Store, error)
	// Backup writes one file for nobody else to read, also while the files are in use.
	Backup func(context.Context, Site, Order) (Backup, error)
	// Restore puts a backup in the place of what is there, which it keeps aside: already_running while the files are in use.
	Restore func(context.Context, Site, Order) (Restored, error)
	// Repair makes new files of what can be read of damaged ones, which it keeps aside: already_running while they are in use.
	Repair func(context.Context, Site) ([]Repaired, error)
	// Moved is host_mismatch where the files were made on another machine.
	Moved func(context.Context, Site) error
	// Accept makes this machine theirs.
	Accept func(context.Context, Site) (Accepted, error)
}

// Accepted is this machine, as the first 16 digits of its fingerprint.
type Accepted struct {
	Prefix string `json:"fingerprint_prefix"`
}

// Site is whose files they are.
type Site struct {
	Home paths.Home
	Now  mesh.Clock
}

// Order names a backup.
type Order struct {
	File       string // absolute
	Passphrase string // empty: not encrypted
}

// Store is what a check found of one file.
type Store struct {
	File   string   `json:"file"`
	Bytes  int64    `json:"bytes"`
	Faults []string `json:"faults" jsonschema:"what is wrong; empty where all is well"`
}

// Backup is what was written.
type Backup struct {
	File      string   `json:"file"`
	Bytes     int64    `json:"bytes"`
	Encrypted bool     `json:"encrypted"`
	Holds     []string `json:"holds" jsonschema:"names of the files in it"`
}

// Restored is what stands now.
type Restored struct {
	From     string   `json:"from"`
	Restored []string `json:"restored"`
	Aside    []string `json:"aside" jsonschema:"what stood there before, under its new name"`
	Review   int      `json:"review,omitzero" jsonschema:"messages that had not left when the backup was made: they wait until they are requeued"`
}

// Repaired is one damaged file.
type Repaired struct {
	File   string  `json:"file"`
	Aside  string  `json:"aside" jsonschema:"the damaged file, under its new name"`
	Tables []Table `json:"tables" jsonschema:"what was saved; empty where nothing could be read"`
}

// Table is what was saved of one table.
type Table struct {
	Name  string `json:"name"`
	Rows  int64  `json:"rows"`
	Holes int64  `json:"holes" jsonschema:"places where rows are lost"`
}
