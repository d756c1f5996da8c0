"""The synthetic dollars: published cases, a plain loop of their rules as an oracle, and the daybook's identities."""

import json

import numpy as np
import pandas as pd
import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from framework import (
    CarrybookError,
    Leg,
    MarginBelow,
    MarginCalled,
    OrderFilled,
    Penalty,
    Resize,
    Scenario,
    StillView,
    Strategy,
    Swap,
    assemble,
    metrics,
    waterfall,
)
from framework.valuation import chronicle
from strategies.daybook import daybook, daybook_frame
from strategies.margin_call import MarginCallDeleverage
from tests.commands import carrybook
from tests.conftest import ROOT
from tests.markets import collateral, dollar_market, jito, play
from venues.issuer import Issuer

DEPOSIT_USD = 100_000.0
LEAST_USD = 0.001
FIGURES = {
    "final": "final_equity_usd",
    "jitosol": "jitosol_units",
    "short": "short_units",
    "funding": "funding_usd",
    "maintenance_fee": "maintenance_fee_usd",
    "min_value": "min_value_usd",
    "max_value": "max_value_usd",
}
"""Figure of the reference -> key of the summary."""
CASES = {"uss": ("uss", "none"), "euss_binance": ("euss", "binance"), "euss_drift_flat": ("euss", "drift_flat")}
"""Case of the reference -> example and its funding."""


def path(example):
    """The scenario of an example."""
    return ROOT / "examples" / example / "scenario.toml"


def assembled(example="uss", data=None, *changes):
    """The example with changes, ready to run."""
    return assemble(Scenario.load(path(example), changes), data)


def command(capsys, tmp_path, example, *arguments):
    """`carrybook run` on an example, in this process; returns (exit code, stdout, stderr)."""
    return carrybook(capsys, "run", path(example), "--out", tmp_path / "runs", *arguments)


def summary(capsys, tmp_path, example, *arguments):
    """The object that `--json` prints."""
    code, printed, complaint = command(capsys, tmp_path, example, *arguments, "--json")
    assert (code, complaint) == (0, "")
    return json.loads(printed)


@pytest.mark.parametrize("case", CASES)
def test_a_published_case_from_the_command_line(capsys, tmp_path, uss_data, reference, case):
    """Every figure within 1e-8 of the deposit, margin calls exactly, the first and the last with date and size.

    The reference charges the maintenance fee on the value after a cut's fees, we charge it before them: that is the
    whole difference, 0.03 % a year of some $534 for a day each.
    """
    expected = next(each for each in json.loads((reference / "uss_euss.json").read_text()) if each["case"] == case)
    example, funding = CASES[case]
    ours = summary(capsys, tmp_path, example, "--data", uss_data, "--set", f"market.funding={funding}")
    for figure, key in FIGURES.items():
        assert ours[key] == pytest.approx(expected[figure], abs=1e-8 * DEPOSIT_USD), figure
    assert ours["margin_calls"] == expected["margin_calls"]
    assert (ours["rows"], ours["unexplained_usd"]) == (expected["days"], 0)
    assert ours["maintenance_fee_usd"] - expected["maintenance_fee"] == pytest.approx(
        0.0003 / 365 * (expected["fees"] - 500.0), abs=2e-5
    )
    events = pd.read_parquet(tmp_path / "runs" / ours["run"].rpartition("/")[2] / "events.parquet")
    market = pd.read_parquet(tmp_path / "runs" / ours["run"].rpartition("/")[2] / "market.parquet")
    for words, call in (("first", expected["first_call"]), ("last", expected["last_call"])):
        said = ours[f"{words}_margin_call"]
        assert said["date"] == call[0]
        assert (said["margin_usd"], said["size"]) == pytest.approx(tuple(call[1:]), abs=1e-5)
    calls = events[events.kind == "MarginCalled"]
    cuts = events[(events.order == "resize") & events.cause.isin(calls.event)]
    assert len(calls) == len(cuts) == expected["margin_calls"]
    for cut, (day, called_usd, coins) in (
        (cuts.iloc[0], expected["first_call"]),
        (cuts.iloc[-1], expected["last_call"]),
    ):
        opens = market.open_ns[market.at_ns == cut.at_ns].iloc[0]
        assert str(np.datetime64(int(opens), "ns"))[:10] == day
        assert cut["size"] / 1e9 == pytest.approx(coins, abs=1e-7)
        assert 0.67 * cut.amount / 1e6 == pytest.approx(called_usd, abs=1e-5)
    fees = events[events.order.isin(["mint", "charge_rebalance"])].fee.sum() / 1e6
    assert fees == pytest.approx(expected["fees"], abs=1e-5)


def test_both_spreadings_of_drifts_funding_have_the_sums_of_the_chain(capsys, tmp_path, uss_data):
    """`drift_flat` and `drift_shaped` differ by day, and pay nearly the same between two known days."""
    flat, shaped = (
        summary(capsys, tmp_path, "euss", "--data", uss_data, "--set", f"market.funding=drift_{spread}")
        for spread in ("flat", "shaped")
    )
    assert flat["margin_calls"] == shaped["margin_calls"] == 24
    assert flat["ledger_digest"] != shaped["ledger_digest"]
    assert flat["funding_usd"] == pytest.approx(shaped["funding_usd"], rel=0.05)


