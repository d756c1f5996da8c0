"""A run as one HTML file that works offline: pictures, figures, and every number down to the market rows behind it.

The page loads nothing: Bokeh's script, the page's own and the data lie in it, and its Content-Security-Policy allows
these two scripts by their digests and no connection at all. All text goes through Jinja's escaping, or into elements
as text. Entries and full curves lie in it compressed, and are unpacked where somebody opens or zooms into them.
"""

import base64
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from attrs import frozen
from bokeh.document import Document
from bokeh.resources import Resources

from framework.errors import RunError
from framework.many_runs.sweep import CURVES as CURVE_COLUMNS
from framework.market import Floats
from framework.money import USDC
from framework.performance import Benchmark
from framework.reports.explain import Node, explain, sources
from framework.reports.packing import packed, table
from framework.reports.pictures import (
    COLOURS,
    Picture,
    Timeline,
    bars,
    categories,
    chosen,
    drawdown_pct,
    heatmap,
    parallel,
    waterfall,
)
from framework.reports.report import WATERFALL_WORDS
from framework.run_folder.archive import Folder
from framework.scenario import structure
from framework.support.text import shown

__all__ = ["page", "sweep_page"]

FIGURES = {
    "final_equity_usd": ("Final equity", "${:,.2f}"),
    "return_pct": ("Return", "{:+.2f} %"),
    "cagr_pct": ("CAGR", "{:+.2f} %"),
    "max_drawdown_pct": ("Maximum drawdown", "{:.2f} %"),
    "volatility_pct": ("Volatility", "{:.2f} %"),
    "sharpe": ("Sharpe ratio", "{:.2f}"),
    "liquidations": ("Liquidations", "{}"),
    "min_liquidation_distance_pct": ("Least distance to liquidation", "{:.2f} %"),
    "total_fees_usd": ("Fees", "${:,.2f}"),
}
"""The figures at the top of a page, of those that a run has: words and form."""
SWEPT = {
    "liquidations": "liquidations",
    "max_drawdown_pct": "maximum drawdown, %",
    "annualized_return_pct": "annualised return, %",
}
"""The figures of a sweep that are drawn, the one that colours the lines last."""
COMPARED = ("return_pct", "cagr_pct", "max_drawdown_pct", "volatility_pct", "sharpe")
RESULTS, CURVES = "results.parquet", "curves.parquet"
MOST_MAPS, MOST_CELLS = 6, 500
BESIDE = "beside "
"""What the columns of other runs and of benchmarks begin with."""
LIQUIDATION = "_liquidation_price"
FAR = 5
"""Liquidation prices above so many times the highest close are not drawn: beside them nothing else could be seen."""
MOST_ENTRIES = 50_000
"""Entries that a page has at most: about two megabytes."""
AMOUNT = 4
"""Which word of an entry's label is its amount."""


def page(folder: Folder, against: Sequence[Folder] = ()) -> str:
    """The report of a run as HTML; `against` are runs whose curves and figures are shown beside it."""
    return _Page(folder, tuple(against)).html()


