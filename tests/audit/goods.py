"""INV-13 to INV-18: limited goods, unit by unit and generation by generation.

What each op does with the units that it names stands in `docs/reference/op.md` (Rights). Units of one issue that every op
treats alike are one cell. Promises: whether an author held what it gave or sold is asked of the op's own past alone, so it
is answered the same whatever else is in the set; what a fork or a lost holder makes oversold is counted, and must be
named by each kit that has the ops, as many as there are.
Absent on purpose: INV-17, which ops do not show, and goods of pools that sell on at zero.
"""

from bisect import bisect_left
from collections import Counter, defaultdict, namedtuple

from tests.audit.ops import dot

ISSUE_BITS = 20
HARD = {"8": 1}
# What an op does with one generation: `taker` loses it, `to` gets it; each is a replica or what became of the unit.
Deed = namedtuple("Deed", "op act first end generation taker to order")
Oversold = namedtuple("Oversold", "pool first count extra ops")


def check(world, ops):
    everything = Goods(ops, ops.order)
    yield from ranges(ops)
    yield from everything.rights_held()
    yield from lines_name_units(ops)
    yield from leases_lapse(ops)
    yield from never_more_than_came(ops, everything)
    yield from named(world, ops, everything)


def issued(op):
    """First unit of those that an op brings."""
    return (int(op.hash[:16], 16) >> 21) << ISSUE_BITS


def named_ranges(op):
    """What an op names: order or none, and ranges."""
    if op.kind in (32, 35):
        return op.dot, [units for line in op.body["lines"] for units in line["units"]]
    if op.kind in (81, 82):
        return dot(op.body["order"]), op.body["ranges"]
    return None, op.body["ranges"] if op.kind in (80, 83, 84, 90, 91) else []


def is_sound(units):
    within = units["first"] % (1 << ISSUE_BITS) + units["count"] <= 1 << ISSUE_BITS
    return 0 < units["count"] and within and units["first"] < 1 << 63 and units["generation"] < (1 << 32) - 1


def deeds(op, ops):
    """Pool, and deed."""
    if op.event is None or not isinstance(op.body, dict):
        return
    if op.kind == 17 and 0 < op.body["change"] <= 1 << ISSUE_BITS:
        first = issued(op)
        yield ops.pool(op.event, op.body["sku"]), Deed(op, "came", first, first + op.body["change"], 0, None, op.replica, None)
    order, named_by_op = named_ranges(op)
    for units in filter(is_sound, named_by_op):
        pool, generation = units["pool"], units["generation"]
        span = (units["first"], units["first"] + units["count"], generation)
        if op.kind in (32, 35, 82):
            yield pool, Deed(op, "used", *span, op.replica, "used", order)
        elif op.kind in (80, 90):
            yield pool, Deed(op, "given", *span, op.replica, op.body["to"], None)
        elif op.kind == 83:
            yield pool, Deed(op, "written off", *span, op.replica, "written off", None)
        elif op.kind == 81:
            yield pool, Deed(op, "returned", *span, None, "returned", order)
            yield pool, Deed(op, "came back", *span[:2], generation + 1, None, op.body["to"], order)
        elif op.kind == 84:
            yield pool, Deed(op, "declared lost", *span, op.body["holder"], "declared lost", None)
            yield pool, Deed(op, "came back", *span[:2], generation + 1, None, op.replica, None)
        elif op.kind == 91:
            yield pool, Deed(op, "lapsed", *span, op.body["holder"], "lapsed", None)
            yield pool, Deed(op, "came back", *span[:2], generation + 1, None, op.replica, None)


def too_late(deed, forks, answers):
    """A keeper's grant behind what its receiver said it has of that keeper is none."""
    seen = answers.get((deed.op.replica, deed.to), deed.op.seq) if deed.op.kind == 80 and not behind_a_fork(deed, forks) else deed.op.seq
    return deed.op.seq > seen


def behind_a_fork(deed, forks):
    return deed.act == "given" and deed.to != deed.op.replica and deed.op.seq >= forks.get(deed.op.stream, deed.op.seq + 1)


class Cell:
    """Units of one issue that every op treats alike, with all that was done with them."""

    def __init__(self, pool, first, end):
        self.pool, self.first, self.count, self.deeds = pool, first, end - first, []

    def words(self):
        number = self.first % (1 << ISSUE_BITS) + 1
        return f"unit {number}" if self.count == 1 else f"units {number} to {number + self.count - 1}"

    def sums(self, deeds, forks, answers):
        """Who has it, by generation: replicas and fates."""
        sums = defaultdict(Counter)
        for deed in deeds:
            of = sums[deed.generation]
            if too_late(deed, forks, answers):
                continue
            if deed.act in ("came", "came back"):
                of["born"] += 1
            if deed.taker:
                of[deed.taker] -= 1
            of["frozen" if behind_a_fork(deed, forks) else deed.to] += 1
        return sums


