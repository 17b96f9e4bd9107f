"""Simulated worlds, clean as they are and altered in one place each: every alteration is found by its name.

`AUDIT_WORLDS` is a directory of dumped worlds (`scripts/audit` makes it). Promises: ops behind an altered one are written
again, so that chains hold and a finding is about what was altered; a test whose worlds have nothing to alter fails.
"""

import os
import pathlib
import unittest

from tests.audit import sources
from tests.audit.audit import audit
from tests.audit.ops import Ops
from tests.audit.write import Forger, hash_of, written
from tests.golden import decode

CHARGES = ("1", "7")


def all_worlds():
    return [sources.world(path.parent) for path in sorted(pathlib.Path(os.environ["AUDIT_WORLDS"]).glob("*/answers.ndjson"))]


WORLDS = all_worlds()
# A set of ops for each, to look for what can be altered.
OPS = [Ops((data for holder in world.holders for data in holder.journal), world.destroyed) for world in WORLDS]


def forged(world, change):
    """The world with every op of every kit as `change` leaves it; signed heads that no longer stand are left out."""
    forger = Forger()
    holders = []
    for holder in world.holders:
        journal, others = list(forger.forged(holder.journal, change)), list(forger.forged(holder.others, change))
        hashes = {hash_of(data) for data in journal}
        holders.append(holder._replace(journal=journal, others=others, heads=[head for head in holder.heads if head.hash in hashes]))
    return world._replace(holders=holders)


def altered(wanted, change):
    """A world in which the first op that `wanted` takes is changed, and that op's dot."""
    for world, ops in zip(WORLDS, OPS):
        op = next((op for op in ops.order if wanted(op, ops)), None)
        if op is None:
            continue

        def at_its_place(said):
            if (said["stream"], said["seq"]) == op.dot:
                change(said)
            return said

        return forged(world, at_its_place), op
    raise AssertionError("no world has what this test alters")


def is_told(ops, line):
    """Whether a payment's record tells of this line of a terminal."""
    records = [next(iter(op.body["step"].values())) for op in ops.kinds[65] if next(iter(op.body["step"])) in CHARGES]
    return any((record["receipt"], record["trace"]) == (line["receipt"], line["trace"]) for record in records)


def invariants(world):
    return sorted({finding.invariant for finding in audit(world)[0]})


