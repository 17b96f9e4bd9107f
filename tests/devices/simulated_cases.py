"""What the simulated terminal of the shipped program does, over either link.

Promises: the program is started for each case; bytes, journal, exit code and words are looked at, nothing inside.
Absent on purpose: cases that hold for any terminal, which are taken from the second one (`test_simulated.py`).
"""

import os
import time
from pathlib import Path

from case import PAN, Case, drained
from till import OK, REPEAT, Terminal, fields, find, framed, label, labels, number, until

ROOT = Path(__file__).resolve().parents[2]
# The shipped program; as in the scripts.
FIELDKIT = Path(os.environ.get("FIELDKIT") or Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "fast" / "fieldkit").resolve()
# What the second terminal calls them, and how the program does.
NAMES = {"--with-1f1f": "--counts"}
BUYER_MS = 30
# How long a link stays away after a cut.
AWAY_S = 0.5


class Simulated(Terminal):
    """`fieldkit simulate terminal` in a directory of its own."""

    def command(self):
        options = [NAMES.get(option, option) for option in self.options]
        return ["env", "FIELDKIT_LOG=info", FIELDKIT, "simulate", "terminal", "--protocol", self.protocol, f"--{self.link}", self.where, "--journal",
                self.journal_path, "--buyer-ms", str(BUYER_MS), *options]

    def arm(self, *lines):
        """Types lines, and waits until they have been read: the last one is answered."""
        self.armed += 1
        for line in (*lines, f"read-{self.armed}"):
            self.type(line)
        self.until_said(f'there is no fault "read-{self.armed}"')

    armed = 0

    def until_said(self, words):
        until(lambda: words in self.said(), f"{words!r} in {self.said()!r}")


class SimulatedCase(Case):
    def terminal(self, *options, **more):
        terminal = Simulated(self.link, *options, **more)
        self.addCleanup(terminal.clean_up)
        return terminal

    def ready(self, till):
        """The till, once the terminal has finished what it did before."""
        until(lambda: till.run("05 01 00")[-1][-1] == 0, "ready again")
        return till


