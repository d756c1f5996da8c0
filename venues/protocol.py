"""The protocols' own rulebook: each venue by its rules at their dates; `rules/` has them with their sources."""

from collections.abc import Mapping
from typing import get_args

from attrs import frozen

from framework.errors import ScenarioError
from framework.rulebook.row_path import RowPath
from framework.rulebook.rules import Rule, rules_of
from framework.scenario import Rulebook
from framework.strategy import Strategy
from venues.lenders import Name

LENDERS: Mapping[str, str] = {"asgard": "kamino"}
"""Venues that borrow from a lender -> the default lender, whose rules become the table `terms`."""
LENDER_FILES: Mapping[str, str] = {each: each for each in get_args(Name)} | {"drift": "drift_spot"}
"""The file of each lender's rules."""
OFF_SOLANA = ("hyperliquid",)
"""Venues to which money goes by the passages of `rules/passages.toml`, unless a scenario has a `bridge` of its own.

The wallet and the other venues are on Solana.
"""
TERMS: Mapping[str, Mapping[str, object]] = {
    "hyperliquid": {"funding_price": "oracle"},
    "drift": {"funding_price": "oracle"},
    "asgard": {"lender": LENDERS["asgard"], "rate_convention": "effective"},
    "jito": {"rounding": "pool"},
}
"""Rules that never changed: funding on the oracle price, lenders' rates as APYs, the pool's rounding."""


@frozen(kw_only=True)
class Protocol(Rulebook):
    """The rules of the protocols themselves; what a scenario sets for a venue overrides them.

    `path` is the order in which a row's extremes are taken to come: by default the one that is worst for a position.
    """

    path: RowPath = "adverse_first"
    look_ahead_at_entry: bool = False
    """The study's: opened at the first close, and earning all of that row."""

    def terms(self, venue: str, strategy: Strategy) -> Mapping[str, object]:
        return TERMS.get(venue, {})

    def rules(self, venue: str, table: Mapping[str, object]) -> Mapping[str, Rule]:
        found = dict(rules_of("venues", venue))
        if venue in OFF_SOLANA and "bridge" not in table:
            found |= {f"bridge.{key}": rule for key, rule in rules_of("venues", "passages").items()}
        lender = table.get("lender", LENDERS.get(venue))
        if lender is None:
            return found
        if ":" not in venue and venue not in LENDERS:  # a class of a user's own may have a lender
            some = " or ".join(LENDERS)
            raise ScenarioError(f"venues.{venue}.lender: {lender!r}; expected none, for {some} alone has a lender")
        if lender not in LENDER_FILES:
            some = ", ".join(LENDER_FILES)
            raise ScenarioError(f"venues.{venue}.lender: no rules of {lender!r}; there are rules of {some}")
        terms = rules_of("venues", LENDER_FILES[str(lender)])
        return {**found, **{f"terms.{key}": rule for key, rule in terms.items()}}
