"""A finished run in the hands of a forger: its tables edited, and as much sealed again as a careful one would.

Where a table has fewer rows than an edit asks for, they are counted around, so that an edit fits runs of any length.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from framework.audit import CHECKS, THOROUGH, Result, audit, result_name
from framework.ledger import links
from framework.run_folder.archive import Folder, roll_forward
from framework.run_folder.tables import ROLL_COLUMNS

Row = dict[str, Any]
NAMES = {result_name(check): check for check in (*CHECKS, *THOROUGH)}
"""What each check is called in its result -> the check."""


def made_alone(name: str, run: Path, data: Path | None = None) -> Result:
    """What one check finds, without the others."""
    check: Any = NAMES[name]
    alone = {"checks": (), "thorough_checks": (check,)} if check in THOROUGH else {"checks": (check,)}
    (result,) = audit(Folder(run), data, thorough=check in THOROUGH, **alone)
    return result


def nth(rows: Sequence[Row], place: int) -> Row:
    """The row of a place, counted around; raises `IndexError` where there is none."""
    if not rows:
        raise IndexError(place)
    return rows[place % len(rows)]


class Forgery:
    """A copy of a run's folder to be edited; every edit changes files only, `seal` makes them agree again."""

    def __init__(self, run: Path, copy: Path) -> None:
        shutil.copytree(run, copy)
        self.path = copy

    def move(self, name: str) -> None:
        """Give the folder another name."""
        self.path = self.path.rename(self.path.with_name(name))

    def rows(self, table: str) -> list[Row]:
        """The rows of a table."""
        rows: list[Row] = pq.read_table(self.path / f"{table}.parquet").to_pylist()
        return rows

    def write(self, table: str, rows: list[Row]) -> None:
        """Put these rows in the place of a table's."""
        path = self.path / f"{table}.parquet"
        schema = pq.read_schema(path)
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)

    def find(self, table: str, nth: int = 0, **values: object) -> int:
        """The index of the nth row that has these values; raises `IndexError` where none has them."""
        rows = self.rows(table)
        found = [at for at, row in enumerate(rows) if all(row[name] == value for name, value in values.items())]
        return found[nth % len(found) if found else nth]

    def at(self, table: str, place: int) -> int:
        """The index of the row of a place."""
        return place % len(self.rows(table))

    def change(self, table: str, at: int, **values: Any) -> Row:
        """Put values into a row and return it as it was; a callable gets the old value."""
        rows = self.rows(table)
        at %= len(rows)
        before = dict(rows[at])
        rows[at] |= {name: value(before[name]) if callable(value) else value for name, value in values.items()}
        self.write(table, rows)
        return before

    def entries(self, edit: Callable[[list[Row]], None]) -> None:
        """Edit the ledger's rows in place and number them again."""
        rows = self.rows("ledger")
        edit(rows)
        self.write("ledger", [row | {"seq": number} for number, row in enumerate(rows, start=1)])

    def json(self, name: str, edit: Callable[[dict[str, Any]], object]) -> None:
        """Edit a JSON file in place."""
        path = self.path / f"{name}.json"
        value = json.loads(path.read_text())
        edit(value)
        path.write_text(json.dumps(value, indent=1) + "\n")

    def seal_files(self) -> None:
        """Digest every file again, as anybody who can write the manifest would."""

        def edit(manifest: dict[str, Any]) -> None:
            for name in manifest["files"]:
                path = self.path / name
                if path.exists():
                    manifest["files"][name] = hashlib.sha256(path.read_bytes()).hexdigest()

        self.json("manifest", edit)

    def seal(self) -> None:
        """Make chain, counts, balances and roll-forward out of the transfers as they are now, and digest all files."""
        folder = Folder(self.path)
        chain = list(links(folder.manifest.ledger.chart.plain(), folder.records()))
        balances = [0] * len(folder.accounts)
        for batch in folder.records():
            for record in batch.tolist():
                _, _, amount, _, debit, credit, _ = record
                balances[debit] += amount
                balances[credit] -= amount
        lines = roll_forward(folder.accounts, folder.records())
        self.write("balances", [dict(zip(ROLL_COLUMNS, line, strict=True)) for line in lines])

        def edit(manifest: dict[str, Any]) -> None:
            manifest["ledger"] |= {"chain": chain, "digest": chain[-1], "balances": balances}
            manifest["counts"]["transfers"] = len(self.rows("ledger"))
            manifest["counts"]["events"] = len(self.rows("events"))

        self.json("manifest", edit)
        digest, counts = chain[-1], (len(self.rows("ledger")), len(self.rows("events")))
        self.json(
            "summary",
            lambda summary: summary.update(ledger_digest=digest, transfers=counts[0], events=counts[1]),
        )
        self.seal_files()