@frozen(slots=False)
class _Page:
    folder: Folder
    against: tuple[Folder, ...]

    def html(self) -> str:
        timeline, rows = self._timeline()
        pictures = [*timeline.figures, *self._by_category()]
        return _rendered(
            "run.html",
            pictures,
            {"rows": rows, **self._entries()},
            title=self.folder.scenario.name,
            folder=self.folder,
            scenario=self.folder.scenario,
            summary=self.folder.summary,
            cards=self._cards(),
            compared=[FIGURES[key][0] for key in COMPARED],
            others=[each.scenario.name for each in self.against],
            tree=self.tree,
            words=WATERFALL_WORDS,
            benchmarks=self._compared(),
            months=self._months(),
            log=self._log(),
            risk=[str(plot.name) for plot in timeline.figures[2:]],
            settings=self.folder.scenario.toml(),
        )

    @cached_property
    def tree(self) -> Node:
        """The result down to its entries, exact."""
        return explain(self.folder, "result")

    @cached_property
    def benchmarks(self) -> dict[str, dict[str, Any]]:
        """What the summary has of each benchmark by its name; raises `RunError` for what is not as it was saved.

        Folders of before the benchmarks were drawn have their figures without words, and are shown without them.
        """
        found = self.folder.summary.get("benchmarks", {})
        if not isinstance(found, dict) or not all(isinstance(each, dict) for each in found.values()):
            raise RunError(f"{self.folder.path / 'summary.json'}, benchmarks: expected a table for each")
        return {name: each for name, each in found.items() if "words" in each}

    @cached_property
    def log(self) -> list[dict[str, Any]]:
        """The lines of the event log; raises `RunError` for what is not as it was saved."""
        found = self.folder.summary.get("log", [])
        if not isinstance(found, list) or not all(isinstance(each, dict) and "date" in each for each in found):
            raise RunError(f"{self.folder.path / 'summary.json'}, log: expected a list of tables with dates")
        return found

    def _cards(self) -> list[tuple[str, list[str]]]:
        """The figures at the top: words, this run's and those of the runs beside it."""
        runs = [each.summary for each in (self.folder, *self.against)]
        known = {key: value for key, value in FIGURES.items() if runs[0].get(key) is not None}
        return [(words, [_form(run.get(key), form) for run in runs]) for key, (words, form) in known.items()]

    def _compared(self) -> list[tuple[str, list[str]]]:
        """Return, drawdown, volatility and Sharpe ratio of this run, and of what else the capital could have done."""
        summary = self.folder.summary
        runs = {"this run": summary, **{str(each["words"]): each for each in self.benchmarks.values()}}
        return [(words, [_form(each.get(key), FIGURES[key][1]) for key in COMPARED]) for words, each in runs.items()]

    def _timeline(self) -> tuple[Timeline, dict[str, list[float]]]:
        """The figures that go by time, and the curves of all rows for zooming."""
        curve = self.folder.table("equity")
        kept = {name: curve[name].to_numpy() for name in curve.column_names if name not in ("at_ns", "moment")}
        at_ms = curve["at_ns"].to_numpy() / 1e6
        beside = self._benchmarks(curve)
        others = self._others(at_ms)
        columns = {"equity": kept["equity_usd"], **others, **beside}
        columns["drawdown"] = drawdown_pct(kept["equity_usd"])
        venues = [name.removesuffix("_equity_usd") for name in kept if name.endswith("_equity_usd")]
        held = [venue for venue in venues if np.any(kept[f"{venue}_size"])]
        columns |= {f"leverage {venue}": kept[f"{venue}_leverage"] for venue in held}
        lines = self._lines(kept, held)
        prices = self._prices(kept["close"], dict.fromkeys(line.coin for line in lines) or [self.folder.coin])
        columns |= {f"price {coin}": price for coin, price in prices.items()}
        lines = [near for near in (line.near(prices[line.coin]) for line in lines) if near is not None]
        for line in lines:
            columns[f"line {line.venue} {line.coin}"] = line.usd
            columns[f"distance {line.venue} {line.coin}"] = line.distance_pct(prices[line.coin])
        funding = self._funding(held, len(at_ms))
        columns |= funding
        columns |= {f"cumulative {name}": np.nancumsum(rate) for name, rate in funding.items()}
        columns["net delta"] = kept["net_size"]
        timeline = Timeline(at_ms, {name: np.asarray(values, dtype=float) for name, values in columns.items()})
        self._draw_worth(timeline, [*others, *beside])
        self._draw_prices(timeline, lines, list(prices))
        self._draw_legs(timeline, held, list(funding))
        return timeline, {"at_ms": at_ms.tolist(), **{name: _few_digits(values) for name, values in columns.items()}}

    def _benchmarks(self, curve: pa.Table) -> dict[str, Floats]:
        """What the capital would have become otherwise, by the words of each benchmark; raises `ScenarioError`."""
        at_ns, equity = curve["at_ns"][0].as_py(), curve["equity_usd"][0].as_py()
        return {
            f"{BESIDE}{each.words}": each.path(self.folder.market, equity, self.folder.opened_at, at_ns).usd
            for each in (self._benchmark(name, table) for name, table in self.benchmarks.items())
        }

    def _benchmark(self, name: str, table: Mapping[str, object]) -> Benchmark:
        """What a benchmark of the summary is, without its figures."""
        wanted = {key: table.get(key) for key in ("words", "coin", "lending", "rate")}
        return structure(wanted, Benchmark, f"{self.folder.path / 'summary.json'}, benchmarks.{name}", {"name": name})

    def _others(self, at_ms: Floats) -> dict[str, Floats]:
        """The equity of the runs beside this one at its own instants, by their names."""
        curves = {}
        for other in self.against:
            curve = other.table("equity", ["at_ns", "equity_usd"])
            at, equity = curve["at_ns"].to_numpy() / 1e6, curve["equity_usd"].to_numpy()
            inside = (at_ms >= at[0]) & (at_ms <= at[-1])
            found = equity[np.clip(np.searchsorted(at, at_ms, side="right") - 1, 0, len(at) - 1)]
            curves[f"{BESIDE}{other.scenario.name}, {other.name[:8]}"] = np.where(inside, found, np.nan)
        return curves

    def _lines(self, kept: Mapping[str, Floats], venues: Sequence[str]) -> list["_Line"]:
        """The liquidation prices that there are, in the order of the venues and of their coins."""
        found = []
        for name in (each for each in kept if each.endswith(LIQUIDATION) and np.isfinite(kept[each]).any()):
            stem = name.removesuffix(LIQUIDATION)
            owners = [venue for venue in venues if stem == venue or stem.startswith(f"{venue}_")]
            if owners:
                venue = max(owners, key=len)
                coin = stem.removeprefix(venue).removeprefix("_") or self._coin(venue)
                found.append(_Line(venue=venue, coin=coin, usd=kept[name]))
        return found

    def _coin(self, venue: str) -> str:
        """The coin of a venue that has one: that of its contracts, else of the tokens on its first account of some."""
        owned = zip(self.folder.accounts, self.folder.owners, strict=True)
        assets = [each.asset for each, owner in owned if owner == venue and each.asset != USDC]
        contracts = [each for each in assets if each.coin != each.code]
        return next((each.coin for each in [*contracts, *assets]), "")

    def _prices(self, closes: Floats, coins: Iterable[str]) -> dict[str, Floats]:
        """The price of each coin at the instants of the equity table, of which `closes` are those of the market's."""
        market, found = self.folder.market, {}
        for coin in coins:
            column = market.price_column(coin)
            if column == market.price_column(""):
                found[coin] = closes
            else:
                opened = market[market.price_column(coin, self.folder.opened_at)][:1]
                found[coin] = np.concatenate([opened, market[column], market[column][-1:]])
        return found

    def _funding(self, venues: Sequence[str], count: int) -> dict[str, Floats]:
        """Funding rates in percent per row of the venues that hold something, by column."""
        names = [
            name
            for name in self.folder.columns("market")
            if "funding" in name and "source_row" not in name and name.startswith(tuple(venues) or ("-",))
        ]
        market = self.folder.table("market", names) if names else None
        rates = {name: market[name].to_numpy() * 100 for name in names} if market is not None else {}
        return {f"rate {name}": np.concatenate([[np.nan], rate, [np.nan]])[:count] for name, rate in rates.items()}

    def _draw_worth(self, timeline: Timeline, beside: Sequence[str]) -> None:
        worths = {"equity": "this run", **{name: name.removeprefix(BESIDE) for name in beside}}
        timeline.lines("equity", "Equity and benchmarks", "USD", worths)
        timeline.lines("drawdown", "Drawdown from the peak so far", "%", {"drawdown": "drawdown"}, area=True)

    def _draw_legs(self, timeline: Timeline, held: Sequence[str], funding: Sequence[str]) -> None:
        """Leverage with the trigger, net delta and funding."""
        trigger = self.folder.scenario.strategy.get("trigger")
        levels = {"trigger": float(trigger)} if isinstance(trigger, int | float) else {}
        if held:
            words = {f"leverage {venue}": venue for venue in held}
            timeline.lines("leverage", "Leverage of each leg", "x", words, dashed=levels)
        unit = f"coins, all as {self.folder.coin}" if self.folder.coin else "coins"
        timeline.lines("delta", "Net delta", unit, {"net delta": "net delta"}, form="0,0.[0000]", steps=True)
        if funding:
            rates = {name: name.removeprefix("rate ") for name in funding}
            timeline.lines("funding", "Funding rate by row", "%", rates, form="0.[0000]", steps=True)
            sums = {f"cumulative {name}": words for name, words in rates.items()}
            timeline.lines("cumulative", "Cumulative funding rate", "%", sums, form="0.[00]")

    def _draw_prices(self, timeline: Timeline, lines: Sequence["_Line"], coins: Sequence[str]) -> None:
        """The price of each coin with the liquidation prices on it and the event log, then all distances."""
        several = len(coins) > 1
        for coin in coins:
            of = f" of {coin}" if several else ""
            words = {f"line {each.venue} {coin}": f"liquidation at {each.venue}" for each in lines if each.coin == coin}
            title = f"Price{of} with liquidation prices, and what was done"
            price = timeline.lines(f"price-{coin}", title, "USD", {f"price {coin}": "close", **words})
            timeline.mark(price, self._marks(timeline.at_ms, timeline.columns[f"price {coin}"], own=not several))
        distances = {f"distance {each.venue} {each.coin}": f"{each.venue} {each.coin}" if several else each.venue
                     for each in lines}  # fmt: skip
        if distances:
            timeline.lines("distance", "Distance to liquidation", "% of the price", distances)

    def _marks(self, at_ms: Floats, price: Floats, *, own: bool) -> dict[str, list[tuple[float, float, str]]]:
        """The lines of the event log by kind, each at the price that is its `own`, or else at that of its row."""
        marks: dict[str, list[tuple[float, float, str]]] = {}
        for line in self.log:
            row = min(int(np.searchsorted(at_ms, self._ms(line["date"]))), len(at_ms) - 1)
            named = line.get("price") if own else None
            height = float(named) if isinstance(named, int | float) else float(price[row])
            marks.setdefault(str(line.get("kind")).partition(":")[0], []).append(
                (float(at_ms[row]), height, f"{line.get('venue', '')} at {height:,.2f}")
            )
        return marks

    def _ms(self, date: object) -> float:
        """When the row of a line of the log opens; raises `RunError` for what is no date."""
        try:
            return float(np.datetime64(str(date), "ms").astype(np.int64))
        except ValueError:
            path = self.folder.path / "summary.json"
            raise RunError(f"{path}, log: {shown(date)}; expected a date such as 2025-01-31") from None

    def _by_category(self) -> list[Picture]:
        """The figures that go by bucket, month or account."""
        buckets = [(_few_words(node.label), float(node.usd)) for node in self.tree.children]
        pictures = [waterfall("waterfall", "Where the result came from", buckets, ("Result", float(self.tree.usd)))]
        months, parts = _by_month(
            [account for node in self.tree.children if node.label in ("carry", "funding", "staking", "fees")
             for account in node.children]
        )  # fmt: skip
        if months:
            pictures.append(categories("carry", "Carry, funding, staking and fees by month", "USD", months, parts))
        fees = next((node for node in self.tree.children if node.label == "fees"), None)
        if fees is not None:
            paid = {_account(account): float(account.usd) for account in fees.children}
            pictures.append(bars("fees", "Fees by account", "USD", paid))
        return pictures

    def _months(self) -> tuple[list[str], list[tuple[str, list[str]]]]:
        """Returns by month and by year, percent: the heads, and a line for each year."""
        curve = self.folder.table("equity", ["at_ns", "equity_usd"])
        months = curve["at_ns"].to_numpy().astype("datetime64[ns]").astype("datetime64[M]")
        equity = curve["equity_usd"].to_numpy()
        lasts = np.append(np.flatnonzero(months[1:] != months[:-1]), len(months) - 1)
        ends, before = equity[lasts], np.concatenate([[equity[0]], equity[lasts][:-1]])
        years: dict[str, list[str]] = {}
        grown: dict[str, float] = {}
        for month, end, start in zip(months[lasts].astype(str).tolist(), ends, before, strict=True):
            year, number = month.split("-")
            years.setdefault(year, [""] * 12)[int(number) - 1] = f"{(end / start - 1) * 100:+.2f}" if start > 0 else ""
            grown[year] = grown.get(year, 1.0) * (end / start if start > 0 else 1.0)
        heads = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Year"]
        return heads, [(year, [*cells, f"{(grown[year] - 1) * 100:+.2f}"]) for year, cells in years.items()]

    def _log(self) -> tuple[list[str], list[list[str]]]:
        """The event log: heads of the columns that have something, and its lines."""
        heads = list(dict.fromkeys(key for line in self.log for key in line))
        return heads, [[_cell(line.get(key)) for key in heads] for line in self.log]

    def _entries(self) -> dict[str, object]:
        """The entries behind every month of every account, and what the events behind them came from.

        Of accounts with very many entries the page has the months alone.
        """
        months: dict[str, list[Node]] = {}
        for bucket, account in sorted(self._accounts(), key=lambda pair: pair[1].entries):
            if sum(map(len, months.values())) + account.entries > MOST_ENTRIES:
                break
            for month in account.children:
                if month.children:
                    months[f"{bucket}/{account.label}/{month.label}"] = list(month.children)
        events = list(dict.fromkeys(entry.event for entries in months.values() for entry in entries if entry.event))
        origins = sources(self.folder, events)
        return {
            "entries": {
                place: {
                    "labels": table([entry.label for entry in entries]),
                    "usd": table([_beside(entry) for entry in entries]),
                    "events": table([str(entry.event) for entry in entries]),
                }
                for place, entries in months.items()
            },
            "sources": {"events": table([str(event) for event in origins]), "words": table(list(origins.values()))},
        }

    def _accounts(self) -> list[tuple[str, Node]]:
        return [(bucket.label, account) for bucket in self.tree.children for account in bucket.children]


