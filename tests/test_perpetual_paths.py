"""Perpetuals by their own rules within a row: liquidations at their prices, step by step, and audited."""

import pytest
from attrs import frozen

from framework import Ended, Open, Scenario, Side, Strategy, assemble, waterfall
from framework.audit import audit
from framework.events import Liquidated, Rejected
from framework.market import Market
from framework.money import USDC
from framework.orders import Close, Deposit, Resize, Withdraw
from framework.performance import summarize
from framework.run_folder.archive import Folder, save
from framework.strategy import EveryRow
from framework.testing import Setup, conforms
from framework.venue import Venue
from tests.markets import Script, asgard, balance, happened, market, play
from tests.test_drift_protocol import venue as drift
from tests.test_hyperliquid_protocol import MAINTENANCE
from tests.test_hyperliquid_protocol import venue as hyperliquid
from tests.test_testing import TABLE, Busy


def spike(high: float) -> Market:
    """Three rows at 100, of which the second goes up to a high and comes back."""
    return market([100.0, 100.0, 100.0], high=[100.0, high, 100.0], low=100.0)


def short(venue: str, size: float, funds_usd: float) -> Script:
    return Script(start=[Open(venue, Side.SHORT, size, funds_usd)])


@pytest.mark.parametrize("leverage", [2.0, 3.0, 4.0, 10.0])
def test_a_short_is_liquidated_at_its_price_and_keeps_the_maintenance_margin(leverage):
    """Closed form: the price is (1 + 1/L) / (1 + 2.5 %) of the entry, and 2.5 % of the notional there is left."""
    funds_usd = round(10_000.0 / leverage, 6)
    price = 100.0 * (1 + funds_usd / 10_000.0) / (1 + MAINTENANCE)
    run = play(spike(160.0), [hyperliquid()], short("hyperliquid", 100.0, funds_usd), path="adverse_first")
    (event,) = happened(run, Liquidated)
    assert (event.price, event.trigger_price) == (pytest.approx(price, rel=1e-12), event.price)
    assert USDC.units(balance(run, "Assets:Hyperliquid:Margin")) == pytest.approx(MAINTENANCE * 100.0 * price, abs=1e-5)
    assert (event.closed, event.penalty, event.bad_debt) == (True, 0, 0)


def test_a_gap_beyond_the_line_is_the_price_at_which_a_row_opens():
    """The row opens at 150, where the equity is gone: the vault takes what there is, and bears the rest."""
    days = market([100.0, 152.0, 152.0])
    jump = {"open": [100.0, 150.0, 152.0], "low": [100.0, 150.0, 152.0]}
    table = Market(open_ns=days.open_ns, at_ns=days.at_ns, columns=days.columns | jump)
    run = play(table, [hyperliquid()], short("hyperliquid", 100.0, 4_500.0), path="adverse_first")
    (event,) = happened(run, Liquidated)
    assert event.price == 150.0
    assert (event.penalty, USDC.units(event.bad_debt)) == (0, 500.0)


def test_a_large_position_goes_by_fifths_each_at_its_price():
    """$180,000 at 5x: fifths at ever higher prices, until the rest is worth less than $100,000 and goes whole."""
    made = hyperliquid(partial_from_usd=100e3)
    run = play(
        spike(130.0), [made], short("hyperliquid", 1_500.0, 30_000.0), capital_usd=40_000.0, path="adverse_first"
    )
    events = happened(run, Liquidated)
    size, cash = 1_500.0, 30_000.0 + 150_000.0
    for event in events:
        price = cash / (size * (1 + MAINTENANCE))
        assert event.price == pytest.approx(price, rel=1e-9)
        part = size / 5 if size * price > 100e3 else size
        size, cash = size - part, cash - part * price
    assert (size, len(events)) == (0.0, 4)
    assert USDC.units(balance(run, "Assets:Hyperliquid:Margin")) == pytest.approx(cash, abs=1e-3)


def test_a_spike_that_stops_leaves_what_it_did_not_reach():
    """It goes no further than the second step: three fifths and a bit are still there."""
    made = hyperliquid(partial_from_usd=100e3)
    run = play(
        spike(118.0), [made], short("hyperliquid", 1_500.0, 30_000.0), capital_usd=40_000.0, path="adverse_first"
    )
    assert len(happened(run, Liquidated)) == 2
    assert balance(run, "Assets:Hyperliquid:Position", "SOL-PERP") == -960_000_000_000