SETTINGS = (
    "capital_usd=50000", "market.start=2022-12-01", "market.end=2024-04-01", "market.funding=drift_flat",
    "strategy.maintenance=0.7", "strategy.hedge=value", "fees.swap=0.01", "fees.rebalance=0.002",
    "fees.maintenance_per_year=0.001",
)  # fmt: skip
SUMMARY_KEYS = {
    "margin_calls", "jitosol_units", "short_units", "maintenance_fee_usd", "min_value_usd", "max_value_usd",
    "staking_income_usd",
}  # fmt: skip


def test_every_key_of_the_interface_changes_the_run(capsys, tmp_path):
    """Each key that others script against is heard, and the summary has what they read."""
    plain = summary(capsys, tmp_path, "uss")
    assert plain.keys() >= SUMMARY_KEYS
    digests = {summary(capsys, tmp_path, "uss", "--set", setting)["ledger_digest"] for setting in SETTINGS}
    assert len(digests | {plain["ledger_digest"]}) == len(SETTINGS) + 1


BAD_SETTINGS = {
    "capital_usd=0": "capital_usd: 0.0; expected >= 0.01",
    "market.start=soon": "market.start: 'soon'; expected a date such as 2025-01-31",
    "market.start=2021-01-01": "market.start 2021-01-01 is before 2022-11-05",
    "market.end=2022-11-04": "market: end 2022-11-04 is before start 2022-11-05; expected the same day or a later one",
    "market.end=2030-01-01": "market.end 2030-01-01 is after 2024-05-31",
    "market.funding=moon": "market.funding: the embedded data have no 'moon'; expected one of none, drift_flat",
    "market.funding=3": "market.funding: 3; expected text",
    "strategy.maintenance=0": "strategy.maintenance: 0.0; expected > 0.0",
    "strategy.maintenance=1": "strategy.maintenance: 1.0; expected < 1.0",
    "strategy.maintenance=much": "strategy.maintenance: 'much'; expected a number",
    "strategy.hedge=coins": "strategy.hedge: 'coins'; expected one of units, value",
    "strategy.tolerance=0": "strategy.tolerance: 0.0; expected > 0.0",
    "strategy.min_call_usd=0": "strategy.min_call_usd: 0.0; expected >= 1e-06",
    "strategy.redeem_at_end=1": "strategy.redeem_at_end: 1; expected true or false",
    "strategy.hege=units": "strategy.hege: unknown key; did you mean hedge?",
    "strategy.short=binance": "strategy.short: unknown venue 'binance'; expected one of jito, drift",
    "strategy.pool=marinade": "unknown venue 'marinade'; expected one of jito, drift, issuer",
    "strategy.issuer=nobody": "unknown venue 'nobody'; expected one of jito, drift, issuer",
    "strategy.pool=drift": "drift refuses a swap of 99500 USDC for JITOSOL in row 1 (2022-11-05): it is no",
    "fees.swap=1": "fees.swap: 1.0; expected < 1",
    "fees.swap=-0.1": "fees.swap: -0.1; expected >= 0",
    "fees.rebalance=free": "fees.rebalance: 'free'; expected a number",
    "fees.maintenance_per_year=2": "fees.maintenance_per_year: 2.0; expected < 1",
    "fees.swpa=0.1": "fees.swpa: unknown key; did you mean swap?",
    "fees=3": "fees: 3; expected a table",
    "fees.mint=0.1": "fees.mint: unknown key; expected one of swap, rebalance, maintenance_per_year, bridge",
    "fees.name=nobody": "fees.name: unknown key; expected one of swap, rebalance, maintenance_per_year, bridge",
    "venues.drift.collateral=MSOL": "venues.drift.collateral: 'MSOL'; expected one of SOL, JITOSOL",
    "venues.drift.collateral_weight=1.5": "venues.drift.collateral_weight: 1.5; expected <= 1.0",
    "venues.drift.funding_apart=1": "venues.drift.funding_apart: 1; expected true or false",
    "venues.jito.swap_fee_bps=1e5": "venues.jito.swap_fee_bps: 100000.0; expected 0 to 10000 basis points",
    "venues.jito.reward_fee=1": "venues.jito.reward_fee: 1.0; expected < 1",
    "venues.jito.slashed_on=soon": "venues.jito.slashed_on",
    "published.figures.profit=3": "published.figures.profit: unknown figure; expected one of ",
    'published.readings.x=["strategy.hedge=air"]': "published.readings.x: strategy.hedge: 'air'; expected one of units",
    'published.readings.x=["strategy.hedge"]': "published.readings.x: ",
    'published.readings.x=["strategy.leverage=2"]': "published.readings.x: strategy.leverage: unknown key",
}


