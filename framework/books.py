"""The books of a run while it lasts: balances, the journal, and what each venue's position is worth now.

Venues write transfers into the books; an entry is committed with its event, or rolled back without a trace. What
accrues is not posted row by row: each stream knows its path, and balances are brought up to date where they are read.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import reduce
from itertools import takewhile
from operator import add
from typing import Any, Literal, NamedTuple, NoReturn, TypeVar

import numpy as np
from attrs import evolve, fields_dict, has
from numpy.typing import NDArray

from framework.accrual import Accrual, Computed, Stream, column_of, columns_read, index_of
from framework.errors import LedgerError, MarketError, OrderRefused, Rejection, ScenarioError
from framework.events import Event
from framework.formulas import Formula, Key, behind, formula, formulas_of, leaves, program, reader
from framework.market import (
    PRICES,
    WORDS,
    At,
    Floats,
    Ints,
    Market,
    Measure,
    PriceAt,
    Role,
    measure_of_column,
    midnight_before,
)
from framework.money import LIMIT, USDC, Account, Asset, too_large
from framework.rulebook.incidents import Incidents
from framework.rulebook.row_path import Corner, Point, RowPath, between, first_due
from framework.support.mistakes import is_ours
from framework.venue import (
    CASH,
    IN_TRANSIT,
    LIQUIDATION,
    WALLET,
    Act,
    Dated,
    Leg,
    PriceOf,
    Segment,
    Venue,
    failure_accounts,
    fees_likely_in_percent,
    loss_account,
)

ROLES: tuple[Role, ...] = ("price", "mark", "oracle")
"""The inputs of formulas that are prices of a venue's coins, by role."""
DEFAULTS: Mapping[str, Formula] = {
    "size": formula(lambda: 0.0),
    "notional": formula(lambda: 0.0),
    "equity": formula(lambda: 0.0),
    "tokens": formula(lambda: 0.0),
    "total_collateral": formula(lambda equity: equity),
    "delta": formula(lambda size: size),
}
"""What a venue's position is where no formula of its own says so."""
STATE = ("size", "equity", "notional", "total_collateral", "tokens", "delta")
NAN = float("nan")
INFINITE = float("inf")
LEAST = -LIMIT

Held = TypeVar("Held")
"""What is asked about a venue at which something is held."""
Transfer = tuple[Account, Account, int, str]
"""The account that receives, the account that gives, atomic units, and why."""


class Entry(NamedTuple):
    """One event of the journal with its transfers; `rows` have been settled before it, `cause` is what provoked it.

    `order` is what was executed last when the event was entered: its own order, where it has one.
    """

    event: Event
    cause: "Entry | None"
    at_ns: int
    rows: int
    transfers: Sequence[Transfer]
    order: object = None


_KNOWN: dict[int, tuple[Mapping[str, Formula], Mapping[str, Formula]]] = {}


def _with_defaults(own: Mapping[str, Formula]) -> Mapping[str, Formula]:
    """A venue's formulas with the defaults of those that it does not have; the same mapping for the same formulas."""
    known = _KNOWN.get(id(own))
    if known is None or known[0] is not own:
        known = _KNOWN[id(own)] = own, {**DEFAULTS, **own}
    return known[1]


def _always_closes(venue: Venue) -> bool:
    """Whether a venue is known to fill every `Close` while it is open: the project's own venues of one coin do."""
    own = is_ours(venue) and is_ours(getattr(venue, "of", venue))  # one at cost has the venue itself in `of`
    return own and len(venue.coins) == 1 and "close" in venue.orders()


class Plan:
    """What a venue declares, and what its formulas ask for: accounts, columns of the market, and rules.

    It is the same for every run.
    """

    def __init__(self, venue: Venue) -> None:
        self.accounts = venue.accounts()
        self.owned = tuple(each for each in self.accounts if each.owned)
        self.positions = venue.position_accounts()
        self.coins = venue.coins
        self.orders, self.acts, self.always_closes = venue.orders(), tuple(venue.acts), _always_closes(venue)
        self.accruals = tuple(venue.accruals())
        self.dated = tuple(dated_rules(venue))
        self.low_fees = tuple(fees_likely_in_percent(venue, f"venues.{venue.name}"))
        self.ways = {into: venue.bridge.way(into=into) for into in (False, True)}
        self.same_ways = venue.bridge.fixed
        self.formulas = _with_defaults(venue.formulas())
        self._check(venue)
        self.columns: list[tuple[str, int | None, str]] = []
        accounts: list[tuple[Key, Account]] = []
        columns: list[Key] = []
        rules: list[tuple[Key, Any]] = []
        for name in leaves(self.formulas):
            if name in ROLES:
                for index, coin in enumerate(self.coins):
                    columns.append((name, index))
                    self.columns.append((name, index, coin))
                continue
            try:
                value = venue.input(name)
            except AttributeError:
                continue  # the program that needs it says so
            if isinstance(value, PriceOf):
                columns.append((name, None))
                self.columns.append(("in step", None, value.of))
                continue
            places: Sequence[int | None] = range(len(self.coins)) if isinstance(value, dict) else (None,)
            for place in places:
                each = value if place is None else value[self.coins[place]]
                if isinstance(each, Account):
                    accounts.append(((name, place), each))
                elif isinstance(each, Dated):
                    columns.append((name, place))
                    self.columns.append((name, place, ""))
                else:
                    rules.append(((name, place), 0.0 if each is None else each))
        self.inputs = (*(key for key, _ in accounts), *columns, *(key for key, _ in rules))
        self.held = [(each, float(each.asset.scale)) for _, each in accounts]
        self.rules = [value for _, value in rules]
        self.read = reader(self.held, len(columns), self.rules)
        self.prices = slice(len(accounts), len(accounts) + len(columns))
        judging = behind(self.formulas, LIQUIDATION.when)
        of_coins = [place for place, (_, index, coin) in enumerate(self.columns) if index is not None and coin]
        judged = [place for place in of_coins if self.columns[place][0] in judging]
        in_step = [place for place, (_, _, coin) in enumerate(self.columns) if coin]
        self.priced = next(iter(judged + of_coins + in_step), None)
        """Which of the columns is the first price of a coin by which positions are judged, if there is one; a rule with
        dates is a column as well."""

    def _check(self, venue: Venue) -> None:
        """Refuse a venue that lacks what it needs sooner or later; raises `ScenarioError`."""
        name = type(venue).__name__
        if self.owned and self.formulas["equity"] is DEFAULTS["equity"]:
            raise ScenarioError(f"{name}: no formula 'equity'; expected one, for {self.owned[0].name} is its own")
        stated = type(venue).acts
        if isinstance(stated, tuple) and LIQUIDATION in stated and LIQUIDATION.when not in formulas_of(type(venue)):
            raise ScenarioError(f"{name}.acts: no formula 'liquidated'; expected one, or acts without LIQUIDATION")
        for act in self.acts:
            known = act.when in self.formulas and type(venue).act is Venue.act
            if known and not callable(getattr(venue, act.then, None)):
                raise ScenarioError(f"{name}.acts: no method {act.then!r}; expected `{act.then}(self, book)`")

    @classmethod
    def of(cls, venue: Venue) -> "Plan":
        """The plan of a venue, which is made once."""
        plan: Plan | None = venue.__dict__.get("_plan")
        if plan is None:
            plan = venue.__dict__.setdefault("_plan", cls(venue))
        return plan


