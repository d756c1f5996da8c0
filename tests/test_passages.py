"""The passages of money: what they cost by date, direction and sum, how long they take, and when they fail."""

import pytest
from attrs import evolve, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from framework import (
    Bridge,
    Deposit,
    Move,
    Open,
    OrderFilled,
    Rejected,
    Scenario,
    Side,
    TransferArrived,
    TransferFailed,
    TransferSent,
    Withdraw,
    assemble,
    waterfall,
)
from framework.audit import audit
from framework.clock import NS_PER_DAY, NS_PER_SECOND
from framework.performance import summarize
from framework.rulebook.rules import Dated, rules_of
from framework.run_folder.archive import Folder, save
from framework.scenario import place
from framework.venue import Way
from tests.markets import START_NS, Script, asgard, balance, drift, flat, happened, hyperliquid, play
from tests.runs import ROOT
from venues.protocol import Protocol

REAL = Bridge(
    sender_share=1.0,
    outbound=Way(fee_usd=1.0, gas_usd=0.3, fee_bps=1.3, latency_s=360.0),
    inbound=Way(gas_usd=0.5, fee_bps=1.0, latency_s=90.0, minimum_usd=5.0),
)
"""To and from Hyperliquid as it was in the summer of 2025."""


def paid(run):
    """What all passages cost, USD."""
    return balance(run, "Expenses:Bridge:Fee") / 1e6


def test_each_direction_has_its_fee_its_time_and_its_least():
    """2,000 USD in cost 0.50 and a basis point and take 90 s; 1,000 out cost 1.30 and 1.3, and take six minutes."""
    script = Script(
        start=[Deposit("hyperliquid", 2_000.0), Deposit("hyperliquid", 4.99)],
        after={0: [Withdraw("hyperliquid", 1_000.0)]},
    )
    run = play(flat(3), [hyperliquid(bridge=REAL)], script)
    sent, arrived = happened(run, TransferSent), happened(run, TransferArrived)
    assert [each.fee for each in sent] == [700_000, 1_430_000]
    assert [each.fee for each in arrived] == [0, 0]
    waits = [later.at_ns - earlier.at_ns for earlier, later in zip(sent, arrived, strict=True)]
    assert waits == [90 * NS_PER_SECOND, 360 * NS_PER_SECOND]
    (rejected,) = happened(run, Rejected)
    assert rejected.reason == "amount_usd is 4.99; expected at least the 5 USD that its way takes"
    assert paid(run) == 0.7 + 1.43
    assert waterfall(run).unexplained == 0


def test_the_rules_of_the_day_on_which_money_leaves_hold_for_all_of_its_way():
    """Sent on the last day of the dear and slow way: it costs and takes what it did when it left."""
    day = START_NS + 2 * NS_PER_DAY
    way = Way(fee_bps=Dated([0, day], [10.0, 1.0]), latency_s=Dated([0, day], [36 * 3_600.0, 60.0]))
    bridge = Bridge(sender_share=0.0, inbound=way, outbound=Way())
    orders = {0: [Deposit("hyperliquid", 1_000.0)], 2: [Deposit("hyperliquid", 1_000.0)]}
    run = play(flat(5), [hyperliquid(bridge=bridge)], Script(after=orders))
    sent, arrived = happened(run, TransferSent), happened(run, TransferArrived)
    told = {each.cause: (each.fee, each.at_ns) for each in arrived}
    assert [told[each.event][0] for each in sent] == [1_000_000, 100_000]
    waits = [told[each.event][1] - each.at_ns for each in sent]
    assert waits == [36 * 3_600 * NS_PER_SECOND, 60 * NS_PER_SECOND]


