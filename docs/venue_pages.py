"""A page for each venue: what it is, its keys, rules by date, formulas with their inputs, orders and accounts."""

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator, Mapping

from framework import orders
from framework.formulas import Formula, formulas_of
from framework.money import Asset
from framework.rulebook.rules import Rule, day
from framework.venue import Declared, FromRules
from venues.protocol import LENDER_FILES, Protocol

BUCKETS = {"Expenses": "fees", "Income": "other_income"}
"""Where what goes through an account belongs that names no bucket."""


def page(name: str, cls: type, keys: Iterable[str]) -> Iterator[str]:
    """The lines of a venue's page; `keys` are those of its table of keys."""
    yield f"# {cls.__name__}\n"
    yield f"`venues.{name}` in a scenario, from `venues/{name}.py`.\n"
    yield f"{inspect.getdoc(cls) or ''}\n"
    yield "## Keys\n"
    yield from keys
    yield from _dated(name, cls)
    yield from _formulas(cls)
    yield from _orders(cls)
    yield from _accounts(cls)


def rules_of(venue: str, lender: str | None = None) -> Mapping[str, Rule]:
    """The dated rules of a venue under the rulebook `protocol`; none where it has none of that name."""
    return Protocol().rules(venue, {"lender": lender} if lender else {})


def cell(text: str) -> str:
    """Text as a cell of a table in Markdown."""
    return text.replace("|", "\\|").replace("\n", " ")


def _dated(name: str, cls: type) -> Iterator[str]:
    """Rules with their dates, sources and certainty; those of each lender where the venue borrows."""
    own = {key: rule for key, rule in rules_of(name).items() if not key.startswith("terms.")}
    if own:
        yield "## Rules by date\n"
        yield "Those of the rulebook `protocol`. A value holds from its instant in UTC until that of the next.\n"
        yield from _rules(own)
    if "lender" in inspect.signature(cls).parameters:
        for lender in LENDER_FILES:
            terms = {key: rule for key, rule in rules_of(name, lender).items() if key.startswith("terms.")}
            yield f"## Rules by date of the lender {lender}\n"
            yield from _rules(terms)


def _rules(rules: Mapping[str, Rule]) -> Iterator[str]:
    yield "| rule | value | since | certainty | unit and meaning | source |"
    yield "|---|---|---|---|---|---|"
    for key, rule in rules.items():
        words = ": ".join(filter(None, (rule.unit, rule.about)))
        for value in rule.values:
            cells = [f"`{key}`", f"`{value.value}`", day(value.since_ns), value.certainty, words, value.source]
            yield "| " + " | ".join(map(cell, cells)) + " |"
    yield ""


def _formulas(cls: type) -> Iterator[str]:
    """Each formula as it is computed, with what it is computed of."""
    found = formulas_of(cls)
    if not found:
        return
    yield "## Formulas\n"
    yield "Inputs are accounts in whole units, prices by role, keys, and other formulas."
    yield "What is worked out for each coin reaches a formula of the account as the sum over the coins.\n"
    blocks = (f"{_remark(each)}{_computed(name, each)}" for name, each in found.items())
    yield "```python\n" + "\n\n".join(blocks) + "\n```\n"
    made = [each for _, each in inspect.getmembers(cls) if isinstance(each, FromRules)]
    if made:
        yield "Some inputs follow from keys, at each of their dates.\n"
        yield "| input | follows from |"
        yield "|---|---|"
        for each in made:
            yield f"| `{each.name}`{', of each coin' if each.per_coin else ''} | `{'`, `'.join(each.rules)}` |"
        yield ""


def _remark(formula: Formula) -> str:
    """What a formula is of, when it holds, and what its docstring says, as comments."""
    of = ["of each coin"] if formula.per_coin else []
    when = [f"where {formula.when} is set"] if formula.when else []
    told = (inspect.getdoc(formula.function) or "").splitlines()
    return "".join(f"# {line}".rstrip() + "\n" for line in [", ".join(of + when), *told] if line)


def _computed(name: str, formula: Formula) -> str:
    """A formula as a function of its inputs, without docstring and types."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(formula.function))).body[0]
    assert isinstance(tree, ast.FunctionDef)
    tree.name, tree.decorator_list, tree.returns = name, [], None
    for argument in tree.args.args:
        argument.annotation = None  # floats, arrays or fractions
    if ast.get_docstring(tree) is not None:
        del tree.body[0]
    return ast.unparse(tree)


def _orders(cls: type) -> Iterator[str]:
    """The orders that it takes, by the methods that are named after them."""
    taken = {}
    for order in vars(orders).values():
        if inspect.isclass(order) and issubclass(order, orders.Order) and order is not orders.Order:
            method = getattr(cls, _method(order.__name__), None)
            if method is not None and not method.__qualname__.startswith("Venue."):
                taken[order.__name__] = inspect.getdoc(method) or ""
    if taken:
        yield "## Orders\n"
        yield "| order | here |"
        yield "|---|---|"
        for name, told in taken.items():
            yield f"| `{name}` | {cell(told)} |"
        yield ""


def _method(order: str) -> str:
    """The name of the method for an order: `pay_penalty` for `PayPenalty`."""
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in order).removeprefix("_")


def _accounts(cls: type) -> Iterator[str]:
    declared = [each for _, each in inspect.getmembers(cls) if isinstance(each, Declared)]
    if not declared:
        return
    yield "## Accounts\n"
    yield "| account | asset | bucket of the waterfall |"
    yield "|---|---|---|"
    for each in sorted(declared, key=lambda account: account.path):
        asset = each.asset.code if isinstance(each.asset, Asset) else f"{each.asset.__name__} of `{each.of}`"
        several = ", one for each coin" if each.per_coin else f", where `{each.when}` is set" if each.when else ""
        bucket = each.bucket or BUCKETS.get(each.path.partition(":")[0], "")
        yield f"| `{each.path}` | {asset}{several} | {bucket} |"
    yield ""
