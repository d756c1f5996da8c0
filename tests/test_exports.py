"""Exports: what beancount and hledger themselves say of them, and every way in which one is refused."""

import csv
import json
import re
import shutil
import subprocess
import sys
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from framework.command_line.cli import main
from framework.errors import RunError
from framework.market import utc
from framework.money import USDC, Asset
from framework.reports.exports import beancount_commodity, commodities, export, fixed, hledger_commodity
from framework.run_folder import tables
from framework.run_folder.archive import Folder
from framework.valuation import Prices, equity
from tests.commands import refused
from tests.runs import EXAMPLES

BEAN_CHECK = Path(sys.executable).parent / "bean-check"
DIGITS = "0" * 24
POSTING = re.compile(
    r"^    (?P<account>[A-Z]\S+)  (?P<amount>-?[0-9.]+) (?P<code>\S+) = (?P<balance>-?[0-9.]+) \S+  ; seq:(?P<seq>\d+)",
    re.MULTILINE,
)


def bean_check(journal):
    """(exit code, complaints) of bean-check on a journal."""
    done = subprocess.run([BEAN_CHECK, journal], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def ask_hledger(hledger, journal, *arguments):
    """(exit code, what is printed) of hledger on a journal."""
    done = subprocess.run([hledger, "-f", journal, *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def exported(saved, tmp_path, form, example="capital_rebalance"):
    """The one file of a journal."""
    (journal,) = export(Folder(saved(example)[1]), form, tmp_path / "out")
    return journal


@pytest.fixture
def copied(saved, tmp_path):
    """A copy of an example's folder that may be edited."""
    return Path(shutil.copytree(saved("capital_rebalance")[1], tmp_path / "copied"))


def edit(folder, table, change):
    """Write a table of a folder again, with what `change` makes of its columns."""
    path = folder / f"{table}.parquet"
    old = pq.read_table(path)
    columns = {name: old[name].to_pylist() for name in old.column_names}
    change(columns)
    pq.write_table(
        pa.table({name: pa.array(values, old.schema.field(name).type) for name, values in columns.items()}), path
    )


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_bean_check_accepts_every_example(saved, tmp_path, example):
    """bean-check has nothing to say about the journal of any example."""
    assert bean_check(exported(saved, tmp_path, "beancount", example)) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_hledger_accepts_every_example(hledger, saved, tmp_path, example):
    """hledger accepts the journal with every account and commodity declared and every balance asserted."""
    assert ask_hledger(hledger, exported(saved, tmp_path, "hledger", example), "check", "--strict") == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_hledgers_balance_sheet_is_our_equity(hledger, saved, tmp_path, example):
    """At the final prices hledger's net worth is our final equity: as it prints it, and with 24 more digits."""
    journal = exported(saved, tmp_path, "hledger", example)
    worth = equity(saved(example)[0])
    for style, expected in (
        ((), worth.quantize(Decimal("1e-6"))),
        (("-c", f"1000.{DIGITS} USDC"), worth),
    ):
        code, printed = ask_hledger(hledger, journal, "balancesheet", "--value=end,USDC", "-O", "csv", *style)
        ((_, net),) = [line for line in csv.reader(printed.splitlines()) if line[0] == "Net:"]
        assert code == 0
        assert net.endswith(" USDC")
        assert Decimal(net.removesuffix(" USDC")) == expected


def test_hledger_values_at_the_end_unless_it_is_asked_otherwise(hledger, saved, tmp_path):
    """Its short option gives what the long one does."""
    journal = exported(saved, tmp_path, "hledger", "static")
    assert ask_hledger(hledger, journal, "balancesheet", "-V", "-O", "csv") == ask_hledger(
        hledger, journal, "balancesheet", "--value=end,USDC", "-O", "csv"
    )


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_journal_has_every_transfer_at_full_scale(saved, tmp_path, example):
    """Both sides of each transfer stand there with their number, and each balance is the ledger's at that moment."""
    run, _ = saved(example)
    text = exported(saved, tmp_path, "hledger", example).read_text()
    decimals = {hledger_commodity(asset.code): asset.decimals for asset in run.ledger.assets}
    postings = [match.groupdict() for match in POSTING.finditer(text)]
    held = {}
    for record, debit, credit in zip(run.ledger, postings[::2], postings[1::2], strict=True):
        for posting, name, sign in ((debit, record.debit, 1), (credit, record.credit, -1)):
            held[name, record.asset] = held.get((name, record.asset), 0) + sign * record.amount
            places = decimals[posting["code"]]
            assert posting["account"] == name
            assert posting["code"] == hledger_commodity(record.asset)
            assert posting["seq"] == str(record.seq)
            assert posting["amount"] == fixed(sign * record.amount, places)
            assert posting["balance"] == fixed(held[name, record.asset], places)
    events = [int(number) for number in re.findall(r"; event:(\d+),", text)]
    assert events == sorted({record.event for record in run.ledger})
    kinds = {event.event: event.kind for event in run.events}
    assert re.findall(r"event_kind:(\w+)", text) == [kinds[event] for event in events]


def test_beancount_gets_the_same_postings_as_hledger(saved, tmp_path):
    """The two journals have the same accounts, amounts and numbers in the same order."""
    text = exported(saved, tmp_path, "beancount").read_text()
    found = re.findall(r"^  ([A-Z]\S+)  (-?[0-9.]+) (\S+)\n    seq: (\d+)$", text, re.MULTILINE)
    other = POSTING.findall(exported(saved, tmp_path, "hledger").read_text())
    assert found == [(account, amount, code.strip('"'), seq) for account, amount, code, _, seq in other]


def by_day(run):
    """(day, account, asset) -> debits and credits of that day and the balance at its end, in atomic units."""
    held, moved = {}, {}
    for record in run.ledger:
        day = utc(record.at_ns).date().isoformat()
        for account, debit, credit in ((record.debit, record.amount, 0), (record.credit, 0, record.amount)):
            held[account, record.asset] = held.get((account, record.asset), 0) + debit - credit
            debits, credits_, _ = moved.get((day, account, record.asset), (0, 0, 0))
            moved[day, account, record.asset] = debits + debit, credits_ + credit, held[account, record.asset]
    return moved


@pytest.mark.parametrize("example", EXAMPLES)
def test_beancount_holds_balances_after_every_day_and_all_at_the_end(saved, tmp_path, example):
    """What moved on a day has its balance on the next, and every account has one at the end."""
    run, _ = saved(example)
    decimals = {asset.code: asset.decimals for asset in run.ledger.assets}
    moved = by_day(run)
    expected = {key: balance for key, (_, _, balance) in moved.items()}
    last = max(day for day, _, _ in moved)
    expected |= {(last, account.name, account.asset.code): atoms for account, atoms in run.ledger.balances().items()}
    text = exported(saved, tmp_path, "beancount", example).read_text()
    found = re.findall(r"^(\S+) balance (\S+)  (\S+) ~ 0 (\S+)$", text, re.MULTILINE)
    assert len(found) == len(expected)
    for (day, account, asset), atoms in expected.items():
        after = (date.fromisoformat(day) + timedelta(days=1)).isoformat()
        assert (after, account, fixed(atoms, decimals[asset]), asset) in found


@pytest.mark.parametrize("example", ["capital_rebalance", "euss"])
def test_journals_have_the_exact_prices(saved, tmp_path, example):
    """There is one price per row and asset that was held, the decimal that the market was read with."""
    run, _ = saved(example)
    text = exported(saved, tmp_path, "hledger", example).read_text()
    for asset in run.ledger.assets:
        prices = re.findall(rf"^P (\S+) {re.escape(hledger_commodity(asset.code))} (\S+) USDC", text, re.MULTILINE)
        if asset != USDC:
            column = run.market[run.market.price_column(asset)]
            assert [Decimal(price) for _, price in prices] == [Decimal(repr(price)) for price in column.tolist()]
            assert [day for day, _ in prices] == [run.market.date(row) for row in range(len(run.market))]
        else:
            assert not prices


def one_more(amount):
    """An amount that is one atomic unit more."""
    digits = Decimal(amount)
    return f"{digits + Decimal((0, (1,), digits.as_tuple().exponent))}"


def nth(text, pattern, number):
    """The match of a pattern that is the n-th, from 0."""
    return list(re.finditer(pattern, text, re.MULTILINE))[number]


def put(text, match, group, value):
    """The text with one group of a match replaced."""
    return text[: match.start(group)] + value + text[match.end(group) :]


BEANCOUNT_POSTING = r"^  [A-Z]\S+  (-?[0-9.]+) \S+$"
BEANCOUNT_EDITS = {
    "one side of a transfer": ((BEANCOUNT_POSTING, 700),),
    "both sides of a transfer": ((BEANCOUNT_POSTING, 700), (BEANCOUNT_POSTING, 701)),
    "a balance": ((r"^\S+ balance \S+  (-?[0-9.]+) ~ 0", 300),),
    "the last balance": ((r"^\S+ balance \S+  (-?[0-9.]+) ~ 0", -1),),
}


@pytest.mark.parametrize("edits", BEANCOUNT_EDITS.values(), ids=BEANCOUNT_EDITS)
def test_bean_check_refuses_one_tampered_unit(saved, tmp_path, edits):
    """One atomic unit more in one amount, or in both sides of a transfer, is refused."""
    journal = exported(saved, tmp_path, "beancount")
    text = journal.read_text()
    for (pattern, number), sign in zip(edits, ("", "-"), strict=False):
        match = nth(text, pattern, number)
        text = put(text, match, 1, more_away(match[1], sign))
    journal.write_text(text)
    code, complaint = bean_check(journal)
    assert code == 1
    assert "balance" in complaint.lower()


def more_away(amount, sign):
    """An amount with one atomic unit more on its own side; the second side of a transfer is the first, negated."""
    assert amount.startswith("-") == bool(sign) or not sign
    return f"-{one_more(amount[1:])}" if amount.startswith("-") else one_more(amount)


@pytest.mark.parametrize("seq", [1, 500, 1000])
@pytest.mark.parametrize("sides", [1, 2])
def test_hledger_refuses_one_tampered_unit_and_names_the_entry(hledger, saved, tmp_path, seq, sides):
    """One atomic unit more in one amount or in both sides of a transfer is refused where it stands."""
    journal = exported(saved, tmp_path, "hledger")
    text = journal.read_text()
    for side in range(sides):
        match = [each for each in POSTING.finditer(text) if each["seq"] == str(seq)][side]
        text = put(text, match, "amount", more_away(match["amount"], ""))
    journal.write_text(text)
    code, complaint = ask_hledger(hledger, journal, "check", "--strict")
    assert code == 1
    assert f"seq:{seq}, " in complaint


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        (r"^    [A-Z]\S+  -?[0-9.]+ \S+ = (-?[0-9.]+)", None),
        (r"^account (Assets:Asgard:Collateral)  ", "Assets:Nobody"),
        (r"^commodity 1000\.0+ (SOL)$", "GOLD"),
    ],
    ids=["an asserted balance", "an account that is not declared", "a commodity that is not declared"],
)
def test_hledger_refuses_what_is_not_as_declared(hledger, saved, tmp_path, pattern, value):
    """A balance that is one unit off is refused, and so are accounts and commodities that nobody declared."""
    journal = exported(saved, tmp_path, "hledger")
    text = journal.read_text()
    match = nth(text, pattern, 0)
    journal.write_text(put(text, match, 1, value or one_more(match[1])))
    assert ask_hledger(hledger, journal, "check", "--strict")[0] == 1


def test_beancount_refuses_an_entry_that_was_removed(saved, tmp_path):
    """Without one entry of funding the balances of that day no longer hold."""
    journal = exported(saved, tmp_path, "beancount")
    parts = journal.read_text().split("\n\n")
    first = next(index for index, part in enumerate(parts) if '"funding"' in part)
    journal.write_text("\n\n".join(parts[:first] + parts[first + 1 :]) + "\n")
    code, complaint = bean_check(journal)
    assert code == 1
    assert "Income:Hyperliquid:Funding" in complaint


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_tables_for_a_spreadsheet_add_up(saved, tmp_path, example):
    """Transfers, balances by day, balances at the end and their values in CSV are the ledger's, exactly."""
    run, path = saved(example)
    files = export(Folder(path), "csv", tmp_path)
    assert [file.name for file in files] == ["about.csv", "accounts.csv", "balances.csv", "prices.csv", "transfers.csv"]
    about, accounts, balances, prices, transfers = (
        list(csv.DictReader(file.read_text().splitlines())) for file in files
    )
    for record, line in zip(run.ledger, transfers, strict=True):
        asset = next(asset for asset in run.ledger.assets if asset.code == record.asset)
        assert (line["seq"], line["event"]) == (str(record.seq), str(record.event))
        assert (line["debit"], line["credit"], line["kind"]) == (record.debit, record.credit, record.kind)
        assert (line["at_ns"], line["amount"]) == (str(record.at_ns), fixed(record.amount, asset.decimals))
    ended = {(line["account"], line["asset"]): line["balance"] for line in accounts}
    assert ended == {
        (account.name, account.asset.code): fixed(atoms, account.asset.decimals)
        for account, atoms in run.ledger.balances().items()
    }
    moved = by_day(run)
    assert len(balances) == len(moved)
    for line in balances:
        places = next(asset.decimals for asset in run.ledger.assets if asset.code == line["asset"])
        amounts = [fixed(atoms, places) for atoms in moved[line["date"], line["account"], line["asset"]]]
        assert [line["debits"], line["credits"], line["balance"]] == amounts
    for line in accounts:
        assert Decimal(line["debits"]) - Decimal(line["credits"]) == Decimal(line["balance"])
    held = [line for line in accounts if line["type"] in ("Assets", "Liabilities") and Decimal(line["balance"])]
    assert sum(Decimal(line["value_usd"]) for line in held) == equity(run)
    assert {line["row"] for line in prices} == {str(row) for row in range(len(run.market))}
    assert {line["what"]: line["is"] for line in about}["ledger_digest"] == run.ledger.digest


@pytest.mark.parametrize("form", ["beancount", "hledger", "csv"])
def test_an_export_does_not_depend_on_how_it_is_cut(saved, tmp_path, form, monkeypatch):
    """Read in batches of seven rows, the export is the same to the letter."""
    books = Folder(saved("capital_rebalance")[1])
    whole = export(books, form, tmp_path / "whole")
    monkeypatch.setattr(tables, "ROWS_READ", 7)
    for one, other in zip(whole, export(books, form, tmp_path / "cut"), strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_several_rows_a_day_are_accepted(hledger, copied, tmp_path):
    """Where ten rows close on one day, both programs accept the journal, and the last price of a day is the price."""
    worth = Folder(copied).book.worth(Folder(copied).records()).equity()
    for table in ("ledger", "events", "market"):
        columns = [name for name in ("open_ns", "at_ns") if name in pq.read_schema(copied / f"{table}.parquet").names]

        def squeeze(values, columns=columns):
            for name in columns:
                values[name] = [at_ns // 10 for at_ns in values[name]]

        edit(copied, table, squeeze)
    assert bean_check(export(Folder(copied), "beancount", tmp_path / "out")[0]) == (0, "")
    (journal,) = export(Folder(copied), "hledger", tmp_path / "out")
    assert ask_hledger(hledger, journal, "check", "--strict") == (0, "")
    printed = ask_hledger(hledger, journal, "bs", "--value=end,USDC", "-O", "csv", "-c", f"1000.{DIGITS} USDC")[1]
    assert Decimal(re.search(r'"Net:","(\S+) USDC"', printed)[1]) * 10**36 == worth


def test_what_nobody_held_has_no_price(hledger, copied, tmp_path):
    """An asset that the chart knows and no transfer moved is declared, and nobody says what it is worth."""
    manifest = json.loads((copied / "manifest.json").read_text())
    manifest["ledger"]["chart"]["assets"].append(["JITOSOL", 9])
    manifest["ledger"]["chart"]["accounts"].append(["Assets:Jito:Tokens", "JITOSOL"])
    manifest["ledger"]["chart"]["buckets"].append([None])
    manifest["ledger"]["balances"].append(0)
    manifest["owners"].append("jito")
    (copied / "manifest.json").write_text(json.dumps(manifest))
    (journal,) = export(Folder(copied), "hledger", tmp_path / "out")
    text = journal.read_text()
    assert "commodity 1000.000000000 JITOSOL" in text
    assert " JITOSOL " not in text
    assert ask_hledger(hledger, journal, "check", "--strict") == (0, "")
    (journal,) = export(Folder(copied), "beancount", tmp_path / "out")
    assert bean_check(journal) == (0, "")
    (_, accounts, *_) = export(Folder(copied), "csv", tmp_path / "out")
    assert "Assets:Jito:Tokens,JITOSOL,Assets,9,0,0.000000000,0.000000000,0.000000000,,\n" in accounts.read_text()


def test_odd_names_are_accepted(hledger, copied, tmp_path):
    """An asset's code that beancount would not take, and an account below another, come through both programs."""
    manifest = copied / "manifest.json"
    names = {"Assets:Wallet:Cash": "Assets:Hyperliquid", "SOL": "1st sol", "SOL-PERP": "Perpetual-of-SOL-on-2-venues;"}
    text = manifest.read_text()
    for old, new in names.items():
        text = text.replace(f'"{old}"', f'"{new}"')
    manifest.write_text(text)

    def rename(values):
        for name in ("debit", "credit", "asset", "account"):
            if name in values:
                values[name] = [names.get(value, value) for value in values[name]]

    edit(copied, "ledger", rename)
    edit(copied, "balances", rename)
    assert bean_check(export(Folder(copied), "beancount", tmp_path / "out")[0]) == (0, "")
    journal = export(Folder(copied), "hledger", tmp_path / "out")[0]
    assert ask_hledger(hledger, journal, "check", "--strict") == (0, "")


def test_names_of_assets_are_what_a_program_takes():
    """Codes that a program takes stay, others are made over, and two that would meet are refused."""
    codes = ["SOL", "SOL-PERP", "jitoSOL", "A-very-long-name-for-an-asset", '1st; "gold"']
    assets = [Asset(code, 2) for code in codes]
    assert list(commodities(assets, "beancount", beancount_commodity).values()) == [
        "SOL", "SOL-PERP", "C-JITOSOL", "C-A-VERY-LONG-NAME-FOR-A", "C-1ST---GOLD",
    ]  # fmt: skip
    assert list(commodities(assets, "hledger", hledger_commodity).values()) == [
        "SOL", '"SOL-PERP"', "jitoSOL", '"A-very-long-name-for-an-asset"', "\"1st, 'gold'\"",
    ]  # fmt: skip
    with pytest.raises(RunError, match=r"^asset jitosol: beancount would know it as C-JITOSOL, as it knows another"):
        commodities([Asset("jitoSOL", 9), Asset("jitosol", 9)], "beancount", beancount_commodity)


def test_prices_are_written_as_they_were_read():
    """A price stands in a journal with the decimals that it was read with."""
    import numpy as np

    prices = Prices.exact(np.array([0.1]), np.array([1234567.875]))
    assert [fixed(int(value), prices.decimals) for value in prices.values] == ["0.100", "1234567.875"]
    assert [fixed(atoms, USDC.decimals) for atoms in (0, -5, 1_000_000)] == ["0.000000", "-0.000005", "1.000000"]
    assert fixed(-7, 0) == "-7"


def test_an_export_replaces_its_own_files_and_no_others(saved, tmp_path, capsys):
    """In a directory that is there already, files of the same name are replaced, and others stay."""
    folder = saved("static")[1]
    out = tmp_path / "a" / "b"
    out.mkdir(parents=True)
    (out / "ledger.journal").write_text("old")
    (out / "notes.txt").write_text("mine")
    with pytest.raises(SystemExit):
        main(["export", str(folder), "--format", "hledger", "--out", str(out), "--json"])
    assert capsys.readouterr().out == f'{{"files": ["{out / "ledger.journal"}"]}}\n'
    assert sorted(path.name for path in out.iterdir()) == ["ledger.journal", "notes.txt"]
    assert (out / "notes.txt").read_text() == "mine"
    assert "Ledger digest" in (out / "ledger.journal").read_text()


def test_the_directory_of_one_run_is_as_good_as_its_folder(saved, tmp_path, capsys):
    """A directory with one run in it stands for that run; with two, it is refused."""
    folder = saved("static")[1]
    with pytest.raises(SystemExit):
        main(["export", str(folder.parent), "--format", "csv", "--out", str(tmp_path / "out")])
    assert capsys.readouterr().out.startswith(f"Wrote {tmp_path / 'out' / 'about.csv'}\n")
    both = tmp_path / "both"
    for example in ("static", "funding_gate"):
        shutil.copytree(saved(example)[1], both / example)
    expected = f"expected the folder of one, {both / 'latest'}, or one of funding_, static"
    complaint = refused(capsys, "export", both, "--format", "csv", "--out", tmp_path / "other")
    assert f"{both}: not a finished run but 2 of them; {expected}" in complaint
    with pytest.raises(SystemExit):
        main(["export", str(both / "stat"), "--format", "csv", "--out", str(tmp_path / "begun")])
    assert (tmp_path / "begun" / "about.csv").is_file()


def test_a_place_that_cannot_be_written_is_refused(saved, tmp_path, capsys):
    """A file where the directory should be, or above it, is named, and stays as it is."""
    file = tmp_path / "file"
    file.write_text("mine")
    for out in (file, file / "below"):
        complaint = refused(capsys, "export", saved("static")[1], "--format", "beancount", "--out", out)
        assert f"{out}: not writable" in complaint
        assert "expected a directory for exports" in complaint
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert file.read_text() == "mine"


def rename_account(values):
    """Another name for one account in one transfer."""
    values["debit"][99] = "Assets:Nobody"


def rename_credit(values):
    """The same on the other side."""
    values["credit"][100] = "Income:Nobody"


def no_amount(values):
    """A transfer of nothing."""
    values["amount"][7] = 0


def no_name(values):
    """A transfer without a kind."""
    values["kind"][5] = None


def no_time(values):
    """A transfer without an instant."""
    values["at_ns"][3] = None


def no_column(values):
    """A ledger without a column."""
    del values["event"]


EDITS = {
    "ledger.parquet: row 100: an account that is not in the chart": ("ledger", rename_account),
    "ledger.parquet: row 101: an account that is not in the chart": ("ledger", rename_credit),
    "ledger.parquet: row 8: no positive amount": ("ledger", no_amount),
    "ledger.parquet: row 6, column kind: missing; expected string in every row": ("ledger", no_name),
    "ledger.parquet: row 4, column at_ns: missing; expected int64 in every row": ("ledger", no_time),
    "ledger.parquet: no column 'event'": ("ledger", no_column),
    "events.parquet: no column 'event'": ("events", no_column),
}


@pytest.mark.parametrize("form", ["beancount", "hledger", "csv"])
@pytest.mark.parametrize("words", EDITS)
def test_a_damaged_run_is_refused_and_nothing_is_written(copied, tmp_path, capsys, words, form):
    """What no journal could hold is named with its file and row, and no part of an export is left."""
    table, change = EDITS[words]
    edit(copied, table, change)
    assert words in refused(capsys, "export", copied, "--format", form, "--out", tmp_path / "new" / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["copied"]


def test_files_that_cannot_be_read_are_named(copied, tmp_path, capsys):
    """A table that is cut short, of another type or missing, and a folder that is no run, are one line each."""
    arguments = ("--format", "hledger", "--out", tmp_path / "out")
    path = copied / "ledger.parquet"
    table = pq.read_table(path)
    halves = pc.add(table["amount"].cast(pa.float64()), 0.5)
    pq.write_table(table.set_column(7, "amount", halves), path)
    assert "ledger.parquet: column amount: holds double; expected int64" in refused(
        capsys, "export", copied, *arguments
    )
    path.write_bytes(path.read_bytes()[:1000])
    assert "ledger.parquet: not readable" in refused(capsys, "export", copied, *arguments)
    (copied / "market.parquet").unlink()
    assert "market.parquet: not readable" in refused(capsys, "export", copied, *arguments)
    (copied / "manifest.json").write_text("{}")
    assert f"{copied}/manifest.json: format None; expected 4" in refused(capsys, "export", copied, *arguments)
    assert f"{tmp_path / 'none'}: not a finished run" in refused(capsys, "export", tmp_path / "none", *arguments)
    assert not (tmp_path / "out").exists()
