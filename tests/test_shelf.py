"""The shelf: what is kept of tapes is read by the next process, plays the same, and is never more than data."""

import hashlib
import json
import math
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from attrs import asdict, evolve, frozen

from examples.study.report import costs
from examples.study.study import Study
from framework import Scenario, assemble, formulas
from framework.many_runs import execution
from framework.many_runs.execution import Execution
from framework.many_runs.sweep import Sweep, sweep
from framework.support import source_code
from framework.tape import shelf as on_disk
from framework.tape.numbers import LONGEST, Op
from framework.tape.played import Played
from framework.tape.shelf import Shelf
from framework.tape.steps import NotPlayable
from framework.tape.tapes import Tapes
from strategies.capital_rebalance import CapitalRebalance
from tests.conftest import ROOT
from tests.test_differential import assembled, drawn
from tests.test_tape import GRIDS, SCENARIO, same
from venues.hyperliquid import Hyperliquid

KINDS = ("made", "lines", "spans", "changes", "outputs", "sends")
"""The tables of a file."""


def assembly(*settings):
    return assemble(Scenario.load(SCENARIO, settings))


def kept(place, *assemblies):
    """Tapes of some runs, each done often enough to be trusted, once they are on a shelf."""
    tapes = Tapes(Shelf(place))
    for _ in range(2):
        for each in assemblies:
            tapes.run(each)
    tapes.keep(0.0)
    return tapes


def altered(place, change):
    """The one file of a shelf with other content, and a checksum that is right."""
    (path,) = Shelf(place).files()
    head, _, body = path.read_bytes()[64:].partition(b"\n")
    found, tables, start = json.loads(head), {}, 0
    for kind, rows, width in zip(KINDS, found["rows"], on_disk.WIDTHS, strict=True):
        tables[kind] = (
            np.frombuffer(body, dtype="<i4", count=rows * width, offset=4 * start).reshape(rows, width).copy()
        )
        start += rows * width
    change(found, tables)
    content = b"\n".join((json.dumps(found).encode(), b"".join(each.tobytes() for each in tables.values())))
    path.write_bytes(hashlib.sha256(path.name.encode() + content).hexdigest().encode() + content)


def is_read(place, *settings):
    """Whether the tape of the scenario begins with what is kept; it is as new where it does not."""
    tape = Tapes(Shelf(place)).of(assembly(*settings))
    assert tape.is_trusted == bool(tape.code.leaves) == (tape.kept > 0) == bool(len(tape.code.lines))
    return tape.is_trusted


def test_what_is_kept_plays_as_the_simulation_does(tmp_path):
    """Drawn set-ups of all strategies, at the market and at cost: from the first run on, and nothing is recorded."""
    drawn_ = [assembled(drawn(number)) for number in range(40)]
    before = kept(tmp_path, *drawn_)
    tapes, trusted = Tapes(Shelf(tmp_path)), sum(tape.is_trusted for tape in before.tapes)
    assert len(Shelf(tmp_path).files()) == trusted > 20
    played = 0
    for each in drawn_:
        run, found = each.simulation().run(), tapes.run(each)
        if isinstance(found, Played):
            played += same(found, run)
        else:
            assert found.ledger.digest == run.ledger.digest
    assert played >= 30
    assert sum(tape.is_trusted for tape in tapes.tapes) == trusted
    assert sum(tape.recorded for tape in tapes.tapes) == 0


def test_what_looks_back_is_kept(tmp_path):
    """A least yield over the last rows, which reads values of rows before the present one."""
    settings = {"strategy.min_apy_pct": 5.0}
    run = assemble(Study().scenario("full_rotation", settings))
    kept(tmp_path, run)
    tapes = Tapes(Shelf(tmp_path))
    assert tapes.of(run).is_trusted
    assert same(tapes.played(run), run.simulation().run())
    assert not tapes.of(run).recorded


FOUND = {
    "register": lambda tables: _find(tables, "made", 1, FAR),
    "register of itself": lambda tables: _find(tables, "made", 1, 10**6),
    "register below all": lambda tables: _find(tables, "made", 1, -1),
    "column": lambda tables: _find(tables, "made", 2, FAR),
    "column below all": lambda tables: _find(tables, "made", 2, -1),
    "another column": lambda tables: _find(tables, "lines", 3, 0),
}


