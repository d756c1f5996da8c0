"""The judge of mutants: which tests run each line of a module, and whether those notice that the line was changed.

Each mutant is a process of its own, forked from one that has loaded the libraries, and in it the module is made from
the changed text; no file is touched. Commands that a test starts as a process therefore run the module as it is. What
Numba would compile is run by Python, whose lines can be counted, and of which nothing is kept from one to the next.
"""

import ast
import importlib
import json
import os
import signal
import sys
import tempfile
import traceback
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType
from typing import NoReturn

import pytest
from attrs import frozen
from coverage import Coverage

from tests.runs import DATA, ROOT

LIBRARIES = ("numpy", "pandas", "pyarrow.parquet", "pyarrow.compute", "hypothesis.stateful", "cattrs", "simpy", "bokeh")
"""What takes long to import and is not ours."""
OURS = ("framework", "venues", "strategies", "examples", "tests")
LIMIT = 4.0
"""How many times as long as on the module as it is a test may run, before its mutant counts as one without an end."""
LEAST_S = 20.0
"""So long it always may: it may have to make what another test of its file had made before."""


@frozen
class Known:
    """What was measured on the module as it is."""

    by_line: Mapping[int, frozenset[str]]
    """Line -> the tests that run it."""
    seconds: Mapping[str, float]
    """Test -> how long it takes, for all tests in their order."""

    def for_lines(self, lines: Sequence[int]) -> dict[str, float]:
        """The tests that run any of some lines, the quickest files first, with how long each takes.

        Of lines that no test runs, such as those that run at import, it is all tests.
        """
        found = frozenset[str]().union(*(self.by_line.get(line, ()) for line in lines)) or self.seconds.keys()
        by_file: dict[str, list[str]] = defaultdict(list)
        for each in self.seconds:
            if each in found:
                by_file[_file(each)].append(each)
        takes = {name: sum(self.seconds[each] for each in tests) for name, tests in by_file.items()}
        return {each: self.seconds[each] for name in sorted(by_file, key=takes.__getitem__) for each in by_file[name]}


class _Watched:
    """A plugin of pytest that says which test runs which lines, and how long each takes.

    What runs while a fixture is set up counts for all tests of the file, for the fixture may be theirs as well.
    """

    def __init__(self, coverage: Coverage) -> None:
        self._coverage = coverage
        self.seconds: dict[str, float] = {}

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._coverage.switch_context(_file(item.nodeid))

    def pytest_runtest_call(self, item: pytest.Item) -> None:
        self._coverage.switch_context(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        assert not report.failed, f"{report.nodeid} fails on the module as it is"
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration


class _Chosen:
    """A plugin of pytest that leaves some tests, in an order that is given, and ends the process where one does not."""

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self._seconds = seconds
        self._places = {each: place for place, each in enumerate(seconds)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((each for each in items if each.nodeid in self._places), key=self._place)

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        signal.setitimer(signal.ITIMER_PROF, LEAST_S + LIMIT * self._seconds[item.nodeid])  # of a processor

    def _place(self, item: pytest.Item) -> int:
        return self._places[item.nodeid]


def measured(module: str, files: Sequence[str]) -> Known:
    """Which of the tests of some files run which lines of a module, and how long each takes.

    `files` are arguments of pytest, and may leave tests out.
    """
    with tempfile.NamedTemporaryFile("r+") as kept:

        def watch() -> int:
            coverage = Coverage(data_file=None, include=[str(_path(module))], config_file=False)
            watched = _Watched(coverage)
            coverage.start()
            code = _pytest(files, watched)
            coverage.stop()
            data = coverage.get_data()
            (name,) = data.measured_files()
            lines = data.contexts_by_lineno(name)
            Path(kept.name).write_text(json.dumps([lines, watched.seconds]))
            return code

        code, said = _forked(watch)
        if code:
            raise RuntimeError(f"the tests do not pass on {module} as it is:\n{said[-3000:]}")
        lines, seconds = json.load(kept)
    of_file: dict[str, list[str]] = defaultdict(list)
    for each in seconds:
        of_file[_file(each)].append(each)
    spread = {
        int(line): frozenset(each for test in tests if test for each in of_file.get(test, [test]))
        for line, tests in lines.items()
    }
    return Known(spread, seconds)


def noticed(module: str, text: str, tests: Mapping[str, float]) -> bool:
    """Whether any of some tests, of which each takes so many seconds, fails once the module has another text."""

    def judge() -> int:
        sys.meta_path.insert(0, _Changed(module, text))
        return _pytest(sorted({_file(each) for each in tests}), _Chosen(tests))

    return _forked(judge)[0] != 0


def lines_of(source: str, line: int) -> range:
    """The lines of the innermost statement that has a line; of one with others in it, those above these."""
    found = range(line, line + 1)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt):
            inner = [each.lineno for each in ast.iter_child_nodes(node) if isinstance(each, ast.stmt)]
            last = min(inner) - 1 if inner else node.end_lineno or node.lineno
            if node.lineno <= line <= last:
                found = range(node.lineno, last + 1)
    return found


class _Changed:
    """What finds a module, and makes it from another text than that of its file."""

    def __init__(self, module: str, text: str) -> None:
        self._module, self._text = module, text

    def find_spec(self, name: str, _: object, __: object = None) -> ModuleSpec | None:
        if name != self._module:
            return None
        loader = _Loader(name, str(_path(name)))
        loader.text = self._text
        return spec_from_file_location(name, _path(name), loader=loader)


class _Loader(SourceFileLoader):
    text: str

    def get_code(self, _: str) -> CodeType:
        return compile(self.text, self.path, "exec", dont_inherit=True)


def _path(module: str) -> Path:
    return ROOT / f"{module.replace('.', '/')}.py"


def _file(test: str) -> str:
    return test.partition("::")[0]


def _pytest(files: Sequence[str], plugin: object) -> int:
    quiet = ("-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist", "--tb=no", "--hypothesis-seed=0")
    loaded = ("-W", "ignore::pytest.PytestAssertRewriteWarning")  # of the libraries that are plugins as well
    divided = ("-W", "ignore::RuntimeWarning:framework.tape.player")  # of which compiled code says nothing
    return int(pytest.main(["-x", *quiet, *loaded, *divided, "--rootdir", str(ROOT), *files], plugins=[plugin]))


def _forked(work: Callable[[], int]) -> tuple[int, str]:
    """Exit code and output of some work in a process of its own."""
    with tempfile.TemporaryFile() as out:
        child = os.fork()
        if not child:
            _become(work, out.fileno())
        _, status = os.waitpid(child, 0)
        out.seek(0)
        return os.waitstatus_to_exitcode(status), out.read().decode(errors="replace")


def _become(work: Callable[[], int], out: int) -> NoReturn:
    code = 1
    try:
        os.chdir(ROOT)
        for descriptor in (1, 2):
            os.dup2(out, descriptor)
        for name in [each for each in sys.modules if each.partition(".")[0] in OURS]:
            del sys.modules[name]  # each process imports the project for itself
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def prepare() -> None:
    """Load the libraries that tests need, once for all that is forked."""
    os.environ |= {"CARRYBOOK_TEST_DATA": str(DATA), "HYPOTHESIS_PROFILE": "once", "NUMBA_DISABLE_JIT": "1"}
    sys.dont_write_bytecode = True
    for each in LIBRARIES:
        importlib.import_module(each)
