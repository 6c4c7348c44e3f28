package clitest

import (
	"strings"

	"github.com/claudemesh/claudemesh/internal/localapi"
	"github.com/claudemesh/claudemesh/internal/mesh"
	"github.com/claudemesh/claudemesh/internal/protocol"
	"github.com/claudemesh/claudemesh/internal/wire"
)

// Key is a public key that begins with a word.
func Key(word string) mesh.Key {
	hex := strings.NewReplacer("g", "6", "h", "4", "i", "1", "j", "7", "k", "8", "l", "1", "m", "3", "n", "2", "o", "0", "p", "9", "q", "9", "r", "2",
		"s", "5", "t", "7", "u", "0", "v", "1", "w", "3", "x", "8", "y", "4", "z", "2").Replace(word)
	return mesh.Key((hex + strings.Repeat("0123456789abcdef", 4))[:64])
}

// Ids in the samples.
const (
	ClientID = mesh.ClientID("5f0d2a44-13c5-4f0e-9b1a-2c3d4e5f6a7b")
	BrokerID = mesh.ID("Br0kerMessageIdBr0kerMessageId01")
	InviteID = mesh.ID("1nviteIdInviteIdInviteIdInvite01")
)

// Mesh is the mesh team, which this user owns.
func Mesh() localapi.Mesh {
	return localapi.Mesh{
		Slug: "team", Name: "Team", MeshID: "MeshIdMeshIdMeshIdMeshIdMeshId01", MemberID: "MemberIdMemberIdMemberIdMember01", Pubkey: Key("anna"),
		Role: "admin", IsOwner: true, BrokerURL: "wss://mesh.example.com/ws", JoinedAt: "2026-02-01T12:00:00.000Z", Status: "open",
		OwnerPrint: "q0Zr2v8mT5Wc1yN4kLxU3g",
	}
}

// Meshes is team and a mesh whose broker does not answer.
func Meshes() localapi.MeshesAnswer {
	other := Mesh()
	other.Slug, other.Name, other.IsOwner, other.Role, other.Status, other.Pending = "research", "Research", false, "member", "reconnecting", 2
	other.LastError = "dial tcp: connection refused"
	return localapi.MeshesAnswer{Meshes: []localapi.Mesh{Mesh(), other}, ConfigPath: "/home/anna/.claudemesh/config.json"}
}

// Peers is the roster of team: this session, another of this user, and three of others.
func Peers() localapi.PeersAnswer {
	row := func(name, word, member string) localapi.Peer {
		return localapi.Peer{Mesh: "team", Peer: protocol.Peer{
			Pubkey: Key(word), MemberPubkey: Key(member), MemberName: member + "@laptop", DisplayName: name, Status: mesh.Idle,
			Groups: []protocol.Group{}, SessionID: word, ConnectedAt: "2026-03-04T11:00:00.000Z", PeerRole: mesh.SessionRole, Channel: "claude-code",
		}}
	}
	this, sibling := row("api", "session1", "anna"), row("web", "session2", "anna")
	this.IsSelf, this.IsThisSession, this.Verified, this.CWD = true, true, true, "api"
	sibling.IsSelf, sibling.Verified, sibling.Status = true, true, mesh.Working
	bob := row("backend-migration-and-more-words", "session3", "bob")
	bob.Status, bob.Summary = mesh.DND, new("moving the tables of the ledger to the new schema, one after the other, with a pause")
	bob.Groups = []protocol.Group{{Name: "backend", Role: "lead"}, {Name: "ops"}}
	bob.Role, bob.Model, bob.CWD = "reviewer", "opus", "ledger"
	carol := row("carol@desk", "carol", "carol")
	carol.Pubkey, carol.MemberName, carol.Channel, carol.SessionID = carol.MemberPubkey, "carol@desk", "", ""
	gone := row("docs", "session4", "dave")
	gone.Online, gone.LastSeenAt = new(false), "2026-03-03T09:00:00.000Z"
	return localapi.PeersAnswer{
		Peers: []localapi.Peer{this, sibling, gone, bob, carol}, Meshes: []localapi.MeshState{{Mesh: "team", Status: "open", OK: true}},
	}
}

