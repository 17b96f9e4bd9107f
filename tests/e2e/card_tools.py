"""Card sales for the checks in Python: a kit that is asked over its socket, terminals with journals, and the comparison.

Promises: `Terminal` is the shipped simulator or the second terminal, with the same words for both; a line that was typed
has been read when `arm` returns; `agree` holds the terminal's journal against the kit's payments, one by one, and both
against orders and receipts. Every wait is for a state and has a deadline.
Absent on purpose: what is sold, and what goes wrong.
"""

import http.client
import json
import select
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

from kit import Kit

DEVICES = Path(__file__).resolve().parents[1] / "devices"
sys.path.insert(0, str(DEVICES))
import till

READY_S_MAX = 10
# Longer than the terminal's own waits (5 s for an answer), several times in a row.
SETTLED_S_MAX = 45
UNDER_WAY = ("intended", "sent", "approved", "unknown", "reversing", "reversal_unknown", "mismatched")
ITEMS = [("MUG", "--name", "Mug", "--price", "12.50", "--count", "9000"),
         ("TEE", "--name", "Tee", "--price", "25.00", "--count", "9000"),
         # Bytes that are doubled on a line: 10 10.
         ("PIN", "--name", "Pin", "--price", "10.10", "--count", "9000"),
         ("BAG", "--name", "Bag", "--price", "0.01", "--count", "9000")]
PRICES = {"MUG": 1250, "TEE": 2500, "PIN": 1010, "BAG": 1}
SKUS = list(PRICES)


def until(holds, what, seconds=SETTLED_S_MAX):
    """What `holds` returns once it is true."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.005)
    return found


class SocketLink(http.client.HTTPConnection):
    def __init__(self, path, seconds):
        super().__init__("localhost", timeout=seconds)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class CardKit(Kit):
    """A kit with one terminal, named by its URL."""

    def __init__(self, program, data, url):
        super().__init__(program, data)
        self.url = url

    def up(self):
        """Started; the terminal may not have answered yet."""
        return self.start("--device", f"terminal={self.url}")

    def over_socket(self, method, path, body=None, key=None, seconds=20):
        """Status and document."""
        link = SocketLink(f"{self.data}/fieldkit.sock", seconds)
        try:
            headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
            link.request(method, path, None if body is None else json.dumps(body), headers)
            reply = link.getresponse()
            return reply.status, json.loads(reply.read() or b"null")
        finally:
            link.close()

    def asked(self, path):
        status, document = self.over_socket("GET", path)
        assert status == 200, f"GET {path}: {status} {document}"
        return document

    def written(self, path, body, key=None):
        status, document = self.over_socket("POST", path, body, key or str(uuid.uuid4()))
        assert status in (200, 201), f"POST {path}: {status} {document}"
        return document

    def device(self):
        [device] = self.asked("/api/v1/status")["devices"]
        return device

    def ready(self):
        """Waits until the terminal takes cards."""
        until(lambda: self.device()["link"] == "ready", lambda: f"the terminal is ready: {self.device()}")
        return self

    # --- sales ---

    def selling(self, sku, key, *options):
        """The command line of one sale, as it is typed."""
        return [self.program, "--data", self.data, "sell", "--line", f"{sku}=1", "--tender", "card", "--json",
                "--idempotency-key", key, *options]

    def placed(self, sku, key=None):
        """A sale by the command line; its order's id, whatever became of the card."""
        done = subprocess.run(self.selling(sku, key or str(uuid.uuid4())), capture_output=True, text=True, timeout=200, stdin=subprocess.DEVNULL)
        order = order_in(done.stdout)
        assert order, f"sell: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return order

    def placed_at_once(self, sku):
        """A sale by HTTP; its order's id while the card is still under way."""
        order = {"lines": [{"sku": sku, "quantity": 1}], "tenders": [{"kind": "card"}]}
        return self.written("/api/v1/orders", order)["order_id"]

    def order(self, order):
        return self.asked(f"/api/v1/orders/{order}")

    def settled(self, order):
        """The order once nothing about its payments is under way; the till does not know what a reader does not."""
        found = {}

        def holds():
            found["order"] = self.order(order)
            return all(payment["state"] not in UNDER_WAY for payment in found["order"]["payments"])
        until(holds, lambda: f"settled: {told(found['order'])}; {self.device()}")
        return found["order"]

    def sold(self, sku, key=None):
        """A sale that must be paid; the order."""
        order = self.settled(self.placed(sku, key))
        assert order["state"] == "paid" and order["total"]["minor"] == PRICES[sku], told(order)
        return order

    def state_of(self, order):
        return self.order(order)["payments"][-1]["state"]

    def begun(self, order, key=None):
        """A new attempt at the terminal; the order once it has ended."""
        self.ready()
        self.written(f"/api/v1/orders/{order}/payments", {}, key)
        return self.settled(order)

    def cancelled(self, order, key=None):
        order = self.written(f"/api/v1/orders/{order}/cancel", {"reason": "buyer left"}, key)
        assert order["state"] == "cancelled", told(order)
        return order

    def voided(self, order):
        """The whole order undone, its card at the terminal."""
        self.run("refund", "--order", order, "--void", "--reason", "mistyped", "--json", wanted=None)
        until(lambda: self.order(order)["state"] == "voided", lambda: f"voided: {told(self.order(order))}")
        return self.order(order)


