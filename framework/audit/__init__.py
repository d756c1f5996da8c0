"""The audit: checks of a run folder. Each check is a function that yields findings, and each finding names its place.

`CHECKS` read the folder alone, in batches. `THOROUGH` checks also read the market's sources and the scenario, and
recompute the run from what its venues declare. No check names a venue, an account or a field, so a user's own venue is
audited like any other. The docstring of a check says what must hold. By module:

- `books.py`, files and books without the event log: `files`, `name`, `tables`, `chain`, `transfers`, `trial_balance`,
  `balances`, `rolled_forward`, `floors`, `time_order`;
- `log.py`, the event log against the books: `event_log`, `bijection`, `kinds`, `settlements`, `fills`, `transit`;
- `worth.py`, what the run is worth: `waterfall`, `summary`, `end`;
- `declared.py`, thorough, the books against what venues declare: `accounts`, `rates`, `accruals` in exact integers;
- `states.py`, thorough, formulas on the balances, as arrays and in exact fractions: `acts`, `incidents`, `states`;
- `replay.py`, thorough, every order and act executed again on the books as they stood: `orders`;
- `again.py`, thorough, the sources read and the scenario run again: `again_inputs`, `again_market`, `again_run`.

`audit` runs them in this order. `history.py` has what the thorough ones compute from: the ledger by market row.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from attrs import frozen

from framework.assembly import Assembly, assemble, named_modules
from framework.audit import again, books, declared, log, replay, states, worth
from framework.audit.findings import KEPT, Check, Finding, Findings
from framework.audit.history import History, ThoroughCheck
from framework.errors import CarrybookError, RunError
from framework.run_folder.archive import Folder
from framework.scenario import import_from
from framework.support.source_code import own_modules


@frozen
class Result:
    """The result of one check: its first findings, and how many there were."""

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


CHECKS: tuple[Check, ...] = (
    books.files, books.name, books.tables, books.chain, books.transfers, books.trial_balance, books.balances,
    books.rolled_forward, books.floors, books.time_order,
    log.event_log, log.bijection, log.kinds, log.settlements, log.fills, log.transit,
    worth.waterfall, worth.summary, worth.end,
)  # fmt: skip
"""The checks of a folder by itself, in the order in which they are made."""

THOROUGH: tuple[ThoroughCheck, ...] = (
    again.again_inputs, again.again_market,
    declared.accounts, declared.rates, declared.accruals,
    replay.orders, states.acts, states.incidents, states.states,
    again.again_run,
)  # fmt: skip
"""The checks that need the market's sources as well."""


UNREADABLE = (CarrybookError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, OSError)
"""What reading a folder raises that is not as it was saved."""


def audit(
    folder: Folder,
    data: Path | None = None,
    *,
    thorough: bool = False,
    assembly: Assembly | None = None,
    trusted: bool = False,
    checks: tuple[Check, ...] = CHECKS,
    thorough_checks: tuple[ThoroughCheck, ...] = THOROUGH,
) -> list[Result]:
    """Run all checks on a folder, with `thorough` the thorough ones too; returns a result for each.

    `data` is the directory of the scenario's source files; without it, its embedded data are read. `assembly` replaces
    the one that is made from the folder, such as for a market made in memory. The run's own code is imported only if
    the folder is `trusted`, and only if it is the code that the run was made with. Errors of reading are results.
    """
    results = [_result(check, partial(check, folder)) for check in checks]
    if not thorough:
        return results
    try:
        assembly = assembly or _assembled(folder, data, trusted=trusted)
        history = History(folder, assembly)
    except UNREADABLE as error:
        return results + [Result(result_name(each), _holds(each), not_made=_reason(error)) for each in thorough_checks]
    return results + [_result(check, partial(check, assembly, history)) for check in thorough_checks]


def _assembled(folder: Folder, data: Path | None, *, trusted: bool) -> Assembly:
    """The folder's scenario on the sources of the run; raises `RunError` where they are missing or others."""
    if trusted:
        _compare_code(folder)
    try:
        assembly = assemble(folder.scenario, data, trusted=trusted)
    except CarrybookError as error:
        raise RunError(f"scenario.toml cannot be assembled: {error}") from None
    files = set(folder.manifest.inputs)
    if files and files.isdisjoint(name for each in assembly.market.sources.values() for name in each.digests()):
        raise RunError(
            f"the market was read from {', '.join(sorted(files))}; expected the directory that has them (--data)"
        )
    return assembly


def _compare_code(folder: Folder) -> None:
    """Raise `RunError` where a module of the run's own has changed since the run; imports none of them."""
    import_from(folder.scenario.beside)
    for module, digest in own_modules(named_modules(folder.scenario).values()).items():
        if folder.manifest.code.get(module) != digest:
            raise RunError(f"module {module} is not the file that the run was made with, so its code is not run")


def result_name(check: Callable[..., object]) -> str:
    """What a check is called in its result: `again_run` is `again: run`."""
    return check.__name__.replace("again_", "again: ").replace("_", " ")


def _holds(check: Callable[..., object]) -> str:
    return (check.__doc__ or "").strip().partition("\n\n")[0]


def _reason(error: Exception) -> str:
    """Why a check could not be made, from the exception that it raised."""
    if isinstance(error, CarrybookError):
        return str(error)
    return f"the folder cannot be read ({type(error).__name__}: {error}); expected it as it was saved"


def _result(check: Callable[..., object], findings: Callable[[], Findings]) -> Result:
    """Run one check; if it raises, what it has found so far is kept."""
    kept: list[Finding] = []
    count, not_made = 0, ""
    try:
        with np.errstate(all="ignore"):  # figures may be as large as floats go; what is not finite is a finding
            for count, finding in enumerate(findings(), 1):
                kept += [finding] if count <= KEPT else []
    except UNREADABLE as error:
        not_made = _reason(error)
    return Result(result_name(check), _holds(check), tuple(kept), count, not_made)
