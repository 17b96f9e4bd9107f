"""Card data that a terminal should never have sent: it must appear nowhere.

Promises: terminals plant whole card numbers and tracks (plain, spaced, binary-coded, base64) into their texts while cards
are charged and reversed, at the most talkative log level; exit code 0 only where none of it stands in a file of the kit,
a log, an answer, an event stream or a core dump, and where times, amounts and article numbers came through whole.
"""

import base64
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

from kit import Kit, free_port

PAN = "4111111111111111"
OTHER = "5555555555554444"
EAN = "4006381333931"
# What is left of the first once it is hidden.
LEFT = b"411111******1111"
ITEMS = [("MUG", "--name", f"Mug {EAN}", "--price", "12.50", "--count", "90")]
DEVICES = Path(__file__).parent.parent / "devices"
WAIT_S_MAX = 20
LOOK_S = 0.02


def planted(number):
    """Every writing of a card number that is looked for, as bytes."""
    spaced = [sign.join(number[at:at + 4] for at in range(0, 16, 4)) for sign in (" ", "-")]
    coded = bytes.fromhex(number)
    plain = [number.encode(), *(text.encode() for text in spaced), coded, coded.hex(" ").encode()]
    return plain + [base64.b64encode(part) for part in (number.encode(), coded)] + [number.encode("utf-16-le")]


class Terminal:
    """A simulated terminal: the kit's own, or the second one, which shares no code with it."""

    def __init__(self, command, script):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("READY "), f"no terminal: {line!r}"
        self.url = line.split(" ", 1)[1].strip()
        self.say(script)

    def say(self, *lines):
        for line in lines:
            self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=WAIT_S_MAX)


def settled(kit, order_id):
    """The order once none of its payments is under way."""
    end = time.monotonic() + WAIT_S_MAX
    while time.monotonic() < end:
        status, _, order = kit.ask("GET", f"/api/v1/orders/{order_id}")
        assert status == 200, order
        if not any(payment["state"] in ("intended", "sent", "unknown", "approved", "reversing", "reversal_unknown") for payment in order["payments"]):
            return order
        time.sleep(LOOK_S)
    raise AssertionError(f"the payment does not end: {order['payments']}")


def follow(kit, lines):
    """Keeps every line of the event stream."""
    import http.client
    link = http.client.HTTPConnection("127.0.0.1", kit.port)
    link.request("GET", "/api/v1/updates")
    reply = link.getresponse()
    try:
        while line := reply.readline():
            lines.append(line)
    except OSError:
        pass


def charge(kit, key):
    body = '{"lines":[{"sku":"MUG","quantity":1}],"tenders":[{"kind":"card"}]}'
    headers = {"content-type": "application/json", "idempotency-key": key}
    status, _, order = kit.ask("POST", "/api/v1/orders", body, headers)
    assert status == 201, order
    return settled(kit, order["order_id"])


def day(program, home, name, command, voids):
    """A day at one terminal; returns everything that came out of the kit, by its source."""
    terminal = Terminal(command, "pan-in-text")
    kit = Kit(program, f"{home}/{name}")
    kit.found(*ITEMS)
    os.environ["RUST_LOG"] = "trace"
    work = Path(home) / f"{name}-core"
    work.mkdir()
    before = os.getcwd()
    os.chdir(work)
    lines = []
    try:
        kit.start("--api-only", "--device", f"terminal={terminal.url}")
        follower = threading.Thread(target=follow, args=(kit, lines), daemon=True)
        follower.start()
        order = charge(kit, "one")
        assert order["state"] == "paid", order["payments"]
        for number in range(3):
            terminal.say("pan-in-text")
            order = charge(kit, f"more-{number}")
        if voids:
            terminal.say("pan-in-text")
            status, _, gone = kit.ask("POST", f"/api/v1/orders/{order['order_id']}/void", '{"reason":"mistyped"}', {"content-type": "application/json", "idempotency-key": "void"})
            assert status == 201, gone
            assert settled(kit, order["order_id"])["state"] == "voided"
        out = {"orders": kit.run("orders", "--json").stdout, "payments": kit.run("payments", "--json").stdout, "status": kit.run("status", "--json").stdout}
        limits = Path(f"/proc/{kit.daemon.pid}/limits").read_text()
        [core] = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        assert core.split()[4:6] == ["0", "0"], core
        kit.daemon.send_signal(6)
        kit.daemon.wait(timeout=WAIT_S_MAX)
        assert kit.daemon.returncode == -6, f"an abort ends with {kit.daemon.returncode}"
        kit.daemon = None
        assert list(work.iterdir()) == [], "an abort left a core dump"
        follower.join(timeout=WAIT_S_MAX)
        kit.start("--api-only", "--device", f"terminal={terminal.url}")
        kit.stop()
    finally:
        os.chdir(before)
        kit.kill()
        terminal.stop()
    verified = kit.json("verify")
    assert verified["ok"] is True, verified
    found = {source: text.encode() for source, text in out.items()} | {"updates": b"".join(lines), "log": Path(kit.log).read_bytes()}
    for path in Path(kit.data).rglob("*"):
        if path.is_file():
            found[str(path.relative_to(kit.data))] = path.read_bytes()
    return found


def main():
    program, home = sys.argv[1], sys.argv[2]
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    own = [program, "simulate", "terminal", "--buyer-ms", "20", "--journal"]
    second = [sys.executable, str(DEVICES / "terminal.py")]
    cases = {
        "zvt-tcp": ([*own, f"{home}/1", "--tcp", "127.0.0.1:0"], True),
        "zvt-line": ([*own, f"{home}/2", "--pty", f"{home}/tty2"], True),
        "telium": ([*own, f"{home}/3", "--protocol", "telium", "--pty", f"{home}/tty3"], False),
        "second-zvt-tcp": ([*second, "--protocol", "zvt", "--tcp", f"127.0.0.1:{free_port()}", "--journal", f"{home}/4"], True),
        "second-zvt-line": ([*second, "--protocol", "zvt", "--pty", f"{home}/tty5", "--journal", f"{home}/5"], True),
        "second-telium": ([*second, "--protocol", "telium", "--pty", f"{home}/tty6", "--journal", f"{home}/6"], False),
    }
    wanted = planted(PAN) + planted(OTHER)
    failed = 0
    for name, (command, voids) in cases.items():
        try:
            found = day(program, home, name, command, voids)
            for source, content in found.items():
                for writing in wanted:
                    assert writing not in content, f"{writing!r} stands in {source}"
                assert b"=2512" not in content and b"=2912" not in content, f"a track stands in {source}"
            # The second terminal's fields are kept, so that it shows that they were sent and hidden.
            shown = found["payments"] + found["updates"]
            assert not name.startswith("second-zvt") or LEFT in shown, "nothing was planted"
            assert EAN.encode() in found["orders"], "the article number did not survive"
            print(f"ok       {name}: {len(found)} sources, {sum(map(len, found.values()))} bytes")
        except AssertionError as error:
            failed += 1
            print(f"FAILED   {name}: {error}")
    print(f"{len(cases) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
