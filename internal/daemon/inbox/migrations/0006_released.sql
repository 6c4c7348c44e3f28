-- When the human, who had read the message, let it through to sessions from which it was held.
ALTER TABLE inbox ADD COLUMN released_at INTEGER;
