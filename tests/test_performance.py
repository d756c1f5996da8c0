"""Metrics: against closed forms, against quantstats where definitions agree, and undefined instead of NaN."""

import json
import math
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework import Market, Open, Scenario, Side, assemble, metrics
from framework.clock import NS_PER_DAY
from framework.events import ConditionMet, OrderFilled, TransferArrived, TransferSent
from framework.market import TICK_NS
from framework.performance import (
    METRICS,
    POSITION_METRICS,
    RETURN_METRICS,
    Measured,
    Path,
    Returns,
    Subject,
    Undefined,
    benchmarks,
    deepest_drawdown,
    expected_shortfall,
    growth_per_year,
    longest_drawdown_days,
    summarize,
    time_at_leverage_pct,
    value_at_risk,
)
from framework.run import Tally
from framework.scenario import Benchmarks
from framework.strategy import EveryRow, NoPosition
from tests.conftest import ROOT
from tests.markets import Script, flat, hyperliquid, play

HOUR_NS = NS_PER_DAY // 24
MIDNIGHT_NS = 1_735_689_600 * 10**9  # 2025-01-01
NESTED = {
    "scenario",
    "data",
    "undefined",
    "time_at_leverage_pct",
    "benchmark_rate",
    "benchmarks",
    "liquidated",
    "log",
}


def path_of(usd, step_ns=NS_PER_DAY, start_ns=MIDNIGHT_NS, keep=None):
    """A path through these values, one a row, the first the capital; `keep` are the rows that there are."""
    opens = start_ns + np.arange(len(usd) - 1) * step_ns
    ends, worth = opens + step_ns - TICK_NS, np.asarray(usd, dtype=float)
    rows = np.arange(len(opens)) if keep is None else np.asarray(keep)
    market = Market(
        open_ns=opens[rows],
        at_ns=ends[rows],
        columns=dict.fromkeys(("open", "high", "low", "close"), np.ones(len(rows))),
    )
    return Path.over(market, worth[0], worth[1:][rows], worth[-1])


def made(usd, rate=0.0, **rows):
    """The metrics of a path as they are printed."""
    return Measured.of(RETURN_METRICS, Subject(path=path_of(usd, **rows), rate=rate))


@pytest.fixture(scope="module")
def finished():
    """The main example's assembly, its run and its summary."""
    assembly = assemble(Scenario.load(ROOT / "examples/capital_rebalance/scenario.toml"))
    run = assembly.simulation().run()
    return assembly, run, summarize(assembly, run)


