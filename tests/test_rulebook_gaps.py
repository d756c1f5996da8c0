"""The study's rulebook and a strategy without the short that it judges a long by."""

from collections.abc import Iterable

import pytest
from attrs import frozen

from framework import Event, Open, Order, Scenario, Side, Strategy, View, assemble
from framework.errors import ScenarioError


@frozen(kw_only=True)
class LongOnly(Strategy):
    """A long on the lender, without a field `short`."""

    def on_start(self, view: View) -> Iterable[Order]:
        yield Open("asgard", Side.LONG, 5.0, 500.0)

    def on_event(self, event: Event, view: View) -> Iterable[Order]:
        return ()


def scenario(strategy, **venues):
    """A month on the embedded data under the study's rulebook."""
    return Scenario.of(
        {
            "name": "gap",
            "capital_usd": 1_000,
            "market": {"start": "2025-01-01", "end": "2025-02-01", "embedded": "sol_daily"},
            "rulebook": {"class": "study"},
            "strategy": strategy,
            "venues": venues,
        }
    )


LONG_ONLY = {"class": f"{__name__}:LongOnly"}
PAIR = {"class": "static", "long": "asgard", "short": "perp", "leverage": 2.0}


@pytest.mark.parametrize(
    ("strategy", "words"),
    [(LONG_ONLY, "a field that this strategy does not have"), (PAIR, "which is 'perp'")],
    ids=["no field", "another name"],
)
def test_a_strategy_without_the_short_of_the_study_is_one_clear_line(strategy, words):
    """What the rulebook lacks, why, and the two ways to mend it."""
    with pytest.raises(ScenarioError) as complaint:
        assemble(scenario(strategy, asgard={}, perp={"class": "hyperliquid"}))
    said = str(complaint.value)
    assert said.startswith("venues.asgard.maintenance_margin: the rulebook judges a long by ")
    assert words in said
    assert said.endswith("maintenance_margin and liquidation_penalty in the table of the venue")


def test_the_table_of_the_venue_mends_it():
    """With its own margin and penalty the lender needs no short."""
    own = {"maintenance_margin": 0.1, "liquidation_penalty": {"of": "equity", "fraction": 0.5}}
    run = assemble(scenario(LONG_ONLY, asgard=own)).simulation().run()
    assert run.curve.size_by_venue["asgard"][-1] > 5.0
