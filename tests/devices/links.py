"""Links of a terminal: a TCP listener or a fresh PTY, with the faults of a cable, and standard input beside them.

Promises: every wait is a `select` with a deadline; a dropped link stays down for a while and comes back at the same
place; bytes that were sent before a cut do arrive. A PTY behaves as a cable: bytes for a till that has closed its port
are lost, and a till that ended without a word can open the port again.
Absent on purpose: blocks, acknowledgements, and what a line on standard input means.
"""

import ctypes
import fcntl
import os
import select
import socket
import struct
import termios
import time
import tty

READ_BYTES_MAX = 4096
# A till that does not read for so long has lost the rest.
WRITE_S_MAX = 5
# How long a cut waits for the other side to have read what was sent before it.
DRAIN_S_MAX = 0.5
IN_CLOSE = 0x18


class Gone(Exception):
    """The link is down."""


class PowerCut(Exception):
    """The terminal lost power."""


class Stop(Exception):
    """The program shall end."""


class TcpPlace:
    """One till at a time; the next one waits until the first has gone."""

    serial, left = False, b""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.address, self.listener, self.link = (host.strip("[]"), int(port)), None, None

    def open(self):
        family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        self.listener = socket.create_server(self.address, family=family, backlog=4)
        self.address = self.listener.getsockname()[:2]
        self.listener.setblocking(False)

    def name(self):
        host, port = self.address
        return f"+tcp://{f'[{host}]' if ':' in host else host}:{port}"

    def up(self):
        return self.link is not None

    def watched(self, attach):
        if self.up():
            return [self.link]
        return [self.listener] if attach and self.listener else []

    def notice(self, ready):
        """Looks at what became readable; True when bytes of the till did."""
        if self.listener in ready and not self.up():
            self.link, _ = self.listener.accept()
            self.link.setblocking(False)
            self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return False
        return self.up() and self.link in ready

    def read(self, most):
        try:
            return self.link.recv(most)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def write(self, data):
        deadline = time.monotonic() + WRITE_S_MAX
        while data:
            _, ready, _ = select.select([], [self.link], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise Gone("the till does not read")
            try:
                data = data[self.link.send(data):]
            except BlockingIOError:
                continue
            except OSError as error:
                raise Gone(str(error)) from None

    def drop(self):
        if self.up():
            # Unread bytes would turn the end into a reset, and a reset may overtake what was sent.
            while self.read(READ_BYTES_MAX):
                pass
            self.link.close()
            self.link = None

    def close(self):
        # The listener first: who sees the link go down must not find it still there.
        if self.listener:
            self.listener.close()
            self.listener = None
        self.drop()


class PtyPlace:
    """A symlink to a fresh PTY. The terminal holds the till's side open too, so that it is never hung up."""

    serial = True

    def __init__(self, path):
        self.path, self.master, self.slave = path, None, None
        # Whether a till has the port open, as far as it has said anything; and what one said that has closed it.
        self.present, self.left = False, b""
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.closings = self.libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.closings < 0:
            raise OSError(ctypes.get_errno(), "inotify")

    def open(self):
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.master, False)
        self.device, self.present, self.left = os.ttyname(self.slave), False, b""
        self.watch = self.libc.inotify_add_watch(self.closings, self.device.encode(), IN_CLOSE)
        if self.watch < 0:
            raise OSError(ctypes.get_errno(), f"inotify {self.device}")
        beside = f"{self.path}.{os.getpid()}"
        os.symlink(self.device, beside)
        os.replace(beside, self.path)

    def name(self):
        return f":{self.path}"

    def up(self):
        return self.master is not None

    def watched(self, _attach):
        return [self.master, self.closings] if self.up() else []

    def notice(self, ready):
        if self.closings in ready and self.somebody_closed():
            self.after_closing()
            self.somebody_closed()
        return self.up() and (bool(self.left) or self.master in ready)

    def after_closing(self):
        """Somebody closed the till's side: where nobody is left, what was not read is lost, and so is exclusiveness."""
        # What the till said before it left was said. It is taken before the look at who is there, since the next till
        # may come at any time after that.
        while data := self.read_master(READ_BYTES_MAX):
            self.left += data
        fcntl.ioctl(self.slave, termios.TIOCNXCL)
        os.close(self.slave)
        poll = select.poll()
        poll.register(self.master, 0)
        if poll.poll(0):
            self.present = False
        self.slave = os.open(self.device, os.O_RDWR | os.O_NOCTTY)
        if not self.present:
            termios.tcflush(self.slave, termios.TCIFLUSH)

    def somebody_closed(self):
        """Whether the till's side of this PTY was closed; events of PTYs before it, and the look itself, do not count."""
        try:
            events = os.read(self.closings, READ_BYTES_MAX)
        except BlockingIOError:
            return False
        return any(watch == self.watch and mask & IN_CLOSE for watch, mask, _, _ in struct.iter_unpack("iIII", events))

    def read(self, most):
        """Bytes of the till; None where there are none after all."""
        if not self.left:
            return self.read_master(most)
        data, self.left = self.left[:most], self.left[most:]
        return data

    def read_master(self, most):
        try:
            data = os.read(self.master, most)
        except BlockingIOError:
            return None
        self.present = True
        # A till that is killed cannot give its exclusiveness back, and this PTY outlives it, as no real port does.
        fcntl.ioctl(self.slave, termios.TIOCNXCL)
        return data

    def write(self, data):
        deadline = time.monotonic() + WRITE_S_MAX
        while data and self.present:
            _, ready, _ = select.select([], [self.master], [], max(0, deadline - time.monotonic()))
            if not ready:
                return
            try:
                data = data[os.write(self.master, data):]
            except BlockingIOError:
                continue

    def drop(self):
        if self.up():
            self.drain()
            os.close(self.master)
            os.close(self.slave)
            self.master = self.slave = None
            if os.path.islink(self.path):
                os.unlink(self.path)

    close = drop

    def drain(self):
        """Waits until the till has read what was sent: the kernel throws the rest away with the PTY."""
        deadline, idle = time.monotonic() + DRAIN_S_MAX, 0
        while self.present and idle < 3 and time.monotonic() < deadline:
            waiting, = struct.unpack("i", fcntl.ioctl(self.slave, termios.FIONREAD, bytes(4)))
            # Bytes reach the other side's queue a moment after the write: one look at an empty queue is not enough.
            idle = idle + 1 if waiting == 0 else 0
            time.sleep(0.004)


