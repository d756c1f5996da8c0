"""SQL over a run's folder: exact views, one clear line for every mistake, and nothing that can be changed."""

import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from framework.money import BUCKETS
from framework.reports.sql import ask, views
from framework.run_folder.archive import Folder
from framework.run_folder.tables import EVENT_COLUMNS
from framework.valuation import decimal, equity, waterfall, waterfall_of
from tests.commands import carrybook
from tests.runs import EXAMPLES

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/exports.md"
VIEWS = {
    name: columns.split(", ")
    for name, columns in re.findall(r"^\| `(\w+)` \| [^|]+ \| `([^`]+)` \|$", PAGE.read_text(), re.MULTILINE)
}
"""View -> its columns, as the page has them."""


def answered(folder, select):
    """The rows of an answer."""
    with ask(Folder(folder), select) as answer:
        return list(answer.rows)


def rows(folder, select):
    """The rows that DuckDB finds in the views of a folder, without a process of its own for each question."""
    with duckdb.connect() as connection:
        connection.execute(views(Folder(folder)))
        return connection.execute(select).fetchall()


def refused(capsys, *arguments):
    """The one line with which the command is refused."""
    code, printed, complaint = carrybook(capsys, "sql", *arguments)
    assert (code, printed, complaint.count("\n")) == (2, "", 1)
    assert "Traceback" not in complaint
    return complaint.removeprefix("carrybook: ").rstrip("\n")


@pytest.fixture
def static(saved):
    """The folder of a short example."""
    return saved("static")[1]


@pytest.mark.slow
@pytest.mark.parametrize("view", VIEWS)
def test_an_answer_has_the_rows_of_a_view(static, view):
    """The process that answers gives what DuckDB finds by itself, value by value and type by type."""
    select = f"SELECT * FROM {view}"
    found = answered(static, select)
    assert found == rows(static, select)
    assert [list(map(type, row)) for row in found] == [list(map(type, row)) for row in rows(static, select)]


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_the_waterfall_in_sql_is_our_own_to_the_last_digit(saved, example):
    """The sums of the view by bucket are the exact waterfall, and their sum is the result."""
    run, folder = saved(example)
    steps = dict(waterfall(run).steps())
    found = dict(rows(folder, "SELECT bucket, sum(usd) FROM waterfall GROUP BY bucket"))
    assert {bucket: found.pop(bucket, 0) for bucket in BUCKETS} == {bucket: steps[bucket] for bucket in BUCKETS}
    assert not found
    assert rows(folder, "SELECT sum(usd) FROM waterfall") == [(steps["result"],)]


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_balances_in_sql_are_the_ledgers(saved, example):
    """Every account ends with the ledger's balance, in atomic and whole units, and all of it is worth the equity."""
    run, folder = saved(example)
    found = rows(folder, "SELECT account, asset, amount, units FROM balances")
    assert found == [
        (account.name, account.asset.code, atoms, account.asset.decimal(atoms))
        for account, atoms in run.ledger.balances().items()
    ]
    held = "SELECT sum(value_usd) FROM balances WHERE type IN ('Assets', 'Liabilities')"
    assert rows(folder, held) == [(equity(run),)]
    assert {type(units) for *_, units in found} == {Decimal}


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_transfers_in_sql_are_the_ledger(saved, example):
    """Transfers have the ledger's values in its order, postings both sides of each, which cancel by asset."""
    run, folder = saved(example)
    names = "seq, at_ns, event, kind, debit, credit, asset, amount"
    records = [
        (each.seq, each.at_ns, each.event, each.kind, each.debit, each.credit, each.asset, each.amount)
        for each in run.ledger
    ]
    assert rows(folder, f"SELECT {names} FROM transfers") == records
    decimals = {asset.code: asset for asset in run.ledger.assets}
    assert rows(folder, "SELECT units FROM transfers") == [
        (decimals[each.asset].decimal(each.amount),) for each in run.ledger
    ]
    sums = rows(folder, "SELECT asset, count(*), sum(amount), sum(units) FROM postings GROUP BY asset")
    assert sum(count for _, count, _, _ in sums) == 2 * len(records)
    assert {(amount, units) for _, _, amount, units in sums} == {(0, 0)}


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_prices_in_sql_are_those_that_were_read(saved, example):
    """The price of an asset in a row is the decimal with which the market's float is written."""
    run, folder = saved(example)
    for asset in Folder(folder).book.prices:
        column = run.market[run.market.price_column(asset)].tolist()
        found = rows(folder, f"SELECT price_usd FROM prices WHERE asset = '{asset.code}' ORDER BY row")
        assert [price for (price,) in found] == [Decimal(repr(price)) for price in column]


