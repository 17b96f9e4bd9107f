"""A tiny till for the tests of the terminal: it drives the program over TCP or its PTY, and checks every checksum.

Promises: it shares no code with the terminal, its framing and checksum included; every wait has a deadline and fails with
what it waited for. Absent on purpose: what is checked.
"""

import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# The program is started often, and reads its modules faster where they were compiled once.
COMPILED = tempfile.TemporaryDirectory(prefix="terminal-compiled-")
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
ENVIRONMENT["PYTHONPYCACHEPREFIX"] = COMPILED.name
PROGRAM = Path(__file__).with_name("terminal.py")
# Longer than a terminal itself waits for an answer, which some cases have it do.
ANSWER_S_MAX = 10
OK = "80 00 00"
REPEAT = "06 20 05 00 00 00 03 03"
ACK, NAK, DLE, STX, ETX = b"\x06", b"\x15", b"\x10", b"\x02", b"\x03"
# Lengths of the fields in a recorded status information, and digits of length in front of the others.
FIELDS = {0x27: 1, 0x04: 6, 0x49: 2, 0x0C: 3, 0x0D: 2, 0x22: "2", 0x87: 2, 0x3B: 8, 0x0B: 3, 0x19: 1, 0x29: 4, 0x0E: 2,
          0x8A: 1, 0x8C: 1, 0x8B: "2", 0x2A: 15, 0x37: 3, 0x3C: "3", 0x60: "3"}


class Terminal:
    """The program in a directory of its own; arguments are its options."""

    def __init__(self, link, *options, protocol="zvt", speed=10, script=None):
        self.link, self.options, self.protocol, self.speed = link, options, protocol, speed
        self.directory = Path(tempfile.mkdtemp(prefix="terminal-"))
        self.path, self.journal_path = self.directory / "port", self.directory / "journal"
        if script is not None:
            (self.directory / "script").write_text(script)
            self.options += ("--script", str(self.directory / "script"))
        self.where = str(self.path) if link == "pty" else "127.0.0.1:0"
        self.start()

    def start(self):
        with open(self.directory / "stderr", "ab") as stderr:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
                                            env=ENVIRONMENT)
        self.ready = self.line()
        assert self.ready.startswith(f"READY {self.protocol}"), self.ready + self.said()
        if self.link == "tcp":
            self.where = self.ready.split("//")[1]

    def command(self):
        """The program with its options."""
        return [sys.executable, "-S", PROGRAM, "--protocol", self.protocol, f"--{self.link}", self.where, "--journal",
                self.journal_path, "--speed", str(self.speed), *self.options]

    def line(self):
        """The next line of standard output."""
        ready, _, _ = select.select([self.process.stdout], [], [], ANSWER_S_MAX)
        assert ready, "no line on standard output"
        return self.process.stdout.readline().decode().rstrip("\n")

    def said(self):
        return (self.directory / "stderr").read_text()

    def type(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def attach(self):
        """A new till, once the link is there."""
        kind = {"zvt": {"tcp": TcpTill, "pty": SerialTill}, "telium": {"pty": Line, "tcp": Line}}[self.protocol][self.link]
        return until(lambda: kind.open(self), "the link comes up")

    def journal(self):
        try:
            text = self.journal_path.read_text()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.splitlines()]

    def events(self):
        return [line["event"] for line in self.journal()]

    def until_event(self, event, count=1):
        until(lambda: self.events().count(event) >= count, f"{event} in {self.events()}")

    def stop(self):
        """Ends it as an operator would; its exit code."""
        self.process.terminate()
        return self.ended()

    def kill(self):
        self.process.kill()
        self.ended()

    def ended(self):
        code = self.process.wait(timeout=ANSWER_S_MAX)
        self.process.stdin.close()
        self.process.stdout.close()
        return code

    def clean_up(self):
        """Ends it if it still runs, and removes its directory."""
        if self.process.poll() is None:
            self.process.kill()
        self.ended()
        shutil.rmtree(self.directory)


def until(holds, what):
    """What `holds` returns once it is true."""
    deadline = time.monotonic() + ANSWER_S_MAX
    while not (found := holds()):
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.005)
    return found


def label(block):
    return block[:2].hex(" ").upper()


class Line:
    """Bytes over either link."""

    def __init__(self, fd, keep=None):
        self.fd, self.keep, self.received = fd, keep, b""

    @classmethod
    def open(cls, terminal):
        try:
            if terminal.link == "tcp":
                host, port = terminal.where.split(":")
                link = socket.create_connection((host, int(port)), timeout=ANSWER_S_MAX)
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return cls(link.fileno(), link)
            # As it is: the terminal has made it raw, and setting it up would throw away what waits to be read.
            return cls(os.open(terminal.path, os.O_RDWR | os.O_NOCTTY))
        except OSError:
            return None

    def close(self):
        if self.keep:
            self.keep.close()
        elif self.fd is not None:
            os.close(self.fd)
        self.fd = self.keep = None

    def write(self, data):
        os.write(self.fd, data)

    def byte(self, seconds=ANSWER_S_MAX):
        """The next byte; none when the time is up, EOFError when the link is down."""
        if not self.received:
            ready, _, _ = select.select([self.fd], [], [], seconds)
            if not ready:
                return b""
            try:
                self.received = os.read(self.fd, 4096)
            except OSError:
                self.received = b""
            if not self.received:
                raise EOFError("the link is down")
        byte, self.received = self.received[:1], self.received[1:]
        return byte

    def expect(self, data, seconds=ANSWER_S_MAX):
        """Reads exactly these bytes."""
        found = b""
        while len(found) < len(data) and (byte := self.byte(seconds)):
            found += byte
        assert found == data, f"wanted {data.hex(' ')}, read {found.hex(' ')}"

    def is_down(self, seconds=ANSWER_S_MAX):
        """Reads until the link goes down; False if it stays up."""
        try:
            while self.byte(seconds):
                pass
            return False
        except EOFError:
            return True


