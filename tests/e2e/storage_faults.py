"""Runs the storage faults of a running daemon; a line each.

Promises: each row has a kit of its own, breaks something for real and fails where what was acknowledged is gone, where
a fault is answered without words, or where none was injected. Needs root, strace, prlimit and loop devices.
Absent on purpose: the rows (`faults_calls.py`, `faults_media.py`), and lost or damaged files (`bad_storage.py`).
"""

import os
import sys
import time

import faults_calls
import faults_media
from bad_input import Report
from bad_storage import Maker


def main():
    program, home, only = sys.argv[1:4]
    assert os.geteuid() == 0, "faults are injected and images are mounted: run this as root"
    report = Report(only)
    for look in (*faults_calls.ROWS, *faults_media.ROWS):
        begun = time.monotonic()

        def row(look=look, begun=begun):
            word = look(Maker(program, home, look.__name__))
            return f"{word} ({time.monotonic() - begun:.1f} s)"

        report.check(look.__doc__.splitlines()[0].rstrip("."), row)
    print(f"{report.passed} passed, {report.failed} failed")
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
