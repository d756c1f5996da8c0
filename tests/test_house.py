"""The house rules: linters, types, the direction of imports, and the public surface."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from attrs import fields, has

import framework
import strategies
import venues
from framework.venue import Bridge, Venue, Way, basis_points, seconds

ROOT = Path(__file__).parent.parent
NOUNS = ("study", "lenders", "protocol", "legacy", "static", "spot", "issuer", "pair", "perpetual", "at_cost")
"""Names of modules that are words of the trade as well."""
BIN = Path(sys.executable).parent
SOURCES = sorted(path for package in ("framework", "venues", "strategies") for path in (ROOT / package).rglob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"], ["lint-imports", "--no-logo"]],
    ids=lambda command: " ".join(command[:2]),
)
def test_tools_find_nothing(command):
    """ruff, mypy in strict mode and import-linter pass with the configuration of the project."""
    done = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_public_surface_is_sorted_and_whole():
    """`framework.__all__` is sorted and names everything that the package imports for others."""
    tree = ast.parse((ROOT / "framework/surface.py").read_text())
    imported = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    constants = sorted(name for name in imported if name.isupper())
    classes = sorted(name for name in imported if name[0].isupper() and not name.isupper())
    functions = sorted(name for name in imported if name[0].islower())
    assert framework.__all__ == constants + classes + functions


def test_only_the_simulation_enters_into_the_journal():
    """Venues write transfers; the simulation calls `Books.commit` and its like, and so does the replay by the audit."""
    for call in ("commit", "rollback", "settle", "begin"):
        callers = {path.name for path in SOURCES if re.search(rf"books?\.{call}\(", path.read_text())}
        assert callers - {"replay.py"} == {"simulation.py"}, call


def test_the_framework_names_no_venue_and_no_strategy():
    """Neither by the name of a module nor by that of its class; what fetches data names the sources that it knows."""
    ours = [name for package in (venues, strategies) for _, name, _ in pkgutil.iter_modules(package.__path__)]
    names = {name for name in ours if name not in NOUNS}
    names |= {"".join(word.title() for word in name.split("_")) for name in names}
    for path in SOURCES:
        place = path.relative_to(ROOT).parts
        if place[0] == "framework" and place[1] != "data" and place[-1] != "templates.py":
            words = set(re.findall(r"[A-Za-z_]+", path.read_text()))
            assert not words & names, f"{path}: {words & names}"


def test_every_fee_in_basis_points_is_held_between_nothing_and_the_whole():
    """The fields of all venues whose names end with the unit have the one validator for it."""
    for module in pkgutil.iter_modules(venues.__path__):
        importlib.import_module(f"venues.{module.name}")
    kinds, checked = [Venue], 0
    for kind in kinds:
        kinds += kind.__subclasses__()
        for field in fields(kind) if has(kind) else ():
            if kind.__module__.startswith("venues.") and field.name.endswith("_bps"):
                assert field.validator == basis_points, f"{kind.__name__}.{field.name}"
                checked += 1
    assert checked >= 5


def test_every_time_that_a_rule_takes_is_one_that_the_clock_counts():
    """The fields of all venues and passages whose names end with the unit have the one validator for it."""
    for module in pkgutil.iter_modules(venues.__path__):
        importlib.import_module(f"venues.{module.name}")
    kinds = [Way, Bridge, *Venue.__subclasses__()]
    of_time = [each for kind in kinds if has(kind) for each in fields(kind) if each.name.endswith("_s")]
    checked = [each for each in of_time if seconds in (each.validator, getattr(each.validator, "validator", None))]
    assert len(checked) >= 6
    assert [each.name for each in of_time if each not in checked] == []


def test_modules_start_with_one_sentence():
    """A module's docstring starts with a caption that ends on its first line; there is no limit on its length."""
    for path in SOURCES:
        text = path.read_text()
        assert text.startswith('"""'), path
        assert text.splitlines()[0].rstrip('"').endswith("."), path


def test_importing_the_framework_is_light():
    """Neither pandas nor pyarrow is loaded to write a strategy."""
    code = "import sys, framework; print([name for name in ('pandas', 'pyarrow') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_mutant_that_is_listed_as_equivalent_is_about_a_line_that_there_is():
    """A line that has changed since would leave its entry behind, and the reason with it."""
    listed = tomllib.loads((ROOT / "tests/drills/equivalent.toml").read_text())
    for module, mutants in listed.items():
        lines = {line.strip() for line in (ROOT / f"framework/{module}.py").read_text().splitlines()}
        assert [each["was"] for each in mutants if each["was"] not in lines] == []
