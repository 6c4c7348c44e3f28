-- Groups are remembered by session: one that comes back with others has left its own ones, and nobody else's.
CREATE TABLE group_seat (
  member       INTEGER NOT NULL REFERENCES member (n),
  session      INTEGER NOT NULL,         -- session.n; 0: a connection without a session, or of an older file
  name         TEXT NOT NULL,            -- path without @
  role         TEXT NOT NULL,
  last_seen    INTEGER NOT NULL,
  PRIMARY KEY (member, session, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_seat_name ON group_seat (name, member);
INSERT INTO group_seat (member, session, name, role, last_seen) SELECT member, 0, name, '', last_seen FROM member_group;
DROP TABLE member_group;