@pytest.mark.parametrize("latency_s", [0.0, 36 * 3_600.0])
@pytest.mark.parametrize(
    "order",
    [
        Deposit("hyperliquid", 2.99),
        Move("drift", "hyperliquid", 2.99),
        Deposit("asgard", 2.99),
        Withdraw("asgard", 2.99),
        Withdraw("hyperliquid", 2.99),
    ],
    ids=str,
)
def test_money_that_does_not_pay_for_its_arrival_is_rejected(order, latency_s):
    """It left a margin below zero, a loan on nothing, or took what a position needs; a cent more is taken."""
    bridge = Bridge(fee_usd=3.0, sender_share=0.0, latency_s=latency_s)
    venues = [hyperliquid(bridge=bridge), drift(), asgard(bridge=bridge, overpayment="earns_borrowing_rate")]
    start = [
        Deposit("drift", 100.0),
        Deposit("hyperliquid", 100.0),
        Open("asgard", Side.LONG, 1.0, 50.0),
    ]
    opened = play(flat(6), venues, Script(start=start))
    run = play(flat(6), venues, Script(start=start, after={2: [order]}))
    (rejected,) = happened(run, Rejected)
    assert rejected.reason == "amount_usd is 2.99; expected at least the 3 USD that arriving costs"
    assert run.ledger.digest == opened.ledger.digest
    enough = play(flat(6), venues, Script(start=start, after={2: [evolve(order, amount_usd=3.0)]}))
    assert happened(enough, Rejected) == []
    assert paid(enough) == paid(opened) + 3.0


amounts = st.integers(20_000_000, 4 * 10**9).map(lambda atoms: atoms / 1e6)
PAYS_ITS_WAY = 15.0
"""What no fees of two ways together come to on so much, USD."""
fees = st.builds(
    Way,
    fee_usd=st.integers(0, 5_000_000).map(lambda atoms: atoms / 1e6),
    fee_bps=st.sampled_from([0.0, 0.01, 1.0, 1.3, 8.0, 33.3]),
    gas_usd=st.integers(0, 500_000).map(lambda atoms: atoms / 1e6),
)
bridges = st.builds(Bridge, inbound=fees, outbound=fees, sender_share=st.sampled_from([0.0, 0.5, 1.0]))


@settings(max_examples=25)
@given(bridges, bridges, amounts, st.integers(1, 99))
def test_two_orders_never_cost_less_than_one(near, far, amount_usd, percent):
    """A move in two parts, and one by way of the wallet, cost at least what the whole does."""
    first = round(amount_usd * percent / 100, 6)
    rest = round(amount_usd - first, 6)

    def cost(*orders):
        venues = [hyperliquid(bridge=near), drift(bridge=far)]
        started = [Deposit("hyperliquid", 8_000.0), *orders]
        run = play(flat(2), venues, Script(start=started))
        assert happened(run, Rejected) == []
        assert waterfall(run).unexplained == 0
        return balance(run, "Expenses:Bridge:Fee")

    whole = cost(Move("hyperliquid", "drift", amount_usd))
    by_the_wallet = cost(Withdraw("hyperliquid", amount_usd), Deposit("drift", amount_usd))
    assert by_the_wallet >= whole
    if min(first, rest) >= PAYS_ITS_WAY:
        assert cost(Move("hyperliquid", "drift", first), Move("hyperliquid", "drift", rest)) >= whole


@settings(max_examples=15)
@given(st.integers(1, 3 * 86_400), st.integers(100, 3_000))
def test_money_on_its_way_is_nobodys_margin(latency_s, amount_usd):
    """Until it arrives it is in transit: no leg has it, and the equity of all does not change but for the fee."""
    seen = []

    @frozen
    class Looks(Script):
        def on_event(self, event, view):
            legs = [view.leg(name) for name in ("hyperliquid", "drift")]
            margins = sum(each.margin_usd for each in legs), sum(each.free_usd for each in legs)
            seen.append((view.at_ns, *margins, view.transit_usd, view.cash_usd, view.equity_usd))
            return super().on_event(event, view)

    bridge = Bridge(latency_s=float(latency_s), fee_usd=1.0, sender_share=1.0)
    start = [Deposit("drift", 5_000.0), Move("drift", "hyperliquid", float(amount_usd))]
    run = play(flat(5), [hyperliquid(bridge=bridge), drift()], Looks(start=start, after={0: [], 1: [], 2: [], 3: []}))
    (sent,), (arrived,) = happened(run, TransferSent), happened(run, TransferArrived)
    assert arrived.at_ns - sent.at_ns == latency_s * NS_PER_SECOND
    for at_ns, margin, free, transit, cash, equity in seen:
        on_its_way = amount_usd if at_ns < arrived.at_ns else 0
        assert (transit, cash) == (on_its_way, 5_000)
        assert margin == free == 4_999 - on_its_way
        assert equity == 9_999


