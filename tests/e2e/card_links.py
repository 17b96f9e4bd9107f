"""Links that go away under a card payment: terminals that are killed and started again, and ones that come late.

Promises: the terminal keeps its journal, its port or path, and nothing else; after each check its journal and the kit
agree, and a sale after it is paid. Absent on purpose: kills of the till (`card_kills.py`).
"""

import subprocess
import threading

from card_course import Course
from card_tools import ITEMS, CardKit, Terminal, told, until

MOMENTS = 10
# Moments are spread over this long, from the start of a sale; a buyer takes most of it.
SPREAD_MS, BUYER_MS = 150, 60


def killed_at_ten_moments(program, home, link):
    """`kill -9` of the terminal; it comes back on its journal at the same place."""
    with Course(program, home, "ours", link) as course:
        course.terminal.kill()
        course.terminal.buyer_ms = BUYER_MS
        course.terminal.start()
        course.kit.ready()
        course.sell(0)
        ended = []
        for at in range(MOMENTS):
            sale = subprocess.Popen(course.kit.selling("MUG", f"moment-{at}"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            # The moment of the fault, and no wait for a state: whatever has happened by then is to end well.
            threading.Event().wait(SPREAD_MS * (at + 1) / MOMENTS / 1000)
            course.terminal.kill()
            course.terminal.start()
            sale.communicate(timeout=60)
            course.kit.ready()
            order = course.kit.settled(course.kit.placed("MUG", f"moment-{at}"))
            ended.append(order["payments"][-1]["state"])
            if order["state"] != "paid":
                order = course.kit.begun(order["order_id"])
            assert order["state"] == "paid", told(order)
            course.last += 1
        course.sell(1)
        counted = " ".join(f"{state}={ended.count(state)}" for state in sorted(set(ended)))
        return course.sum_up(moments=MOMENTS, ended=counted)


def terminal_killed_at_ten_moments(program, home):
    return killed_at_ten_moments(program, home, "tcp")


def line_made_anew_at_ten_moments(program, home):
    """The path leads to another pseudo-terminal each time."""
    return killed_at_ten_moments(program, home, "pty")


def till_before_its_terminal(program, home):
    """The daemon runs, the terminal is switched on later: until then a card is refused in words, and not charged."""
    terminal = Terminal(program, f"{home}/terminal", "ours", "tcp").start()
    terminal.kill()
    kit = CardKit(program, f"{home}/data", terminal.url).found(*ITEMS)
    try:
        kit.up()
        until(lambda: kit.device()["trouble"], lambda: f"the kit says why there is no contact: {kit.device()}")
        order = kit.settled(kit.placed("MUG"))
        assert (order["state"], order["payments"][0]["state"]) == ("awaiting_payment", "cancelled"), told(order)
        terminal.start()
        order = kit.begun(order["order_id"])
        assert order["state"] == "paid", told(order)
        assert terminal.events() == ["approved", "committed"], terminal.events()
        course = Course.__new__(Course)
        course.kit, course.terminal, course.times, course.last = kit, terminal, [], 1
        course.sell(0)
        return course.sum_up()
    finally:
        kit.kill()
        terminal.kill()


def link_cut_at_each_byte(program, home):
    """The cable breaks after the first bytes of the terminal, one more each time."""
    with Course(program, home, "ours", "pty") as course:
        course.sell(0)
        ended = []
        for count in (1, 2, 13, 40, 90, 150, 200, 250):
            course.terminal.arm(f"cut-after {count}")
            order = course.kit.settled(course.kit.placed("MUG"))
            ended.append(order["payments"][-1]["state"])
            if order["state"] != "paid":
                order = course.kit.begun(order["order_id"])
            assert order["state"] == "paid", told(order)
            course.last += 1
            course.kit.ready()
        course.sell(1)
        return course.sum_up(ended=" ".join(ended))


CHECKS = (terminal_killed_at_ten_moments, line_made_anew_at_ten_moments, till_before_its_terminal, link_cut_at_each_byte)