class Standing:
    """How a venue stands in a run: its formulas on the books' balances and the market's prices."""

    # Python finds each attribute of an object that has more than thirty of them more slowly without slots
    __slots__ = ("_accounts", "_accruing", "_cached", "_columns", "_columns_at", "_formulas", "_inputs", "_leg",
                 "_leg_of_stamp", "_leg_of_version", "_lists_at", "_main", "_place", "_priced", "_programs", "_read",
                 "_rules", "_zeroed", "accounts", "acts", "always_closes", "books", "closed_rows", "coins",
                 "computed", "judged_at", "market", "moving", "name", "orders", "owned", "positions", "rows",
                 "same_ways", "state", "streams", "trail", "venue", "version", "ways")  # fmt: skip

    def __init__(self, venue: Venue, market: Market, books: "Books") -> None:
        plan = Plan.of(venue)
        self.venue, self.name, self.market, self.books = venue, venue.name, market, books
        self.accounts, self.owned, self.positions = plan.accounts, plan.owned, plan.positions
        self._accounts, self._columns, self._rules = plan.held, plan.columns, plan.rules
        self._inputs, self._zeroed, self._read = plan.inputs, plan.prices, plan.read
        self.coins, self.orders, self.acts = plan.coins, plan.orders, plan.acts
        self.ways, self.same_ways = plan.ways, plan.same_ways
        self.always_closes = plan.always_closes
        self._priced = plan.priced
        judged = "price" if plan.priced is None else plan.columns[plan.priced][0]
        self.judged_at: Role = judged if judged in ROLES else "price"
        """The role of the price by which its formulas judge a position first."""
        self._formulas = plan.formulas
        main = market.price_column("")
        self._main = next((coin for coin in plan.coins if market.price_column(coin) == main), market.coin)
        self.streams: list[Stream] = []
        self.computed: list[ComputedStream] = []
        self.closed_rows: NDArray[np.bool_] | None = None
        """The rows at whose close incidents have it closed."""
        self.rows = 0
        self.version = 0
        self.trail: list[float] | None = None
        self.moving = False
        """Whether something is being written on its accounts that may be taken back."""
        self._leg, self._leg_of_version, self._leg_of_stamp = Leg(), -1, -1
        self._place = type(venue).__name__
        self.state = self.program(STATE)
        self._cached: dict[object, Any] = {}
        self._columns_at: dict[tuple[str, tuple[bool, ...]], list[Floats]] = {}
        self._lists_at: dict[tuple[str, tuple[bool, ...]], list[list[float]]] = {}
        self._programs: dict[Key, Callable[..., tuple[Any, ...]]] = {}
        self._accruing: list[tuple[Account, float, list[tuple[Stream | _Ahead, bool]]]] | None = None

    def program(self, names: Iterable[str], coin: int | None = None) -> Callable[..., tuple[Any, ...]]:
        """What works out some formulas, of the account or of a coin."""
        targets = [(name, coin) for name in names]
        return program(self._formulas, targets, self._inputs, len(self.coins), self._place)

    def has(self, name: str) -> bool:
        """Whether the venue has a formula of this name."""
        return name in self._formulas

    def due(self, act: Act) -> bool:
        """Whether an act of the venue can become due; raises `ScenarioError` for one whose formula there is not."""
        if not self.has(act.when) and act is not LIQUIDATION:
            some = ", ".join(sorted(self._formulas))
            raise ScenarioError(f"{self._place}.acts: no formula {act.when!r}; expected one of {some}")
        return self.has(act.when)

    def rules_behind(self, name: str) -> tuple[str, ...]:
        """The dated rules on which a formula depends, by the names of the venue's fields."""

        def found() -> tuple[str, ...]:
            dated = {each for each, _, coin in self._columns if not coin}
            return tuple(sorted({self.venue.rule_behind(each) for each in dated & behind(self._formulas, name)}))

        return self.cached(("rules", name), found)  # type: ignore[no-any-return]

    def cached(self, key: object, make: Callable[[], Any]) -> Any:  # noqa: ANN401  (whatever it makes)
        """What `make` builds, once."""
        found = self._cached.get(key)
        if found is None:
            found = self._cached[key] = make()
        return found

    # -- the inputs of the formulas

    def _column(self, name: str, index: int | None, coin: str, at: str, signs: tuple[bool, ...]) -> tuple[str, str]:
        """The column of an input, and the column whose extreme it follows in step, if it does."""
        market = self.market
        if name == "in step":
            own = market.price_column(coin, "open" if at == "open" else "close")
            if not self.coins or at == "close" or (at == "open" and own in market.columns):
                return own, ""
            extreme = ("low" if signs[0] else "high") if at == "adverse" else at
            return market.price_column(coin), market.price_column(self.coins[0], extreme)  # type: ignore[arg-type]
        extreme = ("low" if signs[index or 0] else "high") if at == "adverse" else at
        return market.price_column(coin, extreme, name, self.name), ""  # type: ignore[arg-type]

    def columns(self, at: str, signs: tuple[bool, ...] = ()) -> list[Floats]:
        """The market columns of the formulas' inputs, whole; `at` is `open`, `close` or `adverse`."""
        found = self._columns_at.get((at, signs))
        if found is None:
            found = self._columns_at[at, signs] = []
            for name, index, coin in self._columns:
                if not coin:
                    found.append(self._dated(name, index))
                    continue
                if at == "open" and name in ROLES:
                    found.append(self.market.opening(coin, name, self.name))
                    continue
                own, extreme = self._column(name, index, coin, at, signs)
                found.append(self._in_step(own, extreme) if extreme else self.market[own])
        return found

    def prices(self, point: Point, signs: tuple[bool, ...]) -> list[Any]:
        """The inputs that are prices at a moment within the present row, and the dated rules of the row."""
        row, share = self.books.row, point.share
        start, stop = self.lists(point.start, signs), self.lists(point.stop, signs)
        return [
            between(first[row], last[row], share) if coin else last[row]
            for first, last, (_, _, coin) in zip(start, stop, self._columns, strict=True)
        ]

    def _dated(self, name: str, index: int | None) -> Floats:
        """A rule that changed with time, by row; that of a coin if one has its place."""
        value = self.venue.input(name)
        rule: Dated = value if index is None else value[self.coins[index]]
        return self.market.cached(("dated", rule), lambda: rule.by_row(self.market.at_ns))

    def _in_step(self, own: str, extreme: str) -> Floats:
        """A price at the coin's extremes, for one that is known at the closes alone."""
        market, close = self.market, self.market.price_column(self.coins[0])
        return market.cached(("in step", own, extreme), lambda: market[extreme] * (market[own] / market[close]))

    def lists(self, at: str, signs: tuple[bool, ...] = ()) -> list[list[float]]:
        """The same as floats of Python."""
        found = self._lists_at.get((at, signs))
        if found is None:
            columns = self.columns(at, signs)
            found = self._lists_at[at, signs] = [
                self.market.cached(("list", id(each)), each.tolist) for each in columns
            ]
        return found

    def one(self, name: str, coin: int | None = None) -> Callable[..., tuple[Any, ...]]:
        """What works out one formula, of the account or of a coin."""
        found = self._programs.get((name, coin))
        if found is None:
            found = self._programs[name, coin] = self.program((name,), coin)
        return found

    def signs(self) -> tuple[bool, ...]:
        """Whether the adverse price of each coin is its low: where the position is not a short."""
        balances = self.books.balances
        return tuple([balances[each] >= 0 for each in self.positions]) or (True,) * len(self.coins)

    def arguments(self, row: int, at: str = "close", signs: tuple[bool, ...] = ()) -> list[Any]:
        """The inputs at a row's prices, with the balances as they are."""
        books = self.books
        if at == "within" and books.point is not None:
            prices = [[each] for each in self.prices(books.point, books.signs(self.coins))]
            return self._read(books.balances, prices, 0)
        return self._read(books.balances, self.lists(at, signs), row)

    def held(self, start: int, stop: int) -> list[Any]:
        """The accounts of the inputs over rows `start` to `stop - 1`; what does not change is one number."""
        if self._accruing is None:
            self._accruing = [(each, scale, self._streams_on(each)) for each, scale in self._accounts]
        return [self._ahead(each, streams, start, stop) / scale for each, scale, streams in self._accruing]

    def _ahead(self, account: Account, streams: "list[tuple[Stream | _Ahead, bool]]", start: int, stop: int) -> Any:  # noqa: ANN401  (a number or an array)
        """The balance of an account after each of these rows, with what accrues on it."""
        value: Any = self.books.balances[account]
        for stream, received in streams:
            if stream.factor:
                path = stream.ahead(start, stop)
                value = path + (value - stream.settled) if received else (value + stream.settled) - path
        return value

    def _streams_on(self, account: Account) -> "list[tuple[Stream | _Ahead, bool]]":
        """What accrues on an account, and whether the account receives what is above 0 or gives it."""
        streams: list[Stream | _Ahead] = [*self.streams, *(_Ahead(each, self) for each in self.computed)]
        return [(each, each.debit is account) for each in streams if account in (each.debit, each.credit)]

    def arrays(
        self, held: list[Any], start: int, stop: int, at: str = "close", signs: tuple[bool, ...] = ()
    ) -> list[Any]:
        """All inputs over these rows, from what is `held` in them."""
        return [*held, *[column[start:stop] for column in self.columns(at, signs)], *self._rules]

    # -- what it is worth

    @property
    def holds(self) -> bool:
        """Whether anything is held or owed here, or will be if nobody acts; balances are then those of the row."""
        if self.rows != self.books.rows:
            self.refresh()
        balances = self.books.balances
        for each in self.owned:
            if balances[each]:
                return True
        return bool(self.computed) or any(
            each.factor and (each.debit.owned or each.credit.owned) for each in self.streams
        )

    def refresh(self) -> None:
        """Bring the balances up to the rows that have passed."""
        rows, balances = self.books.rows, self.books.balances
        for stream in self.streams:
            if stream.factor:
                after = stream.after(rows)
                gain = after - stream.settled
                if gain:
                    balances[stream.debit] += gain
                    balances[stream.credit] -= gain
                    stream.settled = after
                    if not -LIMIT < after < LIMIT:
                        where = f"{stream.accrual.kind} at {self.name} up to row {rows} ({self.market.when(rows - 1)})"
                        raise LedgerError(f"{where}: {too_large(stream.debit.asset, after)}")
        for each in self.computed:
            gain = each.advance(self, rows)
            balances[each.debit] += gain
            balances[each.credit] -= gain
        self.rows = rows

    def leg(self, coin: str | None = None) -> Leg:
        """The position now, at the prices that hold; of one coin if one is named."""
        if coin is not None:
            return self._leg_of(coin)
        stamp, version = self.books.stamp, self.version
        if self.moving:
            return self._leg_now()
        if self._leg_of_stamp != stamp or self._leg_of_version != version:
            self._leg, self._leg_of_version, self._leg_of_stamp = self._leg_now(), version, stamp
        return self._leg

    def _leg_now(self) -> Leg:
        books = self.books
        if self.rows != books.rows:
            self.refresh()
        return self._made(self.arguments(books.row, books.at), None)

    def by_row(self, units: Callable[[Account], Floats]) -> dict[str, Floats]:
        """The formulas of `STATE` at the close of every row, from the balance of each account by row in whole units.

        Sizes of several coins are added up as so many of the market's coin as are worth the same; tokens beside them
        are such coins.
        """
        inputs = [*[units(each) for each, _ in self._accounts], *self.columns("close"), *self._rules]
        found = zip(STATE, self.stand(inputs, self._closes), strict=True)
        return {name: _filling((len(self.market),), value) for name, value in found}

    def deltas_by_row(self, units: Callable[[Account], Floats]) -> tuple[Floats, dict[str, Floats]]:
        """The delta alone of that state, and the delta by coin; of one coin, from the balances alone behind it."""
        inputs: list[Any]
        if len(self.coins) > 1:
            inputs = [*[units(each) for each, _ in self._accounts], *self.columns("close"), *self._rules]
            *_, delta = self.stand(inputs, self._closes)
            _, _, deltas = self._by_coin(inputs, self._closes)
        else:
            names = self.cached("behind delta", lambda: behind(self._formulas, "delta"))
            accounts = zip(self._inputs, self._accounts, strict=False)  # which are the first of the inputs
            held = [units(each) if name in names else 0.0 for (name, _), (each, _) in accounts]
            inputs = [*held, *self.columns("close"), *self._rules]
            (delta,) = self.one("delta")(*inputs)
            deltas = dict.fromkeys(self.coins, delta)
        rows = (len(self.market),)
        return _filling(rows, delta), {coin: _filling(rows, each) for coin, each in deltas.items()}

    def _closes(self, coin: str) -> Floats:
        return self.market[self.market.price_column(coin)]

    def liquidation_by_row(self, units: Callable[[Account], Floats]) -> dict[str, tuple[Floats, Floats]]:
        """By coin the liquidation price at the close of every row, USD, and its distance as a fraction of the mark.

        The distance is the move of the price that would liquidate, above 0 while it has not happened; NaN without one.
        """
        inputs = [*[units(each) for each, _ in self._accounts], *self.columns("close"), *self._rules]
        market, found = self.market, {}
        for coin in self.coins:
            size = self.stand(inputs, self._closes, coin if len(self.coins) > 1 else None)[0]
            mark = market[market.price_column(coin, "close", "mark")]
            trigger = np.broadcast_to(self.trigger_prices(inputs, coin), (len(market),))
            held = (size != 0) & np.isfinite(trigger)
            found[coin] = np.where(held, trigger, NAN), np.where(held, np.sign(size) * (mark - trigger) / mark, NAN)
        return found

    def stand(
        self, inputs: Sequence[Any], price: Callable[[str], Any], coin: str | None = None
    ) -> tuple[Any, Any, Any, Any, Any, Any]:
        """The formulas of `STATE` on their inputs, at the prices of coins; of one of several coins if it is named.

        Size and delta of all of several coins are so many of the market's coin as are worth the same.
        """
        state: tuple[Any, Any, Any, Any, Any, Any] = self.state(*inputs)
        if len(self.coins) < 2:
            return state
        _, equity, notional, collateral, tokens, _ = state
        sizes, notionals, deltas = self._by_coin(inputs, price)
        if coin is not None:
            own = tokens if coin == self._main else 0.0
            return sizes[coin], equity, notionals[coin], collateral, own, deltas[coin]
        size, delta = (  # `sum` would add floats otherwise than arrays from Python 3.12 on
            reduce(add, (each * price(name) / price("") for name, each in of.items()), 0.0) for of in (sizes, deltas)
        )
        return size, equity, notional, collateral, tokens, delta

    def _by_coin(self, inputs: Sequence[Any], price: Callable[[str], Any]) -> tuple[dict[str, Any], ...]:
        """Size, notional and delta by coin; tokens beside the positions, `tokens_worth`, move as the market's coin."""
        coins, own = self.coins, self._formulas["delta"].per_coin
        names = ("size", "notional", "delta" if own else "size")
        each = self.cached("coins", lambda: [self.program(names, place) for place in range(len(coins))])
        values = zip(*(run(*inputs) for run in each), strict=True)
        sizes, notionals, deltas = (dict(zip(coins, value, strict=True)) for value in values)
        if not own and self.has("tokens_worth"):
            worth = self.one("tokens_worth")(*inputs)[0]
            if self._main in deltas or np.any(worth):
                deltas[self._main] = deltas.get(self._main, 0.0) + worth / price("")
        return sizes, notionals, deltas

    def evaluate(
        self,
        names: tuple[str, ...],
        units: Callable[[Account], Any],
        *,
        row: int | None = None,
        at: str = "close",
        signs: tuple[bool, ...] = (),
    ) -> tuple[Any, ...]:
        """Any formulas at the prices of one row, or of all where none is named, from balances in whole units."""
        prices = self.columns(at, signs) if row is None else [column[row] for column in self.lists(at, signs)]
        run = self.cached(("evaluate", names), lambda: self.program(names))
        return run(*[units(each) for each, _ in self._accounts], *prices, *self._rules)  # type: ignore[no-any-return]

    def sizes(self, first: int, last: int) -> Floats:
        """The position at the closes of rows `first` to `last - 1`, in coins, after all that was done in them."""
        if self.trail is None:
            self.trail = self._past(last)
        self.follow(last)
        return np.array(self.trail[first:last])

    def follow(self, rows: int) -> None:
        """Note the positions of rows that have closed, before anything changes them."""
        assert self.trail is not None
        start = len(self.trail)
        if start < rows:
            total = np.zeros(rows - start)
            for each in self.positions:
                total += self._ahead(each, self._streams_on(each), start, rows) / each.asset.scale
            self.trail += total.tolist()

    def _past(self, rows: int) -> list[float]:
        """The same for rows that closed before anybody asked: from the journal."""
        books, count = self.books, len(self.market)
        total = np.zeros(count)
        for each in self.positions:
            gains = np.zeros(count, dtype=np.int64)
            for stream in self.streams:
                if each in (stream.debit, stream.credit):
                    gains += stream.amounts(count)[0] * (1 if stream.debit is each else -1)
            for entry in books.journal:
                row = int(self.market.at_ns.searchsorted(entry.at_ns, side="left"))
                for debit, credit, amount, _ in entry.transfers:
                    gains[row] += amount * ((debit is each) - (credit is each))
            total += gains.cumsum() / each.asset.scale
        return total[:rows].tolist()  # type: ignore[no-any-return]

    def _leg_of(self, coin: str) -> Leg:
        if coin not in self.coins:
            some = ", ".join(self.coins) or "no coin"
            raise ScenarioError(f"{self.name} has no position in {coin!r}; expected one of {some}")
        whole = self.leg()
        return whole if len(self.coins) == 1 else self._made(self.arguments(self.books.row, self.books.at), coin)

    def _made(self, arguments: Sequence[Any], coin: str | None) -> Leg:
        """The leg that some inputs make; all of several coins together have no price at which they were entered."""
        size, equity, notional, collateral, tokens, delta = self.stand(arguments, self.books.price_of, coin)
        index = None if coin is None else self.coins.index(coin)
        one = coin is not None or len(self.coins) < 2
        return Leg(
            size,
            equity,
            notional,
            (lambda: self._entry(arguments, index)) if one and size else NAN,
            (lambda: self.trigger_prices(arguments, coin)) if one else NAN,
            collateral,
            tokens,
            delta,
            (lambda: max(0.0, self.one("free")(*arguments)[0])) if "free" in self._formulas else equity,
            (lambda: max(0.0, self.one("most_in")(*arguments)[0])) if "most_in" in self._formulas else INFINITE,
        )

    def is_closed(self, row: int) -> bool:
        """Whether the venue does nothing at the close of a row, for it is halted or has failed."""
        return self.closed_rows is not None and bool(self.closed_rows[row]) and not self.venue.acts_when_halted

    def acts_now(self, act: Act) -> bool:
        """Whether an act of the venue is due after the present row."""
        if not self.holds or self.is_closed(self.books.row):
            return False
        run = self.one(act.when)
        signs = self.signs() if act.prices == "adverse" else ()
        return bool(run(*self.arguments(self.books.row, act.prices, signs))[0])

    def due_within(self, act: Act, path: RowPath, since: Point | None = None) -> Point | None:
        """The first moment within the present row, not before `since`, at which an act is due; None where it is not.

        Its formula is evaluated at the prices of that moment and on the balances after the row's settlements.
        """
        books = self.books
        if not self.holds or self.is_closed(books.row):
            return None
        run, signs = self.one(act.when), self.signs()
        held = [books.balances[each] / scale for each, scale in self._accounts]

        def inputs(point: Point) -> list[Any]:
            return [*held, *self.prices(point, signs), *self._rules]

        def due(point: Point) -> bool:
            return bool(run(*inputs(point))[0])

        def guess(end: Point) -> float:
            """Where the closed liquidation price lies between the prices of the only coin at start and stop."""
            if self._priced is None or not act.liquidation or len(self.coins) > 1:
                return NAN
            place, arguments = self._zeroed.start + self._priced, inputs(end)
            first, last = inputs(evolve(end, share=0.0))[place], arguments[place]
            return (self.trigger_prices(arguments) - first) / (last - first) if last != first else NAN

        return first_due(path, since, due, guess)

    def in_danger(self) -> bool:
        """Whether the venue would liquidate at the prices that hold now, with what is being written."""
        whens = [each.when for each in self.acts if each.liquidation and each.when in self._formulas]
        if not whens or not self.holds:
            return False
        run = self.cached("danger", lambda: self.program(whens))
        return any(map(bool, run(*self.arguments(self.books.row, self.books.at))))

    def _entry(self, arguments: Sequence[Any], coin: int | None = None) -> float:
        return self.one("entry_price", coin)(*arguments)[0] if self.has("entry_price") else NAN

    def trigger_prices(self, arguments: Sequence[Any], coin: str | None = None) -> Any:  # noqa: ANN401  (a float or an array)
        """The price at which the position would be liquidated, one number or one for each row; NaN where there is none.

        Worked out from `total_collateral` less `maintenance` at the present prices and at none, for it is a straight
        line between them, unless the venue has a formula of its own. With several coins it is that of the one that is
        named while the others keep their prices; tokens go with the market's coin.
        """
        several = len(self.coins) > 1
        if several and coin is None:
            return NAN
        index = None if coin is None else self.coins.index(coin)
        if self.has("liquidation_price"):
            names = ("size", "liquidation_price")
            return self.cached(("trigger", coin), lambda: self.program(names, index))(*arguments)[1]
        if not self.has("maintenance") or self._priced is None:
            return NAN
        targets = ("size", index), ("total_collateral", None), ("maintenance", None)
        run = self.cached(
            ("line", coin), lambda: program(self._formulas, targets, self._inputs, len(self.coins), self._place)
        )
        at_nothing = list(arguments)
        prices = [(place, value) for place, value in enumerate(arguments[self._zeroed], self._zeroed.start)]
        of_coin = []
        for (place, value), (_, which, of) in zip(prices, self._columns, strict=True):
            if of and (not several or which == index or (which is None and coin == self._main)):
                at_nothing[place] = 0.0 * value
                of_coin.append(value)
        size, above, needed = run(*arguments)
        _, money, least = run(*at_nothing)
        money = money - least
        price = of_coin[0] if several else arguments[self._zeroed.start + self._priced]
        slope = (above - needed - money) / price
        if isinstance(slope, np.ndarray) or isinstance(money, np.ndarray):
            known = (slope * money < 0) & (size != 0)
            return np.divide(-money, slope, out=np.full(known.shape, np.nan), where=known)
        return -money / slope if size and slope * money < 0 else NAN


