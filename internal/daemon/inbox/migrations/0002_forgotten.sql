-- What a user deleted keeps its row for as long as somebody may still send it, without its text and its names, so that
-- it does not come back.
ALTER TABLE inbox ADD COLUMN forgotten_at INTEGER;
