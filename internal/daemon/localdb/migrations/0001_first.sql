-- What the daemon learned. Times are milliseconds since the epoch; keys are 64 hex characters.

CREATE TABLE mesh (
  mesh_id     TEXT PRIMARY KEY,
  slug        TEXT NOT NULL,
  name        TEXT NOT NULL,
  owner_key   TEXT NOT NULL,
  role        TEXT NOT NULL,
  is_owner    INTEGER NOT NULL,
  broker_pin  TEXT NOT NULL,
  unpinned    INTEGER NOT NULL
) STRICT;

CREATE TABLE peer (
  mesh_id     TEXT NOT NULL,
  key         TEXT NOT NULL,
  member_key  TEXT NOT NULL,
  name        TEXT NOT NULL,
  member_name TEXT NOT NULL,
  is_session  INTEGER NOT NULL,
  first_seen  INTEGER NOT NULL,
  last_seen   INTEGER NOT NULL,
  PRIMARY KEY (mesh_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
  session_id   TEXT PRIMARY KEY,
  pid          INTEGER NOT NULL,
  start_time   TEXT NOT NULL,
  cwd          TEXT NOT NULL,
  name         TEXT NOT NULL,
  role         TEXT NOT NULL,
  groups       TEXT NOT NULL, -- JSON
  message_mode TEXT NOT NULL,
  host_name    TEXT NOT NULL,
  host_version TEXT NOT NULL,
  host_mode    TEXT NOT NULL,
  token_hash   TEXT NOT NULL,
  meshes       TEXT NOT NULL, -- JSON list of mesh ids
  registered   INTEGER NOT NULL
) STRICT;
