-- What members published for the sessions of the others. A name stays its first publisher's when the skill is removed.
CREATE TABLE skill (
  mesh_id      TEXT NOT NULL REFERENCES mesh (id),
  name         TEXT NOT NULL,
  author       INTEGER NOT NULL REFERENCES member (n),
  description  TEXT NOT NULL,
  instructions TEXT NOT NULL,
  tags         TEXT NOT NULL,            -- JSON
  manifest     TEXT NOT NULL,            -- JSON as it came; may be empty
  created_at   INTEGER NOT NULL,
  updated_at   INTEGER NOT NULL,
  removed_at   INTEGER NOT NULL,         -- 0 while it is there
  PRIMARY KEY (mesh_id, name)
) STRICT;
CREATE INDEX skill_author ON skill (author);
