"""Each fault of the script seen from a till that speaks ZVT, over TCP and over the PTY.

Promises: after each fault the journal says what became of the money, and the terminal serves the next till.
Absent on purpose: what the till should make of it.
"""

import select
import time

from case import PAN, Case, drained
from till import ACK, NAK, OK, REPEAT, fields, find, framed, label, labels, number, until


class Faults:
    """Each fault of the script, over either link."""

    def test_decline(self):
        terminal, till = self.pair(script="decline\ndecline 51", config="06")
        for code in ("05", "51"):
            blocks = till.pay()
            self.assertEqual(labels(blocks), ["80 00", "04 0F", "06 1E"])
            self.assertEqual(fields(blocks[1])[0x27].hex(), code)
            self.assert_ends(blocks, code)
        self.assertEqual(terminal.events(), ["declined", "declined"])
        self.assertEqual(fields(till.repeated())[0x27].hex(), "51")

    def test_faults_come_in_their_order_one_a_transaction(self):
        terminal, till = self.pair(script="# first\ndecline\n\nok\nabort\n")
        self.assertEqual([label(till.pay()[-1]) for _ in range(4)], ["06 1E", "06 0F", "06 1E", "06 0F"])
        self.assertEqual(terminal.events(), ["declined", "approved", "committed", "aborted", "approved", "committed"])

    def test_fault_waits_for_the_command_it_names(self):
        _, till = self.pair(script="on 06 20 decline\non any garbage 3", config="06")
        self.assertEqual(label(till.pay()[-1]), "06 0F")
        till.repeated()
        till.write(framed(bytes.fromhex("05 01 00")) if self.link == "pty" else bytes.fromhex("05 01 00"))
        self.assertGreater(min(till.byte()[0] for _ in range(3)), 0x80)

    def test_abort(self):
        terminal, till = self.pair(script="abort\nok\nabort")
        self.assert_ends(till.pay(), "6C")
        told = find(till.pay(), "04 0F")
        self.assert_ends(till.run("06 30 06 00 00 00 87" + fields(told)[0x87].hex()), "6C")
        self.assertEqual(terminal.events(), ["aborted", "approved", "committed", "aborted"])

    def test_mute_never_answers(self):
        terminal, till = self.pair(script="mute")
        block = bytes.fromhex("06 01 0A 04 00 00 00 00 09 50 49 09 78")
        till.write(framed(block) if self.link == "pty" else block)
        self.assertEqual(till.byte(0.3), b"")
        self.assertEqual(label(till.run("05 01 00")[-1]), "06 0F")
        self.assertEqual(terminal.events(), [])

    def test_mute_after_the_approval_still_hears_the_answer(self):
        terminal, till = self.pair(script="mute-after 04 0F")
        self.till_answers_without_acknowledgement(till)
        self.assert_events(terminal, "approved", "committed")
        self.assertEqual(till.byte(0.3), b"")

    def test_mute_after_acceptance_charges_nothing(self):
        terminal, till = self.pair(script="mute-after 80 00")
        till.send("06 01 0A 04 00 00 00 00 09 50 49 09 78")
        self.assertEqual(till.next(), bytes.fromhex(OK))
        terminal.until_event("aborted")
        self.assertEqual(terminal.events(), ["aborted"])

    def till_answers_without_acknowledgement(self, till):
        """Answers up to 04 0F, with a terminal that does not say ACK to the last answer."""
        blocks = till.pay(answers={"04 0F": None})
        self.assertEqual(label(blocks[-1]), "04 0F")
        till.write(framed(bytes.fromhex(OK)) if self.link == "pty" else bytes.fromhex(OK))

    def test_late(self):
        terminal, till = self.pair(script="late 300\nlate 300 80 00")
        begin = time.monotonic()
        seen = {}

        def look():
            seen["04 0F"] = time.monotonic()
            return OK
        till.pay(answers={"04 0F": look})
        self.assertGreater(seen["04 0F"] - begin, 0.3)
        begin = time.monotonic()
        till.send("06 01 0A 04 00 00 00 00 09 50 49 09 78")
        till.next()
        self.assertGreater(time.monotonic() - begin, 0.3)
        till.finish()

    def test_cut_after_sent_bytes(self):
        for script, line in (("cut-after 0", b""), ("cut-after 3", None)):
            with self.subTest(script):
                terminal, till = self.pair(script=script)
                block = bytes.fromhex("06 01 0A 04 00 00 00 00 09 50 49 09 78")
                till.write(framed(block) if self.link == "pty" else block)
                heard = drained(till)
                if line is None:
                    line = bytes.fromhex(OK) if self.link == "tcp" else ACK + framed(bytes.fromhex(OK))[:2]
                self.assertEqual(heard, line)
                till = self.attach(terminal, till)
                self.assertEqual(label(till.run("05 01 00")[-1]), "06 0F")
                self.assertNotIn("approved", terminal.events())

    def test_cut_inside_the_approval_reverses(self):
        terminal, till = self.pair(script="cut-after 60")
        with self.assertRaises(EOFError):
            till.pay()
        self.assert_events(terminal, "approved", "auto_reversed")
        till = self.attach(terminal, till)
        self.assert_ends(till.run(REPEAT), "83")

    def test_terminal_that_reverses_has_a_till_wait(self):
        terminal, till = self.pair(script="cut-after 60", speed=2)
        with self.assertRaises(EOFError):
            till.pay()
        till = self.attach(terminal, till)
        self.assertEqual(till.run("05 01 00")[-1][-1], 0x9C)
        self.assertEqual(till.run(REPEAT), [bytes.fromhex("84 9C 00")])
        terminal.until_event("auto_reversed")
        self.assert_ends(till.run(REPEAT), "83")

    def test_keep_charged_does_not_reverse(self):
        terminal, till = self.pair(script="keep-charged + cut-after 60")
        with self.assertRaises(EOFError):
            till.pay()
        terminal.until_event("committed")
        till = self.attach(terminal, till)
        self.assertEqual(number(till.repeated(), 0x04), 950)
        self.assertEqual(terminal.journal()[-1]["cause"], "kept_without_answer")

    def test_cut_after_received_bytes_of_the_command(self):
        for count in (0, 1, 5, 12):
            with self.subTest(count):
                terminal, till = self.pair(script=f"cut-after-received {count}", config="")
                block = bytes.fromhex("06 01 0A 04 00 00 00 00 09 50 49 09 78")
                till.write((framed(block) if self.link == "pty" else block)[:max(1, count)])
                self.assertTrue(till.is_down())
                till = self.attach(terminal, till)
                self.assertEqual(label(till.pay()[-1]), "06 0F")

    def test_cut_after_received_counts_transactions_only(self):
        terminal, till = self.pair(script="cut-after-received 8")
        till.register(), till.run("05 01 00")
        with self.assertRaises((EOFError, OSError)):
            till.pay()
        self.assertEqual(terminal.events(), [])

    def test_cut_once_the_answer_was_received_keeps_the_payment(self):
        # Command, two answers to 04 FF, one to 04 0F; on the line with frames around them and an ACK for each block.
        count = 13 + 3 * 3 if self.link == "tcp" else 19 + 1 + 3 * (1 + 9)
        terminal, till = self.pair(script=f"cut-after-received {count}")
        with self.assertRaises((EOFError, OSError)):
            till.pay()
            self.assertTrue(till.is_down())
            raise EOFError
        self.assert_events(terminal, "approved", "committed")

    def test_power_cycle_in_a_payment_reverses_after_the_start(self):
        terminal, till = self.pair(script="power-cycle")
        till.pay(answers={"04 0F": None})
        self.assertTrue(till.is_down())
        self.assert_events(terminal, "approved", "auto_reversed")
        self.assertEqual(terminal.journal()[-1]["cause"], "restart")
        till = self.attach(terminal, till)
        self.assertEqual(labels(till.pay()), ["80 00", "04 0F", "06 0F"], "the registration is forgotten")

    def test_power_cycle_at_once(self):
        terminal, till = self.pair()
        till.pay()
        terminal.type("power-cycle")
        self.assertTrue(till.is_down())
        till = self.attach(terminal, till)
        self.assertEqual(number(till.repeated(), 0x04), 950)

    def test_wrong_amount_currency_and_part(self):
        terminal, till = self.pair(script="wrong-amount 951\nwrong-currency 840\npartial 500\npartial 5000")
        told = [find(till.pay(), "04 0F") for _ in range(4)]
        self.assertEqual([(number(block, 0x04), number(block, 0x49)) for block in told], [(951, 978), (950, 840), (500, 978), (950, 978)])
        approved = [line for line in terminal.journal() if line["event"] == "approved"]
        self.assertEqual([(line["amount"], line["currency"], line.get("requested")) for line in approved],
                         [(951, "EUR", 950), (950, "USD", None), (500, "EUR", 950), (950, "EUR", None)])

    def test_foreign_payment_is_the_last_one(self):
        terminal, till = self.pair(script="foreign 1234", config="")
        self.assertEqual(number(till.repeated(), 0x04), 1234)
        self.assertEqual(terminal.events(), ["foreign"])

    def test_repeated_approval(self):
        terminal, till = self.pair(script="repeat-approval")
        blocks = till.pay()
        told = [block for block in blocks if label(block) == "04 0F"]
        self.assertEqual((len(told), told[0] == told[1]), (2, True))
        self.assertEqual(terminal.events(), ["approved", "committed"])

    def test_one_byte_at_a_time(self):
        terminal, till = self.pair(script="one-byte-at-a-time 3")
        begin = time.monotonic()
        self.assertEqual(label(till.pay()[-1]), "06 0F")
        self.assertGreater(time.monotonic() - begin, 0.003 * 108)
        self.assert_events(terminal, "approved", "committed")

    def test_flood(self):
        _, till = self.pair(script="flood 40")
        self.assertEqual(labels(till.pay()).count("04 FF"), 42)

    def test_card_numbers_in_texts(self):
        _, till = self.pair(script="pan-in-text", config="8E")
        blocks = till.pay()
        told = find(blocks, "04 0F")
        self.assertEqual(fields(told)[0x22].hex(), PAN)
        self.assertIn(PAN.encode(), fields(told)[0x8B])
        self.assertIn(f";{PAN}=2512".encode(), fields(told)[0x3C])
        self.assertIn(bytes.fromhex(PAN + "D25121"), fields(told)[0x06])
        lines = [block[4:].decode() for block in blocks if label(block) == "06 D1"]
        for text in (PAN, f";{PAN}=2512", "4111 1111 1111 1111"):
            self.assertTrue(any(text in line for line in lines), text)
        self.assertNotIn(PAN, "".join(block.hex() for block in till.pay()))

    def test_offline_is_stored_and_may_be_declined_later(self):
        terminal, till = self.pair(script="offline")
        told = fields(find(till.pay(), "04 0F"))
        self.assertEqual((told[0x19], told[0x3C], 0x3B in told), (b"\x40", b"OFFLINE", False))
        terminal.type("offline-declined")
        terminal.until_event("declined")
        self.assertEqual(terminal.events(), ["approved", "offline_stored", "committed", "declined"])
        self.assertEqual({line["receipt"] for line in terminal.journal()}, {1})

    def test_card_inserted(self):
        _, till = self.pair(script="card-inserted 2")
        self.assertEqual([till.run("05 01 00")[-1][-1] for _ in range(3)], [0xDC, 0xDC, 0x00])

    def test_busy_does_not_use_up_other_faults(self):
        _, till = self.pair(script="busy 2\ndecline", config="")
        self.assertEqual(till.run("05 01 00")[-1][-1], 0x9C)
        self.assertEqual(till.pay(), [bytes.fromhex("84 9C 00")])
        self.assert_ends(till.pay(), "05")

    def test_every_cut_leaves_journal_and_repeated_receipt_in_agreement(self):
        for fault, counts in (("cut-after", range(0, 160, 4)), ("cut-after-received", range(4, 54, 2))):
            script = "".join(f"{fault} {count}\n" for count in counts)
            terminal, till = self.pair(script=script, speed=25)
            outcomes = set()
            for count in counts:
                cut = len(terminal.journal())
                try:
                    till.pay()
                    down = till.is_down(0.02)
                except (EOFError, OSError):
                    down = True
                if down:
                    till = self.attach(terminal, till)
                until(lambda: till.run("05 01 00")[-1][-1] == 0, "ready again")
                told, outcome = till.repeated(), tuple(terminal.events()[cut:])
                stored = [line["receipt"] for line in terminal.journal() if line["event"] == "committed"]
                self.assertEqual(stored[-1:], [number(told, 0x87)] if told else [], f"{fault} {count}: {outcome}")
                outcomes.add(outcome)
                if down:
                    till.register()
            expected = {("aborted",), ("approved", "auto_reversed"), ("approved", "committed")}
            # A command that did not arrive whole leaves no trace.
            self.assertEqual(outcomes, expected | ({()} if fault == "cut-after-received" else set()), fault)
            self.assertEqual(terminal.stop(), 0)


