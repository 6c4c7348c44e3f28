-- Who was banned. The membership itself ends by member.revoked_at, as when somebody leaves; who is here can come back.
CREATE TABLE ban (
  member     INTEGER PRIMARY KEY REFERENCES member (n),
  mesh_id    TEXT NOT NULL REFERENCES mesh (id),
  reason     TEXT NOT NULL,              -- may be empty
  by_pubkey  TEXT NOT NULL,              -- the key that signed, 64 hex
  banned_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX ban_mesh ON ban (mesh_id);

-- What a member lets others do. A key without a row has the defaults; 0 is blocked (wire 8.1).
CREATE TABLE peer_grant (
  member     INTEGER NOT NULL REFERENCES member (n),
  pubkey     TEXT NOT NULL,              -- member or session key of the other, 64 hex
  caps       INTEGER NOT NULL,           -- bits: 1 read, 2 dm, 4 broadcast, 8 state-read, 16 state-write, 32 file-read
  PRIMARY KEY (member, pubkey)
) STRICT, WITHOUT ROWID;
