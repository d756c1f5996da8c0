"""Signs, from the reply of a source to the books on disk: fetched, stored, named by a scenario, run by the command.

Funding above 0: longs pay shorts, so a short earns. Income above 0 is ours, debt above 0 is owed.
"""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from framework.data.store import Store
from tests import sources
from tests.commands import carrybook
from tests.sources import Host

DAYS = 10
WINDOW = ("--from", "2025-01-01", "--to", f"2025-01-{DAYS}")
HOURS = range(DAYS * 24)


@pytest.fixture
def store(tmp_path, monkeypatch):
    """An empty store, which the commands use, in a directory of its own."""
    monkeypatch.setenv("CARRYBOOK_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return Store.default()


def fetch(capsys, speak, source, *options):
    """Fetch all days by the command."""
    with Host(speak) as host:
        more = ("--base-url", host.url, "--wait-scale", "0.001")
        code, _, complaint = carrybook(capsys, "fetch", source, *options, *WINDOW, *more)
    assert (code, complaint) == (0, "")


def candles(capsys):
    """A coin at 100 USD on all days, and funding of nothing at all."""
    flat = sources.candles(DAYS, close=100.0, o="100", h="100", l="100")
    fetch(capsys, sources.hyperliquid(flat, []), "hyperliquid", "--interval", "1d")


def funding_of(sign):
    """Source -> what it says for rates of a sign, its options, its series."""
    premium = 0.0012 * sign
    rate = sources.hyperliquid_rate(premium)
    return {
        "hyperliquid": (
            sources.hyperliquid(
                sources.candles(DAYS, close=100.0, o="100", h="100", l="100"),
                [sources.payment(hour, premium=str(premium), fundingRate=str(rate)) for hour in HOURS],
            ),
            ("--interval", "1d"),
            "hyperliquid:SOL:funding",
        ),
        "drift": (
            sources.drift(
                [
                    sources.drift_record(hour, fundingRateShort=str(0.002 * sign), fundingRateLong=str(-0.5 * sign))
                    for hour in HOURS
                ]
            ),
            (),
            "drift:SOL-PERP:funding",
        ),
        "binance": (
            sources.binance([], [sources.binance_payment(hour, 0.0001 * sign) for hour in HOURS[::8]]),
            (),
            "binance:SOLUSDT:funding",
        ),
    }


def lending(capsys, source, earned, owed):
    """Fetch rates in percent a year by a source; returns the series of the coin and of the dollar."""
    if source == "defillama":
        rows = [sources.pool_sample(day, apyBase=earned, apyBaseBorrow=owed) for day in range(DAYS)]
        fetch(capsys, sources.defillama(rows), source)
        return "defillama:kamino-sol", "defillama:kamino-usdc"
    rates = {"supplyInterestAPY": earned / 100, "borrowInterestAPY": owed / 100}
    fetch(capsys, sources.kamino([sources.reserve_sample(hour, **rates) for hour in HOURS]), source)
    return "kamino:SOL", "kamino:USDC"


def books(capsys, text):
    """Run a scenario by the command; returns its summary and the transfers of its ledger as they lie on disk."""
    Path("signs.toml").write_text(text)
    code, printed, complaint = carrybook(capsys, "run", "signs.toml", "--json")
    assert (code, complaint) == (0, "")
    summary = json.loads(printed)
    assert summary["unexplained_usd"] == 0
    code, told, _ = carrybook(capsys, "audit", summary["run"], "--thorough")
    assert code == 0, told
    return summary, pq.read_table(Path(summary["run"]) / "ledger.parquet").to_pylist()


def opened(ledger, asset):
    """How much of an asset the first trade is of."""
    return next(row["amount"] for row in ledger if (row["kind"], row["asset"]) == ("trade", asset)) / 1e9


def pair(series, coin_rate, dollar_rate, source):
    """A long at Asgard against a short that is paid by a source."""
    return f"""
name = "signs"
capital_usd = 10_000

[market]
start = 2025-01-01
end = 2025-01-{DAYS}
prices = "hyperliquid:SOL:1d"

[market.funding]
{source} = "{series}"

[market.series]
sol_lending_apy = {{ series = "{coin_rate}", joining = "mean", rates = "effective" }}
usdc_borrowing_apy = {{ series = "{dollar_rate}", joining = "mean", rates = "effective" }}

[rulebook]
class = "study"

[strategy]
class = "static"
long = "asgard"
short = "hyperliquid"
leverage = 2.0

[venues.asgard]

[venues.hyperliquid]
funding_rate = "{source}_funding_rate"
"""


@pytest.mark.slow
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("source", ["hyperliquid", "drift", "binance"])
def test_a_short_earns_positive_funding_and_pays_negative(capsys, store, source, sign):
    """Each payment goes from the venue's income to what we hold there, or back, to the sum of the rates."""
    if source != "hyperliquid":
        candles(capsys)
    speak, options, series = funding_of(sign)[source]
    fetch(capsys, speak, source, *options)
    coin_rate, dollar_rate = lending(capsys, "kamino", 5.0, 8.0)
    summary, ledger = books(capsys, pair(series, coin_rate, dollar_rate, source))
    paid = [transfer for transfer in ledger if transfer["kind"] == "funding"]
    assert len(paid) == DAYS - 1
    ours, theirs = ("debit", "credit") if sign > 0 else ("credit", "debit")
    assert {transfer[theirs] for transfer in paid} == {"Income:Hyperliquid:Funding"}
    assert {transfer[ours].split(":")[0] for transfer in paid} == {"Assets"}
    rates = store.read(series)[1].columns["funding_rate"]
    assert (rates * sign > 0).all()
    assert summary["funding_usd"] * sign > 0
    opened_usd = opened(ledger, "SOL-PERP") * 100
    per_day = rates.sum() / DAYS
    assert summary["funding_usd"] == pytest.approx(opened_usd * per_day * (DAYS - 1), rel=1e-9, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["defillama", "kamino"])
def test_what_is_lent_earns_and_what_is_borrowed_is_owed(capsys, store, source):
    """Lending goes from income to the coins that we hold, interest from the loan, which grows, to expenses."""
    fetch(capsys, funding_of(1)["hyperliquid"][0], "hyperliquid", "--interval", "1d")
    coin_rate, dollar_rate = lending(capsys, source, 5.0, 8.0)
    summary, ledger = books(capsys, pair("hyperliquid:SOL:funding", coin_rate, dollar_rate, "hyperliquid"))
    moved = {
        (transfer["debit"], transfer["credit"], transfer["asset"])
        for transfer in ledger
        if "Lending" in transfer["credit"] + transfer["debit"] or "Interest" in transfer["credit"] + transfer["debit"]
    }
    assert moved == {
        ("Assets:Asgard:Collateral", "Income:Asgard:Lending", "SOL"),
        ("Expenses:Asgard:Interest", "Liabilities:Asgard:Loan", "USDC"),
    }
    interest = [transfer["amount"] for transfer in ledger if transfer["debit"] == "Expenses:Asgard:Interest"]
    earned = [transfer["amount"] for transfer in ledger if transfer["credit"] == "Income:Asgard:Lending"]
    assert len(interest) == len(earned) == DAYS - 1
    opened_usd = opened(ledger, "SOL") * 100
    assert sum(earned) / 1e9 * 100 == pytest.approx(opened_usd * (1.05 ** ((DAYS - 1) / 365) - 1), abs=1e-5)
    assert summary["carry_usd"] == pytest.approx(sum(earned) / 1e7 - sum(interest) / 1e6, abs=1e-4)


@pytest.mark.slow
def test_a_growing_pool_rate_is_our_income(capsys, store):
    """Each step of the rate goes from the pool's income to what our tokens are worth, through the short as well."""
    candles(capsys)
    fetch(capsys, sources.jito(DAYS), "jito")
    summary, ledger = books(
        capsys,
        f"""
name = "signs"
capital_usd = 100_000
entry = "first_open"

[market]
start = 2025-01-02
end = 2025-01-{DAYS}
prices = "hyperliquid:SOL:1d"
funding = "none"

[market.series]
jitosol_rate = "jito:pool_rate"

[strategy]
class = "strategies.margin_call:MarginCallDeleverage"
maintenance = 0.67
hedge = "units"
tolerance = 0.01

[fees]
swap = 0.005
rebalance = 0.00125
maintenance_per_year = 0.0003

[venues.jito]

[venues.drift]
taker_fee_bps = 0.0
maintenance_margin = 0.03
liquidation_penalty = {{ of = "notional", fraction = 0.025 }}
funding_rate = "funding_rate"
collateral = "JITOSOL"
""",
    )
    steps = [transfer for transfer in ledger if "Staking" in transfer["debit"] + transfer["credit"]]
    assert steps
    assert {transfer["credit"] for transfer in steps} == {"Income:Jito:Staking"}
    assert summary["staking_income_usd"] == pytest.approx(sum(t["amount"] for t in steps) / 1e9 * 100, abs=1e-4)
