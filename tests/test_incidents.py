"""Incidents: what halts, failures, frozen oracles, broken pegs and the like do to orders, money, prices and books."""

import numpy as np
import pytest
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from framework import (
    USDC,
    Close,
    Deleveraged,
    Deposit,
    Ended,
    IncidentBegan,
    IncidentEnded,
    Liquidated,
    Move,
    Open,
    OrderFilled,
    PayPenalty,
    Penalty,
    Rejected,
    Resize,
    Scenario,
    Side,
    Strategy,
    TransferArrived,
    TransferFailed,
    VenueFailed,
    VenueHalted,
    VenueResumed,
    Withdraw,
    assemble,
    waterfall,
)
from framework.audit import audit
from framework.clock import NS_PER_DAY, NS_PER_HOUR
from framework.errors import ScenarioError
from framework.market import TICK_NS
from framework.performance import summarize
from framework.reports.report import report
from framework.rulebook.incidents import Incident, Incidents, disturbed, split_mix
from framework.run_folder.archive import Folder, save
from framework.simulation import Simulation
from framework.strategy import EveryRow
from framework.venue import CASH, IN_TRANSIT, Bridge
from tests.markets import (
    START_NS,
    Script,
    asgard,
    balance,
    collateral,
    dollar_market,
    drift,
    flat,
    happened,
    hyperliquid,
    jito,
    market,
)

FREE = Penalty("equity", 0.0)


def day(number, hours=0.0):
    """An instant on a day of the market, counted from 0."""
    return START_NS + number * NS_PER_DAY + round(hours * NS_PER_HOUR)


def incident(kind, at=None, **keys):
    return Incident(kind=kind, at=at, **keys)


def play(table, venues, strategy, *incidents, path="close", rows_at_once=None):
    """A finished run in which something goes wrong."""
    named = Incidents.of(incidents, table, [venue.name for venue in venues])
    table = disturbed(table, named, {venue.name: venue.coins for venue in venues})
    return Simulation(
        market=table, venues=venues, strategy=strategy, capital_usd=10_000.0, path=path, incidents=named,
        rows_at_once=rows_at_once,
    ).run()  # fmt: skip


def only(run, kind):
    (event,) = happened(run, kind)
    return event


OPENED = [Open("hyperliquid", Side.SHORT, 10.0, 500.0), Open("drift", Side.SHORT, 10.0, 500.0)]
EVERY = [
    Resize("drift", 5.0),
    Close("drift"),
    Deposit("drift", 10.0),
    Withdraw("drift", 10.0),
    Move("drift", "hyperliquid", 10.0),
    Move("hyperliquid", "drift", 10.0),
    PayPenalty("drift", 1.0),
]
HALT = {"venue": "drift", "hours": 24.0}


def test_nothing_is_done_at_a_halted_venue_and_nothing_leaves_or_enters_it():
    """Every order that needs it is rejected with the reason; after it has resumed, all of them are filled."""
    strategy = Script(start=OPENED, after={2: EVERY, 4: [*EVERY[2:], EVERY[0], EVERY[1]]})
    run = play(flat(6, funding=0.001), [hyperliquid(), drift()], strategy, incident("halt", day(2, 12), **HALT))
    rejected = happened(run, Rejected)
    assert [event.order for event in rejected] == [str(order) for order in EVERY]
    words = "drift is halted until 2025-01-04 12:00; expected a venue that is open"
    assert {event.reason for event in rejected} == {words}
    halted, resumed = only(run, VenueHalted), only(run, VenueResumed)
    assert (halted.at_ns, halted.until_ns, resumed.at_ns) == (day(2, 12), day(3, 12), day(3, 12))
    assert (halted.venue, halted.price) == ("drift", 100.0)


def test_what_accrues_at_a_halted_venue_goes_on():
    """Funding is settled in every row, as without the halt."""
    venues, table = [hyperliquid(), drift()], flat(6, funding=0.001)
    halted = play(table, venues, Script(start=OPENED), incident("halt", day(2, 12), **HALT))
    undisturbed = play(table, venues, Script(start=OPENED))
    assert waterfall(halted).funding == waterfall(undisturbed).funding != 0


