"""The summary of a run: what `--json` prints and `summary.json` keeps, one flat object and the log of what was done."""

from attrs import asdict

from framework.assembly import Assembly
from framework.chronicle import chronicle
from framework.run import Run
from framework.valuation import metrics

Summary = dict[str, object]
CALL = ("date", "margin_usd", "size")
"""What is told of a margin call: its day, the margin that was called, and the cut in coins."""


def summarize(assembly: Assembly, run: Run) -> Summary:
    """Metrics under the names that scripts use, with the scenario's name and what must be known about the data."""
    lines = [asdict(line, filter=lambda _, value: value not in (None, "")) for line in chronicle(run)]
    calls = [{key: line[key] for key in CALL} for line in lines if line["kind"] == "margin call"]
    return {
        "scenario": assembly.scenario.name,
        "data": run.market.label or "files",
        **metrics(run),
        **({"first_margin_call": calls[0], "last_margin_call": calls[-1]} if calls else {}),
        "log": lines,
    }
