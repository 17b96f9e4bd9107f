"""The till loses power at named moments of a card payment: before, at and after the charge; and it is stopped for long.

Promises: each moment is a state that the terminal's journal or the kit shows, and lasts until the daemon is gone; started
again it knows what became of the card by asking. Absent on purpose: random moments (`card_kills.py`).
"""

import os
import signal

from card_course import Course
from card_faults import ends
from card_tools import told, until

# A terminal waits 5 s for an answer before it goes on, and as long again before it takes a charge back.
TAKEN_BACK_S_MAX = 20


def killed(course, moment):
    """`kill -9` of the daemon once `moment` is there, and a start; the order, settled."""
    order = course.kit.placed_at_once("MUG")
    until(lambda: moment(order), lambda: f"{told(course.kit.order(order))}, {course.terminal.events()}")
    course.kit.kill()
    course.kit.up().ready()
    return course.kit.settled(order)


def power_lost_while_the_buyer_looks_for_a_card(program, home):
    with Course(program, home, "other", "tcp") as course:
        course.sell(0)
        course.terminal.arm("slow-card 1000")
        order = killed(course, lambda order: course.kit.state_of(order) == "sent")
        assert order["payments"][0]["state"] == "not_charged", told(order)
        return ends(course, order)


def power_lost_when_the_card_is_charged(program, home):
    """The terminal has charged, and its word is on the way: nobody answers, and it takes the money back."""
    with Course(program, home, "other", "tcp") as course:
        course.sell(0)
        course.terminal.arm("late 500 04 0F")
        order = killed(course, lambda _: course.terminal.events()[-1] == "approved")
        assert order["payments"][0]["state"] == "not_charged", told(order)
        assert "auto_reversed" in course.terminal.events(), course.terminal.events()
        return ends(course, order)


def power_lost_before_the_till_knows_that_it_is_over(program, home):
    """The charge stands at the terminal: the kit finds it booked by asking, and it is booked once."""
    with Course(program, home, "other", "tcp") as course:
        course.sell(0)
        course.terminal.arm("late 500 06 0F")
        order = killed(course, lambda _: course.terminal.events()[2:] == ["approved", "committed"])
        assert (order["state"], order["payments"][0]["state"]) == ("paid", "captured"), told(order)
        return ends(course, order)


def till_stopped_for_longer_than_the_terminal_waits(program, home):
    with Course(program, home, "ours", "tcp") as course:
        course.sell(0)
        order = course.kit.placed_at_once("MUG")
        daemon = course.kit.daemon.pid
        os.kill(daemon, signal.SIGSTOP)
        try:
            # The terminal charges, hears nothing, and takes it back or gives up.
            until(lambda: course.terminal.events()[-1] in ("auto_reversed", "aborted"), lambda: course.terminal.events(), TAKEN_BACK_S_MAX)
        finally:
            os.kill(daemon, signal.SIGCONT)
        return ends(course, course.kit.settled(order))


CHECKS = (power_lost_while_the_buyer_looks_for_a_card, power_lost_when_the_card_is_charged,
          power_lost_before_the_till_knows_that_it_is_over, till_stopped_for_longer_than_the_terminal_waits)
