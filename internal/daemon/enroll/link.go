package enroll

import (
	"net/url"
	"strings"

	"github.com/claudemesh/claudemesh/internal/daemon/uplink"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/seal"
)

// Link is a parsed invite: of version 2, with Base and Code, or of version 1, with Token.
type Link struct {
	Base        string // http:// or https:// address of the broker, without a slash at the end
	Code        string
	Token       string // of version 1, as it stands in the link; empty for version 2
	Fingerprint string // of the owner (seal.OwnerFingerprint); empty when the link has none
	Pin         string // SPKI pin of a self-signed broker (uplink.Pin); empty when the link has none
}

// maxLinkBytes is far above any real link; version 1 tokens are the longest.
const maxLinkBytes = 4096

// fingerprintBytes is what a fingerprint holds (design C3).
const fingerprintBytes = 16

// ParseLink reads `<public-url>/i/<code>#<fp>[.<spki>]`, or `<code>[#<fp>[.<spki>]]` together with a broker's URL. Links of
// version 1 are `ic://join/<token>`, `<any site>/join/<token>`, or the token alone. bad_request says what is wrong.
func ParseLink(text, brokerURL string) (Link, error) {
	if len(text) > maxLinkBytes {
		return Link{}, mesh.Errorf(mesh.BadRequest, "an invite link has at most %d bytes", maxLinkBytes)
	}
	text = strings.Trim(text, " \t\r\n<>\"'")
	where, proof, marked := strings.Cut(text, "#")
	if token, ok := tokenIn(where); ok {
		return parseToken(token)
	}
	l, err := parseWhere(where, brokerURL)
	if err != nil {
		return Link{}, err
	}
	if marked {
		if err := l.parseProof(proof); err != nil {
			return Link{}, err
		}
	}
	if l.Pin != "" && !strings.HasPrefix(l.Base, "https://") {
		return Link{}, mesh.Errorf(mesh.BadRequest, "the link pins a key, and its broker has no TLS")
	}
	if err := uplink.CheckClear(l.Base); err != nil {
		return Link{}, err
	}
	return l, nil
}

// parseWhere reads what stands before the #.
func parseWhere(where, brokerURL string) (Link, error) {
	if mesh.ValidInviteCode(where) {
		if brokerURL == "" {
			return Link{}, mesh.Errorf(mesh.BadRequest, "a code alone does not say where: give the whole link, or the broker's URL with --broker")
		}
		if _, err := uplink.Host(brokerURL); err != nil {
			return Link{}, err
		}
		return Link{Base: baseOf(brokerURL), Code: where}, nil
	}
	if !strings.HasPrefix(where, "https://") && !strings.HasPrefix(where, "http://") {
		return Link{}, mesh.Errorf(mesh.BadRequest, "this is no invite link: one begins with https:// and contains /i/")
	}
	if _, err := uplink.Host(where); err != nil {
		return Link{}, err
	}
	at := strings.LastIndex(where, strings.TrimSuffix(protocol.PathInvitePage, "{code}"))
	if at < 0 {
		return Link{}, mesh.Errorf(mesh.BadRequest, "this is no invite link: it has no /i/ with a code")
	}
	l := Link{Base: where[:at], Code: strings.TrimSuffix(where[at+len("/i/"):], "/")}
	if !mesh.ValidInviteCode(l.Code) {
		return Link{}, mesh.Errorf(mesh.BadRequest, "the code of the link is no code: it may have been cut")
	}
	if _, err := uplink.Host(l.Base); err != nil {
		return Link{}, err
	}
	return l, nil
}

// parseProof reads what stands behind the #.
func (l *Link) parseProof(proof string) error {
	fingerprint, pin, pinned := strings.Cut(proof, ".")
	if raw, err := seal.ParseBase64URL(fingerprint); err != nil || len(raw) != fingerprintBytes {
		return mesh.Errorf(mesh.BadRequest, "the end of the link, after #, was cut or changed")
	}
	if pinned {
		if err := uplink.CheckPin(pin); err != nil {
			return err
		}
	}
	l.Fingerprint, l.Pin = fingerprint, pin
	return nil
}

// Of reports whether the link has a fingerprint and it is that of a mesh: who has joined it need not claim again.
func (l Link) Of(id mesh.ID, owner mesh.Key) bool {
	key, err := seal.DecodePublicKey(string(owner))
	return err == nil && l.Fingerprint != "" && l.Fingerprint == seal.OwnerFingerprint(string(id), key)
}

// LeadsTo reports whether the link is to a broker by the address and pin that a member has.
func (l Link) LeadsTo(brokerURL, pin string) bool {
	return socketOf(l.Base) == brokerURL && l.Pin == pin
}

// String writes the link as ParseLink reads it. It is a secret while the invite lasts.
func (l Link) String() string {
	if l.Token != "" {
		return tokenLink + l.Token
	}
	text := l.Base + strings.Replace(protocol.PathInvitePage, "{code}", l.Code, 1)
	if l.Fingerprint != "" {
		text += "#" + l.Fingerprint
		if l.Pin != "" {
			text += "." + l.Pin
		}
	}
	return text
}

// baseOf turns the URL of a broker's socket into that of its HTTP side.
func baseOf(brokerURL string) string {
	u, err := url.Parse(brokerURL)
	if err != nil {
		return brokerURL // refused by whoever uses it
	}
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	}
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), protocol.PathSocket)
	return strings.TrimSuffix(u.String(), "/")
}

// socketOf is the inverse of baseOf.
func socketOf(base string) string {
	return "ws" + strings.TrimPrefix(base, "http") + protocol.PathSocket
}