@pytest.mark.parametrize(("setting", "complaint"), BAD_SETTINGS.items(), ids=BAD_SETTINGS)
def test_a_wrong_key_is_one_line_that_names_it(capsys, tmp_path, setting, complaint):
    """Nothing is printed or written but the line."""
    code, printed, said = command(capsys, tmp_path, "uss", "--set", setting)
    assert (code, printed, said.count("\n")) == (2, "", 1)
    assert complaint in said
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("hedge", ["air", "units"])
def test_json_runs_the_readings_as_the_report_does(capsys, tmp_path, hedge):
    """A wrong reading is refused there too; a right one has the figures of a run with its settings."""
    reading = f'published.readings.x=["strategy.hedge={hedge}"]'
    code, printed, said = command(capsys, tmp_path, "uss", "--json", "--set", reading, "--set", "strategy.hedge=value")
    if hedge == "air":
        assert (code, printed, said.count("\n")) == (2, "", 1)
        assert "published.readings.x: strategy.hedge: 'air'; expected one of units, value" in said
        assert not (tmp_path / "runs").exists()
        return
    published = json.loads(printed)["published"]
    assert list(published["readings"]) == ["hedge in units", "hedge in value", "x"]
    assert (published["figures"]["return_pct"], published["figures"]["margin_calls"]) == (10.67, 27)
    assert published["verdict"].startswith("the page's figures do not follow from its stated rules")
    in_units, in_value, x = published["readings"].values()
    assert x == in_units != in_value
    assert all(in_value[name] == json.loads(printed)[name] for name in in_value)


def test_a_funding_that_the_scenario_lacks_is_named_with_those_it_has(capsys, tmp_path, uss_data):
    """On real data the scenario's own sources are the choice."""
    code, _, said = command(capsys, tmp_path, "euss", "--data", uss_data, "--set", "market.funding=bybit")
    assert (code, said.count("\n")) == (2, 1)
    assert "unknown source 'bybit'; expected one of none, binance, drift_flat, drift_shaped" in said


SOL, TOKEN = "sol_usd_daily_yahoo.csv", "jitosol_usd_daily_derived.csv"
FLAT, BINANCE = "drift_sol_perp_funding_daily_reconstructed.csv", "binance_solusdt_funding.csv"
BAD_CELLS = {
    "a rate that falls": (TOKEN, "2023-03-01", "rate_close", "1.0", "column jitosol_rate_close: the pool's rate falls"),
    "a rate the other way round": (TOKEN, "2023-03-01", "rate_open", "0.88", "expected SOL per jitoSOL, which is 1"),
    "no rate": (TOKEN, "2023-03-01", "rate_close", "", "column rate_close: missing; expected a number"),
    "no token price": (TOKEN, "2023-03-01", "jitosol_close", "", "column jitosol_close: missing; expected a number"),
    "a token price of zero": (TOKEN, "2023-03-01", "jitosol_open", "0", "column jitosol_open: 0.0; expected a price"),
    "NaN for a token price": (TOKEN, "2023-03-01", "jitosol_close", "nan", "column jitosol_close: 'nan'; expected a"),
    "no price": (SOL, "2023-03-01", "close", "", "column close: missing; expected a number"),
    "a low above the high": (SOL, "2023-03-01", "low", "900", "column low: 900.0; expected a low that is not above"),
    "a bad day": (SOL, "2023-03-01", "date", "2023-03-32", "column date: '2023-03-32'; expected a date"),
    "a day twice": (SOL, "2023-03-01", "date", "2023-02-28", "duplicate timestamp 2023-02-28T00:00:00+00:00"),
    "a day out of order": (
        TOKEN,
        "2023-03-01",
        "date",
        "2022-01-01",
        "timestamp 2022-01-01T00:00:00+00:00 is unsorted",
    ),
    "no funding": (FLAT, "2023-03-01", "rate_flat", "", "column rate_flat: missing; expected a number"),
    "funding that is no number": (BINANCE, "2023-03-01T08:00:00Z", "funding_rate", "x", "column funding_rate: 'x'"),
}


@pytest.mark.parametrize(("file", "day", "column", "cell", "words"), BAD_CELLS.values(), ids=BAD_CELLS)
def test_a_wrong_cell_is_one_line_with_file_row_and_column(capsys, tmp_path, uss_data, file, day, column, cell, words):
    """Real rows with one cell changed: nothing runs, and nothing is written."""
    data = tmp_path / "data"
    data.mkdir()
    for name in (SOL, TOKEN, FLAT, BINANCE):
        (data / name).write_bytes((uss_data / name).read_bytes())
    lines = [line.split(",") for line in (data / file).read_text().splitlines()]
    number = next(index for index, line in enumerate(lines) if line[0] == day)
    lines[number][lines[0].index(column)] = cell
    (data / file).write_text("".join(",".join(line) + "\n" for line in lines))
    funding = "binance" if file == BINANCE else "drift_flat"
    code, printed, said = command(capsys, tmp_path, "euss", "--data", data, "--set", f"market.funding={funding}")
    assert (code, printed, said.count("\n")) == (2, "", 1)
    assert words in said
    assert f"{file}, row {number + 1}" in said or f"{file}:{number + 1}" in said
    assert not (tmp_path / "runs").exists()


