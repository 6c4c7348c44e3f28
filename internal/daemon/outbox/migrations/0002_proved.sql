-- Whether the recipient's own signature stands behind a state (design D5).
ALTER TABLE receipt ADD COLUMN verified INTEGER NOT NULL DEFAULT 0;

-- What a receipt was before: a copy that comes further leaves its earlier states here.
CREATE TABLE receipt_before (
	client_message_id TEXT NOT NULL,
	recipient         TEXT NOT NULL,
	state             TEXT NOT NULL,
	reason            TEXT NOT NULL,
	at                INTEGER NOT NULL,
	verified          INTEGER NOT NULL,
	PRIMARY KEY (client_message_id, recipient, state)
) STRICT, WITHOUT ROWID;
