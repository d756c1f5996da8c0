"""Jito: the stake pool, where SOL becomes jitoSOL and back, and where the rate between the two takes its steps."""

from collections.abc import Iterable, Mapping
from datetime import date
from functools import partial
from typing import Literal

import numpy as np
from attrs import field, frozen

from framework.accrual import Accrual, level_index
from framework.books import Books
from framework.clock import NS_PER_SECOND
from framework.errors import MarketError, ScenarioError
from framework.events import FeeAccrued, RewardAccrued
from framework.formulas import formula
from framework.market import TICK_NS, Floats, Market
from framework.money import USDC, Account, token
from framework.orders import Stake, Swap, Unstake, check_swap, positive
from framework.rulebook.rules import value_at, values_of
from framework.venue import CASH, Bridge, Dated, Venue, account, basis_points, fraction, price_of, seconds
from venues.stake_pool import Pool

SOL, JITOSOL = token("SOL"), token("JITOSOL")
RATE = "jitosol_rate"
"""Column of the pool's rate, SOL per jitoSOL, as `jitosol_rate_open` and `jitosol_rate_close`."""
STAKING = "jitosol_staking_apy"
"""Column of the yield of staking, a fraction per year, from which the rate is derived if the market has none."""
EPOCH_S = 190_000.0
"""About 2.2 days: 432,000 slots of some 0.44 s."""
LOWEST_RATE = 0.9
"""The pool began at 1 SOL per jitoSOL; a rate below this is one of jitoSOL per SOL."""


@frozen
class Nearest:
    """A pool's rate without the pool's rounding: each amount is rounded to the nearest atomic unit."""

    rate: float

    def mint(self, lamports: int) -> int:
        """The tokens that a deposit is worth."""
        return JITOSOL.nearest(SOL.units(lamports) / self.rate)

    def redeem(self, tokens: int) -> int:
        """The lamports that tokens are worth without a fee."""
        return SOL.nearest(JITOSOL.units(tokens) * self.rate)

    def fee(self, tokens: int, share: float) -> int:
        """The part of minted or withdrawn tokens that the pool keeps."""
        return JITOSOL.nearest(JITOSOL.units(tokens) * share)


