"""Fetching from a real server on the loopback: the store holds the data complete, or is as it was."""

from pathlib import Path

import pytest

from framework.assembly import assemble
from framework.command_line import main
from framework.scenario import Scenario
from framework.store import Store
from tests import sources

ROOT = Path(__file__).parent.parent


@pytest.fixture
def store(tmp_path, monkeypatch):
    """An empty store, and the one that commands and scenarios use."""
    monkeypatch.setenv("CARRYBOOK_DATA", str(tmp_path / "data"))
    return Store(tmp_path / "data")


def carrybook(capsys, *arguments):
    """Run the command in this process; returns (exit code, stdout, stderr)."""
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return exit_.value.code or 0, printed.out, printed.err


SCENARIO = {
    "name": "stored",
    "capital_usd": 10_000,
    "market": {
        "start": "2025-01-01",
        "end": "2025-01-10",
        "prices": "hyperliquid:SOL:1d",
        "funding": {"hyperliquid": "hyperliquid:SOL:funding"},
    },
    "rulebook": {"class": "study"},
    "strategy": {"class": "tests.markets:Script"},
    "venues": {"hyperliquid": {}},
}


def test_a_fetch_fills_the_store_and_a_scenario_runs_on_it(store, capsys):
    """Candles and funding come page by page, and a scenario names them by their ids."""
    with sources.Host(sources.hyperliquid(sources.candles(10), sources.payments(10), page=100)) as host:
        code, printed, complaint = carrybook(
            capsys, "fetch", "hyperliquid", "--interval", "1d", "--from", "2025-01-01", "--to", "2025-01-10",
            "--base-url", host.url, "--haste", "0.001",
        )  # fmt: skip
    assert (code, complaint) == (0, "")
    assert "hyperliquid:SOL:1d: 10 new samples, 1 requests" in printed
    assert "hyperliquid:SOL:funding: 240 new samples, 3 requests" in printed
    assert store.ids() == ["hyperliquid:SOL:1d", "hyperliquid:SOL:funding"]
    market = assemble(Scenario.of(SCENARIO)).market
    rates = [float(row["fundingRate"]) for row in sources.payments(10)]
    days = [sum(rates[day * 24 : day * 24 + 24]) for day in range(10)]
    assert market["hyperliquid_funding_rate"].tolist() == pytest.approx(days, rel=1e-14)
    assert market.cell("hyperliquid_funding_rate", 1) == "hyperliquid:SOL:funding:25-48"