class Worlds(unittest.TestCase):
    maxDiff = None

    def assert_found(self, wanted, world, at=None):
        findings = audit(world)[0]
        self.assertEqual(sorted({finding.invariant for finding in findings}), wanted, findings[:5])
        if at:
            self.assertIn(at, {(finding.stream, finding.seq) for finding in findings}, findings[:5])

    def assert_op(self, expected, wanted, change):
        world, op = altered(wanted, change)
        self.assert_found(expected, world, op.dot)

    def test_worlds_are_clean(self):
        self.assertGreaterEqual(len(WORLDS), 10)
        self.assertEqual([finding for world in WORLDS[::4] for finding in audit(world)[0]], [])

    def test_written_again_they_are_the_same(self):
        for world in WORLDS[::4]:
            self.assertEqual(forged(world, lambda op: op), world)

    # --- orders and books ---

    def test_a_price_of_a_line(self):
        def dearer(op):
            op["body"]["lines"][0]["unit_price"] += 100

        self.assert_op(["INV-08"], lambda op, _: op.kind == 32, dearer)

    def test_a_tax_that_is_posted_as_it_is_said_and_still_wrong(self):
        def less_tax(op):
            op["body"]["lines"][0]["tax"] -= 1
            for posting in op["postings"]:
                posting["amount"] += {2: -1, 3: 1}.get(posting["account"], 0)

        self.assert_op(["INV-08"], lambda op, _: op.kind == 32 and op.body["lines"][0]["tax"] > 1, less_tax)

    def test_a_posting_between_accounts(self):
        def shifted(op):
            for posting in op["postings"]:
                posting["amount"] += {2: 1, 3: -1}.get(posting["account"], 0)

        self.assert_op(["INV-07"], lambda op, _: op.kind == 32 and op.money(3) < -1, shifted)

    def test_a_posting_that_has_no_counterpart(self):
        def alone(op):
            op["postings"][1]["amount"] += 1

        self.assert_op(["INV-07"], lambda op, _: op.kind == 36 and len(op.postings) > 2, alone)

    def test_units_that_leave_the_shelf_without_a_sale(self):
        def more_units(op):
            for posting in op["postings"]:
                posting["amount"] += {16: -1, 17: 1}.get(posting["account"], 0)

        self.assert_op(["INV-07"], lambda op, _: op.kind == 32 and len({unit for account, _, unit, _ in op.postings if account == 16}) == 1 and not op.body["lines"][0]["units"], more_units)

    def test_a_tender_without_its_change(self):
        def more_cash(op):
            next(tender for tender in op["body"]["tenders"] if "0" in tender)["0"] += 500

        self.assert_op(["INV-06"], lambda op, _: op.kind == 32, more_cash)

    def test_a_refund_beyond_the_order(self):
        def double(op):
            body = op["body"]
            body["amount"] += 100_000
            body["lines"][0]["amount"] += 100_000
            for posting in op["postings"]:
                posting["amount"] += {1: -100_000, 2: 100_000}.get(posting["account"], 0)

        world, op = altered(lambda op, _: op.kind == 33 and op.body["kind"] == 0, double)
        found = invariants(world)
        self.assertIn("INV-09", found)
        self.assertLessEqual(set(found), {"INV-09", "INV-10", "INV-07"}, "the drawer and an undo of it may differ too")

    def test_a_count_that_expects_otherwise(self):
        def expects(op):
            op["body"]["expected"] += 1
            for posting in op["postings"]:
                posting["amount"] += {1: -1, 5: 1}.get(posting["account"], 0)

        self.assert_op(["INV-10"], lambda op, _: op.kind == 50 and op.body["counted"] != op.body["expected"], expects)

    def test_a_gap_between_receipts(self):
        def skips(op):
            op["body"]["receipt"] += 1

        self.assert_op(["INV-11"], lambda op, _: op.kind == 32 and op.body["receipt"] == 5, skips)

    def test_another_currency(self):
        def dollars(op):
            op["body"]["currency"] = "USD"

        self.assert_op(["INV-07"], lambda op, _: op.kind == 35, dollars)

    # --- goods ---

    def test_a_unit_sold_twice(self):
        sold = {}

        def twice(op, _):
            units = op.body["lines"][0]["units"] if op.kind == 32 and len(op.body["lines"]) == 1 else []
            if len(units) != 1 or units[0]["count"] != 1:
                return False
            # The unit of the first such sale of the pool is sold once more.
            return sold.setdefault((op.event, units[0]["pool"]), units[0]) != units[0]

        def again(op):
            units = op["body"]["lines"][0]["units"]
            first = next(units_ for (_, pool), units_ in sold.items() if pool == units[0]["pool"])
            op["body"]["lines"][0]["units"] = [dict(first)]

        world, op = altered(twice, again)
        findings, figures = audit(world)
        found = {finding.invariant for finding in findings}
        self.assertIn("INV-16", found)
        self.assertLessEqual({"INV-14"} if not world.destroyed else set(), found)
        self.assertIn(op.dot, {(finding.stream, finding.seq) for finding in findings})
        self.assertEqual(figures["oversold"], 1)

    def test_units_of_another_pool(self):
        def other_pool(op):
            op["body"]["lines"][0]["units"][0]["pool"] = "00" * 16

        world, _ = altered(lambda op, ops: op.kind == 32 and op.body["lines"][0]["units"] and not ops.destroyed and not ops.kinds[84], other_pool)
        # Units that never came have a buyer too many as well.
        self.assertLessEqual({"INV-15", "INV-16"}, set(invariants(world)))

    def test_less_came_than_was_sold(self):
        def one(op):
            less = op["body"]["change"] - 1
            op["body"]["change"] -= less
            for posting in op["postings"]:
                posting["amount"] += {16: -less, 18: less}.get(posting["account"], 0)

        limited = lambda op, ops: op.kind == 17 and any(line["units"] for sale in ops.kinds[32] for line in sale.body["lines"] if line["sku"] == op.body["sku"]) and len(ops.kinds[32]) > 40
        world, _ = altered(limited, one)
        self.assertLessEqual({"INV-13", "INV-16"}, set(invariants(world)))

    # --- terminals ---

    def card_world(self):
        """A world with a charge that one payment booked and nobody undid, with the number of its line."""
        for world, ops in zip(WORLDS, OPS):
            for number, terminal in enumerate(world.terminals):
                for at, line in enumerate(terminal.lines):
                    later = terminal.lines[at + 1:]
                    undone = any((other["receipt"], other["trace"]) == (line["receipt"], line["trace"]) for other in later)
                    if line["event"] == "committed" and not undone and at not in terminal.undone and not world.destroyed and is_told(ops, line):
                        return world, ops, number, at
        raise AssertionError("no world has a charge that stands")

    def with_lines(self, change):
        world, _, number, at = self.card_world()
        terminal = world.terminals[number]
        lines = [dict(line) for line in terminal.lines]
        change(lines, at)
        return world._replace(terminals=[terminal._replace(lines=lines) if other is terminal else other for other in world.terminals])

    def test_a_charge_that_is_missing_at_the_terminal(self):
        self.assert_found(["INV-04"], self.with_lines(lambda lines, at: lines.pop(at)))

    def test_a_charge_that_nobody_knows_of(self):
        self.assert_found(["INV-02"], self.with_lines(lambda lines, at: lines.insert(at, {**lines[at], "receipt": 7777, "amount": 3})))

    def test_a_charge_of_another_amount(self):
        def other(lines, at):
            lines[at]["amount"] += 1

        self.assert_found(["INV-02", "INV-04"], self.with_lines(other))

    def test_a_charge_that_was_undone_after_all(self):
        self.assert_found(["INV-04"], self.with_lines(lambda lines, at: lines.append({**lines[at], "event": "reversed"})))

    def test_money_that_a_step_does_not_post(self):
        def silent(op):
            op["postings"] = []

        world, op = altered(lambda op, ops: op.kind == 65 and op.money(6) > 0 and not ops.destroyed, silent)
        self.assertLessEqual({"INV-02", "INV-06"}, set(invariants(world)))

    def test_a_step_for_another_order(self):
        def elsewhere(op):
            op["body"]["order"]["seq"] += 1

        self.assert_op(["INV-04"], lambda op, _: op.kind == 65, elsewhere)

    def test_a_reversal_whose_money_stays(self):
        """The terminal took the money back, and the books keep it."""
        def kept(op):
            op["postings"] = []

        world, op = altered(lambda op, ops: op.kind == 65 and "11" in op.body["step"] and op.money(6) < 0 and not ops.destroyed, kept)
        self.assertLessEqual({"INV-02", "INV-04"}, set(invariants(world)))

    def test_a_payment_for_another_order(self):
        world, ops, _, _ = self.card_world()
        paid = [op for op in ops.kinds[36] if any("1" in tender for tender in op.body["tenders"])]
        first, second = paid[0], next(op for op in paid[1:] if op.stream == paid[0].stream)
        stolen = next(tender["1"]["payment"] for tender in second.body["tenders"] if "1" in tender)

        def moved(op):
            if op["kind"] == 64 and (op["stream"], op["seq"]) == (stolen["stream"], stolen["seq"]):
                op["body"]["order"] = first.body["order"]
            return op

        self.assertLessEqual({"INV-03", "INV-06"}, set(invariants(forged(world, moved))))

    # --- chains ---

    def test_an_edited_byte(self):
        """Any byte of an op in the middle: it is no op, does not continue the chain, or is not what the next one continues."""
        world = min(WORLDS, key=lambda world: len(world.holders[0].journal))
        holder = world.holders[0]
        number = len(holder.journal) // 2
        data = holder.journal[number]
        for at in range(0, len(data), 5):
            edited = data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]
            journal = [*holder.journal[:number], edited, *holder.journal[number + 1:]]
            changed = world._replace(holders=[holder._replace(journal=journal, others=[]), *world.holders[1:]])
            self.assertIn("INV-23", invariants(changed), f"byte {at}")

    def test_an_op_left_out_inserted_or_moved(self):
        world = WORLDS[0]
        holder = world.holders[0]
        journal, number = holder.journal, len(holder.journal) // 2
        for changed in (journal[:number] + journal[number + 1:], journal[:number] + journal[number - 1:], [*journal[:number], journal[number + 1], journal[number], *journal[number + 2:]]):
            changed = world._replace(holders=[holder._replace(journal=changed, others=[]), *world.holders[1:]])
            self.assertIn("INV-23", invariants(changed))

    def test_two_devices_of_a_kit_with_two_histories(self):
        world, ops = next((world, ops) for world, ops in zip(WORLDS, OPS) if not ops.destroyed and world.holders[0].named is not None)
        holder = world.holders[0]
        last = decode.read(holder.journal[-1])
        other = written({**last, "stamp": {**last["stamp"], "counter": last["stamp"]["counter"] + 1}})
        forked = holder._replace(others=[*holder.journal[:-1], other])
        findings = audit(world._replace(holders=[forked, *world.holders[1:]]))[0]
        self.assertIn(("INV-24", last["stream"], last["seq"]), {finding[:3] for finding in findings})

    def test_signatures_of_heads(self):
        world = next(world for world in WORLDS if world.holders[0].heads)
        holder = world.holders[0]
        head = holder.heads[0]
        for other in (head._replace(signature=head.signature[:-1] + bytes([head.signature[-1] ^ 1])), head._replace(seq=head.seq + 1)):
            changed = world._replace(holders=[holder._replace(heads=[other]), *world.holders[1:]])
            self.assert_found(["INV-23"], changed)

    def test_a_key_that_nobody_admitted(self):
        def proof(op):
            op["body"]["proof"] = "11" * 64

        world, _ = altered(lambda op, ops: op.kind == 3, proof)
        self.assertEqual(invariants(world), ["INV-23"])

    def test_answers_that_no_op_has(self):
        world = next(world for world in WORLDS if world.answers)
        lost = {"kit": 0, "key": "77", "answers": [{"said": "done", "two_devices": True}]}
        self.assert_found(["INV-01"], world._replace(answers=[*world.answers, lost]))
        line = next(line for line in world.answers if line["answers"] and line["answers"][0]["said"] == "order")
        dearer = {**line, "answers": [{**answer, "total": answer["total"] + 1} for answer in line["answers"]]}
        self.assert_found(["INV-01"], world._replace(answers=[dearer]))


class Golden(unittest.TestCase):
    def test_ops_are_written_as_they_were_read(self):
        files = [path for path in pathlib.Path("tests/golden/op").glob("*.hex") if not path.stem.startswith(("head-", "grant-"))]
        self.assertGreaterEqual(len({path.stem[:2] for path in files}), len(decode.BODIES) - 1)
        for path in files:
            data = bytes.fromhex(path.read_text().replace("\n", ""))
            self.assertEqual(written(decode.read(data)), data, path.name)


if __name__ == "__main__":
    unittest.main()
