package cli

import (
	"strings"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
)

// key is a public key that begins with a word.
func key(word string) mesh.Key {
	hex := strings.NewReplacer("g", "6", "h", "4", "i", "1", "j", "7", "k", "8", "l", "1", "m", "3", "n", "2", "o", "0", "p", "9", "q", "9", "r", "2",
		"s", "5", "t", "7", "u", "0", "v", "1", "w", "3", "x", "8", "y", "4", "z", "2").Replace(word)
	return mesh.Key((hex + strings.Repeat("0123456789abcdef", 4))[:64])
}

func ptr[T any](v T) *T { return &v }

const (
	sampleClientID = mesh.ClientID("5f0d2a44-13c5-4f0e-9b1a-2c3d4e5f6a7b")
	sampleBrokerID = mesh.ID("Br0kerMessageIdBr0kerMessageId01")
	sampleInvite   = mesh.ID("1nviteIdInviteIdInviteIdInvite01")
)

func sampleMesh() localapi.Mesh {
	return localapi.Mesh{
		Slug: "team", Name: "Team", MeshID: "MeshIdMeshIdMeshIdMeshIdMeshId01", MemberID: "MemberIdMemberIdMemberIdMember01", Pubkey: key("anna"),
		Role: "admin", IsOwner: true, BrokerURL: "wss://mesh.example.com/ws", JoinedAt: "2026-02-01T12:00:00.000Z", Status: "open",
		OwnerPrint: "q0Zr2v8mT5Wc1yN4kLxU3g",
	}
}

func sampleMeshes() localapi.MeshesAnswer {
	other := sampleMesh()
	other.Slug, other.Name, other.IsOwner, other.Role, other.Status, other.Pending = "research", "Research", false, "member", "reconnecting", 2
	other.LastError = "dial tcp: connection refused"
	return localapi.MeshesAnswer{Meshes: []localapi.Mesh{sampleMesh(), other}, ConfigPath: "/home/anna/.claudemesh/config.json"}
}

func samplePeers() localapi.PeersAnswer {
	row := func(name, word, member string) localapi.Peer {
		return localapi.Peer{Mesh: "team", Peer: protocol.Peer{
			Pubkey: key(word), MemberPubkey: key(member), MemberName: member + "@laptop", DisplayName: name, Status: mesh.Idle,
			Groups: []protocol.Group{}, SessionID: word, ConnectedAt: "2026-03-04T11:00:00.000Z", PeerRole: mesh.SessionRole, Channel: "claude-code",
		}}
	}
	this, sibling := row("api", "session1", "anna"), row("web", "session2", "anna")
	this.IsSelf, this.IsThisSession, this.Verified, this.CWD = true, true, true, "api"
	sibling.IsSelf, sibling.Verified, sibling.Status = true, true, mesh.Working
	bob := row("backend-migration-and-more-words", "session3", "bob")
	bob.Status, bob.Summary = mesh.DND, ptr("moving the tables of the ledger to the new schema, one after the other, with a pause")
	bob.Groups = []protocol.Group{{Name: "backend", Role: "lead"}, {Name: "ops"}}
	bob.Role, bob.Model, bob.CWD = "reviewer", "opus", "ledger"
	carol := row("carol@desk", "carol", "carol")
	carol.Pubkey, carol.MemberName, carol.Channel, carol.SessionID = carol.MemberPubkey, "carol@desk", "", ""
	gone := row("docs", "session4", "dave")
	gone.Online, gone.LastSeenAt = ptr(false), "2026-03-03T09:00:00.000Z"
	return localapi.PeersAnswer{
		Peers: []localapi.Peer{this, sibling, gone, bob, carol}, Meshes: []localapi.MeshState{{Mesh: "team", Status: "open", OK: true}},
	}
}

func sampleInbox() localapi.InboxAnswer {
	item := localapi.InboxItem{
		Seq: 7, ID: "inbox-row-7", ClientMessageID: sampleClientID, BrokerMessageID: sampleBrokerID, Mesh: "team", SenderPubkey: key("session3"),
		SenderMemberPubkey: key("bob"), SenderName: "backend", Body: ptr("the tests are green\nall 412 of them"), Priority: mesh.Next,
		ReceivedAt: "2026-03-04T11:57:00.000Z", RecipientPubkey: key("session1"), RecipientKind: "session", Encrypted: true, Verified: true,
	}
	urgent := item
	urgent.ID, urgent.Priority, urgent.Encrypted, urgent.Verified, urgent.Topic, urgent.Body = "inbox-row-6", mesh.Now, false, false, ptr("@ops"), ptr("deploy stops at noon")
	urgent.SeenAt, urgent.ReplyToID = ptr("2026-03-04T10:00:00.000Z"), ptr("Br0kerMessageIdBr0kerMessageId00")
	broken := item
	broken.ID, broken.Body, broken.Undecryptable, broken.Encrypted = "inbox-row-5", nil, true, false
	held := item
	held.ID, held.Body, held.Held = "inbox-row-4", nil, true
	withheld := item
	withheld.ID, withheld.Body = "inbox-row-3", nil
	return localapi.InboxAnswer{Items: []localapi.InboxItem{item, urgent, broken, held, withheld}, HeldCount: 1}
}

