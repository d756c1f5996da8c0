"""The study's own files through a server, the store and the commands: the same rows and the same results as read."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from framework.assembly import assemble
from framework.scenario import Scenario
from tests import sources
from tests.commands import carrybook
from tests.sources import Host

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "capital_rebalance" / "scenario.toml"
STORED = """
prices = { series = "hyperliquid:SOL:1d", fill = "drop" }

[market.funding]
hyperliquid = { series = "hyperliquid:SOL:funding", fill = "drop" }
drift = { series = "drift:SOL-PERP:funding", fill = "drop" }

[market.series]
sol_lending_apy = { series = "defillama:kamino-sol", fill = "drop" }
usdc_borrowing_apy = { series = "defillama:kamino-usdc", fill = "drop" }
"""


def drift_records(days):
    """The study's daily sums as one record at noon, at a price of 1; the raw hourly records are not among its files."""
    for day in days:
        ts = int(np.datetime64(f"{day['date']}T12:00:00").astype("datetime64[s]").astype(int))
        rate = repr(day["rate"]) if "." in repr(day["rate"]) else f"{day['rate']:.20f}"
        yield {"ts": ts, "fundingRateShort": rate, "fundingRateLong": rate, "oraclePriceTwap": "1.0"}


def host(data):
    """The files as their sources would give them."""
    read = {
        path.stem: json.loads(path.read_text()) for path in data.glob("*.json") if not path.stem.startswith("asgard")
    }
    speak_drift = sources.drift(list(drift_records(read["drift_sol_funding_history"])))
    speak_hyperliquid = sources.hyperliquid(read["sol_daily_candles"], read["sol_funding_history"])
    pools = {"525b2dab": read["kamino_sol_lending_rates"], "d2141a59": read["kamino_usdc_borrowing_rates"]}

    def speak(asked):
        if asked.method == "POST":
            return speak_hyperliquid(asked)
        if "fundingRates" in asked.path:
            return speak_drift(asked)
        return {"data": pools[asked.path.split("/")[-1][:8]]}

    return Host(speak)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [(), ("strategy.short=drift", "strategy.leverage=2", "strategy.trigger=4")])
def test_the_store_gives_what_the_files_give(study_data, stored, capsys, tmp_path, settings):
    """410 rows, every cell of every column, and the same ledger to the last transfer."""
    lines = EXAMPLE.read_text().replace('embedded = "sol_daily"\n', "")
    head, _, tail = lines.partition("[market.sources]")
    tail = tail[tail.index("[rulebook]") :]
    scenario = tmp_path / "stored.toml"
    scenario.write_text(head + STORED + tail)
    of_files = assemble(Scenario.load(EXAMPLE, settings), study_data)
    of_store = assemble(Scenario.load(scenario, settings))
    assert len(of_store.market) == 410
    assert of_store.market.open_ns.tolist() == of_files.market.open_ns.tolist()
    for name, column in of_files.market.columns.items():
        assert of_store.market[name].tolist() == column.tolist(), name
    assert of_store.simulation().run().ledger.digest == of_files.simulation().run().ledger.digest


@pytest.fixture(scope="module")
def stored(study_data, tmp_path_factory):
    """A store with the study's files, fetched by the commands."""
    data = tmp_path_factory.mktemp("store")
    before = os.environ.get("CARRYBOOK_DATA")
    os.environ["CARRYBOOK_DATA"] = str(data)
    try:
        with host(study_data) as serving:
            _fetch_all(serving.url)
        yield data
    finally:
        os.environ.pop("CARRYBOOK_DATA")
        if before is not None:
            os.environ["CARRYBOOK_DATA"] = before


def _fetch_all(url):
    from framework.command_line.cli import main

    for source, *options in (("hyperliquid", "--interval", "1d"), ("drift", "--as-given"), ("defillama",)):
        with pytest.raises(SystemExit) as exit_:
            main(
                [
                    "fetch",
                    source,
                    *options,
                    "--from",
                    "2024-12-31",
                    "--to",
                    "2026-02-13",
                    "--base-url",
                    url,
                    "--wait-scale",
                    "0",
                ]
            )
        assert not exit_.value.code


@pytest.mark.slow
def test_the_run_of_stored_series_passes_its_audit(stored, capsys, tmp_path, study_data):
    """The command runs it, names the rules for gaps in its report, and the thorough audit reads the store again."""
    scenario = tmp_path / "stored.toml"
    scenario.write_text(
        'name = "stored"\ncapital_usd = 10_000\n\n[market]\nstart = 2025-01-01\nend = 2026-02-12\n'
        'prices = "hyperliquid:SOL:1d"\n\n[market.funding]\nhyperliquid = "hyperliquid:SOL:funding"\n\n'
        '[market.series]\nsol_lending_apy = { series = "defillama:kamino-sol", rates = "effective" }\n'
        'usdc_borrowing_apy = "defillama:kamino-usdc"\n\n[rulebook]\nclass = "study"\n\n'
        '[strategy]\nclass = "static"\nlong = "asgard"\nshort = "hyperliquid"\nleverage = 2.0\n\n'
        "[venues.asgard]\n\n[venues.hyperliquid]\n"
    )
    code, printed, complaint = carrybook(capsys, "run", scenario, "--out", tmp_path / "runs")
    assert (code, complaint) == (0, "")
    assert "refuse" in printed
    (run,) = (tmp_path / "runs").iterdir()
    code, printed, _ = carrybook(capsys, "audit", run, "--thorough")
    assert code == 0, printed
