"""Blocks of ZVT over a wire: bare over TCP, framed and acknowledged over a serial line.

Promises: over a serial line each good block is answered ACK, each bad one NAK, a pause of more than T1 inside a block
counts as bad; a block that is not acknowledged within T2 is sent up to three times in all. The till's repeat of a
block that was not answered yet is acknowledged and dropped. Absent on purpose: what a block means.
"""

import time
from collections import deque

import zvt_bytes
from links import Gone

# The time between two bytes is the till's and not sped up.
T1_S = 0.2
SENDS_MAX = 3
# Over TCP nothing says how long a block may take to arrive; the link is given up after this.
BLOCK_S_MAX = 5


class NoAnswer(Exception):
    """The till did not acknowledge or answer in time."""


class BareLink:
    """`judge` says of each block of the till: take, nak or ignore; nobody can say NAK here, so that takes it."""

    serial = False

    def __init__(self, wire, timers, judge):
        self.wire, self.timers, self.judge = wire, timers, judge
        self.bad_blocks = 0
        self.reset()

    def reset(self):
        self.reader, self.raw, self.blocks = self.make_reader(), bytearray(), deque()
        self.generation = self.wire.generation

    @staticmethod
    def make_reader():
        return zvt_bytes.BareReader()

    def send(self, block):
        self.wire.write(block)

    def give_back(self):
        """Bytes behind the last block belong to the next command, and are received once that may begin."""
        self.wire.give_back(self.raw)
        self.raw.clear()

    def receive(self, deadline, attach=False):
        """The next block of the till; None when the time is up."""
        while not self.blocks:
            found = self.pull(deadline, attach)
            if found is None:
                return None
            self.take(*found)
        return self.blocks.popleft()

    def take(self, _kind, block):
        if self.judge(block) != "ignore":
            self.blocks.append(block)

    def pull(self, deadline, attach=False):
        """What the next bytes complete; None when the time is up."""
        while True:
            if found := self.reader.take(self.raw):
                return found
            if self.wire.generation != self.generation:
                self.reset()
                raise Gone("the link is another one")
            inner = time.monotonic() + self.pause_s if self.reader.open(self.raw) else None
            limits = [limit for limit in (deadline, inner) if limit is not None]
            data = self.wire.read(min(limits, default=None), attach)
            self.raw += data
            if not data and inner is not None and time.monotonic() >= inner:
                return self.broken_off()
            if not data and deadline is not None and time.monotonic() >= deadline:
                return None

    pause_s = BLOCK_S_MAX

    def broken_off(self):
        self.wire.drop()
        raise Gone("a block of the till did not end")


class FramedLink(BareLink):
    serial = True
    pause_s = T1_S

    @staticmethod
    def make_reader():
        return zvt_bytes.FrameReader()

    def reset(self):
        super().reset()
        self.unanswered = None

    def broken_off(self):
        self.reader.reset()
        return ("bad", "a pause inside a block")

    def take(self, kind, what):
        if kind == "bad":
            self.wire.write(bytes([zvt_bytes.NAK]))
        elif kind == "block":
            self.take_block(what)

    def take_block(self, block):
        if block == self.unanswered:
            self.wire.write(bytes([zvt_bytes.ACK]))
            return
        verdict = self.judge(block)
        if verdict == "take":
            self.unanswered = block
            self.blocks.append(block)
            try:
                self.wire.write(bytes([zvt_bytes.ACK]))
            except Gone:
                # The block has arrived all the same; what would be sent next finds the link down.
                return
        elif verdict == "nak":
            self.wire.write(bytes([zvt_bytes.NAK]))

    def send(self, block):
        self.unanswered = None
        for _ in range(SENDS_MAX):
            self.wire.write(self.framed(block))
            if self.wire.muted or self.acknowledged():
                return
        raise NoAnswer(f"{zvt_bytes.label(block)} was not acknowledged")

    def framed(self, block):
        frame = zvt_bytes.frame(block)
        if self.bad_blocks > 0:
            self.bad_blocks -= 1
            return frame[:-1] + bytes([frame[-1] ^ 0xFF])
        return frame

    def acknowledged(self):
        """Whether ACK comes within T2; blocks that come before it are kept."""
        deadline = time.monotonic() + self.timers.t2_s
        while (found := self.pull(deadline)) is not None:
            if found[0] in ("ack", "nak"):
                return found[0] == "ack"
            self.take(*found)
        return False
