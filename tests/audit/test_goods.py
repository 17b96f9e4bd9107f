"""Limited goods by hand: what must be found, and what must not, where replicas exchange ops, fork and get lost."""

import unittest

from tests.audit.audit import audit
from tests.audit.stall import part, two_kits, world
from tests.golden import decode


def found(*kits, named=None):
    findings, figures = audit(world(*kits, named=named))
    return sorted({finding.invariant for finding in findings}), figures, [finding.words for finding in findings]


def names(kit, oversold, fork=None):
    """What a kit names that has units sold twice."""
    pool = kit.pool()
    lines = [{"kind": "oversold", "op": [pool, 0], "detail": ""}]
    lines += [{"kind": "units", "pool": pool, "first": 0, "count": 1, "generation": 0, "extra": oversold}] if oversold else []
    return lines + ([{"kind": "fork", "op": list(fork), "detail": ""}] if fork else [])


def forked(sold_twice):
    """A kit with ten units that was copied: both sell the first ones."""
    one, _ = two_kits()
    units = one.brings(10)
    one.sells(part(units, 9, 1))
    other = one.copied()
    # Two sales of the same units at the same moment would be one op.
    one.sells(part(units, 8, 1))
    one.sells(part(units, 0, sold_twice))
    other.sells(part(units, 0, sold_twice))
    fork = one.stream(), last(one) - 1
    return one.hear(other), fork


def last(kit):
    return kit.head(kit.stream())[0]


