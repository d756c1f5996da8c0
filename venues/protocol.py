"""The protocols' own rulebook: each venue by its rules, as they were when; `rules/` has them with their sources."""

from collections.abc import Mapping

from attrs import frozen

from framework.errors import ScenarioError
from framework.row_path import RowPath
from framework.rules import Rule, names_of, rules_of
from framework.scenario import Rulebook
from framework.strategy import Strategy

LENDERS: Mapping[str, str] = {"asgard": "kamino"}
"""Venues that borrow from a lender, whose rules are in a file of its own, and the lender where none is chosen."""

TERMS: Mapping[str, Mapping[str, object]] = {
    "hyperliquid": {"funding_price": "oracle"},
    "drift": {"funding_price": "oracle"},
}
"""What never changed: funding is paid on the oracle price."""


@frozen(kw_only=True)
class Protocol(Rulebook):
    """The rules of the protocols themselves; what a scenario sets for a venue goes before them.

    `path` is the order in which a row's extremes are taken to come: by default the one that is worst for a position.
    """

    path: RowPath = "adverse_first"
    look_ahead_at_entry: bool = False

    def terms(self, venue: str, strategy: Strategy) -> Mapping[str, object]:
        return TERMS.get(venue, {})

    def rules(self, venue: str, table: Mapping[str, object]) -> Mapping[str, Rule]:
        found = rules_of("venues", venue)
        lender = table.get("lender", LENDERS.get(venue))
        if lender is None:
            return found
        if lender not in names_of("venues"):
            some = ", ".join(names_of("venues"))
            raise ScenarioError(f"venues.{venue}.lender: no rules of {lender!r}; there are rules of {some}")
        return {**found, **rules_of("venues", str(lender))}