func sampleOutbox() localapi.OutboxAnswer {
	done := localapi.OutboxItem{
		ID: "row-2", ClientMessageID: sampleClientID, Status: "done", Mesh: "team", TargetSpec: string(key("session3")), Attempts: 1,
		EnqueuedAt: ptr("2026-03-04T11:00:00.000Z"), DeliveredAt: ptr("2026-03-04T11:00:01.000Z"), BrokerMessageID: ptr(sampleBrokerID), PayloadBytes: 19,
	}
	dead := done
	dead.ID, dead.Status, dead.Attempts, dead.BrokerMessageID, dead.DeliveredAt = "row-1", "dead", 3, nil, nil
	dead.LastError = ptr("target_not_found: no session or member of the mesh has this key (invalid)")
	return localapi.OutboxAnswer{Items: []localapi.OutboxItem{done, dead}}
}

func sampleSession() localapi.Session {
	return localapi.Session{
		SessionID: "0b9c4d1e", PID: 4243, CWD: "/src/api", DisplayName: "api", Groups: []protocol.Group{}, Host: localapi.Host{Name: "claude-code", Version: "2.1"},
		TokenPrefix: "0123abcd", Registered: "2026-03-04T11:00:00.000Z",
		Sessions: []localapi.SessionMesh{{Mesh: "team", SessionPubkey: key("session1"), DisplayName: "api", Status: "open"}},
	}
}

func sampleHealth() localapi.HealthAnswer {
	return localapi.HealthAnswer{
		OK: true, PID: 4242, Version: "1.2.3", UptimeS: 7300, Brokers: map[string]string{"team": "open"},
		Meshes: []localapi.MeshHealth{
			{Mesh: "team", MeshID: sampleMesh().MeshID, Status: "open", Sessions: 1},
			{Mesh: "research", MeshID: sampleMesh().MeshID, Status: "reconnecting", OutboxPending: 2, OutboxDead: 1, LastError: "dial tcp: connection refused"},
		},
	}
}

func sampleSend() localapi.SendAnswer {
	return localapi.SendAnswer{
		ClientMessageID: sampleClientID, Status: "queued", Mesh: "team", Target: string(key("session3")), TargetName: "backend", Encrypted: true,
		State: mesh.StateQueued, RecipientOnline: ptr(true),
	}
}

func sampleStatus() localapi.StatusAnswer {
	return localapi.StatusAnswer{
		MessageID: sampleBrokerID, ClientMessageID: sampleClientID, Mesh: "team", TargetSpec: "@backend", State: mesh.StateAccepted, Attempts: 1,
		EnqueuedAt: "2026-03-04T11:00:00.000Z",
		Recipients: []localapi.Recipient{
			{Name: "backend", Pubkey: key("session3"), State: mesh.StateSurfaced, At: "2026-03-04T11:00:02.000Z", Verified: true},
			{Name: "docs", Pubkey: key("session4"), State: mesh.StateAccepted},
			{Pubkey: key("session5"), State: mesh.StateDelivered, At: "2026-03-04T11:00:01.000Z"},
			{Name: "old", Pubkey: key("session6"), State: mesh.StateExpired, At: "2026-03-04T11:30:00.000Z", Reason: "nobody came for it"},
		},
	}
}

func sampleInvites() localapi.InvitesAnswer {
	open := protocol.Invite{InviteID: sampleInvite, Role: "member", ExpiresAt: testTime.Unix() + 7*86400, MaxUses: 5, Used: 1, CreatedAt: "2026-03-04T11:00:00.000Z"}
	revoked, used, expired := open, open, open
	revoked.Revoked, used.Used, expired.ExpiresAt = true, 5, testTime.Unix()-60
	return localapi.InvitesAnswer{Invites: []protocol.Invite{open, revoked, used, expired}}
}

// samples is an answer for every route that verbs call.
func samples() map[string]any {
	return map[string]any{
		localapi.Version.Route:       localapi.VersionAnswer{DaemonVersion: "1.2.3", IPCAPI: "v1", IPCFeatures: localapi.Features(), SchemaVersion: 1},
		localapi.Health.Route:        sampleHealth(),
		localapi.Meshes.Route:        sampleMeshes(),
		localapi.MeshCreate.Route:    localapi.MeshAnswer{Mesh: sampleMesh()},
		localapi.MeshJoin.Route:      localapi.MeshAnswer{Mesh: sampleMesh()},
		localapi.MeshLeave.Route:     localapi.MeshLeaveAnswer{Slug: "team", BrokerTold: true},
		localapi.InviteCreate.Route:  localapi.InviteAnswer{URL: "https://mesh.example.com/i/7dQm4xZt9BcA#q0Zr2v8mT5Wc1yN4kLxU3g", Code: "7dQm4xZt9BcA", InviteID: sampleInvite, ExpiresAt: "2026-03-11T12:00:00.000Z", Uses: 1, Role: "member", Mesh: "team"},
		localapi.Invites.Route:       sampleInvites(),
		localapi.InviteRevoke.Route:  localapi.None{},
		localapi.Peers.Route:         samplePeers(),
		localapi.Send.Route:          sampleSend(),
		localapi.MessageStatus.Route: sampleStatus(),
		localapi.Outbox.Route:        sampleOutbox(),
		localapi.Inbox.Route:         sampleInbox(),
		localapi.InboxSeen.Route:     localapi.SeenAnswer{MarkedSeen: 2},
		localapi.Whoami.Route:        localapi.WhoamiAnswer{User: "anna", Meshes: sampleMeshes().Meshes, ConfigPath: "/home/anna/.claudemesh/config.json", Session: ptr(sampleSession())},
	}
}
