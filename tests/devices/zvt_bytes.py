"""ZVT on the wire: blocks, fields, BER-TLV containers, the serial framing and its checksum.

Promises: what is written here comes from the protocol's words and recorded frames alone; it shares no code with the
till's driver. Readers take bytes in any pieces and raise `Malformed`, nothing else, on what they cannot read.
Absent on purpose: time, links, and what a block means.
"""

ACK, NAK = 0x06, 0x15
DLE, STX, ETX = 0x10, 0x02, 0x03
# Three bytes, two of a long length, and as much as they can count.
BLOCK_BYTES_MAX = 5 + 0xFFFF

# Lengths of fields by their tag: a number, or how many digits of length stand in front of the value.
LLVAR, LLLVAR = "LL", "LLL"
FIELDS = {
    0x01: 1, 0x02: 1, 0x03: 1, 0x04: 6, 0x0B: 3, 0x0C: 3, 0x0D: 2, 0x0E: 2, 0x17: 2, 0x19: 1, 0x22: LLVAR, 0x23: LLVAR,
    0x24: LLLVAR, 0x27: 1, 0x29: 4, 0x2A: 15, 0x2D: LLVAR, 0x37: 3, 0x3B: 8, 0x3C: LLLVAR, 0x49: 2, 0x60: LLLVAR,
    0x87: 2, 0x88: 3, 0x8A: 1, 0x8B: LLVAR, 0x8C: 1, 0xA0: 1, 0xAA: 3, 0xBA: 5,
}
CONTAINER = 0x06


class Malformed(Exception):
    """Bytes that are not what the protocol says."""


def label(block):
    """How a block is called in words and scripts: `04 0F`."""
    return f"{block[0]:02X} {block[1]:02X}"


# --- numbers and fields ---------------------------------------------------------------------------------------------

def bcd(value, width):
    """`value` as decimal digits in `width` bytes."""
    digits = f"{value:0{2 * width}d}"
    if value < 0 or len(digits) > 2 * width:
        raise ValueError(f"{value} does not fit {width} bytes of digits")
    return bytes.fromhex(digits)


def from_bcd(data):
    digits = data.hex()
    if not digits.isdecimal():
        raise Malformed(f"{digits} is not a number of decimal digits")
    return int(digits)


def counted(tag, value, digits):
    """A field with its length in front, one decimal digit in each byte's low half."""
    return bytes([tag, *(0xF0 | int(digit) for digit in f"{len(value):0{digits}d}")]) + value


def llvar(tag, value):
    return counted(tag, value, 2)


def lllvar(tag, value):
    return counted(tag, value, 3)


def read_fields(data):
    """Fields by tag; the container stands under its tag as what `read_tlv` makes of it."""
    fields, at = {}, 0
    while at < len(data):
        tag, at = data[at], at + 1
        if tag == CONTAINER:
            length, at = tlv_length(data, at)
        elif tag not in FIELDS:
            raise Malformed(f"field {tag:02X} is not known")
        elif isinstance(FIELDS[tag], int):
            length = FIELDS[tag]
        else:
            digits = data[at:at + len(FIELDS[tag])]
            at += len(digits)
            if any(byte & 0xF0 != 0xF0 or byte & 0x0F > 9 for byte in digits):
                raise Malformed(f"field {tag:02X} has the length {digits.hex()}")
            length = int("".join(str(byte & 0x0F) for byte in digits) or "0")
        value = data[at:at + length]
        if len(value) != length:
            raise Malformed(f"field {tag:02X} ends too early")
        fields[tag] = read_tlv(value) if tag == CONTAINER else value
        at += length
    return fields


# --- BER-TLV --------------------------------------------------------------------------------------------------------

def tlv(tag, value):
    """One object; `tag` is given as its hex digits."""
    return bytes.fromhex(tag) + length_of_tlv(len(value)) + value


def length_of_tlv(length):
    if length < 0x80:
        return bytes([length])
    return bytes([0x81, length]) if length < 0x100 else bytes([0x82, length >> 8, length & 0xFF])


def tlv_length(data, at):
    """The length that stands at `at`, and where the value begins."""
    if at >= len(data):
        raise Malformed("a length is missing")
    first, at = data[at], at + 1
    if first < 0x80:
        return first, at
    size = first & 0x7F
    if not 1 <= size <= 2 or at + size > len(data):
        raise Malformed(f"{first:02X} is no length")
    return int.from_bytes(data[at:at + size], "big"), at + size


