package policy

// Kind is what a verb does to what others have, or to what this user keeps.
type Kind int

// The kinds. A policy says nothing about Machine: programs and files of this machine, where a mesh is not concerned.
const (
	Machine Kind = iota
	Read
	Write
	Destroy // nothing brings back what it ends, or others feel it
)

// Act is what a verb is for a policy: resource and verb as rules name them (cli 10.3).
type Act struct {
	Path     string // as it is typed
	Resource string
	Verb     string
	Kind     Kind
	Edits    bool // with flags of its own it writes
}

// Acts has a line for every verb. One that stands in two places has it where the other one is said to be its copy.
func Acts() []Act { return acts[:] }

// Of is the act of a verb by its path. A verb that nobody declared counts as one that writes.
func Of(path string) Act {
	for _, a := range acts {
		if a.Path == path {
			return a
		}
	}
	return Act{path, path, "", Write, false}
}

// acts is laid out by the compiler: it costs no verb anything at its start.
var acts = [...]Act{
	{"up", "machine", "up", Machine, false},
	{"down", "machine", "down", Machine, false},
	{"install", "machine", "install", Machine, false},
	{"uninstall", "machine", "uninstall", Machine, false},
	{"demo", "machine", "demo", Machine, false},
	{"launch", "machine", "launch", Machine, false},
	{"hook", "machine", "hook", Machine, false},
	{"status-line", "machine", "status-line", Machine, false},
	{"man", "machine", "man", Machine, false},
	{"upgrade", "machine", "upgrade", Machine, false},
	{"test", "machine", "test", Machine, false},
	{"url-handler install", "machine", "url-handler", Machine, false},
	{"url-handler uninstall", "machine", "url-handler", Machine, false},
	{"url-handler open", "mesh", "join", Write, false},
	{"mcp", "machine", "mcp", Machine, false},
	{"doctor", "machine", "doctor", Machine, false},
	{"plugin", "machine", "plugin", Machine, false},
	{"skill", "machine", "skill", Machine, false},
	{"config print", "machine", "config", Machine, false},
	{"completions", "machine", "completions", Machine, false},
	{"version", "machine", "version", Machine, false},
	{"help", "machine", "help", Machine, false},
	{"docs", "machine", "docs", Machine, false},
	{"daemon accept-host", "daemon", "accept-host", Machine, false},
	{"daemon backup", "daemon", "backup", Machine, false},
	{"daemon check", "daemon", "check", Machine, false},
	{"daemon down", "daemon", "down", Machine, false},
	{"daemon install-service", "daemon", "install-service", Machine, false},
	{"daemon logs", "daemon", "logs", Machine, false},
	{"daemon repair", "daemon", "repair", Machine, false},
	{"daemon restart", "daemon", "restart", Machine, false},
	{"daemon restore", "daemon", "restore", Machine, false},
	{"daemon status", "daemon", "status", Machine, false},
	{"daemon uninstall-service", "daemon", "uninstall-service", Machine, false},
	{"daemon up", "daemon", "up", Machine, false},
	{"daemon version", "daemon", "version", Machine, false},
	{"broker backup", "broker", "backup", Machine, false},
	{"broker check", "broker", "check", Machine, false},
	{"broker restore", "broker", "restore", Machine, false},
	{"broker serve", "broker", "serve", Machine, false},
	{"broker status", "broker", "status", Machine, false},

	{"send", "message", "send", Write, false},
	{"inbox", "message", "inbox", Read, false},
	{"inbox list", "message", "inbox", Read, false},
	{"inbox delete", "message", "delete", Destroy, false},
	{"inbox flush", "message", "flush", Destroy, false},
	{"inbox review", "message", "review", Write, false},
	{"message inbox list", "message", "inbox", Read, false},
	{"message inbox delete", "message", "delete", Destroy, false},
	{"message inbox flush", "message", "flush", Destroy, false},
	{"message inbox review", "message", "review", Write, false},
	{"pause", "message", "pause", Write, false},
	{"resume", "message", "resume", Write, false},
	{"mute", "message", "mute", Write, false},
	{"unmute", "message", "unmute", Write, false},
	{"message ack", "message", "ack", Write, false},
	{"message dead", "message", "dead", Read, false},
	{"message redeliver", "message", "redeliver", Write, false},
	{"message status", "message", "status", Read, false},
	{"message trace", "message", "trace", Read, false},
	{"daemon outbox", "outbox", "list", Read, false},
	{"daemon outbox list", "outbox", "list", Read, false},
	{"daemon outbox inspect", "outbox", "inspect", Read, false},
	{"daemon outbox requeue", "outbox", "requeue", Write, false},
	{"daemon outbox cancel", "outbox", "cancel", Write, false},

	{"peers", "peer", "list", Read, false},
	{"verify", "peer", "verify", Read, false},
	{"kick", "peer", "kick", Destroy, false},
	{"disconnect", "peer", "disconnect", Destroy, false},
	{"ban", "peer", "ban", Destroy, false},
	{"unban", "peer", "unban", Write, false},
	{"bans", "peer", "bans", Read, false},
	{"group join", "group", "join", Write, false},
	{"group leave", "group", "leave", Write, false},
	{"group list", "group", "list", Read, false},
	{"whoami", "profile", "whoami", Read, false},
	{"profile", "profile", "view", Read, true},
	{"status set", "profile", "status", Write, false},
	{"summary", "profile", "summary", Write, false},
	{"visible", "profile", "visible", Write, false},

	{"me", "mesh", "overview", Read, false},
	{"workspace", "mesh", "overview", Read, false},
	{"list", "mesh", "list", Read, false},
	{"info", "mesh", "info", Read, false},
	{"stats", "mesh", "stats", Read, false},
	{"ping", "mesh", "ping", Read, false},
	{"create", "mesh", "create", Write, false},
	{"join", "mesh", "join", Write, false},
	{"leave", "mesh", "leave", Write, false},
	{"share", "mesh", "share", Write, false},
	{"rename", "mesh", "rename", Write, false},
	{"delete", "mesh", "delete", Destroy, false},
	{"invites list", "invite", "list", Read, false},
	{"invites revoke", "invite", "revoke", Write, false},
	{"members", "member", "list", Read, false},
	{"member role", "member", "role", Write, false},
	{"trust list", "trust", "list", Read, false},
	{"trust accept", "trust", "accept", Write, false},
	{"skill list", "skill", "list", Read, false},
	{"skill get", "skill", "get", Read, false},
	{"skill publish", "skill", "publish", Write, false},
	{"skill accept", "skill", "accept", Write, false},
	{"skill reject", "skill", "reject", Write, false},
	{"skill remove", "skill", "remove", Destroy, false},
	{"trust reject", "trust", "reject", Write, false},
	{"grant", "grant", "grant", Write, false},
	{"revoke", "grant", "revoke", Write, false},
	{"block", "grant", "block", Write, false},
	{"unblock", "grant", "unblock", Write, false},
	{"grants", "grant", "list", Read, false},
	{"approvals list", "approval", "list", Read, false},
	{"approvals allow", "approval", "allow", Write, false},
	{"approvals deny", "approval", "deny", Write, false},
	{"audit list", "audit", "list", Read, false},
	{"audit verify", "audit", "verify", Read, false},
	{"policy show", "policy", "show", Machine, false},
	{"policy init", "policy", "init", Machine, false},
}