def _find(tables, kind, column, value):
    table = tables[kind]
    table[np.flatnonzero(table[:, 0] == Op.FIND)[-1], column] = value


@pytest.mark.parametrize("what", [None, *FOUND])
def test_a_place_that_is_found_is_one_of_a_column(what, tmp_path):
    """A turnover is read at the row at which its days begin: from a column that there is, at what was computed."""
    run = assembly("venues.hyperliquid.fee_tiers=[{taker_fee_bps=4.5}, {taker_fee_bps=4.0, above_usd=5000}]")
    kept(tmp_path, run)
    altered(tmp_path, lambda _, tables: FOUND[what](tables) if what else None)
    assert Tapes(Shelf(tmp_path)).of(run).is_trusted == (what is None)


def test_a_row_before_the_first_is_never_read(tmp_path):
    """A forged file that looks back from the first row on: the kernel does what would lead out of the columns."""
    kept(tmp_path, assembly())

    def change(_, tables):
        made, lines = tables["made"], tables["lines"]
        back = np.flatnonzero((made[:, 0] == Op.LOAD) & (made[:, 2] == 0))
        made[back, 2] = 1 - LONGEST
        loads = lines[:, 0] == Op.LOAD
        lines[loads & (lines[:, 3] == 0), 3] = 1 - LONGEST

    altered(tmp_path, change)
    tapes = Tapes(Shelf(tmp_path))
    assert tapes.of(assembly()).is_trusted
    with pytest.raises(NotPlayable, match="sums of more than 53 bits"):
        tapes.played(assembly())


def test_a_tape_that_is_read_records_what_is_new_and_keeps_that_too(tmp_path):
    """It takes its ways on where they ended, and has all of them in the next process."""
    settings = [f"strategy.leverage={leverage}" for leverage in (2, 3, 4)]
    kept(tmp_path, assembly("strategy.trigger=20"))
    lines = []
    for number in range(1, 6):
        tapes = Tapes(Shelf(tmp_path))
        for each in settings:
            path = "market.path.method=stationary", f"market.path.number={number}"
            run = assembly(each, *path)
            assert same(tapes.run(run), run.simulation().run())
        (tape,) = tapes.tapes
        lines.append(len(tape.code.lines))
        tapes.keep(0.0)
    assert lines == sorted(lines)
    assert lines[0] < lines[-1]
    (tape,) = tapes.tapes
    again = Tapes(Shelf(tmp_path)).of(assembly())
    assert all(np.array_equal(one, other) for one, other in zip(again.program(), tape.program(), strict=True))
    assert np.array_equal(again.code.initial, tape.code.initial)
    assert len(tape.code.quiet_lines) > 0
    assert asdict(again.registers) == asdict(tape.registers)
    assert _told(again.code.trees()) == _told(tape.trees)


def _told(trees):
    """Trees as plain values."""

    def told(branch):
        ways = {answer: told(each) for answer, each in branch.following.items()}
        return branch.lines, branch.question, branch.line, ways, branch.leaf and repr(branch.leaf)

    return {step: told(each) for step, each in trees.items()}


def test_accounts_of_a_tape_that_is_read_are_those_of_its_venues(tmp_path):
    """Two of one name are two, so entries have to name the very ones of the books."""
    kept(tmp_path, assembly())
    tape = Tapes(Shelf(tmp_path)).of(assembly())
    found = {
        id(account)
        for leaf in tape.code.leaves
        for entry in leaf.adds.entries
        for debit, credit, *_ in entry.transfers
        for account in (debit, credit)
    }
    assert found
    assert found <= {id(each) for each in tape.accounts}


# -- what is not kept, and what is not read


@frozen(kw_only=True)
class Own(CapitalRebalance):
    """A user's own strategy, which may depend on anything."""


def test_what_is_a_users_own_is_not_kept(tmp_path):
    """Nobody knows what its class, or what it holds, depends on; it is played as ever."""
    own = evolve(assembly(), strategy=Own(long="asgard", short="hyperliquid", leverage=3.0, trigger=6.0))
    (tape,) = kept(tmp_path, own).tapes
    assert tape.is_trusted
    assert not Shelf(tmp_path).files()