@pytest.fixture(scope="module")
def quantstats():
    """quantstats' functions, which no code of the project imports."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own dependencies'
        return pytest.importorskip("quantstats.stats", reason="needs quantstats, of the extra dev")


SERIES = {
    "wandering": np.random.default_rng(7).normal(0.0004, 0.02, 500),
    "carry": np.random.default_rng(8).normal(0.0002, 0.0004, 400),
    "falling": np.random.default_rng(9).normal(-0.002, 0.03, 90),
}


@pytest.mark.parametrize("rate", [0.0, 0.043])
@pytest.mark.parametrize("name", SERIES)
def test_metrics_agree_with_quantstats_on_daily_returns(quantstats, name, rate):
    """CAGR, volatility, ratios, drawdown and extremes, with 365 periods a year, to 1e-9."""
    values = SERIES[name]
    ours = made(10_000 * np.concatenate(([1.0], np.cumprod(1 + values))), rate).values
    days = pd.Series(values, index=pd.date_range("2025-01-01", periods=len(values), name="day"))
    theirs = {
        "cagr_pct": quantstats.cagr(days, periods=365) * 100,
        "volatility_pct": quantstats.volatility(days, periods=365) * 100,
        "sharpe": quantstats.sharpe(days, rf=rate, periods=365),
        "sortino": quantstats.sortino(days, rf=rate, periods=365),
        "calmar": quantstats.calmar(days, periods=365),
        "best_day_pct": quantstats.best(days) * 100,
        "worst_day_pct": quantstats.worst(days) * 100,
        "best_month_pct": quantstats.best(days, aggregate="eom") * 100,
        "worst_month_pct": quantstats.worst(days, aggregate="eom") * 100,
    }
    for metric, value in theirs.items():
        assert ours[metric] == pytest.approx(value, rel=1e-9, abs=1e-9), metric
    drawdown = deepest_drawdown(np.concatenate(([1.0], np.cumprod(1 + values))))
    assert drawdown == pytest.approx(-quantstats.max_drawdown(days), rel=1e-9)


def test_a_run_agrees_with_quantstats(quantstats, finished):
    """The daily returns of its own path, given to quantstats, have the Sharpe ratio and the CAGR of its summary."""
    _, run, summary = finished
    path = Path.of(run)
    dates = pd.to_datetime(path.at_ns[1:-1] - 1).normalize()
    days = pd.Series(path.by_day.values, index=dates)
    assert summary["sharpe"] == pytest.approx(quantstats.sharpe(days, rf=0.042, periods=365), rel=1e-9)
    assert summary["cagr_pct"] == pytest.approx(quantstats.cagr(days, periods=365) * 100, rel=1e-9)
    assert summary["volatility_pct"] == pytest.approx(quantstats.volatility(days, periods=365) * 100, rel=1e-9)


def test_closed_forms_of_five_days():
    """Worked by hand: +10 %, -10 %, +10 %, 0, +1 %."""
    usd = [100.0, 110.0, 99.0, 108.9, 108.9, 109.989]
    found = made(usd).values
    mean = 0.11 / 5
    deviation = math.sqrt(sum((each - mean) ** 2 for each in (0.1, -0.1, 0.1, 0.0, 0.01)) / 4)
    assert found["cagr_pct"] == pytest.approx((1.09989**73 - 1) * 100)
    assert found["volatility_pct"] == pytest.approx(deviation * math.sqrt(365) * 100)
    assert found["sharpe"] == pytest.approx(mean / deviation * math.sqrt(365))
    assert found["sortino"] == pytest.approx(mean / math.sqrt(0.01 / 5) * math.sqrt(365))
    assert found["calmar"] == pytest.approx((1.09989**73 - 1) / 0.1)
    assert found["longest_drawdown_days"] == 4.0  # from the first close to the end: 110 is not reached again
    assert (found["best_day_pct"], found["worst_day_pct"]) == pytest.approx((10.0, -10.0))
    assert found["best_month_pct"] == found["worst_month_pct"] == pytest.approx(9.989)


def test_hourly_rows_give_the_returns_of_days():
    """A path by the hour and the same by the day differ in nothing that is made of daily returns."""
    rng = np.random.default_rng(1)
    hourly = 1000 * np.cumprod(np.concatenate(([1.0], 1 + rng.normal(0, 0.003, 24 * 60))))
    fine, coarse = made(hourly, step_ns=HOUR_NS).values, made(hourly[::24]).values
    for name in fine.keys() - {"calmar", "longest_drawdown_days"}:  # these see the hours
        assert fine[name] == pytest.approx(coarse[name], rel=1e-12), name
    assert abs(fine["calmar"]) <= abs(coarse["calmar"])


def test_a_day_begins_at_midnight_in_utc_wherever_the_rows_begin():
    """Rows from 20:00 on: the first day is a part of one, and an instant at midnight ends the day before."""
    path = path_of([100.0, 101, 102, 103, 104, 105, 106], step_ns=HOUR_NS, start_ns=MIDNIGHT_NS + 20 * HOUR_NS)
    assert path.by_day.values == pytest.approx([4 / 100, 2 / 104])
    assert path.by_day.years * 365 * 24 == pytest.approx([4, 2])
    weeks = made(1000 * np.cumprod(np.ones(30) * 1.01), step_ns=7 * NS_PER_DAY)
    assert "cagr_pct" in weeks.values
    assert weeks.undefined["best_day_pct"] == weeks.undefined["value_at_risk_pct"] == "no return of one day"


@given(
    st.lists(st.floats(-0.2, 0.2), min_size=3, max_size=30),
    st.lists(st.integers(1, 400), min_size=30, max_size=30),
)
def test_volatility_of_unequal_times_is_that_of_a_scaled_sample(values, lengths):
    """Deviations over sqrt(time) are a sample of one variance: splitting a certain drift changes nothing of it."""
    years = np.array(lengths[: len(values)]) / 365
    returns = Returns(values=np.array(values), years=years)
    scaled = (returns.values - returns.mean * years) / np.sqrt(years)
    assert returns.volatility() == pytest.approx(math.sqrt((scaled**2).sum() / (len(values) - 1)))
    assert Returns(values=0.1 * years, years=years).volatility() == pytest.approx(0.0, abs=1e-12)


def test_missing_days_count_by_their_time():
    """The same walk with every third day left out: volatility stays near, which a count of rows would not."""
    rng = np.random.default_rng(3)
    usd = 1000 * np.cumprod(np.concatenate(([1.0], 1 + rng.normal(0, 0.01, 3000))))
    rows = [row for row in range(3000) if row % 3 != 1]
    gaps, whole = made(usd, keep=rows).values, made(usd).values
    by_count = float(np.std(path_of(usd, keep=rows).by_day.values, ddof=1)) * math.sqrt(365) * 100
    assert abs(gaps["volatility_pct"] / whole["volatility_pct"] - 1) < 0.03
    assert by_count / whole["volatility_pct"] > 1.15
    assert gaps["cagr_pct"] == pytest.approx(whole["cagr_pct"])


@given(st.lists(st.floats(1.0, 1e6), min_size=2, max_size=60))
def test_drawdowns_are_what_a_plain_search_finds(usd):
    """Over all pairs of a peak and what comes after it."""
    worth, at_ns = np.array(usd), np.arange(len(usd)) * NS_PER_DAY
    deepest = max((usd[i] - usd[j]) / usd[i] for i in range(len(usd)) for j in range(i, len(usd)))
    assert deepest_drawdown(worth) == pytest.approx(deepest)
    longest = 0
    for start, peak in enumerate(usd):
        if peak < max(usd[: start + 1]):
            continue
        back = next((j for j in range(start + 1, len(usd)) if usd[j] >= peak), len(usd) - 1)
        longest = max(longest, back - start if min(usd[start : back + 1]) < peak else 0)
    assert longest_drawdown_days(at_ns, worth) == longest


def test_value_at_risk_is_the_quantile_of_what_happened():
    """Of 1 % to 100 % losses the worst twentieth begins at 95.05 %, and its mean is that of 96 to 100."""
    losses = -np.arange(1, 101) / 100
    assert value_at_risk(losses) == pytest.approx(0.9505)
    assert expected_shortfall(losses) == pytest.approx(0.98)
    with pytest.raises(Undefined, match="fewer than 20 days"):
        value_at_risk(losses[:19])


NEVER = {
    "flat": ([100.0] * 40, {"sharpe", "sortino", "calmar"}),
    "one row": ([100.0, 101.0], {"volatility_pct", "sharpe", "sortino", "value_at_risk_pct", "expected_shortfall_pct"}),
    "rising evenly": (
        [100 * 1.0001**row for row in range(50)],
        {"sharpe", "sortino", "calmar"},
    ),
    "to nothing": (
        [100.0, 50.0, 0.0],
        {metric.name for metric in RETURN_METRICS} - {"longest_drawdown_days"},
    ),
    "below nothing": ([100.0, -5.0, -7.0], {metric.name for metric in RETURN_METRICS} - {"longest_drawdown_days"}),
}


@pytest.mark.parametrize("case", NEVER)
def test_what_does_not_exist_is_absent_with_a_reason(case):
    """Neither NaN nor infinity: None, and words why."""
    usd, missing = NEVER[case]
    found = made(usd)
    assert found.undefined.keys() >= missing
    assert all(found.undefined.values())
    assert all(math.isfinite(value) for value in found.values.values())
    json.dumps(found.plain(), allow_nan=False)


def test_a_gain_of_an_hour_is_not_annualised_into_infinity():
    """1 % in an hour is more than a million times a year."""
    with pytest.raises(Undefined, match="too short a time"):
        growth_per_year(100.0, 200.0, 1 / 8760)
    found = made([100.0, 200.0], step_ns=HOUR_NS)
    assert "too short" in found.undefined["cagr_pct"]
    assert "too short" in found.undefined["calmar"] or found.undefined["calmar"] == "no drawdown"


@pytest.mark.parametrize("example", ["capital_rebalance", "static", "uss", "portfolio"])
def test_no_summary_holds_a_number_that_is_none(example):
    """JSON without NaN; every key is on the page of metrics, and its parts sum to the whole."""
    assembly = assemble(Scenario.load(ROOT / "examples" / example / "scenario.toml"))
    run = assembly.simulation().run()
    summary = summarize(assembly, run)
    json.dumps(summary, allow_nan=False)
    assert {name for name, value in summary.items() if value is None} == set(summary["undefined"])
    for shares in summary["time_at_leverage_pct"].values():
        assert sum(shares.values()) == pytest.approx(100)
    page = (ROOT / "docs/metrics.md").read_text()
    for name in summary.keys() - NESTED:
        told = "CODE_units" if name.endswith("_units") and name != "short_units" else name
        assert f"`{told}`" in page, name


def test_the_page_has_the_table_of_the_registry():
    """Name, words, unit, sign and formula of each metric, in their order, and no other row."""
    page = (ROOT / "docs/metrics.md").read_text()
    for title, registered in (("returns", RETURN_METRICS), ("positions", POSITION_METRICS)):
        section = page.partition(f"## Metrics of {title}\n")[2].partition("\n## ")[0]
        rows = [line for line in section.splitlines() if line.startswith("| `")]
        assert rows == [f"| `{m.name}` | {m.words} | {m.unit} | {m.sign} | {m.formula} |" for m in registered]
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_positions_are_counted_from_the_books(finished):
    """Turnover is what the fills traded; funding and costs are the waterfall's over it."""
    _, run, summary = finished
    traded = sum(each.amount for each in run.single if each.kind == "OrderFilled" and each.order in ("open", "close"))
    assert summary["turnover_usd"] == pytest.approx(traded / 1e6, abs=1e-6)
    assert summary["cost_bps"] == pytest.approx(summary["total_fees_usd"] / summary["turnover_usd"] * 1e4)
    received, notional = 0.0, 0.0
    for event in run.events:
        if event.kind == "FundingSettled":
            received += event.amount / 1e6
            notional += abs(event.size) / 1e9 * event.price / 365
    assert received == pytest.approx(summary["funding_usd"])
    assert summary["funding_yield_pct"] == pytest.approx(received / notional * 100, rel=1e-6)


