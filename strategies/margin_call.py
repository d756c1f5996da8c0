"""Margin call deleverage: jitoSOL against an equal short of SOL, both cut when an internal requirement calls."""

from collections.abc import Iterable, Iterator
from math import ceil
from typing import Literal

from attrs import field, frozen, validators

from framework.events import ConditionMet, Ended, Event, Liquidated, MarginCalled, Rejected, Side
from framework.grid import Grid
from framework.orders import (
    ChargeRebalance,
    Close,
    Deposit,
    Mint,
    MoveTokens,
    Open,
    Order,
    Redeem,
    Resize,
    Swap,
    Withdraw,
)
from framework.run import Run
from framework.strategy import Condition, DeltaBeyond, MarginBelow, Strategy, View
from strategies.daybook import daybook, tables

MOST_ROUNDS = 32
"""Parts in which a margin call sells tokens at most; one that needs more ends the position."""
TOKEN = "JITOSOL"  # noqa: S105  (a coin)


@frozen(kw_only=True)
class MarginCallDeleverage(Strategy):
    """A synthetic dollar: all capital in jitoSOL, posted as collateral of an equal short of SOL.

    When `maintenance` x notional of the short is above the margin, short and collateral are cut by just so much that
    the two are equal afterwards, all fees paid; shortfalls up to `min_call_usd` are the rounding of earlier cuts. With
    `hedge = "units"` a token counts as one coin, as the USS page has it; with `"value"` as the coins that it is worth,
    and the short follows when both together have drifted by more than `tolerance` of it. It does so after a cut: what
    the larger short lacks is called by the next row. Where less is left than a cut or a re-hedge costs, and after a
    liquidation, all is closed and the rest waits in cash. With `redeem_at_end` it is paid out after the last row.
    """

    pool: str = "jito"
    short: str = "drift"
    issuer: str = "issuer"
    maintenance: float = field(default=0.67, validator=(validators.gt(0.0), validators.lt(1.0)))
    hedge: Literal["units", "value"] = "units"
    tolerance: float = field(default=0.01, validator=(validators.gt(0.0), validators.lt(1.0)))
    min_call_usd: float = field(default=0.001, validator=validators.ge(1e-6))
    redeem_at_end: bool = False

    def conditions(self) -> tuple[Condition, ...]:
        call = MarginBelow(self.short, self.maintenance)
        return (call, DeltaBeyond(self.short, self.tolerance)) if self.hedge == "value" else (call,)

    def tables(self, run: Run) -> Iterator[Grid]:
        return tables(run, daybook(run, MarginBelow(self.short, self.maintenance)))

    def on_start(self, view: View) -> Iterator[Order]:
        yield Mint(self.issuer, view.cash_usd)
        yield Swap(self.pool, "USDC", TOKEN, view.cash_usd)
        tokens = view.leg(self.pool).tokens
        yield MoveTokens(self.pool, self.short, TOKEN, tokens)
        yield Open(self.short, Side.SHORT, tokens * self._coins_per_token(view), 0.0)

    def on_event(self, event: Event, view: View) -> Iterable[Order]:
        match event:
            case MarginCalled():
                return self._cut(view)
            case ConditionMet():
                return self._hedge_again(view)
            case Liquidated():
                return self._leave(view)
            case Ended() if self.redeem_at_end:
                return self._redeem(view)
            case _:
                return ()

    def _cut(self, view: View) -> Iterator[Order]:
        """Buy back `coins` of the short and sell the tokens that backed them; what that brings becomes margin."""
        leg, cash_usd = view.leg(self.short), view.cash_usd
        shortfall_usd = self.maintenance * leg.notional_usd - leg.margin_usd
        if shortfall_usd <= self.min_call_usd:
            return
        fees_usd = self._fees_per_coin_usd(view)
        per_coin_usd = self.maintenance * view.price - fees_usd
        coins = shortfall_usd / per_coin_usd if per_coin_usd > 0 else -leg.size
        tokens = coins / self._coins_per_token(view)
        brings_usd = view.price_of(TOKEN) / self._coins_per_token(view)
        if coins >= -leg.size or tokens >= leg.tokens or fees_usd >= brings_usd:
            yield from self._leave(view)
            return
        rounds = self._rounds(view, tokens, (-leg.size - coins) * view.price)
        if rounds > MOST_ROUNDS:
            yield from self._leave(view)
            return
        charge = ChargeRebalance(self.issuer, self._traded_usd(view, coins, tokens))
        fee_usd = view.quote(charge).fee_usd
        yield Resize(self.short, -leg.size - coins)
        for left in reversed(range(rounds)):
            yield MoveTokens(self.short, self.pool, TOKEN, tokens / rounds)
            if isinstance(view.outcome, Rejected):
                yield from self._leave(view)
                return
            yield Swap(self.pool, TOKEN, "USDC", tokens / rounds)
            if not left:
                yield charge
            kept_usd = cash_usd + (fee_usd if left else 0.0)
            if view.cash_usd > kept_usd:
                yield Deposit(self.short, view.cash_usd - kept_usd)

    def _rounds(self, view: View, tokens: float, left_usd: float) -> int:
        """In how many parts tokens are sold, so that none takes more than half of the margin that the short then has.

        All at once they may be worth more than that, and the venue lets nothing go that the short needs. Most calls
        take one round.
        """
        most_usd = self.maintenance * left_usd / 2
        return max(1, ceil(tokens * view.price_of(TOKEN) / most_usd)) if most_usd else 1

    def _hedge_again(self, view: View) -> Iterator[Order]:
        """Make the short as large as what the tokens move like."""
        leg = view.leg(self.short)
        if not leg.size:
            return
        traded_usd = abs(leg.delta) * view.price
        fee_usd = view.quote(ChargeRebalance(self.issuer, traded_usd)).fee_usd
        if fee_usd >= leg.equity_usd:
            yield from self._leave(view)
            return
        yield Resize(self.short, leg.delta - leg.size)
        if fee_usd:
            yield Withdraw(self.short, fee_usd)
            yield ChargeRebalance(self.issuer, traded_usd)

    def _leave(self, view: View) -> Iterator[Order]:
        """Close the short and sell all tokens."""
        yield Close(self.short)
        tokens = view.leg(self.short).tokens
        if tokens:
            yield MoveTokens(self.short, self.pool, TOKEN, tokens)
        tokens = view.leg(self.pool).tokens
        if tokens:
            yield Swap(self.pool, TOKEN, "USDC", tokens)

    def _redeem(self, view: View) -> Iterator[Order]:
        yield from self._leave(view)
        if view.cash_usd > 0:
            yield Redeem(self.issuer, view.cash_usd)

    def _coins_per_token(self, view: View) -> float:
        """How much short one token backs."""
        return 1.0 if self.hedge == "units" else view.price_of(TOKEN) / view.price

    def _traded_usd(self, view: View, coins: float, tokens: float) -> float:
        """The notional of both legs of a cut."""
        return coins * view.price + tokens * view.price_of(TOKEN)

    def _fees_per_coin_usd(self, view: View) -> float:
        """All fees of cutting one coin, by quotes for half of the position: they grow in proportion."""
        half = -view.leg(self.short).size / 2
        tokens = half / self._coins_per_token(view)
        orders = (
            Resize(self.short, half),
            Swap(self.pool, TOKEN, "USDC", tokens),
            ChargeRebalance(self.issuer, self._traded_usd(view, half, tokens)),
        )
        return sum(view.quote(order).fee_usd for order in orders) / half
