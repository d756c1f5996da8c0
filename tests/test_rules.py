"""Rules with dates, source and certainty: their file, their range, and how they reach a venue's fields."""

from datetime import UTC, datetime

import pytest
from attrs import evolve, frozen
from click.testing import CliRunner

from framework import Liquidated, Open, Rejected, Rulebook, Scenario, Side, Strategy, Withdraw, assemble
from framework.command_line.cli import carrybook
from framework.errors import ScenarioError
from framework.performance import summarize
from framework.reports.report import report
from framework.rulebook.row_path import RowPath
from framework.rulebook.rules import CERTAINTIES, Dated, instant_ns, read_rules, rules_of
from framework.run_folder.archive import Folder, save
from tests.runs import ROOT

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
    names = [file.stem for file in (ROOT / "venues" / "rules").glob("*.toml")]
    assert "hyperliquid" in names
    for name in names:
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


DOUBTFUL = """
[maintenance_margin]
unit = "share of the notional"
about = "below which an account is liquidated"
values = [
  { value = 0.02, since = 2024-01-01, certainty = "exact", source = "a page" },
  { value = 0.04, since = 2025-02-01, certainty = "unverified", source = "hearsay" },
]

[taker_fee_bps]
unit = "basis points"
about = "fee"
values = [{ value = 3.5, since = 2024-01-01, certainty = "exact", source = "a page" }]

["bridge.fee_usd"]
unit = "USD"
about = "fee of a passage"
values = [{ value = 1, since = 2024-01-01, certainty = "observed", source = "a page" }]
"""


@frozen(kw_only=True)
class Hearsay(Rulebook):
    """Rules of which one is not verified."""

    look_ahead_at_entry: bool = False
    path: RowPath = "adverse_first"

    def terms(self, venue, strategy):
        return {"liquidation_penalty": {"of": "equity", "fraction": 0.0}, "bridge": {"fee_usd": 2.0}}

    def rules(self, venue, table):
        found = read_rules(DOUBTFUL, "here")
        return {key: found[key] for key in ("maintenance_margin", "taker_fee_bps")}


@frozen(kw_only=True)
class Short(Strategy):
    """Sells short as much as there is, and asks for too much when it is liquidated."""

    size: float = 40.0

    def on_start(self, view):
        yield Open("hyperliquid", Side.SHORT, self.size, 900.0)

    def on_event(self, event, view):
        if isinstance(event, Liquidated):
            yield Open("hyperliquid", Side.SHORT, 1.0, 50.0)
            yield Withdraw("hyperliquid", 48.0)


@frozen(kw_only=True)
class Nothing(Strategy):
    """It holds what it has."""

    def on_start(self, view):
        return ()

    def on_event(self, event, view):
        return ()


def scenario(start="2025-05-01", end="2025-05-10", venue=None, strategy="Nothing", size=None, **rulebook):
    """A short on Hyperliquid under the protocol's rules."""
    own = {"maintenance_margin": 0.025, "liquidation_penalty": {"of": "equity", "fraction": 0.0}, **(venue or {})}
    return Scenario.of(
        {
            "name": "rules",
            "capital_usd": 1_000,
            "market": {"start": start, "end": end, "embedded": "sol_daily"},
            "rulebook": {"class": "protocol", **rulebook},
            "strategy": {"class": f"{__name__}:{strategy}", **({"size": size} if size else {})},
            "venues": {"hyperliquid": own},
        }
    )


def test_the_protocols_rulebook_gives_a_venue_its_dated_rules():
    """The field is the rule of the file, with its dates; what the scenario sets overrides it."""
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
        (
            {"venue": {"lender": "kamino"}},
            "venues.hyperliquid.lender: 'kamino'; expected none, for asgard alone has a lender",
        ),
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


def liquidated(**settings):
    """A run under a rulebook with a rule that nobody has verified, in which it liquidates."""
    told = scenario("2025-03-25", "2025-05-25", strategy="Short", **{"class": f"{__name__}:Hearsay"}, **settings)
    assembly = assemble(evolve(told, venues={"hyperliquid": {}}))
    return assembly, assembly.simulation().run()


def test_an_event_says_which_rules_bound_it():
    """Those of the formula that held and those that were read meanwhile; of a rejection those that forbid it."""
    _, run = liquidated()
    act = next(event for event in run.single if isinstance(event, Liquidated))
    assert act.rules == ("maintenance_margin", "taker_fee_bps")
    rejected = next(event for event in run.single if isinstance(event, Rejected))
    assert rejected.rules == ("maintenance_margin",)