def test_prices_of_any_length_are_exact(saved, tmp_path):
    """Prices with all the digits of a float, and very small ones, value the books as our own do."""
    folder = shutil.copytree(saved("capital_rebalance")[1], tmp_path / "copied")
    path = folder / "market.parquet"
    market = pq.read_table(path)
    for name in ("open", "high", "low", "close"):
        odd = market[name].to_numpy() * 1.1
        odd[7] = 1.5e-7
        market = market.set_column(market.column_names.index(name), name, pa.array(odd))
    pq.write_table(market, path)
    found = rows(folder, "SELECT price_usd FROM prices WHERE asset = 'SOL' ORDER BY row")
    assert [price for (price,) in found] == [Decimal(repr(price)) for price in market["close"].to_pylist()]
    books = Folder(folder)
    worth = books.book.worth(books.records())
    steps = dict(waterfall_of(worth, books.capital).steps())
    assert all(
        total == steps[bucket] for bucket, total in rows(folder, "SELECT bucket, sum(usd) FROM waterfall GROUP BY ALL")
    )
    assert rows(folder, "SELECT sum(value_usd) FROM balances WHERE type = 'Assets' OR type = 'Liabilities'") == [
        (decimal(worth.equity()),)
    ]


def test_the_other_views_are_the_tables_of_the_folder(saved):
    """Events, market, equity and roll-forward have a row for each row of their table, and times in UTC."""
    run, folder = saved("euss")
    counts = "SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM market), (SELECT count(*) FROM equity)"
    assert rows(folder, counts) == [(len(run.events), len(run.market), len(run.market) + 2)]
    chart = rows(folder, "SELECT account, asset, decimals, bucket FROM accounts ORDER BY number")
    assert chart == [
        (account.name, account.asset.code, account.asset.decimals, account.bucket) for account in run.ledger.accounts
    ]
    last = "SELECT month, closing FROM roll_forward WHERE account = 'Income:Drift:Funding' ORDER BY month"
    assert rows(folder, last)[-1] == ("2024-05", -61251401496)
    first, end = rows(folder, "SELECT CAST(min(time) AS VARCHAR), CAST(max(time) AS VARCHAR) FROM transfers")[0]
    assert (first, end) == ("2022-11-05 00:00:00", "2024-05-05 23:59:59.999")


def test_the_page_names_every_view_and_its_columns(saved):
    """What docs/exports.md says of the views is what they are; of long ones it has the beginning."""
    _, folder = saved("euss")
    made = [name for (name,) in rows(folder, "SELECT view_name FROM duckdb_views() WHERE NOT internal")]
    assert sorted(VIEWS) == sorted(made)
    for view, columns in VIEWS.items():
        found = [name for name, *_ in rows(folder, f"DESCRIBE {view}")]
        assert columns == (found if columns[-1] != "..." else [*found[: len(columns) - 1], "..."]), view
    assert [name for name, *_ in rows(folder, "DESCRIBE events")] == ["time", *EVENT_COLUMNS]


def test_the_folder_is_usable_from_duckdb_alone(saved):
    """DuckDB reads the Parquet files as they lie, and the script of the views gives the same answers without us."""
    run, folder = saved("capital_rebalance")
    ledger = f"read_parquet('{folder}/ledger.parquet')"
    gains = "sum(CASE WHEN credit LIKE 'Income:%' THEN amount ELSE -amount END)"
    funding = f"SELECT {gains} FROM {ledger} WHERE kind = 'funding'"
    with duckdb.connect() as alone:
        assert alone.execute(funding).fetchone() == (int(waterfall(run).funding * 10**6),)
        alone.execute(views(Folder(folder)))
        for select in ("SELECT * FROM waterfall", "SELECT * FROM balances", "SELECT * FROM prices", "FROM transfers"):
            assert alone.execute(select).fetchall() == answered(folder, select)


