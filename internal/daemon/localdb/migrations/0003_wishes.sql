-- What a session, or the user outside of one (empty id), wants others to see of it in a mesh.
CREATE TABLE wish (
  mesh_id      TEXT NOT NULL,
  session_id   TEXT NOT NULL,
  text         TEXT NOT NULL,            -- JSON, see package node
  changed_at   INTEGER NOT NULL,
  PRIMARY KEY (mesh_id, session_id)
) STRICT, WITHOUT ROWID;