def _filling(shape: tuple[int, ...], value: Any) -> Floats:  # noqa: ANN401  (a number or an array)
    """A value as an array of a shape."""
    found = np.asarray(value, dtype=float)
    return found if found.shape == shape else np.broadcast_to(found, shape)


class Projection:
    """A venue over a stretch of rows in which nobody acts; arrays have shape (rows,), money is USD at the close.

    Each is worked out when it is first asked for. With several coins the figures are those of a `Leg`: of one coin
    where it is named, else of the whole account.
    """

    def __init__(self, standing: Standing, start: int, stop: int, coin: str | None = None) -> None:
        self._standing, self._coin = standing, coin
        self._start, self._stop = start, stop
        self._held: list[Any] = standing.held(start, stop)
        self._found: dict[str, Any] = {}

    def __len__(self) -> int:
        return self._stop - self._start

    def of(self, name: str) -> Floats:
        """A formula of the venue by row."""
        if name not in self._found:
            standing = self._standing
            inputs = standing.arrays(self._held, self._start, self._stop)
            if name in STATE:
                self._found.update(zip(STATE, standing.stand(inputs, self._price, self._coin), strict=True))
            else:
                self._found[name] = standing.one(name)(*inputs)[0]
        found: Floats = self._by_row(self._found[name])
        self._found[name] = found
        return found

    def _price(self, coin: str) -> Floats:
        market = self._standing.market
        return market[market.price_column(coin)][self._start : self._stop]

    def _by_row(self, value: Any) -> Any:  # noqa: ANN401  (a number or an array)
        return value if isinstance(value, np.ndarray) and value.ndim else np.full(len(self), value)

    @property
    def size(self) -> Floats:
        """Coins, > 0 long and < 0 short."""
        return self.of("size")

    @property
    def equity_usd(self) -> Floats:
        """What the account is worth."""
        return self.of("equity")

    @property
    def notional_usd(self) -> Floats:
        """What the position is worth, whichever way it looks."""
        return self.of("notional")

    @property
    def margin_usd(self) -> Floats:
        """What counts as margin."""
        return self.of("total_collateral")

    @property
    def delta(self) -> Floats:
        """Coins as which position and tokens together move."""
        return self.of("delta")

    @property
    def liquidation_price(self) -> Floats:
        """Price at which the venue would liquidate, USD; not a number where there is none."""
        found = self._found.get("liquidation price")
        if found is None:
            inputs = self._standing.arrays(self._held, self._start, self._stop)
            found = self._found["liquidation price"] = self._by_row(self._standing.trigger_prices(inputs, self._coin))
        return found  # type: ignore[no-any-return]

    def acting(self, act: Act) -> NDArray[np.bool_]:
        """The rows after which an act of the venue is due."""
        standing = self._standing
        run = standing.one(act.when)
        signs = standing.signs() if act.prices == "adverse" else ()
        flags: NDArray[np.bool_] = self._by_row(
            run(*standing.arrays(self._held, self._start, self._stop, act.prices, signs))[0]
        )
        if standing.closed_rows is None or standing.venue.acts_when_halted:
            return flags
        return flags & ~standing.closed_rows[self._start : self._stop]


