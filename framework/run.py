"""`Run`: what came out of a simulation: the ledger, the events, and the equity curve over one market."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, fields, frozen

from framework.accrual import Accrual
from framework.books import Standing
from framework.errors import ScenarioError
from framework.events import (
    ConditionMet,
    Ended,
    Event,
    Liquidated,
    MarginCalled,
    OrderFilled,
    Started,
    TransferArrived,
    TransferSent,
)
from framework.ledger import EventLog, Ledger, Written
from framework.market import At, Cached, Floats, Market
from framework.money import Account
from framework.strategy import EveryRow
from framework.support.mistakes import mistakes_told
from framework.venue import CASH, IN_TRANSIT, Venue

if TYPE_CHECKING:
    from bokeh.models import LayoutDOM
    from pandas import DataFrame

    from framework.reports.frames import Frames


@frozen(eq=False, kw_only=True, slots=False)
class Curve:
    """What wallet, transit and each venue were worth at the close of every row, after all that was done in it.

    Arrays of shape (rows,), USD and coins. What comes of the venues' formulas is worked out when it is first asked for.
    """

    _market: Market
    _written: Written
    _standings: Sequence[Standing]
    _equity_usd: Floats | None
    """The equity where it is known already."""

    @cached_property
    def equity_usd(self) -> Floats:
        """All of it, shape (rows,)."""
        if self._equity_usd is not None:
            return self._equity_usd
        return sum(self.equity_usd_by_venue.values(), self.cash_usd + self.transit_usd)

    @property
    def cash_usd(self) -> Floats:
        """The wallet's dollars."""
        return _units(self._written)(CASH)

    @property
    def transit_usd(self) -> Floats:
        """Dollars on their way."""
        return _units(self._written)(IN_TRANSIT)

    @property
    def equity_usd_by_venue(self) -> dict[str, Floats]:
        """Assets less liabilities of each venue."""
        return {name: state["equity"] for name, state in self._states.items()}

    @property
    def notional_usd_by_venue(self) -> dict[str, Floats]:
        """What the positions of each venue are worth, of either side."""
        return {name: state["notional"] for name, state in self._states.items()}

    @property
    def size_by_venue(self) -> dict[str, Floats]:
        """The position of each venue in coins, below 0 where it is short."""
        return {name: state["size"] for name, state in self._states.items()}

    @property
    def delta_by_venue(self) -> dict[str, Floats]:
        """Coins as which position and tokens together move; of a venue with several in those of the market's coin."""
        return {name: delta for name, (delta, _) in self._deltas.items()}

    @cached_property
    def delta_by_coin(self) -> dict[str, Floats]:
        """Net delta of each coin, over all venues."""
        deltas = dict[str, Floats]()
        for _, by_coin in self._deltas.values():
            for coin, delta in by_coin.items():
                deltas[coin] = deltas[coin] + delta if coin in deltas else delta
        return deltas

    @cached_property
    def _states(self) -> dict[str, dict[str, Floats]]:
        """The formulas of each venue on its balances of every row."""
        with _mistakes_told(self._market, self._standings):
            units = _units(self._written)
            states = {each.name: each.by_row(units) for each in self._standings}
            for name, state in states.items():
                for row in np.flatnonzero(~np.isfinite(state["equity"]))[:1].tolist():
                    raise ScenarioError(f"the equity at {name} is not a number in {self._market.rows(row, row + 1)}")
            return states

    @cached_property
    def _deltas(self) -> dict[str, tuple[Floats, dict[str, Floats]]]:
        """The delta of each venue, of all its coins and of each."""
        with _mistakes_told(self._market, self._standings):
            units = _units(self._written)
            return {each.name: each.deltas_by_row(units) for each in self._standings}

    @cached_property
    def leverage_by_venue(self) -> dict[str, Floats]:
        """Notional over equity of each venue, shape (rows,): 0 without a position, infinite for one without equity."""
        found = {}
        for venue, notional in self.notional_usd_by_venue.items():
            equity = self.equity_usd_by_venue[venue]
            none = np.where(notional == 0, 0.0, np.inf)
            found[venue] = np.divide(notional, equity, out=none, where=(equity > 0) & (notional != 0))
        return found

    @property
    def net_size(self) -> Floats:
        """Net delta in coins: positions and tokens, long less short, shape (rows,)."""
        return sum(self.delta_by_venue.values(), np.zeros(len(self._market)))

    @property
    def gross_size(self) -> Floats:
        """Long plus short in coins, tokens as the coins that they move like, shape (rows,)."""
        gross, deltas = np.zeros(len(self._market)), self.delta_by_venue
        for venue, size in self.size_by_venue.items():
            gross += np.abs(size) + np.abs(deltas[venue] - size)
        return gross


