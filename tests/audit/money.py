"""INV-06 to INV-11: orders, postings, refunds, drawers and receipts, each from the words of `docs/reference/op.md`.

Promises: what an op posts is worked out from its body and the ops that it names, and compared leg by leg; drawers and
receipts are counted along each branch of a stream by itself.
Absent on purpose: terminals (`cards`) and single units (`goods`).
"""

from collections import Counter, defaultdict

from tests.audit.ops import ACCOUNTS, dot

CASH, SALES, TAX, CASH_MOVED, VARIANCE, CARD, ATTESTED, AT_RISK, PREPAID, LOST = range(1, 11)
STOCK, SOLD, SUPPLY, WRITTEN_OFF, HELD = range(16, 21)
WHOLE = 1_000_000
INCLUSIVE, VOID, MONEY_IN = 0, 1, 0


def check(world, ops):
    book = Book(ops)
    for op in ops.order:
        if op.unbalanced:
            yield op.found("INV-07", f"its postings do not sum to zero: {op.unbalanced}")
        yield from book.legs(op)
        yield from currency(op, ops)
        if op.kind in (32, 35):
            yield from sums(op)
        if op.kind in (32, 36):
            yield from book.covered(op)
        if op.kind == 33:
            yield from book.refund(op)
    yield from book.refund_bounds(world)
    yield from book.paid_once(world)
    yield from balances(ops)
    yield from receipts(ops)
    yield from drawers(ops)
    yield from tables(world, ops)


def currency(op, ops):
    """INV-07: an event has one currency."""
    event = ops.events().get(op.event)
    said = op.body.get("currency") if isinstance(op.body, dict) else None
    if event and said and said != event.body["currency"]:
        yield op.found("INV-07", f"it is in {said}, its event in {event.body['currency']}")


def rounded(numerator, denominator):
    """Half away from zero."""
    whole = (2 * abs(numerator) + denominator) // (2 * denominator)
    return whole if numerator >= 0 else -whole


def line_gross(line, prices):
    """What a line costs the buyer, tax included."""
    price = line["quantity"] * line["unit_price"] - line["discount"] - line["order_discount"]
    return price if prices == INCLUSIVE else price + line["tax"]


def tax_within(price, ppm, prices):
    return rounded(price * ppm, WHOLE + ppm) if prices == INCLUSIVE else rounded(price * ppm, WHOLE)


def sums(op):
    """INV-08."""
    body = op.body
    for number, line in enumerate(body["lines"], 1):
        price = line["quantity"] * line["unit_price"] - line["discount"] - line["order_discount"]
        tax = tax_within(price, line["tax_ppm"], body["prices"])
        if line["tax"] != tax:
            yield op.found("INV-08", f"line {number} has {line['tax']} of tax, {line['tax_ppm']} ppm of {price} are {tax}")
    total = sum(line_gross(line, body["prices"]) for line in body["lines"])
    if total != body["total"]:
        yield op.found("INV-08", f"its lines are {total}, it says {body['total']}")
    shared = sum(line["order_discount"] for line in body["lines"])
    if shared != body["discount"]:
        yield op.found("INV-08", f"its lines share a discount of {shared}, it says {body['discount']}")


