"""Ops written and altered, for tests of the checks: what `tests/golden/decode.py` reads, the other way round.

Promises: `written` gives back the bytes that were read; `Forger` alters one op and mends everything that hangs on its
bytes, so that a finding is about what was altered and not about hashes.
"""

import blake3

from tests.audit.goods import ISSUE_BITS
from tests.audit.ops import varint
from tests.golden import decode
from tests.golden.decode import BODIES, CHOICES, OP_FIELDS, RECORDS


def value(form, of):
    if form[0] == "[":
        return varint(len(of)) + b"".join(value(form[1:], each) for each in of)
    if form[0] == "?":
        return b"\0" if of is None else b"\1" + value(form[1:], of)
    if form in RECORDS:
        return record(RECORDS[form], of)
    if form in CHOICES:
        [(tag, inner)] = of.items()
        return varint(int(tag)) + value(CHOICES[form][int(tag)], inner)
    if form == "u":
        return varint(of)
    if form == "i":
        return varint(2 * of if of >= 0 else -2 * of - 1)
    if form in ("o", "v1"):
        return bytes([of])
    if form in ("s", "bytes"):
        data = of.encode() if form == "s" else bytes.fromhex(of)
        return varint(len(data)) + data
    return of.encode("ascii") if form == "c3" else bytes.fromhex(of)


def record(fields, of):
    return b"".join(value(form, of[name]) for name, form in (field.split(":") for field in fields.split()))


def written(op):
    body = record(BODIES[op["kind"]], op["body"]).hex() if op["kind"] in BODIES else op["body"]
    return record(OP_FIELDS, {**op, "body": body})


def hash_of(data):
    return blake3.blake3(data).hexdigest()


def named_units(op):
    body = op["body"] if isinstance(op["body"], dict) else {}
    return body.get("ranges", []) + [units for line in body.get("lines", []) for units in line.get("units", [])]


class Forger:
    """Rewrites ops in their order; hashes and names of units that change are carried into all that follow."""

    def __init__(self):
        self.hashes, self.issues = {}, {}

    def forged(self, blobs, change):
        """Each op after `change(op)` had it; one for which it returns `None` is left out."""
        for data in blobs:
            op = decode.read(data)
            op["prev"] = self.hashes.get(op["prev"], op["prev"])
            for dep in op["deps"]:
                dep["hash"] = self.hashes.get(dep["hash"], dep["hash"])
            for units in named_units(op):
                issue = units["first"] >> ISSUE_BITS
                units["first"] += (self.issues.get(issue, issue) - issue) << ISSUE_BITS
            op = change(op)
            if op is None:
                continue
            new = written(op)
            before, after = hash_of(data), hash_of(new)
            self.hashes[before] = after
            self.issues[int(before[:16], 16) >> 21] = int(after[:16], 16) >> 21
            yield new
