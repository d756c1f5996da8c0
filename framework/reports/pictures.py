"""The pictures of a report as Bokeh figures. Those that go by time share one table of rows and one time axis.

Bokeh ships its JavaScript with the Python package, so a page needs no network, and it draws without `eval`, so a strict
Content-Security-Policy holds.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from attrs import define, field
from bokeh.layouts import column
from bokeh.models import ColumnDataSource, FactorRange, HoverTool, NumeralTickFormatter, Range1d
from bokeh.plotting import figure
from bokeh.transform import linear_cmap

from framework.market import Floats, Ints

__all__ = [
    "Picture",
    "Timeline",
    "bars",
    "categories",
    "chosen",
    "drawdown_pct",
    "heatmap",
    "of_a_run",
    "overview",
    "parallel",
    "waterfall",
]

Picture = Any
"""A figure of Bokeh, whose types say nothing of what a figure has."""
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#000000", "#b8a800")
"""The palette of Okabe and Ito for readers who do not tell red from green, its yellow last and darker."""
GAIN, COST, TOTAL, LINE = "#0072b2", "#d55e00", "#666666", "#c00000"
"""Blue and vermilion keep apart for readers who do not tell red from green."""
OVERVIEW_ROWS = 1_500
"""About as many rows as a wide screen has points; longer curves are thinned to that, and filled in on zooming."""
HEIGHT = 260
BY_TIME: Mapping[str, Any] = {
    "x_axis_type": "datetime", "tools": "xpan,box_zoom,xwheel_zoom,reset,save", "active_scroll": None,
}  # fmt: skip
"""What figures have that go by time: they can be moved along it, and a wheel scrolls the page until it is asked to."""
LEGEND_COLUMNS = 3
MARKERS = ("triangle", "x", "diamond", "square", "inverted_triangle", "plus")


def overview(columns: Mapping[str, Floats], rows: int = OVERVIEW_ROWS) -> Ints:
    """The rows that show a table's curves on `rows` points: of each bucket the first, and each curve's extremes."""
    count = len(next(iter(columns.values())))
    if count <= rows:
        return np.arange(count)
    buckets = max(1, rows // (2 * len(columns)))
    edges = np.linspace(0, count, buckets + 1).astype(np.int64)
    kept = {0, count - 1, *edges[:-1].tolist()}
    for values in columns.values():
        filled = np.nan_to_num(values, nan=float(np.nanmean(values)) if np.isfinite(values).any() else 0.0)
        for first, last in pairwise(edges.tolist()):
            if last > first:
                kept |= {int(first + filled[first:last].argmin()), int(first + filled[first:last].argmax())}
    return np.array(sorted(kept))


@define
class Timeline:
    """Figures over one table of rows; `columns` have shape (rows,), `at_ms` is the time of each row."""

    at_ms: Floats
    columns: Mapping[str, Floats]
    figures: list[Picture] = field(factory=list, init=False)
    source: ColumnDataSource = field(init=False)
    range: Range1d = field(init=False)

    def __attrs_post_init__(self) -> None:
        rows = overview(self.columns)
        shown = {name: values[rows] for name, values in self.columns.items()}
        table: dict[str, Any] = {"at_ms": self.at_ms[rows], **shown}
        self.source = ColumnDataSource(table, name="rows")
        self.range = Range1d(start=float(self.at_ms[0]), end=float(self.at_ms[-1]), name="time")

    def lines(
        self,
        name: str,
        title: str,
        unit: str,
        words: Mapping[str, str],
        *,
        form: str = "0,0.[00]",
        area: bool = False,
        steps: bool = False,
        dashed: Mapping[str, float] | None = None,
    ) -> Picture:
        """Curves of columns, by their name in the legend; `dashed` are constant levels, such as a trigger."""
        plot = self._figure(name, title, unit, form)
        for colour, (curve, word) in zip(_colours(len(words)), words.items(), strict=True):
            style = {"color": colour, "line_width": 1.6, "source": self.source, "legend_label": word}
            if area:
                plot.varea("at_ms", 0, curve, source=self.source, color=colour, alpha=0.25)
            drawn = (plot.step if steps else plot.line)("at_ms", curve, **style)
            tip = [("", "@at_ms{%F %H:%M}"), (word, f"@{{{curve}}}{{{form}}}")]
            plot.add_tools(HoverTool(renderers=[drawn], tooltips=tip, formatters={"@at_ms": "datetime"}, mode="vline"))
        for word, level in (dashed or {}).items():
            plot.hspan(y=[level], line_color=LINE, line_dash="dashed", legend_label=f"{word}: {level:g}")
        _legend(plot)
        return plot

    def mark(self, plot: Picture, marks: Mapping[str, Sequence[tuple[float, float, str]]]) -> None:
        """Add points to a figure by their kind: time in ms, height, and words for the pointer."""
        for index, (kind, points) in enumerate(sorted(marks.items())):
            at, height, words = zip(*points, strict=True)
            data: dict[str, Any] = {"at_ms": at, "height": height, "words": words, "day": [_day(each) for each in at]}
            drawn = plot.scatter(
                "at_ms",
                "height",
                source=ColumnDataSource(data),
                size=9,
                color=COLOURS[(index + 3) % len(COLOURS)],
                marker=MARKERS[index % len(MARKERS)],
                legend_label=kind,
                line_color="black",
                line_width=0.5,
            )
            tips = [("", "@day"), (kind, "@words")]
            plot.add_tools(HoverTool(renderers=[drawn], tooltips=tips))
        _legend(plot)

    def _figure(self, name: str, title: str, unit: str, form: str) -> Picture:
        plot = _figure(name, title, HEIGHT, **BY_TIME, x_range=self.range, y_axis_label=unit)
        plot.yaxis.formatter = NumeralTickFormatter(format=form)
        self.figures.append(plot)
        return plot


def of_a_run(curve: pa.Table) -> Picture:
    """Equity, drawdown and the leverage of each leg, from the table of a run's curve."""
    kept = {name: curve[name].to_numpy() for name in curve.column_names if name not in ("at_ns", "moment")}
    legs = [name for name in kept if name.endswith("_leverage") and np.nan_to_num(kept[name]).any()]
    columns = {"equity": kept["equity_usd"], "drawdown": drawdown_pct(kept["equity_usd"])}
    timeline = Timeline(curve["at_ns"].to_numpy() / 1e6, columns | {name: kept[name] for name in legs})
    timeline.lines("equity", "Equity", "USD", {"equity": "equity"})
    timeline.lines("drawdown", "Drawdown from the peak so far", "%", {"drawdown": "drawdown"}, area=True)
    if legs:
        timeline.lines("leverage", "Leverage of each leg", "x", {name: name.removesuffix("_leverage") for name in legs})
    return column(timeline.figures, sizing_mode="stretch_width")


