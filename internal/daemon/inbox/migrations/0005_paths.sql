-- A whole turn of the session went by, and the host did not prove that it showed the message.
ALTER TABLE offer ADD COLUMN lapsed_at INTEGER;

-- 1: it is to be offered once more, by another path.
ALTER TABLE offer ADD COLUMN again INTEGER NOT NULL DEFAULT 0;

-- The offer before this one, of the same message to the same session: it may still be proved.
ALTER TABLE offer ADD COLUMN earlier TEXT NOT NULL DEFAULT '';
ALTER TABLE offer ADD COLUMN earlier_path TEXT NOT NULL DEFAULT '';
CREATE INDEX offer_earlier ON offer (earlier) WHERE earlier != '';

-- 1: the host was given who wrote, and not what: to be shown that is no proof that the message was.
ALTER TABLE offer ADD COLUMN partly INTEGER NOT NULL DEFAULT 0;
