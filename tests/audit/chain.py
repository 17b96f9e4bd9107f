"""INV-23 and INV-24: chains, authors, signatures; and two ops of one author at one position. INV-01 as far as keys go.

Promises: each device is looked at by itself (a journal holds causes before what they caused), then all ops together.
"""

from tests.audit import ed25519
from tests.audit.ops import ORGANISATION, ZEROS, Finding, dot, stream_id, varint

ADMIT, HEAD = b"fieldkit admit v1", b"fieldkit head v1"


def check(world, ops):
    for data, why in ops.unread:
        yield Finding("INV-23", "", 0, f"{len(data)} bytes that begin with {data[:24].hex()} are no op: {why}")
    for holder in world.holders:
        for data in (holder.journal, holder.others):
            yield from causes_first(holder, data, holder.journal, ops)
        yield from signed_ends(holder, ops)
        yield from forks_named(holder, ops)
    for op in ops.order:
        yield from envelope(op, ops)
    yield from openings(ops)
    yield from answers(world, ops)


def causes_first(holder, blobs, journal, ops):
    """On each device an op continues one that stands before it, and its causes do, too. Branches of a fork are kept apart
    from the rest, in the journal alone: of them it is enough that they are there."""
    hashes = ops.hashes
    here = {op.hash for op in (ops.by_hash.get(hashes[data]) for data in journal) if op and op.seq >= ops.forks.get(op.stream, op.seq + 1)}
    held, seen = {hashes[data] for data in blobs}, set()
    for data in blobs:
        op = ops.by_hash.get(hashes[data])
        if op is None:
            continue
        if ops.astray(op):
            yield op.found("INV-23", f"{holder.name}: it continues nothing of its stream: {op.prev[:16]} is not the op before")
        elif op.seq > 1 and op.prev not in here:
            yield op.found("INV-23", f"{holder.name}: it stands before the op that it continues")
        for of, cause in op.deps:
            if cause not in here:
                where = "not before it" if cause in held else "nowhere on this device"
                yield op.found("INV-23", f"{holder.name}: it depends on op {of[1]} of stream {of[0][:12]} with hash {cause[:12]}, which stands {where}")
            elif ops.by_hash[cause].dot != of:
                yield op.found("INV-23", f"{holder.name}: its cause {cause[:16]} does not stand at position {of[1]}")
        if op.hash in seen:
            yield op.found("INV-23", f"{holder.name}: it stands there twice")
        here.add(op.hash), seen.add(op.hash)


def envelope(op, ops):
    causes = [ops.by_hash[cause] for _, cause in op.deps] + ([ops.by_hash[op.prev]] if op.seq > 1 else [])
    depth = 1 + max((cause.lamport for cause in causes), default=0)
    # Of a forked stream one head may be told, the other is known all the same.
    if op.lamport < depth or op.lamport > depth and not ops.forks:
        yield op.found("INV-23", f"its Lamport depth is {op.lamport}, what it had seen makes it {depth}")
    if op.kind == 1 and op.seq > 1:
        yield op.found("INV-23", "a stream is opened in its middle")
    if op.actor and not any(person.kind == 4 and op.knows(person) for person in ops.made_by(op.actor)):
        yield op.found("INV-23", "its actor is nobody that it had heard of")
    deps = [of for of, _ in op.deps]
    if deps != sorted(deps) or any(of[0] == op.stream for of in deps):
        yield op.found("INV-23", "its causes are not ascending heads of other streams")


