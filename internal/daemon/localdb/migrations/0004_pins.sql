-- Whom this user knows: a member's key, the name under which it was first met, and what it has proved since (design C7).
CREATE TABLE pin (
  mesh_id    TEXT NOT NULL,
  member_key TEXT NOT NULL,
  name       TEXT NOT NULL,
  level      TEXT NOT NULL CHECK (level IN ('seen', 'accepted', 'rejected', 'replaced')),
  unattended INTEGER NOT NULL, -- 1: reaches sessions that act without their human (design E3)
  features   TEXT NOT NULL,    -- capabilities that it proved, with spaces between
  first_seen INTEGER NOT NULL,
  last_seen  INTEGER NOT NULL,
  PRIMARY KEY (mesh_id, member_key)
) STRICT, WITHOUT ROWID;

-- Session keys that a member vouched for.
CREATE TABLE pin_session (
  mesh_id     TEXT NOT NULL,
  session_key TEXT NOT NULL,
  member_key  TEXT NOT NULL,
  last_seen   INTEGER NOT NULL,
  PRIMARY KEY (mesh_id, session_key)
) STRICT, WITHOUT ROWID;

-- The strongest handshake that the broker of a mesh ever spoke (design C4).
CREATE TABLE handshake (
  mesh_id TEXT PRIMARY KEY,
  version INTEGER NOT NULL
) STRICT;
