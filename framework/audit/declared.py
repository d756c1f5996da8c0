"""The thorough checks of the books against what venues declare: accounts, accruals in exact integers, and rates."""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from attrs import frozen
from numpy.typing import NDArray

from framework.accrual import GROWING, Accrual, Computed, column_of
from framework.assembly import Assembly
from framework.audit.findings import FLOAT_SLACK, Finding, Findings, entry
from framework.clock import NS_PER_YEAR
from framework.market import TICK_NS, Flags, Floats, Ints, Market, Source
from framework.money import USDC, Account, Asset
from framework.run_folder.archive import among, ints
from framework.venue import CASH, IN_TRANSIT, WALLET, Segment, Venue, failure_accounts, loss_account

if TYPE_CHECKING:
    from framework.audit.history import History


def accounts(assembly: Assembly, history: "History") -> Findings:
    """The accounts of the chart are those that wallet and venues declare, with asset, floor, bucket and venue."""
    declared = {(each.name, each.asset): (each, "") for each in WALLET}
    for venue in assembly.venues:
        declared |= {(each.name, each.asset): (each, venue.name) for each in venue.accounts()}
        if assembly.incidents.failing(venue.name):
            further = (*failure_accounts(venue).values(), loss_account(venue))
            declared |= {(each.name, each.asset): (each, venue.name) for each in further}
    folder = history.folder
    charted = {(each.name, each.asset): (each, of) for each, of in zip(folder.accounts, folder.owners, strict=True)}
    for key in dict.fromkeys((*declared, *charted)):
        name, asset = key
        if key not in charted or key not in declared:
            words = "nobody declares" if key in charted else "is declared and the chart lacks"
            yield Finding(f"account {name}", f"{words} it in {asset.code}")
            continue
        (here, owner), (there, venue_name) = charted[key], declared[key]
        for what, said, expected in (
            ("floor", here.floor, there.floor),
            ("bucket", here.bucket, there.bucket),
            ("venue", owner, venue_name),
        ):
            if said != expected:
                yield Finding(f"account {name}", f"its {what} is {said} in the folder; declared is {expected}")


FIXED = 256
"""Bits behind the point of the integers in which paths are added up: products of two floats fit whole."""
ONE = 1 << FIXED
ROUNDING = 0.5
"""A path is rounded once per row: what was posted is never further from it than half an atomic unit."""


def _fixed(value: float) -> int:
    top, bottom = value.as_integer_ratio()
    return (top << FIXED) // bottom


