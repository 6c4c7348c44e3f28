package mesh

import "net/http"

// Code names an error the same way on the wire, on the socket, in the CLI and in the documents.
type Code string

// Exit is the exit status of a verb (cli 4).
type Exit int

// The exit statuses of every verb.
const (
	ExitOK         Exit = 0
	ExitCancelled  Exit = 1 // also `daemon status` of a daemon that does not run
	ExitAuth       Exit = 2
	ExitUsage      Exit = 3
	ExitNetwork    Exit = 4
	ExitNotFound   Exit = 5
	ExitExists     Exit = 6
	ExitPermission Exit = 7
	ExitInternal   Exit = 8
	ExitNoHost     Exit = 9
	ExitIO         Exit = 10
)

// Row is one line of the error table.
type Row struct {
	Code   Code
	Status int  // HTTP status; a route may override it
	Exit   Exit // exit status of a verb that ends with it
	Retry  bool // the same request may succeed later
	Hint   string
}

// The codes. Each has its row in Codes.
const (
	BadRequest        Code = "bad_request"
	BadName           Code = "bad_name"
	InvalidArgument   Code = "invalid_argument"
	Invalid           Code = "invalid" // of moderation: nobody, or oneself, is meant (wire 10)
	BadJSON           Code = "invalid_json"
	UnsupportedMedia  Code = "unsupported_media_type"
	PayloadTooLarge   Code = "payload_too_large"
	NotFound          Code = "not_found"
	UnknownType       Code = "unknown_message_type"
	Forbidden         Code = "forbidden"
	HumanOnly         Code = "human_only"
	MissingToken      Code = "missing_bearer_token"
	BadToken          Code = "bad_bearer_token"
	Internal          Code = "internal"
	Timeout           Code = "timeout"
	Cancelled         Code = "cancelled"
	Usage             Code = "usage"
	IOError           Code = "io_error"
	AlreadyRunning    Code = "already_running"
	FileExists        Code = "file_exists"
	BadPassphrase     Code = "bad_passphrase"
	HostMismatch      Code = "host_mismatch"
	TwinIdentity      Code = "twin_identity"
	PortInUse         Code = "port_in_use"
	HostMissing       Code = "host_missing" // the program to launch is not found
	DaemonDown        Code = "daemon_down"
	DaemonStartFailed Code = "daemon_start_failed"
	DaemonRunning     Code = "daemon_running"
	BrokerDown        Code = "broker_unreachable"
	BrokerRefused     Code = "broker_refused"
	BrokerTooOld      Code = "broker_too_old"
	InsecureURL       Code = "insecure_url"
	PinMismatch       Code = "broker_key_changed"
	WeakerHandshake   Code = "weaker_handshake"

	NoHello              Code = "no_hello"
	HelloTimeout         Code = "hello_timeout"
	AlreadyAuthenticated Code = "already_authenticated"
	BadSessionKey        Code = "bad_session_pubkey"
	BadParentKey         Code = "bad_parent_pubkey"
	AttestationMismatch  Code = "attestation_mismatch"
	AttestationExpired   Code = "expired"
	AttestationTooLong   Code = "ttl_too_long"
	ParentMismatch       Code = "parent_member_id_mismatch"
	TimestampSkew        Code = "timestamp_skew"
	Malformed            Code = "malformed"
	BadSignature         Code = "bad_signature"
	WeakKey              Code = "weak_key"
	Replay               Code = "replay"
	Unauthorized         Code = "unauthorized"
	Revoked              Code = "revoked"
	Kicked               Code = "kicked"
	Capacity             Code = "capacity"
	ShuttingDown         Code = "shutting_down"
	SlowConsumer         Code = "slow_consumer"

	RateLimited      Code = "rate_limit"
	QueueFull        Code = "queue_full"
	OutOfOrder       Code = "out_of_order"
	StorageFull      Code = "storage_full"
	StoreFailed      Code = "store_failed"
	StoreLocked      Code = "store_locked"
	StoreCorrupt     Code = "store_corrupt"
	StoreNewer       Code = "store_newer"
	TargetNotFound   Code = "target_not_found"
	AmbiguousTarget  Code = "ambiguous_target"
	AmbiguousPrefix  Code = "ambiguous_prefix"
	NameConflict     Code = "name_conflict"
	KeyChanged       Code = "key_changed"
	PeerRejected     Code = "peer_rejected"
	Downgrade        Code = "downgrade"
	PlaintextRefused Code = "plaintext_refused"
	Reused           Code = "idempotency_key_reused"
	ClientIDInUse    Code = "client_message_id_in_use"
	MessageSettled   Code = "message_settled"
	MessageInflight  Code = "message_inflight"
	SessionOver      Code = "session_over"
	Undecryptable    Code = "undecryptable"
	WaitTimeout      Code = "wait_timeout"
	Undelivered      Code = "undelivered"
	LegacyUnroutable Code = "legacy_row_unroutable"
	Restored         Code = "restored"
	NoBrokerForMesh  Code = "no_broker_for_mesh"
	MaxAge           Code = "max_age"
	SelfSend         Code = "self_send"
	MeshRequired     Code = "mesh_required"
	MeshNotAttached  Code = "mesh_not_attached"
	NothingJoined    Code = "nothing_joined"
	SlugTaken        Code = "slug_taken"
	MeshArchived     Code = "mesh_archived"
	InviteRefused    Code = "invite_refused"
	InviteUntrusted  Code = "invite_untrusted"
	SessionUnknown   Code = "session_unknown"
	NotOwner         Code = "not_owner"
	SkillNotFound    Code = "skill_not_found"
	SkillTaken       Code = "skill_taken"
	SkillsFull       Code = "skills_full"
	ConfigUnreadable Code = "config_unreadable"
	SettingsRefused  Code = "settings_refused"
	PolicyDenied     Code = "policy_denied"
	AuditBroken      Code = "audit_broken"
	ApprovalOver     Code = "approval_over"
)

