"""What tests share: data that are not ours to ship, programs that may be absent, and the examples' run folders."""

import os
import shutil
from functools import cache
from pathlib import Path

import pytest

from tests.runs import run_and_save

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"


def _there(path: Path, what: str) -> Path:
    if not path.is_dir():
        pytest.skip(f"needs {what}, which are not ours to ship: set CARRYBOOK_DATA to the directory that holds them")
    return path


@pytest.fixture(scope="session")
def study_data() -> Path:
    """The study's own data files."""
    return _there(Path(os.environ.get("CARRYBOOK_DATA", SHARED / "data")) / "study", "the study's data files")


@pytest.fixture(scope="session")
def reference() -> Path:
    """The expected results of the study at full precision."""
    return _there(Path(os.environ.get("CARRYBOOK_REFERENCE", SHARED / "reference")), "the study's results")


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
