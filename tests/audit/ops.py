"""Ops of any number of replicas as one set, with their branches and what each author had seen.

Promises: ops are told apart by hash, never by position, so both branches of a forked stream are there; the order is one
in which causes come first; `knows` asks the op's own past and nothing else.
Absent on purpose: verdicts, except on bytes that are no op.
"""

import heapq
import json
from collections import defaultdict, namedtuple

import blake3

from tests.golden import decode

Finding = namedtuple("Finding", "invariant stream seq words")
ACCOUNTS = {1: "cash", 2: "sales", 3: "tax", 4: "cash moved", 5: "cash variance", 6: "card", 7: "attested", 8: "at risk", 9: "prepaid",
            10: "lost", 16: "stock", 17: "sold", 18: "supply", 19: "written off", 20: "held"}
ORGANISATION = ("0", 0)
ZEROS = bytes(32).hex()


def varint(number):
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes(encoded + bytes([number]))


def dot(value):
    """The dot of a decoded `OpId`."""
    return value["stream"], value["seq"]


def dot_bytes(of):
    return bytes.fromhex(of[0]) + varint(of[1])


def space_of(value):
    [(tag, inner)] = value.items()
    return (tag, dot(inner) if tag in "12" else inner)


def stream_id(replica, space):
    tag, inner = space
    encoded = varint(int(tag)) + (dot_bytes(inner) if tag in "12" else varint(inner))
    return derived("fieldkit 2026-11 stream id", bytes.fromhex(replica) + encoded)


def pool_id(event, sku):
    return derived("fieldkit 2026-11 pool id", (dot_bytes(event) if event else b"") + sku.encode())


def derived(context, material):
    return blake3.blake3(material, derive_key_context=context).digest()[:16].hex()


class Op:
    """One op. `branch` numbers the unforked stretch of its stream, `past` says how far it had seen which of them."""

    def __init__(self, data):
        said = decode.read(data)
        self.hash = blake3.blake3(data).hexdigest()
        self.stream, self.seq, self.prev, self.lamport = said["stream"], said["seq"], said["prev"], said["lamport"]
        self.deps = [(dot(dep["op"]), dep["hash"]) for dep in said["deps"]]
        [(actor, person)] = said["actor"].items()
        self.actor = dot(person) if actor == "1" else None
        self.key = said["key"] and said["key"]["key"]
        self.unbalanced = decode.imbalance(said)
        self.postings = [(posting["account"], *next(iter(posting["unit"].items())), posting["amount"]) for posting in said["postings"]]
        self.kind, self.body = said["kind"], said["body"]
        self.dot = (self.stream, self.seq)
        self.branch = self.past = self.replica = self.space = None

    @property
    def event(self):
        return self.space[1] if self.space and self.space[0] in "12" else None

    def money(self, *accounts):
        """The sum of its postings of money on these accounts."""
        return sum(amount for account, kind, _, amount in self.postings if kind == "0" and account in accounts)

    def knows(self, other):
        """Whether its author had seen `other` when this op was written."""
        if other.branch == self.branch:
            return other.seq < self.seq
        return self.past.get(other.branch, 0) >= other.seq

    def found(self, invariant, words):
        return Finding(invariant, self.stream, self.seq, words)


