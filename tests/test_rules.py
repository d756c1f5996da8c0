"""Rules with dates, source and certainty: their file, their range, and how they reach a venue's fields."""

from datetime import UTC, datetime

import pytest
from attrs import frozen

from framework import Scenario, Strategy, assemble
from framework.errors import ScenarioError
from framework.rules import CERTAINTIES, Dated, instant_ns, names_of, read_rules, rules_of

FEE = """
[fee_bps]
unit = "basis points of the notional"
about = "taker fee"
values = [
  { value = 3.5, since = 2024-03-05, until = 2025-05-05T03:00:00Z, certainty = "observed", source = "a page" },
  { value = 4.5, since = 2025-05-05T03:00:00Z, until = 2026-04-01T16:05:00Z, certainty = "exact", source = "another" },
]
"""


def at(*parts):
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 10**9


def test_a_rule_says_what_held_when_from_which_source_and_how_certain_it_is():
    """A value holds from its instant on, to the nanosecond; the end is the last instant of the last."""
    rule = read_rules(FEE, "here")["fee_bps"]
    assert (rule.key, rule.unit, rule.about) == ("fee_bps", "basis points of the notional", "taker fee")
    assert rule.at(at(2024, 3, 5)).value == 3.5
    assert rule.at(at(2025, 5, 5, 3) - 1).certainty == "observed"
    assert rule.at(at(2025, 5, 5, 3)).value == 4.5
    assert rule.at(at(2026, 4, 1, 16, 5)).source == "another"
    assert [each.value for each in rule.between(at(2024, 1, 1), at(2025, 5, 5, 3))] == [3.5, 4.5]
    assert [each.value for each in rule.between(at(2025, 5, 5, 3), at(2027, 1, 1))] == [4.5]
    assert rule.between(at(2026, 4, 1, 16, 5), at(2027, 1, 1)) == ()


@pytest.mark.parametrize(
    ("instant", "words"),
    [
        (at(2024, 3, 5) - 1, "fee_bps: the rule begins at 2024-03-05; expected a market that begins no earlier"),
        (at(2026, 4, 1, 16, 5) + 1, "fee_bps: the rule ends at 2026-04-01 16:05; expected a market that ends no later"),
    ],
)
def test_outside_its_range_a_rule_says_nothing(instant, words):
    """Nothing is carried on beyond what is known."""
    with pytest.raises(ScenarioError) as complaint:
        read_rules(FEE, "here")["fee_bps"].at(instant)
    assert str(complaint.value) == words


def test_a_value_may_be_a_number_a_text_a_truth_a_table_or_a_list():
    """Tiers are a list of tables."""
    rows = "".join(
        f"[{key}]\nunit = ''\nabout = ''\n"
        f"values = [{{ value = {value}, since = 2024-01-01, certainty = 'exact', source = 'x' }}]\n"
        for key, value in {"a": "1", "b": "'mark'", "c": "true", "d": "{ of = 'equity' }", "e": "[[0, 40]]"}.items()
    )
    values = [rule.values[0].value for rule in read_rules(rows, "here").values()]
    assert values == [1, "mark", True, {"of": "equity"}, [[0, 40]]]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[fee_bps]", "[fee_bps", "here: not TOML: "),
        (
            'unit = "basis points of the notional"',
            "",
            "here, fee_bps: expected a table with unit, about, values and no",
        ),
        ('about = "taker fee"', "about = 1", "here, fee_bps: about is 1; expected text"),
        (
            'certainty = "exact"',
            'certainty = "sure"',
            "value 2: certainty is 'sure'; expected one of exact, observed, ",
        ),
        ('source = "another"', 'source = ""', "value 2: source is ''; expected text"),
        ('source = "another"', 'sauce = "another"', "value 2: {'value': 4.5, "),
        ("since = 2024-03-05,", "since = 'once',", "value 1: 'once'; expected a date such as 2025-01-31 or an instant"),
        (
            "until = 2025-05-05T03:00:00Z",
            "until = 2025-05-05",
            "value 2: begins 2025-05-05 03:00, the one before it ends",
        ),
        (
            "until = 2026-04-01",
            "until = 2025-04-01",
            "value 2: until 2025-04-01 16:05; expected an end after 2025-05-05 0",
        ),
        (
            "since = 2024-03-05, until = 2025-05-05T03:00:00Z,",
            "since = 2025-06-01,",
            "value 2: begins 2025-05-05 03:00, ",
        ),
    ],
)
def test_a_wrong_file_is_one_line_that_names_rule_and_value(old, new, words):
    """File, rule and value are named."""
    assert old in FEE
    with pytest.raises(ScenarioError) as complaint:
        read_rules(FEE.replace(old, new), "here")
    assert words in str(complaint.value)
    assert "\n" not in str(complaint.value)