def _units(written: Written) -> Callable[[Account], Floats]:
    """What gives the balance of an account at the close of every row, whole units, shape (rows,)."""

    def units(account: Account) -> Floats:
        path: Floats = written.path(account) / account.asset.scale
        return path

    return units


def _mistakes_told(market: Market, standings: Sequence[Standing]) -> AbstractContextManager[None]:
    """What tells the mistakes of the venues' formulas, on all rows."""
    return mistakes_told([each.venue for each in standings], market, lambda: len(market) - 1)


Numbered = tuple[int, int | None, Event]
"""What tells an event from others, such as its id; that of its cause; and the event."""


@frozen(kw_only=True)
class Tally:
    """How often things happened in a run, as its figures count them."""

    capital_rebalances: int = 0
    full_rotations: int = 0
    """Wake-ups after the start that opened or added to a position: of a pair that closes as a whole, its rotations."""
    rotations: int = 0
    """The same, and the start if something was opened at it."""
    forced_rotations: int = 0
    """Wake-ups before the end in which something was closed."""
    apy_exits: int = 0
    margin_calls: int = 0
    liquidations: int = 0

    @classmethod
    def of(cls, events: Sequence[Numbered]) -> "Tally":
        """The tally of what was no settlement; the causes of all of it have to be there too."""
        of_kind: dict[type, list[Any]] = defaultdict(list)
        for key, cause, event in events:
            of_kind[type(event)].append((key, cause, event))
        opened = {cause for _, cause, fill in of_kind[OrderFilled] if fill.order == "open"}
        left = {cause: fill.reason for _, cause, fill in of_kind[OrderFilled] if fill.order == "close"}
        started, ended = ({key for key, _, _ in of_kind[kind]} for kind in (Started, Ended))
        sent, routine = of_kind[TransferSent], routine_causes(events)
        return cls(
            capital_rebalances=sum(cause not in routine for _, cause, _ in sent),
            full_rotations=len(opened - started),
            rotations=len(opened),
            forced_rotations=len(left.keys() - ended),
            apy_exits=sum(reason == "minimum APY" for reason in left.values()),
            margin_calls=len(of_kind[MarginCalled]),
            liquidations=len(of_kind[Liquidated]),
        )

    @classmethod
    def total(cls, of: Iterable[tuple["Tally", int]]) -> "Tally":
        """The sum of tallies, each so many times."""
        each, names = list(of), [field.name for field in fields(cls)]
        return cls(**{name: sum(getattr(tally, name) * times for tally, times in each) for name in names})


def routine_causes(events: Sequence[Numbered]) -> set[int]:
    """The wake-ups of every row in which a strategy did nothing but compound: resize and move, without any fee."""
    every_row = {key for key, _, event in events if isinstance(event, ConditionMet) and event.condition == EveryRow()}
    if not every_row:
        return set()
    resized, otherwise = set[int](), set[int]()
    paid_on_arrival = {cause for _, cause, event in events if isinstance(event, TransferArrived) and event.fee}
    for key, cause, event in events:
        if cause not in every_row:
            continue
        match event:
            case OrderFilled(order="resize", fee=0):
                resized.add(cause)
            case TransferSent(fee=0) if key not in paid_on_arrival:
                pass
            case _:
                otherwise.add(cause)
    return resized - otherwise


