"""INV-02, INV-03 and INV-04: terminals' own journals against payments, charge by charge.

A charge stands for `committed` and `foreign` lines without a later `reversed` or `auto_reversed` of the same numbers
(`docs/reference/simulate.md`). What the ledger holds of a payment is what its ops post to card, attested and at risk.
Promises: a charge is explained by one thing alone: a payment that booked it, a payment that names it or is in doubt, the
list of charges without order, or ops of which the injector's log says that no copy is left.
Absent on purpose: charges by hand that nobody asked for since: a terminal tells its last transaction alone.
"""

from collections import Counter, defaultdict

from tests.audit.money import AT_RISK, ATTESTED, CARD, Book
from tests.audit.ops import Finding, dot

RECORDS = ("1", "7", "8")
# States in which the ledger does not say that the money is settled one way or the other.
DOUBT = ("0", "1", "5", "8", "9", "10", "12", "13", "14")
# Where the money stands after a step that settles it: an account, nowhere, or as the record or a person says.
NOWHERE, OPEN = 0, None
SETTLES = {"2": CARD, "3": NOWHERE, "4": NOWHERE, "6": NOWHERE, "7": AT_RISK, "8": OPEN, "11": NOWHERE, "14": OPEN}


def check(world, ops):
    book = Book(ops)
    for op in ops.kinds[64]:
        devices = ops.made_by(dot(op.body["device"])) if op.body["device"] else []
        if op.body["tender"] == 0 and not any(device.kind == 11 and op.knows(device) for device in devices):
            yield op.found("INV-04", "a card is to be charged by a device that it had not heard of")
    for op in ops.kinds[65]:
        yield from move(op, book)
    for payment in ops.kinds[64]:
        yield from settled(payment, book)
    for terminal in world.terminals:
        yield from Desk(terminal, world, ops, book).agree()


def move(op, book):
    """INV-07 for a step of a payment: money moves between one account and prepaid, all of it or nothing."""
    payment = book.named_by(op, dot(op.body["payment"]), 64, 66)
    if payment is None:
        yield op.found("INV-04", "a payment moves that it had not heard of")
        return
    if op.body["order"] != payment.body["order"]:
        yield op.found("INV-04", f"a payment of order {payment.body['order']['seq']} moves for order {op.body['order']['seq']}")
    moved = [amount for account, kind, _, amount in op.postings if kind == "0" and account in (CARD, ATTESTED, AT_RISK)]
    if any(abs(amount) != payment.body["amount"] for amount in moved):
        yield op.found("INV-07", f"a step of a payment of {payment.body['amount']} posts {moved}")
    after = book.booked(payment, lambda other: op.knows(other) or other is op)
    if sum(after.values()) not in (0, payment.body["amount"]):
        yield op.found("INV-04", f"a payment of {payment.body['amount']} has {sum(after.values())} after this step")


def settled(payment, book):
    """INV-02: what was last said of the money is what the accounts hold."""
    last, reversing = None, False
    for op in in_order(book.moves[payment.dot]):
        [step] = op.body["step"]
        # A person's word about a doubt does not undo what the terminal had said; about a reversal it does.
        if step in SETTLES and (step != "14" or reversing or last not in ("2", "7")):
            last = step
        reversing = step in ("9", "10", "12", "13") or reversing and step != "2"
    if last in SETTLES and SETTLES[last] is not OPEN:
        wanted = {SETTLES[last]: payment.body["amount"]} if SETTLES[last] else {}
        booked = book.booked(payment)
        if booked != wanted:
            yield payment.found("INV-02", f"the last word on it is step {last}, and its ops have posted {dict(booked)}")


def in_order(moves):
    return sorted(moves, key=lambda op: (op.lamport, op.dot))


def charges(terminal):
    """Lines of charges that stand, and charges that were undone."""
    standing, undone = {}, []
    for number, line in enumerate(terminal.lines):
        if line["event"] in ("committed", "foreign"):
            standing[number] = line
        elif line["event"] in ("reversed", "auto_reversed"):
            same = [at for at, charge in standing.items() if numbers(charge) == numbers(line)]
            if same:
                undone.append((standing.pop(same[-1]), line))
    for number in terminal.undone:
        if number in standing:
            undone.append((standing.pop(number), None))
    return standing, undone


def numbers(line):
    return line["receipt"], line["trace"]


def money(of):
    return of["amount"], of["currency"]


def lost(ops):
    """Destroyed ops about charges, by hash: what each is about, the intent behind it, what it says.

    A disk that was put back twice has lost two payments at one position, and a payment whose intent is left may have been
    charged once for each time that the rest was lost: charges go by their numbers, intents by their hashes.
    """
    gone = {op.hash: op for op in ops.destroyed}
    for op in ops.destroyed:
        if op.kind == 64:
            yield op.hash, (op.hash, op.hash, op.body)
        elif op.kind == 67:
            yield op.hash, (numbers(op.body["record"]), None, op.body["record"])
        elif op.kind == 65 and (record := last_record([op.body["step"]])):
            payment, intent = dot(op.body["payment"]), op
            while intent and intent.dot != payment:
                intent = gone.get(intent.prev)
            intent = intent.hash if intent else None
            yield op.hash, (numbers(record) if any(numbers(record)) else intent or op.hash, intent, record)


def tells(record, line):
    where = record["terminal_id"] in ("", line["terminal_id"])
    return where and (*numbers(record), *money(record)) == (*numbers(line), *money(line))


