"""A card terminal that speaks ZVT: the commands of a till, and what a terminal does when the answers stay away.

Promises: a card is charged once per 06 01 at most; a payment is stored only after the till's answer to 04 0F (and to
each print line, if the terminal sends them) and taken back otherwise; the journal has it before the till hears of it.
Refunds and reversals stand once they are made: asking again tells that they were.
Absent on purpose: several currencies, pre-authorisations, MsgSeqId (tag 1F73 is read over), the terminal's own printer.
"""

import time

from journal import clock
from links import Gone
from machine import EUR, REFUSED_BY_ISSUER, say
from script import TRANSACTIONS
from zvt_bytes import CONTAINER, Malformed, bcd, block, body, from_bcd, label, read_fields, read_tlv
from zvt_link import NoAnswer
from zvt_talk import ACCEPTED, NOT_POSSIBLE, WAIT, Talk
from zvt_texts import print_block, print_line, receipt_lines, status_information, totals_information, totals_lines

VERSION = b"2.14.15"
# Results and refusals beside those of every command.
NOT_REGISTERED, ABORTED, WRONG_CURRENCY = 0x6B, 0x6C, 0x6F
PROTOCOL_ERROR, PARTIAL, ALREADY_REVERSED, REVERSAL_NOT_POSSIBLE = 0x9A, 0x9D, 0xB4, 0xB5
READY, CARD_INSERTED = 0x00, 0xDC
# States that 04 FF shows: the card is awaited, the host is asked, a reversal by the terminal itself.
INSERT_CARD, PLEASE_WAIT, AUTO_REVERSAL = b"\x0A\x00", b"\x17", b"\x05"
# Bits of the config byte.
RECEIPT_BY_TILL, ADMIN_RECEIPT_BY_TILL, WANTS_STATES, WANTS_PRINT_LINES = 0x02, 0x04, 0x08, 0x80
# Window in which 84 9C may have 04 0F sent again, unless the till names another.
WINDOW_S = 30
# Fields by their tags.
TIMEOUT, SENDS_MAX, SERVICE, AMOUNT, CURRENCY, RECEIPT = 0x01, 0x02, 0x03, 0x04, 0x49, 0x87
# Commands whose fields stand behind a password of three bytes.
PASSWORD_BYTES = 3
WITH_PASSWORD = ("06 00", "06 20", "06 30", "06 31", "06 50")


