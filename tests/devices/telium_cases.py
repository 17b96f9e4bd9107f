"""Protocol E seen from a till: the recorded question byte for byte, results, and faults.

Promises: checksums are computed by the bits here, not as the terminal does. Absent on purpose: TCP, which this protocol
does not know.
"""

from case import PAN, Case
from till import ACK, NAK, until

ENQ, EOT, STX, ETX = b"\x05", b"\x04", b"\x02", b"\x03"


class Telium(Case):
    """Protocol E over a PTY."""

    link = "pty"
    ASK = bytes.fromhex("02 30 31 30 30 30 30 30 39 35 30 31 31 30 39 37 38 20 20 20 20 20 20 20 20 20 20 41 30 31 30 42 30 31 30 03 0B")

    def pair(self, *options, **more):
        return super().pair(*options, config="", protocol="telium", **more)

    def ask(self, till, frame=None):
        till.write(ENQ)
        till.expect(ACK)
        till.write(frame or self.ASK)
        till.expect(ACK)
        till.write(EOT)

    def answer(self, till, size=83):
        till.expect(ENQ)
        till.write(ACK)
        frame = b"".join(till.byte() for _ in range(size))
        till.write(ACK)
        till.expect(EOT)
        return frame

    def asking(self, text):
        return STX + text.encode() + ETX + redundancy(text.encode() + ETX)

    def test_poll(self):
        terminal, till = self.pair()
        for _ in range(2):
            till.write(ENQ)
            till.expect(ACK)
            till.write(EOT)
        self.assertEqual(terminal.events(), [])

    def test_recorded_question_and_answer(self):
        terminal, till = self.pair("--receipt-start", "41")
        self.ask(till)
        frame = self.answer(till)
        self.assertEqual(frame[:13], bytes.fromhex("02 30 31 30 30 30 30 30 30 39 35 30 31"))
        self.assertEqual(frame[68:], b"978TX00000785\x03" + redundancy(frame[1:-1]))
        self.assertEqual(redundancy(self.ASK[1:-1]), self.ASK[-1:])
        self.assert_events(terminal, "approved", "committed")
        self.assertEqual([terminal.journal()[0][key] for key in ("amount", "currency")], [950, "EUR"])

    def test_short_answer_and_own_private_text(self):
        _, till = self.pair()
        self.ask(till, self.asking("0100000950010978ORDER 0042A010B010"))
        self.assertEqual(self.answer(till, 28)[1:-2], b"010000009501978ORDER 0042")

    def test_damaged_question_is_refused(self):
        _, till = self.pair()
        till.write(ENQ)
        till.expect(ACK)
        till.write(self.ASK[:-1] + b"\x0C")
        till.expect(NAK)
        till.write(self.asking("0100000950"))
        till.expect(NAK)
        till.write(self.ASK)
        till.expect(ACK)

    def test_pause_inside_a_question_is_refused(self):
        _, till = self.pair()
        till.write(ENQ)
        till.expect(ACK)
        till.write(self.ASK[:9])
        till.expect(NAK)

    def test_results(self):
        terminal, till = self.pair(script="decline\ndecline 09\nabort\npartial 500\nwrong-currency 840")
        results = []
        for _ in range(5):
            self.ask(till)
            frame = self.answer(till)
            results.append((frame[3:4], int(frame[4:12]), frame[68:71]))
        self.assertEqual(results, [(b"7", 950, b"978"), (b"9", 950, b"978"), (b"7", 950, b"978"), (b"0", 500, b"978"), (b"0", 950, b"840")])
        self.assertEqual(terminal.events(), ["declined", "declined", "aborted", "approved", "committed", "approved", "committed"])

    def test_answer_at_once_is_not_verified(self):
        terminal, till = self.pair()
        self.ask(till, self.asking("0100000950110978          A011B010"))
        self.assertEqual(self.answer(till)[3:4], b"9")
        self.assert_events(terminal, "approved")

    def test_refund_and_cancelling(self):
        terminal, till = self.pair()
        results = []
        for kind in "10223":
            self.ask(till, self.asking(f"010000095011{kind}978          A010B010"))
            results.append(self.answer(till)[3:4])
        self.assertEqual(results, [b"0", b"0", b"0", b"7", b"7"])
        self.assertEqual(terminal.events(), ["refunded", "approved", "committed", "reversed"])

    def test_faults_of_the_line(self):
        terminal, till = self.pair(script="nak 1\nbad-crc 1\nrepeat-approval\nflood 2\npan-in-text\none-byte-at-a-time 1\ngarbage 4")
        till.write(ENQ)
        till.expect(ACK)
        till.write(self.ASK)
        till.expect(NAK)
        till.write(self.ASK)
        till.expect(ACK)
        till.write(EOT)
        self.answer(till)
        self.ask(till)
        till.expect(ENQ)
        till.write(ACK)
        frame = b"".join(till.byte() for _ in range(83))
        self.assertNotEqual(frame[-1:], redundancy(frame[1:-1]))
        till.write(NAK)
        frame = b"".join(till.byte() for _ in range(83))
        self.assertEqual(frame[-1:], redundancy(frame[1:-1]))
        till.write(ACK)
        till.expect(EOT)
        self.ask(till)
        self.assertEqual(self.answer(till), self.answer(till))
        self.ask(till)
        for _ in range(2):
            till.expect(ENQ)
            till.write(ACK)
            till.expect(EOT)
        self.answer(till)
        self.ask(till)
        self.assertIn(f"{PAN} ;{PAN}=2512".encode(), self.answer(till))
        self.ask(till)
        self.answer(till)
        till.write(ENQ)
        till.expect(ACK)
        till.write(self.ASK)
        noise = b"".join(till.byte() for _ in range(4))
        self.assertGreater(min(noise), 0x7F)
        till.expect(ACK)
        till.write(EOT)
        self.answer(till)
        self.assertEqual(terminal.events(), ["approved", "committed"] * 7)

    def test_busy_and_mute(self):
        terminal, till = self.pair(script="busy 1\nmute\nmute-after STX")
        till.write(ENQ)
        till.expect(NAK)
        till.write(ENQ)
        till.expect(ACK)
        till.write(self.ASK)
        self.assertEqual(till.byte(0.3), b"")
        till.write(EOT)
        self.ask(till)
        till.expect(ENQ)
        till.write(ACK)
        self.assertEqual(len(b"".join(till.byte() for _ in range(83))), 83)
        till.write(ACK)
        self.assertEqual(till.byte(0.3), b"")
        self.assert_events(terminal, "approved", "committed")

    def test_cuts_leave_the_charge_as_it_is(self):
        script = "".join(f"cut-after {count}\n" for count in (0, 1, 2, 3, 40)) + "cut-after-received 0\ncut-after-received 20\n"
        terminal, till = self.pair(script=script + "power-cycle\n")
        seen = []
        for _ in range(8):
            before = len(terminal.events())
            with self.assertRaises((EOFError, OSError, AssertionError)):
                self.ask(till)
                self.answer(till)
                raise RuntimeError("the link stayed up")
            till = self.attach(terminal, till)
            seen.append(tuple(terminal.events()[before:]))
        self.assertEqual(seen, [(), (), (), ("approved",), ("approved",), (), (), ("approved",)])
        self.ask(till)
        self.assertEqual(self.answer(till)[3:4], b"0")

    def test_till_that_does_not_acknowledge_leaves_the_charge(self):
        terminal, till = self.pair()
        self.ask(till)
        for _ in range(3):
            till.expect(ENQ)
        until(lambda: "ENQ was not acknowledged" in terminal.said(), "the terminal gives up")
        self.assertEqual(terminal.events(), ["approved"])
        terminal.kill(), terminal.start()
        self.assertEqual(terminal.events(), ["approved"])


def redundancy(data):
    """LRC by the bits: each bit says whether an odd number of bytes had it."""
    return bytes([sum((sum(byte >> at & 1 for byte in data) % 2) << at for at in range(8))])