@frozen(kw_only=True)
class Dollar:
    """The rules of the USS and eUSS pages as a plain loop over days, in floats; it knows nothing of our code."""

    deposit: float = DEPOSIT_USD
    maintenance: float = 0.67
    swap: float = 0.005
    rebalance: float = 0.00125
    yearly: float = 0.0003
    hedge: str = "units"
    tolerance: float = 0.01
    calls: list = field(factory=list, init=False)
    days: list = field(factory=list, init=False)

    def live(self, market):
        """Fill `calls` with (row, coins cut) and `days` with what each day ended with."""
        opens, closes = market["open"].tolist(), market["close"].tolist()
        token_opens, token_closes = market["jitosol_open"].tolist(), market["jitosol_close"].tolist()
        tokens = self.deposit * (1 - self.swap) / token_opens[0]
        short = tokens if self.hedge == "units" else tokens * token_opens[0] / opens[0]
        proceeds, cash, received, charged = short * opens[0], 0.0, 0.0, 0.0
        paid = self.deposit * self.swap
        for row, (coin, token, rate) in enumerate(zip(closes, token_closes, market["funding_rate"], strict=True)):
            received += rate * short * coin
            equity = tokens * token + cash + proceeds - short * coin
            required = self.maintenance * short * coin
            per_coin = 1.0 if self.hedge == "units" else coin / token
            drifted = abs(tokens * token / coin - short) > self.tolerance * short
            before, due = equity, required
            if required - equity > LEAST_USD:
                fee_per_coin = self.rebalance * (coin + per_coin * token)
                cut = (required - equity) / (self.maintenance * coin - fee_per_coin)
                short, tokens = short - cut, tokens - cut * per_coin
                cash += cut * per_coin * token - cut * fee_per_coin
                proceeds -= cut * coin
                paid += cut * fee_per_coin
                self.calls.append((row, cut))
            excess = tokens * token / coin - short
            if self.hedge == "value" and drifted:
                short, proceeds = short + excess, proceeds + excess * coin
                cash -= self.rebalance * abs(excess) * coin
                paid += self.rebalance * abs(excess) * coin
            after = tokens * token + cash + proceeds - short * coin
            charged += self.yearly / 365 * (after + received - charged)
            self.days.append(
                {
                    "tokens": tokens, "short": short, "cash": cash + proceeds, "received": received, "paid": paid,
                    "before": before, "required": due, "value": after + received - charged, "charged": charged,
                }
            )  # fmt: skip
        return self

    def column(self, name):
        """One figure of all days."""
        return np.array([day[name] for day in self.days])


def simulated(market, dollar):
    """Our run of the same rules on the same market."""
    strategy = MarginCallDeleverage(
        maintenance=dollar.maintenance, hedge=dollar.hedge, tolerance=dollar.tolerance, min_call_usd=LEAST_USD
    )
    issuer = Issuer(swap=dollar.swap, rebalance=dollar.rebalance, maintenance_per_year=dollar.yearly)
    venues = [jito(reward_fee=0.04), collateral(funding_apart=True), issuer]
    return play(market, venues, strategy, capital_usd=dollar.deposit, at_first_open=True)


def assert_same(run, dollar):
    """Positions, money and calls of a run are those of the loop, but for rounding to atomic units.

    We charge the maintenance fee before a cut is paid, the page after it: at most a day of it on all that was paid.
    """
    rows = len(run.market)
    book = daybook(run, MarginBelow("drift", dollar.maintenance))
    closes, token_closes = run.market["close"], run.market["jitosol_close"]
    paid = dollar.column("paid")[-1]
    atoms = 2e-9 * (len(dollar.calls) + rows) * closes.max() + 1e-5 * rows
    usd = atoms + dollar.yearly / 365 * paid
    made = [
        (run.row(event.at_ns), fill.size / 1e9)
        for event in run.events.single()
        if isinstance(event, MarginCalled)
        for fill in run.events.single()
        if isinstance(fill, OrderFilled) and fill.cause == event.event and fill.order == "resize"
    ]
    assert [row for row, _ in made] == [row for row, _ in dollar.calls]
    assert [cut for _, cut in made] == pytest.approx([cut for _, cut in dollar.calls], abs=atoms / closes.min())
    assert book.eod_long_jitosol_usd == pytest.approx(dollar.column("tokens") * token_closes, abs=atoms)
    assert book.eod_short_sol_usd == pytest.approx(dollar.column("short") * closes, abs=atoms)
    assert book.eod_long_usd + book.eod_short_usd == pytest.approx(dollar.column("cash"), abs=atoms)
    assert book.equity_usd == pytest.approx(dollar.column("before"), abs=atoms)
    assert book.required_usd == pytest.approx(dollar.column("required"), abs=atoms)
    assert np.cumsum(book.funding_usd) == pytest.approx(dollar.column("received"), abs=atoms)
    assert np.cumsum(book.fee_usd) == pytest.approx(dollar.column("paid"), abs=atoms)
    assert book.value_usd == pytest.approx(dollar.column("value"), abs=usd)
    assert run.curve.equity_usd == pytest.approx(book.value_usd, abs=1e-6)
    figures = metrics(run)
    assert figures["maintenance_fee_usd"] == pytest.approx(dollar.column("charged")[-1], abs=usd)
    assert figures["unexplained_usd"] == 0


@st.composite
def dollars(draw):
    """Deposits and rules."""
    return Dollar(
        deposit=draw(st.sampled_from([500.0, 10_000.0, 100_000.0, 4_321_987.65])),
        maintenance=draw(st.floats(0.3, 0.9)),
        swap=draw(st.sampled_from([0.0, 0.005, 0.02])),
        rebalance=draw(st.sampled_from([0.0, 0.00125, 0.01])),
        yearly=draw(st.sampled_from([0.0, 0.0003, 0.02])),
        hedge=draw(st.sampled_from(["units", "value"])),
        tolerance=draw(st.sampled_from([0.00213, 0.0107, 0.0541])),
    )