class TcpTill(Line):
    def send(self, block):
        self.write(bytes.fromhex(block))

    def take(self, count, seconds):
        data = b""
        while len(data) < count:
            byte = self.byte(seconds)
            if not byte:
                raise TimeoutError(f"no whole block: {data.hex(' ')}")
            data += byte
        return data

    def next(self, seconds=ANSWER_S_MAX):
        head = self.take(3, seconds)
        size = head[2]
        if size == 0xFF:
            head += self.take(2, seconds)
            size = head[3] + 256 * head[4]
        return head + self.take(size, seconds)

    def run(self, command, answers=None):
        """Gives a command and answers what comes until it has ended; all the terminal's blocks."""
        self.send(command)
        first = self.next()
        return [first] if first[0] == 0x84 else [first, *self.finish(answers)]

    def finish(self, answers=None):
        """Answers what comes until the command has ended. `answers` names other answers by block, one or a list for
        one after the other; a function is asked for the answer; None ends here."""
        answers = {name: value if isinstance(value, list) else [value] for name, value in (answers or {}).items()}
        blocks, ended = [], False
        while not ended:
            blocks.append(self.next())
            name = label(blocks[-1])
            waiting = answers.get(name, [])
            answer = waiting.pop(0) if waiting else OK
            answer = answer() if callable(answer) else answer
            if answer:
                self.send(answer)
            ended = not answer or name in ("06 0F", "06 1E")
        return blocks

    def pay(self, amount=950, answers=None):
        return self.run(f"06 01 0A 04 {amount:012d} 49 09 78", answers)

    def register(self, config="0E"):
        return self.run(f"06 00 06 00 00 00 {config} 09 78")

    def repeated(self):
        """The status information of the last payment; None if the terminal has none."""
        return find(self.run(REPEAT), "04 0F")


class SerialTill(TcpTill):
    def send(self, block):
        self.write(framed(bytes.fromhex(block)))
        self.expect(ACK)

    def next(self, seconds=ANSWER_S_MAX):
        whole = self.frame(seconds)
        self.write(ACK)
        return whole

    def frame(self, seconds=ANSWER_S_MAX, right=True):
        """The next framed block, without an answer to it."""
        data, last = b"", b""
        while not (last == DLE and data.endswith(STX)):
            last, byte = data[-1:], self.byte(seconds)
            if not byte:
                raise TimeoutError(f"no frame: {data.hex(' ')}")
            data += byte
        block = b""
        while (byte := self.byte(seconds)) != DLE or (byte := self.byte(seconds)) == DLE:
            assert byte, f"the frame does not end: {block.hex(' ')}"
            block += byte
        assert byte == ETX, f"DLE {byte.hex()} inside a frame"
        check = self.byte(seconds) + self.byte(seconds)
        assert (check == checksum(block + ETX)) == right, f"checksum {check.hex(' ')} of {block.hex(' ')}"
        return block


def framed(block):
    return DLE + STX + block.replace(DLE, DLE + DLE) + DLE + ETX + checksum(block + ETX)


def checksum(data):
    """CRC-16/KERMIT, by the bits: as they leave, lowest first, over x16 + x12 + x5 + 1."""
    register = 0
    for bit in (byte >> at & 1 for byte in data for at in range(8)):
        register = (register >> 1) ^ (0x8408 if (register ^ bit) & 1 else 0)
    return bytes([register & 0xFF, register >> 8])


def find(blocks, name):
    return next((block for block in blocks if label(block) == name), None)


def labels(blocks):
    return [label(block) for block in blocks]


def fields(block):
    """A status information's fields by tag."""
    found, at = {}, 5 if block[2] == 0xFF else 3
    while at < len(block):
        tag, at = block[at], at + 1
        if tag == 0x06:
            at += {0x81: 1, 0x82: 2}.get(block[at], 0) + 1
            size = len(block) - at
        elif isinstance(FIELDS[tag], str):
            digits = int(FIELDS[tag])
            size = int("".join(str(byte - 0xF0) for byte in block[at:at + digits]))
            at += digits
        else:
            size = FIELDS[tag]
        found[tag] = block[at:at + size]
        at += size
    return found


def number(block, tag):
    return int(fields(block)[tag].hex())