@frozen(kw_only=True)
class Jito(Venue):
    """The stake pool, and swaps of its token. Fees are fractions, those of swaps basis points.

    The rate steps at the boundaries of epochs, for all jitoSOL in the books, wherever it lies. The number of tokens
    stays the same: a step is booked as staking income in SOL before the pool's fee, and the fee beside it, both against
    an account of accretion, because the token's price includes them already. That price is the market's and may differ
    from the pool's rate.

    A market without the pool's rate may have the column `jitosol_staking_apy` instead. The rate then begins at the
    ratio of the two prices, or at 1 if the token has none, and steps once an epoch by what staking has earned in it.

    The defaults are Jito's own: 4 % of rewards, 0.1 % of a delayed unstaking, no fee for staking (its documentation, as
    of 2026).
    """

    name: str = "jito"
    swap_fee_bps: float | Dated = field(default=0.0, validator=basis_points)
    """Fee of a swap of SOL, jitoSOL and USDC, basis points of what is sold."""
    reward_fee: float | Dated = field(default=0.04, validator=fraction)
    """What the pool keeps of rewards; the same for the whole run."""
    deposit_fee: float | Dated = field(default=0.0, validator=fraction)
    """What the pool keeps of the tokens that are minted for a deposit."""
    withdrawal_fee: float | Dated = field(default=0.001, validator=fraction)
    """What the pool keeps of the tokens that are unstaked."""
    unstaking_s: float = field(default=EPOCH_S, validator=seconds)
    """How long an unstaking takes, unless `epoch_s` is given."""
    epoch_s: float | Dated | None = field(default=None, validator=seconds)
    """Length of an epoch: an unstaking takes until the pool is updated for the end of its epoch."""
    epoch_lag_s: float | Dated = field(default=0.0, validator=seconds)
    """How long after the end of an epoch the pool is updated."""
    rounding: Literal["nearest", "pool"] = "nearest"
    """Amounts to the nearest atomic unit, or as the pool rounds: fees up, what is minted and paid out down."""
    slashed_on: tuple[date, ...] = ()
    """The days on which the rate may fall."""
    bridge: Bridge = field(factory=Bridge)

    staked = account("Assets:{venue}:Tokens", JITOSOL, floor=True)
    coins_held = account("Assets:{venue}:Coins", SOL, floor=True)
    unstaking = account("Assets:{venue}:Unstaking", SOL, floor=True)
    traded_tokens = account("Equity:{venue}:Trading", JITOSOL, bucket="execution")
    traded_coins = account("Equity:{venue}:Trading", SOL, bucket="execution")
    traded_usdc = account("Equity:{venue}:Trading", USDC, bucket="execution")
    accretion = account("Equity:{venue}:Accretion", SOL, bucket="price_pnl")
    staking = account("Income:{venue}:Staking", SOL, bucket="staking")
    rewards_fee = account("Expenses:{venue}:RewardFee", SOL)
    entry_fee = account("Expenses:{venue}:DepositFee", JITOSOL, when="deposit_fee")
    exit_fee = account("Expenses:{venue}:WithdrawalFee", JITOSOL)
    swap_fee_usdc = account("Expenses:{venue}:SwapFee", USDC)
    swap_fee_coins = account("Expenses:{venue}:SwapFee", SOL)
    swap_fee_tokens = account("Expenses:{venue}:SwapFee", JITOSOL)
    token_price = price_of("token")

    coins = ("SOL",)
    token = "JITOSOL"  # noqa: S105  (a coin)

    @formula
    def tokens(staked):
        return staked

    @formula
    def size(staked, token_price, price, coins_held, unstaking):
        return staked * (token_price / price) + coins_held + unstaking

    @formula
    def equity(size, price):
        return size * price

    @formula
    def notional(equity):
        return equity

    def columns(self) -> Iterable[str]:
        return ("jitosol_open", "jitosol_close", f"{RATE}_open", f"{RATE}_close")

    def derived(self, market: Market) -> Mapping[str, tuple[str, Floats]]:
        if f"{RATE}_close" in market.columns or STAKING not in market.columns:
            return {}
        priced = "jitosol_close" in market.columns
        first = market["jitosol_open" if "jitosol_open" in market.columns else "jitosol_close"][0] if priced else 1.0
        levels = self._steps(market) * (first / market[market.price_column("SOL", "open")][0] if priced else 1.0)
        found = {f"{RATE}_open": levels[:-1], f"{RATE}_close": levels[1:]}
        if not priced:
            found |= {f"jitosol_{at}": found[f"{RATE}_{at}"] * market[market.price_column("SOL", at)]
                      for at in ("open", "close")}  # fmt: skip
        return {name: (STAKING, values) for name, values in found.items()}

    def _steps(self, market: Market) -> Floats:
        """The growth of a rate that is 1 as the first row opens, before it and at the close of each row.

        An epoch's reward is what the yearly rate made of its time; it comes with the update after its end.
        """
        closes = market.at_ns + TICK_NS
        earned = np.concatenate(([0.0], np.cumsum(np.log1p(market[STAKING]) * market.years)))
        ends, updates, at_ns = [int(market.open_ns[0])], [], int(market.open_ns[0])
        while (end := self._epoch_end_ns(at_ns)) <= closes[-1]:
            ends.append(end)
            updates.append(end + self._lag_ns(end))
            at_ns = end
        steps = np.interp(ends, np.concatenate((market.open_ns[:1], closes)), earned)
        since: Floats = np.exp(steps[np.searchsorted(updates, closes, side="right")])
        return np.concatenate(([1.0], since))

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

    def accruals(self) -> Iterable[Accrual]:
        """What the steps of the rate earn on all tokens in the books, and the pool's fee on it."""
        fee = self._reward_fee()
        of_rate = partial(Accrual, credit=self.staking, on=JITOSOL, rate=RATE, price=("SOL.close", "close"))
        yield of_rate(debit=self.accretion, kind="staking_reward", event=RewardAccrued, basis="steps")
        yield of_rate(debit=self.rewards_fee, kind="reward_fee", event=FeeAccrued, basis="rises", share=fee / (1 - fee))

    def token_account(self, code: str) -> Account | None:
        return {"JITOSOL": self.staked, "SOL": self.coins_held}.get(code)

    def swap(self, order: Swap, book: Books) -> None:
        """Sell one of USDC, SOL and jitoSOL for another at the row's prices, less the fee."""
        sides = {
            "USDC": (CASH, self.traded_usdc, self.swap_fee_usdc),
            "SOL": (self.coins_held, self.traded_coins, self.swap_fee_coins),
            "JITOSOL": (self.staked, self.traded_tokens, self.swap_fee_tokens),
        }
        check_swap(book, order, tuple(sides))
        given, traded_away, fee_account = sides[order.sell]
        received, traded_for, _ = sides[order.buy]
        sold, bought = given.asset, received.asset
        amount = positive(book, order, "amount", sold)
        fee = sold.nearest(sold.units(amount) * book.rule(self.swap_fee_bps) / 10_000)
        sold_price, bought_price = book.price_of(sold), book.price_of(bought)
        gained = bought.nearest(sold.units(amount - fee) * sold_price / bought_price)
        book.transfer(fee_account, given, fee, "swap_fee")
        book.transfer(traded_away, given, amount - fee, "swap")
        book.transfer(received, traded_for, gained, "swap")
        coin = bought if sold == USDC else sold
        book.fill(
            price=book.price_of(coin),
            size=gained if coin == bought else -amount,
            amount=sold.worth(amount - fee, sold_price),
        )

    def stake(self, order: Stake, book: Books) -> None:
        """Deposit SOL for tokens at the pool's rate, less the pool's fee in tokens."""
        coins, pool = positive(book, order, "size", SOL), self._pool(book)
        tokens = pool.mint(coins)
        fee = pool.fee(tokens, book.rule(self.deposit_fee))
        book.transfer(self.traded_coins, self.coins_held, coins, "stake")
        book.transfer(self.staked, self.traded_tokens, tokens - fee, "stake")
        if fee:
            book.transfer(self.entry_fee, self.traded_tokens, fee, "deposit_fee")
        book.fill(size=tokens - fee, amount=coins)

    def unstake(self, order: Unstake, book: Books) -> None:
        """Burn tokens for SOL at today's rate, which stops earning and arrives after the end of the epoch."""
        tokens, pool = positive(book, order, "size", JITOSOL), self._pool(book)
        fee = pool.fee(tokens, book.rule(self.withdrawal_fee))
        coins = pool.redeem(tokens - fee)
        book.transfer(self.exit_fee, self.staked, fee, "withdrawal_fee")
        book.transfer(self.traded_tokens, self.staked, tokens - fee, "unstake")
        book.transfer(self.unstaking, self.traded_coins, coins, "unstake")
        book.fill(size=-tokens, amount=coins)

    def due_ns(self, order: object, at_ns: int) -> int | None:
        if not isinstance(order, Unstake):
            return None
        if self.epoch_s is None:
            return at_ns + round(self.unstaking_s * NS_PER_SECOND)
        return self._next_update_ns(at_ns)

    def deliver(self, order: object, amount: int, book: Books) -> None:
        book.transfer(self.coins_held, self.unstaking, amount, "unstaked")

    def _pool(self, book: Books) -> Pool | Nearest:
        """The pool now, with the chosen rounding."""
        rate = book.level(RATE)
        return Pool.at_rate(rate) if self.rounding == "pool" else Nearest(rate)

    def _next_update_ns(self, at_ns: int) -> int:
        """When the pool is updated for the end of an instant's epoch."""
        return self._epoch_end_ns(at_ns) + self._lag_ns(at_ns)

    def _lag_ns(self, at_ns: int) -> int:
        return round(float(value_at(self.epoch_lag_s, at_ns)) * NS_PER_SECOND)

    def _epoch_end_ns(self, at_ns: int) -> int:
        """When an epoch ends: they follow each other from each date of the rule on, or from 1970."""
        rule = self.epoch_s if isinstance(self.epoch_s, Dated) else Dated([0], [self.epoch_s or EPOCH_S])
        length_ns = max(1, round(float(rule.at(at_ns)) * NS_PER_SECOND))
        began_ns = max(each for each in rule.since_ns if each <= at_ns)
        return began_ns + ((at_ns - began_ns) // length_ns + 1) * length_ns

    def _reward_fee(self) -> float:
        """The fee on rewards; an accrual has one share for the whole run."""
        fee, *more = set(values_of(self.reward_fee))
        if more:
            raise ScenarioError(f"venues.{self.name}.reward_fee: {1 + len(more)} values; expected one for all time")
        return float(fee)
