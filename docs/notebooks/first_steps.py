"""First steps: run a scenario, look at it, change a key, and see what that did."""

import marimo

app = marimo.App(width="medium", app_title="First steps")


@app.cell(hide_code=True)
def _():
    import marimo as mo

    mo.md("""
    # First steps

    A scenario is a TOML file: capital, market, strategy, venues. This one levels two legs, a leveraged SOL long on
    Asgard against a SOL perpetual short on Hyperliquid, when one of them gets too much leverage.
    """)
    return (mo,)


@app.cell
def _():
    from pathlib import Path

    from framework import Scenario, assemble, waterfall

    example = Path(__file__).parents[2] / "examples/capital_rebalance/scenario.toml"
    run = assemble(Scenario.load(example)).simulation().run()
    run  # noqa: B018  (what a cell ends with is shown)
    return Scenario, assemble, example, run, waterfall


@app.cell
def _(run):
    run.plot()


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    Where the result came from. The buckets sum to it exactly, because each is the sum of entries in books of integers.
    """)


@app.cell
def _(run, waterfall):
    steps = dict(waterfall(run).steps())
    {name: f"{float(amount):,.2f}" for name, amount in steps.items() if amount}
    return (steps,)


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    Any key can be set. With less leverage there is less funding, and less that can go wrong.
    """)


@app.cell
def _(Scenario, assemble, example, run):
    calmer = assemble(Scenario.load(example, ["strategy.leverage=2"])).simulation().run()
    runs = {"3x": run, "2x": calmer}
    {name: each.frames.summary["return_pct"] for name, each in runs.items()}
    return calmer, runs


@app.cell
def _(run):
    run.frames.fills().tail()


if __name__ == "__main__":
    app.run()
