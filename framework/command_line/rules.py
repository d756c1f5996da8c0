"""The command `rules`: what a rulebook says of a venue, with dates, source and certainty."""

import click

from framework.errors import ScenarioError
from framework.rulebook.rules import Rule, day, instant_ns
from framework.scenario import Rulebook, find_class, own_names, structure
from framework.support.grid import Grid, terminal
from framework.support.suggestions import suggestion
from framework.venue import Venue


@click.command()
@click.argument("venue")
@click.option("--at", metavar="DATE", help="The values in force at a date or an instant in UTC alone.")
@click.option("--lender", metavar="NAME", help="The lender from which the venue borrows.")
@click.option("--rulebook", default="protocol", show_default=True, metavar="NAME", help="Whose rules they are.")
def rules(venue: str, at: str | None, lender: str | None, rulebook: str) -> None:
    """Print the rules of a VENUE, with dates, source and certainty."""
    found = _rules(venue, lender, rulebook)
    at_ns = None if at is None else _instant(at)
    grid = Grid(
        f"Rules of {venue}" + (f" on {lender}" if lender else "") + (f" at {day(at_ns)}" if at_ns is not None else ""),
        ("rule", "~value", "<since", "<until", "<certainty", "~unit and meaning", "~source"),
    )
    missing = []
    for rule in found.values():
        try:
            values = rule.values if at_ns is None else (rule.at(at_ns),)
        except ScenarioError as error:
            missing.append(str(error).partition(";")[0])
            continue
        for value in values:
            until = "" if value.until_ns is None else day(value.until_ns)
            words = ": ".join(filter(None, (rule.unit, rule.about)))
            grid.add(rule.key, _words(value.value), day(value.since_ns), until, value.certainty, words, value.source)
    grid.note = f"Not in force: {'; '.join(missing)}" if missing else ""
    grid.show(terminal(200))


def _words(value: object) -> str:
    """A rule's value as people read it: tiers one after another, coins one under another."""
    match value:
        case list():
            return "; ".join(map(_words, value))
        case dict() if any(isinstance(each, list | dict) for each in value.values()):
            return "\n".join(f"{name}: {_words(each)}" for name, each in value.items())
        case dict():
            return ", ".join(f"{name} {_words(each)}" for name, each in value.items())
        case bool():
            return str(value).lower()
        case float():
            return f"{value:,.15g}"
        case _:
            return str(value)


def _rules(venue: str, lender: str | None, rulebook: str) -> dict[str, Rule]:
    """The rules of a rulebook for a venue; raises `ScenarioError` where it has none."""
    book = structure({}, find_class(rulebook, "rulebook", Rulebook, "venues"), "rulebook")  # type: ignore[type-abstract]
    found = book.rules(venue, {})
    if not found:
        known = [each for each in own_names(Venue, "venues") if book.rules(each, {})]
        some = f"; {suggestion(venue, known)}" if known else ", nor of any other; expected --rulebook protocol"
        raise ScenarioError(f"the rulebook {rulebook} has no dated rules of {venue!r}{some}")
    if lender is None:
        return dict(found)
    try:
        return dict(book.rules(venue, {"lender": lender}))
    except ScenarioError as error:
        raise ScenarioError(str(error).replace(f"venues.{venue}.lender: ", "--lender: ", 1)) from None


def _instant(text: str) -> int:
    try:
        return instant_ns(text)
    except ValueError as error:
        raise ScenarioError(f"--at {error}") from None