class Book:
    """Orders with what refers to them."""

    def __init__(self, ops):
        self.ops = ops
        self.moves, self.refunds, self.undone, self.paid, self.payments = (defaultdict(list) for _ in range(5))
        for op in ops.kinds[65]:
            self.moves[dot(op.body["payment"])].append(op)
        for op in ops.kinds[33]:
            self.refunds[dot(op.body["order"])].append(op)
        for op in ops.kinds[34]:
            self.undone[dot(op.body["refund"])].append(op)
        for op in ops.kinds[32]:
            self.paid[op.dot].append(op)
        for op in ops.kinds[36]:
            self.paid[dot(op.body["order"])].append(op)
        for op in (*ops.kinds[64], *ops.kinds[66]):
            self.payments[dot(op.body["order"])].append(op)

    def named_by(self, op, of, *kinds):
        """The op of one of these kinds at a dot, as the author of `op` knew it: of several branches the one that was the stream."""
        found = [other for other in self.ops.made_by(of) if op.knows(other) or other is op]
        stands = self.ops.main(found)
        return stands if stands and stands.kind in kinds else None

    def order(self, op):
        return op if op.kind in (32, 35) else self.named_by(op, dot(op.body["order"]), 32, 35)

    def paid_before(self, op, order):
        paid = [paid for paid in self.paid[order.dot] if op.knows(paid)]
        return order if order in paid else next(iter(paid), None)

    # --- INV-07: what an op posts ---

    def legs(self, op):
        wanted = self.wanted(op)
        if wanted is None:
            return
        posted = Counter()
        for account, _, unit, amount in op.postings:
            posted[account, unit] += amount
        for leg in sorted(posted.keys() | wanted.keys()):
            if posted[leg] != wanted[leg]:
                account = ACCOUNTS.get(leg[0], leg[0])
                yield op.found("INV-07", f"it posts {posted[leg]} of {leg[1][:12]} to {account}, by what it says they are {wanted[leg]}")

    def wanted(self, op):
        """Account and unit with the sum that the op should post; none where that is judged elsewhere or not known."""
        legs, body, event = Counter(), op.body, self.ops.events().get(op.event)
        if op.kind in (64, 67, 68) or op.kind < 16 or 80 <= op.kind <= 89 or op.kind in (16, 18):
            return legs
        if event is None or not isinstance(body, dict) or op.kind == 65:
            return None
        currency = event.body["currency"]
        if op.kind == 17:
            other = SUPPLY if body["change"] > 0 or body["reason"] not in (3, 4) else WRITTEN_OFF
            self.units(legs, op, [(body["sku"], body["change"])], other, STOCK)
        elif op.kind in (48, 49):
            amount = body["amount"] if op.kind == 48 or body["direction"] == MONEY_IN else -body["amount"]
            legs.update({(CASH, currency): amount, (CASH_MOVED, currency): -amount})
        elif op.kind == 50:
            counted, expected = body["counted"], body["expected"]
            legs.update({(CASH, currency): -expected, (CASH_MOVED, currency): counted, (VARIANCE, currency): expected - counted})
        elif op.kind == 66:
            legs.update({(ATTESTED, currency): body["amount"], (PREPAID, currency): -body["amount"]})
        elif op.kind in (32, 33, 34, 35, 36, 37):
            order = self.order(op)
            return order and self.of_order(legs, op, order, currency)
        else:
            return None
        return legs

    def of_order(self, legs, op, order, currency):
        lines = [(line["sku"], line["quantity"]) for line in order.body["lines"]]
        if op.kind in (32, 36):
            total, tax = order.body["total"], sum(line["tax"] for line in order.body["lines"])
            cards = sum(tender["amount"] for tender in by_card(op))
            legs.update({(CASH, currency): total - cards, (PREPAID, currency): cards})
            legs.update({(SALES, currency): tax - total, (TAX, currency): -tax})
            self.units(legs, op, lines, STOCK if op.kind == 32 else HELD, SOLD)
        elif op.kind == 35:
            self.units(legs, op, lines, STOCK, HELD)
        elif op.kind == 37:
            self.units(legs, op, lines, HELD, STOCK)
        else:
            refund = op if op.kind == 33 else self.named_by(op, dot(op.body["refund"]), 33)
            if refund is None:
                return None
            sign = 1 if op.kind == 33 else -1
            amount, tax = refund.body["amount"], sum(line["tax"] for line in refund.body["lines"])
            paid = self.paid_before(refund, order)
            cards = sum(tender["amount"] for tender in by_card(paid)) if paid and refund.body["kind"] == VOID else 0
            legs.update({(CASH, currency): -sign * (amount - cards), (PREPAID, currency): -sign * cards})
            legs.update({(SALES, currency): sign * (amount - tax), (TAX, currency): sign * tax})
            sold = dict(enumerate(order.body["lines"], 1))
            back = [(sold[line["line"]]["sku"], sign * line["quantity"]) for line in refund.body["lines"] if line["line"] in sold]
            self.units(legs, op, back, SOLD, STOCK if refund.body["restock"] else WRITTEN_OFF)
        return legs

    def units(self, legs, op, lines, taken_from, to):
        for sku, count in lines:
            pool = self.ops.pool(op.event, sku)
            legs[taken_from, pool] -= count
            legs[to, pool] += count

    # --- INV-06: paid by tenders that have their money ---

    def covered(self, op):
        order = self.order(op)
        if order is None:
            yield op.found("INV-06", "it pays an order that it had not heard of")
            return
        cash = sum(tender["0"] for tender in op.body["tenders"] if "0" in tender)
        cards = by_card(op)
        taken = cash + sum(tender["amount"] for tender in cards) - op.body["change"]
        if taken != order.body["total"]:
            yield op.found("INV-06", f"its tenders less change are {taken}, the order is {order.body['total']}")
        if not 0 <= op.body["change"] <= cash:
            yield op.found("INV-06", f"it gives {op.body['change']} of {cash} in cash as change")
        if len({dot(tender["payment"]) for tender in cards}) < len(cards):
            yield op.found("INV-06", "one payment stands twice among its tenders")
        for tender in cards:
            payment = self.named_by(op, dot(tender["payment"]), 64, 66)
            money = payment and self.booked(payment, lambda move: op.knows(move))
            if payment is None or dot(payment.body["order"]) != order.dot:
                yield op.found("INV-06", "a payment among its tenders is none of this order")
            elif sum(money.values()) != tender["amount"]:
                yield op.found("INV-06", f"payment {payment.seq} gives {tender['amount']}, and has {sum(money.values())} then")

    def booked(self, payment, within=lambda _: True):
        """What a payment has taken, by account."""
        booked = Counter()
        for op in (payment, *self.moves[payment.dot]):
            if op is payment or within(op):
                for account in (CARD, ATTESTED, AT_RISK):
                    booked[account] += op.money(account)
        return +booked

    def paid_once(self, world):
        """INV-03: no order has more money than it costs, but for what terminals would not undo and what is named."""
        named = {tuple(line["op"]) for holder in world.holders for line in holder.named or () if line["kind"] in ("paid_twice", "paid_cancelled", "mismatch")}
        for of, payments in self.payments.items():
            order = next((op for op in self.ops.made_by(of) if op.kind in (32, 35)), None)
            stuck = {payment.dot for payment in payments if any(next(iter(move.body["step"])) in ("8", "12") for move in self.moves[payment.dot])}
            taken = sum(sum(self.booked(payment).values()) for payment in payments if payment.dot not in stuck)
            paid = self.paid[of]
            cash = max((sum(tender["0"] for tender in op.body["tenders"] if "0" in tender) - op.body["change"] for op in paid), default=0)
            if order and taken + cash > order.body["total"] and of not in named:
                yield payments[-1].found("INV-03", f"{taken} by card and {cash} in cash are taken for order {of[1]} of {order.body['total']}")
            if order and len({op.dot for op in paid}) > 1 and of not in named:
                yield paid[-1].found("INV-03", f"order {of[1]} is paid by {len(paid)} ops, and nobody names it")

    # --- INV-09: refunds ---

    def refund(self, op):
        order, body = self.order(op), op.body
        if order is None or self.paid_before(op, order) is None:
            yield op.found("INV-09", "it gives money back for an order that was not paid by what it had seen")
            return
        parts = sum(line["amount"] for line in body["lines"])
        if parts != body["amount"]:
            yield op.found("INV-09", f"its lines give {parts} back, it says {body['amount']}")
        if not body["reason"]:
            yield op.found("INV-09", "it gives no reason")
        if op.actor and not any(role.body["role"] in (0, 1) and dot(role.body["person"]) == op.actor and op.knows(role) for role in self.ops.kinds[5]):
            yield op.found("INV-09", "its actor may not give money back")
        seen = [other for other in self.standing(order.dot, op.knows) if self.order(other) is order] + [op]
        yield from self.bounds(op, order, seen)

    def standing(self, order, within):
        for refund in self.refunds[order]:
            if within(refund) and not any(within(undo) for undo in self.undone[refund.dot]):
                yield refund

    def bounds(self, op, order, refunds):
        money = sum(refund.body["amount"] for refund in refunds)
        if money > order.body["total"]:
            yield op.found("INV-09", f"{money} of {order.body['total']} are given back for order {order.seq} of {order.stream[:12]}")
        for number, line in enumerate(order.body["lines"], 1):
            parts = [part for refund in refunds for part in refund.body["lines"] if part["line"] == number]
            if sum(part["quantity"] for part in parts) > line["quantity"]:
                yield op.found("INV-09", f"more of line {number} come back than were sold")
        if any(part["line"] not in range(1, len(order.body["lines"]) + 1) for part in op.body["lines"]):
            yield op.found("INV-09", "it speaks of a line that is not there")

    def refund_bounds(self, world):
        """Over all kits: what several gave back without knowing of each other is named."""
        for of, refunds in self.refunds.items():
            named = any(line["kind"] in ("over_refund", "repeated", "fork") for holder in world.holders for line in holder.named or ())
            order = next((op for op in self.ops.made_by(of) if op.kind in (32, 35)), None)
            standing = list(self.standing(of, lambda _: True))
            if order and standing and not named:
                yield from self.bounds(standing[-1], order, standing)


