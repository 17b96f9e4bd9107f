"""Audits dumped worlds (`scripts/sim --dump`) and data directories.

Usage: python -m tests.audit DIR … [--terminal JOURNAL …]
DIR is a world, a directory of worlds or a kit's data directory; JOURNAL belongs to a data directory. A line for each finding;
the last line is JSON. Exit code 0 where nothing was found, 1 where something was, 2 where something cannot be read.
"""

import json
import pathlib
import sys
from collections import Counter

from tests.audit import sources
from tests.audit.audit import audit, line


def worlds(directories, journals):
    for directory in map(pathlib.Path, directories):
        inside = sorted(directory.glob("*/answers.ndjson"))
        for place in [world.parent for world in inside] or [directory]:
            yield sources.world(place, journals)


def main(arguments):
    at = arguments.index("--terminal") if "--terminal" in arguments else len(arguments)
    directories, journals = arguments[:at], [argument for argument in arguments[at:] if argument != "--terminal"]
    if not directories or any(argument.startswith("-") for argument in directories):
        print(__doc__, file=sys.stderr)
        return 2
    sums, found = Counter(), Counter()
    try:
        for world in worlds(directories, journals):
            findings, figures = audit(world)
            sums.update(figures)
            found.update(finding.invariant for finding in findings)
            for finding in findings:
                print(line(world, finding))
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps({**sums, "findings": sum(found.values()), "found": found}))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
