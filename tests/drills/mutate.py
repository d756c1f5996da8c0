"""Mutation testing of the books: cosmic-ray changes their code in one place at a time, and the tests should notice.

`make mutants` draws some mutants of each module, and runs for each the tests that run its line, the quickest first.
`CARRYBOOK_MUTANTS` is how many are drawn, 0 for all. Those that change nothing that could be seen are listed, each with
its reason, in `equivalent.toml`; they count as none, wherever their line has moved.
"""

import difflib
import os
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import frozen
from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db

from tests.drills import chance
from tests.drills.judge import lines_of, measured, noticed, prepare
from tests.runs import ROOT

COUNT = int(os.environ.get("CARRYBOOK_MUTANTS", "60"))
KNOWING = (
    "several_coins_edges order_edges closed_forms books_edges hedge coins formulas jito incidents own_classes accrual "
    "row_path execution drift_protocol hyperliquid_protocol conditions event_log ledger settlement valuation "
    "collateral performance examples"
)
"""The tests that know the books."""
AUDIT = tuple(f"audit/{each}" for each in ("again", "books", "declared", "history", "log", "replay", "states", "worth"))
"""The modules with the checks of the audit."""
PLAYING = "tape shelf"
"""The tests that know the tape."""
TESTS = {
    "ledger": KNOWING,
    "accrual": KNOWING,
    "books": KNOWING,
    **dict.fromkeys(AUDIT, "audit row_path incidents passages coins"),
    "tape/code": PLAYING,
    "tape/numbers": PLAYING,
    "tape/played": PLAYING,
    "tape/player": PLAYING,
    "tape/postings": PLAYING,
    "tape/tree": PLAYING,
}
"""Module of the framework -> the tests that are run on its mutants."""
QUICK = ("-m", "not slow")
LEFT_OUT = dict.fromkeys(AUDIT, ("--deselect", "tests/test_audit.py::test_without_a_check_a_forgery_is_missed"))
"""Module -> how the tests are left out that take minutes and notice no more than those beside them."""
TYPES_ALONE = "ReplaceBinaryOperator_BitOr"
"""The operators that mostly change annotations, which nothing reads while it runs; they are left out."""
EQUIVALENT = Path(__file__).with_name("equivalent.toml")


@frozen(order=True)
class Mutant:
    """A change of a module: at which line, by which operator, and the how manieth of those that it can make."""

    line: int
    column: int
    operator: str
    occurrence: int


def mutants(path: Path) -> list[Mutant]:
    """All mutants of a module, in the order of its lines."""
    with tempfile.TemporaryDirectory() as place, use_db(Path(place) / "mutants.sqlite", WorkDB.Mode.create) as work:
        init([path], work, {})
        changes = [each.mutations[0] for each in work.work_items]
    made = (Mutant(*each.start_pos, each.operator_name, each.occurrence) for each in changes)
    return sorted(each for each in made if TYPES_ALONE not in each.operator)


def change(before: str, after: str) -> tuple[str, str]:
    """What a mutant takes away and what it puts there, without indentation."""
    lines = [each for each in difflib.ndiff(before.splitlines(), after.splitlines()) if each[:2] in ("- ", "+ ")]
    taken, put = ("\n".join(each[2:].strip() for each in lines if each[0] == sign) for sign in "-+")
    return taken, put


def explained(module: str) -> Mapping[tuple[str, str], str]:
    """The mutants of a module that change nothing that could be seen, with the reason."""
    listed = tomllib.loads(EQUIVALENT.read_text()).get(module, [])
    return {(each["was"], each["is"]): each["why"] for each in listed}


def main(modules: Sequence[str]) -> None:
    """Print what survives of each module, in the order in which it was drawn, and the score."""
    prepare()
    for module in modules or TESTS:
        path, name = ROOT / "framework" / f"{module}.py", f"framework.{module.replace('/', '.')}"
        text, every, known = path.read_text(), mutants(path), explained(module)
        files = [f"tests/test_{each}.py" for each in TESTS[module].split()]
        tests = measured(name, [*files, *LEFT_OUT.get(module, QUICK)])
        killed = same = 0
        drawn = chance(f"mutants {module}").sample(every, min(COUNT, len(every))) if COUNT else every
        for each in drawn:
            mutated = mutate_code(text, get_operator(each.operator)(), each.occurrence)
            was, put = change(text, mutated)
            if (was, put) in known:
                same += 1
                continue
            chosen = tests.for_lines(lines_of(text, each.line))
            if noticed(name, mutated, chosen):
                killed += 1
            else:
                said(f"\n{module}.py:{each.line} survived {len(chosen)} tests, {each.operator}\n- {was}\n+ {put}")
        rest = len(drawn) - same
        said(
            f"{module}: {killed} of {rest} mutants killed, {killed / max(1, rest):.1%}; drawn {len(drawn)} of "
            f"{len(every)}, {same} that change nothing that could be seen"
        )


def said(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
