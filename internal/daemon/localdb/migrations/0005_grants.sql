-- What this user's members let others do. The broker has a copy, which is told what it does not know yet.
CREATE TABLE peer_grant (
  mesh_id     TEXT NOT NULL,
  key         TEXT NOT NULL,    -- member or session key of the other, 64 hex
  caps        INTEGER NOT NULL, -- bits as in package mesh; -1: the entry is gone, and the broker is to be told
  told        INTEGER NOT NULL, -- 1: the broker knows
  PRIMARY KEY (mesh_id, key)
) STRICT, WITHOUT ROWID;
