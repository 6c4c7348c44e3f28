package seal

import "time"

// Receipt is what the reader of a message signs with the key that the message came to, so that no broker can say in its
// place that a message was shown or acknowledged (design D5). The sender's client id names the message: a member uses it
// once. Sender binds the receipt to who is told, so that it is worth nothing to anybody else.
type Receipt struct {
	MeshID   string
	ClientID string
	Sender   PublicKey // member key of the message's sender
	Reader   PublicKey // session key for a session's mailbox, else member key
	State    string    // surfaced or acknowledged
	At       time.Time
}

// Sign signs with the reader's key, which must be Reader; ErrMalformed otherwise.
func (r Receipt) Sign(reader SecretKey) (Signature, error) { return reader.sign(r.Reader, r.text()) }

// Verify checks the signature by the reader's key. Whose key that is, and whether the message was sent to it, is the
// caller's question.
func (r Receipt) Verify(sig Signature) error { return r.Reader.verify(r.text(), sig) }

func (r Receipt) text() []byte {
	return prefixedText(domainReceipt, r.MeshID, r.ClientID, r.Sender.String(), r.Reader.String(), r.State, milliseconds(r.At))
}