def test_the_distance_to_liquidation_is_that_at_which_the_venue_acts(finished):
    """At the liquidation price the short's equity is its maintenance margin, row by row, from equity and size alone."""
    _, run, summary = finished
    close, size = run.market["close"], run.curve.size_by_venue["hyperliquid"]
    equity_usd = run.curve.equity_usd_by_venue["hyperliquid"]
    price = (equity_usd - size * close) / (0.05 * np.abs(size) - size)
    assert run.liquidation_prices["hyperliquid", "SOL"] == pytest.approx(price)
    distance = run.liquidation_distances["hyperliquid", "SOL"]
    assert distance == pytest.approx((price - close) / close)
    every = [each for each in run.liquidation_distances.values() if not np.isnan(each).all()]
    least = min(float(np.nanmin(each)) for each in every)
    assert summary["min_liquidation_distance_pct"] == pytest.approx(least * 100)


def test_leverage_is_sorted_into_its_ranges(finished):
    """By hand for one venue: each row's notional over equity in the range that names it."""
    _, run, _ = finished
    leverage = run.curve.leverage_by_venue["asgard"]
    found = time_at_leverage_pct(run)["asgard"]
    for name, share in found.items():
        low, high = map(float, name.split("-"))
        assert share == pytest.approx(((leverage > low) & (leverage <= high)).mean() * 100)