@st.composite
def dollar_markets(draw, rows=80):
    """Days on which SOL wanders, at times violently, its pool's rate rises, and both carry a premium or discount."""
    count = draw(st.integers(2, rows))

    def each(low, high):
        return np.array(draw(st.lists(st.floats(low, high), min_size=count, max_size=count)))

    close = 30 * np.cumprod(1 + each(-0.2, 0.3) * draw(st.sampled_from([0.1, 0.5, 1.0])))
    first_rate = draw(st.floats(1.0, 1.2))
    return dollar_market(
        close.tolist(),
        first_open=draw(st.floats(25.0, 35.0)),
        rate=(first_rate * np.cumprod(1 + each(0.0, 0.002))).tolist(),
        first_rate=first_rate,
        premium=(each(-0.05, 0.02) * draw(st.sampled_from([0.0, 1.0]))).tolist(),
        funding=each(-0.002, 0.002).tolist(),
    )


@pytest.mark.slow
@given(dollar_markets(), dollars())
def test_the_books_are_those_of_a_plain_loop(market, dollar):
    """Deposit, requirement, fees, hedge and market at random: each day ends as the loop says."""
    assert_same(simulated(market, dollar), dollar.live(market))


@pytest.mark.parametrize("hedge", ["units", "value"])
@pytest.mark.parametrize(
    ("example", "funding"), [("uss", "none"), ("euss", "binance"), ("euss", "drift_flat"), ("euss", "drift_shaped")]
)
def test_the_examples_on_real_rows_are_those_of_a_plain_loop(uss_data, example, funding, hedge):
    """All 548 days of both dollars, under both readings of the hedge."""
    ready = assembled(example, uss_data, f"market.funding={funding}", f"strategy.hedge={hedge}")
    dollar = Dollar(hedge=hedge).live(ready.market)
    assert len(dollar.calls) > 20
    assert_same(ready.simulation().run(), dollar)


@pytest.mark.parametrize("example", ["uss", "euss"])
@pytest.mark.parametrize("hedge", ["units", "value"])
def test_the_examples_on_embedded_rows_are_those_of_a_plain_loop(example, hedge):
    """What ships with the project follows the same rules."""
    ready = assembled(example, None, f"strategy.hedge={hedge}")
    assert_same(ready.simulation().run(), Dollar(hedge=hedge).live(ready.market))


@pytest.fixture(params=["embedded", "real"])
def rows(request):
    """The directory of the data, None for the embedded ones."""
    return None if request.param == "embedded" else request.getfixturevalue("uss_data")


@pytest.mark.parametrize("hedge", ["units", "value"])
@pytest.mark.parametrize("example", ["uss", "euss"])
def test_the_daybook_holds_together_on_every_day(rows, example, hedge):
    """Its columns are bound to each other and to the market: 548 days, each to a millionth of a dollar."""
    run = assembled(example, rows, f"strategy.hedge={hedge}").simulation().run()
    book = daybook_frame(run, "drift", 0.67)
    market = run.market
    opens, closes = market["open"], market["close"]
    token_opens, token_closes = market["jitosol_open"], market["jitosol_close"]
    assert len(book) == 548

    def same(left, right, atol=1e-6):
        assert np.asarray(left) == pytest.approx(np.asarray(right), abs=atol)

    tokens, left_tokens = book.bod_long_jitosol_usd / token_opens, book.eod_long_jitosol_usd / token_closes
    coins, left_coins = book.bod_short_sol_usd / opens, book.eod_short_sol_usd / closes
    for bod, eod in ((tokens, left_tokens), (coins, left_coins)):
        same(bod[1:], eod[:-1], 1e-9)
    for kind in ("long", "short"):
        same(book[f"bod_{kind}_usd"][1:], book[f"eod_{kind}_usd"][:-1])
    same(book.equity_usd, tokens * token_closes + book.bod_long_usd + book.bod_short_usd - coins * closes)
    same(book.required_usd, 0.67 * coins * closes)
    same(book.margin_called_usd, 0.67 * book.reduction_coins * closes)
    called = np.asarray(book.required_usd - book.equity_usd > LEAST_USD)
    assert called.sum() == metrics(run)["margin_calls"]
    assert (np.asarray(book.reduction_coins > 0) == called).all()
    left_usd = book.eod_long_jitosol_usd + book.eod_long_usd + book.eod_short_usd - book.eod_short_sol_usd
    met = 0.67 * book.eod_short_sol_usd
    hedged = np.abs(coins - left_coins - book.reduction_coins) > 1e-8
    assert hedged.any() == (hedge == "value")
    same(left_usd[called & ~hedged], met[called & ~hedged], 1e-5)
    assert (left_usd >= met - LEAST_USD)[~hedged].all()
    fees = 0.0003 / 365 * book.value_usd.to_numpy()
    income = book.funding_usd.to_numpy().cumsum()
    owed = left_usd.to_numpy() + income - book.value_usd.to_numpy()
    same(np.diff(np.concatenate(([0.0], owed))), fees, 2e-6 + 0.0003 / 365 * book.fee_usd.max())
    rate = market["funding_rate"]
    same(book.funding_usd, rate * coins * closes)
    assert (income != 0).any() == (example == "euss")
    sold = tokens - left_tokens
    same(sold, book.reduction_coins * (1.0 if hedge == "units" else closes / token_closes), 2e-8)
    bought = coins - left_coins
    traded = book.reduction_coins * closes + sold * token_closes + np.abs(bought - book.reduction_coins) * closes
    same(book.fee_usd[1:], 0.00125 * traded[1:], 2e-6)
    kept = book.fee_usd - 500.0 * (np.arange(548) == 0)
    change = book.eod_long_usd + book.eod_short_usd - book.bod_long_usd - book.bod_short_usd
    same(change, sold * token_closes - bought * closes - kept, 5e-6)
    assert book.fee_usd.iloc[0] == 500.0