class Books:
    """Balances and journal of one run, and the prices that hold now; what venues write into and strategies look at.

    `rows` of the market have passed; the prices are those `at` which row `row` opens or closes.
    """

    __slots__ = ("_closes_ns", "_computed", "_failure", "_figures", "_held", "_low", "_moving", "_named", "_owner",
                 "_prices", "_routes", "_streams_on", "_turnovers", "_venue", "_writing", "assets", "at", "at_ns",
                 "balances", "coins", "incidents", "journal", "market", "order", "point", "present", "row", "rows",
                 "rules_read", "stamp", "standings", "streams", "terms")  # fmt: skip

    def __init__(self, market: Market, venues: Sequence[Venue], incidents: Incidents | None = None) -> None:
        self.market = market
        self.incidents = incidents or Incidents()
        self.row = 0
        self.at: At | Literal["within"] = "close"
        self.point: Point | None = None
        """The moment within the row whose prices hold, while a venue acts there."""
        self._low: dict[str, bool] = {}
        self.at_ns = int(market.open_ns[0])
        self.rows = 0
        self.stamp = 0
        """A number that is another one whenever other prices hold."""
        self.journal: list[Entry] = []
        self.balances: dict[Account, int] = dict.fromkeys(WALLET, 0)
        self.order: object = None
        self._venue: Venue | None = None
        self._figures: dict[str, Any] = {}
        self.terms: tuple[float | None, int] = (None, 1)
        """The price at which orders are executed, if it is one of their own, and how many times fees are charged."""
        self._writing: list[Transfer] = []
        self._moving: list[Standing] = []
        """The venues on whose accounts something is being written."""
        self.rules_read: dict[str, None] = {}
        """The dated rules that were read since a venue began to write, by name."""
        self._named = {id(rule): name for venue in venues for name, rule in Plan.of(venue).dated}
        self._owner: dict[Account, Standing] = {}
        self._closes_ns: list[int] = market.cached("closes", market.at_ns.tolist)
        self._routes: dict[tuple[Account, Account], tuple[Standing, ...]] = {}
        self._turnovers: dict[tuple[Account, int, int], int] = {}
        self._prices: dict[tuple[str | Asset, str, Role, str], list[float]] = {}
        self.standings: dict[str, Standing] = {}
        for venue in venues:
            if venue.name in self.standings:
                raise ScenarioError(f"two venues have the name {venue.name!r}; expected another for each")
            self.standings[venue.name] = self._standing_of(venue)
        self._failure: dict[str, tuple[dict[Asset, Account], Account]] = {}
        self._open_accounts()
        self._held: dict[Asset, list[Account]] = {}
        for each in self.balances:
            if each.name.startswith("Assets:"):
                self._held.setdefault(each.asset, []).append(each)
        self.streams: list[Stream | ComputedStream] = []
        self._streams_on: dict[Account, list[Stream]] = {}
        self._computed: list[Standing] = []
        for standing in self.standings.values():
            self._open_streams(standing)
        self.assets = tuple(dict.fromkeys(each.asset for each in self.balances if each.asset != USDC))
        self.coins = tuple(dict.fromkeys(coin for venue in venues for coin in venue.coins))
        self.present: Mapping[str, RowProjection] = _Present(self)

    def _standing_of(self, venue: Venue) -> Standing:
        return Standing(venue, self.market, self)

    def _open_accounts(self) -> None:
        """Open the accounts of each venue, with those of a failure where it will fail."""
        names = {(each.name, each.asset.code) for each in WALLET}
        for name, standing in self.standings.items():
            standing.closed_rows = self.incidents.closed_rows(name, self.market)
            if self.incidents.failing(name):
                taken, lost = self._failure[name] = failure_accounts(standing.venue), loss_account(standing.venue)
                standing.accounts = (*standing.accounts, *taken.values(), lost)
            for each in standing.accounts:
                if (each.name, each.asset.code) in names:
                    raise LedgerError(f"account {each.name} in {each.asset.code} is open already")
                names.add((each.name, each.asset.code))
                self.balances[each] = 0
                self._owner[each] = standing

    def _open_streams(self, standing: Standing) -> None:
        for accrual in Plan.of(standing.venue).accruals:
            _check_accounts(accrual, standing)
            if accrual.compute is not None:
                computed = ComputedStream(accrual, self.market, standing.name)
                standing.computed.append(computed)
                if standing in self._computed:
                    raise ScenarioError(
                        f"{standing.name} works out two accruals from what all others are worth; expected one"
                    )
                if self._computed:
                    raise ScenarioError(
                        f"venues {self._computed[0].name} and {standing.name} both work out an accrual from what all "
                        "others are worth; expected one of them"
                    )
                self._computed = [standing]
                self.streams.append(computed)
                continue
            stream = Stream(accrual, index_of(accrual, self.market), standing.name)
            standing.streams.append(stream)
            self.streams.append(stream)
            on = accrual.on
            behind = [on] if isinstance(on, Account) else [
                each for each in self.balances if each.asset == on and not each.name.startswith("Assets:")
            ]  # fmt: skip
            for each in behind:
                self._streams_on.setdefault(each, []).append(stream)

    # -- reading

    def __getitem__(self, account: Account) -> int:
        """Debits less credits in atomic units: liabilities, income and equity are usually negative."""
        owner = self._owner.get(account)
        if owner is not None and owner.rows != self.rows:
            owner.refresh()
        try:
            return self.balances[account]
        except KeyError:
            raise _closed(account) from None

    def units(self, account: Account) -> float:
        """The same in whole units."""
        return self[account] / account.asset.scale

    def holding(self, asset: Asset) -> int:
        """Atomic units of an asset on all our Assets accounts."""
        return sum(self[each] for each in self._held.get(asset, ()))

    def price(self, coin: str | Asset = "", role: Role = "price") -> float:
        """The price of a coin in USD at which orders are executed now: the row's, or what was paid for it at cost."""
        cost, _ = self.terms
        return self.price_of(coin, role) if cost is None else cost

    def price_of(self, coin: str | Asset, role: Role = "price") -> float:
        """The row's price of a coin or token in USD, of a role such as `oracle`; within an act, that of its moment.

        A mark or an oracle is that of the venue that writes.
        """
        venue = "" if role == "price" or self._venue is None else self._venue.name
        if self.point is not None:
            return self._price_within(self.point, coin, role, venue)
        prices = self._prices.get((coin, self.at, role, venue))
        if prices is None:
            column = self.market.floats(self.market.price_column(coin, self.at, role, venue)) if coin != USDC else None  # type: ignore[arg-type]
            prices = self._prices[coin, self.at, role, venue] = column or [1.0] * len(self.market)
        return prices[self.row]

    def _price_within(self, point: Point, coin: str | Asset, role: Role, venue: str) -> float:
        """A price at a moment within the row; of what has no extremes of its own, in step with the acting coin."""
        if coin == USDC:
            return 1.0
        market, row = self.market, self.row
        (low,) = self.signs((coin.coin if isinstance(coin, Asset) else coin,))

        def at(corner: Corner) -> float:
            extreme: PriceAt = ("low" if low else "high") if corner == "adverse" else corner
            column = market.price_column(coin, extreme, role, venue)
            if column in market.columns:
                prices = market.opening(coin, role, venue) if extreme == "open" else market[column]
                return float(prices[row])
            own, acting = market.price_column(coin), next(iter(self._low), "")
            reached, closed = (market.floats(market.price_column(acting, each))[row] for each in (extreme, "close"))
            return market.floats(own)[row] * (reached / closed)

        return between(at(point.start), at(point.stop), point.share)

    def signs(self, coins: Sequence[str]) -> tuple[bool, ...]:
        """Whether the adverse price of each of some coins is its low, for the venue that acts within the row.

        Coins that it does not know move like its first.
        """
        first = next(iter(self._low.values()), True)
        return tuple(self._low.get(each, first) for each in coins)

    @contextmanager
    def within(self, point: Point, standing: Standing) -> Iterator[None]:
        """Let the prices of a moment within the row hold, as a venue that acts there has them."""
        before = self.at, self.point, self._low
        self.at, self.point = "within", point
        self._low = dict(zip(standing.venue.coins, standing.signs(), strict=False))
        self.stamp += 1
        try:
            yield
        finally:
            self.at, self.point, self._low = before
            self.stamp += 1

    def rule(self, rule: Any) -> Any:  # noqa: ANN401  (a rule of any type)
        """The value of a rule that is in force now, of one that changed with time.

        What a venue reads while it acts or fills an order is said of the event.
        """
        if not isinstance(rule, Dated):
            return rule
        name = self._named.get(id(rule))
        if name is not None:
            self.rules_read[name] = None
        return rule.at(self.at_ns)

    def level(self, column: str) -> float:
        """A level such as a pool's rate as it stands, from its columns `column_open` and `column_close`."""
        return self.market.floats(f"{column}_{'open' if self.at == 'open' else 'close'}")[self.row]

    def gas(self, usd: float) -> int:
        """What gas of `usd` costs now, atomic units of USDC: more of it where an incident says so."""
        name = self._venue.name if self._venue else ""
        return USDC.nearest(usd * self.incidents.gas(name, self.at_ns) if self.incidents else usd)

    def worth(self, account: Account, price: float) -> int:
        """What a balance is worth at a price of its asset, in atomic units of USDC."""
        return account.asset.worth(self[account], price)

    def turnover(self, account: Account, days: int) -> int:
        """What orders and acts moved through an account, either way, on so many UTC days before this one, in atoms."""
        since_ns, until_ns = midnight_before(self.at_ns, days), midnight_before(self.at_ns, 0)
        key = account, since_ns, until_ns
        if key not in self._turnovers:
            self._turnovers[key] = sum(
                amount
                for entry in takewhile(lambda each: each.at_ns >= since_ns, self.backwards())
                if entry.at_ns < until_ns
                for debit, credit, amount, _ in entry.transfers
                if account in (debit, credit)
            )
        return self._turnovers[key]

    def moved(self, account: Account) -> int:
        """By how much an account has changed in what is being written, atomic units."""
        return sum(amount * ((debit is account) - (credit is account)) for debit, credit, amount, _ in self._writing)

    @property
    def row_ns(self) -> int:
        """The length of the row, nanoseconds."""
        return int(self.market.at_ns[self.row]) - int(self.market.open_ns[self.row])

    def last(self, kind: type[Event], venue: str) -> int | None:
        """When an event of a kind last happened at a venue, nanoseconds; None where it did not."""
        entries = (each for each in self.backwards() if type(each.event) is kind and each.event.venue == venue)
        return next((each.at_ns for each in entries), None)

    @property
    def latest(self) -> int:
        """The number of the last entry of the journal, from 0."""
        return len(self.journal) - 1

    def backwards(self) -> Iterator[Entry]:
        """The entries of the journal, the latest first."""
        return reversed(self.journal)

    def leg(self, venue: str, coin: str | None = None) -> Leg:
        """The position at a venue now, with what is being written."""
        return self.standings[venue].leg(coin)

    def value(self, venue: str, formula: str) -> float:
        """A formula of a venue now, with what is being written."""
        return RowProjection(self.standings[venue]).of(formula)  # type: ignore[no-any-return]

    def coin_of(self, venue: str) -> str:
        """The coin of a venue, the first of several; an empty text without any."""
        return next(iter(self.standings[venue].venue.coins), "")

    def fee(self, notional_usd: float, bps: float) -> int:
        """A fee in basis points of a notional, atomic units of USDC."""
        _, times = self.terms
        return USDC.nearest(notional_usd * bps / 10_000) * times

    # -- writing

    def transfer(self, debit: Account, credit: Account, amount: int, kind: str) -> None:
        """Move `amount` atomic units from `credit` to `debit`, the other way where it is below 0; nothing for 0."""
        if not amount:
            return
        if amount < 0:
            debit, credit, amount = credit, debit, -amount
        if self._computed and not self._writing:
            for standing in self._computed:
                if standing.rows != self.rows:
                    standing.refresh()
        owners = self._routes.get((debit, credit))
        if owners is None:
            owners = self._checked_route(debit, credit)
        for owner in owners:
            if not owner.moving:
                self._begin_moving(owner)
        if amount.__class__ is not int:
            raise LedgerError(f"{kind} of {amount!r} {debit.asset.code}; expected an int of atomic units")
        balances = self.balances
        received, given = balances[debit] + amount, balances[credit] - amount
        if received >= LIMIT or given <= LEAST or amount >= LIMIT:
            raise LedgerError(f"{kind}: {too_large(debit.asset, max(amount, received, -given))}")
        balances[debit], balances[credit] = received, given
        self._writing.append((debit, credit, amount, kind))

    def write_off(self, venue: Venue, loss_share: float) -> None:
        """Take everything out of a venue at the prices that hold: a share of its worth is lost, the rest in transit.

        What a venue is owed on balance is written off with it.
        """
        taken, loss = self._failure[venue.name]
        total = 0
        for each in self.standings[venue.name].owned:
            held = self[each]
            total += held if each.asset == USDC else self.worth(each, self.price_of(each.asset))
            self.transfer(taken[each.asset], each, held, "failure")
        lost = USDC.nearest(USDC.units(total) * loss_share) if total > 0 else total
        self.transfer(loss, taken[USDC], lost, "failure_loss")
        self.transfer(IN_TRANSIT, taken[USDC], total - lost, "failure_claim")
        self.fill(lost=lost, amount=total - lost)

    def fill(self, **figures: object) -> None:
        """Say what the figures of the fill are where the transfers do not: `price`, `size`, `amount`, `charged`."""
        self._figures.update(figures)

    def refuse(self, why: str) -> NoReturn:
        """Refuse an order that cannot be meant; the run ends with one line that says which, where and why."""
        name = self._venue.name if self._venue else "the wallet"
        opened = self.market.when(self.row)
        raise OrderRefused(f"{name} refuses {self.order} in row {self.row + 1} ({opened}): {why}")

    def reject(self, why: str, rules: Sequence[str] = ()) -> NoReturn:
        """Reject an order that cannot be filled now; rolled back, the strategy sees a `Rejected`, the run goes on.

        `rules` are the names of the venue's rules that do not let it, besides those that it has read.
        """
        raise Rejection(why, tuple(rules))

    def at_cost(self, cost: float | None, fee_times: int) -> "_Terms":
        """Let orders be executed at a price of their own, and fees be charged so many times, within a `with`."""
        return _Terms(self, cost, fee_times)

    # -- what the simulation does

    def begin(self, venue: Venue | None, order: object) -> dict[str, Any]:
        """Let a venue write; what it says of its fill is in the mapping that is returned."""
        self._venue, self.order, self._figures, self.rules_read = venue, order, {}, {}
        return self._figures

    @property
    def written(self) -> Sequence[Transfer]:
        """The transfers that are being written."""
        return self._writing

    def rollback(self) -> None:
        """Take back what was written and not committed."""
        balances = self.balances
        for debit, credit, amount, _ in self._writing:
            balances[debit] -= amount
            balances[credit] += amount
        self._writing = []
        self._end_moving()

    def check_floors(self) -> None:
        """Take back what was written, and raise `Rejection`, where it would take an account below its floor."""
        balances = self.balances
        for debit, credit, _, _ in self._writing:
            if debit.floor and balances[debit] * debit.sign < 0:
                self._reject_below(debit)
            if credit.floor and balances[credit] * credit.sign < 0:
                self._reject_below(credit)

    def commit(self, event: Event, cause: Entry | None, first: int | None = None) -> Entry:
        """Enter an event with what was written, or the first so many transfers of it; raises `Rejection` instead.

        Floors are checked of all that was written: what is rejected is taken back whole, and nothing of it is entered.
        """
        transfers: list[Transfer] = []
        if self._writing:
            self.check_floors()
            transfers, self._writing = self._writing[:first], [] if first is None else self._writing[first:]
        entry = Entry(event, cause, self.at_ns, self.rows, transfers, self.order)
        if transfers:
            self._rebase(transfers)
            if not self._writing:
                self._end_moving()
        self.journal.append(entry)
        return entry

    def settle(self, rows: int) -> None:
        """Let rows of the market pass."""
        self.rows = rows
        self.row = rows - 1
        self.at = "close"
        self.at_ns = self._closes_ns[rows - 1]
        self.stamp += 1

    def _begin_moving(self, standing: Standing) -> None:
        """Bring a venue up to the present before anything is written on its accounts."""
        if standing.rows != self.rows:
            standing.refresh()
        if standing.trail is not None:
            standing.follow(self.rows - (self.at_ns == self._closes_ns[self.rows - 1]))
        standing.moving = True
        self._moving.append(standing)

    def _end_moving(self) -> None:
        for standing in self._moving:
            standing.moving = False
        self._moving.clear()

    def _rebase(self, transfers: Sequence[Transfer]) -> None:
        """Let what accrues start again on the balances that have changed."""
        balances, rows, streams_on = self.balances, self.rows, self._streams_on
        for standing in (*self._moving, *self._computed):  # what is worked out from all others changes with anything
            standing.version += 1
        touched: dict[Account, None] = {}
        for debit, credit, _, _ in transfers:
            if debit in streams_on:
                touched[debit] = None
            if credit in streams_on:
                touched[credit] = None
        for each in touched:
            for stream in streams_on[each]:
                if stream.accrual.on is each:
                    stream.rebase(balances[each], rows)
                else:
                    standing = self.standings[stream.owner]
                    if standing.rows != rows:
                        standing.refresh()
                    stream.rebase(self.holding(each.asset), rows)
                    standing.version += 1

    def _reject_below(self, account: Account) -> NoReturn:
        """Take back what would take an account below its floor."""
        left = self.balances[account] * account.sign
        self.rollback()
        held = self.balances[account] * account.sign
        before, after = (f"{account.asset.decimal(one):f} {account.asset.code}" for one in (held, left))
        raise Rejection(f"{account.name} holds {before} and would fall to {after}; expected 0 or more")

    def _checked_route(self, debit: Account, credit: Account) -> tuple[Standing, ...]:
        """The venues whose accounts a transfer touches; raises `LedgerError` for one that cannot be."""
        if debit.asset != credit.asset:
            raise LedgerError(
                f"a transfer moves one asset: {debit.name} holds {debit.asset.code}, "
                f"{credit.name} holds {credit.asset.code}"
            )
        if debit is credit:
            raise LedgerError(f"a transfer needs two accounts, not {debit.name} twice")
        for each in (debit, credit):
            if each not in self.balances:
                raise _closed(each)
        to, of = self._owner.get(debit), self._owner.get(credit)
        found = (to,) if to is of else (to, of)
        owners = self._routes[debit, credit] = tuple([each for each in found if each is not None])
        return owners


