-- What the human has stopped may also be muted: kept from coming by itself, of an empty group whatever it went to.
CREATE TABLE stopped (
  mute       INTEGER NOT NULL,
  mesh_id    TEXT NOT NULL,
  member     TEXT NOT NULL,
  group_name TEXT NOT NULL,
  name       TEXT NOT NULL,
  since      INTEGER NOT NULL,
  PRIMARY KEY (mute, mesh_id, member, group_name)
) STRICT, WITHOUT ROWID;
INSERT INTO stopped SELECT 0, mesh_id, member, '', name, since FROM pause;
DROP TABLE pause;
ALTER TABLE stopped RENAME TO pause;
