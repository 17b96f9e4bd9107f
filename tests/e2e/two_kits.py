"""Two kits share ten limited pins: files on a stick are all that they have of each other.

Promises: exit code 0 only where ten were sold and never an eleventh, each refusal named who holds the rest, both kits
agree after the files went both ways, a kit that was put back noticed it, two histories of one kit were both counted,
and every journal verifies. Absent on purpose: the till, and links without files.
"""

import json
import os
import shutil
import sys
import tempfile
import time

from kit import STOP_S_MAX, Kit

ISSUED = 10
GRANTED = 4
OPEN_S_MAX = 5


class Stick:
    """A directory that is carried between two kits."""

    def __init__(self, path):
        self.path, self.made = path, 0

    def file(self, name):
        self.made += 1
        return f"{self.path}/{self.made:02}-{name}"

    def carry(self, giver, taker, *options):
        path = self.file("all.fkb")
        giver.run("sync", "export", "--out", path, *options)
        return taker.json("sync", "import", path)


def sell(kit, wanted=0):
    return kit.run("sell", "--line", "PIN=1", "--tender", "cash=5", wanted=wanted)


def sell_until_refused(kit, elsewhere):
    """Sells one by one; the refusal that ends it names the kit that holds the rest."""
    sold = 0
    while (done := sell(kit, wanted=None)).returncode == 0:
        sold += 1
        assert sold <= ISSUED, "more were sold than there are"
    assert done.returncode == 1, (done.returncode, done.stderr)
    assert elsewhere in done.stderr, done.stderr
    return sold


def pool(kit):
    shown = kit.json("stock", "pool", "PIN")
    return {"sold": shown["sold"], "at_rest": shown["at_rest"], "held": {each["kit"]: each["held"] for each in shown["holders"]}}


def verified(*kits):
    for kit in kits:
        verdict = kit.json("verify")
        assert verdict["ok"] is True, verdict
    return [kit.json("verify")["heads"] for kit in kits]


def joined(program, home, stick):
    """Kit A with ten pins, kit B that joined it."""
    one, other = Kit(program, f"{home}/a"), Kit(program, f"{home}/b")
    one.run("init", "--name", "Corner Stall", "--zone", "Europe/Berlin", "--label", "kit A")
    one.run("catalog", "set", "PIN", "--name", "Pin", "--price", "5", "--count", str(ISSUED), "--limit", "hard")
    alone = one.run("stock").stdout
    assert "elsewhere" not in alone, f"a kit that is alone shows others: {alone}"
    request, begin = stick.file("b.join"), stick.file("b.fkb")
    asked = other.json("join", "request", "--name", "kit B", "--out", request)
    again = other.json("join", "request", "--name", "kit B", "--out", request)
    assert asked["replica"] == again["replica"], "asked again, the key stays"
    early = other.run("stock", wanted=1)
    assert "join finish" in early.stderr, early.stderr
    strange = other.run("join", "finish", request, wanted=1)
    assert "no bundle" in strange.stderr, strange.stderr
    stranger = stick.file("stranger.fkb")
    one.run("sync", "export", "--out", stranger)
    unasked = other.run("join", "finish", stranger, wanted=1)
    assert "does not admit this kit" in unasked.stderr, unasked.stderr
    one.run("join", "admit", request, "--out", begin)
    one.run("join", "admit", request, "--out", begin)
    began = other.json("join", "finish", begin)
    assert began["kit"] == "kit B" and began["event"] == one.json("status")["event"], began
    assert [kit["kit"] for kit in other.json("rights", "list")["kits"]] == ["kit A", "kit B"]
    print("joined: kit B knows kit A's event, and nobody else could have finished")
    return one, other