class _Terms:
    """The terms on which orders are executed for a while; a class, for it is entered with every order at cost."""

    __slots__ = ("_before", "_books", "_terms")

    def __init__(self, books: Books, cost: float | None, fee_times: int) -> None:
        self._books, self._terms = books, (cost, fee_times)

    def __enter__(self) -> None:
        self._before = self._books.terms
        self._books.terms = self._terms

    def __exit__(self, *_: object) -> None:
        self._books.terms = self._before


class _Ahead:
    """A computed accrual as a stream that is looked ahead along."""

    settled = 0
    factor = 1.0

    def __init__(self, computed: "ComputedStream", standing: Standing) -> None:
        self._computed, self._standing = computed, standing
        self.debit, self.credit = computed.debit, computed.credit

    def ahead(self, start: int, stop: int) -> Floats:
        """What it will have posted after each of the rows `start` to `stop - 1`, if nobody acts."""
        return self._computed.ahead(self._standing, start, stop).astype(np.float64)


class ComputedStream:
    """An accrual that a venue works out itself, run of rows after run of rows."""

    def __init__(self, accrual: Accrual, market: Market, owner: str) -> None:
        assert accrual.compute is not None
        self.accrual, self.compute = accrual, accrual.compute
        self.debit, self.credit = accrual.debit, accrual.credit
        self.owner = owner
        self.market = market
        self.done = 0
        self._amounts = np.zeros(len(market), dtype=np.int64)
        self.rate = np.zeros(len(market))
        self.size = np.zeros(len(market), dtype=np.int64)

    @classmethod
    def made(cls, accrual: Accrual, market: Market, owner: str, of: Computed) -> "ComputedStream":
        """One that is known in every row."""
        found = cls(accrual, market, owner)
        found.done, found._amounts, found.rate, found.size = len(market), of.amounts, of.rate, of.size
        return found

    def advance(self, standing: Standing, rows: int) -> int:
        """Work out the rows up to `rows`; returns what they posted."""
        if rows <= self.done:
            return 0
        start, made = self.done, self._made(standing, rows)
        self._amounts[start:rows], self.rate[start:rows], self.size[start:rows] = made.amounts, made.rate, made.size
        self.done = rows
        return int(made.amounts.sum())

    def ahead(self, standing: Standing, start: int, stop: int) -> Ints:
        """What the rows `start` to `stop - 1` will have posted after each, if nobody acts."""
        return self._made(standing, stop).amounts.cumsum()[start - self.done :]

    def _made(self, standing: Standing, stop: int) -> Computed:
        books, start = standing.books, self.done
        others = np.full(stop - start, (books.balances[CASH] + books.balances[IN_TRANSIT]) / USDC.scale)
        hold = False
        for each in books.standings.values():
            if each is not standing and each.holds:
                others += Projection(each, start, stop).equity_usd
                hold = True
        segment = Segment(self.market, start, stop, books.balances.__getitem__, others, hold)
        return self.compute(segment)

    def amounts(self, rows: int) -> tuple[Ints, Ints]:
        """What was settled in each row of the run, and the size that it was settled on."""
        return self._amounts[:rows], self.size[:rows]