def test_the_pages_first_day_on_the_embedded_rows():
    """$99,500 buy 2,946.79 jitoSOL, which gain $8,798.43 to $108,298.43 by the evening."""
    run = assembled().simulation().run()
    first = daybook_frame(run, "drift", 0.67).iloc[0]
    bought = next(event for event in run.events.single() if isinstance(event, OrderFilled) and event.order == "swap")
    assert bought.size / 1e9 == pytest.approx(2_946.79, abs=0.005)
    assert first.bod_long_jitosol_usd == pytest.approx(99_500.0, abs=1e-4)
    assert first.eod_long_jitosol_usd == pytest.approx(108_298.43, abs=0.005)
    assert first.eod_long_jitosol_usd - first.bod_long_jitosol_usd == pytest.approx(8_798.43, abs=0.005)


def called_at(shortfall_usd, price=100.0, coins=1_000.0, fee=0.0):
    """The orders with which a margin call of a given shortfall is answered, by the strategy alone."""
    notional = coins * price
    leg = Leg(
        size=-coins,
        equity_usd=notional,
        notional_usd=notional,
        margin_usd=0.67 * notional - shortfall_usd,
        tokens=coins,
    )

    def quote(order):
        usd = fee * getattr(order, "traded_usd", 0.0)
        return OrderFilled(event=0, at_ns=0, venue=order.venue, order="any", price=price, fee=round(usd * 1e6))

    view = StillView(price=price, legs={"drift": leg}, quotes=quote)
    call = MarginCalled(event=1, at_ns=0, venue="drift", requirement=0.67, margin=0, required=0, price=price)
    return list(MarginCallDeleverage().on_event(call, view))


@pytest.mark.parametrize(
    ("shortfall_usd", "cut_usd"),
    [(100.0, 149.25373), (2_774.75, 4_141.41791), (0.02, 0.02985)],
)
def test_the_pages_cut_is_the_shortfall_over_the_requirement(shortfall_usd, cut_usd):
    """$100 short at 67 % is about $149 of reduction, and $2,774.75 / 0.67 = $4,141.42, before fees."""
    resize, move, swap, *_ = called_at(shortfall_usd)
    assert isinstance(resize, Resize)
    assert (1_000.0 - resize.size) * 100.0 == pytest.approx(cut_usd, abs=1e-5)
    assert move.size == pytest.approx(1_000.0 - resize.size)
    assert isinstance(swap, Swap)
    assert swap.amount == move.size


def test_with_fees_the_cut_is_larger_by_what_they_take():
    """x coins less need 0.67 x p less margin and cost 0.125 % of both legs: shortfall = x p (0.67 - 2 x 0.00125)."""
    resize, *_ = called_at(100.0, fee=0.00125)
    assert (1_000.0 - resize.size) * 100.0 == pytest.approx(100.0 / (0.67 - 0.0025), abs=1e-6)


def test_a_shortfall_of_a_tenth_of_a_cent_is_rounding_and_calls_nothing():
    """At the limit nothing is cut, above it is."""
    assert called_at(0.00099) == []
    assert called_at(0.00101)


@pytest.mark.parametrize("rounds", [1, 2, 7, 31, 32])
def test_a_cut_sells_in_rounds_of_half_of_the_margin_that_is_left(rounds):
    """x coins of 1,000 take n rounds up to x = n x 0.335 x (1,000 - x), and one more beyond; after 32 all is closed."""
    most = 1_000.0 * 0.335 * rounds / (1 + 0.335 * rounds)
    for coins, expected in ((most * (1 - 1e-9), rounds), (most * (1 + 1e-9), rounds + 1)):
        orders = called_at(67.0 * coins)
        if expected > 32:
            assert [type(order).__name__ for order in orders] == ["Close", "MoveTokens"]
        else:
            assert [type(order).__name__ for order in orders].count("Swap") == expected
            assert sum(order.amount for order in orders if isinstance(order, Swap)) == pytest.approx(coins)


def test_a_cut_larger_than_the_position_closes_it():
    """With less than nothing left there is nothing to keep."""
    orders = called_at(67_001.0)
    assert [type(order).__name__ for order in orders] == ["Close", "MoveTokens"]


