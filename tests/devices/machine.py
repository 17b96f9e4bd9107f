"""What terminals of every protocol share: the script they follow, live lines, and how faults change a payment.

Promises: what happens between transactions waits until the terminal is idle, so that the journal never has a payment
made by hand in the middle of another. Absent on purpose: protocols and waits.
"""

import sys

from links import PowerCut
from script import Step, Unreadable, help_text

EUR = 978
REFUSED_BY_ISSUER = 0x05


class StopKey(Exception):
    """The buyer pressed stop while the card was awaited."""


def say(words):
    print(words, file=sys.stderr, flush=True)


def noise(count):
    """Bytes that are no control character of any protocol here, the same ones each time."""
    return bytes(0x81 + at * 37 % 0x7D for at in range(count))


class Machine:
    def __init__(self, book, wire, script, timers):
        self.book, self.wire, self.script, self.timers = book, wire, script, timers
        self.busy, self.cards_inserted, self.pausing = 0, 0, False

    def begin(self):
        """Between two commands; the first thing a machine that serves does."""
        self.faults, self.idle, self.armed = {}, True, None
        self.before_card, self.stopped_by = False, None
        self.wire.disarm()

    def header(self, heard):
        """Which command begins in these bytes; None while that is not to be seen."""
        raise NotImplementedError

    # --- the script ---

    def on_line(self, line):
        """A line of standard input."""
        text = line.strip()
        if text == "help":
            print(help_text(), flush=True)
        elif text == "clear":
            self.script.steps.clear()
        elif text == "power-cycle":
            raise PowerCut
        elif text == "abort" and self.before_card:
            self.stopped_by = "buyer"
            if self.pausing:
                raise StopKey
        else:
            try:
                self.script.add(line)
            except Unreadable as error:
                say(error)
        if self.idle:
            self.happen()

    def happen(self):
        """What the script says about the terminal itself, and about bytes of a command that has not come yet."""
        for name, value in self.script.due():
            if name == "foreign":
                self.book.foreign(value, EUR)
            elif name == "offline-declined":
                self.decline_offline()
            elif name == "card-inserted":
                self.cards_inserted = 1 if value is None else value
            elif name == "busy":
                self.busy = value
        self.arm()

    def arm(self):
        step = self.script.steps[0] if self.script.steps else Step()
        if step is not self.armed:
            self.armed = step
            self.wire.listen_for(step.faults.get("cut-after-received"), lambda heard: self.meant(step, heard))

    def meant(self, step, heard):
        name = self.header(heard)
        return None if name is None else step.waits_for(name)

    def count_cut(self):
        """The link went down before its command was known: if that was the script's cut, it has happened."""
        if self.wire.was_cut and self.script.steps:
            self.script.steps.popleft()

    def break_cable(self):
        self.wire.gap_s = self.faults.get("one-byte-at-a-time", 0) / 1000
        self.wire.noise = noise(self.faults.get("garbage", 0))

    def late_by(self, name, decisive):
        """How many seconds this block shall leave late; once."""
        milliseconds, block = self.faults.get("late", (0, None))
        if name not in ([block] if block else decisive):
            return 0
        self.faults.pop("late", None)
        return milliseconds / 1000

    def sent(self, name, decisive):
        """What happens to the terminal once this block has left."""
        if self.faults.get("mute-after") == name:
            self.wire.muted = True
        block = self.faults.get("power-cycle")
        if "power-cycle" in self.faults and name in ([block] if block else decisive):
            raise PowerCut

    # --- payments ---

    def charge(self, asked, currency):
        """Charges the card, as far as faults let it."""
        amount = self.faults.get("wrong-amount", min(asked, self.faults.get("partial", asked)))
        more = {"offline": True} if "offline" in self.faults else {}
        if amount != asked:
            more["requested"] = asked
        return self.book.charge(amount, self.faults.get("wrong-currency", currency), **more)

    def leaks(self):
        return "pan-in-text" in self.faults

    def decline_offline(self):
        for entry in self.book.open_batch():
            if entry.offline and entry.state in ("charged", "committed"):
                self.book.about("declined", entry, result=REFUSED_BY_ISSUER, cause="upload")
