"""The main scenario with its books, on daily and hourly rows, against the plain loop and the compiled one."""

from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import inputs
from benchmarks.figures import Figure, medians, milliseconds
from benchmarks.plain_loop import capital_rebalance
from framework.assembly import Assembly
from framework.market import Market
from framework.money import USDC
from framework.performance import metrics
from framework.run import Run
from framework.venue import CASH

VECTORBT_MS = 6.4
"""What vectorbt takes for 9,807 hourly rows of plain orders, without funding and books, on a machine of this kind."""


def daily(*, tiny: bool, data: Path | None = None) -> Iterator[Figure]:  # noqa: ARG001
    """410 daily rows: the whole run, and what a reader asks of it."""
    found = _timed(inputs.daily(), 365.0, times=2 if tiny else 300)
    run, plain = found["run"], found["plain"]
    words = f"{milliseconds(run)}; the plain loop {milliseconds(plain)}"
    yield Figure(name="daily, run with its books / plain loop", value=run / plain, target=4.0, words=words)
    for name in ("digest", "metrics"):
        yield Figure(name=f"daily, {name} / plain loop", value=found[name] / plain, words=milliseconds(found[name]))
    yield from _played("daily", found, 1.5)
    yield _above_floor("daily", run, found)


def hourly(*, tiny: bool, data: Path | None = None) -> Iterator[Figure]:
    """The same by the hour, all transfers written as records; `data` is where the hourly example finds its files."""
    found = _timed(inputs.hourly(data), 8_760.0, times=1 if tiny else 40, agree=data is None)
    run, plain = found["run"], found["plain"]
    words = f"{milliseconds(run)}; the plain loop {milliseconds(plain)}"
    yield Figure(name="hourly, run with its books / plain loop", value=run / plain, target=0.45, words=words)
    yield Figure(name="hourly, run with its books", value=run * 1e3, unit="ms", target=VECTORBT_MS)
    yield from _played("hourly", found, 0.25)
    yield _above_floor("hourly", run, found)


def _timed(assembly: Assembly, rows_per_year: float, *, times: int, agree: bool = True) -> dict[str, float]:
    """Median seconds of everything that is compared, once it is known to `agree` to the cent."""
    rows, finished = inputs.plain_rows(assembly.market), assembly.simulation().run()
    settings = {"capital": assembly.scenario.capital_usd, "leverage": 3.0, "trigger": 6.0}

    def plain() -> float:
        return capital_rebalance(rows, rows_per_year=rows_per_year, **settings).final

    def run() -> Run:
        run = assembly.simulation().run()
        run.ledger.records()
        return run

    actions: dict[str, Callable[[], object]] = {
        "plain": plain,
        "run": run,
        "digest": lambda: finished.ledger.digest,
        "metrics": lambda: metrics(finished),
    }
    final = USDC.units(finished.ledger.balance(CASH))
    assert not agree or abs(final - plain()) < 0.01
    actions |= _plays(assembly)
    compiled = _compiled(assembly.market, rows_per_year, settings)
    if compiled:
        assert abs(compiled() - plain()) < 0.01
        actions["compiled"] = compiled
    return medians(times, actions)


def _plays(assembly: Assembly) -> dict[str, Callable[[], object]]:
    """The run as it is played, with its books and without; empty where Numba is absent."""
    try:
        from framework.tape.tape import Settings  # noqa: PLC0415  (an extra that may be absent)
        from framework.tape.tapes import Tapes  # noqa: PLC0415
    except ImportError:
        return {}
    tape, settings = Tapes().of(assembly), Settings.of(assembly)

    def books() -> object:
        return tape.play(settings, assembly.market).run().ledger.records()

    def outcome() -> object:
        return tape.play(settings, assembly.market).outcome()

    return {"outcome": outcome, "played": books}


def _played(rows: str, found: dict[str, float], target: float) -> Iterator[Figure]:
    """A run that is played, over the plain loop."""
    if "played" not in found:
        yield Figure(name=f"{rows}, played", words="needs Numba: pip install 'carrybook[fast]'")
        return
    for name, key, most in (
        ("played with its books", "played", target),
        ("played, its outcome alone", "outcome", None),
    ):
        value = found[key] / found["plain"]
        yield Figure(name=f"{rows}, {name} / plain loop", value=value, target=most, words=milliseconds(found[key]))


def _compiled(market: Market, rows_per_year: float, settings: dict[str, float]) -> Callable[[], float] | None:
    """The compiled loop on a market; None where Numba is absent."""
    try:
        from benchmarks import numba_loop  # noqa: PLC0415  (an extra that may be absent)
    except ImportError:
        return None
    columns = numba_loop.columns_of(market)
    return lambda: float(numba_loop.capital_rebalance(*columns, rows_per_year, *settings.values())[0])


def _above_floor(rows: str, run: float, found: dict[str, float]) -> Figure:
    name = f"{rows}, run with its books / compiled loop without"
    if "compiled" not in found:
        return Figure(name=name, words="needs Numba: pip install 'carrybook[bench]'")
    return Figure(name=name, value=run / found["compiled"], words=f"{milliseconds(found['compiled'])} compiled")