def test_benchmarks_are_what_the_capital_would_have_become(finished):
    """Held coins by their price alone, lent ones by the rates row by row, a constant rate by its power."""
    assembly, run, _ = finished
    close, rates = run.market["close"], run.market["sol_lending_apy"]
    found = {each.name: each.beside(run) for each in benchmarks(run, assembly.scenario.benchmarks)}
    assert list(found) == ["holding_SOL", "lending_SOL", "constant_rate"]
    assert found["holding_SOL"].usd[1:-1] == pytest.approx(10_000 * close / close[0])
    # the study's entry has look-ahead: the run earns its first row, and so does the benchmark
    assert found["lending_SOL"].usd[-1] == pytest.approx(10_000 * close[-1] / close[0] * np.prod(1 + rates / 365))
    assert found["constant_rate"].usd[-1] == pytest.approx(10_000 * 1.042 ** (410 / 365))
    dollars = {each.name: each.beside(run) for each in benchmarks(run, Benchmarks(lending="usdc_borrowing_apy"))}
    assert dollars["lending_USDC"].usd[-1] == pytest.approx(
        10_000 * np.prod(1 + run.market["usdc_borrowing_apy"] / 365)
    )


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("benchmarks.rate=4.3", r"benchmarks.rate: 4.3; expected a fraction per year, such as 0.043 for 4.3 %"),
        ("benchmarks.rate=-1", r"benchmarks.rate: -1.0; expected a fraction per year"),
        (
            "benchmarks.lending=dai_apy",
            r"benchmarks.lending: the market has no column 'dai_apy' of rates per year; expected one of",
        ),
        ("benchmarks.lending=close", "benchmarks.lending: the market has no column 'close' of rates per year; "),
        ("benchmarks.rates=0.01", r"benchmarks.rates: unknown key; did you mean rate\?"),
    ],
)
def test_a_benchmark_that_cannot_be_is_refused(setting, words):
    """With the key and what would be right."""
    from framework import CarrybookError

    with pytest.raises(CarrybookError, match=words):
        assemble(Scenario.load(ROOT / "examples/capital_rebalance/scenario.toml", [setting]))


