"""The talk between till and ZVT terminal under the commands: one at a time, questions and answers, waits, faults.

Promises: while a command runs, another one is answered 84 9C and 06 B0 as far as the card was not read; every wait
ends. Faults of the script are taken when their command arrives. Absent on purpose: what the commands do.
"""

import time

from links import Gone
from machine import Machine, StopKey, say
from zvt_bytes import block, label
from zvt_link import BareLink, FramedLink, NoAnswer

ACCEPTED = block("80 00")
NOT_POSSIBLE, WAIT = 0x83, 0x9C
# Blocks that tell how a command ended.
DECISIVE = ("04 0F", "06 0F", "06 1E")


def is_answer(whole):
    return whole[0] in (0x80, 0x84)


class Talk(Machine):
    def __init__(self, book, wire, script, timers):
        super().__init__(book, wire, script, timers)
        self.link = (FramedLink if wire.place.serial else BareLink)(wire, timers, self.judge)
        self.ignored, self.ignored_left = None, 0

    def begin(self):
        super().begin()
        self.current, self.link.bad_blocks = None, 0
        self.link.give_back()

    def serve(self):
        """Serves tills until power is cut or the program ends."""
        while True:
            self.begin()
            try:
                self.happen()
                whole = self.link.receive(None, attach=True)
                self.idle = False
                if not is_answer(whole):
                    self.command(whole)
            except Gone:
                if self.current is None:
                    self.count_cut()
                self.link.reset()
            except NoAnswer as error:
                say(error)
                self.give_up_link()

    def command(self, whole):
        """What a command of the till does."""
        raise NotImplementedError

    def give_up_link(self):
        """After a missing answer: over TCP nothing else tells the till; a serial line stays as it is."""
        if not self.link.serial:
            self.wire.drop()

    # --- blocks ---

    def send(self, whole):
        name = label(whole)
        if seconds := self.late_by(name, DECISIVE):
            self.pause(seconds)
        self.link.send(whole)
        self.sent(name, DECISIVE)

    def refuse(self, code):
        self.send(block(f"84 {code:02X}"))

    def ask(self, whole):
        """Sends a block and returns the till's answer to it."""
        self.send(whole)
        deadline = time.monotonic() + self.timers.t3_s
        while (answer := self.link.receive(deadline)) is not None:
            if is_answer(answer):
                return answer
            self.interrupt(answer)
        raise NoAnswer(f"{label(whole)} was not answered")

    def interrupt(self, whole):
        """A command while another one runs."""
        if label(whole) != "06 B0":
            self.refuse(WAIT)
        elif self.before_card:
            self.stopped_by = "till"
            self.link.send(ACCEPTED)
        else:
            self.refuse(NOT_POSSIBLE)

    # --- waits ---

    def pause(self, seconds):
        """Waits while the till may interrupt; ends early when the command was stopped."""
        deadline = time.monotonic() + seconds
        self.pausing = True
        try:
            while not self.stopped_by and (whole := self.link.receive(deadline)) is not None:
                if not is_answer(whole):
                    self.interrupt(whole)
        except StopKey:
            self.stopped_by = "buyer"
        finally:
            self.pausing = False

    def occupy(self, seconds):
        """Works on its own, whether or not a till is there; one that asks is told to wait."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                whole = self.link.receive(deadline, attach=True)
                if whole is None:
                    return
                if not is_answer(whole):
                    self.say_busy(whole)
            except (Gone, NoAnswer):
                self.link.reset()

    def say_busy(self, whole):
        if label(whole) == "05 01":
            self.say_state(WAIT)
        else:
            self.refuse(NOT_POSSIBLE if label(whole) == "06 B0" else WAIT)

    def say_state(self, code):
        """The answer to an enquiry of the state."""
        raise NotImplementedError

    # --- the script ---

    def judge(self, whole):
        """What the link shall do with a block: take, nak or ignore it."""
        if self.idle and not is_answer(whole):
            if whole == self.ignored and self.ignored_left:
                self.ignored_left -= 1
                return "ignore"
            self.ignored_left = 0
            if whole != self.current and not self.busy:
                self.current, self.faults = whole, self.script.take(label(whole))
                if self.faults.pop("mute", False):
                    # A serial till repeats what was not acknowledged, and that is still the same command.
                    self.ignored, self.ignored_left = whole, 2 if self.link.serial else 0
                    self.begin()
                    self.arm()
                    return "ignore"
                self.break_wire()
        if self.faults.get("nak"):
            self.faults["nak"] -= 1
            return "nak"
        return "take"

    def break_wire(self):
        self.break_cable()
        self.wire.cut_sent = self.faults.get("cut-after")
        self.link.bad_blocks = self.faults.get("bad-crc", 0)

    def header(self, heard):
        return self.link.reader.header(heard)
