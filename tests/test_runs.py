"""Runs with names: found by name, digits and `latest`, listed, renamed, deleted, compared; a name changes no digest."""

import io
import json
import sys
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pandas as pd
import pytest

from framework.command_line.cli import main
from framework.errors import RunError
from framework.reports.differences import Difference
from framework.reports.frames import load_runs
from framework.run_folder.archive import Folder, only_run, remove
from framework.run_folder.names import assign, check_name, names_in
from tests.commands import carrybook
from tests.runs import ROOT

SCENARIO = ROOT / "examples" / "capital_rebalance" / "scenario.toml"
MADE = {
    "base": (),
    "calm": ("strategy.leverage=2",),
    "realistic": ("rulebook.look_ahead_at_entry=false", "strategy.leverage=3"),
}
"""Name of a run -> its settings; the last one says again that the leverage is 3, as the scenario has it."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working directory with three runs by name, in the order of `MADE`."""
    directory = tmp_path_factory.mktemp("named")
    for name, settings in MADE.items():
        options = [option for setting in settings for option in ("--set", setting)]
        with pytest.raises(SystemExit) as exit_:
            main(["run", str(SCENARIO), "--out", str(directory / "runs"), "--name", name, *options])
        assert not exit_.value.code
    return directory


@pytest.fixture
def here(place, monkeypatch):
    """That directory as the working directory; returns name -> digest."""
    monkeypatch.chdir(place)
    return dict(names_in(Path("runs")))


def test_a_run_is_found_by_name_by_digits_and_as_the_latest(here):
    """With the directory before it and without; a path works as before."""
    digest = here["calm"]
    for word in ("calm", "runs/calm", digest[:8], f"runs/{digest[:8]}", digest, f"runs/{digest}"):
        assert only_run(Path(word)).name == digest
    assert only_run(Path("latest")).name == only_run(Path("runs/latest")).name == here["realistic"]


def test_a_name_changes_no_digest_and_no_file(here, tmp_path):
    """The same run without a name has the same digest and the same files."""
    with pytest.raises(SystemExit):
        main(["run", str(SCENARIO), "--out", str(tmp_path)])
    (folder,) = tmp_path.iterdir()
    assert folder.name == here["base"]
    named = Path("runs") / here["base"]
    assert Folder(folder).manifest.files == Folder(named).manifest.files
    assert {each.name for each in folder.iterdir()} == {each.name for each in named.iterdir()}


@pytest.mark.parametrize("command", [("audit",), ("explain", "funding"), ("ledger", "--limit=1"), ("sql", "SELECT 1"),
                                     ("export", "--format=csv", "--out=books")])  # fmt: skip
def test_every_command_takes_a_name(here, capsys, command):
    """Wherever a RUN is expected, in the same place."""
    first, *rest = command
    assert carrybook(capsys, first, "calm", *rest)[0] == 0


