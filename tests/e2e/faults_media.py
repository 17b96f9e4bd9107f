"""Cards and sticks that fail under a running daemon: read-only, pulled, full, swapped; pages and copies that lie."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import threading
from pathlib import Path

from bad_storage import fill, within
from fault_tools import CART, cart, dense, ended, ids, image, injected, now, said, sale, sell, settled, whole
from kit import Kit

PAGE = 4096
STICK_KIB = 1200
SALES_MAX = 1500
# Many lines fill the stick with few sales.
LONG_CART = cart(lines=40)
SALE_S_MAX = 2
BOX_DELAY_S = 3


def misplaced_page(case):
    """STO-11 each page of the closed journal overwritten with its neighbour."""
    case = case()
    orders = ids(case.kit)
    (case.data / "ballast").unlink()
    pages = (case.data / "journal.db").read_bytes()
    count = len(pages) // PAGE
    page = lambda at: pages[at * PAGE : (at + 1) * PAGE]
    named = repaired = alike = 0
    for at in range(count):
        other = (at + 1) % count
        if page(at) == page(other):
            # Two empty indexes are alike, byte for byte.
            alike += 1
            continue
        copy = Kit(case.kit.program, f"{case.kit.data}-{at}")
        shutil.copytree(case.data, copy.data)
        with open(Path(copy.data) / "journal.db", "r+b") as file:
            file.seek(at * PAGE)
            file.write(page(other))
        verdict = copy.run("verify", wanted=None)
        assert "panicked" not in verdict.stderr, verdict.stderr
        named += verdict.returncode == 1
        copy.start()
        try:
            assert ids(copy) == orders, f"page {at + 1}: {len(ids(copy))} orders of {len(orders)}"
            notices = {notice["code"] for notice in copy.json("status")["notices"]}
            repaired += "journal_rebuilt" in notices
            assert verdict.returncode == 1 or "journal_rebuilt" in notices, f"page {at + 1}: nobody says so: {verdict.stdout}"
            sell(copy, "after")
            assert copy.json("verify")["ok"] is True, f"page {at + 1}"
            copy.stop()
        finally:
            copy.kill()
        shutil.rmtree(copy.data)
    return f"{count} pages, {alike} like the next: verify names {named}, the start rebuilds {repaired}"


def move_to(case, disk):
    """The kit goes on on `disk`."""
    log = case.kit.log
    moved = disk.at / "data"
    (case.data / "ballast").unlink()
    shutil.copytree(case.data, moved)
    os.sync()
    case.kit, case.data = Kit(case.kit.program, str(moved)), moved
    case.kit.log = log
    return case.kit


def stops_selling(kit, name):
    """Sells until the kit stops; returns the acknowledged orders, the unanswered key and the kit's words."""
    acknowledged = []
    for at in range(3):
        status, _, body = sale(kit, f"{name}-{at}")
        if status != 201:
            assert status is None or (status >= 500 and body["code"]), f"{status} {body}"
            break
        acknowledged.append(body["order_id"])
    return acknowledged, f"{name}-{at}"


def read_only_card(case):
    """STO-13 the card turns read-only under the running kit."""
    case = case()
    with image(f"{case.kit.data}.card") as card:
        kit = move_to(case, card).start()
        try:
            before = len(ids(kit))
            settled(kit)
            acknowledged = [sell(kit, "last")]
            card.turn_read_only()
            more, key = stops_selling(kit, "read-only")
            assert not more, f"{len(more)} sales were acknowledged on a read-only card"
            text = ended(kit)
            verdict = kit.run("verify", wanted=None)
            assert "panicked" not in verdict.stderr, verdict.stderr
        finally:
            kit.kill()
        card.repair()
        whole(kit, acknowledged, key, before)
    return f"{text}; `verify` meanwhile: {' '.join((verdict.stdout + verdict.stderr).split())[:160]}"


def pulled_card(case):
    """STO-15 the card is pulled out under the running kit."""
    case = case()
    with image(f"{case.kit.data}.card") as card:
        kit = move_to(case, card).start()
        try:
            before = len(ids(kit))
            settled(kit)
            acknowledged = [sell(kit, f"before-{at}") for at in range(3)]
            card.pull_out()
            more, key = stops_selling(kit, "pulled")
            assert not more, f"{len(more)} sales were acknowledged without a card"
            text = ended(kit)
            written = len(said(kit))
            assert written < 20_000, f"{written} bytes of log"
            card.unplug()
            without = kit.run("up", "--listen", "127.0.0.1:0", wanted=1)
            assert "error:" in without.stderr and "panicked" not in without.stderr, without.stderr
            assert "mount it" in without.stderr and "fieldkit init" not in without.stderr, without.stderr
        finally:
            kit.kill()
        card.plug_in()
        whole(kit, acknowledged, key, before)
    return f"{text}; without the card: {without.stderr.splitlines()[0]}"


