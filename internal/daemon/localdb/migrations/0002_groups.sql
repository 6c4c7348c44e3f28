-- The groups of a host session in a mesh, kept for when it is resumed. No session id: the user's own member.
CREATE TABLE session_groups (
  session_id TEXT NOT NULL,
  mesh_id    TEXT NOT NULL,
  said       TEXT NOT NULL, -- JSON, with which the session was registered
  groups     TEXT NOT NULL, -- JSON
  changed    INTEGER NOT NULL,
  PRIMARY KEY (session_id, mesh_id)
) STRICT, WITHOUT ROWID;

-- The meshes in which something was sent that the broker can read.
CREATE TABLE plaintext (mesh_id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
