// Package inbox keeps what came, for every session of this machine, and what was shown to whom.
package inbox

import (
	"context"
	"log/slog"
	"time"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
)

// Options says where the inbox lies. All fields are required.
type Options struct {
	Path string // paths.Daemon.Inbox
	Now  mesh.Clock
	Log  *slog.Logger
}

// Inbox is the open database. Its methods may be called from any goroutine.
type Inbox struct{}

// Open opens the inbox or makes it, and takes over a file of the TypeScript daemon. A damaged file is moved aside as
// inbox.db.corrupt-<time> and a new one begun; a newer or locked one is refused: store_newer, store_locked, io_error.
func Open(ctx context.Context, opt Options) (*Inbox, error) { panic("inbox: in the making") }

// Close finishes what was accepted and closes the file. Run must have returned.
func (b *Inbox) Close() error { panic("inbox: in the making") }

// Run prunes at once and every hour until ctx ends: rows of more than 30 days go, the hashes of their nonces stay.
func (b *Inbox) Run(ctx context.Context) error { panic("inbox: in the making") }

// Draft is a message that came, opened as far as it opens.
type Draft struct {
	MeshID        mesh.ID
	Mesh          string        // slug
	ClientID      mesh.ClientID // the sender's id; else the broker's
	BrokerID      mesh.ID
	Topic         string
	Sender        mesh.Key // session key, else member key
	SenderMember  mesh.Key // empty when the broker did not say
	SenderName    string
	Recipient     mesh.Key // own key it came to
	RecipientKind Kind
	Body          *string // nil: it did not open
	ReplyTo       string
	Priority      mesh.Priority
	Subtype       string
	NonceHash     []byte // seal.NonceHash of a box that opened; nil for everything else
	Encrypted     bool   // a box that opened
	Verified      bool
	CreatedAt     time.Time // by the sender's broker; may be zero
	TraceID       string
}

// Kind says whose key a message came to.
type Kind string

// The kinds of recipient.
const (
	Session Kind = "session"
	Member  Kind = "member"
)

// Verdict is what became of a Draft.
type Verdict int

// The verdicts. Whichever it is, the message is on the disk and may be acknowledged to the broker.
const (
	New       Verdict = iota + 1
	Duplicate         // the same message to the same key is here
	Replayed          // another message with a nonce that was here (design C9); dropped
)

// Put stores d and returns when it is on the disk. The Row is filled for New only.
func (b *Inbox) Put(ctx context.Context, d Draft) (Row, Verdict, error) {
	panic("inbox: in the making")
}

// Changed returns a channel that is closed when the next new row is on the disk.
func (b *Inbox) Changed() <-chan struct{} { panic("inbox: in the making") }

// Query narrows List.
type Query struct {
	Scope      Scope
	Mesh       string    // slug
	Since      time.Time // received at or after
	Topic      string
	From       mesh.Key // sender's session or member key
	Limit      int      // 1 to 1000; 0 means 100
	UnreadOnly bool
	KeepUnread bool           // leave listed rows unread
	Admit      func(Row) bool // the gate: rows it refuses are counted as held, not listed; nil admits all
}

// ParseQuery checks a request; what it does not understand is bad_request, so that nothing that was meant to narrow
// is ever ignored.
func ParseQuery(req localapi.InboxRequest, s Scope) (Query, error) { panic("inbox: in the making") }

// Page is a part of the inbox, newest first. Rows show SeenAt as it was before they were listed.
type Page struct {
	Rows   []Row
	Marked int // rows that were unread and are read now
	Held   int // rows that Admit refused
}

// List returns rows, newest first.
func (b *Inbox) List(ctx context.Context, q Query) (Page, error) { panic("inbox: in the making") }

// After returns rows with a higher seq, oldest first, for a subscriber that follows. 1 to 1000 rows.
func (b *Inbox) After(ctx context.Context, s Scope, seq int64, limit int) ([]Row, error) {
	panic("inbox: in the making")
}

// LastSeq is the seq of the newest row there ever was; 0 for none.
func (b *Inbox) LastSeq(ctx context.Context) (int64, error) { panic("inbox: in the making") }

// Find returns a row by its id, client id or broker id; not_found when the scope does not see it.
func (b *Inbox) Find(ctx context.Context, s Scope, id string) (Row, error) {
	panic("inbox: in the making")
}

// MarkSeen stamps rows that are unread and returns how many were.
func (b *Inbox) MarkSeen(ctx context.Context, s Scope, ids []string) (int, error) {
	panic("inbox: in the making")
}

// Unread counts the rows that nobody has listed.
func (b *Inbox) Unread(ctx context.Context, s Scope) (int, error) { panic("inbox: in the making") }
