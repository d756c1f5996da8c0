"""Checks of what a run says that it is worth: the waterfall and the summary, computed again from the folder."""

from framework.archive import UNKNOWN, Folder
from framework.saved.audit.finding import Finding, Findings
from framework.units import USDC
from framework.valuation import COSTS, FIGURES, Waterfall, Worth, decimal, fees_of, waterfall_of


def worth_of(folder: Folder) -> Worth:
    """What the accounts of a folder are worth, without the transfers of accounts that its chart lacks."""
    return folder.book.worth(
        batch[(batch["debit"] != UNKNOWN) & (batch["credit"] != UNKNOWN)] for batch in folder.records()
    )


def waterfall(folder: Folder) -> Findings:
    """The buckets of the waterfall sum to the result, and nothing is unexplained."""
    steps = waterfall_of(worth_of(folder), folder.capital)
    if steps.unexplained:
        yield Finding("the waterfall", f"{steps.unexplained} USD are unexplained; expected 0")


def summary(folder: Folder) -> Findings:
    """The money and the counts of the summary are those that the books make."""
    worth = worth_of(folder)
    steps = waterfall_of(worth, folder.capital)
    equity = decimal(worth.equity())
    capital = USDC.decimal(folder.capital)
    made: dict[str, object] = {name: _said(steps, name) for name in FIGURES}
    made |= {
        "capital_usd": float(capital),
        "final_equity_usd": float(equity),
        "return_pct": float((equity / capital - 1) * 100),
        "bridge_usd": float(fees_of(worth)["Expenses:Bridge:Fee"]),
        "transfers": folder.manifest["counts"]["transfers"],
        "events": folder.manifest["counts"]["events"],
        "rows": folder.manifest["counts"]["rows"],
        "ledger_digest": folder.manifest["ledger"]["digest"],
    }
    for name, value in made.items():
        if folder.summary.get(name) != value:
            yield Finding(f"summary.json, {name}", f"{folder.summary.get(name)}; the books make {value}")


def _said(steps: Waterfall, name: str) -> float:
    amount = getattr(steps, FIGURES[name])
    return float(-amount if name in COSTS else amount)
