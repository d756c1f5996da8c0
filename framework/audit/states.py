"""The thorough checks of states and acts: the formulas of each venue on the balances, as arrays and in fractions."""

import json
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.assembly import Assembly
from framework.audit.findings import FLOAT_SLACK, Finding, Findings, second
from framework.audit.log import ACTS, BOUNDS, STRIKES, WITH_ENTRY, WITHOUT_ENTRY
from framework.books import DEFAULTS, ROLES
from framework.events import (
    Acted,
    IncidentBegan,
    IncidentEnded,
    Liquidated,
    Started,
    VenueFailed,
    VenueHalted,
    VenueResumed,
)
from framework.formulas import behind, leaves, program
from framework.market import Flags, Floats, Ints, Market
from framework.money import Account
from framework.rulebook.row_path import WAYS, Corner
from framework.venue import CASH, IN_TRANSIT, Dated, PriceOf, Venue

if TYPE_CHECKING:
    from framework.audit.history import History

SAMPLED = 200
"""Rows, evenly spread, for which formulas are evaluated in exact fractions, besides those with an act."""
Balance = Callable[[int], Ints]
"""The balance of an account by its code in each row, atomic units, at the moment of the row that is asked about."""


class Reading:
    """The formulas of a venue, with inputs read from a folder: balances, prices by role, rules in force."""

    def __init__(self, venue: Venue, history: "History") -> None:
        self.venue, self.history, self.market = venue, history, history.market
        self.formulas = {**DEFAULTS, **venue.formulas()}
        self._accounts: list[tuple[tuple[str, int | None], int, int]] = []
        self._prices: list[tuple[tuple[str, int | None], str, str]] = []
        self._dated: list[tuple[tuple[str, int | None], Dated]] = []
        self._rules: list[tuple[tuple[str, int | None], Any]] = []
        for name in leaves(self.formulas):
            self._sort(name)
        self._keys = tuple(key for part in (self._accounts, self._prices, self._dated, self._rules) for key, *_ in part)
        self._owned = [history.code(each) for each in venue.accounts() if each.owned]
        self._programs: dict[tuple[str, ...], Callable[..., tuple[Any, ...]]] = {}

    def _sort(self, name: str) -> None:
        """Say what a formula means by a name."""
        coins = self.venue.coins
        if name in ROLES:
            self._prices += [((name, place), name, coin) for place, coin in enumerate(coins)]
            return
        try:
            value = self.venue.input(name)
        except AttributeError:
            return  # no formula that is asked for needs it, or its program says so
        if isinstance(value, dict):
            for place, coin in enumerate(coins):
                self._sort_of(name, place, value[coin])
        elif isinstance(value, PriceOf):
            self._prices.append(((name, None), "", value.of))
        else:
            self._sort_of(name, None, value)

    def _sort_of(self, name: str, place: int | None, value: Any) -> None:  # noqa: ANN401  (an account or a rule)
        """The same for an account or a rule, of all coins or of one."""
        if isinstance(value, Account):
            self._accounts.append(((name, place), self.history.code(value), value.asset.scale))
        elif isinstance(value, Dated):
            self._dated.append(((name, place), value))
        else:
            self._rules.append(((name, place), 0.0 if value is None else value))

    def _program(self, names: tuple[str, ...]) -> Callable[..., tuple[Any, ...]]:
        if names not in self._programs:
            targets = [(name, None) for name in names]
            place = type(self.venue).__name__
            self._programs[names] = program(self.formulas, targets, self._keys, len(self.venue.coins), place)
        return self._programs[names]

    def holds(self, balance: Balance) -> Flags:
        """The rows in which anything is held or owed."""
        found = np.zeros(len(self.market), dtype=bool)
        for code in self._owned:
            found |= balance(code) != 0
        return found

    def _low(self, balance: Balance) -> list[Flags]:
        """For each coin, the rows in which its adverse price is its low: those without a short."""
        codes = [self.history.code(each) for each in self.venue.position_accounts()]
        return [balance(code) >= 0 for code in codes] or [np.ones(len(self.market), dtype=bool)] * len(self.venue.coins)

    def _columns(self, role: str, coin: str, at: Corner) -> tuple[str, ...]:
        """The market's columns of a price: one, or low and high where it is the adverse; in step, those of the coin."""
        named, ends = self.market.price_column, ("low", "high") if at == "adverse" else (at,)
        if role:
            return tuple(named(coin, each, role, self.venue.name) for each in ends)  # type: ignore[arg-type]
        own = self.venue.coins[0] if self.venue.coins else ""
        if at == "close" or not own:
            return (named(coin),)
        return (named(coin), named(own), *(named(own, each) for each in ends))  # type: ignore[arg-type]

    def _price(self, columns: Sequence[Any], low: Any, choose: Callable[[Any, Any, Any], Any]) -> Any:  # noqa: ANN401
        """A price from its columns, floats by row or fractions of one row."""
        if len(columns) == 1:
            return columns[0]
        extreme = columns[-1] if len(columns) == 3 else choose(low, columns[-2], columns[-1])
        return extreme if len(columns) == 2 else extreme * (columns[0] / columns[1])

    def arrays(self, names: tuple[str, ...], balance: Balance, *, at: Corner = "close") -> list[Floats]:
        """Formulas in every row, in floats; shape (rows,) each."""
        market, low = self.market, self._low(balance)
        values: list[Any] = [balance(code) / scale for _, code, scale in self._accounts]
        for (_, place), role, coin in self._prices:
            columns = [market[each] for each in self._columns(role, coin, at)]
            values.append(self._price(columns, low[place or 0] if low else None, np.where))
        for _, rule in self._dated:
            since = np.searchsorted(np.array(rule.since_ns), market.at_ns, side="right") - 1
            values.append(np.asarray(rule.values)[since])
        values += [value for _, value in self._rules]
        with np.errstate(all="ignore"):
            found = self._program(names)(*values)
        return [np.broadcast_to(np.asarray(each), (len(market),)) for each in found]

    def in_the_coin_of_the_market(self, balance: Balance) -> Floats:
        """The positions of a venue in several coins, as so many of the market's coin as are worth the same."""
        market, total = self.market, np.zeros(len(self.market))
        codes = [self.history.code(each) for each in self.venue.position_accounts()]
        for coin, code, account in zip(self.venue.coins, codes, self.venue.position_accounts(), strict=True):
            ratio = market[market.price_column(coin)] / market[market.price_column("")]
            total = total + balance(code) / account.asset.scale * ratio
        return total

    def tokens_in_the_coin_of_the_market(self, balance: Balance) -> Floats:
        """What tokens beside the positions of such a venue move like."""
        if "tokens_worth" not in self.formulas:
            return np.zeros(len(self.market))
        return self.arrays(("tokens_worth",), balance)[0] / self.market[self.market.price_column("")]

    def on_the_way(self, name: str, balance: Balance, row: int, price: Fraction, towards: int) -> bool | None:
        """Whether a formula holds just beyond a price on the row's way to its adverse extreme, or just before it.

        `towards` is 1 for beyond, towards the extreme, and -1 for before. All prices go the same share of their ways.
        None where this cannot be told: a way of no length, a price at its end, or formulas without exact fractions.
        """
        market, coins = self.market, self.venue.coins
        if len(coins) != 1 or any(not role for _, role, _ in self._prices):
            return None
        (low,) = self._low(balance)
        ways: dict[str, tuple[Fraction, Fraction]] = {}
        for _, role, coin in self._prices:
            first = market.opening(coin, role, self.venue.name)[row]  # type: ignore[arg-type]
            last = market[self._columns(role, coin, "adverse")[0 if low[row] else 1]][row]
            ways[role] = Fraction(first.item()), Fraction(last.item())
        needed = behind(self.formulas, name)
        first, last = next((way for role, way in ways.items() if role in needed), (price, price))
        share = (
            (price * (1 + towards * MARGIN * (1 if last > first else -1)) - first) / (last - first)
            if last != first
            else 0
        )
        if not 0 < share < 1:
            return None
        prices = [ways[role][0] + share * (ways[role][1] - ways[role][0]) for _, role, _ in self._prices]
        found = self._exactly((name,), balance, row, prices)
        return bool(found[0]) if found else None

    def fractions(
        self, names: tuple[str, ...], balance: Balance, row: int, *, at: Corner = "close"
    ) -> list[Any] | None:
        """Formulas in one row, in exact fractions; None for formulas that have none, such as a square root."""
        market, low, prices = self.market, self._low(balance), []
        for (_, place), role, coin in self._prices:
            columns = [Fraction(market[each][row].item()) for each in self._columns(role, coin, at)]
            below = bool(low[place or 0][row]) if low else None
            prices.append(self._price(columns, below, lambda which, first, second: first if which else second))
        return self._exactly(names, balance, row, prices)

    def _exactly(
        self, names: tuple[str, ...], balance: Balance, row: int, prices: Sequence[Fraction]
    ) -> list[Any] | None:
        """Formulas on the balances and rules of a row, at any prices; None for formulas without exact fractions."""
        values: list[Any] = [Fraction(int(balance(code)[row]), scale) for _, code, scale in self._accounts]
        values += prices
        at_ns = int(self.market.at_ns[row])
        values += [_fraction(rule.values[bisect_right(rule.since_ns, at_ns) - 1]) for _, rule in self._dated]
        values += [_fraction(value) for _, value in self._rules]
        try:
            return list(self._program(names)(*values))
        except (TypeError, AttributeError):
            return None


