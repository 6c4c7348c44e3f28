-- What proves a sender to its readers (design C8). It is the sender's own text, passed on as it came; NULL without one, and
-- once the body is dropped.
ALTER TABLE message ADD COLUMN auth BLOB;

-- The member's word for a session key, at its first auth/2, so that readers of the roster need not take the broker's.
ALTER TABLE session ADD COLUMN vouch TEXT NOT NULL DEFAULT '';