def test_drift_reduces_a_position_along_the_way():
    """Each time by what restores the buffer, at a higher price, until the spike is over."""
    run = play(spike(112.0), [drift()], short("drift", 100.0, 1_500.0), path="adverse_first")
    events = happened(run, Liquidated)
    first = events[0]
    assert first.price == pytest.approx(11_500.0 / (100.0 * 1.05), rel=1e-12)
    assert [event.closed for event in events] == [False] * len(events)
    assert len(events) > 1
    prices = [event.price for event in events]
    assert prices == sorted(prices)
    assert prices[-1] <= 112.0
    standing = run._standings[0]  # noqa: SLF001
    assert standing.books.value("drift", "total_collateral") > standing.books.value("drift", "maintenance")
    assert waterfall(run).unexplained == 0


@pytest.mark.parametrize("path", ["adverse_first", "open_high_low_close"])
@pytest.mark.parametrize(
    "made",
    [hyperliquid(taker_fee_bps=4.5, payout_floor=0.1, partial_from_usd=5_000.0), drift(order_step=0.01)],
    ids=["hyperliquid", "drift"],
)
def test_within_rows_the_rules_conform(made, path):
    strategy = Busy("asgard", made.name)
    conforms(Setup(market=TABLE, venues=[asgard(open_fee_bps=15.0), made], strategy=strategy, path=path))


# -- a run under the protocols' rulebook, audited


@frozen(kw_only=True)
class Daring(Strategy):
    """A short of nearly all that a venue allows, opened again whenever it is gone, with orders beyond the limits."""

    venue: str
    leverage: float = 5.0

    def conditions(self):
        return (EveryRow(),)

    def on_start(self, view):
        yield Deposit(self.venue, 4_000.0)
        yield Open(self.venue, Side.SHORT, 4_000.0 * self.leverage / view.price, 0.0)

    def on_event(self, event, view):
        leg = view.leg(self.venue)
        if isinstance(event, Ended):
            yield Close(self.venue)
        elif not leg.size:
            if view.cash_usd > 1_000.0:
                yield Deposit(self.venue, 1_000.0)
            yield Open(self.venue, Side.SHORT, max(1.0, leg.equity_usd * self.leverage) / view.price, 0.0)
        elif leg.equity_usd > 1.2 / self.leverage * leg.notional_usd:
            yield Withdraw(self.venue, 0.9 * leg.equity_usd)
            if leg.free_usd:
                yield Withdraw(self.venue, 0.1 * leg.free_usd)
            yield Resize(self.venue, -leg.size * 1.1)


def daring(venue: str, **rules: object) -> Scenario:
    """Half a year of days under the protocols' rulebook."""
    return Scenario.of(
        {
            "name": "daring",
            "capital_usd": 10_000,
            "market": {"start": "2025-01-01", "end": "2025-07-31", "embedded": "sol_daily"},
            "rulebook": {"class": "protocol"},
            "strategy": {"class": f"{__name__}:Daring", "venue": venue},
            "venues": {venue: rules},
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("venue", "rules"),
    [
        ("hyperliquid", {}),
        ("hyperliquid", {"leverage": 10.0, "partial_from_usd": 10_000.0, "volume_usd": 6e6}),
        ("drift", {}),
    ],
    ids=["hyperliquid", "hyperliquid by fifths", "drift"],
)
def test_a_run_of_the_protocols_rules_is_audited_without_a_finding(venue, rules, tmp_path):
    """With liquidations and rejections, each of which names its rules."""
    assembly = assemble(daring(venue, **rules))
    run = assembly.simulation().run()
    for kind in (Liquidated, Rejected):
        events = happened(run, kind)
        assert events
        assert all(event.rules for event in events)
    folder = save(assembly, run, summarize(assembly, run), tmp_path)
    assert [result for result in audit(Folder(folder), thorough=True) if not result.passed] == []
    conforms(assembly)
    made: Venue = assembly.venues[0]
    assert made.rule_behind("upper_margin_rate") == ("margin_tiers" if venue == "hyperliquid" else "upper_margin_rate")
