-- Whether a pinned key is of another device of this user, which is asked for permissions and may answer.
ALTER TABLE pin ADD COLUMN device INTEGER NOT NULL DEFAULT 0;
