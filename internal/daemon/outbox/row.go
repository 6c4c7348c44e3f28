package outbox

import (
	"slices"
	"strings"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Status is where a row stands on this machine (daemon 10.3).
type Status string

// The statuses. Done, dead and aborted are final.
const (
	Pending  Status = "pending"
	Inflight Status = "inflight"
	Done     Status = "done"
	Dead     Status = "dead"
	Aborted  Status = "aborted"
)

// Row is one message as it stands in the outbox, without its body and ciphertext.
type Row struct {
	ID            string
	ClientID      mesh.ClientID
	MeshID        mesh.ID // empty for a row of the TypeScript daemon that no Drain has adopted
	Mesh          string  // slug
	TargetSpec    string
	TargetName    string
	Recipient     mesh.Key // empty: plain text for the broker
	Sender        mesh.Key // session key; empty: the member
	Priority      mesh.Priority
	ReplyTo       string
	TraceID       string
	BodyBytes     int64
	Status        Status
	Attempts      int // refusals by the broker; not rate limits, losses of connection or timeouts
	EnqueuedAt    time.Time
	NextAttemptAt time.Time
	AcceptedAt    time.Time // by the broker; the column is named delivered_at
	BrokerID      mesh.ID
	Mailboxes     int // into which the broker put it; 0 when it did not say
	LastError     string
	AbortedAt     time.Time
	AbortedBy     string
	SupersededBy  string

	fingerprint []byte // 32 bytes; another length matches nothing
}

// Encrypted reports whether the body is sealed to one key.
func (r Row) Encrypted() bool { return r.Recipient != "" }

// columns of a Row, in the order of scan.
const columns = `id, client_message_id, mesh_id, coalesce(mesh, ''), coalesce(target_spec, ''), target_name,
	recipient_key, coalesce(sender_session_pubkey, ''), coalesce(priority, 'next'), coalesce(reply_to_id, ''), trace_id,
	body_bytes, status, attempts, enqueued_at, next_attempt_at, coalesce(delivered_at, 0),
	coalesce(broker_message_id, ''), mailboxes, coalesce(last_error, ''), coalesce(aborted_at, 0),
	coalesce(aborted_by, ''), coalesce(superseded_by, ''), request_fingerprint`

func scan(rows *sqlite.Rows) (Row, error) {
	var r Row
	var enqueued, next, accepted, aborted int64
	err := rows.Scan(&r.ID, &r.ClientID, &r.MeshID, &r.Mesh, &r.TargetSpec, &r.TargetName,
		&r.Recipient, &r.Sender, &r.Priority, &r.ReplyTo, &r.TraceID,
		&r.BodyBytes, &r.Status, &r.Attempts, &enqueued, &next, &accepted,
		&r.BrokerID, &r.Mailboxes, &r.LastError, &aborted,
		&r.AbortedBy, &r.SupersededBy, &r.fingerprint)
	r.fingerprint = slices.Clone(r.fingerprint)
	r.EnqueuedAt, r.NextAttemptAt = timeOf(enqueued), timeOf(next)
	r.AcceptedAt, r.AbortedAt = timeOf(accepted), timeOf(aborted)
	return r, err
}

// selectRows runs a query for columns.
func selectRows(tx *sqlite.Tx, query string, args ...any) ([]Row, error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	var all []Row
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// state is how far the message has come by the row alone, without receipts (design D5).
func (r Row) state() mesh.State {
	switch r.Status {
	case Done:
		return mesh.StateAccepted
	case Aborted:
		if r.BrokerID != "" {
			return mesh.StateAccepted // it was too late
		}
		return mesh.StateRejected
	case Dead:
		switch {
		case strings.HasPrefix(r.LastError, string(mesh.MaxAge)):
			return mesh.StateExpired
		case r.InReview():
			return mesh.StateQueued
		}
		return mesh.StateRejected
	}
	return mesh.StateQueued
}

// Reason says why a row got nowhere; empty for one that did, or still may.
func (r Row) Reason() string {
	switch {
	case r.Status != Aborted:
		return r.LastError
	case r.SupersededBy != "":
		return "replaced by " + r.SupersededBy
	}
	return "cancelled"
}

// endedHere reports whether this daemon ended a row, and not the word of a broker.
func (r Row) endedHere() bool {
	ours := []mesh.Code{mesh.MaxAge, mesh.NoBrokerForMesh, mesh.LegacyUnroutable}
	return r.Status == Aborted && r.BrokerID == "" || r.Status == Dead && slices.Contains(ours, mesh.Code(r.LastError))
}

// MayBeSent reports whether the broker may have the message although it has not said so: it was under way once, and no
// refusal of the broker ended it.
func (r Row) MayBeSent() bool {
	tried := !r.NextAttemptAt.Equal(r.EnqueuedAt) // a claim puts the next attempt off
	if r.InReview() {
		return true // before or after the backup was made
	}
	switch r.Status {
	case Inflight:
		return true
	case Pending:
		return tried
	case Dead:
		ours := []mesh.Code{mesh.MaxAge, mesh.NoBrokerForMesh, mesh.Revoked, mesh.Kicked}
		return tried && slices.Contains(ours, mesh.Code(r.LastError))
	case Done, Aborted:
	}
	return false
}

// Filter narrows List. The zero value is everything, 50 rows.
type Filter struct {
	Status Status
	Mesh   string // slug
	Limit  int    // 1 to 500; 0 means 50
}

// ParseFilter checks a request; what it does not understand is bad_request (daemon 8.3).
func ParseFilter(req localapi.OutboxRequest) (Filter, error) {
	f := Filter{Status: Status(req.Status), Mesh: req.Mesh, Limit: req.Limit}
	return f, f.check()
}

func (f Filter) check() error {
	all := []Status{"", Pending, Inflight, Done, Dead, Aborted}
	if !slices.Contains(all, f.Status) {
		return mesh.Errorf(mesh.BadRequest, "status %q is not pending, inflight, done, dead or aborted", f.Status)
	}
	if f.Limit < 0 || f.Limit > 500 {
		return mesh.Errorf(mesh.BadRequest, "limit is 1 to 500")
	}
	return nil
}