def read_tlv(data):
    """Objects by tag in hex digits, one level deep; a later one of the same tag wins."""
    objects, at = {}, 0
    while at < len(data):
        begin = at
        at += 1
        if data[begin] & 0x1F == 0x1F:
            while at < len(data) and data[at] & 0x80:
                at += 1
            at += 1
        tag = data[begin:at].hex().upper()
        length, at = tlv_length(data, at)
        if at + length > len(data):
            raise Malformed(f"object {tag} ends too early")
        objects[tag] = data[at:at + length]
        at += length
    return objects


# --- blocks ---------------------------------------------------------------------------------------------------------

def block(command, data=b""):
    """CLASS INSTR LEN data; from 255 bytes on the length takes two more bytes, the low one first."""
    size = len(data)
    length = bytes([size]) if size < 0xFF else bytes([0xFF, size & 0xFF, size >> 8])
    return bytes.fromhex(command) + length + data


def block_size(data):
    """How long the block at the front of `data` is in all; None while too little of it is there."""
    if len(data) < 3:
        return None
    if data[2] != 0xFF:
        return 3 + data[2]
    return 5 + data[3] + 256 * data[4] if len(data) >= 5 else None


def body(whole):
    """What follows the length."""
    return whole[5:] if whole[2] == 0xFF else whole[3:]


class BareReader:
    """Blocks as they come over TCP, without framing."""

    def reset(self):
        """Nothing is remembered here: what is not complete stays where it came from."""

    def take(self, data):
        """Takes what stands complete in front of `data`, as `("block", bytes)`; None where nothing does."""
        size = block_size(data)
        if size is None or len(data) < size:
            return None
        whole = bytes(data[:size])
        del data[:size]
        return ("block", whole)

    def open(self, data):
        """Whether a block has begun and not ended."""
        return bool(data)

    @staticmethod
    def header(heard):
        """Which command begins in `heard`; None while that is not to be seen."""
        return label(heard) if len(heard) >= 2 else None


# --- serial framing -------------------------------------------------------------------------------------------------

def checksum(data):
    """CRC-16/KERMIT: polynomial 0x8408 reflected, begins with 0, low byte leaves first."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0x8408 if value & 1 else value >> 1
    return value.to_bytes(2, "little")


def frame(whole):
    """DLE STX, the block with each DLE doubled, DLE ETX, checksum over block and ETX; the checksum is not doubled."""
    doubled = whole.replace(bytes([DLE]), bytes([DLE, DLE]))
    return bytes([DLE, STX]) + doubled + bytes([DLE, ETX]) + checksum(whole + bytes([ETX]))


class FrameReader:
    """Framed blocks and bare acknowledgements out of a serial line; noise between frames is dropped."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.state, self.data, self.check = "outside", bytearray(), bytearray()

    def take(self, data):
        """Takes bytes from the front of `data` until something is complete: `("block", bytes)`, `("bad", why)`,
        `("ack", None)`, `("nak", None)`; None where nothing is."""
        while data:
            if found := self.byte(data.pop(0)):
                return found
        return None

    def open(self, _data):
        return self.state not in ("outside", "maybe")

    def byte(self, byte):
        if self.state == "outside":
            if byte == DLE:
                self.state = "maybe"
            return {ACK: ("ack", None), NAK: ("nak", None)}.get(byte)
        if self.state == "maybe":
            self.state = {STX: "inside", DLE: "maybe"}.get(byte, "outside")
        elif self.state == "inside":
            if byte == DLE:
                self.state = "escape"
            else:
                self.data.append(byte)
                if len(self.data) > BLOCK_BYTES_MAX:
                    self.reset()
                    return ("bad", "a block without an end")
        elif self.state == "escape":
            if byte not in (DLE, ETX):
                self.reset()
                return ("bad", f"DLE {byte:02X} inside a block")
            if byte == DLE:
                self.data.append(DLE)
            self.state = "inside" if byte == DLE else "check"
        else:
            self.check.append(byte)
            if len(self.check) == 2:
                return self.complete()
        return None

    def complete(self):
        whole, check = bytes(self.data), bytes(self.check)
        self.reset()
        if checksum(whole + bytes([ETX])) != check:
            return ("bad", "wrong checksum")
        if block_size(whole) != len(whole):
            return ("bad", "wrong length")
        return ("block", whole)

    @staticmethod
    def header(heard):
        begin = bytes(heard).find(bytes([DLE, STX]))
        return label(heard[begin + 2:]) if begin >= 0 and len(heard) >= begin + 4 else None