// Members is who belongs to team: this user, one who is proved, and one who is away.
func Members() localapi.MembersAnswer {
	row := func(name, role string) localapi.Member {
		return localapi.Member{Mesh: "team", Member: protocol.Member{
			MemberID: mesh.ID(name), Pubkey: Key(name), DisplayName: name + "@laptop", Role: role, JoinedAt: "2026-02-01T12:00:00.000Z",
			LastSeenAt: "2026-03-04T11:00:00.000Z",
		}}
	}
	anna, bob, dave := row("anna", "admin"), row("bob", "member"), row("dave", "member")
	anna.IsSelf, anna.Verified, anna.Online, anna.Sessions, anna.Status = true, true, true, 2, mesh.Idle
	bob.Verified, bob.Online, bob.Sessions, bob.Status, bob.Summary = true, true, 1, mesh.DND, new("moving the ledger")
	return localapi.MembersAnswer{Members: []localapi.Member{anna, bob, dave}, Meshes: []localapi.MeshState{{Mesh: "team", Status: "open", OK: true}}}
}

func inbox() localapi.InboxAnswer {
	item := localapi.InboxItem{
		Seq: 7, ID: "inbox-row-7", ClientMessageID: ClientID, BrokerMessageID: BrokerID, Mesh: "team", SenderPubkey: Key("session3"),
		SenderMemberPubkey: Key("bob"), SenderName: "backend", Body: new("the tests are green\nall 412 of them"), Priority: mesh.Next,
		ReceivedAt: "2026-03-04T11:57:00.000Z", RecipientPubkey: Key("session1"), RecipientKind: "session", Encrypted: true, Verified: true,
	}
	urgent := item
	urgent.ID, urgent.Priority, urgent.Encrypted, urgent.Verified, urgent.Topic, urgent.Body = "inbox-row-6", mesh.Now, false, false, new("@ops"), new("deploy stops at noon")
	urgent.SeenAt, urgent.ReplyToID = new("2026-03-04T10:00:00.000Z"), new("Br0kerMessageIdBr0kerMessageId00")
	broken := item
	broken.ID, broken.Body, broken.Undecryptable, broken.Encrypted = "inbox-row-5", nil, true, false
	held := item
	held.ID, held.Body, held.Held = "inbox-row-4", nil, true
	withheld := item
	withheld.ID, withheld.Body = "inbox-row-3", nil
	muted := item
	muted.ID, muted.Muted = "inbox-row-2", true
	return localapi.InboxAnswer{Items: []localapi.InboxItem{item, urgent, broken, held, withheld, muted}, HeldCount: 1}
}

// Letters is what came and did not open, what a blocked peer wrote, and what was given up on its way out.
func Letters() localapi.LettersAnswer {
	return localapi.LettersAnswer{HeldCount: 1, Letters: []localapi.DeadLetter{
		{ID: "letter-2", Direction: "in", Reason: "undecryptable", Mesh: "team", Name: "backend", Pubkey: Key("session3"), ClientMessageID: ClientID,
			BrokerMessageID: BrokerID, At: "2026-03-04T11:57:00.000Z", Redeliverable: true},
		{ID: "letter-1", Direction: "in", Reason: "replayed", Mesh: "team", Pubkey: Key("session4"), At: "2026-03-04T11:50:00.000Z"},
		{ID: "row-1", Direction: "out", Reason: "rejected", Detail: "target_not_found: no session or member of the mesh has this key (invalid)", Mesh: "team",
			Target: "@ops", ClientMessageID: ClientID, At: "2026-03-04T11:00:00.000Z", Redeliverable: true},
		{ID: "row-0", Direction: "out", Reason: "rejected", Detail: string(mesh.NoBrokerForMesh), Mesh: "left", Name: "dave", Pubkey: Key("session3"),
			At: "2026-03-04T10:00:00.000Z"},
	}}
}

func outbox() localapi.OutboxAnswer {
	done := localapi.OutboxItem{
		ID: "row-2", ClientMessageID: ClientID, Status: "done", Mesh: "team", TargetSpec: string(Key("session3")), TargetName: "backend", Attempts: 1,
		EnqueuedAt: new("2026-03-04T11:00:00.000Z"), DeliveredAt: new("2026-03-04T11:00:01.000Z"), BrokerMessageID: new(BrokerID), PayloadBytes: 19,
	}
	dead := done
	dead.ID, dead.Status, dead.Attempts, dead.BrokerMessageID, dead.DeliveredAt = "row-1", "dead", 3, nil, nil
	dead.LastError = new("target_not_found: no session or member of the mesh has this key (invalid)")
	return localapi.OutboxAnswer{Items: []localapi.OutboxItem{done, dead}}
}