SPIKE = [100.0, 100.0, 100.0, 100.0, 100.0, 100.0]
HIGHS = [100.0, 100.0, 100.0, 160.0, 100.0, 160.0]


@pytest.mark.parametrize("path", ["close", "adverse_first"])
@pytest.mark.parametrize("count", [None, 1, 3])
def test_a_halted_venue_liquidates_nobody_unless_its_rules_say_so(path, count):
    """The first spike falls into the halt, the second does not."""
    table, strategy = market(SPIKE, high=HIGHS), Script(start=OPENED[1:])
    halt = incident("halt", day(3), **HALT)
    # the fourth row closes one tick before the halt ends
    run = play(table, [drift(liquidation_penalty=FREE)], strategy, halt, path=path, rows_at_once=count)
    assert [event.at_ns for event in happened(run, Liquidated)] == [day(6) - TICK_NS]

    run = play(
        table,
        [Stubborn(taker_fee_bps=0.0, maintenance_margin=0.03, liquidation_penalty=FREE)],
        strategy,
        halt,
        path=path,
    )
    assert [event.at_ns for event in happened(run, Liquidated)] == [day(4) - TICK_NS]


@frozen(kw_only=True)
class Stubborn(type(drift())):
    """Drift that liquidates while it is halted."""

    acts_when_halted = True


SLOW = Bridge(latency_s=86_400.0)


def test_what_arrives_at_a_halted_venue_waits_until_it_resumes():
    """A bridge pays out once the other side is there again; a venue that is not halted gets its own in time."""
    strategy = Script(start=OPENED, after={1: [Deposit("drift", 100.0), Deposit("hyperliquid", 50.0)]})
    venues = [hyperliquid(bridge=SLOW), drift(bridge=SLOW)]
    run = play(flat(6), venues, strategy, incident("halt", day(2, 12), **HALT))
    arrived = {event.venue: event.at_ns for event in happened(run, TransferArrived)}
    assert arrived == {"hyperliquid": day(3) - TICK_NS, "drift": only(run, VenueResumed).at_ns}
    assert balance(run, IN_TRANSIT.name) == 0


def test_what_arrives_at_a_halt_without_end_stays_on_its_way_and_at_a_failed_venue_goes_to_the_wallet():
    strategy = Script(start=OPENED, after={1: [Deposit("drift", 100.0)]})
    venues = [hyperliquid(), drift(bridge=SLOW)]
    run = play(flat(6), venues, strategy, incident("halt", day(2, 12), venue="drift"))
    assert (happened(run, TransferArrived), run.curve.transit_usd[-1]) == ([], 100.0)
    run = play(flat(6), venues, strategy, incident("failure", day(2, 12), venue="drift", loss_share=1.0))
    failed = only(run, TransferFailed)
    assert (failed.venue, failed.counterparty, failed.amount) == ("drift", "wallet", USDC.exact(100))


def test_a_failed_venue_loses_a_share_and_freezes_the_rest():
    """Margin 500 and 100 of unrealised profit at 90: 40 % of 600 are lost, 360 are in transit to the end."""
    strategy = Script(start=OPENED, after={4: EVERY})
    table = market([100.0, 100.0, 90.0, 90.0, 90.0, 90.0])
    run = play(
        table, [hyperliquid(), drift()], strategy, incident("failure", day(3, 16), venue="drift", loss_share=0.4)
    )
    failed = only(run, VenueFailed)
    assert (failed.at_ns, failed.price, failed.loss_share) == (day(3, 16), 90.0, 0.4)
    assert (failed.lost, failed.amount) == (USDC.exact(240), USDC.exact(360))
    assert float(waterfall(run).losses) == -240.0
    assert waterfall(run).unexplained == 0
    assert run.curve.equity_usd_by_venue["drift"][-1] == 0.0
    assert run.curve.transit_usd[-1] == 360.0
    assert run.curve.equity_usd[-1] == 10_000 + 200 - 240
    rejected = happened(run, Rejected)
    assert [each.order for each in rejected] == [str(each) for each in EVERY if each != Close("drift")]
    assert rejected[0].reason.startswith("drift has failed on 2025-01-04 16:00; expected a venue")


