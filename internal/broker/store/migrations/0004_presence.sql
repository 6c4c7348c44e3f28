-- Who is present, and what those who left had told of themselves. A seat is a session key, or a member with the id
-- of its session: what a presence keeps over reconnects, so that leases outlive a restart.
CREATE TABLE presence (
  mesh_id      TEXT NOT NULL REFERENCES mesh (id),
  seat         TEXT NOT NULL,
  member       TEXT NOT NULL REFERENCES member (id),
  lasting      INTEGER NOT NULL,         -- 1: it comes back by its seat; 0: another one of its member goes on for it
  here         INTEGER NOT NULL,         -- 1: connected, or within its lease
  seen_at      INTEGER NOT NULL,
  facts        TEXT NOT NULL,            -- JSON, see package presence
  PRIMARY KEY (mesh_id, seat)
) STRICT, WITHOUT ROWID;
CREATE INDEX presence_member ON presence (member, here, seen_at);
CREATE INDEX presence_seen ON presence (seen_at);
