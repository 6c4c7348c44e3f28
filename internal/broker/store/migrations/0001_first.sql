-- Times are milliseconds since the epoch, 0 where something has not happened. `n` numbers rows within this
-- file: short keys for the tables that grow with every message. Ids and keys are what others know.

CREATE TABLE mesh (
  id           TEXT NOT NULL PRIMARY KEY,
  slug         TEXT NOT NULL,
  name         TEXT NOT NULL,
  owner_pubkey TEXT NOT NULL,            -- ed25519, 64 hex
  root_key     TEXT NOT NULL,            -- compatibility value, base64url (design C2)
  created_at   INTEGER NOT NULL,
  archived_at  INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX mesh_slug ON mesh (slug) WHERE archived_at = 0;

CREATE TABLE member (
  n            INTEGER PRIMARY KEY,
  id           TEXT NOT NULL UNIQUE,
  mesh_id      TEXT NOT NULL REFERENCES mesh (id),
  peer_pubkey  TEXT NOT NULL,            -- ed25519, 64 hex
  display_name TEXT NOT NULL,
  role         TEXT NOT NULL CHECK (role IN ('admin', 'member')),
  joined_at    INTEGER NOT NULL,
  last_seen_at INTEGER NOT NULL DEFAULT 0,
  revoked_at   INTEGER NOT NULL DEFAULT 0,
  receipt_seq  INTEGER NOT NULL DEFAULT 0 -- highest number among its receipts in closed runs, and pruned ones
) STRICT;
CREATE UNIQUE INDEX member_key ON member (mesh_id, peer_pubkey) WHERE revoked_at = 0;
CREATE INDEX member_mesh ON member (mesh_id);

CREATE TABLE invite (
  id           TEXT NOT NULL PRIMARY KEY,
  mesh_id      TEXT NOT NULL REFERENCES mesh (id),
  version      INTEGER NOT NULL,         -- 2; 1 for links that the TypeScript system can claim
  code_hash    TEXT NOT NULL UNIQUE,     -- SHA-256 of the code, 64 hex: codes are not kept
  role         TEXT NOT NULL CHECK (role IN ('admin', 'member')),
  max_uses     INTEGER NOT NULL,
  used_count   INTEGER NOT NULL DEFAULT 0,
  expires_at   INTEGER NOT NULL,
  signature    TEXT NOT NULL,            -- the owner's, 128 hex
  created_by   TEXT NOT NULL,            -- member id
  created_at   INTEGER NOT NULL,
  revoked_at   INTEGER NOT NULL DEFAULT 0,
  CHECK (used_count <= max_uses)
) STRICT, WITHOUT ROWID;
CREATE INDEX invite_mesh ON invite (mesh_id);

-- A session key belongs to the member that announced it first, or proved it later (design C4).
CREATE TABLE session (
  n            INTEGER PRIMARY KEY,
  mesh_id      TEXT NOT NULL REFERENCES mesh (id),
  pubkey       TEXT NOT NULL,            -- ed25519, 64 hex
  member       INTEGER NOT NULL REFERENCES member (n),
  proved       INTEGER NOT NULL,         -- 1: its holder signed with it
  display_name TEXT NOT NULL,
  first_seen   INTEGER NOT NULL,
  last_seen    INTEGER NOT NULL,
  UNIQUE (mesh_id, pubkey)
) STRICT;
CREATE INDEX session_member ON session (member);
CREATE INDEX session_seen ON session (last_seen);

-- Groups that a member's sessions had, so that a group reaches it while it is away (design D1).
CREATE TABLE member_group (
  member       INTEGER NOT NULL REFERENCES member (n),
  name         TEXT NOT NULL,            -- path without @
  last_seen    INTEGER NOT NULL,
  PRIMARY KEY (member, name)
) STRICT, WITHOUT ROWID;

-- One accepted message, and the memory of its client id (design D2). n is the order of acceptance. Ids
-- begin with the time of acceptance, so that they are appended and not scattered, and so that the index on
-- them finds what is old. The tables below have no foreign keys: each would cost a look-up per message.
CREATE TABLE message (
  n              INTEGER PRIMARY KEY,
  id             TEXT NOT NULL UNIQUE,
  sender         INTEGER NOT NULL,       -- member.n; it says the mesh too
  client_id      TEXT,                   -- NULL when the sender gave none
  fingerprint    BLOB NOT NULL,          -- 32 bytes, or empty
  created_at     INTEGER NOT NULL,
  recipients     INTEGER NOT NULL,       -- rows in delivery at acceptance
  sender_session INTEGER NOT NULL,       -- session.n, or 0
  sender_name    TEXT NOT NULL,
  kind           INTEGER NOT NULL,       -- 1 member, 2 session, 3 group, 4 everyone
  target         TEXT NOT NULL,          -- empty for one key: the recipient's
  priority       INTEGER NOT NULL,       -- 0 now, 1 next, 2 low
  reply_to       TEXT NOT NULL,
  trace          TEXT NOT NULL,
  body_version   INTEGER NOT NULL,
  nonce          BLOB NOT NULL,
  ciphertext     BLOB NOT NULL,          -- empty once every delivery is final
  UNIQUE (client_id, sender)
) STRICT;

-- One copy of a message. A mailbox is (member, 0) or (member, session). A receipt is the end of a copy as its
-- sender is told of it, numbered per sender. The index on them is by runs of some thousand of all senders: by sender
-- alone, each receipt would write a page of its own.
CREATE TABLE delivery (
  message    INTEGER NOT NULL,           -- message.n
  member     INTEGER NOT NULL,           -- member.n of the recipient
  session    INTEGER NOT NULL,           -- session.n, or 0 for the member's own mailbox
  sender     INTEGER NOT NULL,           -- message.sender
  urgent     INTEGER NOT NULL,           -- 1: priority now, pushed whatever the recipient does
  bytes      INTEGER NOT NULL,           -- charged to the recipient while it waits
  state      INTEGER NOT NULL DEFAULT 0, -- 0 waiting, 1 delivered, 2 written to a client that never acknowledges, 3 expired, 4 rejected
  final_at   INTEGER NOT NULL DEFAULT 0,
  receipt    INTEGER NOT NULL DEFAULT 0, -- number among the sender's receipts, from 1; 0 without one
  run        INTEGER NOT NULL DEFAULT 0, -- of the receipt; 0 without one
  PRIMARY KEY (message, member, session)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_waiting ON delivery (member, session, message, urgent) WHERE state = 0;
CREATE INDEX delivery_receipt ON delivery (run, sender, receipt) WHERE run > 0;
