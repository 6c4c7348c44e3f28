package queue

import (
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/claudemesh/claudemesh/internal/broker/store"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// draft is a send whose form is right (wire 3.1). What it says of the world is not checked yet.
type draft struct {
	to          target
	priority    mesh.Priority
	clientID    mesh.ClientID
	fingerprint []byte
	nonce, body []byte
}

// target is where a send is addressed to.
type target struct {
	kind  store.Kind // ToMember stands for a key of either kind
	text  string
	key   mesh.Key
	group string // without @
}

const (
	boxNonceBytes = 24
	maxNonceBytes = 64  // old clients fill in anything for kinds without a box
	maxTextBytes  = 200 // of ids that are passed on
	rowOverhead   = 256 // charged for each copy beside its body, so that empty messages count
)

// parse checks the form of a send. An error is permanent.
func parse(req *protocol.SendRequest) (*draft, error) {
	d := &draft{fingerprint: []byte{}}
	var err error
	if d.to, err = parseTarget(req.TargetSpec); err != nil {
		return nil, err
	}
	if d.priority, err = mesh.ParsePriority(string(req.Priority)); err != nil {
		return nil, err
	}
	if req.ClientMessageID != "" {
		if d.clientID, err = mesh.ParseClientID(string(req.ClientMessageID)); err != nil {
			return nil, err
		}
	}
	if req.RequestFingerprint != "" {
		d.fingerprint, err = hex.DecodeString(req.RequestFingerprint)
		if err != nil || len(d.fingerprint) != 32 {
			return nil, mesh.Errorf(mesh.BadRequest, "a request fingerprint has 64 hex characters")
		}
	}
	for _, text := range []string{req.ReplyToID, req.TraceID} {
		if text == "" {
			continue
		}
		if _, err := mesh.ParseClientID(text); err != nil {
			return nil, mesh.Errorf(mesh.BadRequest, "replyToId and traceId have at most %d printable ASCII characters", maxTextBytes)
		}
	}
	if req.Auth != nil && (req.Auth.Kind() != '{' || len(req.Auth) > protocol.MaxAuthBytes) {
		return nil, mesh.Errorf(mesh.BadRequest, "auth is an object of at most %d bytes", protocol.MaxAuthBytes)
	}
	return d, d.parseBody(req)
}

func (d *draft) parseBody(req *protocol.SendRequest) error {
	var err error
	if d.nonce, err = decodeBase64(req.Nonce); err != nil {
		return err
	}
	if d.body, err = decodeBase64(req.Ciphertext); err != nil {
		return err
	}
	switch direct := d.to.kind == store.ToMember; {
	case direct && len(d.nonce) != boxNonceBytes:
		return mesh.Errorf(mesh.BadRequest, "the nonce of a box has %d bytes", boxNonceBytes)
	case len(d.nonce) > maxNonceBytes:
		return mesh.Errorf(mesh.BadRequest, "a nonce has at most %d bytes", maxNonceBytes)
	case len(d.body) == 0:
		return mesh.Errorf(mesh.BadRequest, "the message is empty")
	case req.BodyVersion < 0:
		return mesh.Errorf(mesh.BadRequest, "bodyVersion is not negative")
	}
	return nil
}

// bytes is what a copy is charged.
func (d *draft) bytes() int64 { return int64(len(d.body) + len(d.nonce) + rowOverhead) }

// decodeBase64 reads the one canonical form of standard base64: what is stored is written out the same way.
func decodeBase64(s string) ([]byte, error) {
	data, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || base64.StdEncoding.EncodedLen(len(data)) != len(s) { // the decoder skips line ends
		return nil, mesh.Errorf(mesh.BadRequest, "nonce and ciphertext are standard base64 with padding")
	}
	return data, nil
}

// parseTarget reads a targetSpec (wire 4.1). Names and prefixes are resolved by clients.
func parseTarget(s string) (target, error) {
	switch {
	case mesh.IsKey(s):
		return target{kind: store.ToMember, text: s, key: mesh.Key(s)}, nil
	case s == "*", s == "@all":
		return target{kind: store.ToEveryone, text: s}, nil
	case strings.HasPrefix(s, "@"):
		group, err := mesh.ParseGroup(s)
		if err != nil {
			return target{}, mesh.Errorf(mesh.BadRequest, "%w", err)
		}
		return target{kind: store.ToGroup, text: s, group: group}, nil
	case strings.HasPrefix(s, "#"):
		return target{}, mesh.Errorf(mesh.BadRequest, "this broker does not serve topics")
	}
	return target{}, mesh.Errorf(mesh.TargetNotFound, "a recipient is a public key, @group or *")
}
