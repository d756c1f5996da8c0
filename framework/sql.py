"""A saved run as views for SQL, in DuckDB: exact amounts, exact prices, read-only, and no file but the run's own.

Amounts are integers of atomic units; `units`, prices and dollars are DECIMALs, so that sums are exact. `script` gives
the same views for DuckDB alone, over the Parquet files where they lie.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pyarrow.dataset
from attrs import frozen

from framework.entries import TABLES, SavedBooks
from framework.errors import SqlError
from framework.market import price_column
from framework.units import USDC, Asset
from framework.valuation import EXPENSE_BUCKETS, INCOME_BUCKETS

if TYPE_CHECKING:
    import duckdb

WIDTH = 38
"""Digits of a DECIMAL."""
NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "DECIMAL", "FLOAT", "DOUBLE")
"""How the types of numbers begin."""
FETCHED = 4096
"""Rows of an answer that are in memory at a time."""

VIEWS = """
-- every account of the chart in each of its assets, and the bucket of the waterfall that it feeds
CREATE VIEW accounts AS
SELECT * FROM (VALUES
{chart}
) AS chart(number, account, asset, type, decimals, bucket);

-- one row per transfer: amount in atomic units, units of the asset as a DECIMAL; times in UTC
CREATE VIEW transfers AS
SELECT seq, make_timestamp(at_ns // 1000) AS time, at_ns, event, kind, debit, credit, asset, amount,
    CAST(amount AS DECIMAL({width}, 0)) * CASE asset {atoms} END AS units
FROM {ledger};

-- two rows per transfer: the debit side above zero, the credit side below
CREATE VIEW postings AS
SELECT seq, time, at_ns, event, kind, debit AS account, asset, CAST(amount AS HUGEINT) AS amount, units FROM transfers
UNION ALL
SELECT seq, time, at_ns, event, kind, credit, asset, -CAST(amount AS HUGEINT), -units FROM transfers;

CREATE VIEW events AS SELECT make_timestamp(at_ns // 1000) AS time, * FROM {events};

CREATE VIEW market AS SELECT make_timestamp(at_ns // 1000) AS time, * FROM {market};

CREATE VIEW equity AS SELECT make_timestamp(at_ns // 1000) AS time, * FROM {equity};

-- the close of each asset in each row of the market, the very decimals that were read
CREATE VIEW prices AS
{prices};

-- every account at the end: debits less credits, valued at the last close
CREATE VIEW balances AS
SELECT account, asset, type, coalesce(transfers, 0) AS transfers, coalesce(amount, 0) AS amount,
    coalesce(units, 0) AS units, price_usd, coalesce(units, 0) * price_usd AS value_usd
FROM accounts
LEFT JOIN (
    SELECT account, asset, count(*) AS transfers, sum(amount) AS amount, sum(units) AS units
    FROM postings GROUP BY account, asset
) USING (account, asset)
LEFT JOIN (
    SELECT asset, price_usd FROM prices WHERE row = (SELECT max(row) FROM market)
    UNION ALL SELECT 'USDC', CAST(1 AS DECIMAL({width}, {places}))
) USING (asset)
ORDER BY number;

-- what each account adds to its bucket, in USD: gains are positive, and all of it sums to the result of the run.
-- What moved is valued at the last close before it, or at the prices at which the run was opened.
CREATE VIEW waterfall AS
WITH quotes AS (
    SELECT at_ns, asset, price_usd FROM prices
    UNION ALL
    {opened}
), flows AS (
    SELECT account, asset, units * CAST(1 AS DECIMAL({width}, {places})) AS usd FROM postings WHERE asset = 'USDC'
    UNION ALL
    SELECT moved.account, moved.asset, moved.units * quotes.price_usd
    FROM (SELECT * FROM postings WHERE asset <> 'USDC') AS moved
    ASOF JOIN quotes ON moved.asset = quotes.asset AND moved.at_ns >= quotes.at_ns
)
SELECT bucket, account, asset,
    CASE WHEN type IN ('Assets', 'Liabilities') THEN value_usd - flow_usd ELSE -flow_usd END AS usd
FROM accounts
JOIN (SELECT account, asset, sum(usd) AS flow_usd FROM flows GROUP BY account, asset) USING (account, asset)
JOIN (SELECT account, asset, value_usd FROM balances) USING (account, asset)
WHERE bucket IS NOT NULL
ORDER BY number;
"""


@frozen
class Answer:
    """What a query gave: names of the columns, which of them are numbers, and the rows, once, as they are fetched.

    `label` is what a reader of any result must know about the data, or nothing.
    """

    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: Iterator[tuple[object, ...]]
    label: str


@contextmanager
def ask(run: Path, statement: str) -> Iterator[Answer]:
    """The answer to one SELECT over the views of a saved run; raises `SqlError` for what DuckDB cannot answer.

    The statement sees the run's folder and nothing else, and can change nothing.
    """
    duckdb = _duckdb()
    books = SavedBooks.open(run)
    with TemporaryDirectory(prefix="carrybook.") as spill, duckdb.connect(":memory:") as connection:
        for table in TABLES:
            books.file(table).close()
            connection.register(f"{table}_file", pyarrow.dataset.dataset(books.folder / f"{table}.parquet"))
        connection.execute(views(books, {table: f"{table}_file" for table in TABLES}))
        connection.execute(f"SET temp_directory = '{spill}'")
        for setting in ("python_enable_replacements", "enable_external_access"):
            connection.execute(f"SET {setting} = false")
        connection.execute("SET lock_configuration = true")
        try:
            _refuse_all_but_select(connection, statement)
            answer = connection.execute(statement)
            names = tuple(column[0] for column in answer.description)
            numeric = tuple(str(column[1]).startswith(NUMBERS) for column in answer.description)
            yield Answer(names, numeric, _fetched(answer), books.label)
        except duckdb.Error as error:
            raise _refused(error) from None


def script(run: Path) -> str:
    """The views of a saved run as a script for DuckDB alone; it reads the folder's files where they lie."""
    books = SavedBooks.open(run)
    files = {table: str((books.folder / f"{table}.parquet").resolve()).replace("'", "''") for table in TABLES}
    return views(books, {table: f"read_parquet('{file}')" for table, file in files.items()})


def views(books: SavedBooks, tables: dict[str, str]) -> str:
    """The statements that make the views, over relations that give the tables of the folder."""
    most = max(asset.decimals for asset in books.assets)
    places = min(books.price_places(), WIDTH - most)
    atoms = " ".join(
        f"WHEN {_text(asset.code)} THEN CAST({10**-asset.decimals:.{asset.decimals}f} AS DECIMAL({most + 1}, {most}))"
        for asset in books.assets
    )
    rows = [
        f"    ({number}, {_text(held.account)}, {_text(held.asset.code)}, {_text(held.root)}, {held.asset.decimals}, "
        f"{_text(bucket_of(held.account, held.asset))})"
        for number, held in enumerate(books.holdings.values())
    ]
    priced = [asset for asset in books.assets if asset != USDC]
    closes = {asset: price_column(books.columns("market"), asset) for asset in priced}
    opens = {asset: price_column(books.columns("market"), asset, books.opened_at()) for asset in priced}

    def quoted(at_ns: str, columns: dict[Asset, str], rows: str) -> str:
        none = (
            f"SELECT 0 AS row, 0 AS at_ns, '' AS asset, CAST(0 AS DECIMAL({WIDTH}, {places})) AS price_usd WHERE false"
        )
        return "\nUNION ALL\n".join(
            f"SELECT row, {at_ns} AS at_ns, {_text(asset.code)} AS asset, "
            f"CAST(CAST({_name(column)} AS VARCHAR) AS DECIMAL({WIDTH}, {places})) AS price_usd FROM market{rows}"
            for asset, column in columns.items()
        ) or none  # fmt: skip

    return VIEWS.format(
        chart=",\n".join(rows),
        width=WIDTH,
        places=places,
        atoms=atoms,
        prices=quoted("at_ns", closes, ""),
        opened=f"SELECT at_ns, asset, price_usd FROM ({quoted('0', opens, ' WHERE row = 0')})",
        **tables,
    )


def bucket_of(account: str, asset: Asset) -> str | None:
    """The bucket of the waterfall that an account feeds; None for capital and for dollars that are held."""
    root, leaf = account.partition(":")[0], account.rpartition(":")[2]
    match root:
        case "Income":
            return INCOME_BUCKETS.get(leaf, "other_income")
        case "Expenses":
            return EXPENSE_BUCKETS.get(leaf, "fees")
        case "Equity":
            return {"Trading": "execution", "Realised": "execution", "Accretion": "price_pnl"}.get(leaf)
        case _:
            return None if asset == USDC else "price_pnl"


def _duckdb() -> "duckdb":
    try:
        import duckdb  # noqa: PLC0415  (an extra, and nothing else needs it)
    except ImportError:
        raise SqlError("SQL needs DuckDB, which is not installed; expected pip install 'carrybook[sql]'") from None
    return duckdb


def _refuse_all_but_select(connection: "duckdb.DuckDBPyConnection", statement: str) -> None:
    statements = connection.extract_statements(statement)
    kinds = [each.type.name for each in statements]
    if len(kinds) != 1 or kinds[0] not in ("SELECT", "EXPLAIN"):
        found = f"{len(kinds)} statements" if len(kinds) != 1 else kinds[0]
        raise SqlError(f"SQL: {found}; expected one SELECT")


def _fetched(answer: "duckdb.DuckDBPyConnection") -> Iterator[tuple[object, ...]]:
    while rows := answer.fetchmany(FETCHED):
        yield from rows


def _refused(error: Exception) -> SqlError:
    words, _, _ = str(error).partition("\n\nLINE ")
    return SqlError(f"SQL: {' '.join(words.split())}")


def _text(value: str | None) -> str:
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'
