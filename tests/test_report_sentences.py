"""Every sentence of a report is true of the run that it stands beside."""

import json

import pytest

from examples.study.report import bad_debt, models
from examples.study.study import Study
from framework.command_line.cli import main
from tests.runs import ROOT

GAIN = "without it the gain is a loss"
NOTHING = "On these data no liquidated leg falls below zero: the floor changes nothing."


def told(capsys, *arguments):
    """What a command prints."""
    with pytest.raises(SystemExit) as exit_:
        main([str(each) for each in arguments])
    assert not exit_.value.code
    return capsys.readouterr().out


def test_the_study_says_of_the_floor_what_is_true_on_the_embedded_data():
    """Whatever these data are: the sentence about the gain stands only where there is one, and a loss without it."""
    grid = bad_debt(Study())
    forgiven, owed = (row for row in grid.rows if not row[0].startswith("published"))
    assert (GAIN in grid.note) is (forgiven[1].startswith("+") and owed[1].startswith("-"))
    assert (grid.note == NOTHING) is (forgiven[3] == "0.00")
    if grid.note == NOTHING:
        assert forgiven[1:3] == owed[1:3]


def test_the_study_says_of_the_floor_what_is_true_on_its_own_data(study_data):
    """There the gain is what nobody paid."""
    assert GAIN in bad_debt(Study(study_data)).note


@pytest.mark.slow
def test_the_study_tells_the_static_return_that_it_has_computed(study_data):
    """On the study's data +5.8 %, as its own definition gives; on others what that gives there."""
    grid = models(Study(study_data))
    assert "its own definition gives +5.8 % here" in grid.note
    embedded = models(Study())
    (row,) = [each for each in embedded.rows if each[:2] == ("$10,000", "2x")]
    assert f"gives {row[2]} here" in embedded.note


@pytest.mark.slow
def test_the_study_under_other_settings_does_not_show_what_was_published():
    """Neither the published gain of Drift nor that of the static model."""
    changed = Study(settings=["venues.drift.maintenance_margin=0.01"])
    assert [row[0].partition(" ")[0] for row in bad_debt(changed).rows] == ["liquidated", "losses"]
    assert "prints" not in models(changed).note


USS = ROOT / "examples" / "uss" / "scenario.toml"
CHANGED = "the settings differ from the published ones (strategy.maintenance=0.6): its figures are not shown"


def test_a_report_under_other_settings_does_not_show_the_published_figures(capsys, tmp_path):
    """It says instead that the settings differ, and by what; the readings are still those of the new scenario."""
    plain = told(capsys, "run", USS, "--out", tmp_path)
    assert "Published beside what its rules give here" in plain
    changed = told(capsys, "run", USS, "--out", tmp_path, "--set", "strategy.maintenance=0.6")
    assert "Published beside" not in changed
    assert CHANGED in " ".join(changed.split())
    assert "P&L waterfall by reading" in changed


def test_json_under_other_settings_has_no_published_figures(capsys, tmp_path):
    """The verdict says why; the keys are the same."""
    plain, changed = (
        json.loads(told(capsys, "run", USS, "--json", "--out", tmp_path, *settings))["published"]
        for settings in ((), ("--set", "strategy.maintenance=0.6"))
    )
    assert plain.keys() == changed.keys()
    assert plain["figures"]
    assert (changed["figures"], changed["verdict"]) == ({}, CHANGED)


@pytest.mark.parametrize("setting", ["strategy.hedge=value", "name=mine", "strategy.maintenance=0.67"])
def test_a_setting_that_changes_no_reading_leaves_the_published_figures(capsys, tmp_path, setting):
    """One that every reading replaces, one that changes a name, and one that says what was so."""
    printed = told(capsys, "run", USS, "--out", tmp_path, "--set", setting)
    assert "Published beside what its rules give here" in printed