func inspected() localapi.InspectAnswer {
	return localapi.InspectAnswer{
		OutboxItem: outbox().Items[1], Priority: mesh.Next, State: mesh.StateRejected, FingerprintPrefix: "dc13f9d139b04e98",
		TraceID: "0123456789abcdef", Body: new("the tests are green"), Recipients: []localapi.Recipient{},
	}
}

func session() localapi.Session {
	return localapi.Session{
		SessionID: "0b9c4d1e", PID: 4243, CWD: "/src/api", DisplayName: "api", Groups: []protocol.Group{}, Host: localapi.Host{Name: "claude-code", Version: "2.1"},
		TokenPrefix: "0123abcd", Registered: "2026-03-04T11:00:00.000Z",
		Sessions: []localapi.SessionMesh{{Mesh: "team", SessionPubkey: Key("session1"), DisplayName: "api", Status: "open"}},
	}
}

// Groups is two groups of team; this session is in one of them.
func Groups() localapi.GroupsAnswer {
	return localapi.GroupsAnswer{
		Groups: []localapi.Group{
			{Name: "backend", Mesh: "team", Sessions: 2, Count: 3, Members: []string{"anna@laptop", "bob", "carol@desk"}, Joined: true, Role: "lead"},
			{Name: "backend/ledger", Mesh: "team", Count: 1, Members: []string{"dave"}},
		},
		Meshes: []localapi.MeshState{{Mesh: "team", Status: "open", OK: true}},
	}
}

// Skill is what bob has published in team; nobody has said yes to it.
func Skill() localapi.Skill {
	return localapi.Skill{
		Name: "deploy", Description: "How this team deploys", Tags: []string{"ops", "ci"}, Author: "bob", AuthorPubkey: Key("bob"), Mesh: "team",
		CreatedAt: "2026-03-01T12:00:00.000Z", UpdatedAt: "2026-03-03T12:00:00.000Z", State: localapi.SkillNew, Verified: true, Digest: "d1a2b3",
		Instructions: new("1. Run the tests.\n2. Tag it.\n"), WhenToUse: "before a release", ArgumentHint: "<version>",
	}
}

// Skills is the skills of team: new, changed and own.
func Skills() localapi.SkillsAnswer {
	row := func(name, state string) localapi.Skill {
		s := Skill()
		s.Name, s.State, s.Instructions, s.Digest, s.Verified = name, state, nil, "", false
		return s
	}
	changed, own := row("review", localapi.SkillChanged), row("style", localapi.SkillOwn)
	own.Author, own.AuthorPubkey = "anna@laptop", Key("anna")
	return localapi.SkillsAnswer{
		Skills: []localapi.Skill{row("deploy", localapi.SkillNew), changed, own},
		Meshes: []localapi.MeshState{{Mesh: "team", Status: "open", OK: true}, {Mesh: "research", Status: "reconnecting"}},
	}
}

// Trusted is the keys of team: one that waits for a decision, and one of each level.
func Trusted() localapi.TrustAnswer {
	key := func(name, level string, present bool) localapi.TrustedKey {
		return localapi.TrustedKey{
			Mesh: "team", Name: name, Pubkey: Key(name), Level: level, Present: present, Features: []string{},
			FirstSeen: "2026-03-01T12:00:00.000Z", LastSeen: "2026-03-04T11:00:00.000Z",
		}
	}
	other, bob, dave := key("bob", "conflict", true), key("bob", "accepted", true), key("dave", "seen", true)
	other.Pubkey, other.Holders, other.FirstSeen, other.LastSeen = Key("0b0b"), []mesh.Key{bob.Pubkey}, "", ""
	bob.Features, bob.Unattended = []string{"auth/2", "sender-proof/1"}, true
	dave.Claimed = "david"
	anna := key("anna@laptop", "seen", true)
	anna.IsSelf = true
	return localapi.TrustAnswer{Keys: []localapi.TrustedKey{other, anna, bob, key("carl", "rejected", true), dave, key("eve", "replaced", false)}}
}

