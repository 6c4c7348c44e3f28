// Package logkey holds the names of log fields, so that one thing is called the same in every line.
// Bodies, keys and tokens have no name here: they are never logged.
package logkey

// Who and where.
const (
	Mesh      = "mesh"      // slug of the mesh, in the daemon; its id, in the broker
	Member    = "member"    // member id, or the first 16 hex of a member key
	Session   = "session"   // host session id, or the first 16 hex of a session key
	Conn      = "conn"      // number of a connection, unique in its process
	By        = "by"        // first 16 hex of the key that signed an operation
	Name      = "name"      // display name of a peer
	Role      = "role"      // peer role: control-plane, session, service
	Addr      = "addr"      // network address, listening or remote
	TCP       = "tcp"       // address of the daemon's TCP listener; empty where it has none
	Meshes    = "meshes"    // slugs of the meshes that the daemon serves
	URL       = "url"       // address of a broker, without user, query and fragment
	PID       = "pid"       // process id
	UID       = "uid"       // user id of the other end of a socket
	Host      = "host"      // host program of a session: claude-code, codex, …
	Component = "component" // part of the process that speaks: uplink, outbox, ipc, …
	Version   = "version"   // version of a build or of a schema
)

// Which message.
const (
	MessageID       = "message_id"        // the broker's id of a message
	ClientMessageID = "client_message_id" // the sender's id of a message
	RequestID       = "req_id"            // `_reqId` of a frame
	Trace           = "trace"             // id that follows one message from verb to inbox
	Target          = "target"            // whom a message addresses, as stored
	Type            = "type"              // frame type
	Route           = "route"             // method and pattern of an HTTP route
	Topic           = "topic"             // kind of an event
	Priority        = "priority"          // now, next, low
	Seq             = "seq"               // position in a mailbox, inbox or stream
)

// What happened, and how much of it.
const (
	Err       = "err"        // error text with its causes
	Code      = "code"       // error code of the table
	CloseCode = "close_code" // WebSocket close code
	Reason    = "reason"     // why, in a word or a sentence
	State     = "state"      // new state of a connection, message or process
	Status    = "status"     // HTTP status, or presence of a peer
	Attempt   = "attempt"    // which try this was, from 1
	WaitMS    = "wait_ms"    // milliseconds until the next try
	TookMS    = "took_ms"    // milliseconds that it took
	Count     = "count"      // how many
	Limit     = "limit"      // the bound that was met
	Bytes     = "bytes"      // size
	Rows      = "rows"       // database rows touched
	Path      = "path"       // file or folder
	Key       = "key"        // name of a setting; never a cryptographic key
	Signal    = "signal"     // signal that ended the process
)
