CREATE TABLE branch (
    position INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    stream INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
CREATE INDEX branch_at ON branch (stream, seq);
CREATE TABLE branch_head (
    hash BLOB PRIMARY KEY,
    stream INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    signature BLOB NOT NULL
) STRICT, WITHOUT ROWID;
