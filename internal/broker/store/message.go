package store

import (
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/sqlite"
)

// Kind says to whom a message was addressed. The numbers are stored.
type Kind int64

// The kinds of a target.
const (
	ToMember   Kind = 1
	ToSession  Kind = 2
	ToGroup    Kind = 3
	ToEveryone Kind = 4
)

// Message is a row of message. N and ID are given by the caller, see NewMessageID.
type Message struct {
	N             int64
	ID            mesh.ID
	Sender        int64         // Member.N
	ClientID      mesh.ClientID // may be empty
	Fingerprint   []byte        // 32 bytes, or empty; not nil
	CreatedAt     time.Time
	Recipients    int
	SenderSession int64 // Session.N, or 0
	SenderName    string
	Kind          Kind
	Target        string // empty for one key
	Priority      mesh.Priority
	ReplyTo       string
	Trace         string
	BodyVersion   int
	Nonce         []byte
	Ciphertext    []byte // empty once every delivery is final
	Auth          []byte // the sender's proof, JSON; nil without one
}

// AddMessage inserts m, unless its sender has used its client id before: then nothing changes and it reports false.
func AddMessage(tx *sqlite.Tx, m *Message) (bool, error) {
	var clientID any
	if m.ClientID != "" {
		clientID = string(m.ClientID)
	}
	n, err := tx.Exec(`INSERT INTO message (n, id, sender, client_id, fingerprint, created_at, recipients, sender_session,
			sender_name, kind, target, priority, reply_to, trace, body_version, nonce, ciphertext, auth)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
		ON CONFLICT (client_id, sender) DO NOTHING`,
		m.N, string(m.ID), m.Sender, clientID, m.Fingerprint, ms(m.CreatedAt), m.Recipients, m.SenderSession,
		m.SenderName, int64(m.Kind), m.Target, priorityNumber(m.Priority), m.ReplyTo, m.Trace, m.BodyVersion, m.Nonce, m.Ciphertext, m.Auth)
	if err != nil {
		return false, fmt.Errorf("add message: %w", err)
	}
	return n > 0, nil
}

// Accepted is what is remembered of a message against its repetition.
type Accepted struct {
	ID          mesh.ID
	Fingerprint []byte
	Recipients  int
	At          time.Time
	Kept        bool // its text is still here
}

const findAccepted = `SELECT id, fingerprint, recipients, created_at, length(nonce) + length(ciphertext) > 0 FROM message WHERE sender = $1 AND client_id = $2`

// FindAccepted reads what a sender's client id was used for; false when it was not.
func FindAccepted(tx *sqlite.Tx, sender int64, id mesh.ClientID) (Accepted, bool, error) {
	var a Accepted
	var when int64
	err := tx.QueryRow(findAccepted, sender, string(id)).Scan(&a.ID, &a.Fingerprint, &a.Recipients, &when, &a.Kept)
	if errors.Is(err, sql.ErrNoRows) {
		return a, false, nil
	}
	if err != nil {
		return a, false, fmt.Errorf("read message: %w", err)
	}
	a.At = at(when)
	return a, true, nil
}

// LastMessage returns the highest number in use, 0 when there is no message.
func LastMessage(tx *sqlite.Tx) (int64, error) {
	var n int64
	if err := tx.QueryRow(`SELECT coalesce(max(n), 0) FROM message`).Scan(&n); err != nil {
		return 0, fmt.Errorf("read last message: %w", err)
	}
	return n, nil
}

// idAlphabet is in the order of its bytes, so that ids sort like what they encode.
const idAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// idTimeLen is how many characters of a message id are its time: milliseconds in base 62 fit until the year 8888.
const idTimeLen = 8

// NewMessageID returns 32 base62 characters: the time, then 24 random ones, which nobody guesses. Ids in the
// order of time keep the index on them together, and make it an index on age.
func NewMessageID(when time.Time) mesh.ID {
	var out [32]byte
	copy(out[:], idTime(when))
	var random [40]byte
	for i := idTimeLen; i < len(out); {
		_, _ = rand.Read(random[:]) // crypto/rand never returns an error
		for _, b := range random {
			if int(b) < 256-256%len(idAlphabet) && i < len(out) { // the rest would favour some characters
				out[i] = idAlphabet[int(b)%len(idAlphabet)]
				i++
			}
		}
	}
	return mesh.ID(out[:])
}

// idTime is the beginning of all ids made at a time, and sorts before them.
func idTime(when time.Time) string {
	var out [idTimeLen]byte
	v := max(when.UnixMilli(), 0)
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = idAlphabet[v%int64(len(idAlphabet))]
		v /= int64(len(idAlphabet))
	}
	return string(out[:])
}

var priorities = []mesh.Priority{mesh.Now, mesh.Next, mesh.Low}

func priorityNumber(p mesh.Priority) int64 {
	for i, q := range priorities {
		if p == q {
			return int64(i)
		}
	}
	return 1 // next is what an unsaid priority means
}

func priorityName(n int64) mesh.Priority {
	if n < 0 || int(n) >= len(priorities) {
		return mesh.Next
	}
	return priorities[n]
}
