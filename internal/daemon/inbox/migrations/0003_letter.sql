-- What came and could not be shown, as it came, so that it can be opened once the right key is here. Where it has a row
-- in the inbox, id is that of the row.
CREATE TABLE letter (
	id                   TEXT PRIMARY KEY,
	mesh_id              TEXT NOT NULL,
	mesh                 TEXT NOT NULL,            -- slug
	reason               TEXT NOT NULL,
	client_message_id    TEXT NOT NULL,
	broker_message_id    TEXT NOT NULL,
	sender_pubkey        TEXT NOT NULL,
	sender_member_pubkey TEXT NOT NULL,
	sender_name          TEXT NOT NULL,
	recipient_pubkey     TEXT NOT NULL,            -- own key whose connection it came to
	recipient_kind       TEXT NOT NULL,
	received_at          INTEGER NOT NULL,         -- epoch ms
	push                 BLOB                      -- the frame; NULL: there is nothing to open
) STRICT;
CREATE UNIQUE INDEX letter_once ON letter (mesh_id, broker_message_id, client_message_id, recipient_pubkey, reason);
CREATE INDEX letter_received ON letter (received_at);
CREATE INDEX letter_sender ON letter (mesh_id, sender_pubkey, received_at);