class Wire:
    """Bytes to and from the till over a place, and the faults that the cable shall have."""

    def __init__(self, place, waker, console, back_s):
        self.place, self.waker, self.console, self.back_s = place, waker, console, back_s
        self.back_at, self.generation, self.on_line = 0, 0, None
        self.gate, self.heard, self.returned = None, bytearray(), b""
        self.disarm()

    # --- faults ---

    def disarm(self):
        """The cable is whole again, and nobody remembers that it was not."""
        self.mend()
        self.was_cut = False

    def mend(self):
        self.muted, self.noise, self.gap_s = False, b"", 0
        self.cut_sent, self.sent, self.cut_received = None, 0, None

    def listen_for(self, cut_received, gate):
        """Drops the link after so many bytes from now, if they belong to a command that `gate` knows: True or False
        once it can tell by the bytes so far, None before."""
        self.cut_received, self.gate, self.heard = cut_received, gate, bytearray()

    # --- bytes ---

    def read(self, deadline, attach=False):
        """Some bytes; none when the time is up. With `attach` a link that is down is waited for."""
        if self.returned:
            # A line of standard input may have come before these bytes did.
            self.events(time.monotonic(), [])
        elif not self.wait(deadline, attach):
            return b""
        most = self.read_most()
        data = self.take(most) if most else b""
        if data is None:
            return b""
        if not data:
            self.was_cut = most == 0
            self.drop()
            raise Gone("the link is down")
        if self.cut_received is not None:
            self.heard += data
            if self.read_most() == 0:
                self.was_cut = True
                self.drop()
        return data

    def give_back(self, data):
        """These bytes are read again, before those of the link."""
        self.returned += data

    def take(self, most):
        if not self.returned:
            return self.place.read(most)
        data, self.returned = self.returned[:most], self.returned[most:]
        return data

    def read_most(self):
        if self.cut_received is None:
            return READ_BYTES_MAX
        meant = self.gate(self.heard)
        if meant is False:
            self.cut_received = None
            return READ_BYTES_MAX
        left = self.cut_received - len(self.heard)
        return min(left, READ_BYTES_MAX if meant else 1)

    def write(self, data):
        if self.muted:
            return
        if not self.place.up():
            raise Gone("the link is down")
        data, self.noise = self.noise + data, b""
        for piece in [data] if not self.gap_s else [data[at:at + 1] for at in range(len(data))]:
            if self.cut_sent is not None:
                piece = piece[:self.cut_sent - self.sent]
            self.place.write(piece)
            self.sent += len(piece)
            if self.cut_sent is not None and self.sent >= self.cut_sent:
                self.was_cut = True
                self.drop()
                raise Gone("the link is cut")
            self.rest(self.gap_s)

    def drop(self):
        """The link goes down, and comes back after a while."""
        if self.place.up():
            self.place.drop()
            self.mend()
            self.returned = b""
            self.generation += 1
            self.back_at = time.monotonic() + self.back_s

    # --- waiting ---

    def wait(self, deadline, attach):
        """Until bytes of the till are there; False when the time is up."""
        while True:
            if not self.place.up():
                if not attach:
                    raise Gone("the link is down")
                self.come_back()
            if self.place.left:
                return True
            limits = [limit for limit in (deadline, self.comes_back_at()) if limit is not None]
            ready = self.events(min(limits, default=None), self.place.watched(attach))
            if self.place.notice(ready):
                return True
            if deadline is not None and time.monotonic() >= deadline:
                return False

    def comes_back_at(self):
        """When a PTY is made anew; a listener stays, and its next link comes when the till wants it."""
        return self.back_at if self.place.serial and not self.place.up() else None

    def come_back(self):
        if self.place.serial and time.monotonic() >= self.back_at:
            self.place.open()

    def rest(self, seconds):
        """Waits without a look at the link."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.events(deadline, [])

    def events(self, deadline, links):
        """Which of the links are readable. Lines of standard input are handed on first, and a signal ends it all."""
        own = [self.waker] + ([self.console.fd] if self.console.fd is not None else [])
        timeout = None if deadline is None else max(0, deadline - time.monotonic())
        ready, _, _ = select.select(own + links, [], [], timeout)
        # What was written to standard input before the till sent its bytes must be seen before them.
        first, _, _ = select.select(own, [], [], 0) if ready else ([], [], [])
        if self.waker in first:
            raise Stop
        if self.console.fd in first:
            for line in self.console.lines():
                self.on_line(line)
        return ready


class Console:
    """Lines of standard input."""

    def __init__(self, fd, end_with_it):
        self.end_with_it, self.begun = end_with_it, b""
        try:
            os.fstat(fd)
            self.fd = fd
        except OSError:
            # Started without standard input at all.
            self.fd = None

    def lines(self):
        data = os.read(self.fd, READ_BYTES_MAX)
        if not data:
            self.fd = None
            if self.end_with_it:
                raise Stop
        *whole, self.begun = (self.begun + data).split(b"\n")
        return [line.decode(errors="replace") for line in whole]
