"""What drills share: a run, a file of prices and a source of market data, which are made once."""

import pytest

from tests.drills import commands


@pytest.fixture(scope="session")
def given(tmp_path_factory):
    """What commands read."""
    yield from commands.given(tmp_path_factory.mktemp("given"))