def test_a_rule_without_values_is_refused():
    """An empty list says nothing."""
    with pytest.raises(ScenarioError, match="here, a: expected at least one of its values"):
        read_rules("[a]\nunit = ''\nabout = ''\nvalues = []", "here")


def test_every_rule_file_that_is_shipped_can_be_read():
    """All of them, and their certainties are those that there are."""
    assert "hyperliquid" in names_of("venues")
    for name in names_of("venues"):
        rules = rules_of("venues", name)
        assert rules
        assert {each.certainty for rule in rules.values() for each in rule.values} <= set(CERTAINTIES)
    assert rules_of("venues", "nothing_of_the_kind") == {}


def test_an_instant_keeps_its_microseconds_exactly():
    """No float on the way."""
    assert instant_ns("2025-05-05T03:00:00.000001+00:00") == at(2025, 5, 5, 3) + 1_000
    assert instant_ns("2025-05-05") == at(2025, 5, 5)


def test_a_dated_rule_may_end():
    """As a scenario writes it; an end in the middle has to be where the next value begins."""
    rule = Dated.of(
        [{"since": "2025-01-01", "value": 1.0}, {"since": "2025-02-01", "value": 2.0, "until": "2025-03-01"}]
    )
    assert rule.at(at(2025, 3, 1)) == 2.0
    with pytest.raises(ScenarioError, match="the rule ends at 2025-03-01; expected a market that ends no later"):
        rule.at(at(2025, 3, 2))
    with pytest.raises(ValueError, match="one value ends 2025-01-31, the next begins 2025-02-01; expected one instant"):
        Dated.of([{"since": "2025-01-01", "until": "2025-01-31", "value": 1}, {"since": "2025-02-01", "value": 2}])
    with pytest.raises(ValueError, match="until 2025-01-01; expected an end after 2025-01-01"):
        Dated.of([{"since": "2025-01-01", "until": "2025-01-01", "value": 1}])


@frozen(kw_only=True)
class Nothing(Strategy):
    """It holds what it has."""

    def on_start(self, view):
        return ()

    def on_event(self, event, view):
        return ()


def scenario(start="2025-05-01", end="2025-05-10", venue=None, **rulebook):
    """A short on Hyperliquid under the protocol's rules."""
    own = {"maintenance_margin": 0.025, "liquidation_penalty": {"of": "equity", "fraction": 0.0}, **(venue or {})}
    return Scenario.of(
        {
            "name": "rules",
            "capital_usd": 1_000,
            "market": {"start": start, "end": end, "embedded": "sol_daily"},
            "rulebook": {"class": "protocol", **rulebook},
            "strategy": {"class": f"{__name__}:Nothing"},
            "venues": {"hyperliquid": own},
        }
    )


def test_the_protocols_rulebook_gives_a_venue_its_dated_rules():
    """The field is the rule of the file, with its dates; what the scenario sets goes first."""
    (venue,) = assemble(scenario()).venues
    assert venue.taker_fee_bps.at(at(2025, 5, 4)) == 3.5
    assert venue.taker_fee_bps.at(at(2025, 5, 6)) == 4.5
    (venue,) = assemble(scenario(venue={"taker_fee_bps": 2.0})).venues
    assert venue.taker_fee_bps == 2.0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"venue": {"taker_fee_bps": [{"since": "2025-01-01", "value": 1, "until": "2025-05-09"}]}},
            "venues.hyperliquid.taker_fee_bps: the rule ends at 2025-05-09; expected a market that ends no later",
        ),
        (
            {"venue": {"taker_fee_bps": [{"since": "2025-05-02", "value": 1}]}},
            "venues.hyperliquid.taker_fee_bps: the rule begins at 2025-05-02; expected a market that begins no earlier",
        ),
        ({"venue": {"lender": "nobody"}}, "venues.hyperliquid.lender: no rules of 'nobody'; there are rules of "),
        (
            {"path": "high_first"},
            "rulebook.path: 'high_first'; expected one of close, adverse_first, open_high_low_close",
        ),
    ],
)
def test_a_rule_that_does_not_fit_the_market_is_one_line(settings, words):
    """Rule, range and setting are named, and nothing runs."""
    with pytest.raises(ScenarioError) as complaint:
        assemble(scenario(**settings))
    assert words in str(complaint.value)