@frozen(eq=False)
class Exact:
    """An accrual over all rows, lists of length rows: `path` after each row since it restarted, in 2^-FIXED units.

    `before` is the path before each row; of one that compounds, both lie above the rounded `base` that it began with.
    """

    base: Ints
    before: list[int]
    path: list[int]
    restarts: Flags

    @classmethod
    def of(cls, accrual: Accrual, history: "History") -> "Exact":
        """Add up an accrual from the market's rows and the ledger's balances."""
        market, base, restarts = history.market, history.base(accrual), history.restarts(accrual)
        on = accrual.on if isinstance(accrual.on, Asset) else accrual.on.asset
        share = Fraction(accrual.share)
        grows, simple = accrual.basis in GROWING, accrual.basis in (*GROWING, "simple")
        unit = share if simple or on == accrual.debit.asset else share * Fraction(accrual.debit.asset.scale, on.scale)
        before, path = [], []
        index, factor, settled = (ONE if grows else 0), Fraction(0), 0
        for step, atoms, begins in zip(_steps(accrual, market), base.tolist(), restarts.tolist(), strict=True):
            if begins:
                index, factor = (ONE if grows else 0), (abs(atoms) if simple else atoms) * unit
                settled = round(factor) << FIXED if grows else 0
            before.append(factor.numerator * index // factor.denominator - settled)
            index += index * step >> FIXED if grows else step
            path.append(factor.numerator * index // factor.denominator - settled)
        return cls(base, before, path, restarts)


def _steps(accrual: Accrual, market: Market) -> list[int]:
    """The steps of the index of an accrual, one for each row, in 2^-FIXED; of one that compounds, the growth less 1."""
    name = column_of(market, accrual.rate)
    if accrual.basis in ("steps", "rises"):
        levels = [_fixed(each) for each in (market[f"{name}_open"][0].item(), *market[f"{name}_close"].tolist())]
        steps = [after - before for before, after in pairwise(levels)]
        return steps if accrual.basis == "steps" else [max(0, each) for each in steps]
    rates = market[name].tolist()
    if accrual.basis == "total":
        return [_fixed(each) for each in rates]
    if accrual.basis == "payment":
        prices = market[column_of(market, accrual.price)].tolist() if accrual.price else [1.0] * len(rates)
        return [_fixed(rate) * _fixed(price) >> FIXED for rate, price in zip(rates, prices, strict=True)]
    lengths = (market.at_ns + TICK_NS - market.open_ns).tolist()
    if accrual.basis == "effective":
        return [_grown(rate, length) for rate, length in zip(rates, lengths, strict=True)]
    return [_fixed(rate) * length // NS_PER_YEAR for rate, length in zip(rates, lengths, strict=True)]


def _grown(rate: float, length_ns: int) -> int:
    """What a balance of 1 gains in some time at a yearly return, in 2^-FIXED."""
    with localcontext(prec=40):
        gained = (1 + Decimal(rate)) ** (Decimal(length_ns) / NS_PER_YEAR) - 1
    return int(Fraction(gained) * ONE)


def accruals(assembly: Assembly, history: "History") -> Findings:  # noqa: ARG001  (as every thorough check)
    """Each settled amount is what its declared stream makes of market rows and balances, to half an atomic unit."""
    for index in np.flatnonzero(history.settling & (history.group_of < 0)).tolist():
        number = int(history.records["event"][index])
        yield Finding(f"{entry(index + 1)}, event {number}", "settles what no venue declares")
    for place, group in enumerate(history.groups):
        posted = history.posted(place)
        if place in history.computed:
            made = history.computed[place].amounts
            for row in np.flatnonzero(posted != made).tolist():
                words = f"{group.words} is {posted[row]}; the venue makes {made[row]} of the books"
                yield Finding(history.settlement(place, row), words)
            continue
        off, slack = _off(posted, [history.exact(each) for each in group.accruals])
        outside = ~(np.abs(off) <= slack)
        first = outside & ~np.concatenate(([False], outside[:-1]))
        for row in np.flatnonzero(first).tolist():
            words = f"{group.words} is {off[row]:+.3f} atomic units from what rows and balances make"
            yield Finding(history.settlement(place, row), f"{words}; posted {posted[row]}")


def _off(posted: Ints, parts: Sequence[Exact]) -> tuple[Floats, Floats]:
    """How far the sum of what was posted is from the exact paths since one of them last restarted, and how far it may.

    Beside the rounding, a little for the floats in which the kernel adds up.
    """
    off, slack = np.zeros(len(posted)), np.zeros(len(posted))
    moved, known = 0, [0] * len(parts)
    rounding = ROUNDING if len(parts) == 1 else 1.0 * len(parts)
    digits = _digits(len(posted))
    restarts = [each.restarts.tolist() for each in parts]
    for row, amount in enumerate(posted.tolist()):
        if any(each[row] for each in restarts):
            moved, known = 0, [each.before[row] for each in parts]
        moved += amount
        exact = sum(each.path[row] - start for each, start in zip(parts, known, strict=True))
        off[row] = ((moved << FIXED) - exact) / ONE
        slack[row] = (
            rounding + 1e-3 + 1e-12 * abs(exact / ONE) + digits * sum(abs(int(each.base[row])) for each in parts)
        )
    return off, slack


def _digits(rows: int) -> float:
    """How far the floats in which the kernel adds up may be off after so many rows, as a fraction of the balance."""
    return 1e-15 * math.sqrt(rows)


def computed_again(venue: Venue, accrual: Accrual, history: "History") -> Computed:
    """What a venue works out itself, between entries: called again on the books as each run of rows found them."""
    market, length = history.market, len(history.market)
    assert accrual.compute is not None
    cuts = np.unique(history.counts_from[~history.settling])
    bounds = [0, *cuts[(cuts > 0) & (cuts < length)].tolist(), length]
    others = [each for name, each in history.readings.items() if name != venue.name]
    worth = [(each, each.arrays(("equity",), history.accrued)[0]) for each in others]
    money = history.before(history.code(CASH)) + history.before(history.code(IN_TRANSIT))
    parts = []
    for start, stop in pairwise(bounds):
        value = np.full(stop - start, money[start] / USDC.scale)
        holding = [(each, usd) for each, usd in worth if each.holds(history.before)[start]]
        for _, usd in holding:
            value += usd[start:stop]

        def balance(account: Account, row: int = start) -> int:
            return int(history.before(history.code(account))[row])

        parts.append(accrual.compute(Segment(market, start, stop, balance, value, bool(holding))))
    return Computed(*(np.concatenate([getattr(each, name) for each in parts]) for name in ("amounts", "rate", "size")))


SETTLEMENT_COLUMNS = (
    "event", "asset", "row", "size", "rate", "rate_source", "rate_source_row", "rate_source_rows",
    "price", "price_source", "price_source_row",
)  # fmt: skip


def rates(assembly: Assembly, history: "History") -> Findings:
    """Rate, price, size and sources of each settlement are those of the declared columns and of the books before it."""
    expected = [
        [_expected(place, accrual, assembly.market, history) for accrual in group.accruals]
        for place, group in enumerate(history.groups)
    ]
    at = np.flatnonzero(history.group_of >= 0)
    numbers = history.records["event"][at]
    for batch in history.folder.batches("events", SETTLEMENT_COLUMNS):
        ids = batch["event"].to_numpy()
        low, high = np.searchsorted(numbers, (ids[0], ids[-1] + 1)) if len(ids) else (0, 0)
        mine = at[low:high]
        slot = np.searchsorted(ids, history.records["event"][mine])
        for place in np.unique(history.group_of[mine]).tolist():
            here = history.group_of[mine] == place
            events = batch.take(pa.array(slot[here]))
            row = np.minimum(history.rows[mine[here]], len(history.market) - 1)
            wrong: dict[str, Flags] = {"row": events["row"].to_numpy() != row}
            candidates = [each.wrong(events, row) for each in expected[place]]
            wrong |= {name: np.logical_and.reduce([each[name] for each in candidates]) for name in candidates[0]}
            for name, flags in wrong.items():
                for index in np.flatnonzero(flags).tolist():
                    words = f"its {name} is not what the venue declares and books and market have"
                    yield Finding(history.event(int(events["event"][index].as_py())), words)


@frozen(eq=False)
class Expected:
    """What the settlements of a stream say in each row, shape (rows,); sizes within `slack`, in atomic units."""

    asset: str
    rate: Floats
    price: Floats
    size: Ints
    slack: Floats
    rate_source: Source | None
    price_source: Source | None

    def wrong(self, events: pa.RecordBatch, row: Ints) -> Mapping[str, Flags]:
        """Which of some events of the stream, each of a row, say otherwise, by what they say."""
        rate, price, size = (events[name].to_numpy(zero_copy_only=False) for name in ("rate", "price", "size"))
        return {
            "asset": ~among(events["asset"], (self.asset,)),
            "rate": ~np.isclose(rate, self.rate[row], rtol=FLOAT_SLACK, atol=0.0),
            "price": price != self.price[row],
            "size": ~(np.abs(size - self.size[row]) <= self.slack[row]),
            "rate's source": _elsewhere(events, "rate", self.rate_source, row),
            "price's source": _elsewhere(events, "price", self.price_source, row),
        }


def _elsewhere(events: pa.RecordBatch, name: str, source: Source | None, row: Ints) -> Flags:
    """The events that name another file or another row than a column has."""
    file = np.array(events[f"{name}_source"].to_pylist(), dtype=object)
    if source is None:
        return file != np.array(None)  # type: ignore[no-any-return]
    wrong = (file != _files(source, row)) | (ints(events[f"{name}_source_row"]) != source.first_row[row])
    if f"{name}_source_rows" in events.schema.names:
        wrong |= ints(events[f"{name}_source_rows"]) != source.rows[row]
    return wrong  # type: ignore[no-any-return]


def _files(source: Source, row: Ints) -> NDArray[np.object_]:
    """The file behind a column in these rows."""
    if not source.earlier:
        return np.full(len(row), source.file, dtype=object)
    return np.where(source.of_earlier(row), source.earlier[0], source.file).astype(object)


def _expected(place: int, accrual: Accrual, market: Market, history: "History") -> Expected:
    on = accrual.on if isinstance(accrual.on, Asset) else accrual.on.asset
    if place in history.computed:
        made = history.computed[place]
        return Expected(on.code, made.rate, np.ones(len(market)), made.size, np.zeros(len(market)), None, None)
    shown = rate = column_of(market, accrual.rate)
    price = column_of(market, accrual.price) if accrual.price else ""
    if accrual.basis in ("steps", "rises"):
        shown = f"{rate}_close"
        rates_ = np.diff(market[shown], prepend=market[f"{rate}_open"][:1])
        rates_ = rates_ if accrual.basis == "steps" else np.maximum(rates_, 0.0)
    else:
        rates_ = market[rate] * (market.years if accrual.basis in ("compounding", "simple") else 1.0)
        rates_ = np.expm1(market.years * np.log1p(market[rate])) if accrual.basis == "effective" else rates_
    exact = history.exact(accrual)
    size, slack = exact.base, np.zeros(len(market))
    if accrual.basis == "simple":
        size = np.abs(size)
    if accrual.basis in GROWING:
        share = Fraction(accrual.share)
        begun = [round(abs(atoms) * share) for atoms in size.tolist()]
        gained = [(each + (ONE >> 1)) >> FIXED for each in exact.before]
        size = np.array([first + gain for first, gain in zip(begun, gained, strict=True)], dtype=np.int64)
        slack = 1 + _digits(len(market)) * np.abs(exact.base)
    return Expected(
        asset=on.code,
        rate=rates_ * abs(accrual.share),
        price=market[price] if price else np.ones(len(market)),
        size=size,
        slack=slack,
        rate_source=market.sources.get(shown),
        price_source=market.sources.get(price),
    )