def test_a_call_that_leaves_nothing_closes_the_position_and_stands_in_log_and_daybook():
    """At a discount of 99.9 % the margin is less than the fees of the cut: short and tokens go, all of them."""
    market = dollar_market([30.0] * 5, premium=[0.0, 0.0, -0.999, -0.999, -0.999])
    venues = [jito(), collateral(maintenance_margin=0.0), Issuer(rebalance=0.00125)]
    run = play(market, venues, MarginCallDeleverage(), capital_usd=3_000.0, at_first_open=True)
    (line,) = [each for each in chronicle(run) if each.kind == "margin call"]
    book = daybook(run, MarginBelow("drift", 0.67))
    assert (line.date, line.size) == ("2025-01-03", 100.0)
    assert book.reduction_coins.tolist() == [0.0, 0.0, 100.0, 0.0, 0.0]
    assert (book.eod_short_sol_usd[-1], book.eod_long_jitosol_usd[-1]) == (0.0, 0.0)
    assert book.eod_long_usd[-1] == pytest.approx(100.0 * 30.0 * 0.001)
    figures = metrics(run)
    assert (figures["margin_calls"], figures["liquidations"], figures["unexplained_usd"]) == (1, 0, 0)


FINE = {"maintenance_margin": 0.0, "funding_apart": True}


@pytest.mark.parametrize(
    ("market", "hedge", "row"),
    [
        (dollar_market([30.0, 30.0, 20.0, 20.0], premium=[0.0, 0.0, -0.999, -0.999]), "units", 2),
        (dollar_market([30.0] * 4, rate=[1.0, 1.0, 1.0, 1.02], funding=-0.5), "value", 3),
    ],
    ids=["a cut", "a re-hedge"],
)
def test_where_less_is_left_than_a_trade_costs_all_is_closed(market, hedge, row):
    """Tokens of almost no worth pay no fee of a cut, and an account whose funding is overdrawn none of a re-hedge."""
    strategy = MarginCallDeleverage(hedge=hedge)
    venues = [jito(), collateral(**FINE), Issuer(rebalance=0.00125)]
    run = play(market, venues, strategy, capital_usd=3_000.0, at_first_open=True)
    closed = next(event for event in run.events.single() if isinstance(event, OrderFilled) and event.order == "close")
    assert run.row(closed.at_ns) == row
    figures = metrics(run)
    assert (figures["short_units"], figures["jitosol_units"], figures["unexplained_usd"]) == (0, 0, 0)


def test_a_token_that_nobody_knows_is_named():
    """A strategy that asks for its price gets an error that lists those that there are."""

    class Curious(Strategy):
        def conditions(self):
            return ()

        def on_start(self, view):
            view.price_of("MSOL")
            return ()

        def on_event(self, event, view):
            return ()

    with pytest.raises(CarrybookError, match="unknown token 'MSOL'; expected one of JITOSOL, SOL"):
        play(dollar_market([30.0] * 2), [jito()], Curious())


def test_redeemed_at_the_end_all_is_cash_less_the_swap_fee_and_what_was_owed():
    """The value before redeeming, with 0.5 % of what is in the wallet taken from it."""
    kept = assembled().simulation().run()
    redeemed = assembled("uss", None, "strategy.redeem_at_end=true").simulation().run()
    figures, before = metrics(redeemed), metrics(kept)
    assert (figures["jitosol_units"], figures["short_units"], figures["unexplained_usd"]) == (0, 0, 0)
    assert before["short_units"] == before["jitosol_units"] > 0
    assert redeemed.ledger.balance(redeemed.ledger.account("Liabilities:Issuer:MaintenanceFee")) == 0
    assert redeemed.ledger.balance(redeemed.ledger.account("Assets:Drift:Position", "SOL-PERP")) == 0
    in_wallet = before["final_equity_usd"] + before["maintenance_fee_usd"]
    assert figures["final_equity_usd"] == pytest.approx(before["final_equity_usd"] - 0.005 * in_wallet, abs=1e-5)
    cash = redeemed.ledger.balance(redeemed.ledger.account("Assets:Wallet:Cash"))
    assert cash / 1e6 == figures["final_equity_usd"]


PUBLISHED = {"uss": (10.67, 27, 0.2), "euss": (21.39, 27, 0.58)}


def table(report, title):
    """The cells of a printed table by the first of each row."""
    lines = report[report.index(title) :].splitlines()[1:]
    start = next(index for index, line in enumerate(lines) if "───" in line) + 1
    cells = {}
    for line in lines[start:]:
        if not line.strip():
            break
        first, *others = [part for part in line.strip().split("  ") if part]
        cells[first.strip()] = [other.strip() for other in others]
    return cells


@pytest.mark.parametrize("example", PUBLISHED)
def test_the_report_puts_the_pages_claims_beside_what_its_rules_give(capsys, tmp_path, rows, example):
    """Published, hedge in units, hedge in value: each is the figure of a run of its own, and the verdict is there."""
    arguments = ["--data", rows] if rows else []
    code, printed, _ = command(capsys, tmp_path, example, *arguments)
    assert code == 0
    assert "the page's figures do not follow from its stated rules" in " ".join(printed.split())
    told = table(printed, "Published beside")
    steps = table(printed, "P&L waterfall by reading")
    runs = [assembled(example, rows, f"strategy.hedge={hedge}").simulation().run() for hedge in ("units", "value")]
    figures = [metrics(run) for run in runs]
    for name, claim in zip(("return_pct", "margin_calls", "row_deviation_pct"), PUBLISHED[example], strict=True):
        form = "{}" if name == "margin_calls" else "{:,.2f}"
        assert told[name] == [f"{claim:g}", *(form.format(each[name]) for each in figures)]
    units, value = (dict(waterfall(run).steps()) for run in runs)
    for words, bucket in (
        ("Price P&L of both legs", "price_pnl"),
        ("Staking rewards", "staking"),
        ("Result", "result"),
    ):
        amounts = (units[bucket], value[bucket], value[bucket] - units[bucket])
        assert steps[words] == [f"{round(amount, 2):+,.2f}" for amount in amounts]
    assert steps["Unexplained"] == ["+0.00"] * 3
    assert abs(units["price_pnl"]) > 10 * abs(value["price_pnl"])
    claimed = PUBLISHED[example]
    assert all(each["margin_calls"] != claimed[1] and abs(each["return_pct"] - claimed[0]) > 0.5 for each in figures)