def drawdown_pct(equity_usd: Floats) -> Floats:
    """How far a value is below its highest so far, percent, at most 0."""
    below: Floats = (equity_usd / np.maximum.accumulate(equity_usd) - 1) * 100
    return below


def waterfall(name: str, title: str, steps: Sequence[tuple[str, float]], total: tuple[str, float]) -> Picture:
    """Bars that hang on each other from zero to the total, USD; the first is the uppermost."""
    ends = np.cumsum([amount for _, amount in steps])
    starts = ends - [amount for _, amount in steps]
    data: dict[str, Any] = {
        "bucket": [*(words for words, _ in steps), total[0]],
        "start": [*starts.tolist(), 0.0],
        "end": [*ends.tolist(), total[1]],
        "usd": [*(amount for _, amount in steps), total[1]],
        "colour": [*(GAIN if amount >= 0 else COST for _, amount in steps), TOTAL],
    }
    return _across(name, title, "USD", data)


def bars(name: str, title: str, unit: str, amounts: Mapping[str, float]) -> Picture:
    """A bar for each name from zero to its amount; the first is the uppermost."""
    data: dict[str, Any] = {
        "bucket": list(amounts),
        "start": [0.0] * len(amounts),
        "end": list(amounts.values()),
        "usd": list(amounts.values()),
        "colour": [GAIN if amount >= 0 else COST for amount in amounts.values()],
    }
    return _across(name, title, unit, data)


def _across(name: str, title: str, unit: str, data: Mapping[str, Any]) -> Picture:
    """Bars from left to right, so that their names can be read on a narrow screen; each amount stands beside them."""
    names = data["bucket"]
    height = 70 + 26 * len(names)
    plot = _figure(name, title, height, y_range=FactorRange(factors=names[::-1]), x_axis_label=unit)
    plot.hbar("bucket", 0.7, "end", "start", source=ColumnDataSource(dict(data)), color="colour")
    plot.add_tools(HoverTool(tooltips=[("@bucket", "@usd{+0,0.00}")]))
    plot.vspan(x=[0], line_color=TOTAL, line_width=1)
    plot.xaxis.formatter = NumeralTickFormatter(format="0,0.[00]")
    plot.ygrid.visible = False
    return plot


def categories(
    name: str, title: str, unit: str, factors: Sequence[str], parts: Mapping[str, Sequence[float]]
) -> Picture:
    """Stacked bars over categories such as months: gains above zero, costs below it, one colour for each part."""
    plot = _figure(name, title, HEIGHT + 60, x_range=FactorRange(factors=list(factors)), y_axis_label=unit)
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0.[00]")
    plot.xaxis.major_label_orientation = 0.8
    above, below = np.zeros(len(factors)), np.zeros(len(factors))
    for colour, (part, values) in zip(_colours(len(parts)), parts.items(), strict=True):
        amounts = np.array(values, dtype=float)
        bottom = np.where(amounts >= 0, above, below)
        above, below = above + np.maximum(amounts, 0), below + np.minimum(amounts, 0)
        data: dict[str, Any] = {"at": list(factors), "bottom": bottom, "top": bottom + amounts, "amount": amounts}
        drawn = plot.vbar("at", 0.8, "top", "bottom", source=ColumnDataSource(data), color=colour, legend_label=part)
        plot.add_tools(HoverTool(renderers=[drawn], tooltips=[("", "@at"), (part, "@amount{+0,0.00}")]))
    plot.hspan(y=[0], line_color=TOTAL, line_width=1)
    _legend(plot)
    return plot


