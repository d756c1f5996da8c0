"""Arrow arrays from lists and NumPy arrays, without pandas.

`pyarrow.array` gives the same, but loads pandas with its first array, which takes a quarter of a short command's time.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Values = Sequence[Any] | NDArray[Any]
"""What an array is made of; or one of Arrow's, which have no types."""
FILLING = {pa.int64(): 0, pa.float64(): 0.0, pa.bool_(): False, pa.string(): ""}
"""The kinds of arrays, and what stands where one is null."""


def array(values: Values, kind: pa.DataType, absent: NDArray[np.bool_] | None = None) -> pa.Array:
    """An Arrow array of a kind, null where a list has None or where `absent` says so; one of Arrow's is left as it is.

    Raises `TypeError` for numbers that the kind cannot hold.
    """
    if isinstance(values, pa.Array):
        return values
    if absent is None and not isinstance(values, np.ndarray):
        absent = np.fromiter((each is None for each in values), bool, len(values))
        values = [FILLING[kind] if each is None else each for each in values]
    valid = _bits(~absent) if absent is not None and absent.any() else None
    if kind == pa.string():
        texts = [each.encode() for each in values]
        ends = np.cumsum([0, *map(len, texts)], dtype=np.int64)
        buffers = [pa.py_buffer(ends), pa.py_buffer(b"".join(texts))]
        return pa.Array.from_buffers(pa.large_string(), len(values), [valid, *buffers]).cast(kind)
    numbers, wanted = np.asarray(values), kind.to_pandas_dtype()
    found = numbers.astype(wanted, order="C", casting="safe" if numbers.size else "unsafe", copy=False)
    content = _bits(found) if kind == pa.bool_() else pa.py_buffer(found)
    return pa.Array.from_buffers(kind, len(values), [valid, content])


def table(columns: Mapping[str, Values]) -> pa.Table:
    """A table of columns: NumPy arrays of integers or floats, lists of text, and Arrow arrays."""
    return pa.table({name: array(each, _kind(each)) for name, each in columns.items()})


def _kind(values: Values) -> pa.DataType:
    return pa.from_numpy_dtype(values.dtype) if isinstance(values, np.ndarray) else pa.string()


def _bits(flags: NDArray[np.bool_]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(flags, bitorder="little"))
