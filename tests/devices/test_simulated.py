#!/usr/bin/env python3
"""`fieldkit simulate terminal`, seen from outside: by a till that shares no code with it, and by another maker's.

Promises: cases that were written for the second terminal and are about the protocol run here as they are; the rest is
about this program. Runs as `.venv/bin/python tests/devices/test_simulated.py` once the program is built, and ends with a
line `N passed, M failed`. Absent on purpose: the till's own drivers.
"""

import fcntl
import os
import struct
import subprocess
import sys
import termios
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import simulated_cases
import telium_cases
import zvt_cases
import zvt_fault_cases
from case import Together
from simulated_cases import FIELDKIT, Simulated, SimulatedCase
from till import ACK, framed, label, until

TIOCGEXCL = 0x80045440
# Time that the program may use while nothing happens, of a second.
IDLE_CPU_S_MAX = 0.05


def holding(cases, *names):
    """Cases of the second terminal, without those that are about it and not about the protocol."""
    tests = [name for name in vars(cases) if name.startswith("test_")]
    assert {f"test_{name}" for name in names} <= set(tests), f"{cases.__name__} has other names"
    return type(cases.__name__, (cases,), {name: None for name in tests if name.removeprefix("test_") not in names})


COMMANDS = holding(
    zvt_cases.Commands, "amount_whose_bytes_are_doubled_on_the_line_comes_through", "any_payment_of_the_day_can_be_reversed",
    "end_of_day_can_begin_numbers_anew", "journal_has_each_step_before_the_till_hears_of_it",
    "log_off_forgets_the_registration", "missing_answer_to_the_completion_changes_nothing",
    "other_positive_answer_stores_too", "print_line_without_an_answer_reverses", "receipts_wrap",
    "refund_has_a_receipt_of_its_own", "reversal_gives_back_once", "reversal_of_another_amount_is_not_possible",
    "till_that_asks_for_time_is_asked_again")
PROFILES = holding(zvt_cases.Profiles, "bare_repeat_says_nothing", "last_only_reverses_the_last")
FAULTS = holding(
    zvt_fault_cases.Faults, "cut_after_received_counts_transactions_only",
    "cut_once_the_answer_was_received_keeps_the_payment", "decline", "faults_come_in_their_order_one_a_transaction",
    "power_cycle_at_once", "repeated_approval")
OURS = (simulated_cases.Faults, simulated_cases.Memory, simulated_cases.Sums, simulated_cases.Cuts)


class OverTcp(SimulatedCase, *OURS, COMMANDS, PROFILES, FAULTS,
              holding(zvt_fault_cases.TcpFaults, "command_in_single_bytes_is_understood", "second_till_waits_for_the_first_to_go",
                      "till_that_leaves_is_noticed")):
    link = "tcp"


class OverPty(SimulatedCase, *OURS, COMMANDS, PROFILES, FAULTS,
              holding(zvt_fault_cases.PtyFaults, "cut_takes_the_port_away_and_brings_it_back",
                      "damaged_block_is_answered_nak_and_may_be_repeated", "nak_has_the_till_repeat",
                      "pause_inside_a_block_is_answered_nak", "unheard_approval_reverses")):
    link = "pty"

    def test_worked_frames(self):
        """Frames of a till as they were recorded or computed by hand, and the bytes that answer them."""
        accepted = "06 10 02 80 00 00 10 03 F5 1F"
        for frame in ("10 02 06 00 06 00 00 00 DE 09 78 10 03 D8 33", "10 02 06 01 0A 04 00 00 00 00 09 50 49 09 78 10 03 86 72",
                      "10 02 06 01 0A 04 00 00 00 00 10 10 10 10 49 09 78 10 03 67 D4", "10 02 06 30 06 00 00 00 87 02 31 10 03 D8 AF",
                      "10 02 06 20 05 00 00 00 03 03 10 03 DB 15", "10 02 05 01 00 10 03 10 06",
                      "10 02 06 50 03 00 00 00 10 03 FB 37", "10 02 06 70 00 10 03 D9 F9", "10 02 06 02 00 10 03 B9 CC"):
            with self.subTest(frame):
                terminal, till = self.pair(config="")
                till.write(bytes.fromhex(frame))
                till.expect(bytes.fromhex(accepted))
                terminal.kill()

    def test_wrong_checksums_are_mended_by_repeats(self):
        terminal, till = self.pair(script="bad-crc 2")
        till.send("06 01 0A 04 00 00 00 00 09 50 49 09 78")
        for _ in range(2):
            till.frame(right=False), till.write(b"\x15")
        self.assertEqual(label(till.next()), "80 00")
        self.assertEqual(label(till.finish()[-1]), "06 0F")
        self.assertEqual(terminal.events(), ["approved", "committed"])