def heatmap(name: str, title: str, keys: tuple[str, str], cells: Sequence[tuple[str, str, float]]) -> Picture:
    """A value over two keys; a cell's colour goes from the least to the greatest value."""
    across, down, values = zip(*cells, strict=True)
    columns, rows = list(dict.fromkeys(across)), list(dict.fromkeys(down))
    ranges: dict[str, Any] = {"x_range": FactorRange(factors=columns), "y_range": FactorRange(factors=rows[::-1])}
    plot = _figure(name, title, 60 + 44 * len(rows), **ranges, x_axis_label=keys[0], y_axis_label=keys[1])
    data: dict[str, Any] = {
        "across": across,
        "down": down,
        "value": values,
        "words": [f"{value:.4g}" for value in values],
    }
    source = ColumnDataSource(data)
    colour = linear_cmap("value", "Cividis256", min(values), max(values))
    plot.rect("across", "down", 0.98, 0.98, source=source, color=colour)
    middle = (min(values) + max(values)) / 2
    source.data["ink"] = ["black" if value > middle else "white" for value in values]
    plot.text("across", "down", "words", source=source, text_align="center", text_baseline="middle", text_color="ink")
    return plot


def parallel(name: str, title: str, axes: Mapping[str, Sequence[float]], ticks: Mapping[str, list[str]]) -> Picture:
    """A line for each run through one vertical axis for each key and figure, coloured by the last axis."""
    names = list(axes)
    scaled = {}
    ranges: dict[str, Any] = {"x_range": FactorRange(factors=names), "y_range": Range1d(start=-0.08, end=1.08)}
    plot = _figure(name, title, 320, **ranges)
    for axis, values in axes.items():
        low, high = min(values), max(values)
        scaled[axis] = [(value - low) / (high - low) if high > low else 0.5 for value in values]
        ends = ticks.get(axis) or [f"{low:.4g}", f"{high:.4g}"]
        plot.text(
            [axis, axis],
            [-0.02, 1.02],
            ends[:1] + ends[-1:],
            text_baseline="middle",
            text_font_size="11px",
            text_color=TOTAL,
        )
    last = list(axes[names[-1]])
    lines = list(zip(*(scaled[each] for each in names), strict=True))
    drawn: dict[str, Any] = {"xs": [names] * len(lines), "ys": lines, "last": last}
    source = ColumnDataSource(drawn)
    plot.multi_line(
        "xs",
        "ys",
        source=source,
        line_width=2,
        alpha=0.7,
        color=linear_cmap("last", "Cividis256", min(last), max(last)),
    )
    plot.yaxis.visible = False
    return plot


def chosen(name: str, title: str, unit: str, curves: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Picture:
    """Curves over times of their own, in ms; the page puts others in their place."""
    plot = _figure(name, title, HEIGHT + 60, **BY_TIME, y_axis_label=unit)
    data: dict[str, Any] = {
        "xs": [list(at_ms) for at_ms, _ in curves.values()],
        "ys": [list(values) for _, values in curves.values()],
        "words": list(curves),
        "colour": _colours(len(curves)),
    }
    drawn = plot.multi_line("xs", "ys", source=ColumnDataSource(data), line_color="colour", line_width=1.8)
    plot.add_tools(HoverTool(renderers=[drawn], tooltips=[("", "@words"), ("", "$y{0,0.00}")]))
    plot.yaxis.formatter = NumeralTickFormatter(format="0,0.[00]")
    return plot


def _figure(name: str, title: str, height: int, *, tools: str = "save", **further: Any) -> Picture:  # noqa: ANN401
    """An empty figure as wide as its page, without what Bokeh adds to draw attention."""
    plot: Picture = figure(name=name, title=title, height=height, sizing_mode="stretch_width", tools=tools, **further)
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    plot.grid.grid_line_alpha = 0.35
    plot.outline_line_color = None
    plot.title.text_font_size = "13px"
    plot.axis.minor_tick_line_color = None
    if hasattr(plot.xaxis[0].ticker, "desired_num_ticks"):
        plot.xaxis[0].ticker.desired_num_ticks = 5
    return plot


def _legend(plot: Picture) -> None:
    """The legend in one line above the figure, where it hides no curve."""
    if plot.legend:
        legend = plot.legend[0]
        legend.orientation, legend.click_policy, legend.label_text_font_size = "horizontal", "hide", "11px"
        legend.border_line_color, legend.margin, legend.padding = None, 0, 2
        legend.ncols = min(len(legend.items), LEGEND_COLUMNS)
        if legend in plot.center:
            plot.center.remove(legend)  # which the oldest Bokeh leaves there
            plot.add_layout(legend, "above")


def _colours(count: int) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(count)]


def _day(at_ms: float) -> str:
    return str(np.datetime64(int(at_ms), "ms").astype("datetime64[m]")).replace("T", " ")