@frozen(eq=False, kw_only=True, slots=False)
class Run:
    """A finished simulation; `capital` in atomic units of USDC.

    `opened_at` says at which prices of the first row trades before its close were made.
    """

    market: Market
    capital: int
    opened_at: At = "close"
    _written: Written = field(repr=False)
    _standings: Sequence[Standing] = field(repr=False)
    _counting: Callable[[], Tally] | None = field(default=None, repr=False)
    _equity_usd: Floats | None = field(default=None, repr=False)
    """The equity at the close of every row where it is known already."""
    _cache: dict[object, object] = field(init=False, factory=dict, repr=False)

    def cached(self, key: object, make: Callable[[], Cached]) -> Cached:
        """What `make` derives from this run, made once: a run never changes."""
        if key not in self._cache:
            self._cache[key] = make()
        return self._cache[key]  # type: ignore[return-value]

    @property
    def ledger(self) -> Ledger:
        """Every transfer, numbered and in order."""
        return self._written.ledger

    @property
    def events(self) -> EventLog:
        """Every event, numbered and in order."""
        return self._written.events

    @property
    def venues(self) -> tuple[Venue, ...]:
        """The venues that were dealt with, as they were declared."""
        return tuple(each.venue for each in self._standings)

    @property
    def accruals(self) -> tuple[Accrual, ...]:
        """What accrued at the venues, as they declared it."""
        return tuple(each.accrual for each in self._written.streams)

    @property
    def owners(self) -> tuple[str, ...]:
        """The venue of each of the ledger's accounts, in their order; an empty text for those of the wallet."""
        known = {account: each.name for each in self._standings for account in each.accounts}
        return tuple(known.get(account, "") for account in self.ledger.accounts)

    @property
    def balances(self) -> Mapping[Account, int]:
        """The balance of every account at the end, in atomic units, debits less credits, as the ledger has it."""
        return self._written.balances

    def held(self) -> dict[str, float]:
        """The position of each venue in coins once the run is over, as `VENUE_size`, and `net_size`."""
        rows = len(self.market)
        balances = self.balances
        held, net = dict[str, float](), 0.0
        for standing in self._standings:
            state = standing.by_row(lambda account: np.full(rows, account.asset.units(balances.get(account, 0))))
            held[f"{standing.name}_size"] = float(state["size"][-1])
            net += float(state["delta"][-1])
        return held | {"net_size": net}

    @cached_property
    def single(self) -> tuple[Event, ...]:
        """The events that are not settlements: what venues and the strategy did."""
        return tuple(self.events.single())

    @cached_property
    def tally(self) -> Tally:
        """How often things happened."""
        if self._counting is not None:
            return self._counting()
        journal = self._written.details.journal
        return Tally.of([(id(each), None if each.cause is None else id(each.cause), each.event) for each in journal])

    @cached_property
    def curve(self) -> Curve:
        """What everything was worth after every row."""
        return Curve(market=self.market, written=self._written, standings=self._standings, equity_usd=self._equity_usd)

    @cached_property
    def _liquidation(self) -> dict[tuple[str, str], tuple[Floats, Floats]]:
        with _mistakes_told(self.market, self._standings):
            units = _units(self._written)
            return {
                (each.name, coin): found
                for each in self._standings
                for coin, found in each.liquidation_by_row(units).items()
            }

    @property
    def liquidation_prices(self) -> dict[tuple[str, str], Floats]:
        """By venue and coin: the price at which the position would be liquidated, at the close of every row.

        USD, shape (rows,); NaN without a position or without such a price.
        """
        return {key: price for key, (price, _) in self._liquidation.items()}

    @property
    def liquidation_distances(self) -> dict[tuple[str, str], Floats]:
        """By venue and coin: the move of the mark that would liquidate, at the close of every row.

        A fraction of the mark, above 0 while it has not happened; shape (rows,), NaN where there is no such price.
        """
        return {key: distance for key, (_, distance) in self._liquidation.items()}

    @property
    def frames(self) -> "Frames":
        """The run as pandas frames: `run.frames.equity()`, `positions()`, `events()`, `fills()` and `ledger()`."""
        frames: Frames = import_module("framework.reports.frames").Frames.of(self)  # pandas is loaded here alone
        return frames

    def equity(self) -> "DataFrame":
        """What everything was worth, from the capital to the final equity; see `Frames.equity`."""
        return self.frames.equity()

    def plot(self) -> "LayoutDOM":
        """Equity, drawdown and each leg's leverage as Bokeh figures; needs the extra `report`."""
        return self.frames.plot()

    def _repr_html_(self) -> str:
        return self.frames._repr_html_()

    def row(self, at_ns: int) -> int:
        """The row whose prices held at an instant: the last that had closed, or the first."""
        return max(0, int(self.market.at_ns.searchsorted(at_ns, side="right")) - 1)

    def price(self, at_ns: int) -> float:
        """The price of the market's coin that held at an instant: the last close, or that at which the run opened."""
        closed = int(self.market.at_ns.searchsorted(at_ns, side="right"))
        if closed:
            return self.market.floats(self.market.price_column(""))[closed - 1]
        return self.market.floats(self.market.price_column("", self.opened_at))[0]