@pytest.mark.parametrize("kind", ["failure", "halt"])
def test_closing_nothing_is_no_event_where_a_venue_is_gone_either(kind):
    """As at any venue; what is still there cannot be closed at a halted one, and that is rejected."""
    told = {"loss_share": 0.4} if kind == "failure" else {}
    gone = incident(kind, day(2), venue="drift", **told)
    closing = {3: [Close("drift")]}
    for start in ([], OPENED):
        run = play(flat(6), [hyperliquid(), drift()], Script(start=start, after=closing), gone)
        held = bool(start) and kind == "halt"
        assert [each.order for each in happened(run, Rejected)] == [str(Close("drift"))] * held
        assert [each for each in happened(run, OrderFilled) if each.order == "close"] == []


def test_what_is_frozen_is_paid_when_the_scenario_says_so():
    """It reaches the wallet at that instant, and the strategy is woken."""
    failure = incident("failure", day(2), venue="drift", loss_share=0.5, paid=day(4, 6))
    run = play(flat(6), [drift()], Script(start=OPENED[1:]), failure)
    arrived = only(run, TransferArrived)
    assert (arrived.venue, arrived.counterparty, arrived.at_ns) == ("wallet", "drift", day(4, 6))
    assert arrived.amount == USDC.exact(250)
    assert arrived.cause == only(run, VenueFailed).event
    assert balance(run, CASH.name) == USDC.exact(9_750)
    assert balance(run, IN_TRANSIT.name) == 0


def test_a_lender_fails_with_collateral_and_loan():
    """What is lost is a share of the collateral's worth less the loan."""
    run = play(
        flat(4), [asgard()], Script(start=[Open("asgard", Side.LONG, 10.0, 400.0)]),
        incident("failure", day(2), venue="asgard", loss_share=1.0),
    )  # fmt: skip
    assert only(run, VenueFailed).lost == USDC.exact(400)
    assert float(waterfall(run).losses) == -400.0
    assert run.curve.equity_usd[-1] == 9_600.0


def test_an_account_that_owes_is_written_off():
    """A loan above the worth of its collateral is nobody's any more."""
    venue = asgard(liquidation_closes=False, maintenance_margin=0.0, liquidation_penalty=FREE)
    strategy = Script(start=[Open("asgard", Side.LONG, 10.0, 400.0)])
    run = play(
        market([100.0, 50.0, 50.0]), [venue], strategy, incident("failure", day(2), venue="asgard", loss_share=0.3)
    )
    failed = only(run, VenueFailed)
    assert (failed.lost, failed.amount) == (-USDC.exact(100), 0)


def test_a_venue_that_holds_nothing_fails_without_loss():
    """There is nothing to lose."""
    run = play(flat(4), [drift()], Script(), incident("failure", day(2), venue="drift", loss_share=1.0))
    assert (only(run, VenueFailed).lost, only(run, VenueFailed).amount) == (0, 0)


@pytest.mark.parametrize(("loss_share", "lost"), [(0.4, 0), (0.6, 1)])
def test_a_millionth_of_a_dollar_is_lost_or_is_not(loss_share, lost):
    """It is the least that there is, and is not halved."""
    failure = incident("failure", day(2), venue="drift", loss_share=loss_share)
    run = play(flat(4), [drift()], Script(start=[Deposit("drift", 0.000001)]), failure)
    assert (only(run, VenueFailed).lost, only(run, VenueFailed).amount) == (lost, 1 - lost)


def test_collateral_in_tokens_is_lost_too():
    """Tokens count at their own price."""
    table = dollar_market([100.0] * 4, rate=1.2)
    run = play(
        table, [jito(), collateral()], Script(start=[Open("drift", Side.SHORT, 10.0, 500.0)]),
        incident("failure", day(2), venue="drift", loss_share=1.0),
    )  # fmt: skip
    assert only(run, VenueFailed).lost == USDC.exact(500)


