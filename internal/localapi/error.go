package localapi

import (
	"errors"
	"net/http"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// routeFailed is the historical error of an address that cannot be resolved (daemon 8.2).
const routeFailed = "route_failed"

// EncodeError makes the status and the body of a refusal.
func EncodeError(err error) (int, ErrorBody) {
	code := mesh.CodeOf(err)
	body := ErrorBody{Error: string(code), Code: code, Detail: mesh.PublicText(err), Hint: code.Hint()}
	if code == mesh.TargetNotFound || code == mesh.AmbiguousTarget {
		body.Error = routeFailed
	}
	var e *mesh.Error
	if errors.As(err, &e) {
		d := e.Details
		body.Attached, body.Limit, body.State, body.Missing = d.Attached, d.LimitBytes, d.State, d.Missing
		body.Conflict, body.DaemonFingerprintPrefix = d.Conflict, d.Prefix
		for _, c := range d.Candidates {
			body.Candidates = append(body.Candidates, Candidate{c.Name, c.Key, c.Mesh, c.Online})
		}
		if d.BrokerID != "" {
			body.BrokerMessageID = &d.BrokerID
		}
	}
	return code.Status(), body
}

// DecodeError turns a refusal of the daemon into our error again. An answer that is none of ours is internal.
func DecodeError(r Response) error {
	var b ErrorBody
	if err := wire.Decode(r.Body, &b); err != nil || !b.Code.Known() {
		return mesh.Errorf(mesh.Internal, "the daemon answered %d %s", r.Status, http.StatusText(r.Status))
	}
	if b.Detail == "" {
		b.Detail = string(b.Code)
	}
	d := mesh.Details{
		Attached: b.Attached, LimitBytes: b.Limit, State: b.State, Missing: b.Missing, Conflict: b.Conflict, Prefix: b.DaemonFingerprintPrefix,
	}
	for _, c := range b.Candidates {
		d.Candidates = append(d.Candidates, mesh.Candidate{Name: c.Name, Key: c.Pubkey, Mesh: c.Mesh, Online: c.Online})
	}
	if b.BrokerMessageID != nil {
		d.BrokerID = *b.BrokerMessageID
	}
	return (&mesh.Error{Code: b.Code, Err: errors.New(b.Detail)}).With(d)
}
