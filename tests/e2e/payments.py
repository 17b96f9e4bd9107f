"""Payments without cash, end to end: the crew's own reader, a card without a terminal, lists, refunds, restarts; then cards.

Promises: exit code 0 only where every check holds; a card number that somebody types is refused and stands in no file
of the kit; lists and tables built again from the journal are the same, byte for byte.
Absent on purpose: what is done with a terminal (`by_card.py`).
"""

import json
import os
import sqlite3
import sys

import by_card
from kit import Kit

ITEMS = [
    ("MUG", "--name", "Mug", "--price", "12.50", "--count", "30"),
    ("TEE", "--name", "Tee", "--price", "25.00", "--count", "10"),
]
PAN = "4111111111111111"


def euro(minor):
    return {"minor": minor, "currency": "EUR"}


def sells_by_own_reader(kit):
    order = kit.json("sell", "--line", "MUG=1", "--tender", "card-external=12.50:TAAA4X9KQ2", "--idempotency-key", "one")
    assert (order["state"], order["receipt"], order["total"], order["change"]) == ("paid", 1, euro(1250), euro(0)), order
    [payment] = order["payments"]
    wanted = {"order_id": order["order_id"], "tender": "card-external", "state": "attested", "amount": euro(1250), "taken": euro(1250),
              "reference": "TAAA4X9KQ2", "terminal_receipt": None, "trace": None}
    assert wanted.items() <= payment.items(), payment
    again = kit.json("sell", "--line", "MUG=1", "--tender", "card-external=12.50:TAAA4X9KQ2", "--idempotency-key", "one")
    assert again == order, "the same key is the same order"
    other = kit.run("sell", "--line", "MUG=1", "--tender", "card-external=12.50:OTHER", "--idempotency-key", "one", wanted=1)
    assert "another request" in other.stderr, other.stderr


def mixes_with_cash(kit):
    kit.json("cash", "open", "0")
    order = kit.json("sell", "--line", "MUG=2", "--tender", "cash=20", "--tender", "card-external=10:4242")
    assert (order["receipt"], order["change"]) == (2, euro(500)), order
    tenders = [(payment["tender"], payment["amount"], payment["tendered"]) for payment in order["payments"]]
    assert tenders == [("card-external", euro(1000), euro(1000)), ("cash", euro(1500), euro(2000))], tenders
    assert kit.json("cash", "show")["expected"] == euro(1500), "the drawer counts cash alone"
    plain = kit.run("sell", "--line", "MUG=1", "--tender", "card-external=12.50:4242").stdout
    assert "card-external   attested   EUR 12.50   4242" in plain and "receipt" in plain, plain


def refuses_and_records_nothing(kit):
    before = kit.books()
    for tenders, code, exit_code in [
        ([f"card-external=12.50:{PAN}"], "card_number", 1),
        (["card-external=12.50:4111 1111 1111 1111"], "card_number", 1),
        (["card"], "no_terminal", 1),
        (["card=12.50"], "no_terminal", 1),
        (["cash=10", "card"], "no_terminal", 1),
        (["card-external=12.51:REF"], "card_amount", 1),
        (["card-external=12.49:REF"], "tender_missing", 1),
        (["card-external=0:REF"], "card_amount", 1),
    ]:
        options = [part for tender in tenders for part in ("--tender", tender)]
        done = kit.run("sell", "--line", "MUG=1", *options, "--json", wanted=exit_code)
        problem = json.loads(done.stdout)
        assert problem["code"] == code, (tenders, problem)
        assert "hint: " in done.stderr and problem["next_step"] in done.stderr, done.stderr
    after = kit.books()
    # A refusal is an op of its own; the business is as it was.
    assert {**after, "ops": 0, "heads": 0} == {**before, "ops": 0, "heads": 0}
    for path, _, names in os.walk(kit.data):
        for name in names:
            if not os.path.isfile(os.path.join(path, name)):
                continue
            found = open(os.path.join(path, name), "rb").read()
            assert PAN.encode() not in found and b"4111 1111" not in found, f"a card number stands in {name}"