def _check_accounts(accrual: Accrual, standing: Standing) -> None:
    """Refuse an accrual on what is not the venue's own: nobody would look at it before that changes."""
    for part, account in (("debit", accrual.debit), ("credit", accrual.credit), ("on", accrual.on)):
        if isinstance(account, Account) and account not in standing.accounts:
            raise ScenarioError(
                f"venue {standing.name}, accrual {accrual.kind!r}: {part} is {account.name}; expected an account of "
                "the venue itself"
            )


def _closed(account: Account) -> LedgerError:
    where = f"account {account.name} in {account.asset.code}"
    return LedgerError(f"{where} is not open; expected one that the venue declares, and no other of its name")


def dated_rules(of: object, above: str = "") -> Iterator[tuple[str, Dated]]:
    """The dated rules among the fields of a venue, by name: `bridge.fails` is one of its field `bridge`."""
    kind: Any = type(of)
    for name in fields_dict(kind) if has(kind) else ():
        value = getattr(of, name)
        for each in value.values() if isinstance(value, Mapping) else (value,):
            if isinstance(each, Dated):
                yield above + name, each
            else:
                yield from dated_rules(each, f"{above}{name}.")


class Stretch:
    """The rows `start` to `stop - 1` of the market, in which nobody acts; what conditions are asked about.

    `projections` has the venues at which something is held, as they will stand in each row.
    """

    def __init__(self, books: Books, start: int, stop: int) -> None:
        self.market, self.start, self.stop, self._books = books.market, start, stop, books
        self.projections: Mapping[str, Projection] = _Projections(books, start, stop)

    def __len__(self) -> int:
        return self.stop - self.start

    def position(self, venue: str, coin: str = "") -> Projection | None:
        """How a venue will stand, or its position in one coin; None where nothing is held."""
        whole = self.projections.get(venue)
        if whole is None or not coin:
            return whole
        return Projection(self._books.standings[venue], self.start, self.stop, coin)

    def coin_of(self, venue: str) -> str:
        """The coin of a venue, the first of several; an empty text without any."""
        return self._books.coin_of(venue)

    def column(self, name: str) -> Floats:
        """A market column on these rows."""
        return self.market[name][self.start : self.stop]

    def price(self, coin: str, at: PriceAt = "close") -> Floats:
        """A coin's price on these rows."""
        return self.column(self.market.price_column(coin, at))

    def all_rows(self, answer: bool) -> NDArray[np.bool_]:
        """The same answer for every row."""
        return np.full(len(self), answer)