// Health is that of a daemon with two meshes.
func Health() localapi.HealthAnswer {
	return localapi.HealthAnswer{
		OK: true, PID: 4242, Version: "1.2.3", UptimeS: 7300, Brokers: map[string]string{"team": "open"},
		Meshes: []localapi.MeshHealth{
			{Mesh: "team", MeshID: Mesh().MeshID, Status: "open", Sessions: 1},
			{Mesh: "research", MeshID: Mesh().MeshID, Status: "reconnecting", OutboxPending: 2, OutboxDead: 1, LastError: "dial tcp: connection refused"},
		},
	}
}

func sent() localapi.SendAnswer {
	return localapi.SendAnswer{
		ClientMessageID: ClientID, Status: "queued", Mesh: "team", Target: string(Key("session3")), TargetName: "backend", Encrypted: true,
		State: mesh.StateQueued, RecipientOnline: new(true),
	}
}

// toGroup is the first message of team that its broker can read.
func toGroup() localapi.SendAnswer {
	answer := sent()
	answer.Target, answer.TargetName, answer.Encrypted, answer.RecipientOnline, answer.FirstPlaintext = "@backend", "", false, nil, true
	return answer
}

// Trace is the way of a message that was sent and that bob's session was shown.
func Trace() localapi.TraceAnswer {
	return localapi.TraceAnswer{
		TraceID: "0123456789abcdef", MessageID: BrokerID, ClientMessageID: ClientID, Mesh: "team", TargetSpec: string(Key("session3")), Sent: true, State: mesh.StateSurfaced,
		Hops: []localapi.Hop{
			{At: "2026-03-04T11:00:00.000Z", Where: "daemon", Event: "queued", State: mesh.StateQueued, Who: "team", Verified: true},
			{At: "2026-03-04T11:00:00.012Z", Where: "broker", Event: "accepted", State: mesh.StateAccepted, Who: "wss://mesh.example.com/ws"},
			{At: "2026-03-04T11:00:00.034Z", Where: "recipient", Event: "delivered", State: mesh.StateDelivered, Who: "backend", Pubkey: Key("session3")},
			{At: "2026-03-04T11:01:07.500Z", Where: "recipient", Event: "surfaced", State: mesh.StateSurfaced, Who: "backend", Pubkey: Key("session3"), Verified: true},
			{Where: "broker", Event: "refused", Detail: "tried 2 times, last: rate_limit: slow down", Verified: true},
		},
	}
}

// Followed is a message that is delivered to a peer that cannot tell more, and to one that then acknowledges it.
func Followed() Stream {
	status := Status()
	status.Recipients = status.Recipients[:2]
	status.RecipientCount, status.DeliveredTo = 2, 1
	status.Recipients[0].State, status.Recipients[0].Verified = mesh.StateDelivered, false
	status.Recipients[0].CanTell = new(false)
	var out Stream
	for _, state := range []mesh.State{mesh.StateAccepted, mesh.StateDelivered, mesh.StateAcknowledged} {
		status.Recipients[1].State, status.Recipients[1].Verified = state, state == mesh.StateAcknowledged
		status.Settled = status.Recipients[1].Verified
		data, err := wire.Encode(status)
		if err != nil {
			panic(err)
		}
		out += Stream("event: status\ndata: " + string(data) + "\n\n")
	}
	return out
}

// Acknowledged is a message of bob's that was acknowledged, and what he hears of it.
func Acknowledged(told string) localapi.AcknowledgeAnswer {
	return localapi.AcknowledgeAnswer{
		MessageID: BrokerID, ClientMessageID: ClientID, Mesh: "team", SenderName: "bob", SenderPubkey: Key("bob"), Told: told,
	}
}

// Status is a message with four recipients.
func Status() localapi.StatusAnswer {
	return localapi.StatusAnswer{
		MessageID: BrokerID, ClientMessageID: ClientID, Mesh: "team", TargetSpec: "@backend", State: mesh.StateAccepted, Attempts: 1,
		DeliveredTo: 2, RecipientCount: 4,
		EnqueuedAt: "2026-03-04T11:00:00.000Z",
		Recipients: []localapi.Recipient{
			{Name: "backend", Pubkey: Key("session3"), State: mesh.StateSurfaced, At: "2026-03-04T11:00:02.000Z", Verified: true},
			{Name: "docs", Pubkey: Key("session4"), State: mesh.StateAccepted},
			{Pubkey: Key("session5"), State: mesh.StateDelivered, At: "2026-03-04T11:00:01.000Z"},
			{Name: "old", Pubkey: Key("session6"), State: mesh.StateExpired, At: "2026-03-04T11:30:00.000Z", Reason: "nobody came for it"},
		},
	}
}

