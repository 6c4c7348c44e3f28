-- Whether the sender of a message takes signed receipts (design D5).
ALTER TABLE inbox ADD COLUMN receipts INTEGER NOT NULL DEFAULT 0;

-- When the host proved that it showed the message.
ALTER TABLE offer ADD COLUMN surfaced_at INTEGER;

-- What happened to a message that its sender may be told: that it was shown, or acknowledged.
CREATE TABLE told (
	seq   INTEGER NOT NULL REFERENCES inbox (seq) ON DELETE CASCADE,
	state TEXT NOT NULL,           -- surfaced or acknowledged
	at    INTEGER NOT NULL,
	reply INTEGER NOT NULL,        -- 1: its sender was sent a reply, which says as much
	proof TEXT NOT NULL DEFAULT '', -- JSON of protocol.ReceiptProof, once it is signed
	fate  TEXT NOT NULL DEFAULT '', -- empty: to be told; else told, withheld, unasked or refused
	PRIMARY KEY (seq, state)
) STRICT, WITHOUT ROWID;
CREATE INDEX told_due ON told (seq) WHERE fate = '';
