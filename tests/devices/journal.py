"""What a terminal remembers: a journal of its payments, one JSON object a line, and what follows from it.

Promises: a line is written and synced before `Book` returns, so before any byte that tells the till; memory is changed
only by lines, so that a restart with the same journal, or with the state file alone, knows the same. A line that power
cut in the middle is taken off at the next start.
Absent on purpose: links, protocols, and the decision what shall happen to a payment.

A payment is `approved` when the card was charged, `committed` when the till acknowledged it (`amount` then says what
stays charged), and not charged after `auto_reversed`, `reversed` or a later `declined`; these carry the receipt and
trace numbers of the payment they end, and a reversal's own ones as `own_receipt` and `own_trace`. `offline_stored`
follows the `approved` of a payment that no host has seen; `foreign` is one made by hand, charged and final at once.
"""

import datetime
import json
import os
from dataclasses import asdict, dataclass

RECEIPT_MAX = 9999
TRACE_MAX = 999999
# Trace numbers begin this far ahead of receipt numbers, so that a till that mistakes one for the other is caught.
TRACE_AHEAD = 744
CURRENCIES = {978: "EUR", 840: "USD", 826: "GBP", 756: "CHF", 752: "SEK", 578: "NOK", 208: "DKK", 985: "PLN", 203: "CZK",
              348: "HUF"}


def currency_name(number):
    return CURRENCIES.get(number, f"{number:03d}")


@dataclass
class Entry:
    """One thing with a receipt number: a payment, refund or reversal."""
    kind: str
    amount: int
    currency: int
    receipt: int
    trace: int
    clock: str
    # charged, committed, declined, taken_back, reversed; a refund or reversal is committed from the start.
    state: str
    result: int = 0
    offline: bool = False
    counter: int = 0
    # Settled at an end of day: neither counted nor reversed any more.
    closed: bool = False
    # What a reversal reversed.
    original_trace: int = 0
    original_receipt: int = 0


