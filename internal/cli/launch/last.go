package launch

import (
	"github.com/claudemesh/claudemesh/internal/cli/shell"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/paths"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// last is what was used last, under the names of the first system (cli 6). Name, role and groups count in their folder.
type last struct {
	Mesh        string   `json:"meshSlug"`
	Name        string   `json:"displayName,omitzero"`
	Role        string   `json:"role,omitzero"`
	Groups      []string `json:"groups,omitzero"`
	MessageMode string   `json:"messageMode,omitzero"`
	Folder      string   `json:"folder,omitzero"`
	Time        string   `json:"timestamp"`
}

// lastUsed reads it; nothing where it cannot be read: they are only presets.
func lastUsed(a *shell.App) (l last) {
	data, _, err := paths.ReadSecret(a.Home.Config.LastUsed())
	if err != nil || wire.Decode(data, &l) != nil {
		return last{}
	}
	if l.Folder != a.Sys.WorkDir {
		l.Name, l.Role, l.Groups = "", "", nil
	}
	return l
}

// remember keeps what is used now.
func remember(a *shell.App, o options) {
	l := last{
		Mesh: o.mesh, Name: o.name, Role: o.role, Groups: o.groups, MessageMode: o.mode, Folder: a.Sys.WorkDir, Time: mesh.FormatTime(a.Now()),
	}
	data, err := wire.EncodeIndent(l)
	if err == nil {
		err = paths.WriteSecret(a.Home.Config.LastUsed(), append(data, '\n'))
	}
	if err != nil {
		a.Warn("what is used now is not remembered: %v", err)
	}
}
