"""Drift with jitoSOL as collateral: one account, judged as a whole, in quiet and in the page's worst cases."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from framework import (
    Close,
    Deposit,
    Ended,
    Leg,
    Liquidated,
    MarginCalled,
    MoveTokens,
    Open,
    OrderFilled,
    Penalty,
    Scenario,
    Side,
    Swap,
    assemble,
    metrics,
    waterfall,
)
from framework.audit import audit
from framework.performance import summarize
from framework.reports.frames import ledger_frame
from framework.run_folder.archive import Folder, save
from tests.markets import Script, at_cost, balance, collateral, dollar_market, happened, jito, play

MAINTENANCE = 0.03


@frozen(kw_only=True)
class Watchful(Script):
    """A script that notes in `seen` how the account stands at the end."""

    seen: list[Leg]

    def on_event(self, event, view):
        if isinstance(event, Ended):
            self.seen.append(view.leg("drift"))
        return super().on_event(event, view)


def account(market, venue, *, tokens=100.0, short=100.0, after=None, seen=None, **options):
    """Capital for so many tokens, posted as collateral of a short, from the first open on."""
    start = [Swap("jito", "USDC", "JITOSOL", tokens * market["jitosol_open"][0])]
    start += [MoveTokens("jito", "drift", "JITOSOL", tokens), Open("drift", Side.SHORT, short, 0.0)]
    strategy = Watchful(start=start, after=after or {}, seen=[] if seen is None else seen)
    capital_usd = options.pop("capital_usd", tokens * market["jitosol_open"][0])
    return play(market, [jito(), venue], strategy, capital_usd=capital_usd, at_first_open=True, **options)


def books_hold(run):
    """Every asset sums to zero, nothing is unexplained, and the curve ends at what was left before the run ended."""
    totals = {}
    for held, amount in run.ledger.balances().items():
        totals[held.asset] = totals.get(held.asset, 0) + amount
    assert set(totals.values()) == {0}
    assert waterfall(run).unexplained == 0
    if list(run.events)[-1].kind == "Ended":
        assert run.curve.equity_usd[-1] == pytest.approx(metrics(run)["final_equity_usd"], abs=1e-5)


def line(tokens, short, opened, weight=1.0, worth=1.0, money=0.0):
    """The price at which such an account dies: opened x S + money + w x k x T x h - S x h = mm x S x h."""
    return (opened * short + money) / (short * (1 + MAINTENANCE) - weight * worth * tokens)


@pytest.mark.parametrize(("factor", "hit"), [(1 - 1e-9, False), (1 + 1e-9, True)])
@pytest.mark.parametrize(
    ("weight", "worth", "tokens"),
    [(1.0, 1.0, 100.0), (1.0, 0.85, 100.0), (0.8, 1.0, 100.0), (0.8, 0.85, 60.0), (0.5, 1.0, 100.0), (1.0, 1.02, 50.0)],
)
def test_the_account_dies_where_tokens_margin_and_position_meet(weight, worth, tokens, factor, hit):
    """At h = S p / (S (1 + mm) - w k T), tokens at weight w and k coins each, and not a billionth before."""
    price = line(tokens, 100.0, 30.0, weight, worth) * factor
    table = dollar_market([30.0] * 5, high=[30.0, 30.0, price, 30.0, 30.0], premium=worth - 1)
    run = account(table, collateral(maintenance_margin=MAINTENANCE, collateral_weight=weight), tokens=tokens)
    assert [event.at_ns for event in happened(run, Liquidated)] == ([table.at_ns[2]] if hit else [])
    books_hold(run)


def test_tokens_worth_more_than_the_short_needs_keep_it_alive_at_any_price():
    """With w k T above S (1 + mm) there is no such price, and the leg names none."""
    table = dollar_market([30.0, 30.0, 3e6, 30.0], high=[30.0, 30.0, 3e7, 3e6], low=30.0)
    venue = collateral(maintenance_margin=MAINTENANCE)
    seen = []
    run = account(table, venue, tokens=103.1, seen=seen)
    assert happened(run, Liquidated) == []
    (leg,) = seen
    assert leg.size == -100.0
    assert np.isnan(leg.liquidation_price)


@pytest.mark.parametrize("size", [100.0, 0.1])
def test_a_leg_of_any_size_has_a_liquidation_price(size):
    """Also one of three dollars."""
    seen = []
    venue = collateral(maintenance_margin=MAINTENANCE)
    account(dollar_market([30.0, 30.0]), venue, tokens=0.8 * size, short=size, seen=seen)
    (leg,) = seen
    assert leg.liquidation_price == pytest.approx(line(0.8 * size, size, 30.0), rel=1e-6)


@pytest.mark.parametrize("weight", [1.0, 0.7])
def test_the_legs_liquidation_price_is_the_line(weight):
    """What a strategy reads is the price at which the venue acts."""
    table = dollar_market([30.0, 33.0], rate=1.05, premium=-0.02)
    venue = collateral(maintenance_margin=MAINTENANCE, collateral_weight=weight)
    seen = []
    account(table, venue, tokens=80.0, seen=seen)
    (leg,) = seen
    assert leg.liquidation_price == pytest.approx(line(80.0, 100.0, 30.0, weight, 1.05 * 0.98), rel=1e-9)
    token = 33.0 * 1.05 * 0.98
    assert leg.equity_usd == pytest.approx(80.0 * token + 100.0 * (30.0 - 33.0))
    assert leg.margin_usd == pytest.approx(weight * 80.0 * token + 100.0 * (30.0 - 33.0))
    assert leg.delta == pytest.approx(80.0 * 1.05 * 0.98 - 100.0)
    assert leg.tokens == 80.0


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("rate", [-0.02, 0.02])
def test_funding_moves_the_line_where_it_counts_and_not_where_it_lies_apart(apart, rate):
    """Two rows paid 0.02 x 30 x 100 each before the third is judged, its own payment included."""
    money = 0.0 if apart else 3 * rate * 30.0 * 100.0
    price = line(90.0, 100.0, 30.0, money=money)
    for factor, hit in ((1 - 1e-9, False), (1 + 1e-9, True)):
        table = dollar_market([30.0] * 4, high=[30.0, 30.0, price * factor, 30.0], funding=rate)
        venue = collateral(maintenance_margin=MAINTENANCE, funding_apart=apart)
        run = account(table, venue, tokens=90.0)
        assert len(happened(run, Liquidated)) == hit
        received = balance(run, "Assets:Drift:Funding") if apart else balance(run, "Assets:Drift:Margin")
        if not hit:
            assert received == round(4 * rate * 30.0 * 100.0 * 1e6)
        books_hold(run)


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("rate", [0.01, -0.01])
def test_a_closed_account_pays_with_tokens_what_it_owes_and_keeps_the_rest(apart, rate):
    """Bought at 30 and closed at 40, a short of 100 owes $1,000, which tokens pay; funding is settled first."""
    table = dollar_market([30.0, 40.0, 40.0, 40.0], funding=[0.0, rate, 0.0, 0.0])
    venue = collateral(maintenance_margin=MAINTENANCE, funding_apart=apart)
    run = account(table, venue, after={1: [Close("drift")]})
    owed_usd = 100.0 * 10.0 - rate * 40.0 * 100.0
    sold = owed_usd / 40.0
    assert balance(run, "Assets:Drift:Collateral", "JITOSOL") == pytest.approx((100.0 - sold) * 1e9, abs=2)
    for name in ("Margin", "Quote", *(("Funding",) if apart else ())):
        assert balance(run, f"Assets:Drift:{name}") == 0
    assert 0 <= balance(run, "Assets:Wallet:Cash") <= 1
    books_hold(run)


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("rate", [0.02, -0.02])
def test_a_penalty_on_the_equity_counts_funding_wherever_it_lies(apart, rate):
    """Half of tokens, position and funding at the close, though funding apart could not keep the account alive."""
    table = dollar_market([30.0] * 4, high=[30.0, 30.0, 300.0, 30.0], premium=-0.15, funding=rate)
    venue = collateral(
        maintenance_margin=MAINTENANCE, liquidation_penalty=Penalty("equity", 0.5), funding_apart=apart
    )  # fmt: skip
    run = account(table, venue)
    (event,) = happened(run, Liquidated)
    equity = 100.0 * 30.0 * 0.85 + 3 * rate * 30.0 * 100.0
    assert (event.equity, event.penalty) == pytest.approx((equity * 1e6, equity * 0.5e6), abs=2)
    assert run.curve.equity_usd[-1] == pytest.approx(equity / 2, abs=1e-5)
    books_hold(run)


def test_an_account_that_was_left_with_a_profit_returns_it_and_keeps_its_tokens():
    """Closed at 24, the short has made $600: they go to the wallet, and no token is sold."""
    table = dollar_market([30.0, 24.0, 24.0])
    run = account(table, collateral(), after={1: [Close("drift")]})
    assert balance(run, "Assets:Wallet:Cash") == 600 * 10**6
    assert balance(run, "Assets:Drift:Collateral", "JITOSOL") == 100 * 10**9
    books_hold(run)


@pytest.mark.parametrize("forgive", [True, False])
@pytest.mark.parametrize("penalty", [Penalty("notional", 0.025), Penalty("equity", 0.5)])
@pytest.mark.parametrize("close", [31.0, 45.0, 200.0])
def test_a_liquidation_takes_its_penalty_of_the_whole_account(close, penalty, forgive):
    """Equity is position, margin and tokens at the close; what tokens cannot pay is bad debt or stays owed."""
    table = dollar_market([30.0, 30.0, close, close], high=[30.0, 30.0, 300.0, close], premium=-0.15)
    venue = collateral(
        maintenance_margin=MAINTENANCE, liquidation_penalty=penalty, forgive_negative_equity=forgive
    )  # fmt: skip
    run = account(table, venue)
    (event,) = happened(run, Liquidated)
    equity = 100.0 * close * 0.85 + 100.0 * (30.0 - close)
    share = equity * 0.5 if penalty.of == "equity" else 100.0 * close * 0.025
    taken = max(0.0, min(share, equity))
    missing = max(0.0, -equity)
    assert event.equity == pytest.approx(equity * 1e6, abs=2)
    assert event.penalty == pytest.approx(taken * 1e6, abs=2)
    assert event.bad_debt == pytest.approx((missing if forgive else 0.0) * 1e6, abs=2)
    assert event.trigger_price == 300.0
    assert balance(run, "Assets:Drift:Position", "SOL-PERP") == 0
    left = equity - taken + (missing if forgive else 0.0)
    assert run.curve.equity_usd[-1] == pytest.approx(left, abs=1e-5)
    assert balance(run, "Assets:Drift:Margin") == pytest.approx(0 if forgive else -missing * 1e6, abs=2)
    if missing:
        assert balance(run, "Assets:Drift:Collateral", "JITOSOL") / 1e9 * close < 1e-5
    books_hold(run)


SCENARIO = """
name = "worst_case"
capital_usd = 30_000
entry = "first_open"

