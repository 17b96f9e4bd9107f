"""System calls that fail, hang or run out under a running daemon, and starts that fail in a row."""

import contextlib
import http.client
import json
import signal
import socket
import sqlite3
import subprocess
import threading
from pathlib import Path

from bad_input import problem
from bad_storage import within
from fault_tools import CART, dense, ended, hits, ids, injected, now, said, sale, sell, settled, whole

SALES_MAX = 12
CHECKPOINT_SALES_MAX = 600
DELAY_S = 3
IDLE_CONNECTIONS = 60
CLI_S_MAX = 30


def sell_until_it_ends(kit, name, at_most):
    """Sells until a sale gets no answer; returns the acknowledged orders and the key that got none."""
    acknowledged = []
    for at in range(at_most):
        status, _, body = sale(kit, f"{name}-{at}")
        if status == 201:
            acknowledged.append(body["order_id"])
            continue
        assert status in (None, 503, 504), f"{status} {body}"
        return acknowledged, f"{name}-{at}"
    return acknowledged, f"{name}-{at_most}"


def failed_sync(case):
    """STO-05 a sync of the journal fails once, at its 1st, 2nd, 3rd and 6th call."""
    case = case()
    words = []
    for nth in (1, 2, 3, 6):
        kit = case.kit.start()
        try:
            before = len(ids(kit))
            settled(kit)
            with injected(kit, f"fsync,fdatasync:error=EIO:when={nth}", paths=[case.data / "journal.db-wal"]) as trace:
                acknowledged, key = sell_until_it_ends(kit, f"sync-{nth}", SALES_MAX)
                text = ended(kit)
            assert hits(trace) == 1, f"{hits(trace)} faults: a failed sync was tried again, or none failed"
        finally:
            kit.kill()
        whole(kit, acknowledged, key, before)
        words.append(f"{nth}: {len(acknowledged)} acknowledged")
    return f"{', '.join(words)}; {text}"


def failed_box_sync(case):
    """STO-05 a failed sync of the black box alone does not end it."""
    case = case()
    kit = case.kit.start()
    try:
        before = len(ids(kit))
        settled(kit)
        with injected(kit, "fsync,fdatasync:error=EIO:when=1", paths=[case.data / "black-box.fkb"]) as trace:
            begun = now()
            order = sell(kit, "box-sync")
            took = now() - begun
            assert took < 2, f"the sale took {took:.1f} s"
            assert "box_behind" in case.notices(), sorted(case.notices())
            assert hits(trace) == 1
        begun = now()
        within(10, "the black box catches up", lambda: kit.json("status")["durability"]["box"] == "healthy")
        caught = now() - begun
        kit.stop()
    finally:
        kit.kill()
    whole(kit, [order], "box-sync-after", before)
    return f"sale in {took * 1000:.0f} ms, healthy again after {caught:.1f} s"


def failed_checkpoint(case):
    """STO-06 a sync or a write of the checkpoint fails."""
    case = case()
    words = []
    for call in ("fdatasync,fsync", "pwrite64"):
        kit = case.kit.start()
        try:
            before = len(ids(kit))
            settled(kit)
            with injected(kit, f"{call}:error=EIO:when=1", paths=[case.data / "journal.db"]) as trace:
                acknowledged, key = sell_until_it_ends(kit, call, CHECKPOINT_SALES_MAX)
                text = ended(kit)
            assert hits(trace) >= 1
        finally:
            kit.kill()
        whole(kit, acknowledged, key, before)
        words.append(f"{call}: {len(acknowledged)} acknowledged")
    return f"{', '.join(words)}; {text}"


