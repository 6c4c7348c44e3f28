package roster

import (
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// room is how many bytes a row has on a page, with the comma behind it; rarely more than it has. Writing each row to
// see its length would cost as much as the answer.
func room(p *protocol.Peer) int {
	n := len(`{"pubkey":"","memberPubkey":"","displayName":"","status":"","summary":null,"groups":[],"sessionId":"","connectedAt":"","cwd":"","peerRole":""},`)
	for _, s := range []string{
		string(p.Pubkey), string(p.MemberPubkey), p.DisplayName, string(p.Status), p.SessionID, p.ConnectedAt, p.CWD, string(p.PeerRole),
	} {
		n += quoted(s)
	}
	n += option(`role`, p.Role) + option(`hostname`, p.Hostname) + option(`peerType`, p.PeerType) + option(`channel`, p.Channel) +
		option(`model`, p.Model) + option(`lastSeenAt`, p.LastSeenAt) + option(`memberName`, p.MemberName)
	for _, g := range p.Groups {
		n += len(`{"name":""},`) + quoted(g.Name) + option(`role`, g.Role)
	}
	if p.Summary != nil {
		n += quoted(*p.Summary)
	}
	if v := p.Attestation; v != nil {
		n += len(`,"attestation":{"host":"","notBefore":-9223372036854775808,"expiresAt":-9223372036854775808,"signature":""}`) + quoted(v.Host) + quoted(v.Signature)
	}
	n += flag(`visible`, p.Visible != nil) + flag(`online`, p.Online != nil) + flag(`reconnecting`, p.Reconnecting) + flag(`proved`, p.Proved) + flag(`receipts`, p.Receipts)
	if p.Stats != nil || p.Profile != nil { // few have any
		rest, err := wire.Encode(protocol.Peer{Stats: p.Stats, Profile: p.Profile})
		if err != nil {
			return maxPageBytes // the answer will say why
		}
		n += len(rest)
	}
	return n
}

// option is the length of a member that is left out when it is empty.
func option(name, value string) int {
	if value == "" {
		return 0
	}
	return len(name) + len(`,"":""`) + quoted(value)
}

// flag is the length of a member that is true or false.
func flag(name string, is bool) int {
	if !is {
		return 0
	}
	return len(name) + len(`,"":false`)
}

// quoted is the length of a text between its quotes. Only controls and what is no UTF-8 take more bytes than here, and
// those are counted as the most.
func quoted(s string) int {
	n := len(s)
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			n++
		case c < ' ':
			n += len(`\u0000`) - 1
		case c >= 0x80:
			n += 2
		}
	}
	return n
}