def _beside(entry: Node) -> str:
    """The value of an entry in USD, exact; `=` or `-` where that is the amount of its label, or its opposite."""
    usd = f"{entry.usd:f}"
    amount = entry.label.split(" ")[AMOUNT]
    return "=" if usd == amount else "-" if usd == f"-{amount}" else usd


@frozen(kw_only=True, eq=False)
class _Line:
    """The liquidation price of a venue's position in a coin, USD by instant; no number where there is none."""

    venue: str
    coin: str
    usd: Floats

    def near(self, close: Floats) -> "_Line | None":
        """It where it is at most `FAR` times the highest close and can be drawn; None where it never is."""
        usd = np.where(self.usd <= FAR * close.max(), self.usd, np.nan)
        return _Line(venue=self.venue, coin=self.coin, usd=usd) if np.isfinite(usd).any() else None

    def distance_pct(self, close: Floats) -> Floats:
        """The move of the close that would liquidate, percent of it; a position ends where it gets to zero."""
        distance: Floats = np.abs(close - self.usd) / close * 100
        return distance


def _by_month(accounts: Iterable[Node]) -> tuple[list[str], dict[str, list[float]]]:
    """Months in their order, and for each account its amount in each of them, USD."""
    amounts = {
        _account(account): {month.label: float(month.usd) for month in account.children if month.label[:4].isdigit()}
        for account in accounts
    }
    months = sorted({month for each in amounts.values() for month in each})
    return months, {name: [each.get(month, 0.0) for month in months] for name, each in amounts.items()}