def by_card(op):
    return [tender[tag] for tender in op.body["tenders"] for tag in ("1", "2") if tag in tender]


def balances(ops):
    """INV-07: all accounts of an event and unit together."""
    together = Counter()
    for op in ops.order:
        for _, _, unit, amount in op.postings:
            together[op.event, unit] += amount
    for (event, unit), amount in together.items():
        if amount:
            yield ops.order[-1].found("INV-07", f"all accounts of {unit[:12]} are {amount} together")


def receipts(ops):
    """INV-11: 1, 2, 3 … along each branch of a stream."""
    last = {}
    for op in ops.order:
        before = last.get(op.prev, 0) if op.seq > 1 else 0
        last[op.hash] = before
        if op.kind in (32, 33, 34, 36):
            last[op.hash] = op.body["receipt"]
            if op.body["receipt"] != before + 1:
                yield op.found("INV-11", f"receipt {op.body['receipt']} follows receipt {before}")


def drawers(ops):
    """INV-10: a count expects what was put in, taken and given in its session, along each branch of a stream."""
    cash = {}
    for op in ops.order:
        there = cash.get(op.prev) if op.seq > 1 else None
        moved = op.money(CASH)
        if op.kind == 48:
            there = moved
        elif op.kind == 50:
            if there is None:
                yield op.found("INV-10", "a drawer is counted that nobody opened")
            elif op.body["expected"] != there:
                yield op.found("INV-10", f"{there} should be in the drawer, the count expected {op.body['expected']}")
            there = None
        elif there is not None:
            there += moved
        cash[op.hash] = there


def tables(world, ops):
    """INV-07: what the public tables of a data directory say is what the postings sum up to."""
    left = Counter()
    for op in ops.order:
        for account, kind, unit, amount in op.postings:
            if kind == "1":
                left[unit, account] += amount
    shown = {sku: numbers for (_, sku), numbers in world.goods.items()}
    for op in ops.kinds[16]:
        numbers = shown.get(op.body["sku"])
        pool = ops.pool(op.event, op.body["sku"])
        if len(ops.kinds[6]) == 1 and numbers and numbers != [left[pool, STOCK], left[pool, SOLD]]:
            yield op.found("INV-07", f"the tables say that {numbers} of {op.body['sku']} are here and sold, the postings {[left[pool, STOCK], left[pool, SOLD]]}")
