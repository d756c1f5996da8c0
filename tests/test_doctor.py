"""`carrybook doctor`: a line for each thing that the commands need, and exit code 1 where one is wrong."""

import os
import time

import pytest

from framework.command_line import doctor
from framework.command_line.cli import main
from framework.support.files import new_draft


def told(capsys, out) -> tuple[object, list[str]]:
    with pytest.raises(SystemExit) as exit_:
        main(["doctor", "--out", str(out)])
    said = capsys.readouterr()
    assert said.err == ""
    return exit_.value.code, said.out.splitlines()


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("CARRYBOOK_DATA", str(tmp_path / "store"))
    return tmp_path / "store"


def test_all_is_well(capsys, tmp_path) -> None:
    code, lines = told(capsys, tmp_path / "runs")
    assert code == 0, lines
    assert all(line.startswith("ok     ") for line in lines)
    for what in ("carrybook: ", "numpy: ", "store: ", "disk for runs: ", "disk for data: "):
        assert any(line.startswith(f"ok     {what}") for line in lines), what


def test_what_is_wrong_is_said(capsys, tmp_path, store, monkeypatch) -> None:
    """A series that is none, a draft of yesterday, a full disk, and a library that is too old or missing."""
    place = store / "series" / "hyperliquid" / "SOL"
    place.mkdir(parents=True)
    (place / "1h.parquet").write_bytes(b"none")
    old = new_draft(tmp_path, "old")
    day_ago = time.time() - 90_000
    os.utime(old, (day_ago, day_ago))
    monkeypatch.setattr(doctor, "LEAST_BYTES", 10**18)
    needed = ["numpy>=99", "no-such-library>=1", 'no-other-library>=1; extra == "sql"']
    monkeypatch.setattr(doctor, "requires", lambda _: needed)
    code, lines = told(capsys, tmp_path)
    assert code == 1
    text = "\n".join(lines)
    assert "WRONG  series hyperliquid:SOL:1h: " in text
    assert f"WRONG  stale: {old} was never finished" in text
    assert "WRONG  disk for runs: " in text
    assert "; expected >=99" in text
    assert "WRONG  no-such-library: not installed; expected >=1" in text
    assert "ok     no-other-library (extra sql): not installed; expected >=1" in text
