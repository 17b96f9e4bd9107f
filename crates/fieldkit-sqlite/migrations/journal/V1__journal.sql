CREATE TABLE stream (no INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE) STRICT;
CREATE TABLE op (
    row INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    bytes BLOB NOT NULL,
    UNIQUE (stream, seq)
) STRICT;
CREATE TABLE head (
    stream INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    signature BLOB NOT NULL
) STRICT;
CREATE TABLE segment (
    stream INTEGER NOT NULL,
    no INTEGER NOT NULL,
    hash BLOB NOT NULL,
    sum BLOB NOT NULL,
    PRIMARY KEY (stream, no)
) STRICT, WITHOUT ROWID;
CREATE TABLE mark (
    no INTEGER PRIMARY KEY CHECK (no = 1),
    grown INTEGER NOT NULL,
    wal_salt INTEGER,
    box_id BLOB,
    box_end INTEGER NOT NULL,
    box_number INTEGER NOT NULL,
    box_sum BLOB,
    box_row INTEGER NOT NULL,
    box_check BLOB
) STRICT;
INSERT INTO mark VALUES (1, 0, NULL, NULL, 0, 0, NULL, 0, NULL);
