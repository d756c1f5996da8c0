"""Jito: the stake pool, where SOL becomes jitoSOL and back, and where the rate between the two takes its steps."""

from datetime import date

import numpy as np
from attrs import field, frozen, validators

from framework.accounts import Account, Book, Draft, Stream
from framework.accrual import Accrual, level_index, received_path, rise_index
from framework.clock import NS_PER_SECOND
from framework.errors import MarketError
from framework.events import FeeAccrued, OrderFilled, RewardAccrued, Unstaked
from framework.market import Floats, Ints, Mark, Market
from framework.orders import Stake, Swap, Trade, Unstake
from framework.units import JITOSOL, SOL, USDC, Asset
from framework.venue import (
    CASH,
    Bridge,
    Leg,
    Moment,
    Projection,
    Stretch,
    Venue,
    account_part,
    basis_points,
    check_swap,
    filled,
    fraction,
    positive,
    unknown_order,
)
from venues.charts import accounts_of

RATE = "jitosol_rate"
"""Column of the pool's rate, SOL per jitoSOL, as `jitosol_rate_open` and `jitosol_rate_close`."""
EPOCH_S = 190_000.0
"""About 2.2 days: 432,000 slots of some 0.44 s."""
LOWEST_RATE = 0.9
"""The pool began at 1 SOL per jitoSOL; less than this is a rate the other way round."""


@frozen
class _Chart:
    tokens: Account
    coins: Account
    unstaking: Account
    traded_tokens: Account
    traded_coins: Account
    traded_usdc: Account
    accretion: Account
    staking: Account
    reward_fee: Account
    withdrawal_fee: Account
    swap_fee_usdc: Account
    swap_fee_coins: Account
    swap_fee_tokens: Account

    @classmethod
    def of(cls, venue: str) -> "_Chart":
        place = account_part(venue)
        return cls(
            tokens=Account(f"Assets:{place}:Tokens", JITOSOL, floor=True),
            coins=Account(f"Assets:{place}:Coins", SOL, floor=True),
            unstaking=Account(f"Assets:{place}:Unstaking", SOL, floor=True),
            traded_tokens=Account(f"Equity:{place}:Trading", JITOSOL),
            traded_coins=Account(f"Equity:{place}:Trading", SOL),
            traded_usdc=Account(f"Equity:{place}:Trading", USDC),
            accretion=Account(f"Equity:{place}:Accretion", SOL),
            staking=Account(f"Income:{place}:Staking", SOL),
            reward_fee=Account(f"Expenses:{place}:RewardFee", SOL),
            withdrawal_fee=Account(f"Expenses:{place}:WithdrawalFee", JITOSOL),
            swap_fee_usdc=Account(f"Expenses:{place}:SwapFee", USDC),
            swap_fee_coins=Account(f"Expenses:{place}:SwapFee", SOL),
            swap_fee_tokens=Account(f"Expenses:{place}:SwapFee", JITOSOL),
        )