def test_what_is_not_trusted_is_not_kept(tmp_path):
    """It may be of one run alone."""
    tapes = Tapes(Shelf(tmp_path))
    tapes.run(assembly())
    tapes.played(assembly())
    tapes.keep(0.0)
    assert not Shelf(tmp_path).files()


@pytest.mark.parametrize("what", ["project_digest", "version", "platform.node"])
def test_what_other_code_recorded_is_not_read(what, tmp_path, monkeypatch):
    """Another digest of the project, another library or machine: it is another file."""
    kept(tmp_path, assembly())
    assert is_read(tmp_path)
    on_disk.origin.cache_clear()
    try:
        monkeypatch.setattr(f"framework.tape.shelf.{what}", "another".format)
        assert not is_read(tmp_path)
    finally:
        on_disk.origin.cache_clear()


def test_a_file_that_is_cut_off_or_changed_is_not_read(tmp_path):
    """At any place, and under another name; it is written again."""
    kept(tmp_path, assembly())
    (path,) = Shelf(tmp_path).files()
    content = path.read_bytes()
    for length in (0, 1, 63, 64, 65, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        assert not is_read(tmp_path)
    for place in range(0, len(content), len(content) // 23):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert not is_read(tmp_path)
    path.write_bytes(content)
    assert is_read(tmp_path)
    other = assembly("strategy.trigger=never")
    kept(tmp_path, other)
    (another,) = set(Shelf(tmp_path).files()) - {path}
    path.write_bytes(another.read_bytes())
    assert not is_read(tmp_path)
    kept(tmp_path, assembly())
    assert is_read(tmp_path)


FAR = 2**31 - 1
"""A number that leads out of anything."""
LINE = {name: place for place, name in enumerate(("op", "to", "left", "right", "no"))}


def of_op(tables, *ops):
    """The first line that does one of these things."""
    return int(np.flatnonzero(np.isin(tables["lines"][:, 0], ops))[0])


FORGED = {
    "register": lambda _, tables: tables["made"].__setitem__((-1, 1), FAR),
    "register of itself": lambda _, tables: tables["made"].__setitem__((-1, 1), 10**6),
    "register before the first": lambda _, tables: tables["made"].__setitem__((-1, 2), -1),
    "operation of a register": lambda _, tables: tables["made"].__setitem__((-1, 0), Op.LT),
    "column": lambda _, tables: _load(tables, 1, FAR),
    "row": lambda _, tables: _load(tables, 2, 2),
    "row long before": lambda _, tables: _load(tables, 2, -LONGEST),
    "operation": lambda _, tables: tables["lines"].__setitem__((0, 0), len(Op)),
    "operation below all": lambda _, tables: tables["lines"].__setitem__((0, 0), -1),
    "computed": lambda _, tables: tables["lines"].__setitem__((of_op(tables, Op.ADD, Op.SUB, Op.MUL), 1), FAR),
    "computed of others": lambda _, tables: tables["lines"].__setitem__(
        (of_op(tables, Op.ADD, Op.SUB, Op.MUL), 2), FAR
    ),
    "input": lambda _, tables: tables["lines"].__setitem__((of_op(tables, Op.ADD, Op.SUB, Op.MUL), 1), 0),
    "asked": lambda _, tables: tables["lines"].__setitem__((of_op(tables, Op.LT, Op.LE), 2), FAR),
    "asked below all": lambda _, tables: tables["lines"].__setitem__((of_op(tables, Op.LT, Op.LE), 3), -2),
    "goes far": lambda _, tables: tables["lines"].__setitem__((of_op(tables, Op.LT, Op.LE), 1), FAR),
    "goes back": lambda _, tables: tables["lines"].__setitem__((of_op(tables, Op.LT, Op.LE), 4), 0),
    "goes below all": lambda _, tables: tables["lines"].__setitem__((of_op(tables, Op.LT, Op.LE), 4), -2),
    "leaf": lambda _, tables: tables["lines"].__setitem__((of_op(tables, Op.LEAF), 1), FAR),
    "no end": lambda _, tables: tables["lines"].__setitem__((-1, 0), Op.LOAD),
    "changes": lambda _, tables: tables["spans"].__setitem__((0, 1), FAR),
    "changes backwards": lambda _, tables: tables["spans"].__setitem__((-1, 0), FAR),
    "outputs": lambda _, tables: tables["spans"].__setitem__((-1, 3), FAR),
    "outputs below all": lambda _, tables: tables["spans"].__setitem__((0, 2), -1),
    "equity": lambda _, tables: tables["spans"].__setitem__((0, 4), FAR),
    "equity below all": lambda _, tables: tables["spans"].__setitem__((0, 4), -2),
    "changed": lambda _, tables: tables["changes"].__setitem__((0, 0), FAR),
    "changed below all": lambda _, tables: tables["changes"].__setitem__((0, 0), -1),
    "changed to": lambda _, tables: tables["changes"].__setitem__((0, 1), FAR),
    "output": lambda _, tables: tables["outputs"].__setitem__((0, 0), FAR),
    "rows": lambda found, _: found["rows"].__setitem__(1, FAR),
    "rows below none": lambda found, _: found["rows"].__setitem__(1, -1),
    "root": lambda found, _: found["roots"].update(row=FAR),
    "root below all": lambda found, _: found["roots"].update(row=-3),
    "root within a branch": lambda found, tables: found["roots"].update(row=of_op(tables, Op.ADD, Op.SUB, Op.MUL) + 1),
    "root of no step": lambda found, _: found["roots"].update(other=0),
    "no values": lambda found, _: found["values"].clear(),
    "value of itself": lambda found, _: found["values"].append(["tuple", len(found["values"])]),
    "column of another tape": lambda found, _: found["values"].__setitem__(found["values"].index("index"), "other"),
}


def _load(tables, column, value):
    made = tables["made"]
    made[np.flatnonzero(made[:, 0] == Op.LOAD)[-1], column] = value


@pytest.mark.parametrize("what", FORGED)
def test_no_number_of_a_forged_file_leads_the_player_astray(what, tmp_path):
    """It reads and writes memory by them, without a bound of its own; a file with one is not read."""
    kept(tmp_path, assembly())
    altered(tmp_path, lambda *_: None)
    assert is_read(tmp_path)
    altered(tmp_path, FORGED[what])
    assert not is_read(tmp_path)


ON_ITS_WAY = ("strategy.trigger=4.2", "venues.hyperliquid.bridge.latency_s=100000")
"""A run in which money takes more than a row."""


def _latency(found, value):
    """Let a kind of arrival take another time, which is the last part of its node."""
    values = found["values"]
    name = values.index("framework.tape.transit.Arrival")
    made = values.index(["class", name])
    kind = next(each for each in values if type(each) is list and each[0] == made)
    last = values.pop()
    kind[-1] = len(values)
    values += [value, last]


FORGED_ON_ITS_WAY = {
    "kind": lambda _, tables: tables["sends"].__setitem__((0, 0), FAR),
    "kind below all": lambda _, tables: tables["sends"].__setitem__((0, 0), -1),
    "number": lambda _, tables: tables["sends"].__setitem__((0, 2), FAR),
    "number below all": lambda _, tables: tables["sends"].__setitem__((-1, 4), -1),
    "sends": lambda _, tables: tables["spans"].__setitem__((-1, 7), FAR),
    "sends backwards": lambda _, tables: tables["spans"].__setitem__((-1, 6), FAR),
    "sends below all": lambda _, tables: tables["spans"].__setitem__((0, 6), -1),
    "root of another arrival": lambda found, _: found["roots"].update({"arrival 7": 0}),
    "root of an arrival": lambda found, _: found["roots"].update({"arrival 0": FAR}),
    "latency": lambda found, _: _latency(found, 2**63),
    "no latency": lambda found, _: _latency(found, 0),
    "latency of another kind": lambda found, _: _latency(found, 1.5),
}


@pytest.mark.parametrize("what", FORGED_ON_ITS_WAY)
def test_what_is_on_its_way_leads_the_player_nowhere_else_either(what, tmp_path):
    """A file with such a number is not read."""
    kept(tmp_path, assembly(*ON_ITS_WAY))
    altered(tmp_path, lambda *_: None)
    assert is_read(tmp_path, *ON_ITS_WAY)
    altered(tmp_path, FORGED_ON_ITS_WAY[what])
    assert not is_read(tmp_path, *ON_ITS_WAY)


@pytest.mark.parametrize(
    "name",
    ["os.system", "posix.system", "builtins.eval", "subprocess.Popen", "framework.support.files.os.system",
     "framework.support.files.replace_file", "framework.support.files.Path", "framework.tape.shelf.Shelf.write",
     "framework.nowhere.Nothing", "Nothing"],
)  # fmt: skip
def test_a_forged_file_names_no_class_but_the_projects(name, tmp_path):
    """Neither a function, nor a class of another module, nor one that is not loaded."""
    kept(tmp_path, assembly())

    def forge(found, _):
        place = found["values"].index("framework.orders.Open")
        found["values"][place] = name

    altered(tmp_path, forge)
    assert not is_read(tmp_path)


def test_a_forged_file_calls_nothing(tmp_path, monkeypatch):
    """Objects are made of their fields, and not by their class."""
    kept(tmp_path, assembly())

    def forge(found, _):
        values = found["values"]
        values[values.index("framework.orders.Open")] = "tests.test_shelf.Loud"

    monkeypatch.setattr(on_disk, "OUR_PACKAGES", (*on_disk.OUR_PACKAGES, "tests"))
    altered(tmp_path, forge)
    assert is_read(tmp_path)
    assert not CALLED


CALLED = []


@frozen
class Loud:
    """A class that says when it is called; it has as many fields as that in place of which it stands."""

    venue: object
    side: object
    size: object
    funds_usd: object
    quoted_notional_usd: object
    coin: object

    def __attrs_post_init__(self):
        CALLED.append(self)

    def __new__(cls, *_):
        CALLED.append(cls)
        return object.__new__(cls)

    def __setstate__(self, state):
        CALLED.append(state)


def test_a_place_that_cannot_be_written_or_read_is_as_good_as_none(tmp_path):
    """Nothing is said, and runs are recorded as ever."""
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        tapes = kept(place, assembly())
        assert isinstance(tapes.run(assembly()), Played)


def test_the_oldest_go_first(tmp_path, monkeypatch):
    """So many files are kept, and so many bytes; one that is too large is not kept at all."""
    for number, leverage in enumerate((2, 3, 4)):
        kept(tmp_path, assembly(f"venues.hyperliquid.taker_fee_bps={leverage}"))
        for path in Shelf(tmp_path).files():
            os.utime(path, ns=(path.stat().st_mtime_ns - 10**9,) * 2)
        assert len(Shelf(tmp_path).files()) == number + 1
    files = list(Shelf(tmp_path).files())
    monkeypatch.setattr(on_disk, "FILES", 3)
    kept(tmp_path, assembly())
    assert list(Shelf(tmp_path).files())[:2] == files[1:]
    monkeypatch.setattr(on_disk, "ALL_BYTES", 1)
    kept(tmp_path, assembly("strategy.trigger=never"))
    assert not Shelf(tmp_path).files()
    monkeypatch.setattr(on_disk, "FILE_BYTES", 1_000)
    kept(tmp_path, assembly())
    assert not Shelf(tmp_path).files()


def test_where_it_is(tmp_path, monkeypatch):
    """Where a user says, or else among what this platform keeps for the user and can be done without."""
    monkeypatch.setenv("CARRYBOOK_CACHE_DIR", str(tmp_path))
    assert Shelf.default() == Shelf(tmp_path / "tapes")
    monkeypatch.delenv("CARRYBOOK_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    if sys.platform == "linux":
        assert Shelf.default() == Shelf(tmp_path / "user" / "carrybook" / "tapes")


# -- sweeps and processes


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A shelf of the test's own, where those that run many runs look for one."""
    monkeypatch.setenv("CARRYBOOK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(source_code, "LOADED_S", math.inf)  # files may be edited while the tests run
    return tmp_path / "cache" / "tapes"


def written(place):
    """When each file was written: one that is written again has another time."""
    return {path: found.st_mtime_ns for path, found in Shelf(place).files().items()}


@pytest.mark.parametrize("paths", [0, 3])
def test_a_sweep_begins_with_what_the_last_one_kept(paths, place, tmp_path, monkeypatch):
    """On paths and without, byte for byte; there is nothing left to record, so nothing is written again."""
    monkeypatch.setattr(execution, "WORTH_CELLS", 1)
    settings = ("market.path.method=stationary",) if paths else ()
    results, times = [], []
    for name in ("first", "second"):
        done = sweep(Sweep.of(SCENARIO, GRIDS, settings, paths=paths), tmp_path / name, jobs=1)
        results.append((done.folder / "results.csv").read_bytes())
        times.append(written(place))
    assert times[0]
    assert times[0] == times[1]
    assert results[0] == results[1]


def test_workers_keep_what_they_have_recorded(place, tmp_path, monkeypatch):
    """Each in its own process."""
    monkeypatch.setattr(execution, "WORTH_CELLS", 1)
    sweep(Sweep.of(SCENARIO, GRIDS), tmp_path / "two", jobs=2)
    assert Shelf(place).files()


def test_a_study_begins_with_what_the_last_one_kept(place):
    """Its tables are the same, and nothing of kinds that come more than once is recorded again."""
    grids, times = [pickle.dumps(costs(Study(played=False)))], []
    for _ in range(3):
        study = Study()
        grids.append(pickle.dumps(costs(study)))
        study.keep()
        times.append(written(place))
    assert times[0]
    assert times[1] == times[2]  # the first run of a kind is simulated once, and played in the next process
    assert len(set(grids)) == 1


def test_nothing_is_kept_or_read_where_the_code_that_runs_is_not_that_of_the_files(place, tmp_path, monkeypatch):
    """A file that was written since it was loaded, or a function that somebody has put in another's place."""

    def recorded():
        runs = Execution(execution.WORTH_CELLS)
        found = [runs.run(assembly()) for _ in range(3)]
        runs.keep()
        return len({each.ledger.digest for each in found}), written(place)

    assert source_code.replacing() == set()
    (tmp_path / "module.py").write_text("")
    os.utime(tmp_path / "module.py", (1e9, 1e9))
    assert source_code.written_s([tmp_path]) == 1e9
    with monkeypatch.context() as patched:
        patched.setattr(source_code, "LOADED_S", 1e9)
        assert recorded() == (1, {})
    for kind, name, value in (
        (Hyperliquid, "taker_fee", lambda self: 0.001),
        (Hyperliquid, "summary", property(lambda self: "")),
        (formulas, "ratio", lambda first, second: first / second),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(kind, name, value, raising=False)
            assert source_code.replacing() == {__name__}
            assert not source_code.is_as_loaded()
    with monkeypatch.context() as patched:
        patched.setattr(formulas, "unused", recorded, raising=False)
        assert recorded() == (1, {})
    done, kept_ = recorded()
    assert (done, len(kept_)) == (1, 1)


SCRIPT = """
import sys
from framework.tape.shelf import Shelf
from framework.tape.tapes import Tapes
from tests.test_shelf import assembly
tapes = Tapes(Shelf(sys.argv[1]))
for leverage in (2, 3, 4, 2):
    run = assembly(f"strategy.leverage={leverage}")
    found = tapes.run(run)
    print(found.run().ledger.digest if hasattr(found, "playbacks") else found.ledger.digest)
(tape,) = tapes.tapes
tapes.keep(0.0)
print(tape.recorded)
"""


@pytest.mark.slow
def test_processes_find_what_others_kept_whatever_their_hashes_are(tmp_path):
    """Two at once keep the same, and a third with hashes of its own has nothing left to record."""

    def started(seed):
        environment = os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)

    both = [each.communicate()[0].split() for each in [started(1), started(2)]]
    assert len(Shelf(tmp_path).files()) == 1
    third, _ = started(3).communicate()
    assert [*both[0][:4], "0"] == [*both[1][:4], "0"] == third.split()
    assert int(both[0][4]) > 0
