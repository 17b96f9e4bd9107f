"""A small day at one kit — cash, cards, refunds, voids, counts, a kill — and its files read by the checker in Python.

Promises: exit code 0 only where the data directory and the terminal's journal show nothing wrong, clean as they are and
with the newest sale in the log alone, and where one altered byte of the journal is found. A line each.
Absent on purpose: what else can go wrong at a terminal (`card_sales.py` has each of its courses audited).
"""

import shutil
import sqlite3
import sys
from pathlib import Path

from card_course import Course, clean
from tests.audit import sources
from tests.audit.audit import audit

CASH_SALES = 12


def of_a_day(course):
    kit = course.kit
    kit.run("cash", "open", "100.00")
    for number in range(CASH_SALES):
        sold = kit.json("sell", "--line", f"MUG={number % 3 + 1}", "--line", "PIN=2", "--tender", "cash=100.00")
        course.last += 1
        if number % 4 == 1:
            kit.run("refund", "--order", sold["order_id"], "--line", "1=1", "--reason", "cracked")
            course.last += 1
        if number % 4 == 2:
            kit.run("refund", "--order", sold["order_id"], "--void", "--reason", "mistyped")
            course.last += 1
    for number in range(4):
        course.sell(number)
    course.declined(1)
    course.stopped(2)
    course.void(course.sell(3))
    kit.run("cash", "out", "20.00", "--reason", "change")
    kit.run("cash", "count", "300.00", "--note", "somebody forgot to count")


def main():
    program, home = sys.argv[1:]
    with Course(program, f"{home}/course", "ours", "tcp") as course:
        of_a_day(course)
        course.kit.kill()
        shutil.copytree(course.kit.data, f"{home}/killed", ignore=shutil.ignore_patterns("*.sock"))
        killed = clean(f"{home}/killed", course.terminal.journal_path)
        print(f"ok       after a kill: {killed['ops']} ops, {killed['orders']} orders, {killed['refunds']} refunds, {killed['charges']} charges stand")
        course.kit.up().ready()
        course.sell(1)
        course.kit.stop(), course.terminal.stop()
        data, journal = Path(course.kit.data), course.terminal.journal_path
        figures = clean(data, journal)
        wanted = {"orders": CASH_SALES + 8, "counts": 1, "charges": 6, "charges_undone": 1}
        assert {name: figures[name] for name in wanted} == wanted, figures
        assert sources.world(data).goods, "the tables were not compared"
        print(f"ok       after a stop: {figures['ops']} ops, {figures['signed_heads']} signed heads, tables compared")
        found = altered(data, Path(home) / "altered", journal)
        assert "INV-23" in found, found
        print(f"ok       with one byte altered: {', '.join(sorted(found))}")


def altered(data, place, journal):
    """Invariants that do not hold once a byte in the middle of the journal is another."""
    shutil.copytree(data, place, ignore=shutil.ignore_patterns("*.sock"))
    database = sqlite3.connect(place / "journal.db")
    row, held = database.execute("SELECT row, bytes FROM op ORDER BY row LIMIT 1 OFFSET (SELECT count(*) / 2 FROM op)").fetchone()
    database.execute("UPDATE op SET bytes = ? WHERE row = ?", (held[:-1] + bytes([held[-1] ^ 1]), row))
    database.commit()
    database.close()
    return {finding.invariant for finding in audit(sources.world(place, [journal]))[0]}


main()