@frozen(kw_only=True)
class Jito(Venue):
    """The pool under given rules; fees are fractions, of rewards, of tokens unstaked and, in basis points, of swaps.

    The rate steps at the boundaries of epochs, for every jitoSOL in the books wherever it lies. The number of tokens
    does not change then: a step is booked as staking income in SOL before the pool's fee, with that fee beside it,
    against an account of accretion, for it is part of the token's price already. That price is the market's and may
    differ from the pool's rate. `slashed_on` names the days on which the rate may fall. The defaults are Jito's own:
    4 % of rewards, 0.1 % of a delayed unstaking, no fee for staking (its documentation, as of 2026).
    """

    name: str = "jito"
    swap_fee_bps: float = field(default=0.0, validator=basis_points)
    reward_fee: float = field(default=0.04, validator=fraction)
    withdrawal_fee: float = field(default=0.001, validator=fraction)
    unstaking_s: float = field(default=EPOCH_S, validator=validators.ge(0.0))
    slashed_on: tuple[date, ...] = ()
    bridge: Bridge = field(factory=Bridge)
    _chart: _Chart = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_chart", _Chart.of(self.name))

    def accounts(self) -> tuple[Account, ...]:
        return accounts_of(self._chart)

    def columns(self) -> tuple[str, ...]:
        return ("close", "jitosol_open", "jitosol_close", f"{RATE}_open", f"{RATE}_close")

    def check(self, market: Market) -> None:
        for name in (f"{RATE}_open", f"{RATE}_close"):
            for row in np.flatnonzero(market[name] < LOWEST_RATE)[:1]:
                place = f"{market.cell(name, int(row))}, column {name}"
                raise MarketError(f"{place}: {market[name][row]}; expected SOL per jitoSOL, which is 1 or more")
        for row in np.flatnonzero(np.diff(level_index(market, RATE)) < 0).tolist():
            if date.fromisoformat(market.date(row)) not in self.slashed_on:
                before, after = level_index(market, RATE)[row : row + 2]
                raise MarketError(
                    f"{market.cell(f'{RATE}_close', row)}, column {RATE}_close: the pool's rate falls from {before} to "
                    f"{after} on {market.date(row)}; expected it not to, or the day in venues.{self.name}.slashed_on"
                )

    def project(self, book: Book, stretch: Stretch) -> Projection | None:
        chart = self._chart
        held, since_ns = book.holding(JITOSOL)
        coins = SOL.units(book.balance(chart.coins) + book.balance(chart.unstaking))
        if not held and not coins:
            return None
        tokens = JITOSOL.units(book.balance(chart.tokens))
        close = stretch.column("close")
        size = tokens * (stretch.column("jitosol_close") / close) + coins
        return Projection(
            accruals=self._accruals(held, since_ns, stretch) if held else (),
            size=size,
            equity_usd=size * close,
            notional_usd=size * close,
            liquidated=np.zeros(len(stretch), dtype=bool),
        )

    def leg(self, book: Book, mark: Mark) -> Leg:
        chart = self._chart
        tokens = JITOSOL.units(book.balance(chart.tokens))
        coins = SOL.units(book.balance(chart.coins) + book.balance(chart.unstaking))
        worth_usd = tokens * mark.of(JITOSOL) + coins * mark.price
        return Leg(worth_usd / mark.price, worth_usd, worth_usd, tokens=tokens)

    def execute(self, order: Trade, draft: Draft, moment: Moment) -> OrderFilled:
        match order:
            case Swap():
                return self._swap(order, draft, moment)
            case Stake():
                return self._stake(order, draft, moment)
            case Unstake():
                return self._unstake(order, draft, moment)
            case _:
                raise unknown_order(self.name, order, moment, "Swap, Stake or Unstake")

    def due_ns(self, order: object, at_ns: int) -> int | None:
        return at_ns + round(self.unstaking_s * NS_PER_SECOND) if isinstance(order, Unstake) else None

    def deliver(self, filled: OrderFilled, draft: Draft, moment: Moment) -> Unstaked:
        draft.transfer(self._chart.coins, self._chart.unstaking, filled.amount, "unstaked")
        return Unstaked(
            event=moment.event,
            at_ns=moment.at_ns,
            venue=self.name,
            cause=filled.event,
            amount=filled.amount,
            price=moment.price,
        )

    def token_account(self, code: str) -> Account | None:
        return {"JITOSOL": self._chart.tokens, "SOL": self._chart.coins}.get(code)

    def _swap(self, order: Swap, draft: Draft, moment: Moment) -> OrderFilled:
        chart = self._chart
        sides = {
            "USDC": (USDC, CASH, chart.traded_usdc, chart.swap_fee_usdc),
            "SOL": (SOL, chart.coins, chart.traded_coins, chart.swap_fee_coins),
            "JITOSOL": (JITOSOL, chart.tokens, chart.traded_tokens, chart.swap_fee_tokens),
        }
        check_swap(self.name, order, moment, tuple(sides))
        sold, given, traded_away, fee_account = sides[order.sell]
        bought, received, traded_for, _ = sides[order.buy]
        amount = positive(self.name, moment, order, "amount", sold)
        fee = sold.nearest(sold.units(amount) * self.swap_fee_bps / 10_000)
        sold_price, bought_price = self._price(sold, moment), self._price(bought, moment)
        gained = bought.nearest(sold.units(amount - fee) * sold_price / bought_price)
        draft.transfer(fee_account, given, fee, "swap_fee")
        draft.transfer(traded_away, given, amount - fee, "swap")
        draft.transfer(received, traded_for, gained, "swap")
        coin = bought if sold == USDC else sold
        return filled(
            self.name,
            "swap",
            moment,
            price=self._price(coin, moment),
            size=gained if coin == bought else -amount,
            amount=USDC.nearest(sold.units(amount - fee) * sold_price),
            fee=USDC.nearest(sold.units(fee) * sold_price),
        )

    def _stake(self, order: Stake, draft: Draft, moment: Moment) -> OrderFilled:
        chart = self._chart
        coins = positive(self.name, moment, order, "size", SOL)
        tokens = JITOSOL.nearest(SOL.units(coins) / self._rate(moment))
        draft.transfer(chart.traded_coins, chart.coins, coins, "stake")
        draft.transfer(chart.tokens, chart.traded_tokens, tokens, "stake")
        return filled(self.name, "stake", moment, price=moment.price, size=tokens, amount=coins)

    def _unstake(self, order: Unstake, draft: Draft, moment: Moment) -> OrderFilled:
        """The amount of SOL is fixed by today's rate; it stops earning and waits for the epoch to end."""
        chart = self._chart
        tokens = positive(self.name, moment, order, "size", JITOSOL)
        fee = JITOSOL.nearest(JITOSOL.units(tokens) * self.withdrawal_fee)
        coins = SOL.nearest(JITOSOL.units(tokens - fee) * self._rate(moment))
        draft.transfer(chart.withdrawal_fee, chart.tokens, fee, "withdrawal_fee")
        draft.transfer(chart.traded_tokens, chart.tokens, tokens - fee, "unstake")
        draft.transfer(chart.unstaking, chart.traded_coins, coins, "unstake")
        fee_usd = JITOSOL.units(fee) * moment.mark.of(JITOSOL)
        return filled(
            self.name, "unstake", moment, price=moment.price, size=-tokens, amount=coins, fee=USDC.nearest(fee_usd)
        )

    def _accruals(self, held: int, since_ns: int, stretch: Stretch) -> tuple[Accrual, Accrual]:
        """What the steps of the rate bring all tokens in the books, and the pool's fee that was taken before."""
        chart, market, rows = self._chart, stretch.market, slice(stretch.start, stretch.stop)
        lamports = JITOSOL.units(held) * SOL.scale
        kept = self.reward_fee / (1 - self.reward_fee)
        gain, rise = level_index(market, RATE), rise_index(market, RATE)

        def accrual(event: type[RewardAccrued] | type[FeeAccrued], stream: Stream, path: Ints, rate: Floats) -> Accrual:
            return Accrual(
                event=event,
                venue=self.name,
                stream=stream,
                asset=JITOSOL.code,
                path=path,
                rate=rate,
                price=stretch.column("close"),
                size=np.full(len(stretch), held),
                rate_column=f"{RATE}_close",
                price_column="close",
            )

        def path(index: Floats, factor: float) -> Ints:
            return received_path(since_ns, index, market, factor, stretch.start, stretch.stop)

        return (
            accrual(
                RewardAccrued,
                Stream(chart.accretion, chart.staking, "staking_reward"),
                path(gain, lamports),
                np.diff(gain)[rows],
            ),
            accrual(
                FeeAccrued,
                Stream(chart.reward_fee, chart.staking, "reward_fee"),
                path(rise, lamports * kept),
                np.diff(rise)[rows] * kept,
            ),
        )

    def _price(self, asset: Asset, moment: Moment) -> float:
        return 1.0 if asset == USDC else moment.mark.of(asset)

    def _rate(self, moment: Moment) -> float:
        mark = moment.mark
        return float(mark.market[f"{RATE}_{mark.at}"][mark.row])
