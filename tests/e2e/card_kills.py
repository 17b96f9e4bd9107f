"""Card sales by the command line while the daemon and the command line are killed (`kill -9`) at random moments.

Promises: exit code 0 only where every sale came to an end under its key, exactly one order each; where the terminal's
journal and the kit agree payment by payment, receipts have no gap, `verify` is clean and nothing is in doubt. The seed
decides which sales are hit and when; what the machine does meanwhile, it does not. The last line is JSON.
Absent on purpose: faults of the terminal and its link (`card_sales.py`), and syncs that fail (`scripts/crash`).
"""

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter

from card_tools import ITEMS, SKUS, CardKit, Terminal, agree, order_in, told, until

SEED = 20_261_120
# Of a thousand sales, so many are hit in the daemon, and as many at the command line; of fewer, at least the latter.
KILLS_OF_THOUSAND, KILLS_MIN = 20, 4
# Sales before the first hit. They tell how long it takes from the command to the terminal's last line; moments are spread
# over that and somewhat more.
UNHARMED, SPREAD = 10, 1.3
DECLINED_EACH, STOPPED_EACH = 23, 37
# From the first try to an answer that is final.
FINAL_S_MAX = 60


class Seller:
    def __init__(self, kit, terminal, chance):
        self.kit, self.terminal, self.chance = kit, terminal, chance
        self.ends, self.hit, self.restarts_ms, self.took_s, self.repeats = Counter(), Counter(), [], [], 0

    def begin(self, number):
        return subprocess.Popen(self.kit.selling(SKUS[number // 2 % len(SKUS)], f"sale-{number}"),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)

    def moment(self):
        """Some time passes; whatever has happened by then is to end well."""
        usual = sorted(self.took_s)[len(self.took_s) // 2]
        threading.Event().wait(self.chance.uniform(0, SPREAD * usual))

    def plain(self, number):
        out, _ = self.begin(number).communicate(timeout=FINAL_S_MAX)
        return self.final(number, order_in(out))

    def timed(self, number):
        """As a plain sale, with an eye on the terminal's journal."""
        lines, begun = len(self.terminal.journal()), time.monotonic()
        sale = self.begin(number)
        until(lambda: len(self.terminal.journal()) > lines and self.terminal.events()[-1] != "approved", "the terminal is done", FINAL_S_MAX)
        self.took_s.append(time.monotonic() - begun)
        out, _ = sale.communicate(timeout=FINAL_S_MAX)
        return self.final(number, order_in(out))

    def daemon_killed(self, number):
        sale = self.begin(number)
        self.moment()
        self.kit.kill()
        begun = time.monotonic()
        self.kit.up()
        self.restarts_ms.append((time.monotonic() - begun) * 1000)
        sale.communicate(timeout=FINAL_S_MAX)
        return self.final(number, None, "daemon")

    def command_killed(self, number):
        sale = self.begin(number)
        self.moment()
        sale.kill()
        sale.communicate()
        return self.final(number, None, "command")

    def final(self, number, order, killed=None):
        """Repeats a sale under its key until there is an order, and ends the order."""
        said = ""

        def answered():
            nonlocal order, said
            if order is None:
                self.repeats += 1
                sale = self.begin(number)
                out, said = sale.communicate(timeout=FINAL_S_MAX)
                order = order_in(out)
            return order
        until(answered, lambda: f"sale-{number} has no order: {said}", FINAL_S_MAX)
        ended = self.kit.settled(order)
        if killed:
            self.hit[f"{killed}: {'+'.join(payment['state'] for payment in ended['payments'])}"] += 1
        attempt = 0
        while ended["state"] == "awaiting_payment":
            attempt += 1
            if self.chance.random() < 0.5:
                ended = self.kit.cancelled(order, f"give-up-{number}")
            else:
                ended = self.kit.begun(order, f"attempt-{number}-{attempt}")
        assert ended["state"] in ("paid", "cancelled"), told(ended)
        self.ends[ended["state"]] += 1
        return order


def chosen(chance, count):
    """Numbers of sales that are hit: in the daemon, at the command line."""
    kills = max(KILLS_MIN, count * KILLS_OF_THOUSAND // 1000)
    hit = chance.sample(range(UNHARMED, count), 2 * kills)
    return set(hit[:kills]), set(hit[kills:])


def sells(seller, count):
    """All sales, in their order; their orders."""
    daemon, command = chosen(seller.chance, count)
    orders = []
    for number in range(count):
        if number % DECLINED_EACH == 11:
            seller.terminal.arm("decline")
        elif number % STOPPED_EACH == 5:
            seller.terminal.arm("abort")
        how = seller.timed if number < UNHARMED else seller.plain
        how = seller.daemon_killed if number in daemon else seller.command_killed if number in command else how
        orders.append(how(number))
    return orders, len(daemon), len(command)


def main():
    program, home, count, *more = sys.argv[1:]
    count, (seed, link, kind) = int(count), (*more, *(str(SEED), "tcp", "ours")[len(more):])
    chance = random.Random(int(seed))
    begun = time.monotonic()
    terminal = Terminal(program, f"{home}/terminal", kind, link, "--receipt-start", "9800").start()
    kit = CardKit(program, f"{home}/data", terminal.url).found(*ITEMS)
    try:
        kit.up().ready()
        seller = Seller(kit, terminal, chance)
        orders, daemon, command = sells(seller, count)
        there = [order["order_id"] for order in kit.json("orders")]
        assert sorted(there) == sorted(orders) and len(set(orders)) == count, f"{len(there)} orders, {len(set(orders))} known, {count} sales"
        figures = agree(kit, terminal)
        kit.stop()
        assert kit.json("verify")["ok"] is True
        terminal.stop()
    finally:
        kit.kill()
        terminal.kill()
    taken_back = figures["charges"] - figures["standing"]
    for what, times in sorted(seller.hit.items()):
        print(f"hit      {what}  {times}")
    print(f"restarts: {len(seller.restarts_ms)}, longest {max(seller.restarts_ms):.0f} ms; sales repeated under their key: {seller.repeats}")
    print(f"terminal and kit agree: {figures['charges']} charges, {taken_back} taken back, {figures['standing']} stand for {figures['paid']} paid orders; {figures['doubled']} doubled, {figures['unknown']} unknown")
    print("1 passed, 0 failed")
    print(json.dumps({"sales": count, "seed": int(seed), "link": link, "terminal": kind, "daemon_kills": daemon, "command_kills": command, "orders": dict(seller.ends),
                      "payments": figures["payments"], "charges": figures["charges"], "taken_back": taken_back, "standing": figures["standing"],
                      "doubled": figures["doubled"], "unknown": figures["unknown"], "seconds": round(time.monotonic() - begun, 1)}))


main()
