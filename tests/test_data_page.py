"""The page on real data, followed from top to bottom against sources on the loopback."""

import os
import shlex

import pytest

from tests import sources
from tests.sources import Host
from tests.test_docs import BLOCK, ROOT, commands


@pytest.mark.slow
def test_the_page_on_data_can_be_followed(tmp_path, forked):
    """Every command runs as it stands and prints what is shown."""
    speaks = {
        "HYPERLIQUID": sources.hyperliquid(sources.candles(10, "1h") + sources.candles(10), sources.payments(10)),
        "KAMINO": sources.kamino([sources.reserve_sample(hour) for hour in range(240)]),
    }
    ran = 0
    with Host(speaks["HYPERLIQUID"]) as first, Host(speaks["KAMINO"]) as second:
        environment = os.environ | {
            "CARRYBOOK_BASE_URL_HYPERLIQUID": first.url,
            "CARRYBOOK_BASE_URL_KAMINO": second.url,
            "CARRYBOOK_DATA": str(tmp_path / "data"),
            "COLUMNS": "200",
        }
        for language, info, block in BLOCK.findall((ROOT / "docs" / "data.md").read_text()):
            if info.startswith("file="):
                (tmp_path / info.removeprefix("file=")).write_text(block)
            elif language == "console":
                for command, shown in commands(block):
                    if command == "carrybook study":  # followed with the README
                        continue
                    ran += 1
                    program, *words = shlex.split(command)
                    assert program == "carrybook"
                    done = forked.run(words, tmp_path, environment)
                    assert done.returncode == (2 if info == "error" else 0), done.stderr
                    for line in shown:
                        assert line in done.stdout + done.stderr, command
    assert ran == 16
