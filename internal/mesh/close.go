package mesh

// CloseCode is the code with which a WebSocket ends (wire 1.3).
type CloseCode int

// Close codes. The inherited ones keep their numbers. Ours come in two ranges, so that an older client
// obeys a code it has never seen: 4100 to 4199 "come back", 4200 to 4299 "do not".
const (
	CloseNormal       CloseCode = 1000 // with session_replaced, disconnected, or session_closed from a client
	CloseGoingAway    CloseCode = 1001 // the broker stops
	CloseInvalidData  CloseCode = 1007 // not UTF-8
	ClosePolicy       CloseCode = 1008 // hello refused; the reason is the code of the error before it
	CloseTooBig       CloseCode = 1009 // a frame over the limit
	CloseKicked       CloseCode = 4001
	CloseBanned       CloseCode = 4002
	CloseNoFeature    CloseCode = 4010
	CloseSlowConsumer CloseCode = 4100 // reads too slowly; its queue is kept
	CloseStoreFailed  CloseCode = 4101
)

// Reasons that stand in a close frame beside CloseNormal.
const (
	ReasonReplaced = "session_replaced"
	ReasonClosed   = "session_closed"
)

// permanent lists the reasons of ClosePolicy after which connecting again cannot help.
var permanent = map[Code]bool{
	Unauthorized: true, BadSignature: true, Malformed: true, AttestationMismatch: true, ParentMismatch: true,
	BadSessionKey: true, BadParentKey: true, WeakKey: true, Revoked: true, BadName: true, MeshArchived: true,
}

// ComeBack reports whether a client that was closed with c and reason may connect again by itself.
func (c CloseCode) ComeBack(reason string) bool {
	switch {
	case c == CloseKicked, c == CloseBanned, c == CloseNoFeature:
		return false
	case c >= 4200 && c < 4300:
		return false
	case c == ClosePolicy:
		return !permanent[Code(reason)]
	}
	return true
}
