-- Sessions that have ended, for the messages that they left: those leave in their name.
CREATE TABLE departed (
  session_id TEXT PRIMARY KEY,
  name       TEXT NOT NULL,
  role       TEXT NOT NULL,
  cwd        TEXT NOT NULL,
  ended_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