REFUSED = {
    "a path": "../base",
    "a hidden file": ".base",
    "nothing": "",
    "a control character": "a\x1b[31m",
    "a space": "a b",
    "what is too long": "n" * 65,
    "the latest": "latest",
    "a digest": "beef",
    "a line": "a\n",
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_a_name_is_refused(case):
    """In one printable line, before anything is written."""
    with pytest.raises(RunError, match="is no name of a run") as error:
        check_name(REFUSED[case])
    assert str(error.value).isprintable()


def test_a_bad_or_taken_name_is_refused_before_the_run(here, capsys, tmp_path):
    """Nothing is written, and the name stays with its run."""
    code, _, said = carrybook(capsys, "run", SCENARIO, "--name", "a/b", "--out", tmp_path / "new")
    assert (code, "is no name of a run" in said) == (2, True)
    assert not (tmp_path / "new").exists()
    code, _, said = carrybook(capsys, "run", SCENARIO, "--set", "strategy.leverage=4", "--name", "base")
    assert (code, f"'base' is the name of {here['base'][:8]}" in said) == (2, True)
    assert names_in(Path("runs")) == here


def test_an_unknown_word_is_refused_with_the_names(here, capsys):
    """The names that there are stand in the line."""
    code, out, said = carrybook(capsys, "explain", "bass", "funding")
    words = "carrybook: bass: no run of this name or digest; expected one of base, calm, realistic, or latest\n"
    assert (code, out, said) == (2, "", words)


def test_digits_that_mean_two_runs_are_refused_with_both(here, tmp_path, capsys, monkeypatch):
    """The error names the candidates; no run is taken at random."""
    for digest in ("ab" * 32, "ac" * 32):
        (tmp_path / "runs" / digest).mkdir(parents=True)
        (tmp_path / "runs" / digest / "manifest.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    code, _, said = carrybook(capsys, "explain", "a", "funding")
    assert code == 2
    assert "2 of them" in said
    assert "abababab, acacacac" in said


def test_the_list_has_every_run_with_the_last_written_first(here, capsys):
    """Printed and as JSON; with no subcommand it is the same."""
    found = json.loads(carrybook(capsys, "runs", "list", "--json")[1])
    assert [line["names"] for line in found] == [["realistic"], ["calm"], ["base"]]
    assert {line["run"] for line in found} == set(here.values())
    printed = carrybook(capsys, "runs")[1]
    assert all(name in printed and digest[:8] in printed for name, digest in here.items())
    assert carrybook(capsys, "runs", "list", "--in", "nowhere")[1] == "No runs in nowhere.\n"


def test_one_run_is_shown_with_its_settings(here, capsys):
    """Settings, inputs and figures."""
    shown = json.loads(carrybook(capsys, "runs", "show", "calm", "--json")[1])
    assert shown["settings"]["strategy.leverage"] == "2"
    assert shown["figures"]["return_pct"] == shown["return_pct"]
    assert "strategy.leverage" in carrybook(capsys, "runs", "show", "calm")[1]


def test_runs_are_renamed_and_deleted(tmp_path, capsys, monkeypatch):
    """A new name takes the place of the old one; a deleted run is gone with its name, and only with consent."""
    monkeypatch.chdir(tmp_path)
    carrybook(capsys, "run", SCENARIO, "--name", "one")
    (digest,) = names_in(Path("runs")).values()
    assert carrybook(capsys, "runs", "rename", "one", "two")[0] == 0
    assert names_in(Path("runs")) == {"two": digest}
    assert "is no name of a run" in carrybook(capsys, "runs", "rename", "two", "../three")[2]
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert carrybook(capsys, "runs", "delete", "two")[0] == 130  # nobody answers
    assert only_run(Path("two")).name == digest
    assert carrybook(capsys, "runs", "delete", "two", "--yes") == (0, "Deleted two\n", "")
    assert (names_in(Path("runs")), [each.name for each in Path("runs").iterdir()]) == ({}, [".names"])
    assert carrybook(capsys, "runs", "delete", "two", "--yes")[0] == 2


def test_what_is_no_run_is_never_deleted(tmp_path):
    """A folder without a manifest is left as it is."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("kept")
    with pytest.raises(RunError, match="not a finished run"):
        remove(tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "kept"


def test_names_that_others_have_written_are_passed_over(tmp_path):
    """A file that holds no digest, a name that is none, a folder, and a run that is gone."""
    assign(tmp_path, "good", "ab" * 32)
    for name, content in (("bad", "../../etc"), ("long", "ab" * 500), ("x y", "ab" * 32)):
        (tmp_path / ".names" / name).write_text(content)
    (tmp_path / ".names" / "folder").mkdir()
    assert names_in(tmp_path) == {"good": "ab" * 32}
    assign(tmp_path, "good", "cd" * 32)  # its run is not there any more
    assert names_in(tmp_path) == {"good": "cd" * 32}


def test_compare_names_each_changed_key_and_no_other(here, capsys):
    """A setting that says the same again, 3 for 3.0, is none that differs."""
    found = json.loads(carrybook(capsys, "compare", "base", "calm", "realistic", "--json")[1])
    assert found["runs"] == {name: here[name] for name in MADE}
    assert found["settings"] == {
        "strategy.leverage": [3.0, 2, 3],
        "rulebook.look_ahead_at_entry": [True, True, False],
    }
    two = json.loads(carrybook(capsys, "compare", "base", "realistic", "--json")[1])
    assert list(two["settings"]) == ["rulebook.look_ahead_at_entry"]
    assert (found["inputs"], found["code"]) == ({}, {})


def test_compare_names_the_code_that_has_changed(tmp_path, capsys, monkeypatch):
    """A strategy of one's own between two runs of the same settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    carrybook(capsys, "new", "strategy", "edited_between")
    digests = []
    for name in ("before", "after"):
        source = Path("edited_between.py").read_text()
        Path("edited_between.py").write_text(source.replace("passed a limit", f"passed a limit, {name}"))
        digests.append(sha256(Path("edited_between.py").read_bytes()).hexdigest())
        assert carrybook(capsys, "run", "edited_between.toml", "--name", name)[0] == 0
        monkeypatch.delitem(sys.modules, "edited_between")
    code, told, _ = carrybook(capsys, "compare", "before", "after")
    assert (code, "code edited_between" in told, all(each[:8] in told for each in digests)) == (0, True, True)
    assert json.loads(carrybook(capsys, "compare", "before", "after", "--json")[1])["code"] == {
        "edited_between": digests
    }


def test_metrics_and_waterfalls_stand_side_by_side(here):
    """Differences are from the first; the buckets of each run sum to its result exactly."""
    found = Difference.of([Path("base"), Path("calm")]).plain()
    summaries = [Folder(Path(name)).summary for name in ("base", "calm")]
    for name, both in found["metrics"].items():
        assert both["values"] == [summary[name] for summary in summaries]
        assert both["differences"] == [both["values"][1] - both["values"][0]]
    for place in (0, 1):
        amounts = {name: Decimal(both["values"][place]) for name, both in found["waterfalls"].items()}
        assert sum(amounts.values()) == 2 * amounts["result"]
        assert float(amounts["funding"]) == summaries[place]["funding_usd"]


def parted(directory, *settings):
    """Where the curve of a run under some settings leaves that of `base`, and the folder of that run."""
    options = [option for setting in settings for option in ("--set", setting)]
    with pytest.raises(SystemExit):
        main(["run", str(SCENARIO), "--out", str(directory), *options])
    (parting,) = Difference.of([Path("base"), only_run(directory / "latest")]).partings
    return parting, only_run(directory / "latest")


def test_curves_part_on_the_first_day_that_differs(tmp_path, here):
    """A higher trigger parts them where the first rebalance of the lower one is due; the higher one has no such event.

    By then the two logs have the same events, in which the extra ones shift all others.
    """
    parting, folder = parted(tmp_path, "strategy.trigger=7")
    one, two = (pd.read_parquet(each / "equity.parquet") for each in (only_run(Path("base")), folder))
    at = int((one.equity_usd != two.equity_usd).to_numpy().argmax())
    events = pd.read_parquet(only_run(Path("base")) / "events.parquet")
    met = events[events.kind == "ConditionMet"].iloc[0]
    assert parting.day == parting.event_day == str(pd.Timestamp(one.at_ns[at]).date())
    assert parting.equity_usd == (one.equity_usd[at], two.equity_usd[at])
    assert parting.events == (f"{met.event} ConditionMet {met.venue}", "")


def test_the_event_behind_a_parting_may_be_in_both_runs(tmp_path, here):
    """A dearer entry is another fill in each; the start is the same."""
    parting, _ = parted(tmp_path, "venues.hyperliquid.taker_fee_bps=9")
    assert (parting.day, parting.event_day) == ("2024-12-31", "2024-12-31")
    assert parting.events == ("3 OrderFilled hyperliquid", "3 OrderFilled hyperliquid")


def test_a_run_that_ends_earlier_parts_where_only_the_other_goes_on(tmp_path, here):
    """The first event that the other has not is its end."""
    parting, folder = parted(tmp_path, "market.end=2025-01-31")
    ended = pd.read_parquet(folder / "events.parquet").query("kind == 'Ended'").event.item()
    assert (parting.day, parting.event_day) == ("2025-02-01", "2025-01-31")
    assert parting.equity_usd[1] == Folder(folder).summary["final_equity_usd"]
    assert parting.events[1] == f"{ended} Ended"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("base",), "1 run to compare; expected two or more"), (("base", "base"), "stands twice"),
     (("base", "none"), "no run of this name")],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(here, capsys, arguments, words):
    """In one line."""
    code, out, said = carrybook(capsys, "compare", *arguments)
    assert (code, out, words in said) == (2, "", True)