def copied_while_selling(case):
    """STO-19 a directory copied with cp while sales run opens whole, and goes on as a new replica where a page knows more."""
    case = case()
    kit = case.kit.start()
    copy = Kit(kit.program, f"{kit.data}.copy")
    try:
        settled(kit)
        stop, sold = threading.Event(), []

        def storm():
            while not stop.is_set():
                sold.append(sell(kit, f"storm-{len(sold)}"))

        seller = threading.Thread(target=storm)
        seller.start()
        try:
            within(5, "the storm has begun", lambda: len(sold) >= 20)
            at_begin = len(sold)
            subprocess.run(["cp", "-r", kit.data, copy.data], check=True)
            at_end = len(sold)
            within(5, "the storm goes on", lambda: len(sold) >= at_end + 20)
        finally:
            stop.set()
            seller.join()
        head = kit.json("status")["head"]
        everything = ids(kit)[::-1]
        kit.stop()
        copy.start()
        there = ids(copy)[::-1]
        assert there == everything[: len(there)], "the copy is no prefix"
        assert len(there) >= at_begin, f"{len(there)} orders in the copy, {at_begin} were acknowledged before it began"
        assert copy.json("verify")["ok"] is True
        body = '{"stream": "%s", "seq": %d, "hash": "%s"}' % (head["stream"], head["seq"], head["hash"])
        status, _, verdict = copy.ask("POST", "/api/v1/witness", body, {"Content-Type": "application/json"})
        assert status == 200, verdict
        notices = {notice["code"]: notice for notice in copy.json("status")["notices"]}
        assert "rolled_back" in notices, f"{verdict}: {sorted(notices)}"
        for at in range(3):
            sell(copy, f"new-{at}")
        orders = copy.json("orders")
        new = [order for order in orders if order["order_id"] not in there]
        assert [order["receipt"] for order in new] == [3, 2, 1], [order["receipt"] for order in new]
        assert len({order["series"] for order in new}) == 1 and new[0]["series"] != orders[-1]["series"]
        dense(orders)
        assert copy.json("verify")["ok"] is True
        copy.stop()
        copy.start()
        assert len(ids(copy)) == len(there) + 3
        assert copy.json("verify")["ok"] is True
        copy.stop()
    finally:
        kit.kill()
        copy.kill()
    return f"copied between sales {at_begin} and {at_end} of {len(sold)}, {len(there)} orders in it; {notices['rolled_back']['text']}"


def quick_sale(kit, key, cart=CART):
    begun = now()
    order = sell(kit, key, cart)
    took = now() - begun
    assert took < SALE_S_MAX, f"the sale took {took:.2f} s"
    return order, took


def standing(kit):
    """The box, the durability's word, and the codes of the notices."""
    status = kit.json("status")
    return status["durability"]["box"], status["durability"]["word"], {notice["code"] for notice in status["notices"]}


def is_behind(kit):
    box, word, notices = standing(kit)
    assert (box, word) == ("behind", "on this kit") and "box_behind" in notices, f"{box}, {word}, {sorted(notices)}"


def is_healthy(kit):
    box, word, notices = standing(kit)
    return (box, word) == ("healthy", "on two devices") and "box_behind" not in notices


@contextlib.contextmanager
def boxed(make, stick):
    """A kit that was founded with its black box on `stick`, has sold and runs; killed with the block's end."""
    case = make("--black-box", str(stick))
    # `init` wrote the stick down: no start needs the option.
    kit = case.kit.start()
    try:
        assert standing(kit)[0] == "healthy", standing(kit)
        yield case, kit
    finally:
        kit.kill()


def full_stick(case):
    """STO-22 the stick of the black box is full: selling goes on, it catches up when there is room."""
    make, stick = case, case.home / "full.stick"
    stick.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={STICK_KIB}k", "fieldkit", stick], check=True)
    try:
        with boxed(make, stick) as (case, kit):
            assert is_healthy(kit), standing(kit)
            before = len(ids(kit))
            fill(stick)
            slowest, sold = 0, 0
            while kit.ask("GET", "/api/v1/status")[2]["durability"]["box"] == "healthy":
                _, took = quick_sale(kit, f"full-{sold}", LONG_CART)
                slowest, sold = max(slowest, took), sold + 1
                assert sold < SALES_MAX, "the stick never was full"
            is_behind(kit)
            for at in range(5):
                _, took = quick_sale(kit, f"behind-{at}")
                slowest = max(slowest, took)
            (stick / "filling").unlink()
            begun = now()
            within(15, "the black box catches up", lambda: is_healthy(kit))
            caught = now() - begun
            sell(kit, "again")
            assert len(ids(kit)) == before + sold + 6
            kit.stop()
        assert not (case.data / "box-behind").exists(), "the box is still marked as behind"
    finally:
        subprocess.run(["umount", stick], check=True)
    return f"full after {sold} sales, slowest sale {slowest * 1000:.0f} ms, healthy {caught:.1f} s after there was room"


