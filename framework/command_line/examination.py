"""The commands that examine a finished run: `audit`, `explain`, `ledger`, `export` and `sql` read its folder again."""

import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from glob import escape
from itertools import islice
from pathlib import Path
from shlex import quote
from typing import Literal

import click
from attrs import asdict
from rich.text import Text
from rich.tree import Tree

from framework.audit import Result
from framework.audit import audit as audit_folder
from framework.command_line.options import DAYS, check_days
from framework.command_line.parameters import RUN, RUNS_OR_ONE
from framework.errors import RunError
from framework.reports.explain import Node, Selection, first_place, origins, register, rules_behind, sources
from framework.reports.explain import explain as explain_number
from framework.reports.exports import export as export_folder
from framework.reports.source_rows import SourceRows, is_place, source_rows
from framework.reports.sql import MEMORY_GB, TIME_S, ask, csv_lines, json_lines, views
from framework.reports.sql import grid as answer_grid
from framework.run_folder.archive import Folder, argument_for, runs_at
from framework.support.extras import need_extra
from framework.support.files import replace_file
from framework.support.grid import Grid, terminal
from framework.support.text import say

TERMS = (
    "A debit is what an account receives, a credit what it gives. Income accounts give what is earned,\n"
    "Expenses accounts receive what is spent."
)
PRICED = (
    "What has a price gains what it is worth at the end, less what went in, plus what went out, at the prices then."
)
IN_THE_RUN = (
    "Values as they stand there. In a run, columns in percent are divided by 100, and yearly rates are multiplied by\n"
    "a row's length in years; a drawn path takes the returns of a row, not its prices."
)
REGISTER = "{:>8}  {:<19}  {:>8}  {:<20} {:<34} {:<34} {:>24} {:<9}{:>24}"
HEADS = ("entry", "time, UTC", "event", "kind", "debit: receives", "credit: gives")
SIGNS = {
    "Assets": "balance > 0: held",
    "Liabilities": "balance < 0: owed",
    "Income": "change < 0: earned, > 0: paid or reversed",
    "Expenses": "change > 0: spent",
    "Equity": "balance < 0: paid in or gained by trades, > 0: lost",
}
"""What a sign means in the register of an account, by the root of its name."""