def test_a_passage_that_fails_returns_what_it_was_given():
    """Both ways, for the time; and then it gets through again."""
    strategy = Script(
        start=OPENED, after={2: [Deposit("drift", 10.0), Withdraw("drift", 20.0)], 4: [Deposit("drift", 30.0)]}
    )
    run = play(flat(6), [hyperliquid(), drift()], strategy, incident("transfer_failure", day(2, 12), **HALT))
    assert [(each.venue, each.counterparty) for each in happened(run, TransferFailed)] == [
        ("drift", "wallet"),
        ("wallet", "drift"),
    ]
    assert (only(run, IncidentBegan).incident, only(run, IncidentEnded).incident) == ("transfer_failure",) * 2
    assert balance(run, "Assets:Drift:Margin") == USDC.exact(530)


@pytest.mark.parametrize(("venue", "gas"), [(None, 20.0), ("asgard", 20.0), ("drift", 2.0)])
def test_gas_costs_a_multiple(venue, gas):
    """At the venue that is named, or everywhere."""
    venues = [asgard(gas_usd=2.0), drift()]
    strategy = Script(after={2: [Open("asgard", Side.LONG, 5.0, 400.0)]})
    run = play(flat(5), venues, strategy, incident("gas", day(2, 6), venue=venue, times=10.0, hours=24.0))
    assert balance(run, "Expenses:Asgard:Gas") == USDC.exact(round(gas))


def test_a_profitable_position_is_closed_in_part_at_the_mark():
    """The short has gained at 90, and half of it is closed; at 110 it has lost, and nothing happens."""
    half = incident("deleveraging", day(2), venue="hyperliquid", share=0.5)
    gained = play(market([100.0, 90.0, 90.0, 90.0]), [hyperliquid()], Script(start=OPENED[:1]), half)
    event = only(gained, Deleveraged)
    assert (event.price, event.size, event.amount) == (90.0, 5 * 10**9, USDC.exact(450))
    assert gained.curve.size_by_venue["hyperliquid"].tolist() == [-10.0, -10.0, -5.0, -5.0]
    assert gained.curve.equity_usd[-1] == 10_100.0
    lost = play(market([100.0, 110.0, 110.0, 110.0]), [hyperliquid()], Script(start=OPENED[:1]), half)
    assert not happened(lost, Deleveraged)


def test_a_frozen_oracle_stays_where_it_was():
    """At the last close before; low and high as well. The price moves on."""
    table = market(
        [100.0, 101.0, 90.0, 80.0, 85.0], low=[99.0, 99.0, 89.0, 79.0, 79.0], high=[101.0, 102.0, 102.0, 91.0, 86.0]
    )
    frozen = Incidents.of([incident("oracle_freeze", day(2, 3), venue="x", hours=48.0)], table, ["x"])
    found = disturbed(table, frozen, {"x": ("SOL",)})
    assert found["x.SOL.oracle"].tolist() == [100.0, 101.0, 101.0, 101.0, 85.0]
    assert found["x.SOL.oracle.low"].tolist() == [99.0, 99.0, 101.0, 101.0, 79.0]
    assert found["x.SOL.oracle.high"].tolist() == [101.0, 102.0, 101.0, 101.0, 86.0]
    assert found["close"].tolist() == table["close"].tolist()
    assert found.price_column("SOL", "low", "oracle", "x") == "x.SOL.oracle.low"
    assert found.price_column("SOL", "low", "oracle", "y") == "low"


@pytest.mark.parametrize("path", ["close", "adverse_first"])
def test_a_frozen_oracle_is_that_of_its_venue_alone(path):
    """The price doubles: Drift does not see it and liquidates nobody, unless it is another venue's oracle."""
    table = market([100.0, 100.0, 200.0, 100.0, 100.0])
    opened = Script(start=[Open("drift", Side.SHORT, 10.0, 500.0)])
    for stopped, liquidated in (("drift", False), ("hyperliquid", True)):
        freeze = incident("oracle_freeze", day(2, 3), venue=stopped, hours=48.0)
        run = play(
            table, [hyperliquid(), drift(liquidation_penalty=None, liquidation_buffer=0.02)], opened, freeze, path=path
        )
        assert bool(happened(run, Liquidated)) is liquidated
        assert {event.price > 100 for event in happened(run, Liquidated)} <= {True}


