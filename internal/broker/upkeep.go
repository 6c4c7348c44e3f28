package broker

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
	"github.com/claudemesh/claudemesh/internal/upkeep"
)

// Upkeep looks after the database of a broker.
func Upkeep() upkeep.Keeper {
	return upkeep.Keeper{Check: check, Backup: backup, Restore: restore}
}

// check reads the database, also that of a broker that runs.
func check(ctx context.Context, at upkeep.Site) ([]upkeep.Store, error) {
	path := at.Home.Broker.DB()
	faults, err := store.Verify(ctx, path)
	if err != nil {
		return nil, missingStore(path, err)
	}
	return []upkeep.Store{{File: path, Bytes: sizeOf(path), Faults: append([]string{}, faults...)}}, nil
}

// missingStore says in our words that there is no file.
func missingStore(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return mesh.Errorf(mesh.NotFound, "there is no %s", path)
	}
	return err
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0 // it was there a moment ago, and tells people only
	}
	return info.Size()
}

// backup copies the database, also that of a broker that runs.
func backup(ctx context.Context, at upkeep.Site, to upkeep.Order) (upkeep.Backup, error) {
	path := at.Home.Broker.DB()
	if err := sqlite.Copy(ctx, path, to.File); err != nil {
		return upkeep.Backup{}, copyFault(path, to.File, err)
	}
	return upkeep.Backup{File: to.File, Bytes: sizeOf(to.File), Holds: []string{filepath.Base(path)}}, nil
}

func copyFault(from, to string, err error) error {
	switch {
	case errors.Is(err, fs.ErrExist):
		return mesh.Errorf(mesh.FileExists, "%s is there already", to)
	case errors.Is(err, fs.ErrNotExist):
		if _, gone := os.Stat(from); gone == nil {
			return mesh.Errorf(mesh.NotFound, "there is no folder for %s", to)
		}
		return missingStore(from, err)
	}
	if coded := sqlite.Coded(err); mesh.CodeOf(coded) != mesh.Internal {
		return coded
	}
	return mesh.Errorf(mesh.IOError, "%w", err)
}

// beforeRestore marks what a backup took the place of.
const beforeRestore = "before-restore"

// restore puts a copy of a backup into the place of the database, which is kept aside. No broker may run meanwhile.
func restore(ctx context.Context, at upkeep.Site, from upkeep.Order) (upkeep.Restored, error) {
	var v upkeep.Restored
	faults, err := store.Verify(ctx, from.File)
	if err != nil {
		return v, missingStore(from.File, err)
	}
	if len(faults) > 0 {
		return v, mesh.Errorf(mesh.StoreCorrupt, "%s is not sound: %s", from.File, strings.Join(faults, "; "))
	}
	release, err := occupy(ctx, at.Home.Broker)
	if err != nil {
		return v, err
	}
	defer release()
	path := at.Home.Broker.DB()
	fresh := path + ".restoring"
	if err := removeStore(fresh); err != nil { // of a restore that was ended
		return v, err
	}
	defer func() { _ = removeStore(fresh) }() // it is gone where all went well
	if err := sqlite.Copy(ctx, from.File, fresh); err != nil {
		return v, copyFault(from.File, fresh, err)
	}
	if err := store.Return(ctx, fresh, at.Now); err != nil {
		return v, err
	}
	aside, err := sqlite.Swap(path, fresh, beforeRestore, at.Now())
	if err != nil {
		return v, mesh.Errorf(mesh.IOError, "put the backup in its place: %w", err)
	}
	v = upkeep.Restored{From: from.File, Restored: []string{path}, Aside: []string{}}
	if aside != "" {
		v.Aside = append(v.Aside, aside)
	}
	return v, nil
}

// removeStore deletes a database with what lies beside it.
func removeStore(path string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return mesh.Errorf(mesh.IOError, "remove %s: %w", path, err)
		}
	}
	return nil
}
