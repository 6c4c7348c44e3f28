package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/seal"
	"github.com/claudemesh/claudemesh/internal/upkeep"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// joined is what of config.json is looked at.
type joined struct {
	Meshes []struct {
		Slug      string `json:"slug"`
		Pubkey    string `json:"pubkey"`
		SecretKey string `json:"secretKey"`
	} `json:"meshes"`
}

// readConfig reads config.json; one that is not there joins nothing.
func readConfig(p *patient) (joined, error) {
	var all joined
	data, _, err := paths.ReadSecret(p.app.Home.Config.File())
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err == nil {
		err = wire.Decode(data, &all)
	}
	return all, err
}

func lookConfig(_ context.Context, p *patient) finding {
	all, err := readConfig(p)
	switch {
	case err != nil:
		return fail(p.app.Home.Config.File()+" is not readable: "+refusal(err), "`claudemesh daemon restore` brings a backup back")
	case len(all.Meshes) == 0:
		return warn("none", "`claudemesh up` makes one on this machine, `claudemesh join` joins another")
	}
	var slugs []string
	for _, m := range all.Meshes {
		slugs = append(slugs, m.Slug)
	}
	return fine(strings.Join(slugs, ", "))
}

// lookKeys checks that each secret key is that of its public one.
func lookKeys(_ context.Context, p *patient) finding {
	all, err := readConfig(p)
	if err != nil {
		return warn("they are not readable", "see above")
	}
	var broken []string
	for _, m := range all.Meshes {
		secret, err := seal.ParseSecretKey(m.SecretKey)
		if err != nil || secret.Public().String() != m.Pubkey {
			broken = append(broken, m.Slug)
		}
	}
	if len(broken) > 0 {
		return fail("not a pair: "+strings.Join(broken, ", "), "leave the mesh, and join it again")
	}
	return fine(shell.Count(len(all.Meshes), "pair", "pairs"))
}

// others are the permissions of everybody else.
const others fs.FileMode = 0o077

// wide lists the files and folders of ours that others may read or write. Symbolic links are passed over: what they lead to is
// not ours.
func wide(p *patient) (found []string) {
	if runtime.GOOS == "windows" {
		return nil // folders there have lists of who may do what
	}
	home := p.app.Home
	look := func(path string) {
		if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink == 0 && info.Mode()&fs.ModeSocket == 0 && info.Mode().Perm()&others != 0 {
			found = append(found, path)
		}
	}
	look(home.Config.Dir)
	look(home.Config.File())
	look(home.Config.Settings())
	for _, folder := range []string{home.Config.Keys(), home.Daemon.Dir, home.Broker.Dir, home.Config.Install().Dir} {
		_ = filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				look(path)
			}
			return nil // what cannot be looked into is found by itself
		})
	}
	return found
}

func lookModes(_ context.Context, p *patient) finding {
	if found := wide(p); len(found) > 0 {
		return fail(shell.Count(len(found), "file or folder", "files or folders")+" that others may read: "+found[0], "chmod go= on it, or --fix")
	}
	return fine(p.app.Home.Config.Dir)
}

// mendModes takes the permissions of others away.
func mendModes(_ context.Context, p *patient) error {
	var failed []error
	for _, path := range wide(p) {
		info, err := os.Lstat(path)
		if err == nil {
			err = os.Chmod(path, info.Mode().Perm()&^others)
		}
		if err != nil {
			failed = append(failed, mesh.Errorf(mesh.IOError, "close %s to others: %w", path, err))
		}
	}
	return errors.Join(failed...)
}

// lookMachine finds a folder that was made on another machine.
func lookMachine(ctx context.Context, p *patient) finding {
	moved := p.app.Sys.Services.DaemonKeeper.Moved
	if moved == nil {
		return fine("not looked at")
	}
	if err := moved(ctx, upkeep.Site{Home: p.app.Home, Now: p.app.Now}); err != nil {
		return fail(refusal(err), "`claudemesh daemon accept-host`, when the other machine no longer uses the keys")
	}
	return fine("the daemon's folder was made here")
}