def test_a_path_with_a_quote_is_read(saved, tmp_path):
    """A folder whose name has a quote and a space is as good as any."""
    folder = shutil.copytree(saved("static")[1], tmp_path / "the trader's run")
    assert rows(folder, "SELECT count(*) FROM transfers") == [(len(saved("static")[0].ledger),)]
    with duckdb.connect() as alone:
        alone.execute(views(Folder(folder)))


def test_a_table_is_printed_with_the_data_named(static, capsys):
    """Without a query the balances are shown; below stands what must be known about the data."""
    code, printed, complaint = carrybook(capsys, "sql", static)
    assert (code, complaint) == (0, "")
    assert "Assets:Wallet:Cash" in printed
    assert "10795.154800" in printed
    assert "SYNTHETIC" in printed
    code, printed, _ = carrybook(capsys, "sql", static, "SELECT range AS n, '[red]' AS words FROM range(1001)")
    assert "[red]" in printed
    assert printed.count("\n 999 ") == 1
    assert "\n 1000 " not in printed
    assert "The first 1,000 rows" in printed


def test_csv_has_exact_decimals(static, capsys):
    """CSV has the names of the columns, all decimals, and an empty cell for NULL."""
    select = "SELECT account, units, NULL AS nothing, 'a, \"b\"' AS words FROM balances LIMIT 2"
    _, printed, _ = carrybook(capsys, "sql", static, select, "--csv")
    assert list(csv.reader(io.StringIO(printed))) == [
        ["account", "units", "nothing", "words"],
        ["Assets:Wallet:Cash", "10795.154800000", "", 'a, "b"'],
        ["Equity:Capital", "-10000.000000000", "", 'a, "b"'],
    ]


def test_json_is_an_array_of_objects(static, capsys):
    """JSON has an object per row: decimals and times as text, NULL and what is no number as null, nothing if empty."""
    select = """SELECT amount, units, CAST(time AS VARCHAR) AS at, time, NULL AS nothing, 'nan'::DOUBLE AS nan,
        [1.5, 'inf'::DOUBLE] AS list, MAP {1.5: 2} AS map, {'a': 1::DECIMAL(4, 2)} AS struct FROM transfers LIMIT 2"""
    _, printed, _ = carrybook(capsys, "sql", static, select, "--json")
    assert json.loads(printed, parse_constant=pytest.fail)[0] == {
        "amount": 10_000_000_000,
        "units": "10000.000000000",
        "at": "2024-12-31 00:00:00",
        "time": "2024-12-31 00:00:00",
        "nothing": None,
        "nan": None,
        "list": [1.5, None],
        "map": {"1.5": 2},
        "struct": {"a": "1.00"},
    }
    assert carrybook(capsys, "sql", static, "SELECT 1 AS one WHERE false", "--json") == (0, "[]\n", "")
    assert "two columns are called one; expected a name of its own for each" in refused(
        capsys, static, "SELECT 1 AS one, 2 AS one", "--json"
    )


WRONG = {
    "SELECT unit FROM transfers": 'SQL: Binder Error: Referenced column "unit" not found',
    "SELECT * FROM ledger": "SQL: no view 'ledger'; expected one of accounts, transfers, postings, events, market",
    "SELECT * FROM transfer": "SQL: no view 'transfer'; did you mean transfers?",
    "SELEC": 'SQL: Parser Error: syntax error at or near "SELEC"',
    "": "SQL: 0 statements; expected one SELECT",
    "SELECT CAST(kind AS INTEGER) FROM transfers": "SQL: Conversion Error: Could not convert string 'capital'",
    "SELECT error('mine')": "SQL: Invalid Input Error: mine",
    "SELECT 1; SELECT 2": "SQL: 2 statements; expected one SELECT",
    "CREATE TABLE mine (a INTEGER)": "SQL: CREATE; expected one SELECT",
    "DROP VIEW transfers": "SQL: DROP; expected one SELECT",
    "INSERT INTO transfers SELECT * FROM transfers": "SQL: INSERT; expected one SELECT",
    "SET enable_external_access = true": "SQL: SET; expected one SELECT",
    "ATTACH 'other.db'": "SQL: ATTACH; expected one SELECT",
    "INSTALL httpfs": "SQL: LOAD; expected one SELECT",
    "COPY transfers TO 'stolen.csv'": "SQL: COPY; expected one SELECT",
    "SELECT * FROM read_text('/etc/hosts')": 'SQL: Permission Error: Cannot access file "/etc/hosts"',
    "SELECT * FROM 'manifest.json'": "SQL: ",
    "SELECT * FROM statement": "SQL: no view 'statement'; expected one of accounts, transfers, postings",
    "SELECT * FROM glob('*')": "SQL: Permission Error: Cannot access",
}


