"""Runs the tables of bad requests, bad options and bad storage; a line each.

Promises: a row that deviates is named with what was wanted and what came; the exit code is 1 where any did. After each
group the business digest is what it was, and the kit sells.
Absent on purpose: the rows (`bad_requests.py`, `bad_options.py`, `bad_storage.py`).
"""

import json
import sys
import traceback

import bad_options
import bad_requests
import bad_storage
from kit import Kit

GOODS = [
    ("MUG", "--name", "Mug", "--price", "12.50", "--count", "30"),
    ("BOOK", "--name", "Old book", "--open-price", "true", "--count", "9"),
    ("GOLD", "--name", "Gold bar", "--price", "9000000000.00", "--count", "5"),
]
SENTENCES = ("detail", "touched", "next_step")
PANIC = ("panicked", "RUST_BACKTRACE", "unwrap", "thread '")


class Report:
    def __init__(self, only):
        self.only, self.passed, self.failed = only, 0, 0

    def check(self, name, look):
        """`look` raises where it finds a deviation, and may return a word on what it saw."""
        if self.only not in name:
            return
        try:
            word = look()
            self.passed += 1
            print(f"ok    {name}{': ' + word if word else ''}")
        except Exception as error:
            self.failed += 1
            print(f"WRONG {name}: {str(error) or traceback.format_exc(limit=-2)}")


def problem(status, headers, body, wanted_status, wanted_code):
    """The answer is the wanted problem, whole."""
    assert isinstance(body, dict), f"{status}, and no document: {str(body)[:200]}"
    found = (status, body.get("code"))
    assert found == (wanted_status, wanted_code), f"{found}, wanted {(wanted_status, wanted_code)}: {body.get('detail')}"
    assert headers.get("content-type") == "application/problem+json", headers
    for name in SENTENCES:
        assert len(body.get(name) or "") > 8, f"{name} says {body.get(name)!r}"
    assert not any(word in json.dumps(body) for word in PANIC), body
    return body["detail"]


def said(done, wanted_exit, *parts):
    """A command ended as documented and said why."""
    text = done.stderr
    assert done.returncode == wanted_exit, f"exit {done.returncode}, wanted {wanted_exit}: {text[-400:]}"
    assert "error:" in text, f"no error is said: {text!r}"
    assert not any(word in text for word in PANIC), text
    for part in parts:
        assert part in text, f"{part!r} is not said: {text}"
    return next(line for line in text.splitlines() if line.startswith("error:"))[7:]


def sells(kit):
    """The kit takes a sale, by HTTP where its daemon runs."""
    before = len(kit.json("orders"))
    done = kit.run("sell", "--line", "MUG=1", "--tender", "cash=20", wanted=None)
    assert done.returncode == 0, f"it does not sell any more: {done.stderr}"
    assert len(kit.json("orders")) == before + 1


def digest(kit):
    verdict = kit.json("verify")
    assert verdict["ok"] is True, verdict
    return verdict["digest"]


def main():
    program, home, only = sys.argv[1:4]
    report = Report(only)
    kit = Kit(program, f"{home}/requests").found(*GOODS).start()
    try:
        kit.run("sell", "--line", "MUG=2", "--tender", "cash=25")
        for group in (bad_requests, bad_options):
            before = digest(kit)
            for name, look in group.rows(kit):
                report.check(name, look)
            report.check(f"{group.__name__}: nothing changed", lambda: same(before, digest(kit)))
            report.check(f"{group.__name__}: selling goes on", lambda: sells(kit))
        kit.stop()
    finally:
        kit.kill()
    for name, look in bad_storage.rows(program, home):
        report.check(name, look)
    print(f"bad input: {report.passed} as documented, {report.failed} deviations")
    sys.exit(1 if report.failed else 0)


def same(before, after):
    assert before == after, f"the digest is {after}, it was {before}"


if __name__ == "__main__":
    main()
