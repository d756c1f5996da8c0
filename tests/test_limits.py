"""What is bounded: files of a scenario, capital, published figures, queries, drafts of killed runs, sheets, workers."""

import json
import os
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import pytest

from framework.command_line.cli import main
from framework.errors import ScenarioError, SqlError
from framework.reports.sql import ask
from framework.run_folder.archive import Folder
from framework.scenario import Scenario
from framework.support import files
from framework.support.files import clear_drafts, new_draft, read_bounded, replace_file
from framework.support.text import Sheet
from tests.runs import ROOT, run_and_save

BASIS = ROOT / "examples" / "basis" / "scenario.toml"


@pytest.mark.parametrize("file", ["/dev/zero", "/etc/passwd", "../secret.csv", "a/../../b", "", "a\0b"])
def test_a_scenario_names_files_of_its_data_only(file) -> None:
    """Not those of a machine on which somebody else's scenario is run."""
    table = Scenario.load(BASIS).table()
    source = next(iter(table["market"]["sources"].values()))  # type: ignore[index]
    source["file"] = file
    with pytest.raises(ScenarioError, match="expected a file below the directory of the data"):
        Scenario.of(table)


@pytest.mark.parametrize(
    "name", ["", " ", ".", "..", "../x", "a/../../x", "/etc/x", "..\\x", "\\x", "a\nb", "\x1b[2J", "A: b/../x"]
)
def test_the_name_of_a_scenario_is_no_path(name) -> None:
    with pytest.raises(ScenarioError) as complaint:
        Scenario.load(BASIS, [f"name={json.dumps(name)}"])
    assert str(complaint.value) == f"name: {name!r}; expected text of one line that is no path"


@pytest.mark.parametrize("name", ["base", "SOL/USDC, 2 x", "Überschuss 2025-01", "v1.2...", "<b>"])
def test_the_name_of_a_scenario_is_any_title(name) -> None:
    assert Scenario.load(BASIS, [f"name={json.dumps(name)}"]).name == name


def test_what_is_no_regular_file_is_not_read(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(OSError, match="no regular file"):
            read_bounded(path, 100)
    (tmp_path / "long").write_bytes(b"x" * 101)
    with pytest.raises(OSError, match="101 bytes; at most 100 are read"):
        read_bounded(tmp_path / "long", 100)
    with pytest.raises(OSError, match="a name with a NUL"):
        read_bounded(tmp_path / "a\0b", 100)


def test_a_draft_follows_no_link_and_leaves_nothing(tmp_path, monkeypatch) -> None:
    """Its name cannot be foreseen; what cannot be written leaves the old file and no draft."""
    secret = tmp_path / "secret"
    secret.write_text("mine")
    for name in (".results.csv.draft", ".results.csv.part"):
        (tmp_path / name).symlink_to(secret)
    replace_file(tmp_path / "results.csv", b"1")
    assert (secret.read_text(), (tmp_path / "results.csv").read_bytes()) == ("mine", b"1")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OSError, match="No space"):
        replace_file(tmp_path / "results.csv", b"2")
    assert (sorted(tmp_path.iterdir()), (tmp_path / "results.csv").read_bytes()) == (before, b"1")