def lists_by_pages(kit):
    payments = kit.json("payments")
    orders = {payment["payment_id"]: payment for order in kit.json("orders") for payment in order["payments"]}
    assert {payment["payment_id"]: payment for payment in payments} == orders, "both lists say the same"
    assert len(payments) == len(orders) > 3
    assert kit.json("payments", "--limit", "2") == payments[:2]
    status, _, page = kit.ask("GET", f"/api/v1/payments?limit=2&before={payments[1]['payment_id']}")
    assert (status, page) == (200, payments[2:4])
    for query, wanted in [("limit=0", 422), ("limit=201", 422), ("before=NOPE", 404), ("after=1", 422)]:
        status, _, problem = kit.ask("GET", f"/api/v1/payments?{query}")
        assert status == wanted and problem["code"] in ("field", "unknown_payment"), (query, problem)


def gives_back(kit):
    order = kit.json("sell", "--line", "MUG=2", "--tender", "card-external=25:GIVEN")
    refund = ("refund", "--order", order["order_id"], "--line", "1=1", "--reason", "broken")
    refused = kit.run(*refund, "--json", wanted=1)
    assert json.loads(refused.stdout)["code"] == "card_refund", refused.stdout
    expected = kit.json("cash", "show")["expected"]["minor"]
    assert kit.json(*refund, "--cash")["state"] == "part_refunded"
    assert kit.json("cash", "show")["expected"]["minor"] == expected - 1250
    voided = kit.json("sell", "--line", "TEE=1", "--tender", "card-external=25:VOIDED")
    voided = kit.json("refund", "--order", voided["order_id"], "--void", "--reason", "mistyped")
    assert (voided["state"], voided["payments"][0]["state"]) == ("voided", "closed_by_person"), voided
    assert voided["payments"][0]["taken"] == euro(0)
    assert kit.json("cash", "show")["expected"]["minor"] == expected - 1250, "no cash for what went back by card"
    undo = kit.run("refund", "--undo", voided["refunds"][0]["refund_id"], "--json", wanted=1)
    assert json.loads(undo.stdout)["code"] == "undo_card", undo.stdout


def tables(kit):
    """All rows of the public tables, without what names the file's own build."""
    views = sqlite3.connect(f"file:{kit.data}/views.db?mode=ro", uri=True)
    names = [name for (name,) in views.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'refinery%' ORDER BY 1")]
    return {name: sorted(map(repr, views.execute(f"SELECT * FROM {name}"))) for name in names}


def comes_back(kit):
    books, payments = kit.books(), kit.json("payments")
    kit.kill()
    kit.start()
    assert (kit.books(), kit.json("payments")) == (books, payments), "a killed kit comes back as it was"
    kit.stop()
    rows = tables(kit)
    for name in ("state.db", "views.db"):
        for suffix in ("", "-wal", "-shm"):
            if os.path.exists(f"{kit.data}/{name}{suffix}"):
                os.remove(f"{kit.data}/{name}{suffix}")
    kit.start()
    assert (kit.books(), kit.json("payments")) == (books, payments)
    kit.stop()
    built = tables(kit)
    for name, wanted in rows.items():
        assert built[name] == wanted, f"{name}: built again it holds other rows"
    assert any("'attested'" in row for row in rows["payments"]) and any("'card-external'" in row for row in rows["payments"])
    kit.start()


def main():
    program, home = sys.argv[1], sys.argv[2]
    outcomes = []

    def check(one, what):
        try:
            one(what)
            print(f"ok       {one.__name__}", flush=True)
            outcomes.append(True)
        except AssertionError as error:
            print(f"FAILED   {one.__name__}: {error}", flush=True)
            outcomes.append(False)

    kit = Kit(program, f"{home}/data").found(*ITEMS)
    try:
        # The first without a daemon: the command line opens the kit itself.
        for one in [sells_by_own_reader, mixes_with_cash, refuses_and_records_nothing, lists_by_pages, gives_back, comes_back]:
            check(one, kit)
            if kit.daemon is None:
                kit.start()
        kit.stop()
    finally:
        kit.kill()
    by_card.run(Kit(program, f"{home}/cards").found(*ITEMS), f"{home}/terminal", check)
    passed = sum(outcomes)
    print(f"{passed} passed, {len(outcomes) - passed} failed")
    sys.exit(0 if passed == len(outcomes) else 1)


main()
