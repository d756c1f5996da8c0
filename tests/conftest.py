"""What tests share: data that are not ours to ship, programs that may be absent, and the examples' run folders."""

import os
import re
import shutil
import signal
from functools import cache
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from tests import commands
from tests.forked import Forked
from tests.runs import DATA, ROOT, run_and_save, there

settings.register_profile("untimed", deadline=None, max_examples=50)  # a busy machine is no fault
settings.register_profile("thorough", deadline=None, max_examples=200)  # for `make test-all`
settings.register_profile(  # for `make mutants`, where a failure is not looked at any further
    "once", deadline=None, max_examples=50, phases=(Phase.explicit, Phase.generate), derandomize=True, database=None
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "untimed"))
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background job, and all that it starts
    signal.signal(signal.SIGINT, signal.default_int_handler)
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session", autouse=True)
def cache_directory(tmp_path_factory):
    """What is kept between processes is that of the tests, and not of whoever runs them."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CARRYBOOK_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def study_data() -> Path:
    """The study's own data files."""
    return there(DATA / "study", "the study's data files")


@pytest.fixture(scope="session")
def uss_data() -> Path:
    """Prices of SOL and jitoSOL, pool rates and funding of the synthetic dollars' time."""
    return there(DATA / "uss", "the prices of 2022 to 2024")


@pytest.fixture(scope="session")
def reference() -> Path:
    """The expected results of the study at full precision."""
    return there(Path(os.environ.get("CARRYBOOK_REFERENCE", SHARED / "reference")), "the study's results")


@pytest.fixture(scope="session")
def hledger() -> str:
    """The program hledger."""
    found = shutil.which("hledger")
    if not found:
        pytest.skip("needs the program hledger, a package of the operating system: .ci/run installs it where it can")
    return found


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """Example's name -> (its run, the folder in which that is saved); each is run once and must be left as it is."""
    return cache(lambda example: run_and_save(example, tmp_path_factory.mktemp(example)))


@pytest.fixture(scope="session")
def forked():
    """What runs commands as processes of their own that need no time to start."""
    parent = Forked()
    yield parent
    parent.close()


@pytest.fixture(scope="session")
def market_data() -> Path:
    """Finer market rows, and those that other projects ship."""
    return there(DATA / "market", "the files of market data")


@pytest.fixture
def refused_module(capsys, tmp_path, monkeypatch, request):
    """Run a scenario with a module of a user's own that cannot be; returns the module's name and the line that is said.

    `MODULE` in the scenario stands for that name, which no other test has: modules are imported once.
    """

    def refused(code: str, scenario: str) -> tuple[str, str]:
        module = "_".join(re.findall(r"[a-z]+", f"{request.module.__name__} {request.node.callspec.id}".lower()))
        (tmp_path / f"{module}.py").write_text(code)
        (tmp_path / "own.toml").write_text(scenario.replace("MODULE", module))
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))
        said = commands.refused(capsys, "run", "own.toml")
        assert not (tmp_path / "runs").exists()
        return module, said

    return refused