class Cable(SimulatedCase):
    """A PTY that behaves as a cable."""

    link = "pty"

    def test_bytes_for_a_till_that_has_gone_are_lost(self):
        terminal, till = self.pair()
        till.close()
        terminal.until_said("the till has gone")
        terminal.arm("flood 3")
        till = self.attach(terminal)
        self.assertEqual(till.byte(0.2), b"")
        self.assertEqual(label(till.run("05 01 00")[-1]), "06 0F")

    def test_bytes_that_a_till_left_unread_are_lost(self):
        terminal, till = self.pair()
        terminal.arm("flood 3")
        self.assertNotEqual(till.byte(), b"")
        till.close()
        terminal.until_said("the till has gone")
        till = self.attach(terminal)
        self.assertEqual(till.byte(0.2), b"")

    def test_line_is_raw_for_each_till(self):
        terminal, till = self.pair()
        cooked = termios.tcgetattr(till.fd)
        cooked[3] |= termios.ECHO | termios.ICANON
        termios.tcsetattr(till.fd, termios.TCSANOW, cooked)
        till.close()
        terminal.until_said("the till has gone")
        till = self.attach(terminal)
        self.assertEqual(termios.tcgetattr(till.fd)[3] & (termios.ECHO | termios.ICANON), 0)
        self.assertEqual(label(till.run("05 01 00")[-1]), "06 0F")

    def test_what_a_till_said_before_it_left_is_heard(self):
        terminal, till = self.pair()
        till.pay(answers={"04 0F": None})
        till.write(framed(bytes.fromhex("80 00 00")))
        till.close()
        self.assert_events(terminal, "approved", "committed")

    def test_till_that_was_killed_does_not_keep_the_port_to_itself(self):
        terminal, till = self.pair()
        till.close()
        terminal.until_said("the till has gone")
        alone = f"import fcntl, os, termios; fd = os.open({str(terminal.path)!r}, os.O_RDWR | os.O_NOCTTY); " \
                "fcntl.ioctl(fd, termios.TIOCEXCL); os.write(fd, bytes([16])); print(flush=True); os.read(0, 1)"
        other = subprocess.Popen([sys.executable, "-c", alone], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(other.stdout.readline(), b"\n")
        port = os.open(terminal.path, os.O_RDWR | os.O_NOCTTY)
        self.addCleanup(os.close, port)
        exclusive = lambda: struct.unpack("i", fcntl.ioctl(port, TIOCGEXCL, bytes(4)))[0]
        self.assertEqual(exclusive(), 1)
        other.kill(), other.communicate()
        until(lambda: exclusive() == 0, "others may open the port")

    def test_stale_link_is_replaced_and_a_file_is_not(self):
        terminal, till = self.pair()
        device = os.readlink(terminal.path)
        terminal.kill()
        self.assertTrue(terminal.path.is_symlink(), "a killed program cannot clean up")
        till.close()
        terminal.start()
        self.assertTrue(terminal.path.is_char_device(), device)
        self.assertEqual(terminal.stop(), 0)
        self.assertFalse(os.path.lexists(terminal.path))
        terminal.path.write_text("mine")
        done = subprocess.run(terminal.command(), capture_output=True, text=True, timeout=10)
        self.assertEqual((done.returncode, done.stdout, terminal.path.read_text()), (1, "", "mine"))
        self.assertIn("is there already and is no link; choose another path", done.stderr)
        terminal.path.unlink()
        terminal.start()

    def test_link_that_somebody_else_made_meanwhile_is_left_alone(self):
        terminal, till = self.pair()
        terminal.path.unlink()
        terminal.path.symlink_to("/dev/null")
        self.assertEqual((terminal.stop(), os.readlink(terminal.path)), (0, "/dev/null"))
        till.close()

    def test_cut_takes_the_link_away(self):
        terminal, till = self.pair()
        terminal.type("cut-after-received 0")
        self.assertTrue(till.is_down())
        self.assertFalse(os.path.lexists(terminal.path), "who sees the line hung up does not find it")
        till = self.attach(terminal, till)
        self.assertEqual(label(till.run("05 01 00")[-1]), "06 0F")


class Program(SimulatedCase):
    """The program itself."""

    def test_ready_names_the_url_of_the_till(self):
        terminal = self.terminal()
        self.assertRegex(terminal.ready, r"^READY zvt\+tcp://127\.0\.0\.1:[1-9]\d*$")
        for protocol, scheme in (("zvt", "zvt+serial"), ("telium", "telium")):
            terminal = Simulated("pty", protocol=protocol)
            self.addCleanup(terminal.clean_up)
            self.assertEqual(terminal.ready, f"READY {scheme}:{terminal.path}")

    def test_end_of_standard_input_ends_nothing(self):
        terminal, till = self.pair()
        terminal.process.stdin.close()
        self.assertEqual(label(till.pay()[-1]), "06 0F")
        self.assertEqual(terminal.stop(), 0)

    def test_interrupt_ends_with_0_in_the_middle_of_a_payment(self):
        terminal, till = self.pair()
        till.pay(answers={"04 0F": None})
        terminal.process.send_signal(2)
        self.assertEqual(terminal.ended(), 0)
        terminal.start()
        self.assertEqual(terminal.events(), ["approved", "auto_reversed"])

    def test_one_process_writes_a_journal(self):
        terminal = self.terminal()
        done = subprocess.run(terminal.command(), capture_output=True, text=True, timeout=10)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("another process writes the journal", done.stderr)

    def test_broken_journal_is_refused_and_left_alone(self):
        terminal, till = self.pair()
        till.pay()
        terminal.stop()
        broken = terminal.journal_path.read_bytes().replace(b"committed", b"comitted")
        terminal.journal_path.write_bytes(broken)
        done = subprocess.run(terminal.command(), capture_output=True, text=True, timeout=10)
        self.assertEqual((done.returncode, terminal.journal_path.read_bytes()), (1, broken))
        self.assertIn("line 2 is no journal entry", done.stderr)
        self.assertIn('there is no event "comitted"', done.stderr)

    def test_lines_are_synced_before_the_approval_leaves(self):
        """By the system calls of the program."""
        terminal = self.terminal()
        trace = terminal.directory / "trace"
        calls = "trace=fdatasync,fsync,sendto,write"
        with subprocess.Popen(["strace", "-f", "-s", "200", "-e", calls, "-o", trace, "-p", str(terminal.process.pid)],
                              stderr=subprocess.PIPE) as tracer:
            self.assertIn(b"attached", tracer.stderr.readline())
            self.attach(terminal).pay()
            terminal.stop()
            tracer.wait(timeout=10)
        calls = trace.read_text().splitlines()

        def first(text, after=-1):
            return next(at for at, call in enumerate(calls) if at > after and text in call)
        for event, told in (("approved", '"\\4\\17'), ("committed", '"\\6\\17')):
            written = first(f'{{\\"event\\":\\"{event}')
            self.assertLess(written, first("fdatasync(", written))
            self.assertLess(first("fdatasync(", written), first(f"sendto({self.link_of(calls)}, {told}"), event)

    @staticmethod
    def link_of(calls):
        return next(call.split("sendto(")[1].split(",")[0] for call in calls if 'sendto(' in call and '"\\200\\0\\0"' in call)

    def test_journal_that_cannot_be_written_ends_it_before_the_till_hears(self):
        terminal = self.terminal()
        terminal.stop()
        # Files may not grow, and the signal that tells of it is ignored, so that the write fails.
        done = subprocess.Popen(["prlimit", "--fsize=0", *terminal.command()], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, restore_signals=False)
        terminal.where = done.stdout.readline().decode().split("//")[1].strip()
        heard = []
        with self.assertRaises((EOFError, OSError)):
            self.attach(terminal).pay(answers={"04 0F": lambda: heard.append("04 0F")})
        _, said = done.communicate(timeout=10)
        self.assertEqual((done.returncode, heard), (1, []))
        self.assertIn(b"cannot write the journal", said)

    def test_idle_program_rests(self):
        """Before a till, with one, and after it; the link of the PTY hung up and closed in between."""
        for link in ("tcp", "pty"):
            terminal = Simulated(link)
            self.addCleanup(terminal.clean_up)
            till = self.attach(terminal)
            till.pay(answers={"04 0F": None})
            till.close()
            quiet = self.attach(terminal)
            begun = cpu_s(terminal.process.pid)
            while quiet.byte(1):
                continue
            self.assertLess(cpu_s(terminal.process.pid) - begun, IDLE_CPU_S_MAX)

    def test_usage_is_refused(self):
        directory = self.terminal().directory
        script = directory / "faults"
        script.write_text("ok\ndeclin\n")
        journal = directory / "new"
        where = ["terminal", "--journal", journal, "--tcp", "127.0.0.1:0"]
        for words, options in (("--journal", ["terminal", "--tcp", "127.0.0.1:0"]), ("--pty", ["terminal", "--journal", journal]),
                               ("cannot be used with", [*where, "--pty", directory / "p"]), ("eight digits", [*where, "--terminal-id", "12"]),
                               ("1..=9999", [*where, "--receipt-start", "0"]), ("XYZ", [*where, "--currency", "XYZ"]),
                               ("standard", [*where, "--profile", "odd"]), ("over a line only", [*where, "--protocol", "telium"]),
                               ("for ZVT", ["terminal", "--journal", journal, "--pty", directory / "p", "--protocol", "telium", "--counts"]),
                               ("127.0.0.1:20007", ["terminal", "--journal", journal, "--tcp", "nowhere"]),
                               ('line 2: there is no fault "declin"; the nearest is decline', [*where, "--script", script]),
                               ("a simulated ups is not there yet", ["ups", "--pty", directory / "p"]),
                               ('there is no device "teminal"', ["teminal"])):
            with self.subTest(words):
                done = subprocess.run([FIELDKIT, "simulate", *options], capture_output=True, text=True, timeout=10)
                self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
                self.assertIn(words, done.stderr)
                self.assertFalse(journal.exists())
        done = subprocess.run([FIELDKIT, "simulate", *where, "--script", directory / "none"], capture_output=True, text=True, timeout=10)
        self.assertEqual((done.returncode, "cannot read the script" in done.stderr), (1, True))
        done = subprocess.run([FIELDKIT, "simulate", "terminal", "--tcp", "127.0.0.1:0", "--journal", "/dev/zero"],
                              capture_output=True, text=True, timeout=10)
        self.assertEqual((done.returncode, "/dev/zero is no plain file" in done.stderr), (1, True))

    def test_help_lists_every_fault(self):
        done = subprocess.run([FIELDKIT, "simulate", "terminal", "--help"], capture_output=True, text=True, timeout=10)
        for line in ("decline [CODE]", "cut-after-received N", "wrong-currency NUMBER", "card-inserted N", "power-cycle "):
            self.assertRegex(done.stdout, rf"(?m)^  {line.replace('[', chr(92) + '[')} +\w+ ")


def cpu_s(process):
    """Seconds that a process has computed."""
    used = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")


class OverTelium(SimulatedCase, holding(
        telium_cases.Telium, "damaged_question_is_refused", "pause_inside_a_question_is_refused", "poll",
        "recorded_question_and_answer")):
    """Protocol E, by the tiny till."""

    def test_answers(self):
        terminal, till = self.pair(script="decline\nabort\npartial 500\n\nok")
        results = []
        for _ in range(4):
            self.ask(till)
            frame = self.answer(till)
            results.append((frame[3:4], int(frame[4:12])))
        self.assertEqual(results, [(b"7", 950), (b"7", 950), (b"0", 500), (b"0", 950)])
        self.assertEqual(terminal.events(), ["declined", "aborted", *["approved", "committed"] * 2])

    def test_call_without_an_ask_does_not_use_up_a_line(self):
        terminal, till = self.pair(script="decline\nok\n")
        for _ in range(2):
            till.write(b"\x05")
            till.expect(ACK)
            till.write(b"\x04")
        results = []
        for _ in range(2):
            self.ask(till)
            results.append(self.answer(till)[3:4])
        self.assertEqual((results, terminal.events()), ([b"7", b"0"], ["declined", "approved", "committed"]))

    def test_cut_after_the_ask_leaves_the_charge(self):
        # Two acknowledgements, then the terminal's call.
        terminal, till = self.pair(script="cut-after 3\n")
        self.ask(till)
        self.assertTrue(till.is_down())
        self.assert_events(terminal, "approved", "committed")
        till = self.attach(terminal, till)
        self.answer(till)
        terminal.kill(), terminal.start()
        self.assertEqual(terminal.events(), ["approved", "committed"])


class AnotherMakersTill(SimulatedCase):
    """The package pyTeliumManager drives the terminal over its PTY."""

    link = "pty"

    def setUp(self):
        try:
            import telium
        except ImportError:
            self.fail("pyTeliumManager is not installed: .venv/bin/python -m pip install pyTeliumManager")
        self.telium = telium

    def pay(self, terminal, amount, **more):
        device = self.telium.Telium(str(terminal.path))
        self.addCleanup(device.close)
        self.assertTrue(device.is_ok())
        ask = self.telium.TeliumAsk.new_payment(amount, target_currency="EUR", **more)
        self.assertTrue(device.ask(ask))
        answer = device.verify(ask, waiting_timeout=10)
        device.close()
        return answer

    def test_approval(self):
        terminal = self.terminal(protocol="telium")
        answer = self.pay(terminal, 9.50)
        self.assertEqual((answer.has_succeeded, answer.amount, answer.currency_numeric), (True, 9.5, "978"))
        self.assertTrue(answer.repport.startswith("559883******8074"), answer.repport)
        self.assertEqual([(line["event"], line["amount"]) for line in terminal.journal()], [("approved", 950), ("committed", 950)])

    def test_refusal(self):
        terminal = self.terminal(protocol="telium", script="decline\nok\n")
        answers = [self.pay(terminal, amount) for amount in (9.50, 1234.56)]
        self.assertEqual([(answer.has_succeeded, answer.amount) for answer in answers], [(False, 9.5), (True, 1234.56)])
        self.assertEqual(terminal.events(), ["declined", "approved", "committed"])


def load_tests(_loader, tests, _pattern):
    return Together(tests)


if __name__ == "__main__":
    unittest.main()
