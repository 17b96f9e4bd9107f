#!/usr/bin/env python3
"""What the second terminal does, seen from outside: every command, every fault, and the program itself.

Promises: every case starts the program itself and looks at its bytes, its journal and its exit code only; it shares no
code with it. Runs as `python3 tests/devices/test_terminal.py` or `python3 -m unittest` from the root, and ends with a
line `N passed, M failed`. Absent on purpose: the till's own drivers.
"""

import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

# The cases are found by their names here.
from case import Case, Together
from telium_cases import Telium
from till import OK, PROGRAM, find, label, number, until
from zvt_cases import PtyCommands, PtyProfiles, TcpCommands, TcpProfiles
from zvt_fault_cases import PtyFaults, TcpFaults


class Program(Case):
    """The program itself: its journal, its memory, its lines."""

    def test_restart_knows_the_last_payment(self):
        for options in ((), ("--state", "{}/state")):
            with self.subTest(options):
                terminal = self.terminal("--receipt-start", "231")
                terminal.options += tuple(option.format(terminal.directory) for option in options)
                terminal.stop(), terminal.start()
                till = self.attach(terminal)
                told = find(till.pay(), "04 0F")
                terminal.kill()
                if options:
                    terminal.journal_path.unlink()
                terminal.start()
                till = self.attach(terminal, till)
                self.assertEqual(till.repeated(), told)
                self.assertEqual(number(find(till.pay(), "04 0F"), 0x87), 232)

    def test_kill_before_the_answer_reverses_at_the_start(self):
        for profile, event in (("standard", "auto_reversed"), ("no-auto-reversal", "declined")):
            with self.subTest(profile):
                terminal, till = self.pair("--profile", profile)
                till.pay(500)
                till.pay(answers={"04 0F": None})
                terminal.kill()
                terminal.start()
                self.assertEqual(terminal.events(), ["approved", "committed", "approved", event])
                till = self.attach(terminal, till)
                self.assertEqual(number(till.repeated(), 0x04), 500 if profile == "standard" else 950)
                terminal.kill()
                terminal.start()
                self.assertEqual(len(terminal.events()), 4)

    def test_torn_last_line_is_taken_off(self):
        terminal, till = self.pair()
        till.pay()
        terminal.kill()
        with open(terminal.journal_path, "a", encoding="utf-8") as file:
            file.write('{"event": "appro')
        terminal.start()
        till = self.attach(terminal, till)
        self.assertEqual(number(till.repeated(), 0x04), 950)
        till.pay()
        self.assertEqual(terminal.events(), ["approved", "committed"] * 2)

    def test_lines_are_synced_before_the_approval_leaves(self):
        """By the system calls of the program, where strace is there to see them."""
        terminal = self.terminal()
        trace = terminal.directory / "trace"
        try:
            tracer = subprocess.Popen(["strace", "-f", "-e", "trace=fsync,sendto,write", "-o", trace, "-p", str(terminal.process.pid)],
                                      stderr=subprocess.PIPE)
        except FileNotFoundError:
            self.fail("strace is not installed: apt-get install strace")
        self.assertIn(b"attached", tracer.stderr.readline())
        self.attach(terminal).pay()
        terminal.stop()
        tracer.wait(timeout=5)
        tracer.stderr.close()
        calls = trace.read_text().splitlines()
        written = next(at for at, call in enumerate(calls) if '"event\\": \\"approved' in call)
        synced = next(at for at, call in enumerate(calls) if at > written and "fsync(" in call)
        told = next(at for at, call in enumerate(calls) if 'sendto(' in call and '"\\4\\17' in call)
        self.assertLess(synced, told)

    def test_live_lines(self):
        terminal, till = self.pair()
        terminal.type("help")
        self.assertIn("one of these", terminal.line())
        terminal.type("decline 51")
        self.assert_ends(till.pay(), "51")
        terminal.type("bogus 3")
        terminal.type("late")
        until(lambda: "bogus: not known" in terminal.said() and "late: write it as `late MS [BLOCK]`" in terminal.said(), "refusals")
        terminal.type("decline"), terminal.type("decline"), terminal.type("clear")
        self.assertEqual(label(till.pay()[-1]), "06 0F")
        terminal.type("foreign 100")
        terminal.until_event("foreign")

    def test_live_abort_stops_a_waiting_payment(self):
        terminal, till = self.pair(script="slow-card 20000")
        till.send("06 01 0A 04 00 00 00 00 09 50 49 09 78")
        till.next(), till.next(), till.send(OK)
        terminal.type("abort")
        self.assert_ends([till.next()], "6C")
        self.assertEqual((terminal.events(), terminal.journal()[0]["cause"]), (["aborted"], "buyer"))

    def test_live_foreign_waits_for_the_end_of_a_payment(self):
        terminal, till = self.pair(script="slow-card 300")
        till.send("06 01 0A 04 00 00 00 00 09 50 49 09 78")
        till.next(), terminal.type("foreign 100")
        till.finish()
        self.assert_events(terminal, "approved", "committed", "foreign")

    def test_sigterm_ends_with_0(self):
        terminal, _ = self.pair()
        self.assertEqual(terminal.stop(), 0)

    def test_end_of_standard_input_ends_only_if_wanted(self):
        terminal, till = self.pair()
        terminal.process.stdin.close()
        self.assertEqual(label(till.pay()[-1]), "06 0F")
        terminal = self.terminal("--exit-with-stdin")
        terminal.process.stdin.close()
        self.assertEqual(terminal.process.wait(timeout=5), 0)

    def test_usage_is_refused(self):
        base = ["--journal", "/nonexistent/journal", "--tcp", "127.0.0.1:0"]
        for options in (base, ["--protocol", "zvt", *base, "--terminal-id", "12"], ["--protocol", "zvt", *base, "--receipt-start", "0"],
                        ["--protocol", "zvt", *base, "--tcp", "x"], ["--protocol", "zvt", *base, "--script", "/nonexistent/script"]):
            with self.subTest(options):
                done = subprocess.run([sys.executable, PROGRAM, *options], capture_output=True, timeout=10)
                self.assertEqual((done.returncode, done.stdout), (2, b""))


def load_tests(_loader, tests, _pattern):
    return Together(tests)


if __name__ == "__main__":
    unittest.main()