def failed_read(case):
    """STO-09 one page cannot be read while orders are listed."""
    case = case()
    kit = case.kit
    orders = ids(kit)
    words = []
    for names in (("views.db", "views.db-wal"), ("state.db", "state.db-wal")):
        kit.start()
        try:
            paths = [case.data / name for name in names if (case.data / name).exists()]
            with injected(kit, "pread64:error=EIO:when=1", paths=paths) as trace:
                try:
                    status, _, body = kit.ask("GET", "/api/v1/orders")
                except (http.client.HTTPException, ConnectionError) as error:
                    status, body = None, str(error)
                found = hits(trace)
            if found == 0:
                assert status == 200, f"{names[0]}: {status} {body}"
                words.append(f"{names[0]}: not read")
            elif status is None:
                words.append(f"{names[0]}: {ended(kit)}")
            else:
                assert (status, body.get("code")) == (503, "not_readable") and body["next_step"], f"{names[0]}: {status} {body}"
                words.append(f"{names[0]}: {status} {body['code']} ({body['detail']})")
            if kit.daemon is not None:
                sell_key = f"read-{names[0]}"
                orders.insert(0, sell(kit, sell_key))
                assert kit.ask("GET", "/api/v1/orders")[0] == 200, "the list does not come back"
                kit.stop()
        finally:
            kit.kill()
        kit.start()
        try:
            assert ids(kit) == orders
            assert kit.json("verify")["ok"] is True
            kit.stop()
        finally:
            kit.kill()
    assert not all(word.endswith(": not read") for word in words), f"no read failed: {words}"
    return "; ".join(words)


def failed_read_at_start(case):
    """STO-09 a page of the journal cannot be read while it starts: refused, or rebuilt and the old file kept."""
    case = case()
    kit = case.kit
    orders = ids(kit)
    refused, rebuilt = [], []
    for nth in range(1, 9):
        trace = Path(f"{kit.data}.{nth}.trace")
        kit.prefix = ("strace", "-D", "-f", "-o", trace, "-P", case.data / "journal.db", "-e", "trace=pread64",
                      "-e", f"inject=pread64:error=EIO:when={nth}")
        try:
            kit.start()
            assert hits(trace) == 1, f"{hits(trace)} reads failed"
            notices = case.notices()
            assert "journal_rebuilt" in notices, f"read {nth} failed and nobody says so: {sorted(notices)}"
            assert list(case.data.glob("journal.db.damaged-*")), "the old file is gone"
            assert ids(kit) == orders
            rebuilt.append(nth)
            kit.stop()
        except AssertionError as error:
            if not str(error).startswith("no READY"):
                raise
            assert kit.daemon.wait(timeout=5) == 1 and "Next:" in said(kit) and "panicked" not in said(kit), said(kit)
            assert hits(trace) == 1, f"{hits(trace)} reads failed"
            refused.append(nth)
        finally:
            kit.kill()
            kit.prefix = ()
        case.opens_with(orders)
        orders = ids(kit)
    return f"reads {refused} refused, reads {rebuilt} rebuilt from the black box"


def slow_sync(case):
    """STO-14 a sync takes 3 s: nothing is answered before it, the same key is one order."""
    case = case()
    kit = case.kit.start()
    try:
        before = len(ids(kit))
        sell(kit, "warm")
        settled(kit)
        answers = []

        def ask():
            begun = now()
            status, _, body = sale(kit, "slow")
            answers.append((status, now() - begun, body))

        rule = f"fsync,fdatasync:delay_enter={DELAY_S * 1_000_000}:when=1"
        with injected(kit, rule, paths=[case.data / "journal.db-wal"]) as trace:
            askers = [threading.Thread(target=ask) for _ in range(2)]
            for asker in askers:
                asker.start()
            for asker in askers:
                asker.join()
            assert hits(trace) == 1, "no sync was slow"
        for status, took, body in answers:
            assert status in (201, 504), f"{status} {body}"
            # The second may arrive a little later than the first.
            assert status == 504 or took >= DELAY_S - 0.1, f"{status} after {took:.2f} s"
        made = {body["order_id"] for status, _, body in answers if status == 201}
        assert len(made | {sell(kit, "slow")}) == 1, made
        assert len(ids(kit)) == before + 2
        kit.stop()
    finally:
        kit.kill()
    return ", ".join(f"{status} after {took:.2f} s" for status, took, _ in answers)


