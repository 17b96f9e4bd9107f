"""ZVT seen from a till: recorded and worked frames byte for byte, each command, and how other terminals deviate.

Promises: each case runs over TCP and over the PTY. Absent on purpose: faults.
"""

import time
from random import Random

from case import Case
from till import ACK, OK, REPEAT, fields, find, label, labels, number, until


class Commands:
    """Each command, over either link."""

    def test_registration_names_terminal_and_currency(self):
        _, till = self.pair(config="")
        blocks = till.run("06 00 06 00 00 00 DE 09 78")
        self.assertEqual(blocks, [bytes.fromhex(OK), bytes.fromhex("06 0F 0A 19 10 29 52 52 35 35 49 09 78")])

    def test_state_enquiry_says_version_and_ready(self):
        _, till = self.pair(config="")
        self.assertEqual(till.run("05 01 00")[1].hex(" "), "06 0f 0b f0 f0 f7 32 2e 31 34 2e 31 35 00")

    def test_diagnosis_completes(self):
        _, till = self.pair()
        self.assertEqual(labels(till.run("06 70 00")), ["80 00", "04 FF", "06 0F"])

    def test_log_off_forgets_the_registration(self):
        _, till = self.pair()
        till.send("06 02 00")
        self.assertEqual(till.next(), bytes.fromhex(OK))
        self.assertEqual(labels(till.run("06 70 00")), ["80 00", "06 0F"])

    def test_unknown_and_malformed_commands_are_refused(self):
        terminal, till = self.pair()
        for command, answer in (("06 99 00", "84 83 00"), ("06 01 03 49 09 78", "84 9A 00"), ("06 30 02 00 00", "84 9A 00"),
                                ("06 01 0A 04 00 00 00 00 09 5A 49 09 78", "84 9A 00"),
                                ("06 01 0A 04 00 00 00 00 00 00 49 09 78", "84 9A 00"), ("06 01 02 FE 00", "84 9A 00"),
                                ("06 01 0A 04 00 00 00 00 09 50 49 08 40", "84 6F 00")):
            with self.subTest(command):
                self.assertEqual(till.run(command), [bytes.fromhex(answer)])
        self.assertEqual(terminal.events(), [])

    def test_noise_ends_neither_terminal_nor_link_for_good(self):
        terminal, till = self.pair()
        random = Random(7)
        for _ in range(60):
            command = bytes([random.choice((0x05, 0x06)), random.choice((0x00, 0x01, 0x20, 0x30, 0x31, 0x50, 0x70, 0xB0))])
            data = random.randbytes(random.randrange(40))
            till.run((command + bytes([len(data)]) + data).hex(), {name: "84 66 00" for name in ("04 0F", "06 0F")})
        till.write(random.randbytes(3000))
        while till.byte(0.3):
            continue
        till = self.attach(terminal, till)
        until(lambda: label(till.run("05 01 00")[-1]) == "06 0F", "an answer")
        self.assertNotIn("Traceback", terminal.said())

    def test_payment_is_told_in_the_recorded_form(self):
        terminal, till = self.pair("--receipt-start", "231")
        blocks = till.run("06 01 0A 04 00 00 00 00 25 00 49 09 78")
        self.assertEqual(labels(blocks), ["80 00", "04 FF", "04 FF", "04 0F", "06 0F"])
        self.assertEqual([block.hex(" ") for block in blocks[1:3]], ["04 ff 02 0a 00", "04 ff 01 17"])
        said = fields(blocks[3])
        recorded = ("04 0F 5A 27 00 04 00 00 00 00 25 00 49 09 78 0C {0C} 0D {0D} 22 F0 F8 55 98 83 EE EE EE 80 74 87 02 31 3B"
                    " {3B} 0B 00 09 75 19 60 29 52 52 35 35 0E 24 05 8A 06 8C 01 8B F1 F1 4D 61 73 74 65 72 43 61 72 64 00 2A {2A}")
        for tag in ("0C", "0D", "3B", "2A"):
            recorded = recorded.replace(f"{{{tag}}}", said[int(tag, 16)].hex(" "))
        self.assertEqual(blocks[3], bytes.fromhex(recorded))
        self.assertEqual(blocks[4], bytes.fromhex("06 0F 00"))
        self.assert_events(terminal, "approved", "committed")
        for line in terminal.journal():
            self.assertEqual([line[key] for key in ("amount", "currency", "receipt", "trace", "terminal_id")],
                             [2500, "EUR", 231, 975, "52523535"])

    def test_amount_whose_bytes_are_doubled_on_the_line_comes_through(self):
        _, till = self.pair()
        self.assertEqual(number(find(till.run("06 01 0A 04 00 00 00 00 10 10 49 09 78"), "04 0F"), 0x04), 1010)

    def test_journal_has_each_step_before_the_till_hears_of_it(self):
        terminal, till = self.pair()
        seen = {}

        def look(name):
            seen.setdefault(name, terminal.events())
            return OK
        till.pay(answers={name: [lambda name=name: look(name)] for name in ("04 FF", "04 0F", "06 0F")})
        self.assertEqual(seen, {"04 FF": [], "04 0F": ["approved"], "06 0F": ["approved", "committed"]})

    def test_config_byte_decides_about_states_and_lines(self):
        _, till = self.pair(config="")
        for config, states, lines in (("06", 0, 0), ("0E", 2, 0), ("8E", 2, 10), ("82", 0, 10), ("8C", 2, 0)):
            with self.subTest(config):
                till.register(config)
                seen = labels(till.pay())
                self.assertEqual((seen.count("04 FF"), seen.count("06 D1")), (states, lines))

    def test_print_block_is_sent_to_a_till_that_lists_it(self):
        _, till = self.pair(config="", script="pan-in-text")
        till.run("06 00 14 00 00 00 9E 09 78 06 0C 26 04 0A 02 06 D3 1F 73 03 00 00 00")
        block = find(till.pay(), "06 D3")
        self.assertEqual(block[:7], bytes.fromhex("06 D3 FF") + (len(block) - 5).to_bytes(2, "little") + b"\x06\x82")
        self.assertEqual(block[9:14].hex(" "), "1f 07 01 01 25")

    def test_goods_not_given_reverses(self):
        terminal, till = self.pair()
        blocks = till.pay(answers={"04 0F": "84 66 00"})
        self.assertEqual(blocks[-2], bytes.fromhex("04 FF 01 05"))
        self.assert_ends(blocks, "6C")
        self.assert_events(terminal, "approved", "reversed")
        self.assertIsNone(till.repeated())

    def test_other_positive_answer_stores_too(self):
        terminal, till = self.pair()
        till.pay(answers={"04 0F": "84 00 00"})
        self.assert_events(terminal, "approved", "committed")

    def test_part_of_the_goods_charges_a_part(self):
        terminal, till = self.pair()
        till.pay(answers={"04 0F": "84 9D 07 04 00 00 00 00 05 00"})
        self.assertEqual([line["amount"] for line in terminal.journal()], [950, 500])
        self.assertEqual(number(till.repeated(), 0x04), 500)

    def test_more_than_was_asked_is_no_part(self):
        terminal, till = self.pair()
        self.assert_ends(till.pay(answers={"04 0F": "84 9D 07 04 00 00 00 00 09 51"}), "6C")
        self.assert_events(terminal, "approved", "reversed")

    def test_till_that_asks_for_time_is_asked_again(self):
        terminal, till = self.pair()
        begin = time.monotonic()
        blocks = till.pay(answers={"04 0F": ["84 9C 00", "84 9C 00", OK]})
        self.assertGreater(time.monotonic() - begin, 0.4)
        told = [block for block in blocks if label(block) == "04 0F"]
        self.assertEqual((len(told), len(set(told))), (3, 1))
        self.assert_events(terminal, "approved", "committed")

    def test_window_and_count_of_the_till_end_its_time(self):
        # Five seconds of window and two between; then two sends whatever the window.
        for limit, least, most in (("01 05", 2, 3), ("02 02", 2, 2)):
            with self.subTest(limit):
                terminal, till = self.pair()
                blocks = till.run(f"06 01 0C 04 00 00 00 00 09 50 49 09 78 {limit}", {"04 0F": ["84 9C 00"] * 9})
                self.assertIn(labels(blocks).count("04 0F"), range(least, most + 1))
                self.assert_events(terminal, "approved", "reversed")

    def test_print_line_without_an_answer_reverses(self):
        terminal, till = self.pair(config="8E")
        till.pay(answers={"06 D1": [OK, OK, None]})
        self.assert_events(terminal, "approved", "auto_reversed")

    def test_refused_print_line_reverses(self):
        terminal, till = self.pair(config="8E")
        self.assert_ends(till.pay(answers={"06 D1": "84 CC 00"}), "6C")
        self.assert_events(terminal, "approved", "auto_reversed")

    def test_missing_answer_to_the_approval_reverses_and_is_told(self):
        terminal, till = self.pair()
        till.pay(answers={"04 0F": None})
        blocks = till.finish()
        self.assertEqual(blocks[0], bytes.fromhex("04 FF 01 05"))
        self.assert_ends(blocks, "6C")
        self.assert_events(terminal, "approved", "auto_reversed")
        self.assert_ends(till.run(REPEAT), "83")

    def test_missing_answer_to_the_completion_changes_nothing(self):
        terminal, till = self.pair()
        till.pay(answers={"06 0F": None})
        till = self.attach(terminal, till)
        self.assertEqual(number(until(lambda: find(till.run(REPEAT), "04 0F"), "a repeated receipt"), 0x04), 950)
        self.assert_events(terminal, "approved", "committed")

    def test_missing_answer_before_the_card_charges_nothing(self):
        terminal, till = self.pair()
        till.pay(answers={"04 FF": None})
        terminal.until_event("aborted")
        self.assertEqual(terminal.events(), ["aborted"])

    def test_reversal_gives_back_once(self):
        terminal, till = self.pair("--receipt-start", "231")
        till.pay()
        told = find(till.run("06 30 06 00 00 00 87 02 31"), "04 0F")
        self.assertEqual([number(told, tag) for tag in (0x04, 0x87, 0x0B, 0x37)], [950, 232, 976, 975])
        self.assert_ends(till.run("06 30 06 00 00 00 87 02 31"), "B4")
        self.assert_ends(till.run("06 30 06 00 00 00 87 09 99"), "B5")
        self.assert_events(terminal, "approved", "committed", "reversed")
        line = terminal.journal()[-1]
        self.assertEqual([line[key] for key in ("receipt", "trace", "own_receipt", "own_trace")], [231, 975, 232, 976])

    def test_reversal_of_another_amount_is_not_possible(self):
        terminal, till = self.pair("--receipt-start", "231")
        till.pay()
        self.assert_ends(till.run("06 30 0D 00 00 00 87 02 31 04 00 00 00 00 09 51"), "B5")
        self.assertEqual(label(till.run("06 30 0D 00 00 00 87 02 31 04 00 00 00 00 09 50")[-1]), "06 0F")
        self.assert_events(terminal, "approved", "committed", "reversed")

    def test_any_payment_of_the_day_can_be_reversed(self):
        terminal, till = self.pair("--receipt-start", "231")
        till.pay(950), till.pay(500)
        till.run("06 30 06 00 00 00 87 02 31")
        self.assertEqual(terminal.journal()[-1]["receipt"], 231)

    def test_refund_has_a_receipt_of_its_own(self):
        terminal, till = self.pair("--receipt-start", "231")
        told = find(till.run("06 31 0D 00 00 00 04 00 00 00 00 03 00 49 09 78"), "04 0F")
        self.assertEqual((number(told, 0x04), number(told, 0x87)), (300, 231))
        self.assertEqual([(line["event"], line["amount"], line["receipt"]) for line in terminal.journal()], [("refunded", 300, 231)])

    def test_repeated_receipt_is_the_last_one_byte_for_byte(self):
        _, till = self.pair(config="8E")
        till.pay(500)
        told = find(till.pay(), "04 0F")
        self.assertEqual(till.repeated(), told)
        self.assertEqual(labels(till.run("06 20 05 00 00 00 03 01")), ["80 00", "04 0F", *["06 D1"] * 10, "06 0F"])
        self.assertEqual(labels(till.run("06 20 03 00 00 00")), ["80 00", *["06 D1"] * 10, "06 0F"])

    def test_new_terminal_has_no_receipt_to_repeat(self):
        _, till = self.pair()
        self.assert_ends(till.run(REPEAT), "83")

    def test_end_of_day_sums_up_and_closes(self):
        terminal, till = self.pair("--receipt-start", "231", config="8E")
        till.pay(950), till.pay(1500), till.pay(400)
        till.run("06 30 06 00 00 00 87 02 33")
        till.run("06 31 0D 00 00 00 04 00 00 00 00 03 00 49 09 78")
        blocks = till.run("06 50 03 00 00 00")
        told = fields(find(blocks, "04 0F"))
        self.assertEqual(told[0x04].hex(), "000000002150")
        self.assertEqual(told[0x60].hex()[:8], "02310235")
        self.assertEqual(len(told[0x60]), 53)
        self.assertIn(bytes.fromhex("06 D1 17 00 20 20 20 20 20 20 20 20 20 4B 61 73 73 65 6E 73 63 68 6E 69 74 74"), blocks)
        line = terminal.journal()[-1]
        self.assertEqual([line[key] for key in ("event", "amount", "count")], ["end_of_day", 2150, 3])
        self.assert_ends(till.run("06 30 06 00 00 00 87 02 31"), "B5")
        self.assertEqual(number(find(till.pay(), "04 0F"), 0x87), 236)

    def test_end_of_day_can_begin_numbers_anew(self):
        _, till = self.pair("--receipt-start", "231", "--restart-numbers")
        till.pay()
        till.run("06 50 03 00 00 00")
        told = find(till.pay(), "04 0F")
        self.assertEqual((number(told, 0x87), number(told, 0x0B)), (1, 976))

    def test_receipts_wrap(self):
        _, till = self.pair("--receipt-start", "9999")
        self.assertEqual([number(find(till.pay(), "04 0F"), 0x87) for _ in range(2)], [9999, 1])

    def test_abort_while_the_card_is_awaited(self):
        terminal, till = self.pair(script="slow-card 20000")
        till.send("06 01 0A 04 00 00 00 00 09 50 49 09 78")
        till.next(), till.next(), till.send(OK), till.send("06 B0 00")
        self.assertEqual(till.next(), bytes.fromhex(OK))
        self.assert_ends([till.next()], "6C")
        till.send(OK)
        self.assert_events(terminal, "aborted")
        self.assertEqual(label(till.pay()[-1]), "06 0F")

    def test_abort_is_too_late_once_the_host_was_asked(self):
        terminal, till = self.pair(script="late 400")
        till.send("06 01 0A 04 00 00 00 00 09 50 49 09 78")
        till.next(), till.next(), till.send(OK), till.next(), till.send(OK)
        terminal.until_event("approved")
        till.send("06 B0 00")
        self.assertEqual(till.next(), bytes.fromhex("84 83 00"))
        self.assertEqual(label(till.next()), "04 0F")
        till.send(OK)
        self.assert_events(terminal, "approved", "committed")

    def test_abort_of_nothing_is_accepted(self):
        _, till = self.pair()
        till.send("06 B0 00")
        self.assertEqual(till.next(), bytes.fromhex(OK))

    def test_second_command_has_to_wait(self):
        _, till = self.pair(script="slow-card 300")
        till.send("06 01 0A 04 00 00 00 00 09 50 49 09 78")
        till.next(), till.next(), till.send(OK), till.send("06 01 0A 04 00 00 00 00 09 50 49 09 78")
        self.assertEqual(till.next(), bytes.fromhex("84 9C 00"))
        self.assertEqual(till.next(), bytes.fromhex("04 FF 01 17"))

    def test_unregistered_till_is_refused_where_that_is_wanted(self):
        _, till = self.pair("--require-registration", config="")
        self.assertEqual(till.run(REPEAT), [bytes.fromhex("84 6B 00")])
        self.assertEqual(label(till.run("05 01 00")[-1]), "06 0F")
        till.register()
        self.assertEqual(label(till.pay()[-1]), "06 0F")


