"""Data sets that ship with the project, drawn at random or through published figures; never original files."""

from pathlib import Path

import numpy as np
from attrs import evolve, frozen

from framework.data.raw import Raw
from framework.data.readers import table
from framework.data.series import Series
from framework.errors import MarketError

HERE = Path(__file__).parent
NO_FUNDING = "none"
"""What a scenario calls a market in which nobody pays funding."""
FUNDING = "_funding_rate"


@frozen
class Embedded:
    """A data set of the project, with the words that go wherever its results are shown."""

    file: str
    interval: str
    label: str

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return HERE / self.file

    def series(self, funding: str | None = None) -> Series:
        """The data set as read from its file, with one of its fundings, or none, as the column `funding_rate`."""
        series = table(Raw.read(self.path), interval=self.interval)
        if funding is None:
            return series
        own = {name.removesuffix(FUNDING): column for name, column in series.columns.items() if name.endswith(FUNDING)}
        if funding == NO_FUNDING:
            chosen = np.zeros(len(series.time_ns))
        elif funding in own:
            chosen = own[funding]
        else:
            known = ", ".join([NO_FUNDING, *own])
            raise MarketError(f"market.funding: the embedded data have no {funding!r}; expected one of {known}")
        return evolve(series, columns={**series.columns, "funding_rate": chosen})


EMBEDDED = {
    "sol_daily": Embedded(
        file="sol_daily.csv",
        interval="1d",
        label=(
            "SYNTHETIC: SOL daily rows drawn at random through the study's printed prices, rates and event logs; "
            "`carrybook study` measures how far results are from the published ones"
        ),
    ),
    "pairs_hourly": Embedded(
        file="pairs_hourly.csv",
        interval="1h",
        label="SYNTHETIC: prices and funding of SOL and BTC by the hour, drawn at random; nothing in them is history",
    ),
    "crash_5m": Embedded(
        file="crash_5m.csv",
        interval="5m",
        label="SYNTHETIC: five-minute rows of SOL drawn to fall as it did on 2025-10-10; nothing in them is history",
    ),
    "failure_1h": Embedded(
        file="failure_1h.csv",
        interval="1h",
        label="SYNTHETIC: a quiet fortnight of SOL by the hour, drawn at random; nothing in it is history",
    ),
    "uss_daily": Embedded(
        file="uss_daily.csv",
        interval="1d",
        label=(
            "RECONSTRUCTION: SOL and jitoSOL daily rows on straight lines, in weekly steps, between the few prices and "
            "pool rates that are published; volatility, drawdown and margin calls are those of straight lines, no "
            "history"
        ),
    ),
}
"""Data set by the name that a scenario calls it."""