def pulled_stick(case):
    """STO-22 the stick of the black box is slow, then pulled out and put back, then missing at a start."""
    with image(case.home / "pulled.stick") as stick, boxed(case, stick.at) as (case, kit):
        assert is_healthy(kit), standing(kit)
        before = len(ids(kit))
        settled(kit)
        rule = f"fsync,fdatasync:delay_enter={BOX_DELAY_S * 1_000_000}:when=1"
        with injected(kit, rule, paths=[stick.at / "black-box.fkb"]):
            _, slow = quick_sale(kit, "slow")
            is_behind(kit)
            within(10, "the slow stick catches up", lambda: is_healthy(kit))
        stick.pull_out()
        _, gone = quick_sale(kit, "pulled")
        is_behind(kit)
        stick.unplug()
        quick_sale(kit, "unplugged")
        assert not list(stick.at.iterdir()), "a new box was made where the stick is missing"
        stick.plug_in()
        begun = now()
        within(15, "the stick catches up", lambda: is_healthy(kit))
        caught = now() - begun
        kit.stop()
        stick.unplug()
        kit.start()
        quick_sale(kit, "missing")
        box, word, notices = standing(kit)
        assert (box, word) == ("missing", "on this kit") and "box_missing" in notices, f"{box}, {word}, {sorted(notices)}"
        assert f"warning: There is no second copy: the black box is not in {stick.at}, which is on this kit's own disk now" in said(kit), said(kit)[-600:]
        assert not list(stick.at.iterdir()), "a new box was made where the stick is missing"
        stick.plug_in()
        within(15, "the stick that was missing at the start catches up", lambda: is_healthy(kit))
        assert "box_missing" not in standing(kit)[2]
        kit.stop()
        stick.unplug()
        done = kit.run("sell", "--line", "MUG=1", "--tender", "cash=20")
        assert "warning: There is no second copy" in done.stderr and "on this kit" in done.stdout, done
        stick.plug_in()
        kit.start()
        within(15, "the stick put back catches up", lambda: is_healthy(kit))
        assert len(ids(kit)) == before + 5
        assert kit.json("verify")["ok"] is True
        kit.stop()
        (case.data / "kit.toml").unlink()
        done = kit.run("sell", "--line", "MUG=1", "--tender", "cash=20")
        assert f"warning: The second copy was in {stick.at}" in done.stderr and "kit.toml" in done.stderr, done.stderr
    return f"sale in {slow * 1000:.0f} ms while slow, {gone * 1000:.0f} ms without, healthy {caught:.1f} s after; missing at start: {box}, {', '.join(sorted(notices))}"


def foreign_stick(case):
    """STO-23 the stick of another kit is refused by its identity and not written to."""
    make, (own, foreign) = case, (case.home / "own.stick", case.home / "foreign.stick")
    own.mkdir()
    foreign.mkdir()
    box = foreign / "black-box.fkb"
    # The other kit founds, sells and is gone.
    make.named("other", "--black-box", str(foreign))
    before = hashlib.sha256(box.read_bytes()).hexdigest()
    with boxed(make, own) as (case, kit):
        orders = case.orders()
        kit.stop()
        kit.start("--black-box", str(foreign))
        notices = case.notices()
        assert "box_fault" in notices and "another kit" in notices["box_fault"]["text"], notices
        text = notices["box_fault"]["text"]
        _, word, _ = standing(kit)
        assert word == "on this kit", word
        for at in range(3):
            quick_sale(kit, f"foreign-{at}")
        assert kit.json("verify")["ok"] is True
        kit.stop()
        assert hashlib.sha256(box.read_bytes()).hexdigest() == before, "the stick of another kit was written to"
        assert [path.name for path in foreign.iterdir()] == ["black-box.fkb"], list(foreign.iterdir())
        # A kit without any history does not take it over either.
        done = Kit(kit.program, f"{kit.data}.new").run("--black-box", str(foreign), "init", "--name", "New", wanted=1)
        assert "another kit" in done.stderr, done.stderr
        assert hashlib.sha256(box.read_bytes()).hexdigest() == before, "a refused kit wrote to it"
        kit.start()
        assert len(case.orders()) == len(orders) + 3
        within(10, "the own stick catches up", lambda: standing(kit)[0] == "healthy")
        kit.stop()
    return text


ROWS = (misplaced_page, read_only_card, pulled_card, copied_while_selling, full_stick, pulled_stick, foreign_stick)