def test_a_report_names_the_rules_that_nobody_has_verified_and_that_mattered():
    """The value in force, and how often; what bound nothing is left out."""
    assembly, run = liquidated()
    (grid,) = [each for each in report(assembly, run, summarize(assembly, run)) if each.title.startswith("Rules")]
    ((venue, rule, value, certainty, events, first, kind),) = grid.rows
    assert (venue, rule, value, certainty) == ("hyperliquid", "maintenance_margin", "0.04", "unverified")
    bound = [event for event in run.single if "maintenance_margin" in getattr(event, "rules", ())]
    assert (int(events), kind) == (len(bound), "Liquidated")
    assert {event.kind for event in bound} == {"Liquidated", "Rejected"}
    assert next(each for each in run.single if isinstance(each, Liquidated)).event == int(first)
    assembly, run = liquidated(size=1.0)
    assert not [each for each in report(assembly, run, summarize(assembly, run)) if each.title.startswith("Rules")]


def test_a_manifest_has_the_rules_in_effect(tmp_path):
    """With dates, source and certainty, of the time of the run; what the scenario sets is not among them."""
    assembly, run = liquidated()
    folder = Folder(save(assembly, run, summarize(assembly, run), tmp_path))
    margin = folder.manifest.dated_rules["hyperliquid"]["maintenance_margin"]
    value = {"value": 0.04, "since": "2025-02-01", "until": None, "certainty": "unverified", "source": "hearsay"}
    assert margin == {"unit": "share of the notional", "values": [value]}
    replaced = scenario(venue={"taker_fee_bps": 2.0})
    assert "taker_fee_bps" not in assemble(replaced).rules["hyperliquid"]
    assert "taker_fee_bps" in assemble(scenario()).rules["hyperliquid"]


def test_a_key_below_a_table_is_a_rule_too():
    """A dotted key sets a key of a table such as the bridge's, and its dates are checked."""
    rule = read_rules(DOUBTFUL, "here")["bridge.fee_usd"]
    assert rule.setting() == [{"since": at(2024, 1, 1), "value": 1}]


def test_the_command_prints_rules_with_where_they_come_from():
    """All of them or those of a date; what it does not know is one line."""
    done = CliRunner().invoke(carrybook, ["rules", "hyperliquid"])
    assert "taker_fee_bps" in done.output
    assert "exact" in done.output
    assert "2025-05-05 03:00" in done.output
    done = CliRunner().invoke(carrybook, ["rules", "hyperliquid", "--at", "2024-06-01"])
    assert "2024-03-05" in done.output
    assert "exact" not in done.output.partition("taker_fee_bps")[2].partition("\n")[0]
    done = CliRunner().invoke(carrybook, ["rules", "hyperliquid", "--at", "2025-06-01"])
    told = " ".join(done.output.split())
    assert "taker_fee_bps 4.5; above_usd 5,000,000," in told
    assert "SOL: max_leverage 20; above_usd" in told
    assert "{" not in told
    done = CliRunner().invoke(carrybook, ["rules", "hyperliquid", "--at", "2020-01-01"])
    assert "Not in force: " in done.output
    for arguments, words in (
        (["nobody"], "no dated rules of 'nobody'; expected one of asgard, drift, hyperliquid, jito"),
        (["hyperliqud"], "the rulebook protocol has no dated rules of 'hyperliqud'; did you mean hyperliquid?"),
        (["asgard", "--rulebook", "study"], "of 'asgard', nor of any other; expected --rulebook protocol"),
        (["hyperliquid", "--lender", "kamino"], "--lender: 'kamino'; expected none, for asgard alone has a lender"),
        (["asgard", "--lender", "nobody"], "--lender: no rules of 'nobody'; there are rules of kamino, marginfi, "),
        (["asgard", "--lender", ""], "--lender: no rules of ''; there are rules of kamino, marginfi, "),
        (["nobody", "--lender", "kamino"], "no dated rules of 'nobody'; expected one of asgard, drift, hyperliquid"),
        (["hyperliquid", "--at", "once"], "--at 'once'; expected a date such as 2025-01-31 or an instant in UTC"),
        (["hyperliquid", "--rulebook", "none"], "rulebook.class: unknown rulebook 'none'; expected one of "),
    ):
        assert words in str(CliRunner().invoke(carrybook, ["rules", *arguments]).exception)
