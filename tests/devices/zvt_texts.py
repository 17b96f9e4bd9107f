"""What a ZVT terminal says about a payment: status information, totals, and the lines of its receipts.

Promises: fields stand in the order of a recorded status information, whose bytes a test compares; the card number is
masked unless the fault that leaks it is on. Absent on purpose: when any of it is sent.
"""

from zvt_bytes import CONTAINER, bcd, block, length_of_tlv, llvar, lllvar, tlv

ONLINE, OFFLINE = 0x60, 0x40
MASKED = bytes.fromhex("559883EEEEEE8074")
CARD_NAME, CARD_LAST = "MasterCard", "8074"
EXPIRY = bytes.fromhex("2405")
# A test number of a card scheme: right by length, issuer range and check digit, and nobody's card.
LEAKED = "4111111111111111"
LEAKED_TRACK = f"{LEAKED}=25121010000012345678"
LINE_WIDTH = 31


def amount_text(minor):
    return f"{minor // 100},{minor % 100:02d}"


def status_information(entry, terminal_id, counter=None, leak=False):
    """04 0F of an entry."""
    kept = entry.result == 0
    data = bytes([0x27, entry.result, 0x04]) + bcd(entry.amount, 6)
    data += bytes([0x49]) + bcd(entry.currency, 2)
    data += bytes([0x0C]) + bytes.fromhex(entry.clock[4:]) + bytes([0x0D]) + bytes.fromhex(entry.clock[:4])
    data += llvar(0x22, bytes.fromhex(LEAKED) if leak else MASKED)
    data += bytes([0x87]) + bcd(entry.receipt, 2)
    if kept and not entry.offline:
        data += bytes([0x3B]) + f"{entry.trace:08d}".encode()
    data += bytes([0x0B]) + bcd(entry.trace, 3)
    data += bytes([0x19, OFFLINE if entry.offline else ONLINE])
    data += bytes([0x29]) + bytes.fromhex(terminal_id)
    data += bytes([0x0E]) + EXPIRY + bytes([0x8A, 0x06, 0x8C, 0x01])
    data += llvar(0x8B, f"{CARD_NAME} {LEAKED}".encode() + b"\0" if leak else CARD_NAME.encode() + b"\0")
    data += bytes([0x2A]) + f"VU{terminal_id:13}".encode()
    if entry.kind == "reversal":
        data += bytes([0x37]) + bcd(entry.original_trace, 3)
    text = entry_text(entry)
    if leak:
        text += f" KARTE {LEAKED} ;{LEAKED_TRACK}?"
    if text:
        data += lllvar(0x3C, text.strip().encode())
    objects = b""
    if counter is not None:
        objects += tlv("1F1F", counter.to_bytes(4, "big"))
    if leak:
        # Track 2 as chips give it: digits, D between number and the rest, F to fill.
        objects += tlv("57", bytes.fromhex(LEAKED_TRACK.replace("=", "D") + "F"))
    if objects:
        data += bytes([CONTAINER]) + length_of_tlv(len(objects)) + objects
    return block("04 0F", data)


def entry_text(entry):
    if entry.result:
        return "ABGELEHNT"
    if entry.kind != "payment":
        return {"refund": "GUTSCHRIFT", "reversal": "STORNO"}[entry.kind]
    return "OFFLINE" if entry.offline else ""


def totals_information(count, total, first, last, currency, clock, terminal_id):
    """04 0F of an end of day: receipts from and to, then count and sum of each kind of card."""
    counts = [0] * 7
    counts[2] = min(count, 255)
    sums = b"".join(bytes([number]) + bcd(abs(total) if number else 0, 6) for number in counts)
    data = bytes([0x27, 0x00, 0x04]) + bcd(abs(total), 6) + bytes([0x49]) + bcd(currency, 2)
    data += bytes([0x0C]) + bytes.fromhex(clock[4:]) + bytes([0x0D]) + bytes.fromhex(clock[:4])
    data += bytes([0x29]) + bytes.fromhex(terminal_id)
    return block("04 0F", data + lllvar(0x60, bcd(first, 2) + bcd(last, 2) + sums))


def receipt_lines(entry, terminal_id, leak=False):
    title = {"payment": "Kartenzahlung", "refund": "Gutschrift", "reversal": "Storno"}[entry.kind]
    lines = [centred("Stand am Markt"), centred(title), "", f"VU-Nr          VU{terminal_id}", f"Terminal-ID    {terminal_id}",
             f"TA-Nr {entry.trace:06d}  Beleg {entry.receipt:04d}", CARD_NAME, f"############{CARD_LAST}",
             f"EUR {amount_text(entry.amount):>10}", entry_text(entry) or "Zahlung erfolgt"]
    if leak:
        lines += [f"Karte {LEAKED}", f";{LEAKED_TRACK}?", " ".join(LEAKED[at:at + 4] for at in range(0, 16, 4))]
    return lines


def totals_lines(count, total, first, last):
    return [centred("Kassenschnitt"), "", f"Belege {first:04d} bis {last:04d}", f"Anzahl {count}",
            f"EUR {amount_text(abs(total)):>10}{' -' if total < 0 else ''}"]


def centred(text):
    return " " * ((LINE_WIDTH - len(text)) // 2) + text


def print_line(text):
    """06 D1 with plain attributes."""
    return block("06 D1", b"\0" + text.encode())


def print_block(kind, lines):
    """06 D3: kind of receipt (1 the buyer's, 2 the merchant's own), then its lines."""
    texts = b"".join(tlv("07", line.encode()) for line in lines)
    objects = tlv("1F07", bytes([kind])) + tlv("25", texts)
    return block("06 D3", bytes([CONTAINER]) + length_of_tlv(len(objects)) + objects)