[market]
start = 2025-01-01
end = 2025-01-08

[market.sources.prices]
reader = "table"
file = "prices.csv"
interval = "1d"

[market.sources.jitosol]
reader = "table"
file = "jitosol.csv"

[market.sources.funding]
reader = "table"
file = "funding.csv"

[strategy]
class = "margin_call:MarginCallDeleverage"

[fees]
swap = 0.005
rebalance = 0.00125
maintenance_per_year = 0.0003

[venues.jito]

[venues.drift]
taker_fee_bps = 0.0
maintenance_margin = 0.03
liquidation_penalty = { of = "notional", fraction = 0.025 }
funding_rate = "funding_rate"
collateral = "JITOSOL"
funding_apart = true
""".replace("margin_call:", "strategies.margin_call:")


def write(folder: Path, *, close, high=None, premium=0.0, funding=0.0001):
    """A market of eight days as CSV files with their scenario; returns the scenario's path."""
    rate = 1.05 * 1.0002 ** np.arange(8)
    table = dollar_market(close, high=high, rate=rate.tolist(), premium=premium, funding=funding)
    days = [table.date(row) for row in range(8)]
    for name, columns in (
        ("prices", ("open", "high", "low", "close")),
        ("jitosol", ("jitosol_open", "jitosol_close", "jitosol_rate_open", "jitosol_rate_close")),
        ("funding", ("funding_rate",)),
    ):
        lines = [",".join(("time", *columns))]
        lines += [
            ",".join((day, *(repr(float(table[column][row])) for column in columns))) for row, day in enumerate(days)
        ]
        (folder / f"{name}.csv").write_text("".join(f"{text}\n" for text in lines))
    (folder / "scenario.toml").write_text(SCENARIO)
    return folder / "scenario.toml"


