"""Bad storage: a second daemon, lost and damaged files, disks that are full or read-only.

Promises: each row has a kit of its own that has sold; what was acknowledged before is there afterwards, or the kit says
that it does not open and why. Absent on purpose: power cuts in the middle of a write (`scripts/crash`).
"""

import fcntl
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from kit import Kit

SALES = 6
GOODS = [("MUG", "--name", "Mug", "--price", "12.50", "--count", "90")]
FULL_DISK_MIB = 24
COMMANDS = 24


class Case:
    """A kit that has sold, and what it knew then."""

    def __init__(self, program, home, name, *options):
        self.kit = Kit(program, f"{home}/{name.replace(' ', '-')}")
        self.options = options
        self.kit.run(*options, "init", "--name", "Corner Stall", "--zone", "Europe/Berlin", "--tax", "190000")
        for sku, *more in GOODS:
            self.kit.run(*options, "catalog", "set", sku, *more)
        self.sell(SALES)
        self.data = Path(self.kit.data)

    def sell(self, times=1):
        for _ in range(times):
            self.kit.run(*self.options, "sell", "--line", "MUG=1", "--tender", "cash=20")

    def orders(self):
        return [order["order_id"] for order in json.loads(self.kit.run(*self.options, "orders", "--json").stdout)]

    def notices(self):
        return {notice["code"]: notice for notice in self.kit.json("status")["notices"]}

    def opens_with(self, orders):
        """The daemon starts, holds `orders`, sells and verifies; returns its notices."""
        self.kit.start()
        try:
            assert self.orders() == orders, f"{len(orders)} orders were acknowledged, {len(self.orders())} are there"
            notices = self.notices()
            self.sell()
            assert len(self.orders()) == len(orders) + 1
            verdict = self.kit.json("verify")
            assert verdict["ok"] is True, verdict
            self.kit.stop()
        finally:
            self.kit.kill()
        return notices

    def refuses(self, wanted_exit, *parts):
        """The daemon does not open, ends as documented and says why."""
        from bad_input import said

        port = self.kit.port
        command = [self.kit.program, "--data", self.kit.data, *self.options, "up", "--listen", f"127.0.0.1:{port}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
        assert "READY" not in done.stdout, "it opened"
        return said(done, wanted_exit, *parts)


class Maker:
    """Makes a row's kits."""

    def __init__(self, program, home, name):
        self.program, self.home, self.name = program, Path(home), name

    def __call__(self, *options):
        return self.named(self.name, *options)

    def named(self, name, *options):
        return Case(self.program, self.home, name, *options)


def rows(program, home):
    for look in (second_daemon, many_commands, held_directory, deleted_wal, deleted_state, older_journal, corrupted_journal, corrupted_alone, deleted_journal, corrupted_box, corrupted_record, box_alone,
                 symlinked_journal, read_only, full_disk, unknown_setting, damaged_setting, no_kit, no_card, no_key, damaged_key, founded_twice):
        name = f"storage: {look.__doc__.splitlines()[0].rstrip('.')}"
        yield name, lambda look=look: look(Maker(program, home, look.__name__))


def second_daemon(case):
    """A second daemon on the same data names the first, four times over."""
    case = case()
    case.kit.start()
    try:
        first = str(case.kit.daemon.pid)
        other = Case.__new__(Case)
        other.kit, other.options = Kit(case.kit.program, case.kit.data), ()
        for _ in range(4):
            text = other.refuses(1, first)
        case.sell()
        case.kit.stop()
    finally:
        case.kit.kill()
    notices = case.opens_with(case.orders())
    assert "safe_mode" not in notices, "refused starts of another daemon count as failures of this one"
    return text


def many_commands(case):
    """Commands at the same time, without a daemon, wait for each other."""
    case = case()
    orders = case.orders()
    sell = [case.kit.program, "--data", case.kit.data, "sell", "--line", "MUG=1", "--tender", "cash=20"]
    running = [subprocess.Popen(sell, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(COMMANDS)]
    for command in running:
        _, text = command.communicate(timeout=30)
        assert command.returncode == 0, f"exit {command.returncode}: {text}"
    assert len(case.orders()) == len(orders) + COMMANDS
    assert case.kit.json("verify")["ok"] is True
    return f"{COMMANDS} sales"


def held_directory(case):
    """A directory that another process holds for good is waited for and its holder named."""
    from bad_input import said

    case = case()
    with open(case.data / "lock", "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"{os.getpid()}\n")
        lock.truncate()
        lock.flush()
        begun = time.monotonic()
        text = said(case.kit.run("orders", wanted=None), 1, f"process {os.getpid()}", "Next:")
        took = time.monotonic() - begun
    assert 4 < took < 10, f"it waited {took:.1f} s"
    case.sell()
    return f"{text} (after {took:.1f} s)"


def deleted_wal(case):
    """A deleted WAL."""
    case = case()
    case.kit.start()
    case.sell(3)
    orders = case.orders()
    case.kit.kill()
    gone = [path for path in case.data.glob("*.db-wal")] + [path for path in case.data.glob("*.db-shm")]
    assert any("journal" in path.name for path in gone), f"there was no WAL of the journal: {gone}"
    for path in gone:
        path.unlink()
    return ", ".join(case.opens_with(orders))


def deleted_state(case):
    """Deleted state and views are made again."""
    case = case()
    orders = case.orders()
    for path in [*case.data.glob("state.db*"), *case.data.glob("views.db*")]:
        path.unlink()
    case.opens_with(orders)


def older_journal(case):
    """An old journal put back under a younger black box."""
    case = case()
    kept = {path.name: path.read_bytes() for path in case.data.glob("journal.db*")}
    case.sell(3)
    orders = case.orders()
    for path in case.data.glob("journal.db*"):
        path.unlink()
    for name, data in kept.items():
        (case.data / name).write_bytes(data)
    notices = case.opens_with(orders)
    assert "journal_behind_box" in notices, f"no notice of it: {sorted(notices)}"
    return notices["journal_behind_box"]["text"]


def corrupt(path):
    """Zeroes the middle third, on whole pages."""
    size = path.stat().st_size
    begin = size // 3 // 4096 * 4096
    with open(path, "r+b") as file:
        file.seek(begin)
        file.write(b"\x5a" * max(4096, size // 3))


def corrupted_journal(case):
    """A corrupted journal is rebuilt from the black box."""
    case = case()
    orders = case.orders()
    corrupt(case.data / "journal.db")
    done = case.kit.run("verify", wanted=None)
    assert done.returncode == 1 and "panicked" not in done.stderr, f"verify: exit {done.returncode} {done.stdout}{done.stderr}"
    notices = case.opens_with(orders)
    assert "journal_rebuilt" in notices, f"no notice of it: {sorted(notices)}"
    return notices["journal_rebuilt"]["text"]


def corrupted_alone(case):
    """A corrupted journal without a black box is not opened."""
    case = case("--black-box", "off")
    corrupt(case.data / "journal.db")
    text = case.refuses(1, "Next:")
    assert (case.data / "journal.db").exists() or list(case.data.glob("journal.db*")), "what was left of it is gone"
    return text


def deleted_journal(case):
    """A deleted journal comes back from the black box."""
    case = case()
    orders = case.orders()
    for path in case.data.glob("journal.db*"):
        path.unlink()
    return ", ".join(case.opens_with(orders))


def corrupted_box(case):
    """A black box with a broken head keeps no sound journal shut."""
    case = case()
    orders = case.orders()
    with open(case.data / "black-box.fkb", "r+b") as file:
        file.write(b"\x5a" * 64)
    notices = case.opens_with(orders)
    assert "box_fault" in notices, f"no notice of it: {sorted(notices)}"
    return notices["box_fault"]["text"]


def corrupted_record(case):
    """A broken record in the black box is found by verify."""
    case = case()
    orders = case.orders()
    with open(case.data / "black-box.fkb", "r+b") as file:
        file.seek(4300)
        file.write(b"\x5a" * 64)
    done = case.kit.run("verify", wanted=None)
    assert done.returncode == 1, f"verify does not see it: {done.stdout}"
    case.opens_with(orders)
    return done.stdout.strip()


def box_alone(case):
    """A black box that verify is pointed at, whole, broken, and a directory that holds nothing."""
    stick = f"{case.home}/stick"
    os.mkdir(stick)
    case = case("--black-box", stick)
    for path in (stick, f"{stick}/black-box.fkb"):
        done = case.kit.run("verify", path)
        assert "black box" in done.stdout and "all is well" in done.stdout, done.stdout
    assert json.loads(case.kit.run("verify", stick, "--json").stdout)["ops"] == case.kit.json("verify")["ops"]
    assert [path.name for path in Path(stick).iterdir()] == ["black-box.fkb"], "verify left something on the stick"
    with open(f"{stick}/black-box.fkb", "r+b") as file:
        file.seek(4300)
        file.write(b"\x5a" * 64)
    broken = case.kit.run("verify", stick, wanted=1)
    assert "record 1 of the black box" in broken.stdout, broken.stdout
    empty = Path(f"{case.kit.data}.empty")
    empty.mkdir()
    done = case.kit.run("verify", empty, wanted=1)
    assert "neither a kit nor a black box" in done.stderr and not list(empty.iterdir()), done.stderr
    return broken.stdout.strip()


def symlinked_journal(case):
    """A journal that is a symbolic link."""
    case = case()
    orders = case.orders()
    real = case.data / "elsewhere.db"
    shutil.move(case.data / "journal.db", real)
    (case.data / "journal.db").symlink_to(real)
    text = case.refuses(1, "Next:")
    (case.data / "journal.db").unlink()
    shutil.move(real, case.data / "journal.db")
    case.opens_with(orders)
    return text


def read_only(case):
    """A directory that cannot be written."""
    case = case()
    orders = case.orders()
    assert os.geteuid() == 0, "needs root"
    subprocess.run(["mount", "--bind", case.data, case.data], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", case.data], check=True)
        text = case.refuses(1, "Next:")
    finally:
        subprocess.run(["umount", case.data], check=True)
    case.opens_with(orders)
    return text


def full_disk(case):
    """A full disk refuses the sale before it begins and takes it when there is room."""
    from bad_input import problem

    case = case()
    assert os.geteuid() == 0, "needs root"
    orders = case.orders()
    disk = case.data.with_suffix(".disk")
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={FULL_DISK_MIB}m", "fieldkit", disk], check=True)
    try:
        (case.data / "ballast").unlink()
        moved = disk / "data"
        shutil.copytree(case.data, moved)
        kit = Kit(case.kit.program, str(moved))
        kit.log = case.kit.log
        case.kit, case.data = kit, moved
        kit.start()
        assert case.orders() == orders
        fill(disk)
        sale = json.dumps({"lines": [{"sku": "MUG", "quantity": 1}], "tenders": [{"kind": "cash", "amount": {"minor": 2000, "currency": "EUR"}}]})
        headers = {"Content-Type": "application/json", "Idempotency-Key": "full"}
        taken, found = 0, None
        end = time.monotonic() + 10
        # The kit looks at the disk now and then; sales that were begun before that have the ballast.
        while time.monotonic() < end:
            found = kit.ask("POST", "/api/v1/orders", sale, {**headers, "Idempotency-Key": f"full-{taken}"})
            if found[0] != 201:
                break
            taken += 1
        text = problem(*found, 503, "no_space")
        assert "no_space" in case.notices()
        status, marks, again = kit.ask("POST", "/api/v1/orders", sale, {**headers, "Idempotency-Key": "full-0"})
        assert taken == 0 or (status, marks.get("idempotency-replayed")) == (201, "true"), f"the first sale asked for again: {status} {again}"
        if len(case.orders()) != len(orders) + taken:
            # Lists may stay behind while there is no room, if the kit says so.
            within(2, "a notice that the list is old", lambda: "lists_old" in case.notices())
        (disk / "filling").unlink()
        within(10, "a sale once there is room again", lambda: kit.ask("POST", "/api/v1/orders", sale, {**headers, "Idempotency-Key": "again"})[0] == 201)
        kit.stop()
        kit.start()
        assert len(case.orders()) == len(orders) + taken + 1, f"{len(case.orders())} orders after a restart, {len(orders) + taken + 1} were acknowledged"
        assert kit.json("verify")["ok"] is True
        kit.stop()
    finally:
        case.kit.kill()
        subprocess.run(["umount", disk], check=True)
    return f"{text} ({taken} sales were taken before)"


def within(seconds, what, holds):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def fill(disk):
    with open(disk / "filling", "wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                pass


def unknown_setting(case):
    """A setting that does not exist."""
    case = case()
    orders = case.orders()
    (case.data / "kit.toml").write_text('listen = "127.0.0.1:8080"\nblak_box = "off"\n')
    text = case.refuses(1, "blak_box", "line 2", "kit.toml")
    (case.data / "kit.toml").unlink()
    case.opens_with(orders)
    return text


def damaged_setting(case):
    """A settings file that is none."""
    case = case()
    (case.data / "kit.toml").write_text("listen = [\n")
    return case.refuses(1, "kit.toml")


def no_kit(case):
    """A directory without a kit."""
    case = case()
    other = Case.__new__(Case)
    other.kit, other.options = Kit(case.kit.program, f"{case.kit.data}.other"), ()
    text = other.refuses(1, "fieldkit init", f"used here in: {case.data}")
    assert not Path(other.kit.data).exists(), "a refused start made the directory"
    return text


def no_card(case):
    """A directory that is gone or empty, where a kit was: nobody is told to make a new one."""
    case = case()
    shutil.move(case.data, f"{case.data}.away")
    gone = case.refuses(1, "is not there", "mount it")
    assert not case.data.exists(), "a refused start made the directory"
    case.data.mkdir()
    empty = case.refuses(1, "is empty", "mount it")
    assert "init" not in gone + empty and not list(case.data.iterdir()), gone + empty
    case.data.rmdir()
    shutil.move(f"{case.data}.away", case.data)
    case.opens_with(case.orders())
    return gone


def no_key(case):
    """A kit whose key file is gone."""
    case = case()
    shutil.move(case.data / "keys", case.data / "keys.away")
    text = case.refuses(1, "parts of a kit", "keys/kit.key")
    assert "init" not in text, text
    shutil.rmtree(case.data / "keys", ignore_errors=True)
    shutil.move(case.data / "keys.away", case.data / "keys")
    case.opens_with(case.orders())
    return text


def damaged_key(case):
    """A key file that is cut short."""
    case = case()
    for path in (case.data / "keys").iterdir():
        path.write_bytes(path.read_bytes()[:10])
    text = case.refuses(1, "keys", "put its copy back")
    assert "init" not in text, text
    return text


def founded_twice(case):
    """A kit founded where one is."""
    from bad_input import said

    case = case()
    orders = case.orders()
    text = said(case.kit.run("init", "--name", "Another", wanted=None), 1)
    case.opens_with(orders)
    return text
