"""Where the tests find data that are not ours to ship: they skip, with a reason, where the data are absent."""

import os
from pathlib import Path

import pytest

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
def uss_data() -> Path:
    """Prices of SOL and jitoSOL, pool rates and funding of the synthetic dollars' time."""
    return _there(Path(os.environ.get("CARRYBOOK_DATA", SHARED / "data")) / "uss", "the prices of 2022 to 2024")


@pytest.fixture(scope="session")
def reference() -> Path:
    """The expected results of the study at full precision."""
    return _there(Path(os.environ.get("CARRYBOOK_REFERENCE", SHARED / "reference")), "the study's results")