def test_a_directory_of_runs_is_one_frame(here, tmp_path):
    """A row for each by digest: name, the settings that differ, and all figures."""
    frame = load_runs(Path("runs"))
    assert dict(zip(frame.name, frame.index, strict=True)) == here
    assert set(frame.loc[here["calm"], ["strategy.leverage"]]) == {2}
    assert "strategy.trigger" not in frame
    assert frame.loc[here["base"], "sharpe"] == Folder(Path("base")).summary["sharpe"]
    with pytest.raises(RunError, match="no finished run in it"):
        load_runs(tmp_path)


@pytest.mark.slow
def test_the_six_commands_of_the_readme_are_a_newcomers_path(tmp_path, capsys, monkeypatch):
    """Install stands before them; run, look, change, compare and share follow each other in one empty directory."""
    readme = (ROOT / "README.md").read_text()
    install, _, rest = readme.partition("<!-- six commands -->")
    assert "<!-- run -->" in install
    commands = [line[2:].split()[1:] for line in rest.partition("\n```\n\n")[0].splitlines() if line.startswith("$ ")]
    assert [each[0] for each in commands] == ["run", "explain", "run", "compare", "report"]
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    for command in commands:
        code, printed, said = carrybook(capsys, *command)
        assert (code, bool(printed)) == (0, True), said
    assert (tmp_path / "base.html").read_text().lstrip().lower().startswith("<!doctype html")