class TcpFaults(Faults, Case):
    def test_garbage_stands_before_the_answer(self):
        _, till = self.pair(script="garbage 7")
        till.send("06 01 0A 04 00 00 00 00 09 50 49 09 78")
        self.assertGreater(min(till.take(7, 5)), 0x80)
        self.assertEqual(till.next(), bytes.fromhex(OK))

    def test_till_that_answers_nothing_is_left(self):
        terminal, till = self.pair()
        till.pay(answers={"04 0F": None})
        self.assertTrue(till.is_down())
        self.assertEqual(terminal.events(), ["approved", "auto_reversed"])

    def test_till_that_leaves_is_noticed(self):
        terminal, till = self.pair()
        till.pay(answers={"04 0F": None})
        till.close()
        self.assert_events(terminal, "approved", "auto_reversed")

    def test_second_till_waits_for_the_first_to_go(self):
        terminal, till = self.pair()
        second = self.attach(terminal)
        second.send("05 01 00")
        self.assertEqual(second.byte(0.2), b"")
        till.close()
        self.assertEqual(second.next(), bytes.fromhex(OK))

    def test_command_in_single_bytes_is_understood(self):
        _, till = self.pair()
        for byte in bytes.fromhex("05 01 00"):
            till.write(bytes([byte]))
        self.assertEqual(till.next(), bytes.fromhex(OK))


