"""The audit: checks of a run's folder as plain functions in a tuple; findings are collected, each names its place.

The first checks need the folder alone and read it in batches. The thorough ones read the market and the scenario as
well, and compute again what the venues computed.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from attrs import frozen

from framework.archive import Folder
from framework.assembly import Assembly, assemble
from framework.errors import CarrybookError, RunError
from framework.saved.audit import again, books, charges, curve, events, rates, recompute, worth
from framework.saved.audit.finding import Check, Finding, Findings
from framework.saved.audit.history import History

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
    rates.rates,
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


UNREADABLE = (CarrybookError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, OSError)
"""What reading a folder raises that is not as it was saved."""


@frozen
class Result:
    """What one check found: the first findings, and how many there were."""

    check: str
    holds: str
    """What must hold, in one sentence."""
    findings: tuple[Finding, ...] = ()
    count: int = 0
    not_made: str = ""
    """Why the check could not be made, or not to its end: a file that it needs is missing or cannot be read."""

    @property
    def outcome(self) -> str:
        """`failed` where anything was found, else `not made` where it was not made to its end, else `passed`."""
        if self.count:
            return "failed"
        return "not made" if self.not_made else "passed"

    @property
    def passed(self) -> bool:
        """Whether the check was made to its end and found nothing."""
        return self.outcome == "passed"


def audit(
    folder: Folder,
    data: Path | None = None,
    *,
    thorough: bool = False,
    checks: tuple[Check, ...] = CHECKS,
    thorough_checks: tuple[ThoroughCheck, ...] = THOROUGH,
) -> list[Result]:
    """Make every check; `data` is the directory of the scenario's sources, without which its embedded data are read."""
    results = [_result(check, partial(check, folder)) for check in checks]
    if not thorough:
        return results
    try:
        assembly, history = _assembled(folder, data), History(folder)
    except UNREADABLE as error:
        return results + [Result(result_name(each), _holds(each), not_made=_reason(error)) for each in thorough_checks]
    return results + [_result(check, partial(check, assembly, history)) for check in thorough_checks]


def _assembled(folder: Folder, data: Path | None) -> Assembly:
    """The scenario with the sources that the run was made with; raises `RunError` where they cannot be had."""
    try:
        assembly = assemble(folder.scenario, data)
    except CarrybookError as error:
        raise RunError(f"scenario.toml cannot be assembled: {error}") from None
    files = set(folder.manifest["inputs"])
    if files and files.isdisjoint(name for each in assembly.market.sources.values() for name in each.digests()):
        raise RunError(
            f"the market was read from {', '.join(sorted(files))}; expected the directory that has them (--data)"
        )
    return assembly


def result_name(check: Callable[..., object]) -> str:
    """What a check is called in its result."""
    room = "again: " if check.__module__ == again.__name__ else ""
    return room + check.__name__.replace("_", " ")


def _holds(check: Callable[..., object]) -> str:
    return (check.__doc__ or "").strip()


def _reason(error: Exception) -> str:
    """Why a check could not be made, from what reading the folder raised."""
    if isinstance(error, CarrybookError):
        return str(error)
    return f"the folder cannot be read ({type(error).__name__}: {error}); expected it as it was saved"


def _result(check: Callable[..., object], findings: Callable[[], Findings]) -> Result:
    """Run one check; where it cannot go on, what it has found so far is kept."""
    kept: list[Finding] = []
    count, not_made = 0, ""
    try:
        for count, finding in enumerate(findings(), 1):
            kept += [finding] if count <= KEPT else []
    except UNREADABLE as error:
        not_made = _reason(error)
    return Result(result_name(check), _holds(check), tuple(kept), count, not_made)