// Codes is the error table (design A3). Documents, exit statuses and acks derive from it.
var Codes = []Row{
	{BadRequest, http.StatusBadRequest, ExitUsage, false, "see the verb's --help"},
	{BadName, http.StatusBadRequest, ExitUsage, false, "choose another name"},
	{InvalidArgument, http.StatusBadRequest, ExitUsage, false, "see the verb's --help"},
	{Invalid, http.StatusBadRequest, ExitUsage, false, "see the verb's --help"},
	{BadJSON, http.StatusBadRequest, ExitUsage, false, "send one JSON object, without duplicate names"},
	{UnsupportedMedia, http.StatusUnsupportedMediaType, ExitUsage, false, "send Content-Type: application/json"},
	{PayloadTooLarge, http.StatusRequestEntityTooLarge, ExitUsage, false, "shorten the text, or send a file's path instead"},
	{NotFound, http.StatusNotFound, ExitNotFound, false, ""},
	{UnknownType, http.StatusNotFound, ExitInternal, false, "the other side is older or newer; compare `claudemesh version` on both"},
	{Forbidden, http.StatusForbidden, ExitPermission, false, ""},
	{HumanOnly, http.StatusForbidden, ExitPermission, false, "run it yourself in a terminal outside the session"},
	{MissingToken, http.StatusUnauthorized, ExitAuth, false, "put the token into the Authorization header"},
	{BadToken, http.StatusUnauthorized, ExitAuth, false, "use the token of the machine that runs it"},
	{Internal, http.StatusInternalServerError, ExitInternal, true, "see `claudemesh daemon status` and the log"},
	{Timeout, http.StatusGatewayTimeout, ExitNetwork, true, "try again"},
	{Cancelled, 499, ExitCancelled, true, ""},
	{Usage, http.StatusBadRequest, ExitUsage, false, "see the verb's --help"},
	{IOError, http.StatusInternalServerError, ExitIO, true, "check the disk and the file's permissions"},
	{AlreadyRunning, http.StatusConflict, ExitExists, false, "`claudemesh daemon status` and `claudemesh broker status` show what runs"},
	{FileExists, http.StatusConflict, ExitExists, false, "choose another name, or move it away"},
	{BadPassphrase, http.StatusForbidden, ExitInternal, false, "try again; without its passphrase nobody can read the backup"},
	{HostMismatch, http.StatusConflict, ExitPermission, false, "`claudemesh daemon accept-host`, if you moved the folder here and the other machine no longer uses it; else join anew"},
	{TwinIdentity, http.StatusConflict, ExitPermission, true, "stop the daemon of the other machine, or leave the mesh on one of them and join it anew"},
	{HostMissing, http.StatusNotFound, ExitNoHost, false, "install Claude Code, or name its program in CLAUDE_BIN"},
	{PortInUse, http.StatusConflict, ExitNetwork, true, "stop what listens there, or choose a port with --listen"},
	{DaemonDown, http.StatusServiceUnavailable, ExitNetwork, true, "run `claudemesh daemon up`"},
	{DaemonStartFailed, http.StatusServiceUnavailable, ExitNetwork, true, "read the log named above, then run `claudemesh daemon up --foreground`"},
	{DaemonRunning, http.StatusConflict, ExitExists, false, "leave out --no-daemon, or run `claudemesh daemon down` first"},
	{BrokerDown, http.StatusBadGateway, ExitNetwork, true, "check that the broker runs and the network is up"},
	{BrokerRefused, http.StatusBadGateway, ExitPermission, false, "see `claudemesh daemon status`"},
	{BrokerTooOld, http.StatusNotImplemented, ExitInternal, false, "whoever runs the broker has to upgrade it; messages go through it as before"},
	{PinMismatch, http.StatusBadGateway, ExitPermission, true, "somebody else may answer in the broker's place: ask its owner, and join by a new link only if they changed the key"},
	{InsecureURL, http.StatusBadRequest, ExitUsage, false, "use wss:// or https://; plain connections are for this machine only"},
	{WeakerHandshake, http.StatusBadGateway, ExitPermission, true, "somebody may stand between you and the broker; if its operator went back to an older one, leave the mesh with `claudemesh leave <mesh> --yes` and join it again"},

	{NoHello, http.StatusUnauthorized, ExitAuth, false, "the first frame is hello"},
	{HelloTimeout, http.StatusRequestTimeout, ExitNetwork, true, ""},
	{AlreadyAuthenticated, http.StatusConflict, ExitInternal, false, "one hello a connection"},
	{BadSessionKey, http.StatusUnauthorized, ExitAuth, false, ""},
	{BadParentKey, http.StatusUnauthorized, ExitAuth, false, ""},
	{AttestationMismatch, http.StatusUnauthorized, ExitAuth, false, ""},
	{AttestationExpired, http.StatusUnauthorized, ExitAuth, false, "set the clock, then connect again"},
	{AttestationTooLong, http.StatusUnauthorized, ExitAuth, false, ""},
	{ParentMismatch, http.StatusUnauthorized, ExitAuth, false, ""},
	{TimestampSkew, http.StatusUnauthorized, ExitAuth, true, "set this machine's clock"},
	{Malformed, http.StatusBadRequest, ExitAuth, false, ""},
	{BadSignature, http.StatusUnauthorized, ExitAuth, false, ""},
	{WeakKey, http.StatusBadRequest, ExitAuth, false, "make a new key by joining again"},
	{Replay, http.StatusUnauthorized, ExitAuth, true, ""},
	{Unauthorized, http.StatusUnauthorized, ExitAuth, false, "join the mesh again with a new invite"},
	{Revoked, http.StatusForbidden, ExitPermission, false, "ask the mesh's owner"},
	{Kicked, http.StatusForbidden, ExitPermission, false, "start the session again"},
	{Capacity, http.StatusServiceUnavailable, ExitNetwork, true, "the broker is full; it is tried again"},
	{ShuttingDown, http.StatusServiceUnavailable, ExitNetwork, true, ""},
	{SlowConsumer, http.StatusServiceUnavailable, ExitNetwork, true, ""},

	{RateLimited, http.StatusTooManyRequests, ExitNetwork, true, "slow down; the daemon retries by itself"},
	{QueueFull, http.StatusTooManyRequests, ExitNetwork, true, "the recipient has too much unread mail from you"},
	{OutOfOrder, http.StatusConflict, ExitNetwork, true, "the daemon sends it again in order"},
	{StorageFull, http.StatusInsufficientStorage, ExitIO, true, "free disk space"},
	{StoreFailed, http.StatusServiceUnavailable, ExitIO, true, "restart the process after checking the disk"},
	{StoreLocked, http.StatusServiceUnavailable, ExitIO, true, "another process holds the database; stop it"},
	{StoreCorrupt, http.StatusServiceUnavailable, ExitIO, false, "keep the file, restore a backup"},
	{StoreNewer, http.StatusServiceUnavailable, ExitIO, false, "upgrade claudemesh; the database is of a newer release"},
	{TargetNotFound, http.StatusBadGateway, ExitNotFound, false, "`claudemesh peers` lists who is there"},
	{AmbiguousPrefix, http.StatusConflict, ExitNotFound, false, "use more of the id"},
	{AmbiguousTarget, http.StatusBadGateway, ExitNotFound, false, "give the key that `claudemesh peers` shows, or the mesh with --mesh"},
	{NameConflict, http.StatusConflict, ExitPermission, false, "`claudemesh trust list` shows who claims the name; write to a key, or use `claudemesh trust accept` or `trust reject`"},
	{KeyChanged, http.StatusConflict, ExitPermission, false, "compare `claudemesh verify <peer>` with them by another way, then `claudemesh trust accept <peer>`; a whole key in place of the name is taken as it is"},
	{PeerRejected, http.StatusForbidden, ExitPermission, false, "`claudemesh trust accept <key>` takes it back"},
	{Downgrade, http.StatusForbidden, ExitPermission, false, "somebody in between may have weakened it; --allow-downgrade sends it all the same"},
	{PlaintextRefused, http.StatusForbidden, ExitPermission, false, "name one peer, or leave out --require-encrypted"},
	{Reused, http.StatusConflict, ExitExists, false, "use a new --id for a new message"},
	{ClientIDInUse, http.StatusConflict, ExitExists, false, "leave the id out, and a new one is made"},
	{MessageSettled, http.StatusConflict, ExitExists, false, "`claudemesh message status` tells what became of it"},
	{MessageInflight, http.StatusConflict, ExitExists, true, "try again in a moment"},
	{SessionOver, http.StatusGone, ExitNotFound, false, ""},
	{Undecryptable, http.StatusUnprocessableEntity, ExitInternal, false, ""},
	{WaitTimeout, http.StatusGatewayTimeout, ExitNetwork, true, "it is still on its way; `claudemesh message status <id>` follows it"},
	{Undelivered, http.StatusBadGateway, ExitNetwork, false, "`claudemesh message status <id>` says why"},
	{LegacyUnroutable, http.StatusConflict, ExitInternal, false, "send it again"},
	{Restored, http.StatusConflict, ExitExists, false, "`claudemesh daemon outbox requeue <id>` sends it; a broker that had it drops it"},
	{NoBrokerForMesh, http.StatusConflict, ExitNotFound, false, "join the mesh again"},
	{MaxAge, http.StatusGatewayTimeout, ExitNetwork, false, "send it again"},
	{SelfSend, http.StatusBadRequest, ExitUsage, false, "add --self to write to your own sessions"},
	{MeshRequired, http.StatusBadRequest, ExitUsage, false, "add --mesh <name>"},
	{MeshNotAttached, http.StatusNotFound, ExitNotFound, false, "`claudemesh list` shows the joined meshes"},
	{NothingJoined, http.StatusNotFound, ExitNotFound, false, "run `claudemesh up`, or `claudemesh join <link>`"},
	{MeshArchived, http.StatusGone, ExitNotFound, false, "its owner ended it for everybody; `claudemesh leave <mesh> --yes` forgets it here"},
	{SlugTaken, http.StatusConflict, ExitExists, false, "choose another name"},
	{InviteRefused, http.StatusNotFound, ExitNotFound, false, "ask for a new link"},
	{InviteUntrusted, http.StatusBadGateway, ExitPermission, false, "nothing was written; ask the owner for the link again"},
	{SessionUnknown, http.StatusUnauthorized, ExitAuth, false, ""},
	{NotOwner, http.StatusForbidden, ExitPermission, false, "run it on the device that created the mesh"},
	{SkillNotFound, http.StatusNotFound, ExitNotFound, false, "`claudemesh skill list` shows what is published"},
	{SkillTaken, http.StatusConflict, ExitExists, false, "choose another name"},
	{SkillsFull, http.StatusConflict, ExitPermission, false, "publish under a name that is yours already"},
	{ConfigUnreadable, http.StatusInternalServerError, ExitIO, false, "mend or move the file named above"},
	{SettingsRefused, http.StatusInternalServerError, ExitUsage, false, "`claudemesh config print` lists the settings"},
	{PolicyDenied, http.StatusForbidden, ExitPermission, false, "`claudemesh policy show` says what is allowed here"},
	{ApprovalOver, http.StatusConflict, ExitExists, false, "`claudemesh approvals list` shows what still waits"},
	{AuditBroken, http.StatusConflict, ExitIO, false, "keep the files; entries before that line are as they were written"},
}

// row finds the line of c; a code without one is internal.
func (c Code) row() Row {
	for _, r := range Codes {
		if r.Code == c {
			return r
		}
	}
	return Row{Code: Internal, Status: http.StatusInternalServerError, Exit: ExitInternal, Retry: true}
}

// Status is the HTTP status of c.
func (c Code) Status() int { return c.row().Status }

// Exit is the exit status of a verb that ends with c.
func (c Code) Exit() Exit { return c.row().Exit }

// Retryable reports whether the same request may succeed later.
func (c Code) Retryable() bool { return c.row().Retry }

// Hint is one sentence on what to do about c; it may be empty.
func (c Code) Hint() string { return c.row().Hint }

// Known reports whether c is in the table.
func (c Code) Known() bool { return c == Internal || c.row().Code != Internal }
