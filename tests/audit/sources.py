"""Where ops and journals come from: the files of a simulated world, or a kit's data directory.

Promises: nothing that is read is changed; a data directory's journal is opened from a copy, so that its log is recovered
there and the daemon's files stay as they are.
Absent on purpose: the black box of a data directory and its segments, which `fieldkit verify` compares with the journal.
"""

import pathlib
import shutil
import sqlite3
import tempfile
from collections import namedtuple

from tests.audit.ops import json_lines
from tests.golden import decode

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

# What one kit holds. `named` are the contradictions that it names, none where it does not say.
Holder = namedtuple("Holder", "name journal others heads named")
Head = namedtuple("Head", "stream seq hash signature")
Terminal = namedtuple("Terminal", "name lines undone")
# `goods` and `drawers` are what the public tables of a data directory say, by event and SKU, and by event and stream.
World = namedtuple("World", "name holders terminals destroyed answers goods drawers")


def world(path, terminals=()):
    path = pathlib.Path(path)
    if (path / "journal.db").exists():
        return of_data_directory(path, terminals)
    if (path / "answers.ndjson").exists():
        return of_dump(path)
    raise FileNotFoundError(f"{path} is neither a data directory nor a dumped world")


def of_dump(path):
    def lines(name):
        return json_lines((path / name).read_text())

    def ops(name):
        return [bytes.fromhex(line) for line in (path / name).read_text().split()]

    def head(line):
        return Head(line["stream"], line["seq"], line["hash"], bytes.fromhex(line["signature"]))

    injected = lines("injector.ndjson")
    undone = {(line["terminal"], line["line"]) for line in injected if line["what"] == "undone_by_hand"}
    destroyed = [bytes.fromhex(op) for line in injected if line["what"] == "put_back" for op in line["destroyed"]]
    holders, terminals = [], []
    # A kit that is gone for good has no files.
    for name in sorted(file.stem for file in path.glob("kit-*.journal")):
        named = lines(f"{name}.named")
        runs = named and named[0]["kind"] == "runs"
        heads = [head(line) for line in lines(f"{name}.heads")]
        holders.append(Holder(name, ops(f"{name}.journal"), ops(f"{name}.box"), heads, named[1:] if runs else None))
    while (path / f"terminal-{len(terminals)}.ndjson").exists():
        number = len(terminals)
        by_hand = {line for terminal, line in undone if terminal == number}
        terminals.append(Terminal(f"terminal-{number}", lines(f"terminal-{number}.ndjson"), by_hand))
    return World(path.name, holders, terminals, destroyed, lines("answers.ndjson"), {}, {})


def of_data_directory(path, journals):
    with tempfile.TemporaryDirectory() as place:
        journal = copied(path, "journal.db", place)
        ops = journal.execute("SELECT op.bytes, op.hash, op.row, stream.id, op.seq FROM op JOIN stream ON stream.no = op.stream ORDER BY row").fetchall()
        heads = journal.execute("SELECT stream.id, head.seq, head.hash, head.signature FROM head JOIN stream ON stream.no = head.stream").fetchall()
        journal.close()
        goods, drawers, named = {}, {}, None
        if (path / "views.db").exists():
            views = copied(path, "views.db", place)
            last = views.execute("SELECT value FROM meta WHERE key = 'row'").fetchone()[0]
            # The tables come after the journal; what a kill left behind is not compared.
            if int(last) == len(ops):
                goods = {(event, sku): numbers for event, sku, *numbers in views.execute("SELECT event_id, sku, here, sold FROM items")}
                drawers = {(event, stream): cash for event, stream, cash in views.execute("SELECT event_id, stream_id, expected_minor FROM drawers")}
                named = [line for row in views.execute("SELECT op_id, kind, detail FROM anomalies") for line in anomaly(*row)]
            views.close()
    for number, (_, _, row, _, _) in enumerate(ops, 1):
        if row != number:
            raise ValueError(f"the journal's row {number} is missing")
    holder = Holder(path.name, [row[0] for row in ops], [], [Head(stream.hex(), seq, hash_.hex(), signature) for stream, seq, hash_, signature in heads], named)
    terminals = [Terminal(pathlib.Path(file).name, json_lines(pathlib.Path(file).read_text()), set()) for file in journals]
    return World(path.name, [holder], terminals, [], [], goods, drawers)


def anomaly(op, kind, detail):
    """A row of the table as a dumped world has it; how many units were sold twice is the first word about them."""
    stream, seq = printed(op)
    yield {"kind": kind, "op": [stream, seq], "detail": detail}
    if kind == "oversold":
        yield {"kind": "units", "pool": stream, "first": 0, "count": int(detail.split()[0]), "generation": 0, "extra": 1}


def printed(text):
    """The dot of a printed id: base32 of stream and position, and a check character."""
    bits = "".join(f"{ALPHABET.index(letter):05b}" for letter in text[:-1])
    data = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits) - 7, 8))
    return data[:16].hex(), decode.Input(data[16:]).varint()


def copied(path, name, place):
    for part in (name, f"{name}-wal"):
        if (path / part).exists():
            shutil.copy(path / part, place)
    return sqlite3.connect(pathlib.Path(place) / name)
