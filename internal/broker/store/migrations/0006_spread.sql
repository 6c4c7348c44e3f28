-- A message to several mailboxes at once is one row here while its copies wait, and not one of `delivery` for each.
-- A copy waits if its mailbox stands here, in no row of `settled` of the message, and in none of its `delivery`: one that
-- needs a row of its own, because somebody asks for it or it waits for long, is given one. The row goes with the last copy.
CREATE TABLE spread (
  message    INTEGER PRIMARY KEY,        -- message.n
  sender     INTEGER NOT NULL,           -- message.sender
  urgent     INTEGER NOT NULL,           -- as in delivery, for each copy
  bytes      INTEGER NOT NULL,           -- as in delivery, for each copy
  boxes      BLOB NOT NULL               -- mailboxes, see package store
) STRICT;

-- Copies of a spread message that became final together. Their receipts have consecutive numbers, in the order of boxes.
CREATE TABLE settled (
  message       INTEGER NOT NULL,        -- message.n
  part          INTEGER NOT NULL,        -- counts those of one message
  sender        INTEGER NOT NULL,        -- message.sender
  state         INTEGER NOT NULL,        -- as in delivery; never 0
  final_at      INTEGER NOT NULL,
  first_receipt INTEGER NOT NULL,        -- 0 without receipts
  last_receipt  INTEGER NOT NULL,
  run           INTEGER NOT NULL,        -- of the receipts; 0 without
  boxes         BLOB NOT NULL,
  PRIMARY KEY (message, part)
) STRICT, WITHOUT ROWID;
CREATE INDEX settled_receipt ON settled (run, sender, last_receipt, first_receipt) WHERE run > 0;