func invites() localapi.InvitesAnswer {
	open := protocol.Invite{InviteID: InviteID, Role: "member", ExpiresAt: Time.Unix() + 7*86400, MaxUses: 5, Used: 1, CreatedAt: "2026-03-04T11:00:00.000Z"}
	revoked, used, expired := open, open, open
	revoked.Revoked, used.Used, expired.ExpiresAt = true, 5, Time.Unix()-60
	return localapi.InvitesAnswer{Invites: []protocol.Invite{open, revoked, used, expired}}
}

// Profiles is what others see of this session in team, and in a mesh whose broker does not answer.
func Profiles() localapi.ProfilesAnswer {
	p := localapi.ProfileOf{
		Mesh: "team", MeshID: Mesh().MeshID, MemberID: Mesh().MemberID, Pubkey: Key("session1"), DisplayName: "api", Access: "admin", Role: "reviewer",
		Groups: []protocol.Group{{Name: "ops", Role: "lead"}}, MessageMode: "push", Connection: "open", Status: mesh.DND, Summary: "moving the ledger",
		Visible: true, Profile: protocol.Profile{Title: "keeper", Capabilities: []string{"go", "sql"}},
	}
	other := p
	other.Mesh, other.Connection, other.Visible, other.Groups, other.Profile = "research", "reconnecting", false, []protocol.Group{}, protocol.Profile{}
	return localapi.ProfilesAnswer{Profiles: []localapi.ProfileOf{p, other}}
}

// Info is an overview of team, and what is known of a mesh whose broker does not answer.
func Info() localapi.InfoAnswer {
	m := localapi.MeshInfo{Slug: "team", MeshID: Mesh().MeshID, MemberID: Mesh().MemberID, BrokerURL: Mesh().BrokerURL, DisplayName: "api", Status: "open"}
	other := m
	m.Info = &protocol.MeshInfo{
		Mesh: m.MeshID, Peers: 4, Groups: []string{"@backend", "@ops"}, StateKeys: []string{"build"}, Tasks: protocol.TaskCounts{Open: 2}, Streams: []string{},
		Tables: []string{}, Collections: []string{}, YourName: "api", YourGroups: []string{"@ops"}, Members: 3, Name: "Team", CreatedAt: "2026-02-01T12:00:00.000Z",
	}
	other.Slug, other.Status, other.Error = "research", "reconnecting", "dial tcp: connection refused"
	return localapi.InfoAnswer{Meshes: []localapi.MeshInfo{m, other}}
}

// Pings is a broker that answers and one that does not.
func Pings() localapi.PingAnswer {
	return localapi.PingAnswer{Meshes: []localapi.Ping{
		{Mesh: "team", Status: "open", OK: true, RoundTripMS: 1.25, PeersOnline: 4},
		{Mesh: "research", Status: "reconnecting", Waiting: 2, Error: "dial tcp: connection refused"},
	}}
}

// sessionPaths are those into a session of Claude Code, of which one is proved.
func sessionPaths() localapi.SessionPathsAnswer {
	return localapi.SessionPathsAnswer{Sessions: []localapi.SessionPaths{{
		SessionID: "0b9c4d1e", DisplayName: "api", Host: localapi.Host{Name: "claude-code", Version: "2.1"}, MessageMode: "push", Chosen: localapi.PathSocket, Wakes: true,
		Paths: []localapi.Path{
			{Path: localapi.PathSocket, State: localapi.PathProved, Offered: 3, Surfaced: 3}, {Path: localapi.PathChannel, State: localapi.PathUnusable, Reason: "the host has none"},
			{Path: localapi.PathPoll, State: localapi.PathUsable},
		},
	}}}
}

// StatusLine is that of a session in two meshes, one of which is not connected.
func StatusLine() localapi.StatusLineAnswer {
	return localapi.StatusLineAnswer{
		Name: "api", Mode: "push", Unread: 3, Held: 1,
		Meshes: []localapi.StatusLineMesh{{Mesh: "team", Status: "open", Online: 4, Peers: 7}, {Mesh: "research", Status: "reconnecting", Peers: 2}},
	}
}

