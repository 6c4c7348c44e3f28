package authority_test

import (
	"testing"
	"time"

	"github.com/claudemesh/claudemesh/internal/broker/authority"
	"github.com/claudemesh/claudemesh/internal/broker/session"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

var noon = time.UnixMilli(1_700_000_000_000)

// args is what a frame demands.
type args struct {
	Slug string `json:"slug"`
}

// order signs {"slug":"new"} for a mesh as the owner of it does who dialled host.
func order(t *testing.T, owner seal.SecretKey, host string) protocol.SignedOperation {
	t.Helper()
	hash, err := seal.ArgsHash([]byte(`{"slug":"new"}`))
	if err != nil {
		t.Fatal(err)
	}
	op := seal.Operation{Host: host, MeshID: "mesh1", Name: "mesh_rename", Args: hash, Nonce: mesh.NewToken()[:32], At: noon}
	signature, err := op.Sign(owner)
	if err != nil {
		t.Fatal(err)
	}
	return protocol.SignedOperation{Nonce: op.Nonce, AtMs: noon.UnixMilli(), Key: mesh.Key(owner.Public().String()), Signature: signature.String()}
}

func TestRequire(t *testing.T) {
	t.Parallel()
	owner := seal.NewSecretKey()
	seen := map[string]bool{}
	a := &authority.Authority{Now: func() time.Time { return noon }, Once: func(parts ...string) bool {
		first := !seen[parts[2]]
		seen[parts[2]] = true
		return first
	}}
	s := &session.Session{Mesh: "mesh1", OwnerKey: mesh.Key(owner.Public().String()), Hosts: []string{"localhost:7900", "127.0.0.1:7900"}}
	good := order(t, owner, "127.0.0.1:7900")
	for _, tc := range []struct {
		name string
		typ  string
		args args
		op   protocol.SignedOperation
		host string // empty: forbidden
	}{
		{"other arguments", "mesh_rename", args{"old"}, good, ""},
		{"other operation", "mesh_archive", args{"new"}, good, ""},
		{"other broker", "mesh_rename", args{"new"}, order(t, owner, "elsewhere:443"), ""},
		{"other key", "mesh_rename", args{"new"}, order(t, seal.NewSecretKey(), "127.0.0.1:7900"), ""},
		{"unsigned", "mesh_rename", args{"new"}, protocol.SignedOperation{}, ""},
		{"as signed", "mesh_rename", args{"new"}, good, "127.0.0.1:7900"},
		{"again", "mesh_rename", args{"new"}, good, ""},
	} {
		host, err := a.Require(s, tc.typ, tc.args, tc.op)
		if host != tc.host || (err == nil) != (tc.host != "") || err != nil && !mesh.IsCode(err, mesh.Forbidden) {
			t.Errorf("%s: got %q, %v, want %q", tc.name, host, err, tc.host)
		}
	}
}
