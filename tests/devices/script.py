"""Faults a terminal can be told to have, as lines of text: from a file in order, and live on standard input.

Promises: a line that cannot be read is refused with its reason and changes nothing. Faults are taken in the order of
their lines: a line about a transaction waits for the next one, a line about the terminal itself happens as soon as
the terminal is idle and it is this line's turn. Absent on purpose: what a fault does; the machines know.
"""

from collections import deque
from dataclasses import dataclass, field

# Commands that move money; what `on` does not name otherwise is meant for these.
TRANSACTIONS = ("06 01", "06 30", "06 31", "ask")
# Blocks of protocol E have names in place of bytes.
CONTROLS = ("ENQ", "ACK", "STX", "EOT")


class Unreadable(Exception):
    """A line that is no command of the script."""


def whole(text):
    value = int(text)
    if value < 0:
        raise ValueError("a number must not be negative")
    return value


def code(text):
    value = int(text, 16)
    if not 0 < value < 0x100:
        raise ValueError("a result is two hex digits and not 00")
    return value


def block_name(text):
    if text.upper() in CONTROLS:
        return text.upper()
    both = bytes.fromhex(text)
    if len(both) != 2:
        raise ValueError("a block is named by two bytes in hex, or ENQ, ACK, STX, EOT")
    return both.hex(" ").upper()


# name: (arguments, of which `[…]` may be left out; whether it happens between transactions; what it does)
FAULTS = {
    "ok": ("", False, "nothing goes wrong with this one"),
    "decline": ("[CODE]", False, "the issuer refuses (hex, 05 unless given; protocol E: 07 or 09)"),
    "abort": ("", False, "the buyer presses stop; live, a running transaction is stopped if the card was not read"),
    "mute": ("", False, "the command is never answered"),
    "mute-after": ("BLOCK", False, "silent until the command has ended, after it sent BLOCK such as 04 0F"),
    "late": ("MS [BLOCK]", False, "BLOCK leaves late; unless given 04 0F, or else what ends the command"),
    "bad-crc": ("N", False, "the next N blocks leave with a wrong checksum (serial)"),
    "nak": ("N", False, "the next N blocks of the till are answered NAK (serial)"),
    "cut-after": ("N", False, "the link drops after N bytes were sent"),
    "cut-after-received": ("N", False, "the link drops after N bytes were received, counted from the command's first"),
    "power-cycle": ("[BLOCK]", False, "power is cut after BLOCK left, or what late means; live without BLOCK at once"),
    "keep-charged": ("", False, "the payment stays charged although the till did not answer 04 0F"),
    "wrong-amount": ("MINOR", False, "another amount is charged than was asked"),
    "wrong-currency": ("NUMBER", False, "another currency is charged, such as 840"),
    "partial": ("MINOR", False, "at most MINOR is approved"),
    "repeat-approval": ("", False, "the approval is sent twice"),
    "garbage": ("N", False, "N bytes of noise stand before the first answer"),
    "one-byte-at-a-time": ("MS", False, "each byte is sent alone, MS after the one before"),
    "flood": ("N", False, "N status frames before the result (protocol E: N polls)"),
    "pan-in-text": ("", False, "a full card number and a track in texts and print lines, as ASCII and as digits"),
    "offline": ("", False, "approved offline and stored for later"),
    "slow-card": ("MS", False, "the buyer takes MS longer to present the card; 06 B0 still stops it"),
    "foreign": ("MINOR", True, "somebody makes a payment by hand at the terminal"),
    "offline-declined": ("", True, "payments stored offline are uploaded and declined"),
    "card-inserted": ("[N]", True, "the next N enquiries of the state (1) say that a card is inserted"),
    "busy": ("N", True, "the next N commands are answered: please wait"),
}
ARGUMENTS = {"CODE": code, "MS": whole, "N": whole, "MINOR": whole, "NUMBER": whole, "BLOCK": block_name}
HELP = """A line is one of these, or several joined by ` + ` to meet in one transaction.
`on 06 20 FAULT` waits for that command in place of the next transaction, `on any FAULT` for any command.
`clear` forgets what waits. `help` prints this. # begins a comment. Times are milliseconds, never sped up.
"""


@dataclass
class Step:
    """One line: faults by name with their arguments, and which command they wait for."""
    faults: dict = field(default_factory=dict)
    target: str = ""

    def waits_for(self, name):
        return self.target == "any" or name == self.target or not self.target and name in TRANSACTIONS

    def at_once(self):
        return any(FAULTS[name][1] for name in self.faults)


class Script:
    def __init__(self, text=""):
        self.steps = deque()
        for line in text.splitlines():
            self.add(line)

    def add(self, line):
        step = read_line(line)
        if step is not None:
            self.steps.append(step)

    def due(self):
        """Takes what stands in front and happens between transactions."""
        while self.steps and self.steps[0].at_once():
            yield from self.steps.popleft().faults.items()

    def next_for(self, name):
        """The step in front if it waits for the command; stays there."""
        return self.steps[0] if self.steps and self.steps[0].waits_for(name) else Step()

    def take(self, name):
        """Takes the step in front if it waits for the command; its faults."""
        return self.steps.popleft().faults if self.steps and self.steps[0].waits_for(name) else {}


def read_line(line):
    text = line.split("#")[0].strip()
    if not text:
        return None
    step = Step()
    words = text.split()
    if words[0] == "on":
        size = 2 if words[1:2] in (["any"], ["ask"]) else 3
        step.target = read_target(words[1:size])
        words = words[size:]
    for part in " ".join(words).split(" + "):
        name, *arguments = part.split() or [""]
        step.faults[name] = read_fault(name, arguments)
    if step.at_once() and (len(step.faults) > 1 or step.target):
        raise Unreadable(f"{line.strip()}: what happens between transactions stands alone")
    return step


def read_target(words):
    if words in (["any"], ["ask"]):
        return words[0]
    try:
        return block_name(" ".join(words))
    except ValueError as error:
        raise Unreadable(f"on {' '.join(words)}: {error}; or any") from None


def read_fault(name, arguments):
    """The fault's argument, a tuple of them, or True where it takes none; None for one that was left out."""
    if name not in FAULTS:
        raise Unreadable(f"{name or 'nothing'}: not known; help lists what is")
    wanted = FAULTS[name][0].split()
    if wanted[-1:] in (["BLOCK"], ["[BLOCK]"]):
        # The only argument of two words, and always the last.
        front, block = arguments[:len(wanted) - 1], arguments[len(wanted) - 1:]
        arguments = front + ([" ".join(block)] if block else [])
    least = sum(not kind.startswith("[") for kind in wanted)
    if not least <= len(arguments) <= len(wanted):
        raise Unreadable(f"{name}: write it as `{' '.join([name, *wanted])}`")
    try:
        values = [ARGUMENTS[kind.strip("[]")](text) for kind, text in zip(wanted, arguments)]
    except ValueError as error:
        raise Unreadable(f"{name} {' '.join(arguments)}: {error}") from None
    values += [None] * (len(wanted) - len(values))
    return tuple(values) if len(values) > 1 else values[0] if values else True


def help_text():
    width = max(len(f"{name} {arguments}") for name, (arguments, _, _) in FAULTS.items())
    lines = [f"  {name + ' ' + arguments:{width}}  {words}" for name, (arguments, _, words) in FAULTS.items()]
    return HELP + "\n".join(lines) + "\n"