class ZvtTerminal(Talk):
    def __init__(self, options, book, wire, script, timers):
        super().__init__(book, wire, script, timers)
        self.options = options
        self.commands = {
            "05 01": self.enquire, "06 00": self.register, "06 01": self.authorise, "06 02": self.log_off,
            "06 20": self.repeat_receipt, "06 30": self.reverse, "06 31": self.refund, "06 50": self.end_of_day,
            "06 70": self.diagnose, "06 B0": self.abort,
        }
        self.config, self.registered, self.print_blocks = 0, False, False
        self.settle_after_start()

    def settle_after_start(self):
        """A payment that was charged before power was lost and never acknowledged."""
        for entry in self.book.unsettled():
            self.journal_taken_back(entry, "auto_reversed", "restart")

    def command(self, whole):
        name = label(whole)
        command = self.commands.get(name)
        if self.busy:
            self.busy -= 1
            self.say_busy(whole)
        elif command is None:
            self.refuse(NOT_POSSIBLE)
        elif self.options.require_registration and not self.registered and name in (*TRANSACTIONS, "06 20", "06 50"):
            self.refuse(NOT_REGISTERED)
        else:
            try:
                fields = self.read(name, body(whole))
            except Malformed as error:
                say(f"{whole.hex(' ')}: {error}")
                self.refuse(PROTOCOL_ERROR)
                return
            command(fields)

    def read(self, name, data):
        """Fields by tag; a registration's config byte stands under `config`, the commands it lists under `lists`."""
        if name == "05 01":
            return {}
        skipped = PASSWORD_BYTES if name in WITH_PASSWORD else 0
        fields = {}
        if name == "06 00":
            if len(data) < PASSWORD_BYTES + 1:
                raise Malformed("the config byte is missing")
            fields["config"] = data[PASSWORD_BYTES]
            # The currency follows without a tag, or the data end.
            skipped = min(len(data), PASSWORD_BYTES + 3)
        if len(data) < skipped:
            raise Malformed("the password is missing")
        fields |= read_fields(data[skipped:])
        if name == "06 00":
            fields["lists"] = read_tlv(fields.get(CONTAINER, {}).get("26", b"")).get("0A", b"")
        for tag in (AMOUNT, CURRENCY, RECEIPT):
            if tag in fields:
                fields[tag] = from_bcd(fields[tag])
        missing = {"06 01": AMOUNT, "06 31": AMOUNT, "06 30": RECEIPT}.get(name)
        if missing is not None and not fields.get(missing):
            raise Malformed(f"field {missing:02X} is missing or zero")
        return fields

    # --- what moves no money ---

    def enquire(self, _fields):
        self.cards_inserted -= (inserted := self.cards_inserted > 0)
        self.say_state(CARD_INSERTED if inserted else READY)

    def say_state(self, code):
        self.send(ACCEPTED)
        digits = bytes(0xF0 | int(digit) for digit in f"{len(VERSION):03d}")
        self.complete(digits + VERSION + bytes([code]))

    def register(self, fields):
        self.send(ACCEPTED)
        self.config, self.registered = fields["config"], True
        lists = fields["lists"]
        self.print_blocks = b"\x06\xD3" in [lists[at:at + 2] for at in range(0, len(lists), 2)]
        terminal_id = bytes.fromhex(self.options.terminal_id)
        self.complete(bytes([0x19, 0x10, 0x29]) + terminal_id + bytes([0x49]) + bcd(EUR, 2))

    def log_off(self, _fields):
        self.send(ACCEPTED)
        self.config, self.registered, self.print_blocks = 0, False, False

    def diagnose(self, _fields):
        self.send(ACCEPTED)
        self.show(PLEASE_WAIT)
        self.complete()

    def abort(self, _fields):
        """06 B0 while nothing runs: there is nothing to stop."""
        self.send(ACCEPTED)

    def repeat_receipt(self, fields):
        self.send(ACCEPTED)
        entry, service = self.book.last(), fields.get(SERVICE, b"\0")[0]
        if self.options.profile == "bare-repeat":
            self.complete()
        elif entry is None:
            self.fail(NOT_POSSIBLE)
        else:
            if service & 1:
                self.ask(self.status(entry))
            if not service & 2:
                self.print(RECEIPT_BY_TILL, 1, receipt_lines(entry, self.options.terminal_id, self.leaks()))
            self.complete()

    def end_of_day(self, fields):
        self.reverse_if_behind(fields)
        self.send(ACCEPTED)
        self.show(PLEASE_WAIT)
        self.pause(self.timers.host_s)
        totals = self.book.end_of_day(EUR, self.options.restart_numbers)
        self.ask(totals_information(*totals, EUR, clock(), self.options.terminal_id))
        self.print(ADMIN_RECEIPT_BY_TILL, 2, totals_lines(*totals))
        self.complete()

    # --- what moves money ---

    def authorise(self, fields):
        amount = fields[AMOUNT]
        if not self.open_transaction(fields):
            return
        entry = self.charge(amount, EUR)
        try:
            stored = self.let_till_decide(entry, fields)
        except (Gone, NoAnswer) as error:
            self.left_alone(entry, error)
            return
        if not stored:
            self.take_back(entry, "reversed", "goods_not_given")
            return
        if "repeat-approval" in self.faults:
            self.ask(self.status(entry))
        self.complete()

    def refund(self, fields):
        if self.open_transaction(fields):
            self.report(self.book.refund(fields[AMOUNT], EUR))

    def reverse(self, fields):
        self.reverse_if_behind(fields)
        self.send(ACCEPTED)
        payments = self.book.payments()
        payment = self.book.by_receipt(fields[RECEIPT])
        if self.options.profile == "last-only":
            payment = payments[-1] if payments else None
        if payment is None or fields.get(AMOUNT, payment.amount) != payment.amount:
            self.fail(REVERSAL_NOT_POSSIBLE)
        elif payment.state == "reversed":
            self.fail(ALREADY_REVERSED)
        elif "abort" in self.faults:
            self.book.aborted(payment.amount, EUR, "buyer")
            self.fail(ABORTED)
        elif self.declined():
            self.fail(self.declined())
        else:
            self.show(PLEASE_WAIT)
            self.pause(self.timers.host_s)
            self.report(self.book.reverse(payment))

    def open_transaction(self, fields):
        """Accepts the command and awaits card and host; False where it has ended without money, and the till knows."""
        amount = fields[AMOUNT]
        if fields.get(CURRENCY, EUR) != EUR:
            self.refuse(WRONG_CURRENCY)
            return False
        self.reverse_if_behind(fields)
        try:
            self.send(ACCEPTED)
            if not self.await_card():
                self.book.aborted(amount, EUR, self.stopped_by)
                self.fail(ABORTED)
                return False
            self.show(PLEASE_WAIT)
            self.pause(self.timers.host_s)
        except (Gone, NoAnswer):
            self.book.aborted(amount, EUR, "no_answer")
            raise
        if self.declined():
            self.ask(self.status(self.book.refuse(amount, EUR, self.declined())))
            self.fail(self.declined())
            return False
        return True

    def await_card(self):
        """Whether a card was presented before somebody stopped it."""
        self.before_card = True
        if "abort" in self.faults:
            self.stopped_by = "buyer"
        self.show(INSERT_CARD)
        for _ in range(self.faults.get("flood", 0)):
            self.ask(block("04 FF", INSERT_CARD))
        self.pause(self.timers.card_s + self.faults.get("slow-card", 0) / 1000)
        self.before_card = False
        return not self.stopped_by

    def let_till_decide(self, entry, fields):
        """Whether the till gave the goods; its answer to 04 0F and to each print line stores the payment."""
        window_s = fields[TIMEOUT][0] if TIMEOUT in fields else WINDOW_S
        deadline = time.monotonic() + window_s / self.timers.speed
        left = fields[SENDS_MAX][0] if SENDS_MAX in fields else None
        while (verdict := self.ask(self.status(entry)))[:2] == bytes([0x84, WAIT]):
            left = None if left is None else left - 1
            if left == 0 or time.monotonic() + self.timers.again_s > deadline:
                return False
            self.pause(self.timers.again_s)
        amount = given_amount(verdict, entry.amount)
        if amount is None:
            return False
        self.print(RECEIPT_BY_TILL, 1, receipt_lines(entry, self.options.terminal_id, self.leaks()))
        self.book.commit(entry, amount)
        return True

    def left_alone(self, entry, error):
        """The till did not answer in time, or its link went down, before the payment was stored."""
        say(error)
        if "keep-charged" in self.faults:
            self.book.commit(entry, entry.amount, cause="kept_without_answer")
            self.give_up_link()
        else:
            self.take_back(entry, "auto_reversed", "no_answer")

    def take_back(self, entry, event, cause):
        there, generation = self.wire.place.up(), self.wire.generation
        self.occupy(self.timers.reversal_s)
        self.journal_taken_back(entry, event, cause)
        if not there or self.wire.generation != generation:
            # A till that came since then has asked for nothing.
            return
        try:
            self.show(AUTO_REVERSAL)
            self.fail(ABORTED)
        except (Gone, NoAnswer) as error:
            say(error)
            self.give_up_link()

    def journal_taken_back(self, entry, event, cause):
        if event == "auto_reversed" and self.options.profile == "no-auto-reversal":
            self.book.about("declined", entry, result=ABORTED, cause=cause)
        else:
            self.book.about(event, entry, cause=cause)

    def reverse_if_behind(self, fields):
        """The till names the counter of the last payment it knows: one too few, and the last one is not its own."""
        value = fields.get(CONTAINER, {}).get("1F1F", b"")
        if not self.options.with_1f1f or int.from_bytes(value, "big") != self.book.counter - 1 or not value:
            return
        for payment in self.book.payments():
            if payment.counter == self.book.counter and payment.state == "committed":
                self.book.reverse(payment, cause="counter_one_behind")

    # --- what is told ---

    def report(self, entry):
        """A refund or reversal that is made."""
        self.ask(self.status(entry))
        if "repeat-approval" in self.faults:
            self.ask(self.status(entry))
        self.print(RECEIPT_BY_TILL, 1, receipt_lines(entry, self.options.terminal_id, self.leaks()))
        self.complete()

    def status(self, entry):
        # What is no payment of this till names the newest payment's counter, or the till would fall behind by it.
        counter = (entry.counter or self.book.counter) if self.options.with_1f1f else None
        return status_information(entry, self.options.terminal_id, counter, self.leaks())

    def show(self, state):
        """An intermediate state, if the till wants them."""
        if self.config & WANTS_STATES:
            self.ask(block("04 FF", state))

    def print(self, whose, kind, lines):
        """A receipt that the till prints from the terminal's lines."""
        if not (self.config & whose and self.config & WANTS_PRINT_LINES):
            return
        for whole in [print_block(kind, lines)] if self.print_blocks else map(print_line, lines):
            if self.ask(whole)[:2] not in (b"\x80\x00", b"\x84\x00"):
                raise NoAnswer(f"{label(whole)} was refused")

    def complete(self, data=b""):
        self.ask(block("06 0F", data))

    def fail(self, code):
        self.ask(block("06 1E", bytes([code])))

    def declined(self):
        """The result an issuer refuses with, 0 where it does not."""
        return (self.faults["decline"] or REFUSED_BY_ISSUER) if "decline" in self.faults else 0


def given_amount(verdict, asked):
    """What stays charged by the till's answer to 04 0F; None where the goods were not given."""
    if verdict[:2] in (b"\x80\x00", b"\x84\x00"):
        return asked
    try:
        given = from_bcd(read_fields(body(verdict)).get(AMOUNT, b"\0")) if verdict[1] == PARTIAL else 0
    except Malformed as error:
        say(f"{verdict.hex(' ')}: {error}")
        return None
    return given if 0 < given <= asked else None