class PtyFaults(Faults, Case):
    link = "pty"

    def test_damaged_block_is_answered_nak_and_may_be_repeated(self):
        _, till = self.pair()
        good = framed(bytes.fromhex("05 01 00"))
        for bad in (good[:-1] + b"\x07", good[:5] + b"\x10\x41", framed(bytes.fromhex("05 01 01"))):
            till.write(bad)
            till.expect(NAK)
        till.write(good)
        till.expect(ACK)
        self.assertEqual(till.next(), bytes.fromhex(OK))

    def test_pause_inside_a_block_is_answered_nak(self):
        _, till = self.pair()
        till.write(framed(bytes.fromhex("05 01 00"))[:4])
        begin = time.monotonic()
        till.expect(NAK)
        self.assertGreater(time.monotonic() - begin, 0.15)
        self.assertEqual(label(till.run("05 01 00")[-1]), "06 0F")

    def test_command_that_is_repeated_before_its_answer_runs_once(self):
        terminal, till = self.pair(script="late 300 80 00")
        till.send("06 01 0A 04 00 00 00 00 09 50 49 09 78")
        till.send("06 01 0A 04 00 00 00 00 09 50 49 09 78")
        self.assertEqual(till.next(), bytes.fromhex(OK))
        self.assertEqual(label(till.finish()[-1]), "06 0F")
        self.assertEqual(till.byte(0.2), b"")
        self.assertEqual(terminal.events(), ["approved", "committed"])

    def test_refused_or_unheard_block_is_sent_three_times(self):
        for answer in (NAK, b""):
            with self.subTest(answer):
                terminal, till = self.pair()
                till.send("05 01 00")
                for _ in range(3):
                    self.assertEqual(till.frame(), bytes.fromhex(OK))
                    till.write(answer)
                self.assertEqual(till.byte(0.7), b"")
                self.assertIn("80 00 was not acknowledged", terminal.said())
                self.assertEqual(label(till.run("05 01 00")[-1]), "06 0F")

    def test_unheard_approval_reverses(self):
        terminal, till = self.pair()
        till.send("06 01 0A 04 00 00 00 00 09 50 49 09 78")
        till.next()
        for _ in range(2):
            till.next(), till.send(OK)
        for _ in range(3):
            self.assertEqual(label(till.frame()), "04 0F")
        self.assert_events(terminal, "approved", "auto_reversed")

    def test_bad_checksums_are_mended_by_repeats_or_not_at_all(self):
        terminal, till = self.pair(script="bad-crc 2\nbad-crc 3")
        till.send("06 01 0A 04 00 00 00 00 09 50 49 09 78")
        for _ in range(2):
            till.frame(right=False), till.write(NAK)
        self.assertEqual(till.next(), bytes.fromhex(OK))
        self.assertEqual(label(till.finish()[-1]), "06 0F")
        till.send("06 01 0A 04 00 00 00 00 09 50 49 09 78")
        for _ in range(3):
            till.frame(right=False), till.write(NAK)
        self.assert_events(terminal, "approved", "committed", "aborted")

    def test_nak_has_the_till_repeat(self):
        terminal, till = self.pair(script="nak 2")
        block = framed(bytes.fromhex("06 01 0A 04 00 00 00 00 09 50 49 09 78"))
        for answer in (NAK, NAK, ACK):
            till.write(block)
            till.expect(answer)
        self.assertEqual(till.next(), bytes.fromhex(OK))
        till.finish()
        self.assertEqual(terminal.events(), ["approved", "committed"])

    def test_mute_holds_for_the_repeats_of_its_block(self):
        terminal, till = self.pair(script="mute")
        block = framed(bytes.fromhex("06 01 0A 04 00 00 00 00 09 50 49 09 78"))
        for _ in range(3):
            till.write(block)
            self.assertEqual(till.byte(0.05), b"")
        self.assertEqual(label(till.pay()[-1]), "06 0F")
        self.assertEqual(terminal.events(), ["approved", "committed"])

    def test_garbage_on_the_line_is_read_over(self):
        _, till = self.pair(script="garbage 7")
        till.write(framed(bytes.fromhex("06 01 0A 04 00 00 00 00 09 50 49 09 78")))
        noise = b"".join(till.byte() for _ in range(7))
        self.assertFalse(set(noise) & set(ACK + NAK + b"\x10"))
        till.expect(ACK)
        self.assertEqual(till.next(), bytes.fromhex(OK))

    def test_bytes_for_a_till_that_has_gone_are_lost(self):
        terminal, till = self.pair()
        till.pay(answers={"04 0F": None})
        till.close()
        terminal.until_event("auto_reversed")
        till = self.attach(terminal)
        until(lambda: "04 FF was not acknowledged" in terminal.said(), "the terminal gives up")
        self.assertEqual(till.byte(0.05), b"")
        self.assert_ends(till.run(REPEAT), "83")

    def test_bytes_that_a_till_left_unread_are_lost(self):
        terminal, till = self.pair()
        till.write(framed(bytes.fromhex("05 01 00")))
        till.expect(ACK)
        self.assertTrue(select.select([till.fd], [], [], 5)[0])
        till.close()
        until(lambda: "80 00 was not acknowledged" in terminal.said(), "the terminal gives up")
        till = self.attach(terminal)
        self.assertEqual(till.byte(0.05), b"")
        self.assertEqual(label(till.run("05 01 00")[-1]), "06 0F")

    def test_cut_takes_the_port_away_and_brings_it_back(self):
        terminal, till = self.pair(script="cut-after 0")
        device = terminal.path.resolve()
        till.write(framed(bytes.fromhex("06 01 0A 04 00 00 00 00 09 50 49 09 78")))
        self.assertTrue(till.is_down())
        until(terminal.path.is_symlink, "the link is back")
        self.assertEqual(terminal.stop(), 0)
        self.assertFalse(terminal.path.is_symlink(), device)