def test_a_scenario_without_benchmarks_keeps_its_digest():
    """A key that is left out is no part of a scenario, and another rate is another run."""
    path = ROOT / "examples/static/scenario.toml"
    plain = Scenario.load(path)
    assert "benchmarks" not in plain.toml()
    assert plain.digest != Scenario.load(path, ["benchmarks.rate=0.01"]).digest


def test_the_public_metrics_have_figures_and_metrics(finished):
    """One dictionary by name, with None for what does not exist."""
    _, run, summary = finished
    found = metrics(run, 0.042)
    assert found["sharpe"] == summary["sharpe"]
    assert found["final_equity_usd"] == summary["final_equity_usd"]
    assert metrics(run)["sharpe"] > found["sharpe"]


def test_a_simple_yearly_return_is_over_the_days_that_passed_also_without_their_rows():
    """Every eighth hour of 40 days: the loss of a fee is spread over those days, and not over 120 hours."""
    whole = flat(24 * 40, row_ns=HOUR_NS)
    kept = slice(None, None, 8)
    columns = {name: column[kept] for name, column in whole.columns.items()}
    some = Market(open_ns=whole.open_ns[kept], at_ns=whole.at_ns[kept], columns=columns)
    script = Script(start=[Open("hyperliquid", Side.SHORT, 100.0, 5_000.0)])
    found = [metrics(play(table, [hyperliquid(taker_fee_bps=10.0)], script)) for table in (whole, some)]
    assert [each["return_pct"] for each in found] == pytest.approx([-0.1, -0.1])
    assert found[0]["annualized_return_pct"] == pytest.approx(-0.1 * 365 / 40)
    assert found[1]["annualized_return_pct"] == pytest.approx(-0.1 * 365 / (40 - 7 / 24))


@pytest.mark.parametrize(
    ("condition", "fee", "arrived_fee", "counted"),
    [(EveryRow(), 0, 0, 0), (NoPosition("short"), 0, 0, 1), (EveryRow(), 5, 0, 1), (EveryRow(), 0, 5, 1)],
)
def test_only_what_compounds_free_of_charge_after_every_row_is_no_rebalance(condition, fee, arrived_fee, counted):
    """The same resize and move count where another condition woke the strategy, or where anything of it costs."""
    told = [
        (1, None, ConditionMet(condition=condition)),
        (2, 1, OrderFilled(order="resize", price=100.0)),
        (3, 1, TransferSent(counterparty="long", amount=10, fee=fee, price=1.0)),
        (4, 3, TransferArrived(counterparty="short", amount=10, fee=arrived_fee, price=1.0)),
        (5, None, ConditionMet(condition=NoPosition("long"))),
        (6, 5, OrderFilled(order="resize", price=100.0)),
        (7, 5, TransferSent(counterparty="long", amount=10, fee=0, price=1.0)),
    ]
    assert Tally.of(told).capital_rebalances == counted + 1


@pytest.mark.parametrize("name", ["capital_rebalance", "portfolio", "uss", "euss"])
def test_deltas_from_what_is_behind_them_alone_are_those_of_the_whole_state(name):
    """Of venues with one coin, with several, with tokens and with staked coins; nobody's is always 0."""
    run = assemble(Scenario.load(ROOT / "examples" / name / "scenario.toml")).simulation().run()
    for standing in run._standings:  # noqa: SLF001
        held = run._written.path  # noqa: SLF001
        state = standing.by_row(lambda account: held(account) / account.asset.scale)  # noqa: B023
        assert np.array_equal(state["delta"], run.curve.delta_by_venue[standing.name])
    assert any(delta.any() for delta in run.curve.delta_by_venue.values())
