"""What the study prints of SOL and of its runs, and the limits of prices on the days between."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import cache
from itertools import groupby, pairwise
from typing import NamedTuple

from attrs import frozen

from data_sets.files import printed

DAY = timedelta(days=1)
MAINTENANCE = {"hyperliquid": 0.05, "drift": 0.03}
"""The study's maintenance margins, fractions of the notional."""
BUFFER = 0.1
"""How near its liquidation the study's managed model leaves a position, fraction of the price."""
ROUNDING, INCOME_PER_YEAR = 0.002, 0.1
"""By how much limits are narrower for what is rounded and for what a leg earns since a line, fractions of the price."""


def days_of(first: date, last: date) -> list[date]:
    """All days from the first to the last, both included."""
    return [first + timedelta(number) for number in range((last - first).days + 1)]


def closes() -> dict[date, float]:
    """Day -> its printed close, USD."""
    return {date.fromisoformat(row["date"]): float(row["close_usd"]) for row in printed("published_prices.csv")}


def extremes() -> tuple[dict[date, float], dict[date, float]]:
    """Day -> its high and day -> its low, where one is printed or follows from a printed distance to a liquidation."""
    rows = printed("published_prices.csv")
    highs = {date.fromisoformat(row["date"]): float(row["high_usd"]) for row in rows if row["high_usd"]}
    lows = {date.fromisoformat(row["date"]): float(row["low_usd"]) for row in rows if row["low_usd"]}
    for row in printed("published_rotations.csv"):
        day, distance = date.fromisoformat(row["closed"]), float(row["distance_pct"] or 0) / 100
        if row["reason"] == "long near liquidation":
            lows[day] = round(float(row["long_liquidation_usd"]) / (1 - distance), 2)
        if row["reason"] == "short near liquidation":
            highs[day] = round(float(row["short_liquidation_usd"]) / (1 + distance), 2)
    return highs, lows


@frozen
class Stretch:
    """The days between two lines of a printed log of the realistic model, in which the position is constant."""

    venue: str
    leverage: float
    trigger: float
    days: Sequence[date]
    """From the day after the first line to that of the second; the study opens before the first day."""
    price: float
    coins: float
    """Of the short."""
    earned: float
    """Coins that the long has more than the short at the start, which are its interest."""
    equity: float
    """Of each leg at the start, USD."""
    gain: float | None
    """What both legs gained until the second line, USD; None after the last line."""
    leveled: bool
    """Whether the second line is a transfer: on its day nothing was liquidated."""


def rates(day: date) -> tuple[float, float]:
    """The lending rate of SOL and the borrowing rate of USDC on a day, fractions a day."""
    month = _months()[f"{day:%Y-%m}"]
    return float(month["sol_lending_apy_pct"]) / 36_500, float(month["usdc_borrowing_apy_pct"]) / 36_500


@cache
def _months() -> Mapping[str, Mapping[str, str]]:
    return {row["month"]: row for row in printed("published_monthly_rates.csv")}


def stretches(end: date) -> Iterator[Stretch]:
    """The stretches of the three printed logs, each log in its order."""
    for _, rows in groupby(printed("published_rebalances.csv"), key=lambda row: (row["venue"], row["leverage"])):
        coins = earned = 0.0
        for row, then in pairwise([*rows, None]):
            if row is None or row["event"].endswith("liquidated"):
                continue  # reopened on the same day
            price = float(row["price_usd"])
            if row["notional_usd"]:
                coins, earned = float(row["notional_usd"]) / price, 0.0
            sums = ("long_equity_usd", "short_equity_usd", "fee_usd", "penalty_usd")
            first = date.fromisoformat(row["date"]) + DAY * (row["event"] != "open")
            stretch = Stretch(
                venue=row["venue"],
                leverage=float(row["leverage"]),
                trigger=float(row["trigger"]),
                days=days_of(first, date.fromisoformat(then["date"]) if then else end),
                price=price,
                coins=coins,
                earned=earned,
                equity=float(row["long_equity_usd"]),
                gain=sum(float(then[name] or 0) for name in sums) - 2 * float(row["long_equity_usd"]) if then else None,
                leveled=then is not None and then["event"] == "transfer",
            )
            yield stretch
            for day in stretch.days:
                earned += (coins + earned) * rates(day)[0]


class Limits(NamedTuple):
    """The prices between which a day and its close have to stay, USD."""

    low: float = 0.0
    high: float = math.inf
    low_close: float = 0.0
    high_close: float = math.inf

    def within(self, other: "Limits") -> "Limits":
        """The narrower of both."""
        return Limits(
            low=max(self.low, other.low),
            high=min(self.high, other.high),
            low_close=max(self.low_close, other.low_close),
            high_close=min(self.high_close, other.high_close),
        )


def _reached(stretch: Stretch, leverage: float, days: int) -> tuple[float, float]:
    """The prices at which the long and the short come to an effective leverage after so many days."""
    owned, narrower = stretch.coins + stretch.earned, ROUNDING + INCOME_PER_YEAR * days / 365
    long = (stretch.price - stretch.equity / owned) * leverage / (leverage - 1)
    short = (stretch.price + stretch.equity / stretch.coins) * leverage / (leverage + 1)
    return long * (1 + narrower), short * (1 - narrower)


def _held(end: date) -> Iterator[tuple[date, Limits]]:
    """The limits that follow from the logs of the realistic model: no liquidation, no transfer."""
    for stretch in stretches(end):
        for number, day in enumerate(stretch.days, 1):
            wide = Limits(*_reached(stretch, 1 / MAINTENANCE[stretch.venue], number))
            if number < len(stretch.days) or stretch.gain is None:
                yield day, Limits(wide.low, wide.high, *_reached(stretch, stretch.trigger, number))
            elif stretch.leveled:
                yield day, wide


def _rotated() -> Iterator[tuple[date, Limits]]:
    """The limits that follow from the log of the managed model: no price within the buffer of a liquidation."""
    for row in printed("published_rotations.csv"):
        low = float(row["long_liquidation_usd"]) / (1 - BUFFER)
        high = float(row["short_liquidation_usd"]) / (1 + BUFFER)
        for day in days_of(date.fromisoformat(row["opened"]) + DAY, date.fromisoformat(row["closed"]) - DAY):
            yield day, Limits(low + 0.01, high - 0.01)


def limits(end: date) -> Mapping[date, Limits]:
    """Day -> the prices beyond which a printed log would have a line that it has not."""
    found: dict[date, Limits] = defaultdict(Limits)
    for day, each in [*_held(end), *_rotated()]:
        found[day] = found[day].within(each)
    return found
