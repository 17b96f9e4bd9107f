"""Reads the runs of `scripts/bench` and prints the ratio of medians, product to plain SQLite, per number of tills."""
import json
import statistics
import sys

rows = [json.loads(line) for line in sys.stdin if line.startswith("{")]


def median(mode_is_plain, tills, key):
    """The median of `key` over the runs of one side."""
    found = [row[key] for row in rows if row["tills"] == tills and row["mode"].startswith("plain") == mode_is_plain]
    return statistics.median(found)


for tills in sorted({row["tills"] for row in rows}):
    ours, plain = median(False, tills, "sales_per_s"), median(True, tills, "sales_per_s")
    batch = median(False, tills, "batch")
    print(f"{tills} tills: {ours:.0f} of {plain:.0f} sales/s, ratio {ours / max(1, plain):.2f}, {batch:.1f} sales a commit")
    if ours == 0 or (tills == 16 and batch < 4):
        sys.exit("nothing was sold or nothing was grouped")