def order_in(text):
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document.get("order_id") if isinstance(document, dict) else None


def told(order):
    """An order in a line, for words of failure."""
    steps = [(payment["state"], payment["amount"]["minor"], payment["terminal_receipt"], payment["trace"], payment.get("said"))
             for payment in order["payments"]]
    return f"{order['order_id']} {order['state']} receipt {order['receipt']} {steps}"


class Terminal:
    """A terminal in a directory; `kind` is `ours` (the shipped simulator) or `other` (the second terminal)."""

    def __init__(self, program, home, kind, link, *options, protocol="zvt", buyer_ms=5):
        self.program, self.kind, self.link, self.protocol, self.options = program, kind, link, protocol, options
        self.home = Path(home)
        self.home.mkdir(parents=True, exist_ok=True)
        self.path, self.journal_path, self.buyer_ms = self.home / "port", self.home / "journal", buyer_ms
        self.where = str(self.path) if link == "pty" else "127.0.0.1:0"
        self.words, self.process = 0, None

    def command(self):
        place = ["--protocol", self.protocol, f"--{self.link}", self.where, "--journal", str(self.journal_path), *self.options]
        if self.kind == "ours":
            return [self.program, "simulate", "terminal", *place, "--buyer-ms", str(self.buyer_ms)]
        return [sys.executable, "-S", str(DEVICES / "terminal.py"), *place, "--speed", "20"]

    def start(self):
        with open(self.home / "stderr", "ab") as stderr:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=till.ENVIRONMENT)
        ready, _, _ = select.select([self.process.stdout], [], [], READY_S_MAX)
        assert ready, f"no READY: {self.said()}"
        line = self.process.stdout.readline().decode()
        assert line.startswith("READY "), f"{line!r}: {self.said()}"
        self.url = line.split()[1]
        if self.link == "tcp":
            # Started again, it listens at the same place.
            self.where = self.url.split("//")[1]
        return self

    def said(self):
        return (self.home / "stderr").read_text()

    def arm(self, *lines):
        """Types lines, and waits until they have been read: the last one is answered."""
        self.words += 1
        for line in (*lines, f"read-{self.words}"):
            self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        until(lambda: f"read-{self.words}" in self.said(), f"{lines} are read", READY_S_MAX)

    def kill(self):
        """As a power cut; what waited on standard input is forgotten."""
        if self.process:
            self.process.kill()
            self.ended()

    def stop(self):
        self.process.terminate()
        assert self.ended() == 0, f"SIGTERM does not end it with exit code 0: {self.said()}"

    def ended(self):
        code = self.process.wait(timeout=READY_S_MAX)
        self.process.stdin.close(), self.process.stdout.close()
        self.process = None
        return code

    def end_of_day(self):
        """By a tiny till that has the terminal to itself."""
        own = until(lambda: (till.TcpTill if self.link == "tcp" else till.SerialTill).open(self), "the link is free", READY_S_MAX)
        try:
            own.register()
            assert till.label(own.run("06 50 03 00 00 00")[-1]) == "06 0F", self.said()
        finally:
            own.close()

    def journal(self):
        try:
            text = self.journal_path.read_text()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def events(self):
        return [line["event"] for line in self.journal()]

    def charges(self):
        """What became of each charge, by terminal, receipt and trace number: `[state, amount]`."""
        found = {}
        for line in self.journal():
            key = (line["terminal_id"], line.get("receipt"), line.get("trace"))
            match line["event"]:
                case "approved":
                    assert key not in found, f"two charges have the numbers {key}"
                    found[key] = ["approved", line["amount"]]
                case "foreign":
                    found[key] = ["foreign", line["amount"]]
                case "committed":
                    assert found[key][0] == "approved", f"{key} is committed after it was {found[key]}"
                    found[key] = ["stands", line["amount"]]
                case "reversed" | "auto_reversed":
                    found[key][0] = "taken back"
                case "declined" if key in found:
                    found[key][0] = "taken back"
        return found