class Goods:
    """The cells of a set of ops that is closed under causes."""

    def __init__(self, ops, of):
        self.ops, self.cells = ops, []
        here = {op.hash for op in of}
        self.answers, self.vows = [op for op in ops.kinds[89] if op.hash in here], [op for op in ops.kinds[87] if op.hash in here]
        self.forks = {stream: seq for stream, seq in ops.forks.items() if sum(op.hash in here for op in ops.at[stream, seq]) > 1}
        by_issue = defaultdict(list)
        for op in of:
            for pool, deed in deeds(op, ops):
                by_issue[pool, deed.first >> ISSUE_BITS].append(deed)
        for (pool, _), done in sorted(by_issue.items()):
            cuts = sorted({edge for deed in done for edge in (deed.first, deed.end)})
            cells = [Cell(pool, first, end) for first, end in zip(cuts, cuts[1:])]
            for deed in done:
                for cell in cells[bisect_left(cuts, deed.first) : bisect_left(cuts, deed.end)]:
                    cell.deeds.append(deed)
            self.cells += [cell for cell in cells if cell.deeds]

    def rights_held(self):
        """INV-16, and the order's side of INV-15: each deed against what its author had seen."""
        for cell in self.cells:
            for number, deed in enumerate(cell.deeds):
                earlier = [other for at, other in enumerate(cell.deeds) if deed.op.knows(other.op) or other.op is deed.op and at < number]
                seen = {stream: seq for stream, seq in self.forks.items() if sum(deed.op.knows(op) for op in self.ops.at[stream, seq]) > 1}
                of = cell.sums(earlier, seen, self.counted(deed.op.knows))[deed.generation]
                where = f"{cell.words()}, generation {deed.generation}, of pool {cell.pool[:12]}"
                if deed.taker and of[deed.taker] < 1:
                    who = "its author" if deed.taker == deed.op.replica else f"replica {deed.taker[:12]}"
                    yield deed.op.found("INV-16", f"{where}: {deed.act} although {who} held none of it by what this op had seen")
                elif deed.act == "used" and of["used"] > 0:
                    yield deed.op.found("INV-16", f"{where}: used although it knew of a use")
                elif deed.act == "returned" and of["used"] - of["returned"] < 1:
                    yield deed.op.found("INV-15", f"{where}: returned although nobody had it")
                elif deed.act == "returned" and not any(use.act == "used" and use.order == deed.order and self.ops.goes_on_for(deed.op.replica, use.op.replica) for use in earlier):
                    yield deed.op.found("INV-15", f"{where}: returned for an order that has no unit of its author")

    def counted(self, within=lambda _: True):
        """By lost keeper and holder, up to which position of the keeper's its grants to that holder count."""
        answers, keepers = {}, {op.replica for op in self.vows if within(op)}
        for op in self.answers:
            if op.body["holder"] in keepers and within(op):
                of = op.body["holder"], op.body["on_behalf"]
                answers[of] = min(op.body["seen"], answers.get(of, op.body["seen"]))
        return answers

    def oversold(self):
        """Cells that went to more buyers than can have them: each generation to one, after the last sold one came back."""
        found, answers = [], self.counted()
        for cell in self.cells:
            sums, extra, last_out = cell.sums(cell.deeds, self.forks, answers), 0, False
            for _, of in sorted(sums.items()):
                if of["used"] > 0:
                    extra += of["used"] - (1 if of["born"] > 0 and not last_out else 0)
                    last_out = of["returned"] <= 0
            if extra > 0:
                uses = [deed.op for deed in cell.deeds if deed.act == "used"]
                found.append(Oversold(cell.pool, cell.first, cell.count, extra, uses))
        return found

    def contradictory(self):
        """Cells that lie in no one place by the sums, though no more buyers have them than can."""
        answers = self.counted()
        for cell in self.cells:
            for generation, of in cell.sums(cell.deeds, self.forks, answers).items():
                fates = {"used", "returned", "declared lost", "lapsed", "written off", "frozen", "born"}
                held = sum(count for who, count in of.items() if who not in fates)
                below = any(count < 0 for who, count in of.items() if who not in fates)
                lies = held + of["frozen"] + of["used"] + of["declared lost"] + of["lapsed"] + of["written off"]
                if lies != of["born"] or of["born"] != 1 or below or of["frozen"] or of["returned"] > of["used"]:
                    yield cell, generation, of


def ranges(ops):
    for op in ops.order:
        if op.event is not None and isinstance(op.body, dict):
            for units in named_ranges(op)[1]:
                if not is_sound(units):
                    yield op.found("INV-15", f"it names units that cannot be: {units}")


