"""What goes wrong once at a card terminal, and how each ends: nothing charged twice, nothing left in doubt.

Promises: after each check the terminal's journal and the kit agree (`Course.sum_up`), and a sale after it is paid.
Absent on purpose: faults of the line (`card_sales.py`) and links that go away (`card_links.py`).
"""

import json
import subprocess

from card_course import Course
from card_tools import agree, foreign, told, until


def fault(program, home, *lines, kind="ours", link="tcp"):
    """A course with one sale behind it, and lines that its next payment meets."""
    course = Course(program, home, kind, link)
    try:
        course.sell(0)
        if lines:
            course.terminal.arm(*lines)
    except BaseException:
        course.__exit__()
        raise
    return course


def pays_after_all(course, order):
    """An order whose card was not charged is paid by the next attempt, and once."""
    assert order["state"] == "awaiting_payment" and order["payments"][-1]["taken"]["minor"] == 0, told(order)
    states = [payment["state"] for payment in order["payments"]]
    order = course.kit.begun(order["order_id"])
    assert order["state"] == "paid", told(order)
    course.last += 1
    return "+".join([*states, order["payments"][-1]["state"]])


def ends(course, order):
    """Booked once, or not at all and then paid by the next attempt; then another sale. How it ended. The kit is started
    again before, and asks the terminal once more: that changes nothing."""
    course.kit.stop()
    course.kit.up().ready()
    assert course.kit.order(order["order_id"]) == order, f"{told(order)} became {told(course.kit.order(order['order_id']))}"
    if order["state"] == "paid":
        course.last += 1
        how = order["payments"][0]["state"]
    else:
        how = pays_after_all(course, order)
    course.kit.ready()
    course.sell(1)
    return course.sum_up(ends=how)


def mute_terminal(program, home, link="tcp"):
    """It says nothing any more, until it is heard again."""
    with fault(program, home, "mute", link=link) as course:
        order = course.kit.placed("MUG")
        # Longer than it may take to answer; the link is given up then, and asked again.
        until(lambda: course.kit.state_of(order) == "unknown", lambda: told(course.kit.order(order)))
        # Nothing may hide its outcome: neither another card nor the same one.
        other = course.kit.run("sell", "--line", "TEE=1", "--tender", "card", "--json", wanted=1)
        assert json.loads(other.stdout)["code"] == "terminal_held", other.stdout
        status, problem = course.kit.over_socket("POST", f"/api/v1/orders/{order}/payments", {}, "again")
        assert (status, problem["code"]) == (409, "payment_unknown"), problem
        course.terminal.arm("speak")
        return ends(course, course.kit.settled(order))


def mute_terminal_on_a_line(program, home):
    return mute_terminal(program, home, "pty")


def late_answer(program, home):
    with fault(program, home, "late 900") as course:
        return ends(course, course.kit.settled(course.kit.placed("MUG")))


def answer_after_the_deadline(program, home):
    """Unknown; resolved by asking."""
    with fault(program, home, "late 6000") as course:
        return ends(course, course.kit.settled(course.kit.placed("MUG")))


def answer_after_the_deadline_on_a_line(program, home):
    """Nothing tells the terminal that nobody waits any more: its late words meet the next question."""
    with fault(program, home, "late 6000", link="pty") as course:
        return ends(course, course.kit.settled(course.kit.placed("MUG")))


def power_cycle_during_a_payment(program, home):
    with fault(program, home) as course:
        course.terminal.kill()
        course.terminal.buyer_ms = 2_000
        course.terminal.start()
        course.kit.ready()
        order = course.kit.placed_at_once("MUG")
        until(lambda: course.kit.state_of(order) == "sent", lambda: told(course.kit.order(order)))
        course.terminal.arm("power-cycle")
        return ends(course, course.kit.settled(order))


def power_cycle_after_the_charge(program, home):
    """Not acknowledged: the second terminal takes it back when it is up again."""
    with fault(program, home, "power-cycle 04 0F", kind="other") as course:
        return ends(course, course.kit.settled(course.kit.placed("MUG")))


def link_cut_before_the_result(program, home):
    """The card is charged, and the cable is pulled before the till hears of it."""
    with fault(program, home, "cut-after 10") as course:
        return ends(course, course.kit.settled(course.kit.placed("MUG")))


def end_of_a_payment_is_never_told(program, home):
    """The till hears of the charge and answers; the link breaks before the terminal says that the payment is over."""
    with fault(program, home, "mute-after 04 0F", kind="other") as course:
        order = course.kit.settled(course.kit.placed("MUG"))
        assert order["payments"][0]["state"] == "captured" and "06 0F was not answered" in course.terminal.said(), told(order)
        return ends(course, order)


def wrong_amount_is_taken_back(program, home):
    with fault(program, home, "wrong-amount 1251") as course:
        order = course.kit.settled(course.kit.placed("MUG"))
        assert order["payments"][0]["state"] in ("reversed", "not_charged"), told(order)
        assert order["payments"][0]["charged"] == {"minor": 1251, "currency": "EUR"}, told(order)
        return ends(course, order)


def part_of_the_amount_is_taken_back(program, home):
    with fault(program, home, "partial 500") as course:
        order = course.kit.settled(course.kit.placed("MUG"))
        assert order["payments"][0]["state"] in ("reversed", "not_charged"), told(order)
        return ends(course, order)


def other_currency_is_taken_back(program, home):
    with fault(program, home, "wrong-currency 840") as course:
        order = course.kit.settled(course.kit.placed("MUG"))
        assert order["payments"][0]["state"] in ("reversed", "not_charged"), told(order)
        return ends(course, order)


def approval_told_twice(program, home):
    with fault(program, home, "repeat-approval") as course:
        return ends(course, course.kit.settled(course.kit.placed("MUG")))