class RowProjection:
    """A venue in the present row, in single numbers: what a `Projection` is to many."""

    __slots__ = ("_books", "_standing")

    def __init__(self, standing: Standing) -> None:
        self._standing, self._books = standing, standing.books

    def __len__(self) -> int:
        return 1

    def of(self, name: str) -> Any:  # noqa: ANN401  (a number or a truth)
        """A formula of the venue."""
        standing, books = self._standing, self._books
        if standing.rows != books.rows:
            standing.refresh()
        return standing.one(name)(*standing.arguments(books.row, books.at))[0]

    @property
    def size(self) -> float:
        """Coins, > 0 long and < 0 short."""
        return self._standing.leg().size

    @property
    def equity_usd(self) -> float:
        """What the account is worth."""
        return self._standing.leg().equity_usd

    @property
    def notional_usd(self) -> float:
        """What the position is worth, whichever way it looks."""
        return self._standing.leg().notional_usd

    @property
    def margin_usd(self) -> float:
        """What counts as margin."""
        return self._standing.leg().margin_usd

    @property
    def delta(self) -> float:
        """Coins as which position and tokens together move."""
        return self._standing.leg().delta

    @property
    def liquidation_price(self) -> float:
        """Price at which the venue would liquidate, USD; not a number where there is none."""
        return self._standing.leg().liquidation_price