def test_funding_is_paid_on_the_oracle_that_the_venue_reads():
    """1 % of ten coins: at 100 where its own oracle stood, at 200 where another's did."""
    table = market([100.0, 100.0, 200.0], funding=[0.0, 0.0, 0.01])
    opened = Script(start=[Open("drift", Side.SHORT, 10.0, 5_000.0)])
    for stopped, paid in (("drift", 10.0), ("hyperliquid", 20.0)):
        freeze = incident("oracle_freeze", day(2, 3), venue=stopped)
        run = play(table, [hyperliquid(), drift(funding_price="oracle")], opened, freeze)
        assert balance(run, "Income:Drift:Funding") == USDC.exact(-paid)


def test_a_token_that_loses_its_peg_is_cheaper_for_a_time():
    """Its market price, not the coin's and not the pool's rate."""
    table = dollar_market([100.0] * 5, rate=1.2)
    coin = "JITOSOL"
    broken = Incidents.of([incident("depeg", day(2), hours=24.0, share=0.1, token=coin)], table, [])
    found = disturbed(table, broken, {})
    assert found["jitosol_close"].tolist() == pytest.approx([120.0, 120.0, 108.0, 120.0, 120.0])
    assert found["jitosol_open"].tolist() == pytest.approx([120.0, 120.0, 108.0, 120.0, 120.0])
    assert found["close"].tolist() == [100.0] * 5
    assert found["jitosol_rate_close"].tolist() == [1.2] * 5


def test_the_generator_is_the_published_one():
    """The first numbers of SplitMix64 from the seed 1234567, as its test vectors have them."""
    state, found = 1234567, []
    for _ in range(3):
        state, share = split_mix(state)
        found.append(share)
    expected = (6457827717110365317, 3203168211198807973, 9817491932198370423)
    assert found == [(number >> 11) * 2.0**-53 for number in expected]


def test_incidents_are_drawn_with_a_seed():
    """The same instants every time, others with another seed or for another incident; as often as is said."""
    table = flat(3650)

    def starts(seed, *before, per_year=4.0):
        drawn = Incident(kind="halt", venue="x", per_year=per_year, hours=6.0, seed=seed)
        return [
            each.start_ns
            for each in Incidents.of([*before, drawn], table, ["x"]).occurrences
            if each.number == len(before)
        ]

    other = incident("halt", day(5), venue="x", hours=1.0)
    assert starts(1) == starts(1) != starts(2)
    assert starts(1) != starts(1, other)
    assert 25 <= len(starts(1)) <= 58  # ten years at 4 a year, within three standard deviations
    gaps = np.diff(starts(3, per_year=100.0)) / NS_PER_DAY
    assert gaps.mean() == pytest.approx(3.65, rel=0.1)
    assert gaps.std() == pytest.approx(3.65, rel=0.15)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (
            {"kind": "quake", "at": "2025-01-05"},
            "incidents.0.kind: 'quake'; expected one of halt, failure, oracle_freeze, ",
        ),
        ({"kind": "halt", "at": "2025-01-05"}, "incidents.0: a halt without venue; expected venue"),
        (
            {"kind": "halt", "venue": "nobody", "at": "2025-01-05"},
            "incidents.0.venue: unknown venue 'nobody'; expected one of ",
        ),
        (
            {"kind": "halt", "venue": "drift", "at": "2031-01-05"},
            "at: 2031-01-05 is outside the market, which runs from 2025-01-01 to 2025-01-10 23:59; expected an in",
        ),
        ({"kind": "halt", "venue": "drift"}, "incidents.0: a halt with neither; expected at or per_year"),
        (
            {"kind": "halt", "venue": "drift", "at": "2025-01-05", "per_year": 1},
            "a halt with both; expected at or per_year",
        ),
        (
            {"kind": "halt", "venue": "drift", "at": "soon"},
            "'soon'; expected a date such as 2025-01-31 or an instant in UTC",
        ),
        (
            {"kind": "halt", "venue": "drift", "at": "2025-01-05", "share": 0.5},
            "a halt with share; expected venue and when",
        ),
        ({"kind": "halt", "venue": "drift", "at": "2025-01-05", "hours": 0}, "incidents.0.hours: 0.0; expected > 0.0"),
        (
            {"kind": "halt", "venue": "drift", "at": "2025-01-05", "until": "2025-01-04"},
            "until: 2025-01-04; expected an in",
        ),
        (
            {"kind": "halt", "venue": "drift", "per_year": 1, "until": "2025-01-04"},
            "a halt with until; expected it with at, ",
        ),
        (
            {"kind": "failure", "venue": "drift", "at": "2025-01-05"},
            "a failure without loss_share; expected venue, loss_sh",
        ),
        (
            {"kind": "failure", "venue": "drift", "at": "2025-01-05", "loss_share": 1.5},
            "incidents.0.loss_share: 1.5; expec",
        ),
        (
            {"kind": "failure", "venue": "drift", "at": "2025-01-05", "loss_share": 1, "paid": "2025-01-02"},
            "incidents.0.paid: 2025-01-02; expected an instant after 2025-01-05",
        ),
        (
            {"kind": "failure", "venue": "drift", "at": "2025-01-05", "loss_share": 1, "hours": 3},
            "a failure with an end; expected none, for it happens at once",
        ),
        (
            {"kind": "depeg", "token": "XYZ", "share": 0.1, "at": "2025-01-05"},
            "incidents.0.token: the market has no price of ",
        ),
        (
            {"kind": "deleveraging", "venue": "asgard", "share": 0.1, "at": "2025-01-05"},
            "incidents.0.venue: asgard closes no positions of itself; expected drift or hyperliquid",
        ),
        ({"kind": "halt", "venue": "drift", "at": "2025-01-05", "length": 3}, "incidents.0.length: unknown key; "),
    ],
)
def test_an_incident_that_cannot_be_is_one_line_and_nothing_runs(table, words):
    """The place and what would be right."""
    with pytest.raises(ScenarioError) as complaint:
        assemble(scenario(table))
    assert words in str(complaint.value)
    assert "\n" not in str(complaint.value)


