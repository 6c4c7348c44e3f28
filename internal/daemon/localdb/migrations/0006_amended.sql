-- What the user changed of a session since it was registered, as JSON; empty for nothing. It outlives a registration anew.
ALTER TABLE session ADD COLUMN amended TEXT NOT NULL DEFAULT '';
