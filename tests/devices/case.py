"""What the cases of the terminal share: how one begins and ends, and how all of them run.

Promises: a case leaves no process and no file behind; several run at a time since most of them wait, and their reports
come in order; the last line says `N passed, M failed` whoever runs them. Absent on purpose: cases.
"""

import atexit
import unittest
from concurrent.futures import ThreadPoolExecutor

from till import Terminal, until

# A test number of a card scheme: right by length, issuer range and check digit, and nobody's card.
PAN = "4111111111111111"


class Case(unittest.TestCase):
    link = "tcp"

    def terminal(self, *options, **more):
        terminal = Terminal(self.link, *options, **more)
        self.addCleanup(terminal.clean_up)
        return terminal

    def pair(self, *options, config="0E", **more):
        """A terminal, and a till that has registered there unless `config` is empty."""
        terminal = self.terminal(*options, **more)
        till = self.attach(terminal)
        if config:
            till.register(config)
        return terminal, till

    def attach(self, terminal, before=None):
        """A new till; the one before has closed its port."""
        if before:
            before.close()
        till = terminal.attach()
        self.addCleanup(till.close)
        return till

    def assert_ends(self, blocks, code):
        self.assertEqual(blocks[-1].hex(" ").upper(), f"06 1E 01 {code}")

    def assert_events(self, terminal, *events):
        until(lambda: len(terminal.events()) >= len(events), f"{events} in {terminal.events()}")
        self.assertEqual(tuple(terminal.events()), events)


def drained(till):
    """What arrives until the link goes down."""
    heard = b""
    try:
        while byte := till.byte():
            heard += byte
    except EOFError:
        return heard
    raise TimeoutError(f"the link stays up after {heard.hex(' ')}")


class Heard(unittest.TestResult):
    """Keeps what a case reports, to be told to another result later."""

    def __init__(self):
        super().__init__()
        self.reports = []

    def tell(self, result):
        for name, arguments in self.reports:
            getattr(result, name)(*arguments)


def keeping(name):
    def report(self, *arguments):
        self.reports.append((name, arguments))
    return report


for name in ("startTest", "stopTest", "addSuccess", "addError", "addFailure", "addSkip", "addSubTest",
             "addExpectedFailure", "addUnexpectedSuccess"):
    setattr(Heard, name, keeping(name))


class Together(unittest.TestSuite):
    """All cases, several at a time since most of them wait, and a last line that counts them whoever runs them."""

    AT_A_TIME = 6

    def run(self, result, debug=False):
        with ThreadPoolExecutor(self.AT_A_TIME) as pool:
            for heard in pool.map(self.hear, cases(self)):
                heard.tell(result)
        failed = len(result.failures) + len(result.errors)
        passed = result.testsRun - failed - len(result.skipped)
        atexit.register(lambda: print(f"{passed} passed, {failed} failed", flush=True))
        return result

    @staticmethod
    def hear(case):
        heard = Heard()
        case.run(heard)
        return heard


def cases(suite):
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from cases(each)
        else:
            yield each