// Samples is an answer for every route that verbs call.
func Samples() map[string]any {
	return map[string]any{
		localapi.Version.Route:       localapi.VersionAnswer{DaemonVersion: "1.2.3", IPCAPI: "v1", IPCFeatures: localapi.Features(), SchemaVersion: 1},
		localapi.Health.Route:        Health(),
		localapi.Meshes.Route:        Meshes(),
		localapi.MeshCreate.Route:    localapi.MeshAnswer{Mesh: Mesh()},
		localapi.MeshJoin.Route:      localapi.MeshAnswer{Mesh: Mesh()},
		localapi.MeshLeave.Route:     localapi.MeshLeaveAnswer{Slug: "team", BrokerTold: true},
		localapi.MeshUpdate.Route:    localapi.MeshAnswer{Mesh: Mesh(), AlreadyJoined: true},
		localapi.MemberUpdate.Route:  localapi.MemberAnswer{Mesh: "team", MemberID: "MemberIdMemberIdMemberIdMember02", Pubkey: Key("ben"), Name: "ben", Role: "admin"},
		localapi.InviteCreate.Route:  localapi.InviteAnswer{URL: "https://mesh.example.com/i/7dQm4xZt9BcA#q0Zr2v8mT5Wc1yN4kLxU3g", Code: "7dQm4xZt9BcA", Version: 2, InviteID: InviteID, ExpiresAt: "2026-03-11T12:00:00.000Z", Uses: 1, Role: "member", Mesh: "team"},
		localapi.Invites.Route:       invites(),
		localapi.InviteRevoke.Route:  localapi.None{},
		localapi.Peers.Route:         Peers(),
		localapi.Members.Route:       Members(),
		localapi.Groups.Route:        Groups(),
		localapi.Skills.Route:        Skills(),
		localapi.SkillGet.Route:      localapi.SkillAnswer{Skill: Skill()},
		localapi.SkillPublish.Route:  localapi.SkillAnswer{Skill: Skill()},
		localapi.SkillAccept.Route:   localapi.SkillAnswer{Skill: Skill()},
		localapi.SkillRemove.Route:   localapi.SkillDropAnswer{Name: "deploy", Mesh: "team", Removed: true},
		localapi.SkillReject.Route:   localapi.SkillDropAnswer{Name: "deploy", Mesh: "team", Removed: true},
		localapi.GroupJoin.Route:     localapi.GroupAnswer{Group: "backend", Role: "lead", Meshes: []string{"team"}},
		localapi.GroupLeave.Route:    localapi.GroupAnswer{Group: "backend", Meshes: []string{"team"}, Pending: []string{"research"}},
		localapi.Moderate.Route:      localapi.ModerateAnswer{Mesh: "team", Verb: "kick", Affected: []string{"docs"}, SkippedControlPlane: []string{"dave@laptop"}},
		localapi.Bans.Route:          Bans(),
		localapi.Grant.Route:         localapi.GrantAnswer{Mesh: "team", Peer: "bob@laptop", Pubkey: Key("bob"), Caps: []mesh.Cap{mesh.CapRead, mesh.CapDM}, BrokerTold: true},
		localapi.Grants.Route:        Grants(),
		localapi.Approvals.Route:     Approvals(),
		localapi.ApprovalAllow.Route: ApprovalDecided(),
		localapi.ApprovalDeny.Route:  localapi.ApprovalDecided{Approval: Approvals().Approvals[1], Decision: "deny", Delivered: true},
		localapi.Trust.Route:         Trusted(),
		localapi.TrustAccept.Route:   localapi.TrustedAnswer{Key: Trusted().Keys[2]},
		localapi.TrustReject.Route:   localapi.TrustedAnswer{Key: Trusted().Keys[3]},
		localapi.Verify.Route: localapi.VerifyAnswer{Numbers: []localapi.SafetyNumber{
			{Mesh: "team", Peer: "bob", Pubkey: Key("bob"), Number: "12345 67890 12345 67890 12345 67890", Level: "seen", Fingerprint: "11111 22222 33333 44444 55555 66666", Own: "66666 55555 44444 33333 22222 11111"},
		}},
		localapi.ProfileSet.Route:    localapi.ProfileAnswer{OK: true, Applied: []string{"title"}, Meshes: []string{"team"}, Waiting: []string{"research"}},
		localapi.Profiles.Route:      Profiles(),
		localapi.Info.Route:          Info(),
		localapi.PingBrokers.Route:   Pings(),
		localapi.Send.Route:          sent(),
		localapi.SendMany.Route:      localapi.SendManyAnswer{Messages: []localapi.SendAnswer{sent(), toGroup()}},
		localapi.MessageStatus.Route: Status(),
		localapi.Outbox.Route:        outbox(),
		localapi.OutboxInspect.Route: inspected(),
		localapi.OutboxRequeue.Route: localapi.RequeueAnswer{
			AbortedRowID: "row-1", NewRowID: "row-3", NewClientMessageID: ClientID, Mesh: "team", TargetSpec: string(Key("session3")), Encrypted: true,
		},
		localapi.OutboxCancel.Route:     localapi.CancelAnswer{AbortedRowID: "row-1", ClientMessageID: ClientID, Mesh: "team", TargetSpec: string(Key("session3"))},
		localapi.Inbox.Route:            inbox(),
		localapi.InboxHeld.Route:        held(),
		localapi.InboxReview.Route:      localapi.ReviewAnswer{ID: "inbox-row-7", Mesh: "team", Decision: localapi.ReviewOnce, SenderName: "bob", Pubkey: Key("bob"), Released: true},
		localapi.Pauses.Route:           pauses(),
		localapi.PauseBegin.Route:       pauses(),
		localapi.PauseEnd.Route:         pauses(),
		localapi.Letters.Route:          Letters(),
		localapi.Redeliver.Route:        localapi.RedeliverAnswer{ID: "letter-2", Direction: "in", Outcome: "delivered", Mesh: "team", MessageID: "letter-2"},
		localapi.InboxFlush.Route:       localapi.FlushAnswer{Removed: 3},
		localapi.InboxDelete.Route:      localapi.InboxDeleteAnswer{Removed: 1, ID: "inbox-row-7"},
		localapi.InboxSeen.Route:        localapi.SeenAnswer{MarkedSeen: 2},
		localapi.Sessions.Route:         localapi.SessionsAnswer{Sessions: []localapi.Session{session()}},
		localapi.SessionPathsList.Route: sessionPaths(),
		localapi.SessionLaunch.Route:    localapi.LaunchAnswer{}, localapi.StatusLine.Route: StatusLine(),
		localapi.Whoami.Route:           localapi.WhoamiAnswer{User: "anna", Meshes: Meshes().Meshes, ConfigPath: "/home/anna/.claudemesh/config.json", Session: new(session())},
		localapi.InboxAcknowledge.Route: Acknowledged("due"),
		localapi.MessageTrace.Route:     Trace(),
		localapi.StatusWatch.Route:      Followed(),
	}
}