def _fraction(value: Any) -> Any:  # noqa: ANN401  (a rule of any type)
    """A rule that is a number as a fraction; any other as it is."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)
    return Fraction(value) if is_number else value


def _spread(history: "History", further: Iterator[int] | Sequence[int] = ()) -> list[int]:
    """The rows that are evaluated in exact fractions."""
    length = len(history.market)
    spread = np.linspace(0, length - 1, min(length, SAMPLED)).astype(int).tolist()
    return sorted({*spread, *(row for row in further if 0 <= row < length)})


def states(assembly: Assembly, history: "History") -> Findings:  # noqa: ARG001  (as every thorough check)
    """The equity curve is what each venue's formulas make of the balances after each row, in money and in coins."""
    table, saved = history.market, history.folder.table("equity")[1:-1]
    made: dict[str, Floats] = {}
    wallet = {"cash_usd": CASH, "transit_usd": IN_TRANSIT}
    for name, account in wallet.items():
        made[name] = history.after(history.code(account)) / account.asset.scale
    names, net = ("equity", "size", "delta"), np.zeros(len(table))
    for venue, reading in history.readings.items():
        equity, size, delta = reading.arrays(names, history.after)
        if len(reading.venue.coins) > 1:
            size = reading.in_the_coin_of_the_market(history.after)
            delta = size + reading.tokens_in_the_coin_of_the_market(history.after)
        made[f"{venue}_equity_usd"], made[f"{venue}_size"] = equity, size
        net = net + delta
    money = [values for name, values in made.items() if name in wallet or name.endswith("_equity_usd")]
    made |= {"equity_usd": sum(money, np.zeros(len(table))), "net_size": net}
    for name, values in made.items():
        yield from _off_the_curve(name, saved[name].to_numpy(), np.asarray(values, dtype=float), table)
    for row in _spread(history):
        for venue, reading in history.readings.items():
            exact = reading.fractions(names if len(reading.venue.coins) < 2 else names[:1], history.after, row)
            for column, value in zip((f"{venue}_equity_usd", f"{venue}_size"), exact or (), strict=False):
                kept = saved[column][row].as_py()
                if not abs(kept - float(value)) <= 1e-6 + 1e-9 * abs(float(value)):
                    words = f"{column} of the curve is {kept}; in exact fractions it is {float(value)}"
                    yield Finding(table.rows(row, row + 1), words)


