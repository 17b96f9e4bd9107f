"""One world audited: all findings, and figures that say how much was looked at.

Promises: figures are counted from the same ops and journals that are judged, so that a check of nothing shows as zeros.
"""

from collections import Counter

from tests.audit import cards, chain, goods, money, sources
from tests.audit.ops import Ops

CHECKS = (chain, money, goods, cards)


def audit(world):
    """Findings without repetition, in the order of the checks, and figures."""
    held = [data for holder in world.holders for data in (*holder.journal, *holder.others)]
    ops = Ops(held, world.destroyed)
    findings = list(dict.fromkeys(finding for module in CHECKS for finding in module.check(world, ops)))
    return findings, figures(world, ops)


def figures(world, ops):
    of, book = Counter(), money.Book(ops)
    of["worlds"] = 1
    of["ops"] = len(ops.order)
    of["forks"] = len(ops.forks)
    of["signed_heads"] = sum(len(holder.heads) for holder in world.holders)
    of["answers"] = len(world.answers)
    of["orders"] = len(ops.kinds[32]) + len(ops.kinds[35])
    of["refunds"] = len(ops.kinds[33])
    of["counts"] = len(ops.kinds[50])
    of["receipts"] = sum(len(ops.kinds[kind]) for kind in (32, 33, 34, 36))
    of["payments"] = len(ops.kinds[64]) + len(ops.kinds[66])
    of["booked_minor"] = sum(sum(book.booked(payment).values()) for kind in (64, 66) for payment in ops.kinds[kind])
    for terminal in world.terminals:
        standing, undone = cards.charges(terminal)
        of["charges"] += len(standing)
        of["charges_undone"] += len(undone)
        of["charged_minor"] += sum(line["amount"] for line in standing.values())
    everything = goods.Goods(ops, ops.order)
    for cell in everything.cells:
        for act in {deed.act for deed in cell.deeds}:
            of[f"units_{act.replace(' ', '_')}"] += cell.count * sum(deed.act == act for deed in cell.deeds)
    of["oversold"] = sum(over.count * over.extra for over in everything.oversold())
    of["destroyed"] = len(ops.destroyed)
    return of


def clean(directory, *journals):
    """Figures of a kit's data directory in which nothing is found; findings are raised."""
    world = sources.world(directory, journals)
    findings, counted = audit(world)
    assert not findings, "\n".join(line(world, finding) for finding in findings)
    return counted


def line(world, finding):
    where = f" {finding.stream[:16]}/{finding.seq}" if finding.stream else ""
    return f"{finding.invariant} {world.name}{where}: {finding.words}"