@pytest.fixture
def strict():
    """A user who shows nobody what he writes."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_a_run_has_the_permissions_that_its_user_gives(tmp_path, strict) -> None:
    folder = run_and_save("static", tmp_path)[1]
    replace_file(tmp_path / "file", b"")
    assert {each.stat().st_mode & 0o077 for each in (folder, *folder.iterdir(), tmp_path / "file")} == {0}


def test_a_run_that_is_saved_again_stays_where_it_is(tmp_path) -> None:
    """No reader finds none: the folder is the same, and of its manifest what is new is where things lie."""
    folder = run_and_save("static", tmp_path)[1]
    kept, table = folder.stat().st_ino, (folder / "ledger.parquet").stat().st_ino
    before = (folder / "manifest.json").stat().st_ino
    assert run_and_save("static", tmp_path)[1] == folder
    assert (folder.stat().st_ino, (folder / "ledger.parquet").stat().st_ino) == (kept, table)
    assert (folder / "manifest.json").stat().st_ino != before
    assert [each.name for each in tmp_path.iterdir()] == [folder.name]


def test_what_killed_runs_have_left_is_removed_after_a_day(tmp_path, capsys) -> None:
    old, new, other = new_draft(tmp_path, "old"), new_draft(tmp_path, "new"), tmp_path / ".old.draft"
    other.mkdir()
    (old / "ledger.parquet").write_bytes(b"half")
    link = tmp_path / ".link.abcdefgh.draft"
    link.symlink_to(tmp_path / "elsewhere")
    day_ago = time.time() - 90_000
    for each in (old, other):
        os.utime(each, (day_ago, day_ago))
    os.utime(link, (day_ago, day_ago), follow_symlinks=False)
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(SystemExit) as exit_:
        main(["run", str(ROOT / "examples" / "static" / "scenario.toml"), "--out", str(tmp_path), "--json"])
    assert not exit_.value.code
    said = capsys.readouterr().err
    assert [each.exists() for each in (old, new, other, tmp_path / "elsewhere")] == [False, True, True, True]
    assert said == f"Removed {link}, which was never finished.\nRemoved {old}, which was never finished.\n"
    assert clear_drafts(tmp_path / "nowhere") == []


def test_a_sheet_has_no_formulas() -> None:
    file = StringIO()
    cells = ["=HYPERLINK(1)", "+1+1", "@SUM(A1)", "\t=1", "-x", "-12.50", "+3e5", -1.5, None, "a=b", ""]
    Sheet(file).writerows([cells])
    assert file.getvalue() == "'=HYPERLINK(1),'+1+1,'@SUM(A1),'\t=1,'-x,-12.50,+3e5,-1.5,,a=b,\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Folder:
    return Folder(run_and_save("static", tmp_path_factory.mktemp("runs"))[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "statement", ["SELECT length(repeat('x', 2000000000))", "SELECT list(r) FROM range(1000000000) t(r)"]
)
def test_a_query_has_no_more_memory_than_it_is_given(folder, statement) -> None:
    with pytest.raises(SqlError, match=r"needs more memory than 0\.6 GB"), ask(folder, statement, 0.6) as answer:
        list(answer.rows)


@pytest.mark.slow
def test_a_query_has_no_more_time_than_it_is_given(folder) -> None:
    endless = "SELECT count(*) FROM range(10000000000) a, range(10000000000) b WHERE a.range % 7 = b.range % 5"
    before = time.monotonic()
    with pytest.raises(SqlError, match="needs more time than 2 s"), ask(folder, endless, time_s=2.0):
        pass
    assert time.monotonic() - before < 30


@pytest.mark.slow
def test_a_query_that_is_interrupted_ends_at_once_and_without_a_word(folder) -> None:
    endless = "SELECT count(*) FROM range(10000000000) a, range(10000000000) b WHERE a.range % 7 = b.range % 5"
    command = [sys.executable, "-m", "framework.command_line.cli", "sql", str(folder.path), endless]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, preexec_fn=_heeding) as process:  # noqa: PLW1509
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while not children.read_text():
            time.sleep(0.05)
        child = int(children.read_text().split()[0])
        process.send_signal(signal.SIGINT)
        assert process.stderr
        assert process.stderr.read().replace(b"\n", b"") in (b"", b"Aborted!")
        assert process.wait(30) == 130
    assert not _lives(child)


SLEEPY = """
import sys, time
from framework.many_runs import workers

class Plan:
    def finished(self, cells):
        time.sleep(600)

if __name__ == "__main__":
    with workers.processes(2, "key", Plan()) as pool:
        running = [pool.submit(workers.work, "key", workers.code(), []) for _ in range(2)]
        while len(pool._processes) < 2:
            time.sleep(0.01)
        print(*pool._processes, flush=True)
        running[0].result()
"""


def _heeding() -> None:
    """Let a child process end by the signals that whoever started these tests may have it ignore."""
    for each in (signal.SIGHUP, signal.SIGINT):
        signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL)


def _lives(pid: int) -> bool:
    """Whether there is such a process and it has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_workers_do_not_outlive_their_parent(tmp_path, how) -> None:
    (tmp_path / "sleepy.py").write_text(SLEEPY)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, tmp_path / "sleepy.py"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, preexec_fn=_heeding) as parent:  # noqa: PLW1509
        assert parent.stdout
        pids = [int(each) for each in parent.stdout.readline().split()]
        assert len(pids) == 2
        time.sleep(1)
        parent.send_signal(how)
        parent.wait(30)
        for _ in range(300):
            if not any(
                Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids
            ):
                break
            time.sleep(0.1)
        else:
            pytest.fail("workers still live")


@pytest.mark.parametrize("capital", ["1e-12", "1e-300", "0.009"])
def test_a_capital_of_less_than_a_cent_is_refused(capital) -> None:
    with pytest.raises(ScenarioError, match=r"capital_usd: .*; expected >= 0\.01"):
        Scenario.load(ROOT / "examples" / "static" / "scenario.toml", (f"capital_usd={capital}",))


def test_published_figures_are_bounded() -> None:
    table = Scenario.load(ROOT / "examples" / "uss" / "scenario.toml").table()
    table["published"]["figures"]["return_pct"] = 1e308  # type: ignore[index]
    with pytest.raises(ScenarioError, match=r"published.figures: return_pct = 1e\+308; expected of at most 1e\+15"):
        Scenario.of(table)
