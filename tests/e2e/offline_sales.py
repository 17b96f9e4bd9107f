"""Sells by command line and by HTTP under strace, inside a network namespace without a way out.

Promises: exit code 0 only where every sale was taken in time, receipts have no gap, `verify` is clean and no process
looked for a network. Figures go to stdout. Absent on purpose: the namespace itself (`scripts/offline-sales` makes it).
"""

import glob
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time

from offline import only_loopback

SALE_MS_MAX = 1_000
READY_S_MAX = 10
PORT = 18080
LOOPBACK = re.compile(r'inet_addr\("127\.|inet_pton\(AF_INET6, "::1"')


def traced(home, name, command, **options):
    return subprocess.Popen(["strace", "-f", "-qq", "-e", "trace=network", "-o", f"{home}/{name}.strace", *command], **options)


def start(home, program, data):
    told = open(f"{home}/told", "w+")
    log = open(f"{home}/log", "w")
    daemon = traced(home, "daemon", [program, "--data", data, "up", "--listen", f"127.0.0.1:{PORT}"], stdout=told, stderr=log)
    end = time.monotonic() + READY_S_MAX
    while "READY" not in open(f"{home}/told").read():
        assert daemon.poll() is None, open(f"{home}/log").read()
        assert time.monotonic() < end, "no READY"
        time.sleep(0.02)
    return daemon


def by_command_line(home, program, data, sales):
    """Every tenth under strace, so that the times of the others are a person's."""
    times = []
    for at in range(sales):
        command = [program, "--data", data, "--json", "sell", "--line", "MUG=1", "--tender", "cash=20"]
        begun = time.monotonic()
        if at % 10 == 0:
            child = traced(home, f"sell-{at}", command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        else:
            child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, said = child.communicate(timeout=10)
        times.append((time.monotonic() - begun) * 1000)
        assert child.returncode == 0, said.decode()
        assert json.loads(out)["receipt"] == at + 1, out
    return times


def by_http(sales, first):
    times = []
    order = {"lines": [{"sku": "MUG", "quantity": 1}], "tenders": [{"kind": "cash", "amount": {"minor": 2000, "currency": "EUR"}}]}
    link = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
    for at in range(sales):
        begun = time.monotonic()
        link.request("POST", "/api/v1/orders", json.dumps(order), {"Content-Type": "application/json", "Idempotency-Key": f"offline-{at}"})
        reply = link.getresponse()
        body = json.loads(reply.read())
        times.append((time.monotonic() - begun) * 1000)
        assert reply.status == 201, body
        assert body["receipt"] == first + at, body["receipt"]
    return times


def contacts(home):
    """Every connect, sendto and name look-up in the traces that leaves this machine, and how many stayed."""
    inside, outside = 0, []
    for path in sorted(glob.glob(f"{home}/*.strace")):
        for line in open(path, errors="replace"):
            if not re.search(r"\b(connect|sendto|sendmsg|sendmmsg)\(", line) or "sa_family=" not in line:
                continue
            if "AF_UNIX" in line and "nscd" not in line or LOOPBACK.search(line):
                inside += 1
            else:
                outside.append(f"{os.path.basename(path)}: {line.strip()}")
    return inside, outside


def figures(name, times):
    ordered = sorted(times)
    at = lambda share: ordered[min(len(ordered) - 1, int(len(ordered) * share))]
    print(f"{name}: {len(times)} sales, p50 {at(0.5):.1f} ms, p99 {at(0.99):.1f} ms, longest {ordered[-1]:.1f} ms")
    assert ordered[-1] < SALE_MS_MAX, f"a sale took {ordered[-1]:.0f} ms"


def main():
    program, home, sales = sys.argv[1], sys.argv[2], int(sys.argv[3])
    data = f"{home}/data"
    run = lambda *args: subprocess.run([program, "--data", data, *args], check=True, capture_output=True, text=True, timeout=60).stdout
    print(f"loopback only: {only_loopback()}")
    run("init", "--name", "Corner Stall", "--zone", "Europe/Berlin", "--tax", "190000")
    run("catalog", "set", "MUG", "--name", "Mug", "--price", "12.50", "--count", str(sales * 2))
    daemon = start(home, program, data)
    try:
        figures("command line", by_command_line(home, program, data, sales))
        figures("HTTP", by_http(sales, sales + 1))
        orders = json.loads(run("orders", "--json"))
        receipts = sorted(order["receipt"] for order in orders)
        assert receipts == list(range(1, 2 * sales + 1)), receipts
        assert json.loads(run("stock", "--json"))[0]["here"] == 0
        print(f"receipts: 1 … {2 * sales}, no gap; stock 0 left")
        children = subprocess.run(["pgrep", "-P", str(daemon.pid)], capture_output=True, text=True).stdout.split()
        for child in children:
            os.kill(int(child), signal.SIGTERM)
        assert daemon.wait(timeout=10) == 0, "SIGTERM does not end with exit code 0"
    finally:
        if daemon.poll() is None:
            daemon.kill()
    verdict = json.loads(run("verify", "--json"))
    assert verdict["ok"] is True, verdict
    print(f"verify: clean, {verdict['ops']} ops")
    inside, outside = contacts(home)
    assert inside > 0, "the traces are empty"
    for line in outside:
        print(f"left the machine: {line}")
    assert not outside, "something looked for a network"
    print(f"contacts: {inside}, all of them UNIX sockets or loopback; no look-up of a name")


main()
