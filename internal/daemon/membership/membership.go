// Package membership knows which meshes this user has joined: the entries of config.json, which both systems share,
// and the key files beside it (design A5).
package membership

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/claudemesh/claudemesh/internal/logkey"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// Mesh is one joined mesh.
type Mesh struct {
	ID, MemberID mesh.ID
	// Slug is unique among the listed meshes: where the file has one twice, the later entry is called slug-2
	// here, and keeps its slug in the file (daemon 6.1).
	Slug, Name    string
	Secret        seal.SecretKey // the member's
	BrokerURL     string         // ws:// or wss://, as the file has it
	JoinedAt      time.Time
	RootKey       seal.SymmetricKey // a compatibility value; zero for meshes joined without one (design C2)
	InviteVersion int               // 0 when unknown, else 1 or 2
}

// Pubkey is the member's key.
func (m Mesh) Pubkey() mesh.Key { return mesh.Key(m.Secret.Public().String()) }

// Book is the joined meshes and their keys. Its methods may be called from any goroutine; other processes may
// change config.json at the same time.
type Book struct {
	config paths.Config
	log    *slog.Logger

	pollOnly bool

	editing sync.Mutex // held by who changes a file: a file lock does not part goroutines

	mu      sync.Mutex // guards what follows
	data    []byte     // config.json as it was parsed last; nil before the first time
	meshes  []Mesh     // what it said
	warning paths.Warning
}

// Open returns the book of a home and makes its folder if it is missing. The file is read by List.
func Open(home paths.Home, log *slog.Logger) (*Book, error) {
	if err := paths.EnsureDir(home.Config.Dir, paths.DirMode); err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Book{config: home.Config, log: log}, nil
}

// Path is where config.json lies.
func (b *Book) Path() string { return b.config.File() }

// List returns the meshes in the order of the file, as it stands now. A missing file lists none. Entries that
// cannot be used (a key that does not parse, an id twice) are left out, with a line in the log. A file that is no
// config file is config_unreadable with its path; nothing is written to it.
func (b *Book) List() ([]Mesh, error) {
	data, err := b.read()
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.data != nil && bytes.Equal(data, b.data) {
		return slices.Clone(b.meshes), nil
	}
	doc, err := b.parse(data)
	if err != nil {
		return nil, err
	}
	b.data, b.meshes = append([]byte{}, data...), doc.meshes(b.log)
	return slices.Clone(b.meshes), nil
}

// Find returns the mesh of a slug, in the sense of Mesh.Slug; mesh_not_attached with the slugs otherwise.
func (b *Book) Find(slug string) (Mesh, error) {
	list, err := b.List()
	if err != nil {
		return Mesh{}, err
	}
	slugs := make([]string, 0, len(list))
	for _, m := range list {
		if m.Slug == slug {
			return m, nil
		}
		slugs = append(slugs, m.Slug)
	}
	return Mesh{}, mesh.Errorf(mesh.MeshNotAttached, "no mesh %q is joined here", slug).With(mesh.Details{Attached: slugs})
}

// read returns the bytes of config.json; none when it is missing.
func (b *Book) read() ([]byte, error) {
	data, warning, err := paths.ReadSecret(b.config.File())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the joined meshes: %w", err)
	}
	b.warn(warning)
	return data, nil
}

// warn logs a warning when it first appears.
func (b *Book) warn(warning paths.Warning) {
	b.mu.Lock()
	fresh := warning != "" && warning != b.warning
	b.warning = warning
	b.mu.Unlock()
	if fresh {
		b.log.Warn("file with keys can be read by others", slog.String(logkey.Reason, string(warning)))
	}
}

// parse takes the file apart; no bytes are an empty config.
func (b *Book) parse(data []byte) (document, error) {
	if data == nil {
		return newDocument(), nil
	}
	doc, err := parseDocument(data)
	if err != nil {
		return document{}, mesh.Errorf(mesh.ConfigUnreadable, "%s: %w", b.config.File(), err)
	}
	return doc, nil
}

// suffixed makes the slugs of a list unique: the first to have one keeps it, the next is slug-2 (daemon 6.1).
func suffixed(list []Mesh) {
	taken := make(map[string]bool, len(list))
	twice := make([]bool, len(list))
	for i, m := range list {
		twice[i] = taken[m.Slug]
		taken[m.Slug] = true
	}
	for i := range list {
		for n := 2; twice[i]; n++ {
			slug := list[i].Slug + "-" + strconv.Itoa(n)
			if !taken[slug] {
				taken[slug], twice[i] = true, false
				list[i].Slug = slug
			}
		}
	}
}