def _off_the_curve(name: str, kept: Floats, made: Floats, table: Market) -> Findings:
    """The first row in which a column of the curve is not what was made again."""
    same = np.isclose(kept, made, rtol=FLOAT_SLACK, atol=1e-9 if name.endswith("_usd") else FLOAT_SLACK, equal_nan=True)
    for row in np.flatnonzero(~same)[:1].tolist():
        words = f"{name} of the curve is {kept[row]:.9f}; the balances make {made[row]:.9f}"
        yield Finding(table.rows(row, row + 1), words)


def acts(assembly: Assembly, history: "History") -> Findings:
    """A venue acted after a row, by a liquidation or otherwise, if and only if the declared formula held in it."""
    happened = _acted(history)
    for venue in assembly.venues:
        reading = history.readings[venue.name]
        yield from _met(assembly, history, reading)
        held = reading.holds(history.accrued)
        closed = assembly.incidents.closed_rows(venue.name, history.market)
        if closed is not None and not venue.acts_when_halted:
            held = held & ~closed
        own = happened.get((venue.name, ""), set())
        for act in venue.acts:
            if act.when not in reading.formulas:
                continue
            at: Corner = "adverse" if act.prices == "adverse" else "close"
            (flags,) = reading.arrays((act.when,), history.accrued, at=at)
            due = held & flags.astype(bool)
            corners = {stop for _, stop in WAYS[assembly.path]} - {"adverse"}
            if at == "adverse" and corners:
                due &= np.logical_or.reduce(
                    [reading.arrays((act.when,), history.accrued, at=each)[0].astype(bool) for each in sorted(corners)]
                )
            rows = happened.get((venue.name, Liquidated.__name__ if act.liquidation else act.when), set())
            exact = due.copy()
            for row in _spread(history, sorted(rows)):
                found = reading.fractions((act.when,), history.accrued, row, at=at) if held[row] else None
                exact[row] = bool(found[0]) if found else due[row]
            for row in np.flatnonzero(due & exact).tolist():
                if row not in rows and row not in own:
                    place = history.market.rows(row, row + 1)
                    yield Finding(place, f"{act.when} held at {venue.name}, which did not {act.then}")
            for row in sorted(rows):
                if not 0 <= row < len(due) or not (due[row] or exact[row]):
                    place = history.market.rows(row, row + 1) if 0 <= row < len(due) else f"row {row + 1}"
                    yield Finding(place, f"{act.when} did not hold at {venue.name}, which did {act.then} all the same")


