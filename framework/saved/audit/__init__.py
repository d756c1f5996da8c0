"""The audit: checks of a run's folder as plain functions in a tuple; findings are collected, each names its place.

The first checks need the folder alone and read it in batches. The thorough ones read the market and the scenario as
well, and compute again what the venues computed.
"""

from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

from attrs import frozen

from framework.assembly import Assembly, assemble
from framework.errors import CarrybookError
from framework.saved.audit import again, books, charges, curve, events, recompute, worth
from framework.saved.audit.finding import Check, Finding, Findings
from framework.saved.audit.history import History
from framework.saved.folder import Folder

CHECKS: tuple[Check, ...] = (
    books.files,
    books.chain,
    books.transfers,
    books.trial_balance,
    books.balances,
    books.rolled_forward,
    books.floors,
    books.time_order,
    events.event_log,
    events.bijection,
    events.kinds,
    events.settlements,
    events.fills,
    events.transit,
    worth.waterfall,
    worth.summary,
)
"""The checks of a folder by itself, in the order in which they are made."""

ThoroughCheck = Callable[[Assembly, History], Findings]

THOROUGH: tuple[ThoroughCheck, ...] = (
    again.inputs,
    again.market,
    recompute.funding,
    recompute.interest,
    recompute.rewards,
    recompute.running_fees,
    charges.fees,
    charges.penalties,
    recompute.liquidations,
    recompute.positions,
    curve.equity,
    again.run,
)
"""The checks that need the market's sources as well."""

KEPT = 100
"""Findings of one check that are kept; the rest is counted."""


@frozen
class Result:
    """What one check found: the first findings, and how many there were."""

    check: str
    holds: str
    """What must hold, in one sentence."""
    findings: tuple[Finding, ...]
    count: int


def audit(
    folder: Folder,
    data: Path | None = None,
    *,
    thorough: bool = False,
    checks: tuple[Check, ...] = CHECKS,
    thorough_checks: tuple[ThoroughCheck, ...] = THOROUGH,
) -> list[Result]:
    """Make every check; `data` is the directory of the scenario's sources, without which its embedded data are read."""
    results = [_result(result_name(check), check.__doc__, partial(check, folder)) for check in checks]
    if thorough:
        try:
            assembly = assemble(folder.scenario, data)
            history = History(folder, folder.market)
        except CarrybookError as error:
            return [*results, _not_again(Finding("scenario.toml", f"cannot be assembled: {error}"))]
        files, read = (
            set(folder.manifest["inputs"]),
            {name for each in assembly.market.sources.values() for name in each.digests()},
        )
        if files and not files & read:
            words = f"was read from {', '.join(sorted(files))}; expected the directory that has them (--data)"
            return [*results, _not_again(Finding("the market", words))]
        results += [
            _result(result_name(check), check.__doc__, partial(check, assembly, history)) for check in thorough_checks
        ]
    return results


def _not_again(finding: Finding) -> Result:
    """What stands in the place of the thorough checks where they cannot be made."""
    return Result("thorough", "The scenario can be assembled again.", (finding,), 1)


def result_name(check: Callable[..., object]) -> str:
    """What a check is called in its result."""
    room = "again: " if check.__module__ == again.__name__ else ""
    return room + check.__name__.replace("_", " ")


def _result(name: str, holds: str | None, findings: Callable[[], Findings]) -> Result:
    """Run one check; a folder in which it cannot go on is a finding as well."""
    kept: list[Finding] = []
    count = 0
    try:
        stream = findings()
        kept = list(islice(stream, KEPT))
        count = len(kept) + sum(1 for _ in stream)
    except CarrybookError as error:
        kept.append(Finding("the folder", f"cannot be read further: {error}"))
        count = max(count, len(kept))
    except (ValueError, KeyError, IndexError, TypeError, OverflowError) as error:
        kept.append(Finding("the folder", f"cannot be read further ({type(error).__name__}: {error})"))
        count = max(count, len(kept))
    return Result(name, (holds or "").strip(), tuple(kept), count)