def limits_set(ops):
    """For each item of an event the ops that set its limit, and to what."""
    limits = defaultdict(list)
    for op in ops.kinds[16]:
        limits[op.event, op.body["sku"]] += [(op, edit) for edit in op.body["edits"] if "8" in edit]
    return limits


def lines_name_units(ops):
    limits = limits_set(ops)
    for op in (*ops.kinds[32], *ops.kinds[35]):
        for line in op.body["lines"]:
            count = sum(units["count"] for units in line["units"])
            pools = {units["pool"] for units in line["units"]}
            if pools and (pools != {ops.pool(op.event, line["sku"])} or count != line["quantity"]):
                yield op.found("INV-16", f"{line['quantity']} of {line['sku']} name {count} units")
            known = [limit for item, limit in limits[op.event, line["sku"]] if op.knows(item)]
            if not pools and known and all(limit == HARD for limit in known):
                yield op.found("INV-16", f"{line['quantity']} of {line['sku']}, which is limited, name no units")


def leases_lapse(ops):
    """INV-16: a lease is ended by its giver, or by one that goes on for it, for the one that had it; none is of limited goods."""
    for op in ops.kinds[91]:
        leases = [lease for lease in ops.made_by(dot(op.body["lease"])) if lease.kind == 90 and op.knows(lease)]
        if not any(lease.body["to"] == op.body["holder"] and ops.goes_on_for(op.replica, lease.replica) for lease in leases):
            yield op.found("INV-16", "it ends a lease that its author did not give to that holder")
    limits = limits_set(ops)
    for op in ops.kinds[90]:
        known = [limit for item, limit in limits[op.event, op.body["sku"]] if op.knows(item)]
        if known and all(limit == HARD for limit in known):
            yield op.found("INV-16", f"{op.body['sku']} is limited, and leased all the same")


def never_more_than_came(ops, goods):
    """INV-13 by postings: what is left of limited goods is not below zero, but for what units show as oversold."""
    extra = Counter()
    for over in goods.oversold():
        extra[over.pool] += over.count * over.extra
    left = Counter()
    for op in ops.order:
        for account, kind, unit, amount in op.postings:
            if kind == "1" and account == 16:
                left[op.event, unit] += amount
    for (event, sku), edits in limits_set(ops).items():
        pool = ops.pool(event, sku)
        if edits and all(edit == HARD for _, edit in edits) and left[event, pool] < -extra[pool]:
            last = [op for op in ops.order if any(unit == pool for _, _, unit, _ in op.postings)][-1]
            yield last.found("INV-13", f"{-left[event, pool]} more of {sku} went than came, {extra[pool]} of them by units sold twice")


def named(world, ops, everything):
    """INV-13, INV-14, INV-15 where nothing excuses it; INV-18 where a fork, a lost holder or a disk put back does."""
    excused = bool(ops.forks or ops.kinds[84] or ops.kinds[91] or ops.destroyed)
    if not excused:
        for over in everything.oversold():
            buyers = ", ".join(f"{op.seq} of {op.stream[:12]}" for op in over.ops)
            words = f"{over.count} units of pool {over.pool[:12]} have {over.extra + 1} buyers each: ops {buyers}"
            yield over.ops[-1].found("INV-14" if over.count == 1 else "INV-13", words)
        for cell, generation, of in everything.contradictory():
            yield cell.deeds[-1].op.found("INV-15", f"{cell.words()}, generation {generation}, of pool {cell.pool[:12]} lie nowhere or twice: {dict(of)}")
        return
    for holder in world.holders:
        if holder.named is None:
            continue
        here = {ops.hashes[data] for data in holder.journal}
        mine = Goods(ops, [op for op in ops.order if op.hash in here])
        yield from as_many_as_named(holder, mine)


def as_many_as_named(holder, goods):
    counted, said = Counter(), Counter()
    for over in goods.oversold():
        counted[over.pool] += over.count * over.extra
    for line in holder.named:
        if line["kind"] == "units":
            said[line["pool"]] += line["count"] * line["extra"]
    contested = {line["op"][0] for line in holder.named if line["kind"] in ("contested", "oversold") and isinstance(line["op"], list)}
    for pool in sorted(counted.keys() | said.keys()):
        if counted[pool] != said[pool]:
            op = next(cell.deeds[-1].op for cell in goods.cells if cell.pool == pool)
            yield op.found("INV-18", f"{holder.name} names {said[pool]} units of pool {pool[:12]} as sold twice, by the ops they are {counted[pool]}")
    for cell, generation, of in goods.contradictory():
        if cell.pool not in contested:
            words = f"{holder.name} names no contradiction about {cell.words()}, generation {generation}, of pool {cell.pool[:12]}: {dict(of)}"
            yield cell.deeds[-1].op.found("INV-18", words)