def test_a_venue_fails_once():
    """A second failure is refused whenever it is to be, with the first; of those that are drawn the first counts."""
    first = {"kind": "failure", "venue": "drift", "at": "2025-01-05", "loss_share": 0.4}
    for at in ("2025-01-05", "2025-01-04", "2025-01-08"):
        with pytest.raises(ScenarioError) as complaint:
            assemble(scenario(first, {"kind": "gas", "at": "2025-01-02", "times": 2}, {**first, "at": at}))
        assert str(complaint.value) == (
            "incidents.2.venue: drift fails by incidents.0, and for good; expected one failure of a venue"
        )
    drawn = {"kind": "failure", "venue": "drift", "per_year": 500.0, "loss_share": 0.4}
    other = {**first, "venue": "hyperliquid"}
    assert len(assemble(scenario(first, drawn, other)).incidents.occurrences) > 3


@frozen(kw_only=True)
class Careful(Strategy):
    """A hedged pair that closes its long once a venue is in trouble, and takes out what it can when that is over."""

    short: str = "drift"

    def on_start(self, view):
        yield Open("asgard", Side.LONG, 20.0, 2_000.0)
        yield Open(self.short, Side.SHORT, 20.0, 2_000.0)

    def conditions(self):
        return (EveryRow(),)

    def on_event(self, event, view):
        if isinstance(event, VenueHalted | VenueFailed) and view.leg("asgard").size:
            yield Close("asgard")
        if isinstance(event, VenueResumed):
            yield Withdraw(self.short, 100.0)
        if isinstance(event, Ended):
            yield Close(self.short)


def scenario(*incidents, short="drift"):
    """Ten days of a hedged pair on the embedded data."""
    return Scenario.of(
        {
            "name": "incident",
            "capital_usd": 10_000,
            "market": {"start": "2025-01-01", "end": "2025-01-10", "embedded": "sol_daily"},
            "rulebook": {"class": "study"},
            "strategy": {"class": f"{__name__}:Careful", "short": short},
            "venues": {"asgard": {}, "drift": {}, "hyperliquid": {}},
            "incidents": list(incidents),
        }
    )