def openings(ops):
    """Streams belong to the key that opened them, and that key was admitted by one that was."""
    founded = {op.body["key"] for op in ops.kinds[2]}
    admitted = {}
    for op in ops.kinds[3]:
        key, label = bytes.fromhex(op.body["replica"]), op.body["label"].encode()
        message = ADMIT + key + varint(len(label)) + label
        by = op.body["admitted_by"]
        if not ed25519.verifies(bytes.fromhex(by), message, bytes.fromhex(op.body["proof"])):
            yield op.found("INV-23", f"{op.body['label']} is admitted with a proof that does not verify")
        elif by in founded or any(op.knows(earlier) for earlier in admitted.get(by, [])):
            admitted.setdefault(op.body["replica"], []).append(op)
        else:
            yield op.found("INV-23", f"{op.body['label']} is admitted by a key that was not")
    for op in ops.openings.values():
        if stream_id(op.replica, op.space) != op.stream:
            yield op.found("INV-23", "the stream is not that of the key and the space that it names")
        own_organisation = any(founding.stream == op.stream for founding in ops.kinds[2])
        heard = any(op.knows(admission) or admission.stream == op.stream for admission in admitted.get(op.replica, []))
        if not heard and not (own_organisation and op.replica in admitted):
            yield op.found("INV-23", f"the key {op.replica[:12]} writes, and nobody admitted it")
        if op.space != ORGANISATION and not any(event.kind == 6 and op.knows(event) for event in ops.made_by(op.space[1])):
            yield op.found("INV-23", "the stream is about an event that it had not heard of")


def signed_ends(holder, ops):
    for head in holder.heads:
        opening = ops.openings.get(head.stream)
        message = HEAD + bytes.fromhex(head.stream) + varint(head.seq) + bytes.fromhex(head.hash)
        if head.hash not in ops.by_hash or ops.by_hash[head.hash].dot != (head.stream, head.seq):
            yield Finding("INV-23", head.stream, head.seq, f"{holder.name}: the signed head {head.hash[:16]} stands in no chain")
        elif opening is None or not ed25519.verifies(bytes.fromhex(opening.replica), message, head.signature):
            yield Finding("INV-23", head.stream, head.seq, f"{holder.name}: the signature over this head does not verify")


def forks_named(holder, ops):
    """Whoever holds both branches of a fork says so."""
    if holder.named is None:
        return
    here = {ops.hashes[data] for data in (*holder.journal, *holder.others)}
    named = {tuple(line["op"]) for line in holder.named if line["kind"] == "fork" and isinstance(line["op"], list)}
    for stream, seq in ops.forks.items():
        if sum(op.hash in here for op in ops.at[stream, seq]) > 1 and (stream, seq) not in named:
            yield Finding("INV-24", stream, seq, f"{holder.name} has two ops at this position and does not name the fork")


def answers(world, ops):
    """INV-01: what was answered is there once, as it was answered, unless its only copy was destroyed."""
    by_key = {}
    for op in ops.order:
        if op.key:
            by_key.setdefault(op.key, []).append(op)
    destroyed = {op.key for op in ops.destroyed if op.key}
    for line in world.answers:
        done = by_key.get(line["key"], [])
        if not line["answers"]:
            continue
        words = f"kit {line['kit']} answered the command {line['key']}"
        dots = {op.dot for op in done}
        if not done and line["key"] not in destroyed:
            yield Finding("INV-01", "", 0, f"{words}, and no op has it")
        elif len(dots) > 1:
            yield done[1].found("INV-01", f"{words} by {len(dots)} ops")
        elif line["key"] not in destroyed and len({str({**answer, 'two_devices': 0}) for answer in line["answers"]}) > 1:
            yield Finding("INV-01", "", 0, f"{words} in two ways")
        elif done and line["key"] not in destroyed:
            yield from said(line["answers"][0], done[0], ops, words)


def said(answer, op, ops, words):
    refused = op.body["code"] if op.kind == 10 else None
    if refused != answer.get("code"):
        yield op.found("INV-01", f"{words} with {answer.get('code') or 'yes'}, the op says {refused or 'yes'}")
    elif answer["said"] == "order":
        orders = [order for order in ops.made_by(tuple(answer["order"])) if order.kind in (32, 35)]
        about = dot(op.body["order"]) if isinstance(op.body, dict) and "order" in op.body else op.dot
        if about != tuple(answer["order"]) or not any(order.body["total"] == answer["total"] for order in orders):
            yield op.found("INV-01", f"{words} with order {answer['order'][1]} of {answer['total']}, the op says otherwise")