@pytest.mark.slow
@pytest.mark.parametrize("select", WRONG)
def test_a_query_that_cannot_be_answered_is_one_line(static, capsys, select, monkeypatch):
    """Mistakes, other statements and other files are refused in one line; the folder is as it was."""
    monkeypatch.chdir(static)
    before = {path.name: hashlib.sha256(path.read_bytes()).digest() for path in static.iterdir()}
    assert refused(capsys, static, select).startswith(WRONG[select])
    assert {path.name: hashlib.sha256(path.read_bytes()).digest() for path in static.iterdir()} == before


def test_settings_are_locked(static):
    """What keeps a query from other files cannot be switched on again."""
    names = ("lock_configuration", "enable_external_access", "python_enable_replacements")
    select = ", ".join(f"CAST(current_setting('{name}') AS BOOLEAN)" for name in names)
    assert answered(static, f"SELECT {select}") == [(True, False, False)]


SPILLING = """
import re, sys
from pathlib import Path
from framework.run_folder.archive import Folder
from framework.reports.sql import ask

with ask(Folder(Path(sys.argv[1])), sys.argv[2], 0.5) as answer:
    ((length,),) = answer.rows
most_kb = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
print(length, int(most_kb) * 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux", reason="reads the peak memory of a process from /proc, which only Linux has"
)
def test_what_does_not_fit_into_memory_is_spilled_and_removed(static, tmp_path):
    """Ten million distinct texts of 55 letters: the process is never larger than it may be, and no file is left."""
    select = "SELECT sum(length(t)) FROM (SELECT DISTINCT repeat(CAST(i AS VARCHAR), 8) AS t FROM range(10000000) r(i))"
    command = [sys.executable, "-c", SPILLING, str(static), select]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    length, most = map(int, done.stdout.split())
    assert length == 8 * (10 + sum(9 * 10 ** (digits - 1) * digits for digits in range(2, 8)))
    assert most < 500e6
    assert list(tmp_path.iterdir()) == []


def test_a_query_that_needs_more_memory_says_so(static, capsys):
    """A list of a hundred million numbers cannot be spilled: one line says what would help."""
    select = "SELECT list(i) FROM range(100000000) t(i)"
    complaint = refused(capsys, static, select, "--memory", "0.5")
    assert complaint == "SQL: needs more memory than 0.5 GB; expected --memory with more"


@pytest.mark.parametrize("memory", ["0.4", "nan", "inf"])
def test_too_little_memory_is_refused(static, capsys, memory):
    """What the process itself takes must fit."""
    assert refused(capsys, static, "--memory", memory) == f"SQL: memory of {memory} GB; expected 0.5 or more"


def test_forms_of_an_answer_exclude_each_other(static, capsys):
    """Two forms at once are refused."""
    assert "--json, --csv and --script exclude each other" in refused(capsys, static, "--json", "--csv")
    assert "--json, --csv and --script exclude each other" in refused(capsys, static, "--script", "--csv")


def test_a_folder_that_is_no_run_is_refused(saved, tmp_path, capsys):
    """A folder without a manifest, and one whose ledger is cut short, are named."""
    assert f"{tmp_path}: not a finished run" in refused(capsys, tmp_path, "SELECT 1")
    folder = shutil.copytree(saved("static")[1], tmp_path / "cut")
    path = folder / "ledger.parquet"
    path.write_bytes(path.read_bytes()[:1000])
    complaint = refused(capsys, folder, "SELECT 1")
    assert str(path) in complaint
    assert "expected the table as it was saved" in complaint


def test_without_duckdb_the_extra_is_named(static, capsys, monkeypatch):
    """Where DuckDB is not installed, one line says what to install; its script needs no DuckDB."""
    monkeypatch.setitem(sys.modules, "duckdb", None)
    assert refused(capsys, static) == ("SQL needs DuckDB, which is not installed; expected pip install '.[sql]'")
    assert carrybook(capsys, "sql", static, "--script")[1].count("CREATE VIEW") == len(VIEWS)