def audited(tmp_path, *changes, **rows):
    """The run of such a market, whose folder the thorough audit has found nothing in."""
    path = write(tmp_path, **rows)
    ready = assemble(Scenario.load(path, changes), tmp_path)
    run = ready.simulation().run()
    folder = save(ready, run, summarize(ready, run), tmp_path / "runs")
    results = audit(Folder(folder), tmp_path, thorough=True)
    assert len(results) >= 26
    assert [(each.check, each.findings) for each in results if not each.passed] == []
    books_hold(run)
    return run


def cuts(run):
    """Row and size in coins of each cut that answered a margin call."""
    calls = {event.event for event in happened(run, MarginCalled)}
    return [
        (run.row(fill.at_ns), fill.size / 1e9)
        for fill in happened(run, OrderFilled)
        if fill.order == "resize" and fill.cause in calls
    ]


def bought(run):
    """The tokens with which a run began."""
    return next(event for event in happened(run, OrderFilled) if event.order == "swap").size / 1e9


RATE = 1.05 * 1.0002**3


@pytest.mark.slow
@pytest.mark.parametrize(("factor", "hit"), [(1 - 1e-7, False), (1 + 1e-7, True)])
@pytest.mark.parametrize("discount", [0.0, 0.15])
def test_a_discount_brings_the_margin_call_nearer(tmp_path, discount, factor, hit):
    """In units, N k c + N p - N c = 0.67 N c at c = p / (1.67 - k), k coins being what a token is worth."""
    worth = RATE * (1 - discount)
    price = 30.0 / (1.67 - worth) * factor
    close = [30.0, 30.0, 30.0, price, 31.0, 31.0, 31.0, 31.0]
    run = audited(tmp_path, "strategy.min_call_usd=1e-6", close=close, premium=[0.0, 0.0] + [-discount] * 6)
    short = bought(run)
    first = [cut for cut in cuts(run) if cut[0] == 3]
    assert len(first) == hit
    if hit:
        shortfall = short * (0.67 * price - worth * price - 30.0 + price)
        assert first[0][1] == pytest.approx(shortfall / (0.67 * price - 0.00125 * price * (1 + worth)), rel=1e-3)
    assert happened(run, Liquidated) == []


