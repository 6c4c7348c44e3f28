package host

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// settings are the keys of a settings file that bear on foreign messages.
type settings struct {
	Permissions struct {
		DefaultMode string `json:"defaultMode"`
	} `json:"permissions"`
	CrossSessionInbound *Inbound `json:"crossSessionInbound"`
	IsolatePeerMachines bool     `json:"isolatePeerMachines"`
}

// layer is one source of settings.
type layer struct {
	settings
	trusted bool  // may loosen crossSessionInbound: not what a repository brings along
	err     error // it is there and cannot be read
}

// layers returns the sources that are there, highest precedence first: managed, --settings, local, project, user.
func (r *Reader) layers(f flags, folder string) []layer {
	var all []layer
	add := func(trusted bool, path string) {
		s, err := r.files.read(path)
		if !errors.Is(err, fs.ErrNotExist) {
			all = append(all, layer{s, trusted, err})
		}
	}
	add(true, filepath.Join(folder, "remote-settings.json")) // what the host fetched from its organisation
	extra, _ := filepath.Glob(filepath.Join(r.managed, "managed-settings.d", "*.json"))
	for _, path := range slices.Backward(extra) { // later names win
		add(true, path)
	}
	add(true, filepath.Join(r.managed, "managed-settings.json"))
	for _, value := range slices.Backward(f.settings) {
		all = append(all, r.given(value))
	}
	project := filepath.Join(r.subject.WorkDir, ".claude")
	if f.reads("local") {
		add(false, filepath.Join(project, "settings.local.json"))
	}
	if f.reads("project") {
		add(false, filepath.Join(project, "settings.json"))
	}
	if f.reads("user") {
		add(true, filepath.Join(folder, "settings.json"))
	}
	return all
}

// given reads a value of --settings: JSON, or a file that must be there.
func (r *Reader) given(value string) layer {
	if strings.HasPrefix(strings.TrimSpace(value), "{") {
		var s settings
		err := wire.Decode([]byte(value), &s)
		return layer{s, true, err}
	}
	if !filepath.IsAbs(value) {
		value = filepath.Join(r.subject.WorkDir, value)
	}
	s, err := r.files.read(value)
	return layer{s, true, err}
}

// resolve makes the rules of flags and layers by the host's own precedence. A mode comes from the flags, else from the
// first layer that has one; a bad layer before it makes it Bypass. The first trusted layer decides crossSessionInbound, the
// others can only make it stricter, and a bad value anywhere is Held. One layer is enough to isolate.
func resolve(f flags, layers []layer) Rules {
	rules := Rules{Mode: f.mode}
	decided := Unset
	for _, l := range layers {
		inbound, ok := l.inbound()
		switch {
		case !ok || !l.trusted:
			rules.Inbound = rules.Inbound.stricter(inbound)
		case decided == Unset:
			decided = inbound
		}
		if rules.Mode == "" {
			rules.Mode = l.mode()
		}
		rules.IsolateMachines = rules.IsolateMachines || l.IsolatePeerMachines || l.err != nil
	}
	rules.Inbound = rules.Inbound.stricter(decided)
	if rules.Mode == "" {
		rules.Mode = Default
	}
	return rules
}

// inbound is what a layer says of foreign messages; Held, and not ok, where that cannot be read.
func (l layer) inbound() (value Inbound, ok bool) {
	switch v := l.CrossSessionInbound; {
	case l.err != nil:
		return Held, false
	case v == nil:
		return Unset, true
	case *v == Accept || *v == Held || *v == Refuse:
		return *v, true
	}
	return Held, false
}

// mode is what a layer says of the mode; empty for nothing.
func (l layer) mode() Mode {
	switch {
	case l.err != nil:
		return Bypass
	case l.Permissions.DefaultMode == "":
		return ""
	}
	return ParseMode(l.Permissions.DefaultMode)
}

// managedFolder is where an organisation puts its settings.
func managedFolder() string {
	switch runtime.GOOS {
	case "darwin":
		return "/Library/Application Support/ClaudeCode"
	case "windows":
		return `C:\Program Files\ClaudeCode`
	}
	return "/etc/claude-code"
}

var errNoFolder = errors.New("its environment names no home folder")

// configFolder is where the process keeps its user's settings, by its own environment.
func configFolder(pid int) (string, error) {
	env, err := environ(pid)
	if err != nil {
		return "", err
	}
	value := func(name string) string {
		for _, kv := range env {
			if v, ok := strings.CutPrefix(kv, name+"="); ok {
				return v
			}
		}
		return ""
	}
	if folder := value("CLAUDE_CONFIG_DIR"); folder != "" {
		return folder, nil
	}
	if home := value("HOME"); home != "" {
		return filepath.Join(home, ".claude"), nil
	}
	return "", errNoFolder
}

// cache keeps what files said, with the bytes that said it.
type cache struct {
	mu     sync.Mutex
	parsed map[string]parsedFile
}

type parsedFile struct {
	data []byte
	settings
	err error
}

// read returns the settings in a file. A missing file is fs.ErrNotExist.
func (c *cache) read(path string) (settings, error) {
	data, _, err := paths.ReadSecret(path) // the warning is about files of ours
	if err != nil {
		return settings{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.parsed[path]; ok && bytes.Equal(p.data, data) {
		return p.settings, p.err
	}
	p := parsedFile{data: data}
	if len(bytes.TrimSpace(data)) > 0 { // the host takes an empty file for one without settings
		p.err = wire.Decode(data, &p.settings)
	}
	if c.parsed == nil {
		c.parsed = map[string]parsedFile{}
	}
	c.parsed[path] = p
	return p.settings, p.err
}
