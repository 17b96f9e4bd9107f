"""Cards at a simulated terminal, driven by the command line: every outcome, and what the crew can do about it.

Promises: each outcome is compared with the terminal's own journal; in the end exactly those cards are charged that the
kit says are. Absent on purpose: faults of links and bytes (`tests/devices`), and the page (`cards.test.mjs`).
"""

import json
import os
import signal
import subprocess
import time

WAIT_S_MAX = 20
LABEL = "counter left"


def until(look, what, seconds=WAIT_S_MAX):
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"in {seconds} s there is no {what}"
        time.sleep(0.02)
    return found


class Terminal:
    """`fieldkit simulate terminal`; started again on its journal, it remembers."""

    def __init__(self, program, home):
        self.program, self.home, self.journal = program, home, f"{home}/terminal.ndjson"
        self.process, self.address, self.url, self.armed = None, "127.0.0.1:0", None, 0

    def start(self, buyer_ms=50):
        self.log = open(f"{self.home}/terminal.log", "w+")
        command = [self.program, "simulate", "terminal", "--tcp", self.address, "--journal", self.journal, "--buyer-ms", str(buyer_ms)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("READY "), f"no READY but {line!r}: {self.said()}"
        self.url = line.split()[1]
        self.address = self.url.split("//")[1]
        return self

    def kill(self):
        self.process.kill()
        self.process.wait()

    def said(self):
        return open(self.log.name).read()

    def arm(self, *faults):
        """Types faults, and waits until they have been read: the last line is answered."""
        self.armed += 1
        for line in (*faults, f"read-{self.armed}"):
            self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        until(lambda: f'there is no fault "read-{self.armed}"' in self.said(), "answer to the faults")

    def lines(self):
        return [json.loads(line) for line in open(self.journal)]

    def charged(self):
        """Amounts that cards are charged now, by receipt and trace number."""
        standing = {}
        for line in self.lines():
            of = (line.get("receipt"), line.get("trace"))
            if line["event"] in ("committed", "foreign"):
                standing[of] = line["amount"]
            elif line["event"] in ("reversed", "auto_reversed"):
                standing.pop(of, None)
        return standing


class Stall:
    """A kit with a terminal."""

    def __init__(self, kit, terminal):
        self.kit, self.terminal = kit, terminal

    def restart_terminal(self, buyer_ms=50):
        self.terminal.kill()
        until(lambda: self.device()["link"] == "down", "end of the link")
        self.terminal.start(buyer_ms)
        self.ready()

    def device(self):
        status, _, devices = self.kit.ask("GET", "/api/v1/devices")
        assert status == 200 and len(devices) == 1, devices
        return devices[0]

    def ready(self):
        return until(lambda: (device := self.device())["link"] == "ready" and not device["payment_id"] and device, "ready terminal")

    def sell(self, *options, wanted=0, tenders=("card",)):
        """A mug; the order and what was said."""
        given = [part for tender in tenders for part in ("--tender", tender)]
        done = self.kit.run("sell", "--line", "MUG=1", *given, *options, "--json", wanted=wanted)
        return json.loads(done.stdout), done.stderr

    def order(self, order):
        return self.kit.json("orders", order["order_id"])

    def becomes(self, order, state):
        return until(lambda: (now := self.order(order))["state"] == state and now, f"order that is {state}")

    def payment_becomes(self, order, state):
        return until(lambda: self.order(order)["payments"][-1]["state"] == state, f"payment that is {state}")

    def notices(self):
        return [notice["code"] for notice in self.kit.json("status")["notices"] if notice["code"].startswith("payment_")]


def euro(minor):
    return {"minor": minor, "currency": "EUR"}


def sells_by_card(stall):
    before = len(stall.terminal.charged())
    order, _ = stall.sell("--idempotency-key", "first")
    assert (order["state"], order["receipt"], order["left"]) == ("paid", 1, euro(0)), order
    [payment] = order["payments"]
    assert (payment["state"], payment["taken"], payment["label"]) == ("captured", euro(1250), LABEL), payment
    assert stall.terminal.charged()[(payment["terminal_receipt"], payment["trace"])] == 1250
    again, _ = stall.sell("--idempotency-key", "first")
    assert again["order_id"] == order["order_id"] and len(stall.terminal.charged()) == before + 1, "the same key charges once"
    mixed, _ = stall.sell(tenders=("cash=5", "card"))
    assert [(part["tender"], part["amount"]) for part in mixed["payments"]] == [("card", euro(750)), ("cash", euro(500))], mixed
    plain = stall.kit.run("sell", "--line", "MUG=1", "--tender", "card").stdout
    assert "card   captured   EUR 12.50" in plain and "receipt " in plain, plain


def says_how_devices_are(stall):
    [device] = stall.kit.json("device", "list")
    assert (device["role"], device["link"], device["trouble"]) == ("terminal", "ready", None), device
    plain = stall.kit.run("status").stdout
    assert f"terminal    {LABEL}: ready" in plain, plain


def tries_again_after_a_no(stall):
    stall.terminal.arm("decline")
    order, said = stall.sell(wanted=1)
    assert (order["state"], order["payments"][0]["state"], order["left"]) == ("awaiting_payment", "declined", euro(1250)), order
    assert "declined" in said and f"fieldkit payments begin {order['order_id']}" in said and "cancel" in said, said
    paid = stall.kit.json("payments", "begin", order["order_id"])
    assert (paid["state"], [payment["state"] for payment in paid["payments"]]) == ("paid", ["declined", "captured"]), paid
    stall.terminal.arm("abort")
    order, said = stall.sell(wanted=1)
    assert order["payments"][0]["state"] in ("cancelled", "declined") and order["payments"][0]["said"], order
    settled = stall.kit.json("payments", "settle", order["order_id"], "--tender", "cash=20")
    assert (settled["state"], settled["change"]) == ("paid", euro(750)), settled
    stall.terminal.arm("decline")
    order, _ = stall.sell(wanted=1)
    here = next(item["here"] for item in stall.kit.json("stock") if item["sku"] == "MUG")
    cancelled = stall.kit.json("payments", "cancel", order["order_id"], "--reason", "the buyer left")
    assert cancelled["state"] == "cancelled", cancelled
    assert next(item["here"] for item in stall.kit.json("stock") if item["sku"] == "MUG") == here + 1
    refused = stall.kit.run("payments", "begin", order["order_id"], "--json", wanted=1)
    assert json.loads(refused.stdout)["code"] == "order_not_open", refused.stdout


def waits_as_long_as_it_is_told(stall):
    stall.restart_terminal(buyer_ms=1_500)
    order, said = stall.sell("--wait", "0", "--idempotency-key", "slow", wanted=4)
    assert order["state"] == "awaiting_payment" and "the order stays open" in said and "--idempotency-key slow" in said, said
    paid, _ = stall.sell("--idempotency-key", "slow")
    assert (paid["order_id"], paid["state"], len(paid["payments"])) == (order["order_id"], "paid", 1), paid
    order, _ = stall.sell("--no-wait")
    assert order["state"] == "awaiting_payment", order
    stall.becomes(order, "paid")


def stops_at_a_wish(stall):
    stall.restart_terminal(buyer_ms=60_000)
    command = [stall.kit.program, "--data", stall.kit.data, "sell", "--line", "MUG=1", "--tender", "card", "--idempotency-key", "stop"]
    with open(f"{stall.kit.data}.sell", "w+") as said:
        selling = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, text=True)
        words = lambda: open(said.name).read()
        until(lambda: f"{LABEL}: " in words(), "word of the terminal")
        selling.send_signal(signal.SIGINT)
        assert selling.wait(timeout=WAIT_S_MAX) == 4 and "the order stays open" in words(), words()
    stopped = stall.kit.json("device", "stop", LABEL.upper())
    assert stopped["label"] == LABEL, stopped
    order, said = stall.sell("--idempotency-key", "stop", wanted=1)
    assert order["payments"][0]["state"] == "cancelled" and "stopped by the crew" in said, (order, said)
    stall.kit.json("payments", "cancel", order["order_id"], "--reason", "stopped")