def ten_are_sold(one, other, stick):
    refused = sell(other, wanted=1)
    assert f"{ISSUED} at kit A" in refused.stderr, refused.stderr
    grant = stick.file("grant.fkb")
    one.run("rights", "grant", "PIN", str(GRANTED), "--to", "kit b", "--out", grant)
    assert other.json("sync", "import", grant)["new"] > 0
    before = other.json("verify")
    assert other.json("sync", "import", grant)["new"] == 0, "taken again, a file changes nothing"
    assert other.json("verify")["ops"] == before["ops"]
    here = {kit.data: (kit.json("stock")[0]["here"], kit.json("stock")[0]["elsewhere"]) for kit in (one, other)}
    assert list(here.values()) == [(ISSUED - GRANTED, GRANTED), (GRANTED, ISSUED - GRANTED)], here
    sold = sell_until_refused(one, f"{GRANTED} at kit B"), sell_until_refused(other, f"{ISSUED - GRANTED} at kit A")
    assert sold == (ISSUED - GRANTED, GRANTED), sold
    one.series = one.json("orders")[0]["series"]
    stick.carry(one, other, "--for", "kit B")
    stick.carry(other, one, "--for", "kit A")
    assert pool(one) == pool(other) == {"sold": ISSUED, "at_rest": 0, "held": {}}, (pool(one), pool(other))
    for kit in (one, other):
        sell(kit, wanted=1)
    # What was refused just now is news again.
    stick.carry(one, other)
    stick.carry(other, one)
    heads = verified(one, other)
    same = [{head["stream"]: head["hash"] for head in each} for each in heads]
    assert same[0] == same[1], same
    print(f"sold: {sold[0]} + {sold[1]} of {ISSUED}; the next is refused on both, by name; both agree and verify")


