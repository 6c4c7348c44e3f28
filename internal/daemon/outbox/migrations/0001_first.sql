-- The columns up to superseded_by are those of the first TypeScript daemon, the next six came later (daemon 10.1).
-- A file of that daemon has its table already, widened by adopt.
CREATE TABLE IF NOT EXISTS outbox (
	id                    TEXT PRIMARY KEY,
	client_message_id     TEXT NOT NULL UNIQUE,
	request_fingerprint   BLOB NOT NULL,              -- 32 bytes
	payload               BLOB NOT NULL,              -- the body; blanked some days after its acceptance
	enqueued_at           INTEGER NOT NULL,           -- epoch ms, as all times
	attempts              INTEGER NOT NULL DEFAULT 0, -- refusals by the broker
	next_attempt_at       INTEGER NOT NULL,
	status                TEXT NOT NULL CHECK (status IN ('pending', 'inflight', 'done', 'dead', 'aborted')),
	last_error            TEXT,
	delivered_at          INTEGER,                    -- accepted by the broker
	broker_message_id     TEXT,
	aborted_at            INTEGER,
	aborted_by            TEXT,
	superseded_by         TEXT,
	mesh                  TEXT,                       -- slug
	target_spec           TEXT,
	nonce                 TEXT,
	ciphertext            TEXT,                       -- NULL when blanked
	priority              TEXT,
	sender_session_pubkey TEXT,                       -- whose connection sends it; NULL or '': the member's
	reply_to_id           TEXT,
	mesh_id               TEXT NOT NULL DEFAULT '',   -- '': the mesh of this slug, once a drain adopts it
	target_name           TEXT NOT NULL DEFAULT '',
	recipient_key         TEXT NOT NULL DEFAULT '',   -- sealed to; '': readable by the broker
	trace_id              TEXT NOT NULL DEFAULT '',
	body_bytes            INTEGER NOT NULL DEFAULT 0,
	mailboxes             INTEGER NOT NULL DEFAULT 0  -- into which the broker put it; 0: it did not say
);

-- Rows are never deleted, so that rowid is the order of acceptance.
CREATE INDEX IF NOT EXISTS outbox_status ON outbox (status, next_attempt_at);
CREATE INDEX IF NOT EXISTS outbox_aborted ON outbox (status, aborted_at) WHERE status = 'aborted';
CREATE INDEX outbox_open ON outbox (mesh_id) WHERE status IN ('pending', 'inflight');
CREATE INDEX outbox_broker ON outbox (broker_message_id) WHERE broker_message_id IS NOT NULL;
CREATE INDEX outbox_nonce ON outbox (nonce) WHERE recipient_key != '';
CREATE INDEX outbox_unblanked ON outbox (delivered_at) WHERE status = 'done' AND ciphertext IS NOT NULL;

-- How far each copy has come (design D5).
CREATE TABLE receipt (
	client_message_id TEXT NOT NULL,
	recipient         TEXT NOT NULL,    -- key of the mailbox
	state             TEXT NOT NULL,
	reason            TEXT NOT NULL,
	at                INTEGER NOT NULL,
	PRIMARY KEY (client_message_id, recipient)
) STRICT, WITHOUT ROWID;

-- Up to where the receipts of a mesh were read.
CREATE TABLE receipt_cursor (
	mesh_id TEXT PRIMARY KEY,
	seq     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
