"""What breaks storage under a running daemon: failing system calls, images that can be pulled out or stop taking writes.

Promises: every tool undoes itself when its block ends, and ends only processes that it started. No process is signalled
by name. Absent on purpose: what is checked.
"""

import contextlib
import fcntl
import http.client
import json
import os
import struct
import subprocess
import time
from pathlib import Path

from bad_storage import within

IMAGE_MIB = 256
# ext4's own way to say that its device is gone; the kernel calls the same when a card is pulled.
EXT4_SHUTDOWN, WITHOUT_LOG = 0x8004587D, 2
GONE = (http.client.HTTPException, ConnectionError, TimeoutError)


def cart(lines):
    """A cash sale of as many mugs, a line each."""
    wanted = [{"sku": "MUG", "quantity": 1} for _ in range(lines)]
    return json.dumps({"lines": wanted, "tenders": [{"kind": "cash", "amount": {"minor": 2000 * lines, "currency": "EUR"}}]})


CART = cart(1)


def sale(kit, key, body=CART):
    """Status, headers and body of a cash sale; status `None` where no answer came."""
    try:
        return kit.ask("POST", "/api/v1/orders", body, {"Content-Type": "application/json", "Idempotency-Key": key})
    except GONE as error:
        return None, {}, f"{type(error).__name__}: {error}"


def sell(kit, key, body=CART):
    """A sale that must succeed; returns its order's id."""
    status, _, answer = sale(kit, key, body)
    assert status == 201, f"sale {key}: {status} {answer}"
    return answer["order_id"]


def ids(kit):
    return [order["order_id"] for order in kit.json("orders")]


def said(kit):
    """What the daemon wrote to its log."""
    return Path(kit.log).read_text()


def ended(kit, seconds=10):
    """The daemon ends by itself with exit code 1 and says what to do; returns its words."""
    code = kit.daemon.wait(timeout=seconds)
    kit.daemon = None
    text = said(kit)
    assert code == 1, f"exit {code}: {text[-600:]}"
    assert "panicked" not in text, text[-1200:]
    errors = [line for line in text.splitlines() if line.startswith(("error:", "hint:"))]
    assert any(line.startswith("error:") for line in errors) and any(line.startswith("hint:") for line in errors), text[-600:]
    return " ".join(errors[-2:])


def whole(kit, acknowledged, key, before):
    """Started again, the kit has what it acknowledged, and `key` makes exactly one order."""
    kit.start()
    try:
        there = ids(kit)
        missing = [order for order in acknowledged if order not in there]
        assert not missing, f"{len(missing)} acknowledged sales are gone: {missing}"
        assert 0 <= len(there) - before - len(acknowledged) <= 1, f"{len(there)} orders, {before} + {len(acknowledged)} acknowledged"
        first = sell(kit, key)
        assert sell(kit, key) == first
        orders = kit.json("orders")
        assert len(orders) == before + len(acknowledged) + 1, f"{len(orders)} orders: the key made none or two"
        dense(orders)
        verdict = kit.json("verify")
        assert verdict["ok"] is True, verdict
        kit.stop()
    finally:
        kit.kill()


def dense(orders):
    """Receipts of each series are numbered 1, 2, 3 …"""
    series = {}
    for order in orders:
        series.setdefault(order["series"], []).append(order["receipt"])
    for name, numbers in series.items():
        assert sorted(numbers) == list(range(1, len(numbers) + 1)), f"series {name} has {sorted(numbers)}"


def threads(pid):
    return list(Path(f"/proc/{pid}/task").iterdir())


def is_held(thread):
    return "TracerPid:\t0\n" not in (thread / "status").read_text()


@contextlib.contextmanager
def injected(kit, *rules, paths=()):
    """The daemon's system calls go wrong by strace's `rules`, on `paths` alone where there are any; yields the trace."""
    trace = Path(f"{kit.data}.trace")
    calls = sorted({call for rule in rules for call in rule.split(":")[0].split(",")})
    command = ["strace", "-f", "-o", trace, "-e", f"trace={','.join(calls)}", "-p", str(kit.daemon.pid)]
    for rule in rules:
        command += ["-e", f"inject={rule}"]
    for path in paths:
        command += ["-P", path]
    tool = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        within(5, "strace holds every thread", lambda: all(is_held(thread) for thread in threads(kit.daemon.pid)))
        yield trace
    finally:
        tool.terminate()
        tool.wait(timeout=10)


def hits(trace):
    return trace.read_text().count("(INJECTED)") + trace.read_text().count("(DELAYED)")


def settled(kit):
    """The log of the journal has been grown ahead of its end: what an idle kit does first is done."""
    wal = Path(kit.data) / "journal.db-wal"
    within(5, "the journal's log is grown", lambda: wal.stat().st_size >= 1_900_000)


class Image:
    """An ext4 file system in a file, mounted at `at`."""

    def __init__(self, at):
        self.at, self.file, self.device = Path(at), Path(f"{at}.img"), None
        self.at.mkdir()
        with open(self.file, "wb") as file:
            file.truncate(IMAGE_MIB << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", self.file], check=True)
        self.plug_in()

    def plug_in(self):
        done = subprocess.run(["losetup", "--find", "--show", self.file], check=True, capture_output=True, text=True)
        self.device = done.stdout.strip()
        subprocess.run(["mount", "-o", "errors=remount-ro", self.device, self.at], check=True)

    def turn_read_only(self):
        """As the kernel does after an error of the card. A plain `remount,ro` is refused while files are open."""
        Path(f"/sys/fs/ext4/{Path(self.device).name}/trigger_fs_error").write_text("1")

    def pull_out(self):
        """The device is gone: each call fails from now on, what no sync pressed down is lost."""
        directory = os.open(self.at, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.ioctl(directory, EXT4_SHUTDOWN, struct.pack("I", WITHOUT_LOG))
        os.close(directory)

    def unplug(self):
        subprocess.run(["umount", self.at], check=True)
        subprocess.run(["losetup", "--detach", self.device], check=True)
        self.device = None

    def repair(self):
        """Unplugged, checked, plugged in."""
        self.unplug()
        # 0: clean, 1: errors were corrected.
        done = subprocess.run(["e2fsck", "-fp", self.file], capture_output=True, text=True)
        assert done.returncode in (0, 1), done.stdout
        self.plug_in()

    def close(self):
        if self.device is not None:
            subprocess.run(["umount", "-l", self.at], check=False)
            subprocess.run(["losetup", "--detach", self.device], check=False)
            self.device = None


@contextlib.contextmanager
def image(at):
    made = Image(at)
    try:
        yield made
    finally:
        made.close()


def now():
    return time.monotonic()
