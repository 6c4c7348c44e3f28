-- Skills that the human said yes to, as they were then: sessions are offered these texts and no others.
CREATE TABLE skill (
  mesh_id     TEXT NOT NULL,
  name        TEXT NOT NULL,
  author      TEXT NOT NULL,             -- member key, 64 hex; empty where nobody signed
  digest      TEXT NOT NULL,
  text        TEXT NOT NULL,             -- JSON
  accepted_at INTEGER NOT NULL,
  PRIMARY KEY (mesh_id, name)
) STRICT;
