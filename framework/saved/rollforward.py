"""The roll-forward: every account's opening balance, debits, credits and closing balance, month by month."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from framework.accounts import Account
from framework.chain import Records

ROLL_COLUMNS = ("month", "account", "asset", "opening", "debits", "credits", "closing")
"""A line of the roll-forward; sums in atomic units, debits less credits."""
Line = tuple[str, str, str, int, int, int, int]


def roll_forward(accounts: Sequence[Account], batches: Iterable[Records]) -> Iterator[Line]:
    """The lines of a ledger, month by month and in the order of the chart; months without entries are left out.

    Batches are in time order; an account has a line for each month in which it moved or holds something.
    """
    balances = [0] * len(accounts)
    debited, credited = [0] * len(accounts), [0] * len(accounts)
    month = ""

    def lines() -> Iterator[Line]:
        for code, account in enumerate(accounts):
            opening = balances[code]
            if opening or debited[code] or credited[code]:
                closing = balances[code] = opening + debited[code] - credited[code]
                yield month, account.name, account.asset.code, opening, debited[code], credited[code], closing
            debited[code] = credited[code] = 0

    for batch in batches:
        months = batch["at_ns"].astype("datetime64[ns]").astype("datetime64[M]")
        cuts = [0, *(np.flatnonzero(months[1:] != months[:-1]) + 1).tolist(), len(batch)]
        for start, stop in pairwise(cuts):
            if start == stop:
                continue
            if month and str(months[start]) != month:
                yield from lines()
            month = str(months[start])
            part = batch[start:stop]
            for sums, side in ((debited, "debit"), (credited, "credit")):
                for code, total in enumerate(_sums(part[side], part["amount"], len(accounts))):
                    sums[code] += total
    if month:
        yield from lines()


def _sums(codes: NDArray[np.uint16], amounts: NDArray[np.int64], count: int) -> list[int]:
    """The sum of the amounts of each code, exactly."""
    totals = np.zeros(count, dtype=np.int64)
    np.add.at(totals, codes, amounts)
    return [int(total) for total in totals]