def foreign(kit):
    """Payments without order, as the kit lists them: terminal, receipt, trace: amount."""
    listed = kit.asked("/api/v1/foreign-payments")
    return {(found["terminal_id"], found["receipt"], found["trace"]): found["amount"]["minor"] for found in listed}


def agree(kit, terminal):
    """Holds the terminal's journal against the kit, payment by payment; figures. The kit must run."""
    payments = [payment for payment in kit.json("payments") if payment["tender"] == "card"]
    orders = kit.json("orders")
    charges = terminal.charges()
    stands = {key: amount for key, (state, amount) in charges.items() if state == "stands"}
    not_final = {key: state for key, (state, _) in charges.items() if state == "approved"}
    assert not not_final, f"charges that nobody ended: {not_final}"
    open_ones = [payment for payment in payments if payment["state"] in UNDER_WAY]
    assert not open_ones, f"payments under way: {open_ones}"
    booked = [payment for payment in payments if payment["state"] in ("captured", "at_risk")]
    if terminal.protocol == "telium":
        # It tells neither who it is nor a number: amounts in their order are all that there is.
        in_order = [payment["amount"]["minor"] for payment in reversed(booked)]
        assert in_order == list(stands.values()), f"kit {in_order}, terminal {stands}"
    else:
        numbers = [(payment["terminal_id"], payment["terminal_receipt"], payment["trace"]) for payment in booked]
        assert len(set(numbers)) == len(numbers), f"a charge pays twice: {sorted(numbers)}"
        kit_says = {key: payment["amount"]["minor"] for key, payment in zip(numbers, booked)}
        differs = {key: (kit_says.get(key), stands.get(key)) for key in {*kit_says, *stands} if kit_says.get(key) != stands.get(key)}
        assert not differs, f"kit and terminal differ in (kit, terminal): {differs}"
        for payment in payments:
            key = (payment["terminal_id"], payment["terminal_receipt"], payment["trace"])
            if payment["state"] == "reversed" and payment["trace"] is not None:
                assert charges[key][0] == "taken back", f"reversed for the kit, {charges[key]} for the terminal"
        by_hand, listed = {key: amount for key, (state, amount) in charges.items() if state == "foreign"}, foreign(kit)
        assert by_hand == listed, f"payments without order: the terminal has {by_hand}, the kit lists {listed}; {terminal.events()}"
    listed = {payment["payment_id"]: payment for order in orders for payment in order["payments"] if payment["tender"] == "card"}
    assert listed == {payment["payment_id"]: payment for payment in payments}, "orders and payments say the same"
    for order in orders:
        taken = sum(payment["taken"]["minor"] for payment in order["payments"])
        wanted = order["total"]["minor"] if order["state"] == "paid" else 0
        assert taken == wanted, f"{taken} taken of {order['total']}: {told(order)}"
        assert sum(payment["state"] in ("captured", "at_risk") for payment in order["payments"]) <= 1, told(order)
    no_gap(orders)
    verdict = kit.json("verify")
    assert verdict["ok"] is True, verdict
    states = [order["state"] for order in orders]
    figures = {state: states.count(state) for state in sorted(set(states))}
    # Counted, and not only asserted above: a line of figures says what was there.
    pays = Counter(order["order_id"] for order in orders for payment in order["payments"] if payment["taken"]["minor"])
    doubled = sum(times - 1 for times in pays.values()) + max(0, len(stands) - len(booked))
    return {"charges": len(charges), "standing": len(stands), "payments": len(payments), "doubled": doubled, "unknown": len(open_ones), **figures}


def no_gap(orders):
    """Receipts of each series, those of voids among them, are 1, 2, 3 …"""
    series = {}
    for order in orders:
        numbers = series.setdefault(order["series"], [])
        numbers += [order["receipt"]] if order["receipt"] else []
        numbers += [refund["receipt"] for refund in order["refunds"]]
    for name, numbers in series.items():
        assert sorted(numbers) == list(range(1, len(numbers) + 1)), f"series {name} has {sorted(numbers)}"