def stop(course):
    device = course.kit.device()["device_id"]
    status, _ = course.kit.over_socket("POST", f"/api/v1/devices/{device}/stop", {})
    assert status == 202, f"stop: {status}"


def stopped_by_the_crew(program, home):
    with fault(program, home, "slow-card 3000", kind="other") as course:
        order = course.kit.placed_at_once("MUG")
        until(lambda: course.kit.state_of(order) == "sent", lambda: told(course.kit.order(order)))
        stop(course)
        order = course.kit.settled(order)
        assert order["payments"][0]["state"] == "cancelled" and course.terminal.events()[-1] == "aborted", told(order)
        return ends(course, order)


def stopped_when_the_card_is_charged(program, home):
    """The terminal's word counts: it is paid."""
    with fault(program, home, "late 500 04 0F", kind="other") as course:
        order = course.kit.placed_at_once("MUG")
        until(lambda: course.terminal.events()[2:] == ["approved"], lambda: told(course.kit.order(order)))
        stop(course)
        order = course.kit.settled(order)
        assert order["payments"][0]["state"] in ("captured", "not_charged", "reversed"), told(order)
        return ends(course, order)


def charge_without_an_order(program, home):
    """Somebody charges a card at the terminal itself: listed, and no order is paid by it."""
    with fault(program, home, "foreign 777") as course:
        device = course.kit.device()["device_id"]
        status, _ = course.kit.over_socket("POST", f"/api/v1/devices/{device}/ask", {})
        assert status == 202, f"ask: {status}"
        [amount] = until(lambda: list(foreign(course.kit).values()), "a payment without order is listed")
        assert amount == 777
        course.sell(0)
        assert len(foreign(course.kit)) == 1
        return course.sum_up(listed=1)


def approved_offline(program, home):
    """At risk from the start: paid, and named as money that may never come."""
    with fault(program, home, "offline") as course:
        order = course.kit.settled(course.kit.placed("TEE"))
        assert (order["state"], order["payments"][0]["state"]) == ("paid", "at_risk"), told(order)
        exposure = course.kit.asked("/api/v1/status")["exposure"]
        assert exposure == {"minor": 2500, "currency": "EUR"}, exposure
        assert any(line.get("offline") for line in course.terminal.journal()), course.terminal.events()
        return ends(course, order)


def card_numbers_stand_nowhere(program, home):
    """The terminal says whole card numbers and tracks: none is in a file of the kit."""
    with fault(program, home, "pan-in-text") as course:
        figures = ends(course, course.kit.settled(course.kit.placed("MUG")))
        for path in (path for path in course.terminal.home.parent.joinpath("data").rglob("*") if path.is_file()):
            assert b"4111111111111111" not in path.read_bytes(), f"a card number stands in {path.name}"
        with open(course.kit.log, encoding="utf-8") as log:
            assert "4111111111111111" not in log.read(), "a card number stands in the log"
        return figures


def many_at_once_are_one_charge(program, home):
    """The same sale, given again while its card is under way, is the same order and the same charge."""
    with fault(program, home) as course:
        command = course.kit.selling("MUG", "one-key")
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(6)]
        said = [child.communicate(timeout=60)[0] for child in running]
        orders = {json.loads(text)["order_id"] for text in said}
        assert len(orders) == 1, orders
        order = course.kit.settled(orders.pop())
        assert len(order["payments"]) == 1, told(order)
        return ends(course, order)


def telium_in_doubt_is_closed_by_a_person(program, home):
    """This terminal cannot be asked: somebody looks at it, says what it did, and the order is paid by the next attempt."""
    with Course(program, home, "other", "pty", protocol="telium") as course:
        course.sell(0)
        course.terminal.arm("cut-after 1")
        order = course.kit.placed("MUG")
        payment = course.kit.order(order)["payments"][0]
        assert payment["state"] == "unknown" and course.terminal.events() == ["approved", "committed"], payment
        course.kit.written(f"/api/v1/orders/{order}/payments/{payment['payment_id']}/close", {"charged": False, "evidence": "its journal ends before"})
        return ends(course, course.kit.settled(order))


def other_journals_are_noticed(program, home):
    """A check of the check: a charge too many, too few, of another amount, or never ended, does not agree."""
    with fault(program, home) as course:
        course.sell(0)
        true = course.terminal.journal_path.read_text().splitlines(keepends=True)
        more = [line.replace('"receipt":2,"trace":746', '"receipt":3,"trace":747') for line in true[2:]]
        others = {"too many": true + more, "too few": true[:2], "another amount": [*true[:3], true[3].replace("1250", "1251")],
                  "never ended": true[:3]}
        for name, lines in others.items():
            course.terminal.journal_path = course.terminal.home / name
            course.terminal.journal_path.write_text("".join(lines))
            assert lines != true, f"{name} is the true journal"
            try:
                agree(course.kit, course.terminal)
            except AssertionError:
                continue
            raise RuntimeError(f"a journal with {name} agrees with the kit")
        course.terminal.journal_path = course.terminal.home / "journal"
        return course.sum_up(noticed=len(others))


CHECKS = (mute_terminal, mute_terminal_on_a_line, answer_after_the_deadline, answer_after_the_deadline_on_a_line, late_answer,
          power_cycle_during_a_payment, power_cycle_after_the_charge, link_cut_before_the_result, end_of_a_payment_is_never_told,
          wrong_amount_is_taken_back, part_of_the_amount_is_taken_back, other_currency_is_taken_back, approval_told_twice,
          stopped_by_the_crew, stopped_when_the_card_is_charged, charge_without_an_order, approved_offline, card_numbers_stand_nowhere, many_at_once_are_one_charge,
          telium_in_doubt_is_closed_by_a_person, other_journals_are_noticed)