class Faults:
    """Faults, typed or from a script."""

    def test_typed_faults_hold_from_then_on(self):
        terminal, till = self.pair()
        terminal.arm("decline 51", "foreign 100")
        self.assert_ends(till.pay(), "51")
        terminal.arm("decline 107")
        self.assert_ends(till.pay(), "6B")
        self.assertEqual(label(till.pay()[-1]), "06 0F")
        self.assertEqual(terminal.events(), ["foreign", "declined", "declined", "approved", "committed"])

    def test_lines_that_are_not_understood_are_answered_with_the_nearest_word(self):
        terminal, till = self.pair()
        terminal.type("declin 51"), terminal.type("late"), terminal.type("mute 3"), terminal.type("help")
        terminal.until_said('there is no fault "declin"; the nearest is decline')
        terminal.until_said("late needs MS")
        terminal.until_said("nothing follows mute")
        terminal.until_said("repeat-approval")
        self.assertEqual(label(till.pay()[-1]), "06 0F")

    def test_several_faults_meet_in_one_transaction(self):
        terminal, till = self.pair(script="wrong-amount 951 + repeat-approval  # both\nok\npartial 500\n")
        told = [[number(block, 0x04) for block in till.pay() if label(block) == "04 0F"] for _ in range(4)]
        self.assertEqual(told, [[951, 951], [950], [500], [950]])
        self.assertEqual([line["amount"] for line in terminal.journal() if line["event"] == "approved"], [951, 950, 500, 950])

    def test_abort(self):
        terminal, till = self.pair(script="abort")
        self.assert_ends(till.pay(), "6C")
        self.assertEqual(terminal.events(), ["aborted"])

    def test_other_currency(self):
        terminal, till = self.pair(script="wrong-currency 840")
        self.assertEqual(number(find(till.pay(), "04 0F"), 0x49), 840)
        self.assertEqual(terminal.journal()[0]["currency"], "USD")

    def test_offline(self):
        terminal, till = self.pair(script="offline")
        self.assertIn("04 ff 02 f3 00", [block.hex(" ") for block in till.pay()])
        self.assertEqual([line.get("offline") for line in terminal.journal()], [True, True])
        till.pay()
        self.assertEqual([line.get("offline") for line in terminal.journal()[2:]], [None, None])

    def test_busy_and_card_inserted(self):
        terminal, till = self.pair()
        terminal.arm("busy 2", "card-inserted 1")
        self.assertEqual([till.run("05 01 00")[-1].hex(" ") for _ in range(2)], ["84 9c 00"] * 2)
        self.assertEqual([till.run("05 01 00")[-1][-1] for _ in range(2)], [0xDC, 0x00])

    def test_card_numbers_in_texts(self):
        _, till = self.pair(script="pan-in-text", config="8E")
        blocks = till.pay()
        spaced = " ".join(PAN[at:at + 4] for at in range(0, 16, 4)).encode()
        self.assertIn(spaced, fields(find(blocks, "04 0F"))[0x3C])
        self.assertTrue(any(spaced in block for block in blocks if label(block) == "06 D1"))
        self.assertFalse(any(spaced in block for block in till.pay()))

    def test_mute_until_it_speaks(self):
        # Registered, it might not have heard the till's last answer before it hears nothing any more.
        terminal, till = self.pair(config="")
        terminal.arm("mute")
        till.write(bytes.fromhex("10 02 05 01 00 10 03 10 06" if self.link == "pty" else "05 01 00"))
        self.assertEqual(till.byte(0.3), b"")
        terminal.arm("speak")
        self.assertEqual(label(till.run("05 01 00")[-1]), "06 0F")

    def test_flood(self):
        terminal, till = self.pair()
        terminal.type("flood 300")
        shown = bytes.fromhex("04 FF 01 0E")
        for _ in range(300):
            self.assertEqual(till.frame() if self.link == "pty" else till.next(), shown)

    def test_power_cycle_in_a_payment_takes_it_back(self):
        terminal, till = self.pair()
        till.pay(answers={"04 0F": None})
        terminal.type("power-cycle")
        self.assertTrue(till.is_down())
        self.assert_events(terminal, "approved", "auto_reversed")
        till = self.attach(terminal, till)
        self.assertEqual(labels(till.pay()), ["80 00", "04 0F", "06 0F"], "the registration is forgotten")

    def test_unanswered_payment_is_taken_back_and_told(self):
        terminal, till = self.pair()
        till.pay(answers={"04 0F": None})
        self.assert_ends(till.finish(), "6C")
        self.assert_events(terminal, "approved", "auto_reversed")
        self.assertEqual(number(till.repeated(), 0x87), 0, "as if it had not been")

    def test_unanswered_payment_of_a_terminal_without_reversal_is_declined(self):
        terminal, till = self.pair("--profile", "no-auto-reversal", "--receipt-start", "231")
        till.pay(answers={"04 0F": None})
        till.finish()
        self.assert_events(terminal, "approved", "declined")
        told = till.repeated()
        self.assertEqual((number(told, 0x87), fields(told)[0x27]), (231, b"\x6C"))

    def test_refused_payment_is_taken_back(self):
        terminal, till = self.pair()
        self.assert_ends(till.pay(answers={"04 0F": "84 66 00"}), "66")
        self.assert_events(terminal, "approved", "auto_reversed")

    def test_counter_one_behind_takes_back_what_the_till_has_missed(self):
        terminal, till = self.pair("--with-1f1f", "--receipt-start", "231")
        first, second = (find(till.pay(), "04 0F")[-2:] for _ in range(2))
        with_counter = "06 01 11 04 00 00 00 00 09 50 49 09 78 06 05 1F 1F 02 {}".format
        till.run(with_counter(second.hex(" ")))
        self.assertNotIn("auto_reversed", terminal.events())
        till.run(with_counter(second.hex(" ")))
        self.assertEqual([line["receipt"] for line in terminal.journal() if line["event"] == "auto_reversed"], [233])

    def test_every_cut_leaves_journal_and_repeated_receipt_in_agreement(self):
        # A payment takes 13 bytes of the till and four answers of three (in frames, with acknowledgements: more); the third
        # answer makes it stand, so the last cuts have to come after 22 and before 25.
        bytes_in, bytes_out = (60, 130) if self.link == "pty" else (26, 100)
        for fault, counts in (("cut-after", range(0, bytes_out, 5)), ("cut-after-received", range(2, bytes_in, 3))):
            script = "".join(f"{fault} {count}\n" for count in counts)
            terminal, till = self.pair(script=script)
            outcomes, cuts = set(), 0
            for count in counts:
                before = len(terminal.journal())
                try:
                    till.pay()
                    told = self.ready(till).repeated()
                except (EOFError, OSError):
                    cuts += 1
                    till = self.attach(terminal, till)
                    told = self.ready(till).repeated()
                outcome = tuple(terminal.events()[before:])
                stored = [line["receipt"] for line in terminal.journal() if line["event"] == "committed"] or [0]
                self.assertEqual(number(told, 0x87), stored[-1], f"{fault} {count}: {outcome}")
                outcomes.add(outcome)
                till.register()
            self.assertEqual(outcomes, {(), ("approved", "auto_reversed"), ("approved", "committed")}, fault)
            self.assertGreater(cuts, len(counts) // 2)
            self.assertEqual(terminal.stop(), 0)


class Memory:
    """What a terminal knows when it is started again."""

    def test_restart_remembers(self):
        terminal, till = self.pair("--receipt-start", "231")
        told = find(till.pay(), "04 0F")
        self.assertEqual(terminal.stop(), 0)
        terminal.start()
        till = self.attach(terminal, till)
        self.assertEqual(till.repeated(), told)
        told = find(till.pay(), "04 0F")
        self.assertEqual([number(told, tag) for tag in (0x87, 0x0B)], [232, 976])
        self.assertEqual(label(till.run("06 30 06 00 00 00 87 02 31")[-1]), "06 0F")
        terminal.kill()
        terminal.start()
        till = self.attach(terminal, till)
        self.assert_ends(till.run("06 30 06 00 00 00 87 02 31"), "B4")

    def test_kill_in_every_step_leaves_one_answer(self):
        """Killed at each block of a payment: the next start and the repeated receipt agree with the journal."""
        for block, expected in (("80 00", []), ("04 FF", []), ("04 0F", ["approved", "auto_reversed"]), ("06 0F", ["approved", "committed"])):
            with self.subTest(block):
                terminal, till = self.pair()
                till.send("06 01 0A 04 00 00 00 00 09 50 49 09 78")
                while (heard := label(till.next())) != block:
                    if heard != "80 00":
                        till.send(OK)
                terminal.kill()
                terminal.start()
                self.assertEqual(terminal.events(), expected)
                till = self.attach(terminal, till)
                told = number(find(till.run(REPEAT), "04 0F"), 0x04)
                self.assertEqual(told, 950 if "committed" in expected else 0)

    def test_torn_last_line_is_cut_off_with_a_word(self):
        terminal, till = self.pair()
        till.pay()
        terminal.kill()
        whole = terminal.journal_path.read_bytes()
        terminal.journal_path.write_bytes(whole + b'{"event":"appro')
        terminal.start()
        self.assertEqual(terminal.journal_path.read_bytes(), whole)
        self.assertIn("the last line has no end; its 15 bytes were cut off", terminal.said())
        till = self.attach(terminal, till)
        self.assertEqual(number(till.repeated(), 0x04), 950)

    def test_entries_have_the_promised_form(self):
        terminal, till = self.pair("--receipt-start", "231", "--terminal-id", "12345678")
        till.pay(), till.run("06 30 06 00 00 00 87 02 31")
        approved, committed, given_back = terminal.journal()
        at = approved.pop("at")
        self.assertIsInstance(at, int)
        self.assertLess(abs(at - int(os.stat(terminal.journal_path).st_mtime)), 60)
        entry = {"event": "approved", "amount": 950, "currency": "EUR", "receipt": 231, "trace": 975, "terminal_id": "12345678"}
        self.assertEqual(approved, entry)
        self.assertEqual({**committed, "at": 0}, {**entry, "event": "committed", "at": 0})
        self.assertEqual({**given_back, "at": 0}, {**entry, "event": "reversed", "at": 0, "own_receipt": 232, "own_trace": 976})


class Sums:
    """An end of day."""

    def test_end_of_day_sums_up_and_closes(self):
        terminal, till = self.pair("--receipt-start", "231")
        till.pay(950), till.pay(1500), till.pay(400)
        till.run("06 30 06 00 00 00 87 02 33")
        till.run("06 31 0D 00 00 00 04 00 00 00 00 03 00 49 09 78")
        told = fields(find(till.run("06 50 03 00 00 00"), "04 0F"))
        self.assertEqual((told[0x04].hex(), told[0x60].hex()[:8], len(told[0x60])), ("000000002150", "02310235", 53))
        line = terminal.journal()[-1]
        self.assertEqual((line["event"], line["amount"]), ("end_of_day", 2150))
        self.assertEqual(number(find(till.pay(), "04 0F"), 0x87), 236)


class Cuts:
    """How long a link stays away."""

    def test_cut_link_comes_back_at_the_same_place(self):
        terminal, till = self.pair()
        terminal.arm("cut-after 5")
        begun = time.monotonic()
        till.write(bytes.fromhex("10 02 05 01 00 10 03 10 06" if self.link == "pty" else "05 01 00"))
        # The acknowledgement of the block is sent before the block is read, so it does not count.
        heard = bytes.fromhex("06 10 02 80 00 00" if self.link == "pty" else "80 00 00 06 0F")
        self.assertEqual(drained(till), heard)
        till = self.ready(self.attach(terminal, till))
        self.assertGreaterEqual(time.monotonic() - begun, AWAY_S)
        self.assertEqual(label(till.pay()[-1]), "06 0F")

    def test_cut_of_the_script_counts_from_the_first_byte_of_the_command(self):
        """However its bytes are cut: the line is due once the command is known, and some of it has come by then."""
        terminal, till = self.pair(script="cut-after-received 5")
        block = bytes.fromhex("06 01 0A 04 00 00 00 00 09 50 49 09 78")
        block = framed(block) if self.link == "pty" else block
        for at in range(4):
            till.write(block[at:at + 1])
            self.assertEqual(till.byte(0.05), b"")
        till.write(block[4:5])
        self.assertTrue(till.is_down(1))
        self.assertEqual(terminal.events(), [])