def leaves_what_is_unknown_to_the_terminal_or_a_person(stall):
    for way in ("terminal", "person"):
        stall.restart_terminal(buyer_ms=60_000)
        order, _ = stall.sell("--no-wait", "--idempotency-key", f"unknown-{way}")
        until(lambda: stall.device()["text"], "word of the terminal")
        stall.terminal.kill()
        same, said = stall.sell("--idempotency-key", f"unknown-{way}", wanted=1)
        assert same["order_id"] == order["order_id"] and same["payments"][0]["state"] == "unknown", same
        payment = same["payments"][0]["payment_id"]
        assert "do not charge again" in said and f"payments close {order['order_id']} {payment}" in said, said
        assert "payments begin" not in said, said
        assert stall.notices() == ["payment_unknown"]
        refused = stall.kit.run("payments", "begin", order["order_id"], "--json", wanted=1)
        assert json.loads(refused.stdout)["code"] == "payment_unknown", refused.stdout
        if way == "person":
            closed = stall.kit.json("payments", "close", order["order_id"], payment, "--charged", "no", "--evidence", "not in its journal")
            assert (closed["payments"][0]["state"], closed["payments"][0]["said"]) == ("closed_by_person", "not in its journal"), closed
        stall.terminal.start()
        stall.ready()
        if way == "terminal":
            stall.payment_becomes(order, "not_charged")
        assert stall.notices() == []
        assert stall.kit.json("payments", "begin", order["order_id"])["state"] == "paid"