class Goods(unittest.TestCase):
    def assert_found(self, invariants, result, words=""):
        self.assertEqual(result[0], invariants, result[2])
        self.assertTrue(not words or any(words in text for text in result[2]), result[2])

    def test_granted_units_are_sold_and_come_back(self):
        one, two = two_kits()
        units = one.brings(10)
        one.grants(two, part(units, 0, 4))
        two.hear(one)
        order = two.sells(part(units, 0, 3))
        back = two.takes_back(order, part(units, 1, 2))
        two.sells(part(back, 0, 1))
        one.sells(part(units, 4, 6))
        one.hear(two), two.hear(one)
        result = found(one, two, named=[])
        self.assert_found([], result)
        figures = result[1]
        self.assertEqual([figures[name] for name in ("units_came", "units_given", "units_used", "units_returned", "oversold")], [10, 4, 10, 2, 0])

    def test_a_grant_that_nobody_told_of_gives_no_right(self):
        one, two = two_kits()
        two.hear(one)
        units = one.brings(10)
        one.grants(two, units)
        two.sells(units)
        self.assert_found(["INV-16"], found(one.hear(two)), "used although its author held none")

    def test_what_was_given_away_is_not_sold(self):
        one, two = two_kits()
        units = one.brings(5)
        one.grants(two, units)
        one.sells(part(units, 2, 1))
        result = found(one)
        self.assert_found(["INV-15", "INV-16"], result, "unit 3, generation 0")

    def test_a_unit_sold_twice_by_who_knew_is_found_without_any_excuse(self):
        one, _ = two_kits()
        units = one.brings(5)
        one.sells(part(units, 0, 2))
        one.sells(part(units, 1, 2))
        result = found(one)
        self.assert_found(["INV-14", "INV-15", "INV-16"], result, "have 2 buyers each")
        self.assertEqual(result[1]["oversold"], 1)

    def test_more_than_came_is_found_by_the_postings(self):
        one, _ = two_kits()
        units = one.brings(5)
        one.sells(part(units, 0, 5))
        one.sells(part(units, 0, 5))
        one.takes_back(one.sells(part(units, 0, 5)), part(units, 0, 5))
        self.assertIn("INV-13", found(one)[0])

    def test_returned_units_that_nobody_had_are_found(self):
        one, _ = two_kits()
        units = one.brings(5)
        order = one.sells(part(units, 0, 1))
        one.takes_back(order, part(units, 0, 1))
        one.takes_back(order, part(units, 0, 1))
        result = found(one)
        self.assertIn("INV-15", result[0])
        self.assertTrue(any("returned although nobody had it" in text for text in result[2]), result[2])

    def test_units_that_cannot_be_are_found(self):
        one, _ = two_kits()
        units = one.brings(5)
        one.grants(one, {**units, "count": 1 << 20 | 1})
        self.assert_found(["INV-15"], found(one), "units that cannot be")

    def test_what_a_fork_sells_twice_is_counted_and_must_be_named(self):
        one, fork = forked(sold_twice=3)
        result = found(one, named=names(one, 3, fork))
        self.assert_found([], result)
        self.assertEqual((result[1]["forks"], result[1]["oversold"]), (1, 3))
        self.assert_found(["INV-18"], found(one, named=names(one, 2, fork)), "names 2 units")
        self.assert_found(["INV-24"], found(one, named=names(one, 3)), "does not name the fork")
        self.assert_found(["INV-18"], found(one, named=names(one, 0, fork)), "by the ops they are 3")

    def test_each_branch_sells_within_its_own_past(self):
        """Neither branch of a fork sold what it did not hold: INV-16 is asked of each op's past."""
        one, fork = forked(sold_twice=1)
        findings = found(one, named=names(one, 1, fork))
        self.assert_found([], findings)

    def test_an_op_whose_cause_stands_on_a_branch_that_is_missing(self):
        """The position is there, by another hash: that is not what the author had seen."""
        one, two = two_kits()
        units = one.brings(10)
        other = one.copied()
        one.sells(part(units, 0, 1))
        other.sells(part(units, 1, 1))
        two.hear(other)
        two.brings(3)
        lost = other.journal[-1]
        one.hear(two)
        self.assertIn(lost, one.journal)
        one.journal.remove(lost)
        result = found(one)
        self.assertEqual(result[0], ["INV-23"], result[2])
        self.assertTrue(any("stands nowhere on this device" in text for text in result[2]), result[2])

    def test_grants_behind_a_fork_are_frozen(self):
        one, two = two_kits()
        units = one.brings(10)
        other = one.copied()
        one.sells(part(units, 0, 1))
        fork = one.stream(), last(one)
        other.grants(two, part(units, 5, 2))
        two.hear(other)
        two.sells(part(units, 5, 1))
        everybody = two.hear(one)
        named = names(everybody, 0, fork)
        self.assert_found([], found(everybody, named=named))
        # Whoever knows of the fork has no right to them.
        everybody.sells(part(units, 6, 1))
        self.assert_found(["INV-16"], found(everybody, named=named), "unit 7")

    def test_contradictions_that_nobody_names_are_found(self):
        one, two = two_kits()
        units = one.brings(10)
        other = one.copied()
        one.sells(part(units, 0, 1))
        fork = one.stream(), last(one)
        other.grants(two, part(units, 5, 2))
        one.hear(other)
        self.assert_found(["INV-18"], found(one, named=[{"kind": "fork", "op": list(fork), "detail": ""}]), "names no contradiction")

    def test_a_lost_holder_that_had_sold_oversells_as_much(self):
        one, two = two_kits()
        units = one.brings(10)
        one.grants(two, part(units, 0, 4))
        two.hear(one)
        two.sells(part(units, 0, 2))
        again = one.declares_lost(two, part(units, 0, 4))
        one.sells(part(again, 0, 3))
        self.assert_found([], found(one, named=[]))
        one.hear(two)
        result = found(one, named=names(one, 2))
        self.assert_found([], result)
        self.assertEqual(result[1]["oversold"], 2)
        self.assert_found(["INV-18"], found(one, named=names(one, 3)))

    def test_leased_units_are_sold_and_the_rest_lapses(self):
        one, two = two_kits()
        units = one.sells_on().brings(10)
        lease = one.leases(two, part(units, 0, 4))
        two.hear(one)
        two.sells(part(units, 0, 1))
        one.hear(two)
        again = one.lapses(lease, two, part(units, 1, 3))
        one.leases(two, part(again, 0, 3))
        result = found(one, named=[])
        self.assert_found([], result)
        self.assertEqual(result[1]["units_lapsed"], 3)

    def test_a_sale_in_time_that_is_heard_of_too_late_must_be_named(self):
        one, two = two_kits()
        units = one.sells_on().brings(10)
        lease = one.leases(two, part(units, 0, 4))
        two.hear(one)
        two.sells(part(units, 0, 2))
        one.lapses(lease, two, part(units, 0, 4))
        self.assert_found([], found(one, named=[]))
        one.hear(two)
        self.assert_found([], found(one, named=names(one, 0)))
        self.assert_found(["INV-18"], found(one, named=[]), "names no contradiction")

    def test_a_lease_that_nobody_may_end_or_give_is_found(self):
        one, two = two_kits()
        units = one.sells_on().brings(10)
        lease = one.leases(two, part(units, 0, 4))
        two.hear(one)
        two.lapses(lease, two, part(units, 0, 1))
        self.assert_found(["INV-16"], found(two, named=[]), "its author did not give")
        limited, other = two_kits()
        limited.leases(other, part(limited.brings(10), 0, 4))
        self.assert_found(["INV-16"], found(limited), "is limited, and leased all the same")

    def test_sales_of_limited_goods_name_their_units(self):
        one, _ = two_kits()
        units = one.brings(3)
        one.sells({**units, "count": 2})
        self.assert_found([], found(one))
        one.receipts += 1
        body = decode.read(one.journal[-1])["body"]
        body["receipt"], body["lines"][0]["units"] = one.receipts, []
        one.write(32, body, [(16, -2), (17, 2)])
        result = found(one)
        self.assertIn("INV-16", result[0])
        self.assertTrue(any("name no units" in text for text in result[2]), result[2])


if __name__ == "__main__":
    unittest.main()
