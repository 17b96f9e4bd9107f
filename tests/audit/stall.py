"""Kits in a few lines each, that write ops by hand: worlds for tests of the checks, with grants and forks.

Promises: envelopes are as the daemon's would be (chains, causes, depths, admissions that verify), so that a finding is
about what a test does. Absent on purpose: prices: everything costs nothing.
"""

import copy

from tests.audit.chain import ADMIT
from tests.audit.ed25519 import signed
from tests.audit.goods import ISSUE_BITS
from tests.audit.ops import ORGANISATION, ZEROS, pool_id, stream_id, varint
from tests.audit.sources import Head, Holder, World
from tests.audit.write import hash_of, written
from tests.golden import decode

FIRST, SECRET_OF_ALL = 0, bytes([99] * 32)
SKU = "PRINT"
NO_SOURCE = {"till": "", "campaign": "", "session": "", "variant": ""}


def opid(of):
    return {"stream": of[0], "seq": of[1]}


class Kit:
    """A replica with a journal. `hear` takes over another's ops, `copied` is the same kit twice."""

    def __init__(self, number):
        self.secret = bytes([number + 1] * 32)
        self.key, _ = signed(self.secret, b"")
        self.journal, self.here, self.heads, self.told, self.depth, self.receipts = [], set(), {}, {}, 0, 0
        self.organisation = stream_id(self.key.hex(), ORGANISATION)
        self.event = None

    def take(self, data):
        if hash_of(data) in self.here:
            return
        op = decode.read(data)
        self.journal.append(data)
        self.here.add(hash_of(data))
        # A forked stream has a head for each branch; a kit goes on with that which it had first.
        heads = self.heads.setdefault(op["stream"], [])
        at = [head[1] for head in heads].index(op["prev"]) if op["prev"] in [head[1] for head in heads] else len(heads)
        heads[at : at + 1] = [(op["seq"], hash_of(data))]
        self.depth = max(self.depth, op["lamport"])
        if op["kind"] == 6:
            self.event = op["stream"], op["seq"]

    def hear(self, other):
        for data in other.journal:
            self.take(data)
        return self

    def write(self, kind, body, postings=(), stream=None):
        stream = stream or self.stream()
        seq, prev = self.head(stream)
        told = self.told.setdefault(stream, set())
        news = sorted((other, head) for other, heads in self.heads.items() for head in heads if other != stream and head not in told)
        told.update(head for _, head in news)
        op = {"version": 1, "stream": stream, "seq": seq + 1, "prev": prev, "lamport": self.depth + 1,
              "stamp": {"physical_ms": 1795000000000 + self.depth, "counter": 0, "quality": 1},
              "deps": [{"op": opid((other, head[0])), "hash": head[1]} for other, head in news], "actor": {"0": 0}, "key": None,
              "postings": [{"account": account, "unit": {"1": self.pool()}, "amount": amount} for account, amount in postings],
              "kind": kind, "body": body}
        data = written(op)
        self.take(data)
        return stream, seq + 1

    def head(self, stream):
        return self.heads[stream][0] if stream in self.heads else (0, ZEROS)

    def stream(self):
        stream = stream_id(self.key.hex(), ("1", self.event))
        if stream not in self.heads:
            self.write(1, {"replica": self.key.hex(), "space": {"1": opid(self.event)}, "follows": None}, stream=stream)
        return stream

    def pool(self):
        return pool_id(self.event, SKU)

    def founded(self):
        self.write(1, {"replica": self.key.hex(), "space": {"0": 0}, "follows": None}, stream=self.organisation)
        organisation, _ = signed(SECRET_OF_ALL, b"")
        self.write(2, {"name": "Quay", "key": organisation.hex()}, stream=self.organisation)
        self.admit(self, SECRET_OF_ALL)
        event = {"name": "Market", "zone": "Europe/Berlin", "day_cutover_minutes": 0, "currency": "EUR", "seller": {"name": "Quay", "address": "", "tax_id": ""},
                 "tax_rates": [{"id": "none", "name": "", "ppm": 0}], "prices": 0, "training": False, "fold_version": 1, "cloned_from": None}
        self.write(6, event, stream=self.organisation)
        self.write(16, {"sku": SKU, "edits": [{"8": 1}], "import_mark": None})
        return self

    def admit(self, other, secret=None):
        label = b"kit"
        by, proof = signed(secret or self.secret, ADMIT + other.key + varint(len(label)) + label)
        body = {"replica": other.key.hex(), "label": label.decode(), "admitted_by": by.hex(), "proof": proof.hex()}
        self.write(3, body, stream=self.organisation)

    def brings(self, count):
        """Units as ranges, as all other methods take and give them."""
        self.write(17, {"sku": SKU, "change": count, "reason": 0}, [(16, count), (18, -count)])
        first = (int(hash_of(self.journal[-1])[:16], 16) >> 21) << ISSUE_BITS
        return self.units(first, count)

    def units(self, first, count, generation=0):
        return {"pool": self.pool(), "first": first, "count": count, "generation": generation}

    def grants(self, to, units):
        return self.write(80, {"sku": SKU, "to": to.key.hex(), "ranges": [units], "reason": "", "answers": None})

    def sells_on(self):
        """The goods are ordinary from now on."""
        self.write(16, {"sku": SKU, "edits": [{"8": 0}], "import_mark": None})
        return self

    def leases(self, to, units):
        return self.write(90, {"sku": SKU, "to": to.key.hex(), "ranges": [units], "term_ms": 7200000, "confirmed_ms": None, "reason": ""})

    def lapses(self, lease, holder, units):
        self.write(91, {"sku": SKU, "lease": opid(lease), "holder": holder.key.hex(), "ranges": [units]})
        return {**units, "generation": units["generation"] + 1}

    def sells(self, units):
        self.receipts += 1
        line = {"sku": SKU, "name": "Print", "quantity": units["count"], "unit_price": 0, "discount": 0, "discount_reason": "", "order_discount": 0,
                "tax_rate": "none", "tax_ppm": 0, "tax": 0, "owner": "", "units": [units]}
        body = {"receipt": self.receipts, "currency": "EUR", "prices": 0, "lines": [line], "discount": 0, "discount_reason": "", "total": 0, "tenders": [],
                "change": 0, "source": NO_SOURCE, "cart_opened_ms": None, "paid_ms": 0, "business_day": 0, "fiscal": {"0": 0}}
        return self.write(32, body, [(16, -units["count"]), (17, units["count"])])

    def takes_back(self, order, units, to=None):
        """The units come free, for this kit or another, and are to be sold again."""
        self.write(81, {"order": opid(order), "to": (to or self).key.hex(), "ranges": [units]})
        self.receipts += 1
        part = {"line": 1, "quantity": units["count"], "amount": 0, "tax": 0}
        body = {"order": opid(order), "kind": 0, "receipt": self.receipts, "lines": [part], "amount": 0, "reason": "torn", "restock": True, "business_day": 0}
        self.write(33, body, [(17, -units["count"]), (16, units["count"])])
        return {**units, "generation": units["generation"] + 1}

    def declares_lost(self, lost, units):
        self.write(84, {"sku": SKU, "holder": lost.key.hex(), "ranges": [units], "risk": "all of it"})
        return {**units, "generation": units["generation"] + 1}

    def signs(self):
        stream = self.stream()
        seq, hash_ = self.head(stream)
        _, signature = signed(self.secret, b"fieldkit head v1" + bytes.fromhex(stream) + varint(seq) + bytes.fromhex(hash_))
        return Head(stream, seq, hash_, signature)

    def copied(self):
        return copy.deepcopy(self)


def two_kits():
    """One that founded everything, and one that it let in."""
    one, two = Kit(0).founded(), Kit(1)
    one.admit(two)
    return one, two.hear(one)


def part(units, first, count):
    return {**units, "first": units["first"] + first, "count": count}


def world(*kits, named=None):
    """A world of these kits at rest; `named` is what each of them names, where it says."""
    holders = [Holder(f"kit-{number}", kit.journal, [], [], named) for number, kit in enumerate(kits)]
    return World("by-hand", holders, [], [], [], {}, {})
