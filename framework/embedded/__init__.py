"""Data sets that ship with the project: reconstructions through published figures, never the original files."""

from pathlib import Path

from attrs import frozen

from framework.readers import Raw, table
from framework.series import Series

HERE = Path(__file__).parent


@frozen
class Embedded:
    """A data set of the project, with the words that go wherever its results are shown."""

    file: str
    interval: str
    label: str

    def series(self) -> Series:
        """The data set as read from its file."""
        return table(Raw.read(HERE / self.file), interval=self.interval)


EMBEDDED = {
    "sol_daily": Embedded(
        file="sol_daily.csv",
        interval="1d",
        label=(
            "RECONSTRUCTION: SOL daily rows rebuilt through the study's printed prices and monthly mean rates; "
            "results resemble the study's and are not equal to them"
        ),
    )
}
"""Data set by the name that a scenario calls it."""