class Desk:
    """One terminal and the payments that were meant for it."""

    def __init__(self, terminal, world, ops, book):
        self.terminal, self.ops, self.book = terminal, ops, book
        self.standing, self.undone = charges(terminal)
        identities = {line["terminal_id"] for line in terminal.lines}
        devices = [op for op in ops.kinds[11] if op.body["role"] == 0]
        mine = [op for op in devices if op.body["identity"] in identities or any(name and name in op.body["identity"] for name in identities)]
        if not mine and len(world.terminals) == 1:
            mine = devices
        self.devices = {op.dot for op in mine}
        self.payments = [op for op in ops.kinds[64] if op.body["device"] and dot(op.body["device"]) in self.devices]
        self.foreign = [op for op in ops.kinds[67] if op.body["device"] and dot(op.body["device"]) in self.devices]
        self.lost = dict(lost(ops))
        self.left = dict(self.standing)

    def agree(self):
        steps = {payment.dot: [op.body["step"] for op in in_order(self.book.moves[payment.dot])] for payment in self.payments}
        yield from self.charged_twice(steps)
        # What is told by number comes before what has only an amount.
        waiting = []
        for payment in self.payments:
            booked = self.book.booked(payment)
            taken = booked[CARD] + booked[AT_RISK]
            record = last_record(steps[payment.dot])
            if record and (record["receipt"] or record["trace"]):
                yield from self.by_number(payment, record, taken, steps[payment.dot])
            else:
                waiting.append((payment, taken))
        for payment, taken in sorted(waiting, key=lambda item: not item[1]):
            yield from self.by_amount(payment, taken, steps[payment.dot])
        for number, line in self.left.items():
            if line["event"] == "foreign" or self.listed(line) or self.destroyed(line):
                continue
            yield Finding("INV-02", self.terminal.name, number + 1, f"a charge of {line['amount']} {line['currency']}, receipt {line['receipt']}, stands, and no op knows of it")

    def by_number(self, payment, record, taken, steps):
        fitting = [number for number, line in self.left.items() if tells(record, line)]
        if taken and money(record) != money(payment.body):
            yield payment.found("INV-04", f"it took {taken}, the terminal's record says {record['amount']} {record['currency']}")
        if fitting:
            del self.left[fitting[-1]]
            if not taken and next(iter(steps[-1])) not in DOUBT and not self.names(payment):
                yield payment.found("INV-02", f"the terminal's receipt {record['receipt']} stands, and the ledger has no money of it")
        elif taken and not self.undone_by_lost(payment, record) and not said_by_a_person(steps):
            yield payment.found("INV-04", f"it took {taken} by receipt {record['receipt']}, which does not stand at {self.terminal.name}")

    def by_amount(self, payment, taken, steps):
        doubt = bool(steps) and next(iter(steps[-1])) in DOUBT
        if not taken and not doubt:
            return
        fitting = [number for number, line in self.left.items() if money(line) == money(payment.body) and line["event"] != "foreign"]
        if fitting:
            del self.left[fitting[0]]
        elif taken and not self.ops.destroyed and not said_by_a_person(steps):
            yield payment.found("INV-04", f"it took {taken}, which no charge at {self.terminal.name} is left for")

    def charged_twice(self, steps):
        """INV-03: two standing charges between the intents of two payments, of which one payment's record tells both."""
        told = defaultdict(list)
        for payment in self.payments:
            seen = records(steps[payment.dot])
            for number, line in self.standing.items():
                if line["event"] == "committed" and any(tells(record, line) for record in seen):
                    told[payment].append(number)
        for payment, lines in told.items():
            if len({numbers(self.standing[number]) for number in lines}) > 1:
                yield payment.found("INV-03", f"{len(lines)} charges stand for one payment")
        owners = Counter()
        for payment in self.payments:
            booked, record = self.book.booked(payment), last_record(steps[payment.dot])
            if booked[CARD] + booked[AT_RISK] and record and (record["receipt"] or record["trace"]):
                owners[record["receipt"], record["trace"], record["date"], record["time"]] += 1
                if owners[record["receipt"], record["trace"], record["date"], record["time"]] > 1:
                    yield payment.found("INV-04", f"receipt {record['receipt']} pays a second time")

    def names(self, payment):
        """Whether the ledger names a charge of this payment that it has no money of."""
        return any(next(iter(op.body["step"])) in ("8", "12", "14") for op in self.book.moves[payment.dot])

    def listed(self, line):
        return any(tells(op.body["record"], line) for op in self.foreign)

    def destroyed(self, line):
        """Whether ops of which no copy is left were about a charge like this; each of them explains one."""
        by_number = lambda told: "receipt" in told and tells(told, line)
        by_amount = lambda told: money(told) == money(line)
        # A terminal may charge something else than was asked, and then only the intent is left to tell of it.
        by_intent = lambda told: "receipt" not in told
        for explains in (by_number, by_amount, by_intent):
            for what, intent, told in self.lost.values():
                if explains(told):
                    self.lost = {hash_: of for hash_, of in self.lost.items() if of[0] != what and hash_ != intent}
                    return True
        return False

    def undone_by_lost(self, payment, record):
        """Whether the charge was undone, and the ops that say so have no copy left."""
        undone = any(tells(record, charge) for charge, _ in self.undone)
        return undone and any(op.kind == 65 and dot(op.body["payment"]) == payment.dot for op in self.ops.destroyed)


def records(steps):
    return [next(iter(step.values())) for step in steps if next(iter(step)) in RECORDS]


def last_record(steps):
    told = records(steps)
    return told[-1] if told else None


def said_by_a_person(steps):
    return bool(steps) and next(iter(steps[-1])) == "14"