class RowStretch:
    """A stretch of the present row alone, in single numbers; for conditions whose class says `by_row = True`."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self.market = books.market
        self.projections: Mapping[str, RowProjection] = books.present

    def __len__(self) -> int:
        return 1

    @property
    def start(self) -> int:
        """The row."""
        return self._books.row

    @property
    def stop(self) -> int:
        """The row after it."""
        return self._books.row + 1

    def position(self, venue: str, coin: str = "") -> RowProjection | Leg | None:
        """How a venue stands, or its position in one coin; None where nothing is held."""
        whole = self.projections.get(venue)
        return whole if whole is None or not coin else self._books.leg(venue, coin)

    def coin_of(self, venue: str) -> str:
        """The coin of a venue, the first of several; an empty text without any."""
        return self._books.coin_of(venue)

    def column(self, name: str) -> float:
        """The value of a market column."""
        return self.market.floats(name)[self._books.row]

    def price(self, coin: str, at: PriceAt = "close") -> float:
        """A coin's price."""
        return self.column(self.market.price_column(coin, at))

    def all_rows(self, answer: bool) -> bool:
        """The answer."""
        return answer


class _ByName(Mapping[str, Held]):
    """What is asked about by venue; venues at which nothing is held are absent."""

    def __init__(self, books: Books) -> None:
        self._standings = books.standings

    def __getitem__(self, venue: str) -> Held:
        found: Held | None = self.get(venue)
        if found is None:
            raise KeyError(venue)
        return found

    def __iter__(self) -> Iterator[str]:
        return (name for name, standing in self._standings.items() if standing.holds)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _Present(_ByName[RowProjection]):
    """Venues in the present row by name."""

    def __init__(self, books: Books) -> None:
        super().__init__(books)
        self._known = {name: RowProjection(standing) for name, standing in books.standings.items()}

    def get(self, venue: str, default: Any = None) -> Any:  # noqa: ANN401  (as of any mapping)
        """A venue, or the default where nothing is held."""
        standing = self._standings.get(venue)
        return self._known[venue] if standing is not None and standing.holds else default


class _Projections(_ByName[Projection]):
    """Projections by venue, each made when it is first asked for."""

    def __init__(self, books: Books, start: int, stop: int) -> None:
        super().__init__(books)
        self._start, self._stop = start, stop
        self._made: dict[str, Projection] = {}

    def get(self, venue: str, default: Any = None) -> Any:  # noqa: ANN401  (as of any mapping)
        """The projection of a venue, or the default where nothing is held."""
        found = self._made.get(venue)
        if found is None:
            standing = self._standings.get(venue)
            if standing is None or not standing.holds:
                return default
            found = self._made[venue] = Projection(standing, self._start, self._stop)
        return found


def check_columns(venues: Sequence[Venue], market: Market) -> dict[str, Measure]:
    """What each column that venues read has to measure.

    Raises `MarketError` for one that the market does not have or that measures something else, and for a coin that has
    two prices or another's.
    """
    plain: dict[str, None] = {}
    measures: dict[str, Measure] = {}
    for venue in venues:
        for coin in venue.coins:
            own = market.price_column(coin)
            if own in PRICES:
                plain[coin] = None
            elif "close" in market.columns and market.coin in ("", coin):
                raise MarketError(f"two prices of {coin}: the columns close and {own}; expected one of them")
        for code in (*venue.coins, *(code for name, _, code in Plan.of(venue).columns if name == "in step")):
            _refuse_two_names(code, market)
        for column, measure in _columns_of(venue, market):
            if column not in market.columns:
                raise MarketError(
                    f"venue {venue.name} reads {column!r}, which no source gives; there are {', '.join(market.columns)}"
                )
            if measure is not Measure.OTHER:
                _refuse_other(venue, column, measure, measures.get(column, measure_of_column(column)), market)
                measures[column] = measure
    if len(plain) > 1:
        raise MarketError(
            f"the columns {', '.join(PRICES)} are those of one coin, and venues hold {' and '.join(plain)}; expected "
            f"columns named by coin, such as {list(plain)[1]}.close"
        )
    return measures


def _refuse_other(venue: Venue, column: str, measure: Measure, found: Measure, market: Market) -> None:
    """Refuse a column that measures something else than a venue takes it for; raises `MarketError`."""
    if found in (measure, Measure.OTHER):
        return
    rule = next((f".{name}" for name, value in venue.rules().items() if value == column), "")
    some = [name for name in market.columns if measure_of_column(name) is measure]
    such = f"such as {', '.join(some)}" if some else "of which the market has none"
    raise MarketError(
        f"venues.{venue.name}{rule}: {column!r} has {WORDS[found]}; expected a column of {WORDS[measure]}, {such}"
    )


def _refuse_two_names(code: str, market: Market) -> None:
    """Refuse prices of a coin or token in columns of two ways to name them, of which one would go unread."""
    ways = [f"{code}.{{}}", f"{code.lower()}_{{}}"] + ["{}"] * (market.price_column(code) in PRICES)
    named = [[name for name in map(way.format, PRICES) if name in market.columns] for way in ways]
    first, second, *_ = [*(names[-1] for names in named if names), "", ""]
    if second:
        raise MarketError(f"two prices of {code}: the columns {second} and {first}; expected one of them")


def _columns_of(venue: Venue, market: Market) -> Iterator[tuple[str, Measure]]:
    """The market columns that a venue reads, with what each has to measure."""
    for coin in venue.coins:
        yield from ((market.price_column(coin, at), Measure.PRICE) for at in ("close", "low", "high"))
    plan = Plan.of(venue)
    for name, _, coin in plan.columns:
        if name == "in step":
            own = market.price_column(coin)
            yield (f"{coin.lower()}_close" if own in PRICES and coin not in venue.coins else own), Measure.PRICE
    for accrual in plan.accruals:
        for names, measure in columns_read(accrual):
            yield column_of(market, names), measure
    named = venue.columns()
    for names in named:
        yield column_of(market, names), named[names] if isinstance(named, Mapping) else Measure.OTHER
