"""A card terminal that speaks Telium protocol E: one question of 34 characters, one answer of 83.

Promises: a frame with a wrong checksum or length is answered NAK; the journal has the charge before the answer leaves.
The protocol knows no reversal by the terminal and no way to ask again: a payment stands once the card was charged, and
is marked `committed` when the till acknowledged the answer.
Absent on purpose: cheques and other means than cards, duplicates, the forced call of the issuer (B011 is read over).
"""

import time

from links import Gone
from machine import Machine, StopKey, say
from zvt_texts import LEAKED, LEAKED_TRACK

ENQ, ACK, NAK, EOT, STX, ETX = b"\x05", b"\x06", b"\x15", b"\x04", b"\x02", b"\x03"
ASK_CHARACTERS = 34
REPORT_CHARACTERS = 55
PRIVATE_CHARACTERS = 10
SENDS_MAX = 3
# The time between two bytes is the till's and not sped up.
BYTE_GAP_S_MAX = 0.2
DONE, REFUSED, NOT_VERIFIED = 0, 7, 9
PAYMENT, REFUND, CANCEL = "0", "1", "2"
# What the answer stands in.
DECISIVE = ("STX",)
AT_ONCE, WITH_REPORT = "A011", "1"


class Unanswered(Exception):
    """The till did not acknowledge in time."""


def redundancy(data):
    """LRC: all bytes between STX and itself, ETX with them, by exclusive or."""
    value = 0
    for byte in data + ETX:
        value ^= byte
    return bytes([value])


def frame(data):
    return STX + data + ETX + redundancy(data)


class Ask:
    """The till's question."""

    def __init__(self, data):
        text = data.decode("ascii")
        self.till, self.amount, self.flag, self.mode, self.kind = text[:2], int(text[2:10]), text[10], text[11], text[12]
        self.currency, self.private, self.delay = int(text[13:16]), text[16:26], text[26:30]