ALL = (
    {"kind": "halt", "venue": "drift", "at": "2025-01-03T10:00:00Z", "hours": 12},
    {"kind": "transfer_failure", "venue": "drift", "at": "2025-01-05", "until": "2025-01-06"},
    {"kind": "gas", "times": 4.0, "at": "2025-01-02T06:00:00Z", "hours": 3},
    {"kind": "oracle_freeze", "venue": "drift", "per_year": 60, "hours": 5, "seed": 4},
    {"kind": "deleveraging", "venue": "hyperliquid", "share": 0.3, "per_year": 300.0, "seed": 9},
    {
        "kind": "failure",
        "venue": "drift",
        "at": "2025-01-08T16:05:00Z",
        "loss_share": 0.6,
        "paid": "2025-01-09T12:00:00Z",
    },
    {"kind": "failure", "venue": "hyperliquid", "at": "2025-01-09T16:05:00Z", "loss_share": 0.25},
)


def test_a_scenario_with_incidents_is_its_own_table():
    """It can be written and read again, and has a digest of its own; without incidents that of before."""
    with_all = scenario(*ALL)
    assert Scenario.of(with_all.table()).digest == with_all.digest != scenario().digest
    assert "incidents" not in scenario().table()


@pytest.mark.slow
@pytest.mark.parametrize("short", ["drift", "hyperliquid"])
def test_an_audit_finds_the_incidents_of_a_run_again(short, tmp_path):
    """All kinds at once: what they moved is moved again, and what the log has is what the scenario says."""
    assembly = assemble(scenario(*ALL, short=short))
    run = assembly.simulation().run()
    kinds = {event.kind for event in run.single}
    assert {"VenueHalted", "VenueResumed", "VenueFailed", "IncidentBegan", "IncidentEnded"} <= kinds
    assert float(waterfall(run).losses) < 0
    folder = Folder(save(assembly, run, summarize(assembly, run), tmp_path))
    results = audit(folder, thorough=True, assembly=assembly)
    assert [(each.check, each.findings[:2], each.not_made) for each in results if not each.passed] == []
    other = evolve(assembly, incidents=Incidents())
    found = {each.check: each for each in audit(folder, thorough=True, assembly=other)}
    assert found["incidents"].findings[0].words.endswith("is of no incident of the scenario")
    without = Folder(
        save(assemble(scenario(short=short)), assemble(scenario(short=short)).simulation().run(), {}, tmp_path)
    )
    missing = {each.check: each for each in audit(without, thorough=True, assembly=assembly)}["incidents"]
    assert missing.findings[0].words.startswith("lacks the ")


def test_the_log_of_a_report_has_its_lines():
    """What happened, where, and what it cost."""
    assembly = assemble(scenario(*ALL))
    run = assembly.simulation().run()
    (log,) = [each for each in report(assembly, run, summarize(assembly, run)) if each.title == "Event log"]
    lines = {row[1]: row for row in log.rows}
    assert {"halted", "resumed", "failed", "gas", "gas is over", "transfer failure"} <= lines.keys()
    assert any(cell.startswith("lost ") and " USD, frozen " in cell for cell in lines["failed"])


@given(
    st.lists(st.tuples(st.integers(0, 9 * 24), st.integers(1, 60)), min_size=1, max_size=4),
    st.sampled_from([None, 1, 4]),
    st.floats(0.0, 86_400.0 * 2),
)
@settings(max_examples=25, deadline=None)
def test_money_never_moves_through_a_halted_venue(halts, count, latency_s):
    """Whatever is ordered, and whenever it arrives: in a halt no transfer of orders touches the venue's accounts."""
    orders = {
        row: [Deposit("drift", 50.0), Withdraw("drift", 10.0), Move("drift", "hyperliquid", 5.0)] for row in range(9)
    }
    venues = [hyperliquid(), drift(bridge=Bridge(latency_s=latency_s))]
    named = [
        incident("halt", START_NS + hour * NS_PER_HOUR, venue="drift", hours=float(hours)) for hour, hours in halts
    ]
    table = flat(10, funding=0.001)
    run = play(table, venues, Script(start=OPENED, after=orders), *named, rows_at_once=count)
    closed = Incidents.of(named, table, ["drift"]).closed
    for record in run.ledger:
        if "Drift" in record.debit + record.credit and record.kind != "funding":
            assert closed("drift", record.at_ns) is None
    assert waterfall(run).unexplained == 0
