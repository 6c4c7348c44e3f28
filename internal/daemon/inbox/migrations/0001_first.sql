-- The columns up to reply_to_id are those of the first TypeScript daemon, the next three came later (daemon 14.3).
-- A file of that daemon has its rows in inbox_left then, where adopt put them.
CREATE TABLE inbox (
	seq                  INTEGER PRIMARY KEY AUTOINCREMENT, -- order of arrival
	id                   TEXT NOT NULL UNIQUE,
	client_message_id    TEXT NOT NULL,
	broker_message_id    TEXT,
	mesh                 TEXT NOT NULL,               -- slug
	topic                TEXT,
	sender_pubkey        TEXT NOT NULL,               -- session key, else member key
	sender_name          TEXT NOT NULL,
	body                 TEXT,                        -- NULL: it did not open
	meta                 TEXT,                        -- JSON of the TypeScript daemon
	received_at          INTEGER NOT NULL,            -- epoch ms, as all times
	reply_to_id          TEXT,
	seen_at              INTEGER,
	recipient_pubkey     TEXT,                        -- NULL: an old row, for everyone
	recipient_kind       TEXT,                        -- session or member
	mesh_id              TEXT NOT NULL DEFAULT '',    -- '': of the TypeScript daemon
	sender_member_pubkey TEXT NOT NULL DEFAULT '',
	priority             TEXT NOT NULL DEFAULT 'next',
	subtype              TEXT NOT NULL DEFAULT '',
	encrypted            INTEGER NOT NULL DEFAULT 0,
	verified             INTEGER NOT NULL DEFAULT 0,
	undecryptable        INTEGER NOT NULL DEFAULT 0,
	created_at           INTEGER,                     -- by the sender's broker
	trace_id             TEXT NOT NULL DEFAULT '',
	nonce_hash           BLOB                         -- 32 bytes; NULL for what no box proved
);

CREATE TABLE IF NOT EXISTS inbox_left (
	id TEXT, client_message_id TEXT, broker_message_id TEXT, mesh TEXT, topic TEXT, sender_pubkey TEXT, sender_name TEXT,
	body TEXT, meta TEXT, received_at INTEGER, reply_to_id TEXT, seen_at INTEGER, recipient_pubkey TEXT, recipient_kind TEXT
);
INSERT INTO inbox (id, client_message_id, broker_message_id, mesh, topic, sender_pubkey, sender_name, body, meta,
	received_at, reply_to_id, seen_at, recipient_pubkey, recipient_kind, undecryptable)
SELECT id, client_message_id, broker_message_id, mesh, topic, sender_pubkey, sender_name, body, meta,
	received_at, reply_to_id, seen_at, recipient_pubkey, recipient_kind, body IS NULL
FROM inbox_left ORDER BY received_at, rowid;
DROP TABLE inbox_left;

-- A message comes once to each key. The mesh and the sender are part of it, or one sender could take another's id.
CREATE UNIQUE INDEX inbox_once ON inbox (
	client_message_id, mesh_id, coalesce(nullif(sender_member_pubkey, ''), sender_pubkey), coalesce(recipient_pubkey, ''));
CREATE INDEX inbox_broker ON inbox (broker_message_id) WHERE broker_message_id IS NOT NULL;
CREATE INDEX inbox_received ON inbox (received_at);
CREATE INDEX inbox_unread ON inbox (recipient_pubkey, seq) WHERE seen_at IS NULL;

-- What every box that was ever opened leaves behind: a second one with the same hash is a replay (design C9).
-- Rows outlive their messages.
CREATE TABLE nonce (
	hash BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- What was given to be shown to which host session, at most once each (design E1).
CREATE TABLE offer (
	surface    TEXT NOT NULL,           -- host session id
	seq        INTEGER NOT NULL REFERENCES inbox (seq) ON DELETE CASCADE,
	attempt    TEXT NOT NULL UNIQUE,    -- random token
	claimed_at INTEGER NOT NULL,
	offered_at INTEGER,                 -- written to the host
	path       TEXT NOT NULL DEFAULT '',
	told_at    INTEGER,                 -- the session heard that it may have missed it
	PRIMARY KEY (surface, seq)
) STRICT;
CREATE INDEX offer_row ON offer (seq);
CREATE INDEX offer_unconfirmed ON offer (surface) WHERE offered_at IS NULL AND told_at IS NULL;
