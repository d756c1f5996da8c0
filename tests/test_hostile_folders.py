"""The folder of a run that somebody else sent: whatever is in it, one line and exit code 2, and little memory."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from framework.errors import RunError
from framework.run_folder.archive import Folder
from framework.run_folder.manifest import JSON_BYTES
from tests.commands import refused
from tests.runs import run_and_save


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return run_and_save("static", tmp_path_factory.mktemp("runs"))[1]


@pytest.fixture
def sent(run, tmp_path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "sent"))


COMMANDS: dict[str, Callable[[Path], list[object]]] = {
    "audit": lambda folder: ["audit", folder, "--thorough"],
    "explain": lambda folder: ["explain", folder, "funding"],
    "ledger": lambda folder: ["ledger", folder],
    "sql": lambda folder: ["sql", folder],
    "export": lambda folder: ["export", folder, "--format", "csv", "--out", folder / "out"],
}


def _put(*path: object, value: object) -> Callable[[dict[str, Any]], None]:
    def edit(manifest: dict[str, Any]) -> None:
        *above, last = path
        for key in above:
            manifest = manifest[key]
        manifest[last] = value

    return edit


MANIFESTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "ledger.chart: [2]; expected a table": _put("ledger", "chart", value=[2]),
    "ledger.chart.assets.0.1: True; expected a whole number": _put("ledger", "chart", "assets", 0, 1, value=True),
    "ledger.chart.assets.0.1: 'six'; expected a whole number": _put("ledger", "chart", "assets", 0, 1, value="six"),
    "ledger.chart.assets: ": _put("ledger", "chart", "assets", 0, 1, value=400),
    "ledger.chart.accounts.0: ['a']; expected a list of 2": _put("ledger", "chart", "accounts", 0, value=["a"]),
    "ledger.chart.accounts: ": _put("ledger", "chart", "accounts", 0, value=["Assets:Wallet:Cash", "GOLD"]),
    "ledger.chart: account name 'cash' is not one of": _put("ledger", "chart", "accounts", 0, value=["cash", "USDC"]),
    "ledger.chart.buckets: ": _put("ledger", "chart", "buckets", value=[]),
    "ledger.chart.floored: ": _put("ledger", "chart", "floored", value=[[10**6]]),
    "ledger.chart.kinds.0: 'capital'; expected a list of 1": _put("ledger", "chart", "kinds", 0, value="capital"),
    "ledger.chain: 'abc'; expected a list": _put("ledger", "chain", value="abc"),
    "ledger.digest: 'abc'; expected a SHA-256": _put("ledger", "digest", value="abc"),
    "an integer of 30 digits": _put("ledger", "balances", 0, value=10**29),
    "balances: 0; expected one for each of": _put("ledger", "balances", value=[]),
    "the number NaN": _put("streams", 0, "share", value=float("nan")),
    "streams: ": _put("streams", 0, "debit", value=-1),
    "streams.0.share: 'all'; expected a number": _put("streams", 0, "share", value="all"),
    "owners: ": _put("owners", value=["me"]),
    "owners.0: None; expected text": _put("owners", 0, value=None),
    "note: unknown key": _put("note", value="audited by three firms"),
    "counts: missing; expected a table": lambda manifest: manifest.pop("counts"),
    "capital: 0; expected > 0": _put("capital", value=0),
    "opened_at: 'noon'; expected one of open, close": _put("opened_at", value="noon"),
    "format 3; expected 4": _put("format", value=3),
    "inputs: '../../secret'; expected names of files": _put("inputs", "../../secret", value="0" * 64),
    "files: '/etc/passwd'; expected names of files": _put("files", "/etc/passwd", value="0" * 64),
    "rules: Über; expected names of venues": _put("rules", value={"Über": {}}),
    "too many levels; expected at most 32": lambda manifest: manifest["rules"].update(a={"b": _deep(50)}),
    "data: 'here'; expected a table": _put("data", value="here"),
}


def _deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("words", MANIFESTS)
def test_a_manifest_that_is_not_as_it_was_saved_is_refused_with_its_key(sent, words) -> None:
    path = sent / "manifest.json"
    manifest = json.loads(path.read_text())
    MANIFESTS[words](manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(RunError) as refusal:
        Folder(sent)
    assert str(refusal.value).startswith(f"{path}: ")
    assert words in str(refusal.value)


TEXTS = {
    "the key 'run' stands twice": lambda text: text.replace('{\n "format"', '{\n "run": "first",\n "format"', 1),
    "too many levels": lambda text: '{"a":' * 100_000 + "1" + "}" * 100_000,
    "not readable (Unterminated": lambda text: text[:100],
    "a list; expected an object": lambda text: "[]",
    "an integer of 5000 digits": lambda text: text.replace('"seed": 0', '"seed": ' + "9" * 5000),
    "the number 1e999": lambda text: text.replace('"seed": 0', '"seed": 1e999'),
    f"at most {JSON_BYTES:,} are read": lambda text: text + " " * JSON_BYTES,
}


@pytest.mark.parametrize("words", TEXTS)
@pytest.mark.parametrize("name", ["manifest", "summary"])
def test_json_of_which_readers_could_think_differently_is_refused(sent, name, words) -> None:
    path = sent / f"{name}.json"
    text = (sent / "manifest.json").read_text()
    path.write_text(TEXTS[words](text))
    with pytest.raises(RunError) as refusal:
        assert Folder(sent).summary
    assert str(refusal.value).startswith(f"{path}: ")
    assert words in str(refusal.value)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_a_hostile_manifest_in_one_line(sent, capsys, command) -> None:
    (sent / "manifest.json").write_text('{"format":' * 100_000)
    assert refused(capsys, *COMMANDS[command](sent)).startswith(f"carrybook: {sent}/manifest.json: too many levels")
    (sent / "manifest.json").unlink()
    os.mkfifo(sent / "manifest.json")
    assert "not a finished run" in refused(capsys, *COMMANDS[command](sent))


def _pandas(table: pa.Table) -> pa.Table:
    return table.replace_schema_metadata({"pandas": "{}"})


TABLES: dict[str, Callable[[pa.Table], pa.Table]] = {
    "a column 'amount' too many": lambda table: table.append_column("amount", table["amount"]),
    "a column 'note' too many": lambda table: table.append_column("note", table["kind"]),
    "no column 'amount'; expected one": lambda table: table.drop_columns("amount"),
    "column 'at_ns' where 'seq' was saved": lambda table: table.select(["at_ns", "seq", *table.column_names[2:]]),
    "column amount: holds string; expected int64": lambda table: table.set_column(
        7, "amount", table["amount"].cast(pa.string())
    ),
    "has metadata in its schema": _pandas,
    "row 1, column kind: missing; expected string in every row": lambda table: table.set_column(
        3, "kind", pa.nulls(len(table), pa.string())
    ),
}


@pytest.mark.parametrize("command", ["explain", "ledger", "sql", "export"])
@pytest.mark.parametrize("words", TABLES)
def test_a_ledger_that_is_not_as_it_was_saved_is_refused(sent, capsys, words, command) -> None:
    path = sent / "ledger.parquet"
    pq.write_table(TABLES[words](pq.read_table(path)), path)
    if command == "sql" and "row 1" in words:
        return  # which reads the cells itself
    assert f"{path}: {words}" in refused(capsys, *COMMANDS[command](sent))


def _many_rows(path: Path) -> None:
    """Rows that compress to nothing."""
    table = pq.read_table(path).slice(0, 1)
    pq.write_table(table.take(pa.array(np.zeros(1_000_000, dtype=np.int64))), path, compression="zstd")


def _one_text(path: Path, length: int, rows: int) -> None:
    """One long text that stands in every row, which takes its place in the file once."""
    amounts = pa.array(np.random.default_rng(17).integers(1, 2**60, rows))
    table = pq.read_table(path).take(pa.array(np.zeros(rows, dtype=np.int64)))
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int32)), pa.array(["x" * length]))
    table = table.set_column(3, "kind", text).set_column(7, "amount", amounts)
    pq.write_table(table, path, compression="zstd", store_schema=False)


BOMBS: dict[str, Callable[[Path], None]] = {
    "rows; expected at most": _many_rows,
    "column kind expands to": lambda path: _one_text(path, length=50_000_000, rows=10),
    "bytes of text; expected at most": lambda path: _one_text(path, length=1_000_000, rows=5_000),
}


@pytest.mark.parametrize("words", BOMBS)
def test_a_table_that_would_expand_is_refused_before_it_is_read(sent, words) -> None:
    BOMBS[words](sent / "ledger.parquet")
    before = pa.total_allocated_bytes()
    with pytest.raises(RunError, match=words):
        list(Folder(sent).batches("ledger", ["kind", "amount"]))
    assert pa.total_allocated_bytes() - before < 2**26


@pytest.mark.parametrize("name", ["ledger.parquet", "events.parquet", "market.parquet"])
def test_what_is_no_file_is_not_opened(sent, capsys, name) -> None:
    (sent / name).unlink()
    os.mkfifo(sent / name)
    assert f"{name}: no regular file" in refused(capsys, "export", sent, "--format", "csv", "--out", sent / "out")


def test_an_equity_curve_that_is_no_number_is_refused(sent) -> None:
    path = sent / "equity.parquet"
    table = pq.read_table(path)
    values = table["equity_usd"].to_numpy().copy()
    values[5] = np.nan
    pq.write_table(table.set_column(3, "equity_usd", pa.array(values)), path)
    with pytest.raises(RunError, match=r"row 6, column equity_usd: nan; expected a finite number"):
        Folder(sent).table("equity")


def test_a_column_that_cannot_be_printed_is_refused(sent) -> None:
    path = sent / "market.parquet"
    table = pq.read_table(path)
    pq.write_table(table.append_column("a\x1b[31m", table["close"]), path)
    with pytest.raises(RunError, match="expected a name of 1 to 200 printable characters"):
        Folder(sent).table("market")


@pytest.mark.parametrize("text", [b"hyperliquid", b"venue"])
def test_text_that_is_not_utf8_is_refused(sent, capsys, text) -> None:
    """In a cell and in the name of a column."""
    path = sent / "events.parquet"
    table = pq.read_table(path)
    names = pa.array(["hyperliquid"] * len(table))
    pq.write_table(table.set_column(2, "venue", names), path, compression="none", use_dictionary=False)
    path.write_bytes(path.read_bytes().replace(text, b"\xc3\x28" + text[2:]))
    said = refused(capsys, "export", sent, "--format", "csv", "--out", sent / "out")
    assert f"{path}: not readable" in said or "no column 'venue'" in said
