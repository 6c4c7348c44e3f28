package membership

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// OldGrants reads what the TypeScript client notes that others may do in a mesh: none without its file. What is no
// capability, and what is no key, that client does not heed either.
func (b *Book) OldGrants(slug string) (mesh.Grants, error) {
	data, _, err := paths.ReadSecret(b.config.Grants()) // that others can read it tells them no secret
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the old list of grants: %w", err)
	}
	var all map[string]map[mesh.Key][]mesh.Cap
	if err := wire.Decode(data, &all); err != nil {
		return nil, fmt.Errorf("read %s: %w", b.config.Grants(), err)
	}
	grants := mesh.Grants{}
	for key, list := range all[slug] {
		if mesh.IsKey(string(key)) {
			grants[key] = mesh.CapsOf(list...)
		}
	}
	return grants, nil
}
