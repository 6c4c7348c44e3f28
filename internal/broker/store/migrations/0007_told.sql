-- What readers told of copies that they have, each with its proof, which is the reader's own text. Its receipt is numbered
-- among those of the message's sender, as the end of a copy is (delivery.receipt).
CREATE TABLE told (
  message    INTEGER NOT NULL,           -- message.n
  member     INTEGER NOT NULL,           -- mailbox, as in delivery
  session    INTEGER NOT NULL,
  state      INTEGER NOT NULL,           -- 6 surfaced, 7 acknowledged
  sender     INTEGER NOT NULL,           -- message.sender
  told_at    INTEGER NOT NULL,
  receipt    INTEGER NOT NULL,
  run        INTEGER NOT NULL,
  proof      BLOB NOT NULL,              -- JSON
  PRIMARY KEY (message, member, session, state)
) STRICT, WITHOUT ROWID;
CREATE INDEX told_receipt ON told (run, sender, receipt);