@pytest.mark.parametrize("hedge", ["units", "value"])
def test_the_pages_worst_discount_alone_calls_nothing(tmp_path, hedge):
    """15 % below the pool's rate on a still price leaves 85 % or more of margin: no call, no liquidation."""
    premium = [0.0, 0.0, -0.15, -0.15, -0.15, -0.05, 0.0, 0.0]
    changes = (f"strategy.hedge={hedge}", "fees.maintenance_per_year=0.0")
    run = audited(tmp_path, *changes, close=[30.0] * 8, premium=premium, funding=0.0)
    assert cuts(run) == []
    assert happened(run, Liquidated) == []
    tokens = bought(run)
    lowest = tokens * 30.0 * 1.05 * 1.0002**2 * 0.85
    if hedge == "units":
        assert run.curve.equity_usd[2] == pytest.approx(lowest, abs=1e-3)
        assert run.curve.equity_usd[-1] == pytest.approx(tokens * 30.0 * 1.05 * 1.0002**7, abs=1e-3)


@pytest.mark.parametrize("apart", ["true", "false"])
def test_six_times_in_a_day_is_a_margin_call_and_no_liquidation(tmp_path, apart):
    """At par a sixth of the notional is left at 6 p: far above 3 %, far below 67 %. The cut makes it 67 % exactly."""
    close = [30.0, 30.0, 30.0, 180.0, 180.0, 150.0, 90.0, 60.0]
    run = audited(tmp_path, f"venues.drift.funding_apart={apart}", close=close, funding=0.0)
    assert happened(run, Liquidated) == []
    short, price, worth = bought(run), 180.0, RATE
    shortfall = short * (0.67 * price - worth * price - 30.0 + price)
    (row, coins), *_ = cuts(run)
    assert row == 3
    assert coins == pytest.approx(shortfall / (0.67 * price - 0.00125 * price * (1 + worth)), abs=1e-6)
    left = short - coins
    money = money_after(run, row)
    assert left * worth * price + money - left * price == pytest.approx(0.67 * left * price, abs=1e-3)


def money_after(run, row):
    """USD in the account at Drift after a row."""
    ledger = ledger_frame(run.ledger)
    ledger = ledger[(ledger.at_ns <= run.market.at_ns[row]) & (ledger.asset == "USDC")]
    paid_in, paid_out = (ledger[ledger[side].str.startswith("Assets:Drift:")] for side in ("debit", "credit"))
    return (paid_in.amount.sum() - paid_out.amount.sum()) / 1e6


