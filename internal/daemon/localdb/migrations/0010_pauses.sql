-- What the human has stopped for a while: of an empty mesh id in all meshes, of an empty key from everybody.
CREATE TABLE pause (
  mesh_id TEXT NOT NULL,
  member  TEXT NOT NULL,
  name    TEXT NOT NULL,
  since   INTEGER NOT NULL,
  PRIMARY KEY (mesh_id, member)
) STRICT, WITHOUT ROWID;