class Ops:
    """A set of ops, in an order of causes; what hangs on no opening, or lacks a cause, stands in `by_hash` alone."""

    def __init__(self, blobs, destroyed=()):
        self.by_hash, self.hashes, self.unread = {}, {}, []
        for data in dict.fromkeys(blobs):
            self.hashes[data] = blake3.blake3(data).hexdigest()
            try:
                self.by_hash[self.hashes[data]] = Op(data)
            except (ValueError, KeyError) as error:
                self.unread.append((data, str(error)))
        # Of these no copy is left; they tell what was lost with them and count for nothing.
        self.destroyed = [op for op in map(Op, dict.fromkeys(destroyed)) if op.hash not in self.by_hash]
        self.at = defaultdict(list)
        self.after = defaultdict(list)
        for op in self.by_hash.values():
            self.at[op.dot].append(op)
            self.after[op.stream, op.prev].append(op)
        self.forks = self._forks()
        self._sort()
        self.openings = {op.stream: op for op in reversed(self.order) if op.kind == 1 and op.seq == 1}
        for op in self.order:
            if opening := self.openings.get(op.stream):
                op.replica, op.space = opening.body["replica"], space_of(opening.body["space"])
        self.kinds = defaultdict(list)
        for op in self.order:
            self.kinds[op.kind].append(op)
        self.followed = {op.replica: op.body["follows"] for op in self.kinds[1] if op.body["follows"]}
        self._pools, self._events = {}, {op.dot: op for op in self.kinds[6]}

    def _forks(self):
        """The first position of each stream at which two ops continue one."""
        forks = {}
        for (stream, _), children in self.after.items():
            by_seq = defaultdict(int)
            for child in children:
                by_seq[child.seq] += 1
            for seq, count in by_seq.items():
                if count > 1:
                    forks[stream] = min(seq, forks.get(stream, seq))
        return forks

    def _sort(self):
        """Causes first, else by depth, stream, position and hash; branches and pasts on the way."""
        self.order, missing, waits, ready, branches = [], {}, defaultdict(list), [], 0
        rank = lambda op: (op.lamport, op.stream, op.seq, op.hash)
        for op in self.by_hash.values():
            causes = {cause for _, cause in op.deps} | ({op.prev} if op.seq > 1 else set())
            if self.astray(op):
                continue
            missing[op.hash] = len(causes)
            for cause in causes:
                waits[cause].append(op)
            if not causes:
                heapq.heappush(ready, rank(op))
        while ready:
            op = self.by_hash[heapq.heappop(ready)[3]]
            before = self.before(op)
            alone = sum(other.seq == op.seq for other in self.after[op.stream, op.prev]) == 1
            if before and alone:
                op.branch, op.past = before.branch, before.past
            else:
                op.branch, branches = branches, branches + 1
                op.past = {**before.past, before.branch: before.seq} if before else {}
            if op.deps:
                op.past = dict(op.past)
                for _, cause in op.deps:
                    cause = self.by_hash[cause]
                    for branch, seq in (*cause.past.items(), (cause.branch, cause.seq)):
                        if branch != op.branch:
                            op.past[branch] = max(seq, op.past.get(branch, 0))
            self.order.append(op)
            for waiting in waits[op.hash]:
                missing[waiting.hash] -= 1
                if missing[waiting.hash] == 0:
                    heapq.heappush(ready, rank(waiting))

    def astray(self, op):
        """Whether an op continues nothing of its own stream."""
        if op.seq <= 1:
            return op.seq < 1 or op.prev != ZEROS or op.kind != 1
        before = self.by_hash.get(op.prev)
        return before is None or before.dot != (op.stream, op.seq - 1)

    def before(self, op):
        return self.by_hash.get(op.prev) if op.seq > 1 else None

    def made_by(self, of):
        """The ops at a dot: one, or more where the stream forked."""
        return self.at.get(of, [])

    def main(self, ops):
        """Of ops at one dot the one that is the stream: where their branches part, the smaller hash."""
        first, *others = ops or [None]
        for other in others:
            one, two = first, other
            while one.prev != two.prev:
                one, two = self.by_hash[one.prev], self.by_hash[two.prev]
            first = min((one.hash, first), (two.hash, other), key=lambda pair: pair[0])[1]
        return first

    def events(self):
        return self._events

    def pool(self, event, sku):
        if (event, sku) not in self._pools:
            self._pools[event, sku] = pool_id(event, sku)
        return self._pools[event, sku]

    def goes_on_for(self, replica, earlier):
        """Whether `replica` is `earlier`, or follows it, perhaps over several others."""
        seen = set()
        while replica and replica not in seen:
            if replica == earlier:
                return True
            seen.add(replica)
            replica = self.followed.get(replica)
        return False


def json_lines(text):
    return [json.loads(line) for line in text.splitlines() if line]
