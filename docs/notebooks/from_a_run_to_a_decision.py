"""From a run to a decision: sweep two keys, look at the cells, and ask how sure the best of them is."""

import marimo

app = marimo.App(width="medium", app_title="From a run to a decision")


@app.cell(hide_code=True)
def _():
    import marimo as mo

    mo.md("""
    # From a run to a decision

    One run answers what one setting did on one path of the market. A sweep runs a grid of settings; the best of them on
    this path is where a decision begins, and not where it ends.
    """)
    return (mo,)


@app.cell
def _():
    import tempfile
    from pathlib import Path

    import pandas as pd

    from framework.many_runs.sweep import Sweep, sweep

    example = Path(__file__).parents[2] / "examples/capital_rebalance/scenario.toml"
    plan = Sweep.of(example, ["strategy.leverage=2,3", "strategy.trigger=4,5,6,8"])
    with tempfile.TemporaryDirectory() as folder:
        cells = pd.DataFrame(sweep(plan, Path(folder), jobs=1).rows)
    cells[["strategy.leverage", "strategy.trigger", "return_pct", "max_drawdown_pct", "liquidations"]]
    return (cells,)


@app.cell
def _(cells):
    from framework.reports.pictures import heatmap

    values = zip(
        cells["strategy.trigger"].astype(str), cells["strategy.leverage"].astype(str), cells.return_pct, strict=True
    )
    heatmap("return", "Return, %", ("strategy.trigger", "strategy.leverage"), list(values))
    return (heatmap,)


@app.cell
def _(cells):
    best = cells.sort_values("return_pct").iloc[-1]
    best[["strategy.leverage", "strategy.trigger", "return_pct"]].to_dict()
    return (best,)


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    Eight cells on one path: the best of them is partly luck. How much of the spread is due to a single event? The table
    has the lowest and the highest return by the number of liquidations.
    """)


@app.cell
def _(cells):
    spread = cells.groupby("liquidations").return_pct.agg(["count", "min", "max"])
    spread  # noqa: B018  (what a cell ends with is shown)
    return (spread,)


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    `carrybook choose` asks the same on many paths that are drawn from the data: which cell survives, which cells cannot
    be told from it, and how likely the winner here is luck.
    """)


if __name__ == "__main__":
    app.run()