@click.command()
@click.argument("run", type=RUNS_OR_ONE)
@click.option("--data", type=click.Path(path_type=Path), help="Directory of the scenario's sources, for --thorough.")
@click.option(
    "--thorough", is_flag=True, help="Also compute everything again from the market, and run the scenario again."
)
@click.option("--trust", is_flag=True, help="Import code of the run's own as well, which then may do anything.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def audit(run: Path, data: Path | None, thorough: bool, trust: bool, as_json: bool) -> None:
    """Check the folder of a finished RUN, or every run of a folder of them; `runs/latest` is the last one written.

    --thorough finds the sources where they were when the scenario was run. It imports code of strategies and venues
    that is not installed with --trust alone, and only if it is the code that the run was made with. The exit code is 1
    unless every check was made and found nothing, in every run.
    """
    folders = [Folder(each) for each in runs_at(run) or [run]]
    results = [(each, _audited(each, data, thorough=thorough or data is not None, trusted=trust)) for each in folders]
    if as_json:
        told = [_as_json(found) for _, found in results]
        whole = {folder.path.name: each for (folder, _), each in zip(results, told, strict=True)}
        say(json.dumps(told[0] if len(told) == 1 else whole))
    else:
        for folder, found in results:
            name = run if len(folders) == 1 else folder.path
            grid = Grid(
                f"Audit of {name}", ("<check", "<result", "~what must hold, the first finding, or why not made")
            )
            first_with: dict[str, str] = {}
            for each in found:
                first = [f"{one.place}: {one.words}" for one in each.findings[:1]]
                as_of = first_with.setdefault(each.not_made, each.check)
                why = each.not_made if as_of == each.check else f"for the same reason as {as_of}"
                words = "; and not made to its end: ".join([*first, why] if each.not_made else first) or each.holds
                grid.add(each.check, f"{each.count} found" if each.count else each.outcome, words)
            grid.show(terminal(160))
    sys.exit(0 if all(each.passed for _, found in results for each in found) else 1)


def _audited(folder: Folder, data: Path | None, *, thorough: bool, trusted: bool) -> list[Result]:
    place = data or (folder.data if thorough else None)
    return audit_folder(folder, place, thorough=thorough, trusted=trusted)


def _as_json(results: Sequence[Result]) -> list[dict[str, object]]:
    return [
        {
            "check": each.check,
            "outcome": each.outcome,
            "count": each.count,
            "findings": [{"place": one.place, "words": one.words} for one in each.findings],
            "not_made": each.not_made or None,
        }
        for each in results
    ]


@click.command()
@click.argument("run", type=RUN)
@click.argument("what")
@DAYS
@click.option(
    "--entries", type=click.IntRange(min=0), default=3, show_default=True, help="Entries shown of each month."
)
@click.option("--json", "as_json", is_flag=True, help="Print the whole tree as JSON.")
def explain(run: Path, what: str, since: date | None, until: date | None, entries: int, as_json: bool) -> None:
    """Say where a number comes from: WHAT is a bucket of the waterfall, a figure of the summary or an account.

    The explanation ends at rows of source files. WHAT may be such a row, as FILE:ROW, which is then shown.
    """
    folder = Folder(run)
    check_days(since, until)
    if is_place(what) and not any(each.name == what for each in folder.accounts):
        if since or until:
            raise click.UsageError(f"{what}: a row has no --from or --to; expected neither")
        _show_rows(source_rows(folder, what), as_json=as_json)
        return
    node = explain_number(folder, what, Selection(since=since, until=until))
    if as_json:
        every = [each.event for _, each in node.walk() if each.event is not None]
        say(json.dumps(_plain(node, origins(folder, every))))
        return
    shown = [leaf.event for leaf in _leaves(node, entries) if leaf.event is not None]
    terminal(240).print(_tree(node, entries, sources(folder, shown)))
    for rule, words in rules_behind(folder, shown).items():
        say(f"{rule}: {words}")
    if shown:
        say(TERMS)
        if any(part.label.startswith("held at the end") for _, part in node.walk()):
            say(PRICED)
    if place := first_place(folder, shown):
        say(f"To see such a row of a source: carrybook explain {quote(argument_for(run))} {quote(place)}")


def _show_rows(found: SourceRows, *, as_json: bool) -> None:
    """Rows of a source, as a table or as JSON."""
    if as_json:
        say(json.dumps({"source": found.source, "path": str(found.path), "rows": found.rows, "cells": found.cells}))
        return
    rows = f"row {found.rows[0]}" if len(found.rows) == 1 else f"rows {found.rows[0]} to {found.rows[-1]}"
    grid = Grid(f"{found.source}, {rows}", ("row", *found.cells))
    for index, row in enumerate(found.rows):
        grid.add(str(row), *(column[index] for column in found.cells.values()))
    grid.note = f"{found.path}\n{IN_THE_RUN}"
    grid.show(terminal())


@click.command()
@click.argument("run", type=RUN)
@click.option("--account", help="An account, or what several begin with, such as Assets:Wallet.")
@click.option("--kind", help="A kind of transfer, such as funding.")
@click.option("--event", type=int, help="The id of an event.")
@DAYS
@click.option("--limit", type=click.IntRange(min=1), help="At most so many lines.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def ledger(
    run: Path,
    account: str | None,
    kind: str | None,
    event: int | None,
    since: date | None,
    until: date | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """List the transfers of a RUN. With --account, each line has the running balance of what is asked for."""
    check_days(since, until)
    chosen = Selection(account=account, kind=kind, event=event, since=since, until=until)
    line = None
    for count, line in enumerate(islice(register(Folder(run), chosen), limit)):
        if as_json:
            values = {name: value if isinstance(value, int) else str(value) for name, value in asdict(line).items()}
            say(json.dumps({name: None if value == "None" else value for name, value in values.items()}))
            continue
        if not count:
            say(_signs(account))
            say(REGISTER.format(*HEADS, *(("change", "", "balance") if account else ("amount", "", ""))).rstrip())
        amount = line.amount if line.change is None else line.change
        balance = "" if line.balance is None else f"{line.balance:,f}"
        cells = (line.seq, f"{line.at:%Y-%m-%d %H:%M:%S}", line.event, line.kind, line.debit, line.credit)
        say(REGISTER.format(*cells, f"{amount:,f}", line.asset, balance).rstrip())
    if line is None and event is not None and chosen == Selection(event=event):
        say(f"{sources(Folder(run), [event])[event]}: no transfers", err=True)
    elif line is None:
        say("No transfers.", err=True)


@click.command()
@click.argument("run", type=RUN)
@click.option("--format", "form", type=click.Choice(["beancount", "hledger", "csv"]), required=True, help="For what.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Directory for the files.")
@click.option("--json", "as_json", is_flag=True, help="Print the files as one JSON object.")
def export(run: Path, form: Literal["beancount", "hledger", "csv"], out: Path, as_json: bool) -> None:
    """Write the books of a finished RUN for another program."""
    files = [str(path) for path in export_folder(Folder(run), form, out)]
    say(json.dumps({"files": files}) if as_json else "\n".join(f"Wrote {path}" for path in files))


@click.command()
@click.argument("run", type=RUN)
@click.argument("select", default="SELECT * FROM balances")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per row, DECIMALs as text, in one array.")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
@click.option("--script", "as_script", is_flag=True, help="Print the views as a script for DuckDB alone.")
@click.option(
    "--memory",
    "memory_gb",
    type=float,
    metavar="GB",
    help="Memory that the answer may take, 1 if not given; what does not fit goes to a temporary folder.",
)
@click.option("--seconds", "time_s", type=float, default=TIME_S, show_default=True, help="Time that it may take.")
def sql(
    run: Path, select: str, memory_gb: float | None, time_s: float, as_json: bool, as_csv: bool, as_script: bool
) -> None:
    """Answer a SELECT about a finished RUN. Without one, show the balances.

    Views: transfers, postings, events, balances, waterfall, accounts, roll_forward, prices, market, equity.
    """
    if as_json + as_csv + as_script > 1:
        raise click.UsageError("--json, --csv and --script exclude each other; expected one of them")
    if as_script:
        say(views(Folder(run)))
        return
    with ask(Folder(run), select, MEMORY_GB if memory_gb is None else memory_gb, time_s) as answer:
        if as_json or as_csv:
            for line in json_lines(answer) if as_json else csv_lines(answer):
                say(line, nl=False)
            return
        table, notes = answer_grid(answer)
        table.show(terminal())
        say(notes)


def _signs(account: str | None) -> str:
    """What the signs of a register mean, for the line above it."""
    if account is None:
        return "amount > 0 always: it moves from the account that gives to the one that receives"
    root = SIGNS.get(account.partition(":")[0])
    return "; ".join(filter(None, (f"{account}: change > 0: received (debit), < 0: given (credit)", root)))


@click.command()
@click.argument("run", type=RUNS_OR_ONE)
@click.option("--out", type=click.Path(path_type=Path), help="The file; report-RUN.html here if not given.")
@click.option("--against", type=RUN, multiple=True, help="Another run beside it; repeatable.")
def report(run: Path, out: Path | None, against: tuple[Path, ...]) -> None:
    """Write a RUN, or a sweep's folder, as one HTML file: pictures, and every figure down to the market rows behind it.

    The file works offline and is safe to send: it loads nothing, and the books that it opens lie in it.
    """
    need_extra("a report", "report", "bokeh", "jinja2")
    page = importlib.import_module("framework.reports.page")
    run = _sweep_at(run)
    if (run / "results.parquet").is_file():
        name, html = run.resolve().name, page.sweep_page(run)
    else:
        folder = Folder(run)
        name, html = folder.name, page.page(folder, [Folder(each) for each in against])
    target = out or Path(f"report-{name[:8]}.html")
    try:
        replace_file(target, html.encode())
    except OSError as error:
        raise RunError(f"{target}: not writable ({error.strerror}); expected a file in a directory") from None
    say(f"Wrote {target}")


def _sweep_at(path: Path) -> Path:
    """The folder of the sweep that the first digits of a digest mean, below their parent; else the path as it is."""
    found = [] if path.exists() else list(path.parent.glob(f"{escape(path.name)}*/results.parquet"))
    return found[0].parent if len(found) == 1 else path


def _plain(node: Node, known: Mapping[int, Mapping[str, object]]) -> dict[str, object]:
    """A node as JSON; an entry with what its event has of rate, price and size, and of their sources."""
    plain: dict[str, object] = {"label": node.label, "usd": str(node.usd), "entries": node.entries}
    if node.event is not None:
        plain |= {"event": node.event, **known.get(node.event, {})}
    return plain | ({"children": [_plain(child, known) for child in node.children]} if node.children else {})


def _leaves(node: Node, entries: int) -> list[Node]:
    """The entries that are shown: the first of each month."""
    if any(child.event is not None for child in node.children):
        return list(node.children[:entries])
    return [leaf for child in node.children for leaf in _leaves(child, entries)]


def _tree(node: Node, entries: int, sources: dict[int, str] | object) -> Tree:
    known = sources if isinstance(sources, dict) else {}

    def grow(tree: Tree, children: Sequence[Node]) -> None:
        told = children[:entries] if children and children[0].event is not None else children
        for child in told:
            if child.event is not None:
                tree.add(Text(f"{child.usd:+,.6f} USD  {child.label}  <- {known.get(child.event, child.event)}"))
            else:
                grow(tree.add(Text(_words(child))), child.children)
        if len(told) < len(children):
            rest = children[len(told) :]
            more = "1 more entry" if len(rest) == 1 else f"{len(rest)} more entries"
            tree.add(Text(f"{sum(each.usd for each in rest):+,.6f} USD  {more}"))

    root = Tree(Text(_words(node)))
    grow(root, node.children)
    return root


def _words(node: Node) -> str:
    entries = "1 entry" if node.entries == 1 else f"{node.entries:,} entries"
    return f"{node.usd:+,.6f} USD  {node.label}" + (f"  ({entries})" if node.entries else "")
