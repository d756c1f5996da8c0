"""The digest chain of a ledger: every block of transfers is sealed with all that came before it."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

RECORD = np.dtype(
    [
        ("at_ns", "<i8"),
        ("event", "<i8"),
        ("amount", "<i8"),
        ("kind", "<u2"),
        ("debit", "<u2"),
        ("credit", "<u2"),
        ("asset", "<u2"),
    ]
)
"""One transfer as it is stored and digested: 32 bytes, little-endian, names as codes in order of first appearance."""

Records = np.ndarray[Any, np.dtype[np.void]]

BLOCK = 4096
"""Transfers per link of the digest chain."""


def links(chart: object, batches: Iterable[Records]) -> Iterator[str]:
    """One SHA-256 per block of `BLOCK` transfers, each over the one before and the block's bytes, however it is cut.

    The first starts from the chart of accounts, so a renamed account breaks it as well.
    """
    link = hashlib.sha256(json.dumps(chart).encode()).digest()
    yield link.hex()
    rest = np.empty(0, dtype=RECORD)
    for batch in batches:
        rest = np.concatenate((rest, batch)) if len(rest) else batch
        whole = len(rest) // BLOCK * BLOCK
        for start in range(0, whole, BLOCK):
            link = hashlib.sha256(link + rest[start : start + BLOCK].tobytes()).digest()
            yield link.hex()
        rest = rest[whole:]
    if len(rest):
        yield hashlib.sha256(link + rest.tobytes()).digest().hex()
