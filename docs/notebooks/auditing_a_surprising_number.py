"""Auditing a surprising number: from a figure to the account, the entry, the event, and the row of the market file."""

import marimo

app = marimo.App(width="medium", app_title="Auditing a surprising number")


@app.cell(hide_code=True)
def _():
    import marimo as mo

    mo.md("""
    # Auditing a surprising number

    A run says what its liquidations cost. Is that so, when did it happen, and which price was it?
    """)
    return (mo,)


@app.cell
def _():
    import tempfile
    from pathlib import Path

    from framework import Scenario, assemble
    from framework.performance import summarize
    from framework.run_folder.archive import Folder, save

    example = Path(__file__).parents[2] / "examples/capital_rebalance/scenario.toml"
    assembly = assemble(Scenario.load(example))
    run = assembly.simulation().run()
    keep = tempfile.TemporaryDirectory()
    folder = Folder(save(assembly, run, summarize(assembly, run), Path(keep.name)))
    penalty_usd = folder.summary["liquidation_penalty_usd"]
    penalty_usd  # noqa: B018  (what a cell ends with is shown)
    return folder, keep, penalty_usd


@app.cell
def _(folder):
    from framework.reports.frames import explain_frame

    tree = explain_frame(folder.path, "liquidation_penalty_usd")
    tree  # noqa: B018  (what a cell ends with is shown)
    return explain_frame, tree


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    The same for funding, where an entry comes from a rate and a price: the event names the file and the row of both.
    """)


@app.cell
def _(explain_frame, folder):
    from framework.reports.explain import sources

    funding = explain_frame(folder.path, "funding")
    first = int(funding.event.dropna().iloc[0])
    origin = sources(folder, [first])[first]
    origin  # noqa: B018  (what a cell ends with is shown)
    return first, origin


@app.cell(hide_code=True)
def _(mo):
    mo.md("""
    And nothing else was changed since: every check of the folder passes.
    """)


@app.cell
def _(folder):
    from framework.audit import audit

    results = {result.check: result.outcome for result in audit(folder)}
    results  # noqa: B018  (what a cell ends with is shown)
    return (results,)


@app.cell(hide_code=True)
def _(keep, origin, results, tree):
    read = (origin, results, tree)
    keep.cleanup()  # once all of it is read
    return (read,)


if __name__ == "__main__":
    app.run()
