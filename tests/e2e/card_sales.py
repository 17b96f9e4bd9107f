"""Card sales end to end, inside a network namespace without a way out: by command line, over TCP, lines, two protocols.

Promises: exit code 0 only where after each course the terminal's journal and the kit agree payment by payment, receipts
have no gap and `verify` is clean. Each course has a kit and a terminal of its own; several run at a time since most of
them wait. A line for each with its figures.
Absent on purpose: the namespace (`scripts/card-sales` makes it), kills of the till (`card_kills.py`), and what breaks
once and how it ends (`card_faults.py`, `card_links.py`, `card_power.py`).
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import card_faults
import card_links
import card_power
from card_course import Course
from offline import only_loopback

# Most sales of a course; a smaller number is for trying things out.
SALES = 50
AT_A_TIME = 6
# Declined ones end as a sale with another card, stopped ones as an order that is given up.
DECLINED_EACH, STOPPED_EACH, VOIDED_EACH = 9, 11, 10
# Faults of the line, one before each third sale, in turn.
LINE_FAULTS = ("bad-crc 1", "nak 1", "bad-crc 2", "nak 2", "bad-crc 1 + nak 1", "garbage 3")
OTHER_FAULTS = {
    "tcp": ("one-byte-at-a-time 1", "flood 5", "late 300", "repeat-approval", "pan-in-text"),
    "pty": ("bad-crc 2", "nak 2", "garbage 7", "one-byte-at-a-time 1", "flood 5"),
    "telium": ("nak 1", "bad-crc 1"),
}


def fifty_sales(program, home, link, sales):
    """Receipt numbers wrap at 9,999 and begin anew after an end of day; stops, declines, voids in between."""
    with Course(program, home, "ours", link, "--receipt-start", "9980", "--restart-numbers") as course:
        for number in range(sales):
            if link == "pty" and number % 3 == 1:
                course.terminal.arm(LINE_FAULTS[number // 3 % len(LINE_FAULTS)])
            order = course.sell(number)
            if number % DECLINED_EACH == 4:
                course.declined(number)
            if number % STOPPED_EACH == 7:
                course.stopped(number)
            if number % VOIDED_EACH == 5:
                course.void(order)
            if number == sales * 2 // 3:
                course.new_day()
        numbers = [line["receipt"] for line in course.terminal.journal() if line["event"] == "committed"]
        falls = [before for before, after in zip(numbers, numbers[1:]) if after < before]
        # Declined payments and reversals have numbers too.
        assert sales < SALES or len(falls) == 2 and falls[0] > 9990 > falls[1], f"the numbers fall after {falls}: {numbers}"
        return course.sum_up(sales=sales)


def other_sales(program, home, link, protocol, sales):
    """The terminal that shares nothing with this program, with faults of its own."""
    faults = OTHER_FAULTS[protocol if protocol == "telium" else link]
    with Course(program, home, "other", link, protocol=protocol) as course:
        for number in range(sales):
            if number % 2 == 1:
                course.terminal.arm(faults[number // 2 % len(faults)])
            order = course.sell(number)
            if number == 4 and protocol == "zvt":
                course.void(order)
            if number == 5:
                course.declined(number)
        return course.sum_up(sales=sales)


def telium_sales(program, home, sales):
    with Course(program, home, "ours", "pty", protocol="telium") as course:
        for number in range(sales):
            if number % 3 == 1:
                course.terminal.arm(("nak 1", "bad-crc 1")[number // 3 % 2])
            course.sell(number)
            if number == 5:
                course.declined(number)
        return course.sum_up(sales=sales)


def courses(program, sales):
    """Names and what they run; the longest first."""
    few = max(3, sales // 5)
    for module in (card_links, card_power, card_faults):
        for check in module.CHECKS:
            yield check.__name__.replace("_", " "), lambda home, check=check: check(program, home)
    yield "fifty over TCP", lambda home: fifty_sales(program, home, "tcp", sales)
    yield "fifty over a line", lambda home: fifty_sales(program, home, "pty", sales)
    yield "second terminal over TCP", lambda home: other_sales(program, home, "tcp", "zvt", few)
    yield "second terminal over a line", lambda home: other_sales(program, home, "pty", "zvt", few)
    yield "Telium", lambda home: telium_sales(program, home, few)
    yield "Telium, second terminal", lambda home: other_sales(program, home, "pty", "telium", few)


def run(name, course, home):
    begun = time.monotonic()
    try:
        figures = course(home)
        words = ", ".join(f"{word.replace('_', ' ')} {figure}" for word, figure in (figures or {}).items())
        return True, f"ok       {name}: {words} ({time.monotonic() - begun:.1f} s)"
    except Exception as error:
        return False, f"FAILED   {name}: {type(error).__name__}: {error} ({time.monotonic() - begun:.1f} s)"


def main():
    program, home, sales, chosen = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
    print(f"loopback only: {only_loopback()}")
    listed = [(name, course) for name, course in courses(program, sales) if not chosen or any(part in name for part in chosen)]
    assert listed, f"no course is named like {chosen}"
    failed = 0
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        for well, line in pool.map(lambda item: run(item[1][0], item[1][1], f"{home}/{item[0]}"), enumerate(listed)):
            failed += not well
            print(line, flush=True)
    print(f"{len(listed) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