def _account(node: Node) -> str:
    """An account in few words: what it belongs to, and what it is for."""
    return node.label.partition(" ")[0].partition(":")[2].replace(":", " ")


def _few_words(bucket: str) -> str:
    """A bucket of the waterfall without what its words explain."""
    return WATERFALL_WORDS[bucket].partition(" (")[0].removesuffix(" of both legs")


def _form(value: object, form: str) -> str:
    return "-" if value is None else form.format(value)


def _cell(value: object) -> str:
    return "" if value is None else f"{value:,.2f}" if isinstance(value, float) else str(value)


def _few_digits(values: Floats) -> list[float | None]:
    """Values as a page needs them: seven digits, and null for what is no number."""
    return [float(f"{value:.7g}") if np.isfinite(value) else None for value in values.tolist()]


def sweep_page(folder: Path) -> str:
    """The report of a sweep's folder as HTML: heat maps over two keys, all keys at once, the cells and their curves.

    Raises `RunError` for a folder without results, for results without a cell that ran, and for results on paths.
    """
    path = folder / RESULTS
    try:
        table = pq.read_table(path)
        names = table.column_names
        keys = names[: names.index("final_equity_usd")]
        cells = [{"cell": number, **row} for number, row in enumerate(table.to_pylist()) if not row["error"]]
    except (OSError, pa.ArrowException, ValueError, KeyError) as error:
        raise RunError(f"{path}: not readable ({' '.join(str(error).split())}); expected a sweep's results") from None
    if not cells:
        raise RunError(f"{path}: no cell without an error; expected at least one")
    if not {*SWEPT, "capital_usd"} <= set(names):
        raise RunError(f"{path}: outcomes on paths, which `carrybook choose` compares; expected a sweep's results")
    if len({cell["capital_usd"] for cell in cells}) < 2 and len(keys) > 1:
        keys.remove("capital_usd")
    best = sorted(cells, key=lambda cell: -float(cell["annualized_return_pct"]))[:MOST_CELLS]
    curves = _curves(folder, {cell["cell"] for cell in best})
    maps = _heatmaps(keys, cells)
    axes: dict[str, list[float]] = {}
    ends: dict[str, list[str]] = {}
    for name in (*keys, *SWEPT):
        values = [cell[name] for cell in cells]
        known = list(dict.fromkeys(values))
        numbers = all(isinstance(value, int | float) for value in values)
        axes[_short(name)] = [float(value) if numbers else float(known.index(value)) for value in values]
        if not numbers:
            ends[_short(name)] = [str(known[0]), str(known[-1])]
    first = {best[place]["cell"] for place in (0, len(best) // 2, -1)} & curves.keys()
    drawn = {_cell_words(keys, cell): curves[cell["cell"]] for cell in best if cell["cell"] in first}
    paths = [chosen("chosen", "Equity of the cells that are ticked below", "USD", drawn)] if drawn else []
    return _rendered(
        "sweep.html",
        [*maps, parallel("parallel", "Keys and figures of all cells", axes, ends), *paths],
        {"curves": curves, "colours": COLOURS},
        title=f"Sweep {folder.resolve().name[:8]}",
        count=table.num_rows,
        failed=table.num_rows - len(cells),
        keys=keys,
        maps=[str(plot.name) for plot in maps],
        heads=[_short(name) for name in (*keys, *reversed(SWEPT))],
        lines=[
            {
                "cell": cell["cell"],
                "words": _cell_words(keys, cell),
                "figures": [_cell(cell[name]) for name in (*keys, *reversed(SWEPT))],
                "has_curve": cell["cell"] in curves,
                "ticked": cell["cell"] in first,
            }
            for cell in best
        ],
    )


def _cell_words(keys: Sequence[str], cell: Mapping[str, object]) -> str:
    """A cell by its keys, such as `strategy.leverage 3, strategy.trigger 6`."""
    return ", ".join(f"{key} {cell[key]}" for key in keys)


def _curves(folder: Path, cells: Collection[int]) -> dict[int, tuple[list[float], list[float]]]:
    """Times in ms and equity in USD of some cells, by their numbers; none where the sweep kept none."""
    path = folder / CURVES
    if not path.exists():
        return {}
    try:
        table = pq.read_table(path, schema=CURVE_COLUMNS)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise RunError(f"{path}: not readable ({' '.join(str(error).split())}); expected a sweep's curves") from None
    found: dict[int, tuple[list[float], list[float]]] = {}
    numbers, at_ms = table["cell"].to_numpy(), table["at_ns"].to_numpy() / 1e6
    for cell in sorted(cells):
        rows = numbers == cell
        if rows.any():
            found[cell] = at_ms[rows].tolist(), table["equity_usd"].to_numpy()[rows].tolist()
    return found


def _heatmaps(keys: Sequence[str], cells: Sequence[Mapping[str, Any]]) -> list[Picture]:
    """Of each figure a heat map over the two keys with the most values, for each combination of the other keys."""
    varied = sorted(keys, key=lambda key: -len({str(cell[key]) for cell in cells}))
    if len(varied) < 2:
        varied = [*varied, varied[0]]
    down, across, *others = varied
    combinations = list(dict.fromkeys(tuple(str(cell[key]) for key in others) for cell in cells))[:MOST_MAPS]
    plots: list[Picture] = []
    for combination in combinations:
        chosen = [cell for cell in cells if tuple(str(cell[key]) for key in others) == combination]
        fixed = ", ".join(f"{_short(key)} {value}" for key, value in zip(others, combination, strict=True))
        for figure, words in reversed(SWEPT.items()):
            values = [(str(cell[across]), str(cell[down]), float(cell[figure])) for cell in chosen]
            title = f"{words}, {fixed}" if fixed else words
            plots.append(heatmap(f"map-{len(plots)}", title, (_short(across), _short(down)), values))
    return plots


def _short(key: str) -> str:
    return SWEPT.get(key, key)


def _rendered(template: str, pictures: Sequence[Picture], payload: Mapping[str, object], **values: object) -> str:
    roots = {str(plot.name): f"picture-{place}" for place, plot in enumerate(pictures)}
    titles = {str(plot.name): str(plot.title.text) for plot in pictures}
    for plot in pictures:
        plot.title.visible = False  # the page has it as text, which a narrow screen wraps
    scripts = {"bokeh": _bokeh(), "page": _asset("page.js")}
    return (
        _templates()
        .get_template(template)
        .render(
            roots=roots,
            titles=titles,
            style=_asset("page.css"),
            scripts=scripts,
            policy=_policy(scripts.values()),
            pictures=_script_json(_drawn(pictures, roots)),
            payload=packed(payload),
            **values,
        )
    )


def _drawn(pictures: Sequence[Picture], places: Mapping[str, str]) -> dict[str, object]:
    """Figures as what Bokeh's script draws, and the element of the page for each.

    Models are numbered from 1, so a page does not depend on what its process drew before.
    """
    document = Document()
    with document.models.freeze():  # models are counted once, not after each picture
        for plot in pictures:
            document.add_root(plot)
    numbers: dict[str, str] = {}

    def renumbered(value: Any) -> Any:  # noqa: ANN401  (JSON)
        if isinstance(value, list):
            return [renumbered(each) for each in value]
        if not isinstance(value, dict):
            return value
        return {
            key: numbers.setdefault(each, f"p{len(numbers) + 1}") if key == "id" else renumbered(each)
            for key, each in value.items()
        }

    content = renumbered(document.to_json(deferred=False))
    roots = {numbers[plot.id]: places[str(plot.name)] for plot in pictures}
    item = {"docid": "report", "roots": roots, "root_ids": list(roots)}
    return {"documents": {"report": content}, "items": [item]}


def _bokeh() -> str:
    return str(Resources(mode="inline", components=["bokeh"]).js_raw[0])


def _asset(name: str) -> str:
    return (files("framework.reports") / "assets" / name).read_text(encoding="utf-8")


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )


def _script_json(value: object) -> str:
    """JSON that may stand in a script element: nothing in it can end the element."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")


def _policy(scripts: Iterable[str]) -> str:
    """Nothing is loaded from anywhere; only these scripts run."""
    digests = (base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; font-src data:"