class Profiles:
    """How other terminals deviate."""

    def test_no_auto_reversal_declines(self):
        terminal, till = self.pair("--profile", "no-auto-reversal", "--receipt-start", "231")
        till.pay(answers={"04 0F": None})
        till.finish()
        self.assert_events(terminal, "approved", "declined")
        told = till.repeated()
        self.assertEqual((number(told, 0x87), fields(told)[0x27]), (231, b"\x6C"))
        till.pay(answers={"04 0F": "84 66 00"})
        self.assertEqual(terminal.events()[2:], ["approved", "reversed"])

    def test_bare_repeat_says_nothing(self):
        _, till = self.pair("--profile", "bare-repeat")
        till.pay()
        self.assertEqual(labels(till.run(REPEAT)), ["80 00", "06 0F"])

    def test_last_only_reverses_the_last(self):
        terminal, till = self.pair("--profile", "last-only", "--receipt-start", "231")
        till.pay(950), till.pay(500)
        till.run("06 30 06 00 00 00 87 02 31")
        self.assertEqual(terminal.journal()[-1]["receipt"], 232)

    def test_counter_one_behind_reverses_the_last(self):
        terminal, till = self.pair("--with-1f1f", "--receipt-start", "231")
        first, second = (find(till.pay(), "04 0F")[-4:] for _ in range(2))
        self.assertEqual(int.from_bytes(second, "big"), int.from_bytes(first, "big") + 1)
        with_counter = "06 01 13 04 00 00 00 00 09 50 49 09 78 06 07 1F 1F 04 {}".format
        till.run(with_counter(second.hex(" ")))
        self.assertNotIn("reversed", terminal.events())
        till.run(with_counter(second.hex(" ")))
        line = next(line for line in terminal.journal() if line["event"] == "reversed")
        self.assertEqual((line["receipt"], line["cause"]), (233, "counter_one_behind"))
        till.run("06 01 0F 04 00 00 00 00 09 50 49 09 78 06 03 1F 1F 00")
        self.assertEqual(terminal.events().count("reversed"), 1)

    def test_refused_payment_does_not_put_the_till_behind(self):
        terminal, till = self.pair("--with-1f1f", script="ok\ndecline")
        counters = [find(till.pay(), "04 0F")[-4:] for _ in range(2)]
        self.assertEqual(counters[0], counters[1])
        till.run(f"06 01 13 04 00 00 00 00 09 50 49 09 78 06 07 1F 1F 04 {counters[1].hex(' ')}")
        self.assertEqual(terminal.events(), ["approved", "committed", "declined", "approved", "committed"])