def test_what_failed_can_be_sent_again():
    """The fee on leaving is lost each time; the money is back before it is sent again."""
    fails = Dated([0, START_NS + NS_PER_DAY], [True, False])
    bridge = Bridge(fee_usd=2.0, sender_share=1.0, fails=fails, latency_s=60.0)
    orders = {0: [Deposit("hyperliquid", 1_000.0)]}

    @frozen
    class Retries(Script):
        def on_event(self, event, view):
            if isinstance(event, TransferFailed):
                assert view.cash_usd == 9_998.0
                return [Deposit(event.venue, event.amount / 1e6)]
            return super().on_event(event, view)

    early = Dated([0, START_NS + NS_PER_DAY + 30 * NS_PER_SECOND], [True, False])
    run = play(flat(4), [hyperliquid(bridge=Bridge(2.0, 60.0, 1.0, early))], Retries(after=orders))
    assert fails.at(START_NS) is True
    assert bridge.way(into=True).latency_s == 60.0
    assert [each.kind for each in run.single if "Transfer" in each.kind] == [
        "TransferSent", "TransferFailed", "TransferSent", "TransferArrived",
    ]  # fmt: skip
    assert paid(run) == 4.0
    assert run.curve.equity_usd_by_venue["hyperliquid"][-1] == 1_000.0


def test_a_passage_pays_for_gas_what_gas_costs():
    """Tenfold gas makes its part of the fee tenfold, and no other."""
    scenario = {
        "name": "gas",
        "capital_usd": 1_000,
        "market": {"start": "2025-01-01", "end": "2025-01-10", "embedded": "sol_daily"},
        "strategy": {"class": f"{__name__}:Sends"},
        "venues": {
            "hyperliquid": {
                "taker_fee_bps": 0.0,
                "maintenance_margin": 0.05,
                "liquidation_penalty": {"of": "equity", "fraction": 0.5},
                "bridge": {"fee_usd": 1.0, "gas_usd": 0.5, "fee_bps": 10.0},
            }
        },
    }
    spike = {"kind": "gas", "at": "2025-01-01", "until": "2025-01-05", "times": 10.0}
    runs = [assemble(Scenario.of(scenario | more)).simulation().run() for more in ({}, {"incidents": [spike]})]
    assert [paid(run) for run in runs] == [1.0 + 0.5 + 0.1, 1.0 + 5.0 + 0.1]


class Sends(Script):
    """It sends 100 USD and no more."""

    def on_start(self, view):
        return [Deposit("hyperliquid", 100.0)]


def test_an_audit_finds_what_waited_for_a_halted_venue(tmp_path):
    """Twelve hours on its way, and two halts, one after the other, in which it could not arrive."""
    halts = [
        {"kind": "halt", "venue": "hyperliquid", "at": "2025-01-02T06:00:00Z", "hours": 24.0},
        {"kind": "halt", "venue": "hyperliquid", "at": "2025-01-03T05:00:00Z", "hours": 10.0},
    ]
    rules = {"taker_fee_bps": 0.0, "maintenance_margin": 0.05, "liquidation_penalty": {"of": "equity", "fraction": 0.5}}
    scenario = {
        "name": "waits",
        "capital_usd": 1_000,
        "market": {"start": "2025-01-01", "end": "2025-01-10", "embedded": "sol_daily"},
        "strategy": {"class": f"{__name__}:Sends"},
        "venues": {"hyperliquid": rules | {"bridge": {"fee_usd": 1.0, "latency_s": 43_200.0}}},
        "incidents": halts,
    }
    assembly = assemble(Scenario.of(scenario))
    run = assembly.simulation().run()
    (arrived,) = happened(run, TransferArrived)
    assert arrived.at_ns == START_NS + 2 * NS_PER_DAY + 15 * 3_600 * NS_PER_SECOND
    folder = Folder(save(assembly, run, summarize(assembly, run), tmp_path))
    assert [each for each in audit(folder, thorough=True, assembly=assembly) if not each.passed] == []