def undoes_what_was_not_asked(stall):
    stall.terminal.arm("wrong-amount 2100")
    order, said = stall.sell(wanted=1)
    [payment] = order["payments"]
    # The terminal takes back what the kit does not take, or the kit undoes it.
    assert payment["state"] in ("not_charged", "reversed") and (payment["charged"], payment["taken"]) == (euro(2100), euro(0)), payment
    assert "the order is not paid" in said, said
    stall.kit.json("payments", "cancel", order["order_id"], "--reason", "wrong amount")


def pays_back_by_card(stall):
    order, _ = stall.sell()
    payment = order["payments"][0]
    refused = stall.kit.run("payments", "reverse", order["order_id"], payment["payment_id"], "--reason", "x", "--json", wanted=1)
    assert json.loads(refused.stdout)["code"] == "card_tender", refused.stdout
    stall.kit.json("refund", "--order", order["order_id"], "--void", "--reason", "mistyped")
    voided = stall.becomes(order, "voided")
    assert (voided["payments"][0]["state"], voided["payments"][0]["taken"]) == ("reversed", euro(0)), voided


def clears_up_what_belongs_to_no_order(stall):
    before = stall.kit.json("payments", "foreign")
    assert before == [], before
    stall.terminal.arm("foreign 500")
    stall.kit.run("device", "ask")
    [found] = until(lambda: stall.kit.json("payments", "foreign"), "payment without order")
    assert (found["amount"], found["settled"], found["note"]) == (euro(500), False, None), found
    assert stall.notices() == ["payment_without_order"]
    assert "EUR 5.00" in stall.kit.run("payments", "foreign").stdout
    settled = stall.kit.json("payments", "foreign", "--settle", found["found_id"], "--note", "charged by hand")
    assert (settled["settled"], settled["note"]) == (True, "charged by hand"), settled
    assert stall.notices() == []
    stall.kit.run("payments", "foreign", "--settle", found["found_id"], wanted=2)


def agrees_with_the_terminal(stall):
    taken = {(payment["terminal_receipt"], payment["trace"]): payment["amount"]["minor"] for payment in stall.kit.json("payments") if (payment["tender"], payment["state"]) == ("card", "captured")}
    foreign = {(found["receipt"], found["trace"]): found["amount"]["minor"] for found in stall.kit.json("payments", "foreign")}
    charged = stall.terminal.charged()
    assert charged == {**taken, **foreign}, f"the terminal charged {charged}, the kit knows {taken} and {foreign}"
    assert not [order for order in stall.kit.json("orders") if order["state"] == "awaiting_payment"]


def needs_a_kit_that_runs(stall):
    stall.kit.stop()
    refused = stall.kit.run("sell", "--line", "MUG=1", "--tender", "card", "--json", wanted=1)
    problem = json.loads(refused.stdout)
    assert problem["code"] == "no_terminal" and "fieldkit up" in problem["next_step"], problem
    asked = stall.kit.run("device", "ask", wanted=1)
    assert "fieldkit up" in asked.stderr, asked.stderr
    stall.kit.start()
    asked = json.loads(stall.kit.run("device", "ask", "counter right", "--json", wanted=1).stdout)
    assert asked["code"] == "unknown_device" and LABEL in asked["next_step"], asked


CHECKS = [
    sells_by_card,
    says_how_devices_are,
    tries_again_after_a_no,
    waits_as_long_as_it_is_told,
    stops_at_a_wish,
    leaves_what_is_unknown_to_the_terminal_or_a_person,
    pays_back_by_card,
    clears_up_what_belongs_to_no_order,
    undoes_what_was_not_asked,
    agrees_with_the_terminal,
    needs_a_kit_that_runs,
]


def run(kit, home, check):
    """Gives each of the checks, in their order, to `check`."""
    os.makedirs(home, exist_ok=True)
    terminal = Terminal(kit.program, home).start()
    try:
        kit.run("device", "add", f"terminal={terminal.url}", "--label", LABEL)
        kit.start()
        stall = Stall(kit, terminal)
        stall.ready()
        for one in CHECKS:
            check(one, stall)
    finally:
        terminal.kill()
        kit.kill()