@pytest.mark.slow
@pytest.mark.parametrize("forgive", ["true", "false"])
@pytest.mark.parametrize("close", [60.0, 90.0, 180.0, 300.0])
def test_six_times_at_the_worst_discount_is_a_liquidation(tmp_path, close, forgive):
    """At 15 % below par less than 3 % are left at 6 p: the venue liquidates at the close, and the rest is cash."""
    prices = [30.0, 30.0, 30.0, close, close, 50.0, 40.0, 40.0]
    highs = [30.0, 30.0, 30.0, max(200.0, close), close, close, 50.0, 40.0]
    run = audited(
        tmp_path,
        f"venues.drift.forgive_negative_equity={forgive}",
        "fees.maintenance_per_year=0.0",
        close=prices,
        high=highs,
        premium=[0.0, 0.0, -0.17, -0.2, -0.2, -0.1, 0.0, 0.0],
        funding=0.0,
    )
    (event,) = happened(run, Liquidated)
    assert run.row(event.at_ns) == 3
    tokens, worth = bought(run), RATE * 0.8
    equity = tokens * (worth * close + 30.0 - close)
    penalty = max(0.0, min(tokens * close * 0.025, equity))
    assert event.equity == pytest.approx(equity * 1e6, abs=20)
    assert event.penalty == pytest.approx(penalty * 1e6, abs=20)
    assert metrics(run)["margin_calls"] == 0
    assert balance(run, "Assets:Drift:Position", "SOL-PERP") == 0
    assert metrics(run)["jitosol_units"] == 0
    left = equity - penalty + event.bad_debt / 1e6
    assert run.curve.equity_usd[-1] == pytest.approx(left, abs=1e-3)
    assert balance(run, "Assets:Wallet:Cash") / 1e6 == pytest.approx(max(0.0, left), abs=1e-3)


@st.composite
def worst_cases(draw):
    """Eight days on which anything may happen to price, discount and funding."""

    def eight(low, high):
        return np.array(draw(st.lists(st.floats(low, high), min_size=8, max_size=8)))

    close = 30.0 * np.exp(np.cumsum(eight(-1.0, 1.0) * draw(st.sampled_from([0.1, 1.0]))))
    opened = np.concatenate((close[:1], close[:-1]))
    return {
        "close": close.tolist(),
        "high": (np.maximum(opened, close) * (1 + eight(0.0, 5.0) * draw(st.sampled_from([0.0, 1.0])))).tolist(),
        "premium": (-eight(0.0, 0.3) * draw(st.sampled_from([0.0, 1.0]))).tolist(),
        "funding": eight(-0.05, 0.05).tolist(),
    }


RULES = st.fixed_dictionaries(
    {
        "entry": st.sampled_from(["first_open", "first_close"]),
        "strategy.hedge": st.sampled_from(["units", "value"]),
        "strategy.maintenance": st.sampled_from([0.3, 0.67]),
        "strategy.redeem_at_end": st.sampled_from(["true", "false"]),
        "venues.jito.swap_fee_bps": st.sampled_from([0.0, 30.0]),
        "venues.drift.taker_fee_bps": st.sampled_from([0.0, 10.0]),
        "venues.drift.collateral_weight": st.sampled_from([1.0, 0.7]),
        "venues.drift.funding_apart": st.sampled_from(["true", "false"]),
        "venues.drift.liquidation_closes": st.sampled_from(["true", "false"]),
        "venues.drift.forgive_negative_equity": st.sampled_from(["true", "false"]),
    }
)


@pytest.mark.slow
@settings(max_examples=10)
@given(worst_cases(), RULES)
def test_the_audit_finds_nothing_whatever_happened(rows, rules):
    """Computed again by other code, funding, rewards, fees, penalties and liquidations are what was posted."""
    with TemporaryDirectory() as folder:
        audited(Path(folder), *(f"{key}={value}" for key, value in rules.items()), **rows)


@pytest.mark.parametrize("valuation", ["market", "cost"])
def test_tokens_are_worth_the_same_in_a_row_in_which_somebody_acts(valuation):
    """A dollar that goes from the wallet to the account changes no row's equity; at cost only the short is kept."""
    market = dollar_market([100.0, 120.0, 90.0, 110.0], rate=1.1, first_rate=1.1, premium=0.01)
    acts = {1: [Deposit("drift", 1.0)], 2: [Deposit("drift", 1.0)]}
    venue = collateral() if valuation == "market" else at_cost(collateral())
    capital_usd = 100.0 * market["jitosol_open"][0] + 10.0
    still, busy = (account(market, venue, short=50.0, after=after, capital_usd=capital_usd) for after in ({}, acts))
    assert busy.curve.equity_usd == pytest.approx(still.curve.equity_usd, abs=1e-6)
    assert {len(happened(run, OrderFilled)) for run in (still, busy)} == {3, 5}
    owed = 50.0 * (100.0 - market["close"] if valuation == "market" else np.zeros(4))
    assert still.curve.equity_usd == pytest.approx(100.0 * market["jitosol_close"] + owed + 10.0, abs=1e-5)