class Book:
    def __init__(self, journal, state, terminal_id, first_receipt):
        self.journal_path, self.state_path, self.terminal_id = journal, state, terminal_id
        self.entries, self.last_trace = [], None
        self.number, self.counter = 0, 0
        self.next_receipt, self.next_trace = first_receipt, first_receipt + TRACE_AHEAD
        self.load()

    # --- what is known ---

    def last(self):
        """What a repeated receipt shows: the newest entry that was stored; None on a new terminal."""
        return self.find(self.last_trace)

    def find(self, trace):
        return next((entry for entry in reversed(self.entries) if entry.trace == trace), None)

    def by_receipt(self, receipt):
        """The newest payment with this number in the open batch."""
        return next((entry for entry in reversed(self.payments()) if entry.receipt == receipt), None)

    def payments(self):
        """Payments of the open batch that were charged and acknowledged, whether or not reversed since."""
        return [entry for entry in self.open_batch() if entry.kind == "payment" and entry.state in ("committed", "reversed")]

    def open_batch(self):
        return [entry for entry in self.entries if not entry.closed]

    def unsettled(self):
        """Payments whose card was charged and which nobody acknowledged."""
        return [entry for entry in self.entries if entry.state == "charged"]

    def totals(self):
        """How many entries the open batch counts, and their sum in minor units."""
        counted = [entry for entry in self.open_batch() if entry.state == "committed" and entry.kind != "reversal"]
        return len(counted), sum(entry.amount if entry.kind == "payment" else -entry.amount for entry in counted)

    # --- what happens ---

    def charge(self, amount, currency, **more):
        entry = self.add("approved", amount, currency, counter=self.counter + 1, **more)
        if entry.offline:
            self.about("offline_stored", entry)
        return entry

    def foreign(self, amount, currency):
        return self.add("foreign", amount, currency)

    def refund(self, amount, currency, **more):
        return self.add("refunded", amount, currency, **more)

    def refuse(self, amount, currency, result):
        """The issuer said no: nothing was charged, and a receipt says so."""
        return self.add("declined", amount, currency, result=result)

    def commit(self, entry, amount, **more):
        self.about("committed", entry, amount=amount, **more)

    def reverse(self, entry, **more):
        """Gives a committed payment back; returns the reversal."""
        self.about("reversed", entry, own_receipt=self.next_receipt, own_trace=self.next_trace, **more)
        return self.entries[-1]

    def end_of_day(self, currency, restart_numbers):
        count, total = self.totals()
        receipts = [entry.receipt for entry in self.open_batch()] or [0]
        self.write({"event": "end_of_day", "amount": total, "currency": currency_name(currency), "count": count,
                    "first_receipt": receipts[0], "last_receipt": receipts[-1], "restart_numbers": restart_numbers})
        return count, total, receipts[0], receipts[-1]

    def add(self, event, amount, currency, **more):
        self.write({"event": event, "amount": amount, "currency": currency_name(currency), "receipt": self.next_receipt,
                    "trace": self.next_trace, "currency_number": currency, "clock": clock(), **more})
        return self.entries[-1]

    def about(self, event, entry, **more):
        """What became of an entry."""
        self.write({"event": event, "amount": entry.amount, "currency": currency_name(entry.currency),
                    "receipt": entry.receipt, "trace": entry.trace, **more})

    def aborted(self, amount, currency, cause):
        """Ended before the card was charged."""
        self.write({"event": "aborted", "amount": amount, "currency": currency_name(currency), "cause": cause})

    # --- lines ---

    def write(self, line):
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
        line |= {"terminal_id": self.terminal_id, "at": now, "number": self.number + 1}
        line.setdefault("clock", clock())
        append(self.journal_path, json.dumps(line) + "\n")
        self.apply(line)
        self.save()

    def apply(self, line):
        self.number = line["number"]
        event, entry = line["event"], self.find(line.get("trace"))
        if event in ("approved", "foreign", "refunded") or event == "declined" and entry is None:
            self.begin(line)
        elif event == "reversed" and "own_trace" in line:
            entry.state = "reversed"
            own = {"trace": line["own_trace"], "receipt": line["own_receipt"], "currency_number": entry.currency}
            self.begin(line | own, original_trace=entry.trace, original_receipt=entry.receipt)
        elif event == "end_of_day":
            self.entries = [entry for entry in self.entries if entry.trace == self.last_trace]
            for entry in self.entries:
                entry.closed = True
            if line["restart_numbers"]:
                self.next_receipt = 1
        elif event in ("committed", "auto_reversed", "reversed", "declined"):
            entry.state = {"auto_reversed": "taken_back"}.get(event, event)
            entry.result = line.get("result", entry.result)
            if event == "committed":
                entry.amount = line["amount"]
            if event in ("committed", "declined") and line.get("cause") != "upload":
                self.last_trace = entry.trace

    def begin(self, line, **more):
        event = line["event"]
        kind = {"refunded": "refund", "reversed": "reversal"}.get(event, "payment")
        state = {"approved": "charged", "declined": "declined"}.get(event, "committed")
        self.entries.append(Entry(kind, line["amount"], line["currency_number"], line["receipt"], line["trace"],
                                  line["clock"], state, line.get("result", 0), line.get("offline", False),
                                  line.get("counter", 0), **more))
        self.counter = max(self.counter, line.get("counter", 0))
        self.next_receipt = line["receipt"] % RECEIPT_MAX + 1
        self.next_trace = line["trace"] % TRACE_MAX + 1
        if state != "charged":
            self.last_trace = line["trace"]

    def load(self):
        if self.state_path and os.path.exists(self.state_path):
            with open(self.state_path, encoding="utf-8") as file:
                state = json.load(file)
            self.entries = [Entry(**entry) for entry in state.pop("entries")]
            vars(self).update(state)
        for line in whole_lines(self.journal_path):
            if line.get("number", 0) > self.number:
                self.apply(line)

    def save(self):
        if not self.state_path:
            return
        names = ("number", "counter", "next_receipt", "next_trace", "last_trace")
        state = {name: getattr(self, name) for name in names} | {"entries": [asdict(entry) for entry in self.entries]}
        beside = f"{self.state_path}.new"
        with open(beside, "w", encoding="utf-8") as file:
            json.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self.state_path)


def clock():
    """The terminal's own clock: MMDDHHMMSS, without a year, as receipts have it."""
    return datetime.datetime.now().strftime("%m%d%H%M%S")


def append(path, text):
    with open(path, "ab") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def whole_lines(path):
    """The journal's lines as objects; cuts off a last one without its end."""
    try:
        with open(path, "r+b") as file:
            data = file.read()
            end = data.rfind(b"\n") + 1
            if end < len(data):
                file.truncate(end)
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in data[:end].splitlines()]
