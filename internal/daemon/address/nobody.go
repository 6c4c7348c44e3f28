package address

import (
	"fmt"
	"slices"
	"strings"

	"github.com/claudemesh/claudemesh/internal/mesh"
)

// notFound says where was looked, so that "nobody" and "not connected" differ, which name comes near to what was typed,
// and who is online (cli 29).
func notFound(t mesh.Target, views []view) error {
	var silent []string
	for _, v := range views {
		if !v.answered {
			silent = append(silent, v.Slug)
		}
	}
	online, near := others(t, views)
	if near != "" {
		near = fmt.Sprintf("; did you mean %q?", near)
	}
	err := mesh.Errorf(mesh.TargetNotFound, "no peer %q in %s%s", t.Text, strings.Join(namesOf(views), ", "), near)
	if len(silent) > 0 {
		err = mesh.Errorf(mesh.TargetNotFound, "no peer %q is known; %s did not answer%s", t.Text, strings.Join(silent, ", "), near)
	}
	return err.With(candidates(online))
}

// others lists the peers that are online and could be written to, and gives the name, also of one that is offline, that
// comes near to a mistyped one. Names are the word of others: none that could pass for more than a name is repeated.
func others(t mesh.Target, views []view) (online []hit, near string) {
	var names []string
	for i := range views {
		for _, p := range peersOf(&views[i]) {
			pin := views[i].pinned(p.member)
			proper := slices.DeleteFunc(slices.Clone(p.names), func(n string) bool { return mesh.CheckName(n) != nil })
			if len(proper) == 0 || p.own() || pin.Rejected || pin.Replaced {
				continue
			}
			names = append(names, proper...)
			if p.online {
				online = append(online, hit{peer: p, key: p.address(), name: proper[0]})
			}
		}
	}
	if t.Kind == mesh.ToName {
		near = mesh.Nearest(t.Text, names)
	}
	return distinct(online), near
}

func namesOf(views []view) []string {
	names := make([]string, 0, len(views))
	for _, v := range views {
		names = append(names, v.Slug)
	}
	return names
}
