package enroll

import (
	"context"

	"github.com/claudemesh/claudemesh/internal/daemon/membership"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// Known is a mesh that is joined.
type Known struct {
	membership.Mesh
	Owner mesh.Key // empty where nobody knows it
	Pin   string   // SPKI pin of a self-signed broker
}

// Recognise names in a link the joined mesh that it leads to. A link that does not name the owner could lead to any: its broker
// is asked with the key of each that is there, which makes nobody a member and uses nothing up. A second membership would
// take the place of the first one's key, and what is on its way to that key would never be read.
func (c *Client) Recognise(ctx context.Context, link Link, displayName string, joined []Known) (Link, error) {
	if link.Fingerprint != "" || link.Token != "" {
		return link, nil
	}
	for _, k := range joined {
		owner, err := seal.DecodePublicKey(string(k.Owner))
		if err != nil || !link.LeadsTo(k.BrokerURL, link.Pin) {
			continue
		}
		named := link
		named.Fingerprint, named.Pin = seal.OwnerFingerprint(string(k.ID), owner), k.Pin
		switch _, err := c.Claim(ctx, named, displayName, k.Secret); {
		case err == nil:
			return named, nil
		case !mesh.IsCode(err, mesh.InviteUntrusted) && !mesh.IsCode(err, mesh.InviteRefused):
			return link, err
		}
	}
	return link, nil
}
