"""Arrow arrays of ours: what `pyarrow.array` makes of the same values, and nothing that a kind cannot hold."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.support import arrow

VALUES = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(st.characters(exclude_categories=["Cs"])),
}


@pytest.mark.parametrize("kind", VALUES, ids=str)
@given(data=st.data())
def test_a_list_becomes_what_arrow_makes_of_it(kind: pa.DataType, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.none() | VALUES[kind]))
    found = arrow.array(values, kind)
    found.validate(full=True)
    assert found.equals(pa.array(values, kind))


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64()], ids=str)
@given(data=st.data())
def test_a_numpy_array_is_null_where_it_is_said_to_be(kind: pa.DataType, data: st.DataObject) -> None:
    pairs = data.draw(st.lists(st.tuples(VALUES[kind], st.booleans())))
    values = np.array([value for value, _ in pairs], kind.to_pandas_dtype())
    absent = np.array([flag for _, flag in pairs], bool)
    found = arrow.array(values[::-1], kind, absent[::-1])
    found.validate(full=True)
    assert found.equals(pa.array(values[::-1], kind, mask=absent[::-1]))


def test_one_of_arrows_is_left_as_it_is() -> None:
    values = pa.array([1, None])
    assert arrow.array(values, pa.int64()) is values


@pytest.mark.parametrize(
    ("values", "kind"), [([1.5], pa.int64()), ([2**63], pa.int64()), ([1], pa.bool_()), (["1"], pa.float64())]
)
def test_what_a_kind_cannot_hold_is_refused(values: list[object], kind: pa.DataType) -> None:
    with pytest.raises(TypeError):
        arrow.array(values, kind)


def test_a_table_has_numbers_and_texts() -> None:
    found = arrow.table({"a": np.arange(2), "b": np.array([0.5, 1.0]), "c": ["x", None]})
    assert found.equals(pa.table({"a": [0, 1], "b": [0.5, 1.0], "c": ["x", None]}))


@pytest.mark.slow
@pytest.mark.parametrize("command", ["run", "sweep --jobs 1 --grid strategy.leverage=2,3"])
def test_a_command_ends_without_having_loaded_pandas(command: str, tmp_path: Path) -> None:
    script = (
        "import atexit, sys; from framework.command_line.cli import main; "
        "atexit.register(lambda: print('pandas' in sys.modules)); main(sys.argv[1:])"
    )
    name, *options = command.split()
    arguments = [name, "examples/capital_rebalance/scenario.toml", "--out", str(tmp_path), *options]
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