def damaged_and_strange_files_give_nothing(program, home, one, other, stick):
    whole = stick.file("whole.fkb")
    one.run("sync", "export", "--out", whole)
    raw = open(whole, "rb").read()
    ops = other.json("verify")["ops"]
    for at in (3, len(raw) // 2, len(raw) - 1):
        path = stick.file("damaged.fkb")
        open(path, "wb").write(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        other.run("sync", "import", path, wanted=1)
    path = stick.file("cut.fkb")
    open(path, "wb").write(raw[: len(raw) * 2 // 3])
    assert "cut or damaged" in other.run("sync", "import", path, wanted=1).stderr
    strangers = Kit(program, f"{home}/strangers").found()
    path = stick.file("strangers.fkb")
    strangers.run("sync", "export", "--out", path)
    assert "another organisation" in other.run("sync", "import", path, wanted=1).stderr
    assert other.json("verify")["ops"] == ops
    print("files: damaged ones, a cut one and a stranger's give nothing")


def usage_and_names(one):
    assert "nobody can be asked" in one.run("rights", "declare-lost", "PIN", "--kit", "kit B", wanted=2).stderr
    nobody = one.run("rights", "grant", "PIN", "1", "--to", "kit C", "--json", wanted=1)
    assert json.loads(nobody.stdout)["code"] == "unknown_kit", nobody.stdout
    assert one.run("stock", "pool", "MUG", wanted=1).stderr.startswith('error: "MUG" is no limited item')


def goods_move_and_come_back(one, other, stick):
    one.run("stock", "--change", "PIN=+6", "--reason", "delivered")
    path = stick.file("grant.fkb")
    one.run("rights", "grant", "PIN", "4", "--to", "kit B", "--out", path)
    other.run("sync", "import", path)
    back = stick.file("back.fkb")
    other.run("rights", "return", "PIN", "1", "--to", "kit A", "--out", back)
    one.run("sync", "import", back)
    assert pool(one)["held"] == pool(other)["held"] == {"kit A": 3, "kit B": 3}, (pool(one), pool(other))
    other.run("rights", "ask", "PIN", "2")
    stick.carry(other, one)
    asks = one.json("stock", "pool", "PIN")["asks"]
    assert asks == [{"by": "kit B", "of": "kit A", "quantity": 2}], asks
    print("moved: four given, one given back, two asked for")


def ordinary_goods_are_leased(one, other, stick):
    one.run("catalog", "set", "MUG", "--name", "Mug", "--price", "8", "--count", "6")
    grant = ("rights", "grant", "MUG", "2", "--to", "kit B")
    assert "sold by every kit without asking" in one.run(*grant, wanted=1).stderr
    for wrong in ("1m", "13h", "2", "soon"):
        assert "a term is" in one.run(*grant, "--for", wrong, wanted=2).stderr
    limited = one.run("rights", "grant", "PIN", "1", "--to", "kit B", "--for", "2h", wanted=1)
    assert "cannot be given for a time" in limited.stderr, limited.stderr
    path = stick.file("lease.fkb")
    said = one.run(*grant, "--for", "2h", "--out", path).stdout
    assert "  2 at kit B until 20" in said, said
    other.run("sync", "import", path)
    for kit, here in ((one, (4, 2)), (other, None)):
        [lease] = [each for pool in kit.json("rights", "list")["pools"] for each in pool["leases"]]
        assert (lease["held"], lease["from"], lease["to"], lease["own"]) == (2, "kit A", "kit B", kit is other), lease
        [mug] = [each for each in kit.json("stock") if each["sku"] == "MUG"]
        assert here is None or (mug["here"], mug["elsewhere"]) == here, mug
    # Whether its clock is believed or not, ordinary goods sell on.
    other.run("sell", "--line", "MUG=1", "--tender", "cash=8")
    stick.carry(other, one)
    verified(one, other)
    print("leased: two mugs for two hours, seen by both kits; limited goods are not")


def a_till_waits_for_a_witness(one, other, stick):
    one.start("--api-only")
    try:
        assert one.json("status")["shut"]["items"] == [{"sku": "PIN", "name": "Pin", "here": 3}]
        assert "after a start a witness" in sell(one, wanted=1).stderr
        sell(other)
        assert stick.carry(other, one)["new"] > 0, "a till that runs takes files"
        stick.carry(one, other)
        wrong = one.run("rights", "admit", "--slip", "1-AAAA", wanted=1)
        assert "has not written that slip" in wrong.stderr, wrong.stderr
        assert "a mark such as" in one.run("rights", "admit", "--slip", "last", wanted=1).stderr
        last = max((order for order in one.json("orders") if order["series"] == one.series), key=lambda order: order["receipt"])
        opened = one.run("rights", "admit", "--slip", last["slip"])
        # Pins were given to kit B: a slip does not tell of that.
        assert opened.stdout.splitlines()[-1] == "PIN: 0 here, 3 at rest until the owner says so", opened.stdout
        assert "3 of \"PIN\" rest here" in sell(one, wanted=1).stderr
        one.stop()
    finally:
        one.kill()
    # Nothing else counts after a word, later lives included, until the owner names it.
    assert "3 of \"PIN\" rest here" in sell(one, wanted=1).stderr
    assert pool(one)["at_rest"] == 3, pool(one)
    assert "say --yes" in one.run("rights", "admit", "--owner", wanted=2).stderr
    opened = one.run("rights", "admit", "--owner", "--yes")
    assert opened.stdout.splitlines()[-1] == "PIN: open, 3 here", opened.stdout
    print("guarded: a till that starts anew keeps limited goods until somebody tells, and a slip tells only so much")


def a_second_copy_on_a_stick_tells(home, one):
    """A memory file system stands for a stick: another device than the data directory's."""
    with tempfile.TemporaryDirectory(prefix="fieldkit-stick-", dir="/dev/shm") as box:
        assert os.stat(box).st_dev != os.stat(home).st_dev, "the second copy needs a device of its own here"
        with_box = ("--api-only", "--black-box", box)
        one.start(*with_box)
        sells_at_once(one)
        # Kit B had asked for two; a till that sells gives half of what it has.
        assert pool(one)["held"]["kit A"] == 1, pool(one)
        one.stop()
        shutil.copytree(one.data, f"{home}/a-noon")
        one.start(*with_box)
        sells_at_once(one)
        one.stop()
        # The card is put back to noon: what was sold since comes back from the stick before anything is sold again.
        shutil.rmtree(one.data)
        shutil.copytree(f"{home}/a-noon", one.data)
        one.start(*with_box)
        sells_at_once(one, wanted=1)
        assert "kit A" not in pool(one)["held"], pool(one)
        one.stop()
        # Without the stick nobody tells, and what a buyer brings back waits.
        last = max((order for order in one.json("orders") if order["series"] == one.series), key=lambda order: order["receipt"])
        os.rename(f"{box}/black-box.fkb", f"{box}/pulled")
        one.start(*with_box)
        one.run("refund", "--order", last["order_id"], "--reason", "chipped")
        assert "after a start a witness" in sell(one, wanted=1).stderr
        one.stop()
    one.run("rights", "admit", "--owner", "--yes")
    one.run("stock", "--set", "PIN=3", "--reason", "delivered")
    print("on a stick: the second copy opens limited goods after a start, and gives back what a card forgot")


def sells_at_once(kit, wanted=0):
    """Limited goods are open as soon as the watch is written down."""
    until = time.monotonic() + OPEN_S_MAX
    while kit.json("status")["shut"] is not None:
        assert time.monotonic() < until, kit.json("status")["shut"]
    sell(kit, wanted=wanted)


def a_kit_that_was_put_back_notices(home, one, other, stick):
    grant = stick.file("grant.fkb")
    one.run("rights", "grant", "PIN", "1", "--to", "kit B", "--out", grant)
    other.run("sync", "import", grant)
    stick.carry(other, one)
    before = pool(one)["sold"]
    shutil.copytree(other.data, f"{home}/b-image")
    sell(other)
    sell(other)
    stick.carry(other, one)
    shutil.rmtree(other.data)
    shutil.copytree(f"{home}/b-image", other.data)
    series = {order["series"] for order in other.json("orders")}
    path = stick.file("past.fkb")
    one.run("sync", "export", "--out", path)
    told = other.run("sync", "import", path)
    assert "was put back" in told.stderr, told.stderr
    kits = other.json("rights", "list")["kits"]
    assert [kit["retired"] for kit in kits if kit["kit"] == "kit B"] == [False, True], kits
    # What it held rests where it was: nobody knows here what else the lost part of its past sold.
    assert "at kit B" in sell(other, wanted=1).stderr
    assert other.json("sync", "import", path)["rolled_back"] is False
    stick.carry(other, one)
    assert pool(one) == pool(other), (pool(one), pool(other))
    verified(one, other)
    assert pool(one)["sold"] == before + 2, (before, pool(one))
    assert {order["series"] for order in other.json("orders")} >= series
    print("put back: the file told kit B; its two lost sales are there again")


def two_histories_are_both_counted(program, home, one, other, stick):
    grant = stick.file("grant.fkb")
    one.run("rights", "grant", "PIN", "2", "--to", "kit B", "--out", grant)
    other.run("sync", "import", grant)
    sold = pool(one)["sold"]
    shutil.copytree(other.data, f"{home}/twin")
    twin = Kit(program, f"{home}/twin")
    sell(other)
    sell(twin)
    sell(twin)
    stick.carry(other, one)
    one.start("--api-only")
    try:
        assert stick.carry(twin, one)["forked"] is True
        code = one.daemon.wait(timeout=STOP_S_MAX)
        assert code == 1 and "two histories of one kit" in open(one.log).read(), code
        one.daemon = None
    finally:
        one.kill()
    after = pool(one)["sold"]
    assert after == sold + 3, (sold, after)
    assert stick.carry(one, other)["rolled_back"] is True, "a copy of this kit is noticed like one that was put back"
    stick.carry(other, one)
    shown = [kit.json("verify") for kit in (one, other)]
    assert all(each["ok"] for each in shown), shown
    assert pool(one)["sold"] == pool(other)["sold"] == sold + 3, (pool(one), pool(other))
    # The next start counts the same from what is stored, and the kits still exchange.
    assert stick.carry(one, other)["new"] == stick.carry(other, one)["new"] == 0
    print("copied: the sales of both histories are counted, by both kits, after every start")


def main():
    program, home = sys.argv[1], sys.argv[2]
    stick = Stick(f"{home}/stick")
    one, other = joined(program, home, stick)
    ten_are_sold(one, other, stick)
    damaged_and_strange_files_give_nothing(program, home, one, other, stick)
    usage_and_names(one)
    goods_move_and_come_back(one, other, stick)
    ordinary_goods_are_leased(one, other, stick)
    a_till_waits_for_a_witness(one, other, stick)
    a_second_copy_on_a_stick_tells(home, one)
    a_kit_that_was_put_back_notices(home, one, other, stick)
    two_histories_are_both_counted(program, home, one, other, stick)


main()
