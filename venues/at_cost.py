"""At cost: a venue under the accounting of the study's older models, which ignore profit and loss of the price."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from attrs import Factory, evolve, field, frozen

from framework.accrual import GROWING, Accrual
from framework.books import Books
from framework.events import Event
from framework.formulas import Formula, formula, formulas_of, formulas_where
from framework.market import Market
from framework.money import USDC, Account
from framework.venue import Act, Bridge, Venue, account, fraction


def _one_coin(_: object, __: object, venue: Venue) -> None:
    if len(venue.coins) > 1:
        raise ValueError(
            f"at cost there is one entry price; expected one coin at {venue.name}, not {', '.join(venue.coins)}"
        )


@frozen(kw_only=True)
class AtCost(Venue):
    """A perpetual venue or a lender whose positions are valued, charged, resized and closed at what was paid for them.

    Income is earned on what was paid, in USDC, and nothing compounds between orders. With a `liquidation_distance` the
    price decides about a liquidation, and not the equity. All else is as the venue itself has it.
    """

    of: Venue = field(validator=_one_coin)
    """The venue whose positions are carried at cost."""
    fees_at_entry: bool = False
    """Whether fees are charged on opening alone, a perpetual's for the way in and the way out."""
    liquidation_distance: float | None = field(default=None, validator=fraction)
    """How far the price may move against a position before it is liquidated, as a share of its entry price."""
    name: str = field(init=False, default=Factory(lambda self: self.of.name, takes_self=True))
    bridge: Bridge = field(init=False, default=Factory(lambda self: self.of.bridge, takes_self=True))

    lending = account("Income:{venue}:Lending", USDC, bucket="carry", when="lends")
    valued = account("Assets:{venue}:ValuedAtCost", USDC)
    left_out = account("Income:{venue}:PriceLeftOut", USDC, bucket="price_pnl")

    @formula
    def mark(entry_price):
        return entry_price

    @formula
    def oracle(entry_price):
        return entry_price

    @formula
    def liquidation_price(entry_price, size, liquidation_distance):
        return entry_price * (1 - ((size > 0) * 2 - 1) * liquidation_distance)

    @formula
    def beyond(size, price, liquidation_price):
        return (size != 0) & (((size > 0) * 2 - 1) * (price - liquidation_price) <= 0)

    @property
    def coins(self) -> tuple[str, ...]:
        return self.of.coins

    @property
    def acts(self) -> Sequence[Act]:
        if self.liquidation_distance is None:
            return self.of.acts
        return tuple(evolve(each, when="beyond") if each.liquidation else each for each in self.of.acts)

    @property
    def lends(self) -> bool:
        """Whether the venue has balances that earn on what they have earned."""
        return any(each.basis in GROWING for each in self.of.accruals())

    def accounts(self) -> tuple[Account, ...]:
        return (*self.of.accounts(), *super().accounts())

    def position_accounts(self) -> tuple[Account, ...]:
        return self.of.position_accounts()

    def formulas(self) -> Mapping[str, Formula]:
        inner: type = type(self.of)
        return _formulas(inner, self.of.fields_chosen, at_a_distance=self.liquidation_distance is not None)

    def rules(self) -> Mapping[str, object]:
        own = {"fees_at_entry": self.fees_at_entry, "liquidation_distance": self.liquidation_distance}
        return {**self.of.rules(), "accounting": {"class": "at_cost", **own}}

    def input(self, name: str) -> Any:  # noqa: ANN401  (as of any venue)
        return self.liquidation_distance if name == "liquidation_distance" else self.of.input(name)

    def accruals(self) -> Iterable[Accrual]:
        """Each accrual of the venue, on what was paid instead of on what is held."""
        venue: Any = self.of
        for each in self.of.accruals():
            if each.basis == "payment":
                quotes = {id(venue.position[coin]): venue.quote[coin] for coin in venue.coins}
                yield evolve(each, on=quotes[id(each.on)], basis="total", share=1.0, price="")
            elif isinstance(each.on, Account) and each.on.asset != USDC:
                yield evolve(each, debit=venue.surplus, credit=self.lending, on=venue.traded_usdc, basis="simple")
            else:
                yield evolve(each, basis="simple")

    def columns(self) -> Iterable[str | tuple[str, ...]]:
        return self.of.columns()

    def check(self, market: Market) -> None:
        self.of.check(market)

    def orders(self) -> tuple[str, ...]:
        return self.of.orders()

    def execute(self, method: str, order: object, book: Books) -> None:
        cost = self._cost(book)
        if cost is not None:
            book.fill(price=cost)
        both_ways = 2 if hasattr(self.of, "taker_fee_bps") else 1
        times = (both_ways if method == "open" else 0) if self.fees_at_entry else 1
        with book.at_cost(cost, times):
            self.of.execute(method, order, book)

    def accept(self, order: object, book: Books) -> None:
        self.of.accept(order, book)

    def act(self, method: str, book: Books) -> Event | None:
        cost = self._cost(book)
        if cost is not None:
            book.fill(price=cost)
        with book.at_cost(cost, 0 if self.fees_at_entry else 1):
            return self.of.act(method, book)

    def finish(self, book: Books) -> None:
        """Book by how much the cost of an open position exceeds its worth, so that the final equity stays at cost."""
        cost = self._cost(book)
        if cost is not None:
            for coin, position in zip(self.coins, self.position_accounts(), strict=True):
                beyond = book.worth(position, cost) - book.worth(position, book.price_of(coin))
                book.transfer(self.valued, self.left_out, beyond, "valued_at_cost")

    def receive(self, book: Books, source: Account, amount: int, kind: str) -> None:
        self.of.receive(book, source, amount, kind)

    def pay(self, book: Books, target: Account, amount: int, kind: str) -> None:
        with book.at_cost(self._cost(book), 1):
            self.of.pay(book, target, amount, kind)

    def penalty_account(self) -> Account | None:
        return self.of.penalty_account()

    def token_account(self, code: str) -> Account | None:
        return self.of.token_account(code)

    def due_ns(self, order: object, at_ns: int) -> int | None:
        return self.of.due_ns(order, at_ns)

    def deliver(self, order: object, amount: int, book: Books) -> None:
        self.of.deliver(order, amount, book)

    def _cost(self, book: Books) -> float | None:
        """Average cost of a coin; None without a position, which is opened at the row's price."""
        leg = book.leg(self.name)
        return leg.entry_price if leg.size else None


@cache
def _formulas(of: type, chosen: frozenset[str], *, at_a_distance: bool) -> Mapping[str, Formula]:
    """The formulas of a class of venues with the mark at cost, and a liquidation price at a distance or none."""
    own = dict(formulas_of(AtCost))
    if not at_a_distance:
        own = {"mark": own["mark"], "oracle": own["oracle"], "liquidation_price": formula(lambda: float("nan"))}
    return {**formulas_where(of, chosen), **own}
