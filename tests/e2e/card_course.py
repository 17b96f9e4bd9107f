"""A course of card sales: a kit, a terminal, and what happens to a sale in between.

Promises: each step ends in the state that it is named after, or fails with the order in words; the kit's receipts are
counted along; in the end a checker of another make reads the files. Absent on purpose: which steps, in which order.
"""

import sys
import time
from pathlib import Path

from card_tools import ITEMS, SKUS, CardKit, Terminal, agree, told

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.audit.audit import clean


class Course:
    """A kit that sells at one terminal until so many sales are paid."""

    def __init__(self, program, home, kind, link, *options, protocol="zvt"):
        self.terminal = Terminal(program, f"{home}/terminal", kind, link, *options, protocol=protocol)
        self.kit = CardKit(program, f"{home}/data", self.terminal.start().url)
        self.kit.found(*ITEMS)
        self.kit.up().ready()
        self.times, self.last = [], 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kit.kill()
        self.terminal.kill()

    def sell(self, number):
        """A paid sale; every two in a row are of one amount."""
        begun = time.monotonic()
        order = self.kit.sold(SKUS[number // 2 % len(SKUS)])
        self.times.append(time.monotonic() - begun)
        assert order["receipt"] == self.last + 1, f"receipt {order['receipt']} follows {self.last}"
        self.last += 1
        return order

    def declined(self, number):
        """The issuer says no; another card pays the same order."""
        self.terminal.arm("decline")
        order = self.kit.settled(self.kit.placed(SKUS[number % len(SKUS)]))
        assert (order["state"], order["payments"][0]["state"]) == ("awaiting_payment", "declined"), told(order)
        order = self.kit.begun(order["order_id"])
        assert order["state"] == "paid" and order["receipt"] == self.last + 1, told(order)
        self.last += 1

    def stopped(self, number):
        """The buyer presses stop and goes."""
        self.terminal.arm("abort")
        order = self.kit.settled(self.kit.placed(SKUS[number % len(SKUS)]))
        assert (order["state"], order["payments"][0]["state"]) == ("awaiting_payment", "cancelled"), told(order)
        self.kit.cancelled(order["order_id"])

    def void(self, order):
        voided = self.kit.voided(order["order_id"])
        assert voided["payments"][0]["state"] == "reversed", told(voided)
        # A void has a receipt number of its own.
        self.last += 1

    def new_day(self):
        """The terminal's day is settled, and its receipt numbers begin anew."""
        self.kit.stop()
        self.terminal.end_of_day()
        self.kit.up().ready()

    def sum_up(self, **more):
        figures = agree(self.kit, self.terminal)
        self.kit.stop()
        assert self.kit.json("verify")["ok"] is True
        self.terminal.stop()
        audited = clean(self.kit.data, self.terminal.journal_path)
        assert audited["charges"] >= figures["standing"], (audited, figures)
        ordered = sorted(self.times)
        middle, longest = ordered[len(ordered) // 2] * 1000, ordered[-1] * 1000
        return figures | more | {"p50_ms": round(middle), "longest_ms": round(longest)}
