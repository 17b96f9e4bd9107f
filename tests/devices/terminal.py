#!/usr/bin/env python3
"""A second payment terminal: ZVT or Telium protocol E, over TCP or a PTY, written from the protocol's words alone.

Promises: it shares no code and no author with the till's drivers and their simulator, so that one mistake cannot hide
in both. It prints one line `READY …` once it listens, ends by SIGTERM with exit code 0, and its journal knows each
payment before the till hears of it. Needs Python 3.11 on Linux and nothing else.
Absent on purpose: what a protocol means; see the module of its name.
"""

import argparse
import os
import signal
import sys
from dataclasses import dataclass

from journal import RECEIPT_MAX, Book
from links import Console, PowerCut, PtyPlace, Stop, TcpPlace, Wire
from script import Script, Unreadable, help_text
from telium_terminal import TeliumTerminal
from zvt_terminal import ZvtTerminal

PROTOCOLS = {"zvt": ZvtTerminal, "telium": TeliumTerminal}
PROFILES = {
    "standard": "as the protocol says",
    "no-auto-reversal": "a payment nobody acknowledged is set to declined, without a reversal",
    "bare-repeat": "a repeated receipt is a completion without status information",
    "last-only": "a reversal takes the last payment, whatever number it names",
}


@dataclass
class Timers:
    """Waits of the terminal in seconds; `speed` divides them."""
    speed: float
    # A block's acknowledgement; a command's answer; 04 0F again after 84 9C.
    t2_s: float = 5
    t3_s: float = 5
    again_s: float = 2
    # The buyer's card, the issuer's answer, a reversal by the terminal itself.
    card_s: float = 0.2
    host_s: float = 0.2
    reversal_s: float = 1
    # A dropped link is back, and a terminal without power is up again.
    back_s: float = 0.5
    boot_s: float = 1

    def __post_init__(self):
        for name in vars(self):
            if name != "speed":
                setattr(self, name, getattr(self, name) / self.speed)


def main():
    options = read_options()
    # A signal ends a wait by a byte; nothing is interrupted in the middle of a line of the journal.
    waker, end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(end)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    timers = Timers(options.speed)
    place = PtyPlace(options.pty) if options.pty else TcpPlace(options.tcp)
    wire = Wire(place, waker, Console(0, options.exit_with_stdin), timers.back_s)
    try:
        run(options, wire, timers)
    except Stop:
        pass
    finally:
        place.close()


def run(options, wire, timers):
    """Powers the terminal up, and again after each loss of power."""
    announced = False
    while True:
        try:
            book = Book(options.journal, options.state, options.terminal_id, options.receipt_start)
            machine = PROTOCOLS[options.protocol](options, book, wire, options.script, timers)
            wire.on_line = machine.on_line
            wire.place.open()
            if not announced:
                print(f"READY {url(options.protocol, wire.place)}", flush=True)
                announced = True
            machine.serve()
        except PowerCut:
            wire.place.close()
            without_power(wire, timers.boot_s, options.script)


def url(protocol, place):
    """Where a till finds it, as the till's own options are written."""
    return f"{protocol}{'+serial' if place.serial and protocol == 'zvt' else ''}{place.name()}"


def without_power(wire, seconds, script):
    """Until the terminal is up again; lines of standard input wait in the script."""
    def keep(line):
        if line.strip() != "power-cycle":
            try:
                script.add(line)
            except Unreadable as error:
                print(error, file=sys.stderr, flush=True)
    wire.on_line = keep
    wire.rest(seconds)


def read_options():
    parser = argparse.ArgumentParser(
        description="Be a payment terminal, with a journal and with faults on command",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="profiles:\n" + "".join(f"  {name:18}{words}\n" for name, words in PROFILES.items())
        + "\nlines of --script and of standard input:\n" + help_text())
    parser.add_argument("--protocol", required=True, choices=PROTOCOLS)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--pty", metavar="LINKPATH", help="becomes a link to a fresh PTY")
    where.add_argument("--tcp", metavar="HOST:PORT", type=address, help="listens there; port 0 takes a free one")
    parser.add_argument("--journal", required=True, metavar="FILE", help="what happened, one JSON object a line")
    parser.add_argument("--state", metavar="FILE", help="what the terminal remembers, apart from the journal")
    parser.add_argument("--script", metavar="FILE", type=script, default=Script(), help="faults, one line a transaction")
    parser.add_argument("--terminal-id", metavar="DIGITS", type=terminal_id, default="52523535")
    parser.add_argument("--profile", choices=PROFILES, default="standard")
    parser.add_argument("--receipt-start", metavar="N", type=receipt, default=1)
    parser.add_argument("--speed", metavar="N", type=speed, default=1.0, help="divides the terminal's own waits")
    parser.add_argument("--with-1f1f", action="store_true", help="counts payments in tag 1F1F")
    parser.add_argument("--restart-numbers", action="store_true", help="receipts begin with 1 after an end of day")
    parser.add_argument("--require-registration", action="store_true", help="refuses transactions before 06 00")
    parser.add_argument("--exit-with-stdin", action="store_true", help="ends when standard input is closed")
    return parser.parse_args()


def address(text):
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 0xFFFF:
        raise argparse.ArgumentTypeError(f"{text}: write it as HOST:PORT")
    return text


def script(path):
    try:
        with open(path, encoding="utf-8") as file:
            return Script(file.read())
    except (OSError, UnicodeDecodeError, Unreadable) as error:
        raise argparse.ArgumentTypeError(f"{path}: {error}") from None


def terminal_id(text):
    if len(text) != 8 or not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text}: a terminal's id is eight digits")
    return text


def receipt(text):
    if not text.isdecimal() or not 1 <= int(text) <= RECEIPT_MAX:
        raise argparse.ArgumentTypeError(f"{text}: receipts count from 1 to {RECEIPT_MAX}")
    return int(text)


def speed(text):
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: a factor above 0")
    return value


if __name__ == "__main__":
    main()