def stopped_daemon(case):
    """PWR-11 the daemon is stopped for longer than any command waits, then continued."""
    case = case()
    kit = case.kit.start()
    kit.daemon.send_signal(signal.SIGSTOP)
    try:
        commands = {
            "question": (["status"], 1, "did not answer within"),
            "write": (["stock", "--set", "MUG=50", "--idempotency-key", "stopped"], 4, "--idempotency-key stopped"),
            "write after a question": (["sell", "--line", "MUG=1", "--tender", "cash=20"], 1, "nothing was recorded"),
        }
        begun = now()
        running = {
            name: subprocess.Popen([kit.program, "--data", kit.data, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for name, (words, _, _) in commands.items()
        }
        for name, command in running.items():
            _, text = command.communicate(timeout=CLI_S_MAX)
            _, wanted, part = commands[name]
            assert (command.returncode, part in text) == (wanted, True), f"{name}: exit {command.returncode}: {text}"
        took = now() - begun
    finally:
        kit.daemon.send_signal(signal.SIGCONT)
    try:
        orders = ids(kit)
        kit.run("stock", "--set", "MUG=50", "--idempotency-key", "stopped")
        case.sell()
        assert len(ids(kit)) == len(orders) + 1
        assert kit.json("stock")[0]["here"] == 49
        assert kit.json("verify")["ok"] is True
        kit.stop()
    finally:
        kit.kill()
    return f"exit codes {', '.join(str(wanted) for _, wanted, _ in commands.values())} after {took:.0f} s"


def many_files(case):
    """STO-21 too many open files: the open page sells, others come in again later."""
    case = case()
    kit = case.kit.start()
    idle = []
    page = http.client.HTTPConnection("127.0.0.1", kit.port, timeout=20)

    def page_sells(key):
        page.request("POST", "/api/v1/orders", CART, {"Content-Type": "application/json", "Idempotency-Key": key})
        reply = page.getresponse()
        body = reply.read()
        assert reply.status == 201, f"{reply.status} {body}"

    try:
        before = len(ids(kit))
        settled(kit)
        page_sells("page-0")
        used = len(list(Path(f"/proc/{kit.daemon.pid}/fd").iterdir()))
        limit = max(40, used + 4)
        subprocess.run(["prlimit", f"--nofile={limit}", "--pid", str(kit.daemon.pid)], check=True)
        idle = [socket.create_connection(("127.0.0.1", kit.port), timeout=5) for _ in range(IDLE_CONNECTIONS)]
        within(5, "the kit says that it takes no more connections", lambda: "cannot take a new connection" in said(kit))
        for at in range(1, 6):
            page_sells(f"page-{at}")
        for connection in idle:
            connection.close()
        begun = now()
        idle = []
        sell(kit, "newcomer")
        took = now() - begun
        assert len(ids(kit)) == before + 7
        assert kit.json("verify")["ok"] is True
        assert "panicked" not in said(kit)
        page.close()
        kit.stop()
    finally:
        for connection in idle:
            connection.close()
        page.close()
        kit.kill()
    return f"limit {limit}, {used} in use, 5 sales on the open page meanwhile, a new one {took * 1000:.0f} ms after the idle ones closed"


def add_later(data):
    with contextlib.closing(sqlite3.connect(data / "journal.db")) as journal, journal:
        journal.execute("INSERT INTO refinery_schema_history SELECT 99, 'later', applied_on, checksum FROM refinery_schema_history LIMIT 1")


def drop_later(data):
    with contextlib.closing(sqlite3.connect(data / "journal.db")) as journal, journal:
        journal.execute("DELETE FROM refinery_schema_history WHERE version = 99")


def restart_loop(case):
    """PWR-14 three starts fail at a journal of a later version: safe mode sells, the journal adopts it."""
    case = case()
    kit = case.kit
    before = ids(kit)
    add_later(case.data)
    for _ in range(3):
        text = case.refuses(1, "Next:")
    kit.start()
    try:
        status = kit.json("status")
        assert status["safe_mode"] is True and "safe_mode" in case.notices(), status
        assert ids(kit) == before
        order = sell(kit, "safe")
        assert sell(kit, "safe") == order
        body = json.dumps({"amount": {"minor": 100, "currency": "EUR"}})
        answer = kit.ask("POST", "/api/v1/drawer/open", body, {"Content-Type": "application/json", "Idempotency-Key": "other"})
        problem(*answer, 503, "safe_mode")
        kit.stop()
    finally:
        kit.kill()
    drop_later(case.data)
    kit.start()
    try:
        assert kit.json("status")["safe_mode"] is False
        notices = case.notices()
        assert "journal_behind_box" in notices, sorted(notices)
        assert ids(kit) == [order, *before]
        sell(kit, "after")
        assert sell(kit, "safe") == order
        dense(kit.json("orders"))
        assert kit.json("verify")["ok"] is True
        kit.stop()
    finally:
        kit.kill()
    return f"{text}; then: {notices['journal_behind_box']['text']}"


ROWS = (
    failed_sync, failed_box_sync, failed_checkpoint, failed_read, failed_read_at_start, slow_sync, stopped_daemon, many_files, restart_loop,
)