class TcpCommands(Commands, Case):
    pass


class PtyCommands(Commands, Case):
    link = "pty"

    def test_recorded_and_worked_frames(self):
        """Frames of the till as they were recorded or computed, and the bytes that answer them."""
        accepted = "06 10 02 80 00 00 10 03 F5 1F"
        for frame, answer in (
                ("10 02 06 00 06 00 00 00 DE 09 78 10 03 D8 33", accepted),
                ("10 02 06 01 0A 04 00 00 00 00 09 50 49 09 78 10 03 86 72", accepted),
                ("10 02 06 01 0A 04 00 00 00 00 10 10 10 10 49 09 78 10 03 67 D4", accepted),
                ("10 02 06 30 06 00 00 00 87 02 31 10 03 D8 AF", accepted),
                ("10 02 06 20 05 00 00 00 03 03 10 03 DB 15", accepted),
                ("10 02 05 01 00 10 03 10 06", accepted),
                ("10 02 06 50 03 00 00 00 10 03 FB 37", accepted),
                ("10 02 06 70 00 10 03 D9 F9", accepted),
                ("10 02 06 B0 00 10 03 43 F3", accepted),
                ("10 02 06 02 00 10 03 B9 CC", accepted)):
            with self.subTest(frame):
                terminal, till = self.pair(config="")
                till.write(bytes.fromhex(frame))
                till.expect(bytes.fromhex(answer))
                terminal.kill()

    def test_recorded_frames_of_a_terminal(self):
        _, till = self.pair(config="8E")
        till.send("05 01 00")
        till.next()
        till.expect(bytes.fromhex("10 02 06 0F 0B F0 F0 F7 32 2E 31 34 2E 31 35 00 10 03 B1 11"))
        till.write(ACK)
        till.send(OK)
        till.run("06 50 03 00 00 00", {"04 0F": None})
        till.send(OK)
        till.expect(bytes.fromhex("10 02 06 D1 17 00 20 20 20 20 20 20 20 20 20 4B 61 73 73 65 6E 73 63 68 6E 69 74 74 10 03 2F 07"))


class TcpProfiles(Profiles, Case):
    pass


class PtyProfiles(Profiles, Case):
    link = "pty"
