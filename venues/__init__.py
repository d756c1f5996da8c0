"""Simulated venues, one module per protocol, and the rulebooks that fill in their rules."""

from collections.abc import Mapping

from framework.support.logs import log

ISSUER = "issuer"
"""The class, and the name, of the venue whose keys are a scenario's table `fees`."""
AT_COST = ("valuation", "fee_timing", "liquidation_distance")
"""Old keys of a venue's table that belong to its table `accounting` now."""


def renamed(key: str, table: Mapping[str, object]) -> dict[str, object]:
    """A venue's table with old keys under their new names; a warning in the log names them."""
    old = {name: table[name] for name in AT_COST if name in table}
    found = {name: value for name, value in table.items() if name not in old}
    if not old:
        return found
    log.warning("keys renamed", keys=[f"{key}.{name}" for name in old], now=f"{key}.accounting")
    if old.get("valuation") == "cost" or old.get("liquidation_distance") is not None or "valuation" not in old:
        accounting = dict(found.get("accounting") or {"class": "at_cost"})  # type: ignore[call-overload]
        if "fee_timing" in old:
            accounting["fees_at_entry"] = old["fee_timing"] == "entry"
        if "liquidation_distance" in old:
            accounting["liquidation_distance"] = old["liquidation_distance"]
        found["accounting"] = accounting
    return found