class TeliumTerminal(Machine):
    def __init__(self, _options, book, wire, script, timers):
        self.received, self.generation = bytearray(), wire.generation
        super().__init__(book, wire, script, timers)

    def begin(self):
        super().begin()
        self.taken, self.naks, self.bad_frames = False, 0, 0

    def serve(self):
        while True:
            self.begin()
            try:
                self.happen()
                self.talk()
            except Gone:
                if not self.taken:
                    self.count_cut()
                self.received.clear()
                self.generation = self.wire.generation
            except Unanswered as error:
                say(error)

    def talk(self):
        """One turn of the till: a poll, or a question and its answer."""
        if self.byte(None, attach=True) != ENQ:
            return
        self.idle = False
        if self.busy:
            self.busy -= 1
            self.wire.write(NAK)
            return
        self.wire.cut_sent = self.script.next_for("ask").faults.get("cut-after")
        self.wire.write(ACK)
        ask = self.receive()
        if ask is None:
            return
        if ask.delay == AT_ONCE:
            self.answer(ask, NOT_VERIFIED, None)
            self.run(ask)
            return
        result, entry = self.run(ask)
        for _ in range(2 if "repeat-approval" in self.faults else 1):
            self.answer(ask, result, entry)

    def header(self, heard):
        """Every turn counts: nobody can tell a poll from a question by its first byte."""
        return "ask" if heard else None

    # --- bytes ---

    def byte(self, deadline, attach=False):
        """The next byte of the till; none when the time is up."""
        while not self.received:
            if self.wire.generation != self.generation:
                self.generation = self.wire.generation
                raise Gone("the link is another one")
            self.received += self.wire.read(deadline, attach)
            if not self.received and deadline is not None and time.monotonic() >= deadline:
                return b""
        return bytes([self.received.pop(0)])

    def send(self, name, data):
        """Sends something that has a name in scripts."""
        self.wire.rest(self.late_by(name, DECISIVE))
        self.wire.write(data)
        self.sent(name, DECISIVE)

    # --- the question ---

    def receive(self):
        """The till's question; None where it only polled or gave up."""
        deadline = time.monotonic() + SENDS_MAX * self.timers.t2_s
        ask = None
        while byte := self.byte(deadline):
            if byte == EOT:
                return None if self.wire.muted else ask
            if byte == ENQ:
                # The till begins anew: its byte is the next turn's.
                self.received[:0] = byte
                return None
            if byte == STX:
                ask = self.read_ask(self.read_frame())
        return None

    def read_frame(self):
        """What stands between STX and ETX; None where the checksum is wrong or the bytes stop."""
        data = b""
        while (byte := self.byte(time.monotonic() + BYTE_GAP_S_MAX)) not in (ETX, b""):
            data += byte
        check = self.byte(time.monotonic() + BYTE_GAP_S_MAX) if byte else b""
        return data if check == redundancy(data) else None

    def read_ask(self, data):
        """Answers a frame with ACK or NAK; the question if it was one."""
        try:
            ask = Ask(data) if data is not None and len(data) == ASK_CHARACTERS else None
        except ValueError as error:
            say(error)
            ask = None
        if ask is not None and not self.taken:
            self.take_faults()
        if ask is None or self.naks:
            self.naks -= ask is not None
            self.wire.write(NAK)
            return None
        self.send("ACK", ACK)
        return ask

    def take_faults(self):
        self.taken, self.faults = True, self.script.take("ask")
        self.naks, self.bad_frames = self.faults.get("nak", 0), self.faults.get("bad-crc", 0)
        self.break_cable()
        # Silent until the till begins anew.
        self.wire.muted = "mute" in self.faults

    # --- the payment ---

    def run(self, ask):
        """The payment itself: its result, and what the book has of it."""
        if not self.await_card():
            self.book.aborted(ask.amount, ask.currency, self.stopped_by)
            return REFUSED, None
        self.wire.rest(self.timers.host_s)
        if ask.kind not in (PAYMENT, REFUND, CANCEL):
            return REFUSED, None
        if "decline" in self.faults:
            result = NOT_VERIFIED if self.faults["decline"] == NOT_VERIFIED else REFUSED
            self.book.refuse(ask.amount, ask.currency, result)
            return result, None
        if ask.kind == PAYMENT:
            return DONE, self.charge(ask.amount, ask.currency)
        if ask.kind == REFUND:
            return DONE, self.book.refund(ask.amount, ask.currency)
        standing = [entry for entry in self.book.open_batch() if entry.kind == "payment" and entry.amount == ask.amount
                    and entry.state in ("charged", "committed")]
        return (DONE, self.book.reverse(standing[-1])) if standing else (REFUSED, None)

    def await_card(self):
        self.before_card, self.pausing = True, True
        try:
            self.wire.rest(self.timers.card_s + self.faults.get("slow-card", 0) / 1000)
            if "abort" in self.faults:
                self.stopped_by = "buyer"
        except StopKey:
            self.stopped_by = "buyer"
        finally:
            self.before_card, self.pausing = False, False
        return not self.stopped_by

    # --- the answer ---

    def answer(self, ask, result, entry):
        for _ in range(self.faults.get("flood", 0)):
            self.exchange("ENQ", ENQ)
            self.send("EOT", EOT)
        self.exchange("ENQ", ENQ)
        self.exchange("STX", frame(self.answer_data(ask, result, entry)))
        if entry and entry.state == "charged":
            self.book.commit(entry, entry.amount)
        self.send("EOT", EOT)

    def answer_data(self, ask, result, entry):
        amount, currency = (entry.amount, entry.currency) if entry else (ask.amount, ask.currency)
        report = f"{LEAKED} ;{LEAKED_TRACK}" if self.leaks() else "############8074 MASTERCARD"
        private = ask.private if ask.private.strip() else f"TX{self.book.next_trace - 1:08d}"
        text = f"{ask.till}{result}{amount:08d}{ask.mode}"
        if ask.flag == WITH_REPORT:
            text += f"{report:{REPORT_CHARACTERS}}"
        return f"{text}{currency:03d}{private:{PRIVATE_CHARACTERS}}".encode()

    def exchange(self, name, data):
        """Sends until the till acknowledges, three times at most."""
        for _ in range(SENDS_MAX):
            sent = data
            if name == "STX" and self.bad_frames > 0:
                self.bad_frames -= 1
                sent = data[:-1] + bytes([data[-1] ^ 0x7F])
            self.send(name, sent)
            deadline = time.monotonic() + self.timers.t2_s
            while (byte := self.byte(deadline)) not in (ACK, NAK, b""):
                pass
            if byte == ACK:
                return
        raise Unanswered(f"{name} was not acknowledged")