@pytest.mark.slow
def test_the_passages_of_the_protocols_are_those_of_their_days(tmp_path):
    """A pair under the protocols' rulebook pays them, and a thorough audit finds the same sums."""
    rules = rules_of("venues", "passages")
    november, january = (
        {key: rule.at(START_NS + day * NS_PER_DAY).value for key, rule in rules.items()} for day in (310, 1)
    )
    assert (january["outbound.latency_s"], january["outbound.fee_bps"]) == (1_200.0, 0.0)
    assert (november["outbound.latency_s"], november["inbound.fee_bps"]) == (240.0, 1.0)
    chosen = ["strategy.leverage=2.0", "strategy.trigger=2.2", "market.start=2025-05-20", "market.end=2025-07-20"]
    scenario = Scenario.load(ROOT / "examples" / "capital_rebalance" / "scenario.toml", chosen)
    table = {f"bridge.{key}": rule.setting() for key, rule in rules.items()}
    nested = {}
    for key, setting in rules.items():
        place(nested, key, setting.setting())
    changed = evolve(scenario, venues={"asgard": {}, "hyperliquid": {"bridge": nested}})
    assembly = assemble(changed)
    run = assembly.simulation().run()
    sent = happened(run, TransferSent)
    assert {(each.venue, each.fee) for each in sent} == {("hyperliquid", 1_000_000), ("asgard", 0)}
    assert len({(each.counterparty, each.fee) for each in happened(run, TransferArrived)}) > 2
    assert waterfall(run).unexplained == 0
    folder = Folder(save(assembly, run, summarize(assembly, run), tmp_path))
    assert [each for each in audit(folder, thorough=True) if not each.passed] == []
    assert {key for key in Protocol().rules("hyperliquid", {}) if key.startswith("bridge.")} == set(table)


@pytest.mark.parametrize(("source", "fees"), [("hyperliquid", (1.0, 0.35)), ("drift", (0.0, 0.72))])
def test_each_fee_is_paid_where_it_falls(source, fees):
    """Hyperliquid's dollar is paid there, gas and basis points of the bridge by who receives: 10 bps of $50."""
    ways = {"outbound": Way(fee_usd=1.0, gas_usd=0.3, fee_bps=10.0), "inbound": Way(gas_usd=0.22, fee_bps=100.0)}
    made = hyperliquid(bridge=Bridge(sender_share=1.0, sender_gas_share=0.0, **ways))
    start = [Deposit("drift", 500.0), Deposit("hyperliquid", 500.0)]
    target = {"hyperliquid": "drift", "drift": "hyperliquid"}[source]
    run = play(flat(2), [made, drift()], Script(start=[*start, Move(source, target, 50.0)]), capital_usd=2_000.0)
    told = happened(run, TransferSent) + happened(run, TransferArrived)
    assert tuple(each.fee / 1e6 for each in told) == fees


def test_an_order_that_is_filled_at_once_pays_the_same():
    """A deposit without a delay is one entry, with the whole fee."""
    bridge = Bridge(fee_usd=1.0, fee_bps=10.0, gas_usd=0.5, minimum_usd=5.0)
    start = [Deposit("hyperliquid", 1_000.0), Deposit("hyperliquid", 1.0), Open("hyperliquid", Side.SHORT, 1.0, 0.0)]
    run = play(flat(2), [hyperliquid(bridge=bridge)], Script(start=start))
    filled = [each for each in happened(run, OrderFilled) if each.order == "deposit"]
    assert [each.fee for each in filled] == [2_500_000]
    assert len(happened(run, Rejected)) == 1


def test_a_bridge_of_the_scenarios_own_replaces_the_passages():
    """A flat fee is the whole fee, and no direction keeps a rule that was not asked for."""
    assert not [key for key in Protocol().rules("hyperliquid", {"bridge": {"fee_usd": 3.0}}) if "bridge" in key]
