// Package config holds what a user may set. Each consumer has one struct, whose tags say everything about a
// setting: its name in the file (`key`), its text (`doc`), its `default`, its variable (`env`) and its bounds
// (`min`, `max`, `oneof`). The flag is the name with dashes. A flag wins over a variable, a variable over the
// file, the file over the default; an empty variable counts as unset.
//
// Nothing is read or reflected on until something is loaded, so that verbs which need no setting pay nothing.
package config

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Lookup reads one variable: os.LookupEnv, or a test's own.
type Lookup func(name string) (value string, ok bool)

// Sources are where settings come from besides their defaults. The zero value gives the defaults.
type Sources struct {
	File  string            // a missing file sets nothing; empty means none
	Env   Lookup            // nil means none
	Flags map[string]string // values by flag, of the flags that were given; those of other things are passed over
}

// LoadDaemon returns the settings of daemon and CLI. It fails with config_unreadable when the file is no JSON
// object, and with settings_refused for a name or value that is not allowed, saying where it stands.
func LoadDaemon(in Sources) (Daemon, error) {
	d, _, err := readDaemon(in)
	return d, err
}

// LoadBroker returns the settings of a broker and fails as LoadDaemon does. The file lies in the data folder,
// so a data folder that a flag or variable names is where a file of that name is read.
func LoadBroker(in Sources) (Broker, error) {
	b, _, err := readBroker(in)
	return b, err
}

// ExplainDaemon returns the daemon's settings in the order of their declaration, each with its source.
func ExplainDaemon(in Sources) ([]Row, error) {
	d, origins, err := readDaemon(in)
	if err != nil {
		return nil, err
	}
	return rows(&d, origins), nil
}

// ExplainBroker returns the broker's settings in the order of their declaration, each with its source.
func ExplainBroker(in Sources) ([]Row, error) {
	b, origins, err := readBroker(in)
	if err != nil {
		return nil, err
	}
	return rows(&b, origins), nil
}

// DefaultDaemon returns the daemon's defaults.
func DefaultDaemon() Daemon { return must(LoadDaemon(Sources{})) }

// DefaultBroker returns the broker's defaults. Its data folder is empty.
func DefaultBroker() Broker { return must(LoadBroker(Sources{})) }

// must panics on a default that is not allowed, which is a mistake in a declaration.
func must[T any](settings T, err error) T {
	if err != nil {
		panic(err)
	}
	return settings
}

func readDaemon(in Sources) (d Daemon, origins []Source, err error) {
	if origins, err = in.load(&d); err != nil {
		return Daemon{}, nil, err
	}
	if in.Env != nil { // variables tighten what the file forbids, and never loosen it (design E4)
		var written Daemon
		if _, err := (Sources{File: in.File, Flags: in.Flags}).load(&written); err != nil {
			return Daemon{}, nil, err
		}
		d.tighten(written)
	}
	return d, origins, d.check()
}

func readBroker(in Sources) (b Broker, origins []Source, err error) {
	if in, err = in.inDataDir(); err != nil {
		return Broker{}, nil, err
	}
	if origins, err = in.load(&b); err != nil {
		return Broker{}, nil, err
	}
	if in.File != "" {
		b.DataDir = filepath.Dir(in.File)
	}
	return b, origins, b.check()
}

// inDataDir moves the file into the data folder that a flag or variable names.
func (in Sources) inDataDir() (Sources, error) {
	dir, origin := in.text(field{flag: "data-dir", env: paths.BrokerVariable})
	if in.File == "" || origin == FromDefault {
		return in, nil
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return in, mesh.Errorf(mesh.IOError, "make %s absolute: %w", dir, err)
	}
	in.File = filepath.Join(abs, filepath.Base(in.File))
	return in, nil
}

// load fills the struct that dst points to and says of each field where its value came from.
func (in Sources) load(dst any) ([]Source, error) {
	written, err := in.read()
	if err != nil {
		return nil, err
	}
	fields := fieldsOf(dst)
	origins := make([]Source, len(fields))
	for i, f := range fields {
		if origins[i], err = in.set(f, written[f.key]); err != nil {
			return nil, err
		}
		if !f.notInFile {
			delete(written, f.key)
		}
	}
	if len(written) > 0 {
		unknown := slices.Sorted(maps.Keys(written))
		return nil, mesh.Errorf(mesh.SettingsRefused, "%s: there is no setting %q in this file", in.File, unknown)
	}
	return origins, nil
}

// read returns the file's settings as written.
func (in Sources) read() (map[string]jsontext.Value, error) {
	if in.File == "" {
		return nil, nil
	}
	data, _, err := paths.ReadSecret(in.File) // settings are no secret: others may read them
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var written map[string]jsontext.Value
	if err := wire.Decode(data, &written); err != nil {
		return nil, mesh.Errorf(mesh.ConfigUnreadable, "%s: %w", in.File, err)
	}
	if written == nil {
		return nil, mesh.Errorf(mesh.ConfigUnreadable, "%s: want an object, got null", in.File)
	}
	return written, nil
}

// set gives f the value of its strongest source. What the file says is checked even when it is not used, so
// that a mistake shows on the day it is made.
func (in Sources) set(f field, written jsontext.Value) (Source, error) {
	if err := f.setText(f.standard); err != nil {
		return FromDefault, mesh.Errorf(mesh.Internal, "default of %s: %w", f.key, err)
	}
	origin := FromDefault
	if written != nil && !f.notInFile {
		origin = FromFile
		if err := f.setJSON(written); err != nil {
			return origin, mesh.Errorf(mesh.SettingsRefused, "%s: %s: %w", in.File, f.key, err)
		}
	}
	text, stronger := in.text(f)
	if stronger == FromDefault {
		return origin, nil
	}
	name := "--" + f.flag
	if stronger == FromEnv {
		name = f.env
	}
	if err := f.setText(text); err != nil {
		return stronger, mesh.Errorf(mesh.SettingsRefused, "%s: %w", name, err)
	}
	return stronger, nil
}

// text is what a flag or variable says of f; FromDefault means that neither does.
func (in Sources) text(f field) (string, Source) {
	if text, ok := in.Flags[f.flag]; ok {
		return text, FromFlag
	}
	if in.Env == nil {
		return "", FromDefault
	}
	if text, ok := in.Env(f.env); ok && text != "" {
		return text, FromEnv
	}
	return "", FromDefault
}