FIGURE_OF = {
    "Return, %": ("return_pct", "{:.2f}"),
    "Margin calls": ("margin_calls", "{}"),
    "Deviation of daily returns, %": ("row_deviation_pct", "{:.2f}"),
    "Funding, USD": ("funding_usd", "{:+,.2f}"),
    "Staking rewards, USD": ("staking_income_usd", "{:+,.2f}"),
    "Fees, USD": ("total_fees_usd", "-{:,.2f}"),
    "Price P&L of both legs, USD": ("price_pnl_usd", "{:+,.2f}"),
}


@pytest.mark.parametrize("example", PUBLISHED)
def test_the_examples_page_has_the_figures_of_real_rows(uss_data, example):
    """Each row of the table in an example's README is what the two readings give, and the page's own figures."""
    text = (ROOT / "examples" / example / "README.md").read_text()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    shown = {words: cells for words, *cells in table[2:]}
    figures = [
        metrics(assembled(example, uss_data, f"strategy.hedge={hedge}").simulation().run())
        for hedge in ("units", "value")
    ]
    results = [f"{each['final_equity_usd'] - DEPOSIT_USD:+,.2f}" for each in figures]
    assert shown.pop("Result, USD")[1:] == results
    claims = [f"{claim:g}" for claim in PUBLISHED[example]]
    assert [cells[0] for cells in shown.values()][:3] == claims
    for words, cells in shown.items():
        key, form = FIGURE_OF[words]
        assert cells[1:] == [form.format(each[key]) for each in figures]


def test_binances_funding_gives_what_the_examples_page_says(uss_data):
    """Both readings, return and funding."""
    text = " ".join((ROOT / "examples/euss/README.md").read_text().split())
    for hedge in ("units", "value"):
        figures = metrics(
            assembled("euss", uss_data, "market.funding=binance", f"strategy.hedge={hedge}").simulation().run()
        )
        assert f"{figures['return_pct']:+.2f} %" in text
        assert f"{'-' if figures['funding_usd'] < 0 else '+'}${abs(figures['funding_usd']):,.2f}" in text


@pytest.mark.parametrize("deposit", [1_000.0, 33_333.33, 10_000_000.0])
def test_the_result_is_in_proportion_to_the_deposit(uss_data, deposit):
    """Any deposit earns the same share and has the same calls: within a millionth, rounding and all."""
    run = assembled("euss", uss_data, f"capital_usd={deposit}").simulation().run()
    figures = metrics(run)
    assert figures["margin_calls"] == 24
    assert figures["final_equity_usd"] / deposit == pytest.approx(184_171.47774028502 / DEPOSIT_USD, abs=1e-6)
    assert figures["jitosol_units"] / deposit == pytest.approx(1_007.7511754506867 / DEPOSIT_USD, abs=1e-6)


def test_the_strategy_has_a_short_name_like_the_others():
    """With it and with its class in full a scenario runs the same books."""
    digests = {
        assembled("uss", None, f"strategy.class={name}").simulation().run().ledger.digest
        for name in ("margin_call", "strategies.margin_call:MarginCallDeleverage")
    }
    assert len(digests) == 1


def test_the_daybook_shows_what_was_called_and_paid_whatever_the_rules():
    """Funding in the margin, a fee of swaps in tokens, and a penalty at the end: each is where it belongs."""
    market = dollar_market([30.0, 50.0, 60.0, 60.0], funding=-0.01, high=[30.0, 50.0, 60.0, 9000.0])
    drift = collateral(taker_fee_bps=5.0, liquidation_penalty=Penalty("notional", 0.025))
    venues = [jito(swap_fee_bps=20.0), drift, Issuer(rebalance=0.00125)]
    run = play(market, venues, MarginCallDeleverage(), capital_usd=3_000.0, at_first_open=True)
    book, figures = daybook(run, MarginBelow("drift", 0.67)), metrics(run)
    calls = [event for event in run.events.single() if isinstance(event, MarginCalled)]
    rows = [run.row(event.at_ns) for event in calls]
    assert rows == [1, 2]
    assert book.equity_usd[rows] == pytest.approx([event.margin / 1e6 for event in calls], abs=2e-6)
    assert book.required_usd[rows] == pytest.approx([event.required / 1e6 for event in calls], abs=2e-6)
    assert (figures["liquidations"], figures["liquidation_penalty_usd"] > 0) == (1, True)
    assert book.fee_usd.sum() == pytest.approx(figures["total_fees_usd"], abs=1e-6)