MARGIN = Fraction(1, 10**9)
"""How far from the price of a liquidation, as a share of it, it has to be due or not in exact fractions."""


def _met(assembly: Assembly, history: "History", reading: Reading) -> Findings:
    """Liquidations on the way to the adverse extreme are where the formula begins to hold, in exact fractions.

    The first of a venue in each row is judged, on the balances that the row left. A venue of several coins, or one that
    prices a token in step with its coin, has none that can be told from its own price alone.
    """
    act = next((each for each in reading.venue.acts if each.liquidation and each.when in reading.formulas), None)
    if act is None or assembly.path != "adverse_first":
        return
    judged: dict[int, bool] = {}
    names = ("event", "venue", "kind", "row", "trigger_price")
    for event in history.folder.events((Liquidated.__name__,), names):
        row, price = event["row"], event["trigger_price"]
        if event["venue"] != reading.venue.name or judged.setdefault(row, False) or price is None:
            continue
        judged[row] = True
        before, after = (reading.on_the_way(act.when, history.accrued, row, Fraction(price), way) for way in (-1, 1))
        place = history.event(event["event"])
        if after is False:
            yield Finding(place, f"is at {price}, where {act.when} does not hold yet in exact fractions")
        elif before is True:
            yield Finding(place, f"is at {price}, where {act.when} holds already in exact fractions")


def _acted(history: "History") -> dict[tuple[str, str], set[int]]:
    """The rows after which each venue acted, by venue and the formula of the act.

    Liquidations are under the name of their event, acts that have an event of the venue's own under no name.
    """
    ours = {*WITH_ENTRY, *WITHOUT_ENTRY, *ACTS, *STRIKES, *(group.event for group in history.groups)}
    own = sorted(set(np.unique(history.log["kind"].astype(str)).tolist()) - ours)
    found: dict[tuple[str, str], set[int]] = defaultdict(set)
    for event in history.folder.events((*ACTS, *own), ("kind", "venue", "row", "cause", "details")):
        name = event["kind"]
        if name == Acted.__name__:
            name = json.loads(event["details"] or "{}").get("act", "")
        elif name in own:
            name = ""
        if event["cause"] is None:
            found[event["venue"], name].add(event["row"])
    return found


def incidents(assembly: Assembly, history: "History") -> Findings:
    """Incidents begin and end in the log when the scenario says so, and no others do."""
    begun = next((each["at_ns"] for each in history.folder.events((Started.__name__,), ("at_ns",))), 0)
    last_ns = int(history.market.at_ns[-1])
    expected = Counter[tuple[str, str, int]]()
    for each in assembly.incidents.occurrences:
        what, of, end_ns = each.incident.kind, each.incident.venue or "", each.end_ns
        if what == "deleveraging" or (end_ns is not None and end_ns <= begun):
            continue
        first = {"halt": VenueHalted, "failure": VenueFailed}.get(what, IncidentBegan)
        expected[first.__name__, of, max(each.start_ns, begun)] += 1
        if end_ns is not None and end_ns <= last_ns:
            if what != "halt":
                expected[IncidentEnded.__name__, of, end_ns] += 1
            elif assembly.incidents.closed(of, end_ns) is None:
                expected[VenueResumed.__name__, of, end_ns] += 1
    for event in history.folder.events(sorted(BOUNDS | {VenueFailed.__name__}), ("event", "kind", "venue", "at_ns")):
        key = (event["kind"], event["venue"] or "", event["at_ns"])
        if not expected[key]:
            yield Finding(history.event(event["event"]), f"{event['kind']} is of no incident of the scenario")
        expected[key] -= 1
    for (kind, venue, at_ns), count in expected.items():
        if count > 0:
            yield Finding(f"the log at {second(at_ns)}", f"lacks the {kind} of {venue or 'the market'}")