// Bans is one member who is banned from team.
func Bans() localapi.BansAnswer {
	return localapi.BansAnswer{Mesh: "team", Bans: []protocol.Ban{
		{Name: "mallory", Pubkey: Key("mallory"), RevokedAt: "2026-03-04T09:00:00.000Z", Reason: "floods the mesh", By: Key("owner")},
	}}
}

// Grants is one peer who is blocked, and one who may do more than others.
func Grants() localapi.GrantsAnswer {
	return localapi.GrantsAnswer{
		Mesh: "team", Names: map[mesh.Key]string{Key("bob"): "bob@laptop"},
		Grants: map[mesh.Key][]mesh.Cap{Key("bob"): mesh.AllCaps.List(), Key("mallory"): {}},
	}
}

// pauses are two, of which one was just begun or ended.
func pauses() localapi.PausesAnswer {
	of := localapi.Pause{Mesh: "team", Peer: "bob@laptop", Pubkey: Key("bob"), Since: "2026-03-04T11:00:00.000Z"}
	return localapi.PausesAnswer{
		Paused: []localapi.Pause{of, {Mesh: "research", Since: "2026-03-04T11:30:00.000Z"}}, Changed: []localapi.Pause{of},
		Muted: []localapi.Pause{of, {Group: "@ops", Since: "2026-03-04T11:40:00.000Z"}},
	}
}

// held is one message that two sessions are not shown.
func held() localapi.HeldAnswer {
	return localapi.HeldAnswer{Held: []localapi.HeldMessage{{Message: inbox().Items[0], From: []localapi.HeldFrom{
		{SessionID: "5f0d2a44", DisplayName: "api", Reason: "unattended"}, {SessionID: "6a1e3b55", DisplayName: "docs", Reason: "unproved"},
	}}}}
}
