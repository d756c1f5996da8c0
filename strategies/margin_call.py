"""Margin call deleverage: jitoSOL against an equal short of SOL, both cut when an internal requirement calls."""

from collections.abc import Iterable, Iterator
from typing import Literal

from attrs import field, frozen, validators

from framework.events import ConditionMet, Ended, Event, Liquidated, MarginCalled, Rejected, Side
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
from framework.strategy import Condition, DeltaBeyond, MarginBelow, NoPosition, Strategy, View
from framework.support.grid import Grid
from strategies.daybook import daybook, tables
from strategies.hedge import Unhedged, first_filled, left_open, quoted_fee_usd, quotes, takes

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

    `unhedged` says what becomes of tokens that the short no longer hedges, or of a short without its tokens, as after a
    liquidation in part or a rejected order: `close` closes all, `cut` sells the tokens that are too many and pays what
    they bring in as margin, or reduces the short, and `hold` brings the short back to its size when its venue and the
    margin allow that. The short goes first: while its venue takes no order, tokens stay where they are.
    """

    pool: str = "jito"
    """Name of the stake pool."""
    short: str = "drift"
    issuer: str = "issuer"
    """Name of the issuer of the synthetic dollar."""
    maintenance: float = field(default=0.67, validator=(validators.gt(0.0), validators.lt(1.0)))
    hedge: Literal["units", "value"] = "units"
    """What the short is kept equal to."""
    tolerance: float = field(default=0.01, validator=(validators.gt(0.0), validators.lt(1.0)))
    min_call_usd: float = field(default=0.001, validator=validators.ge(1e-6))
    redeem_at_end: bool = False
    unhedged: Unhedged = "close"

    def conditions(self) -> tuple[Condition, ...]:
        calls = MarginBelow(self.short, self.maintenance), NoPosition(self.short)
        return (*calls, DeltaBeyond(self.short, self.tolerance)) if self.hedge == "value" else calls

    def tables(self, run: Run) -> Iterator[Grid]:
        return tables(run, daybook(run, MarginBelow(self.short, self.maintenance)))

    def on_start(self, view: View) -> Iterator[Order]:
        yield Mint(self.issuer, view.cash_usd)
        yield Swap(self.pool, "USDC", TOKEN, view.cash_usd)
        tokens = view.leg(self.pool).tokens
        if not tokens:
            return
        yield MoveTokens(self.pool, self.short, TOKEN, tokens)
        if not isinstance(view.outcome, Rejected):
            yield Open(self.short, Side.SHORT, tokens * self._coins_per_token(view), 0.0)
        if isinstance(view.outcome, Rejected):
            yield from self._even_out(view)

    def on_event(self, event: Event, view: View) -> Iterable[Order]:
        match event:
            case MarginCalled():
                return self._cut(view)
            case ConditionMet(condition=NoPosition()):
                return self._even_out(view, quietly=True)
            case ConditionMet():
                return self._hedge_again(view)
            case Liquidated() if self.unhedged == "close" or left_open(event, view):
                return self._leave(view)
            case Ended():
                return self._redeem(view) if self.redeem_at_end else ()
            case _:
                return self._even_out(view)

    def _even_out(self, view: View, *, quietly: bool = False) -> Iterator[Order]:
        """Bring short and tokens to one size again, as `unhedged` says; `quietly` gives no order that is rejected."""
        at_short, at_pool = view.leg(self.short).tokens, view.leg(self.pool).tokens
        size, backed = -view.leg(self.short).size, (at_short + at_pool) * self._coins_per_token(view)
        if abs(backed - size) <= self.tolerance * max(backed, size):
            return
        if self.unhedged == "close" or not backed or not (size or self.unhedged == "hold"):
            yield from self._leave(view, quietly=quietly)
        elif size > backed:
            yield from first_filled(view, Resize(self.short, backed), Close(self.short), quietly=quietly)
        elif self.unhedged == "hold":
            larger = Resize(self.short, backed) if size else Open(self.short, Side.SHORT, backed, 0.0)
            yield from first_filled(view, larger, quietly=quietly)
        else:
            yield from self._sell(view, 0.0)
            yield from self._sell_unhedged(view, max(0.0, (backed - size) / self._coins_per_token(view) - at_pool))

    def _cut(self, view: View) -> Iterator[Order]:
        """Buy back `coins` of the short and sell the tokens that backed them; what that brings becomes margin.

        Neither is done while the venue of the short or the pool takes no order: the next row calls again.
        """
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
        fee_usd, resize = quoted_fee_usd(view, charge), Resize(self.short, -leg.size - coins)
        if not takes(view, resize) or not quotes(view, Swap(self.pool, TOKEN, "USDC", tokens)):
            return
        yield resize
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
        take one round; more than `MOST_ROUNDS` are not counted.
        """
        most_usd = self.maintenance * left_usd / 2
        if not most_usd:
            return 1
        needed = tokens * view.price_of(TOKEN) / most_usd
        return next((rounds for rounds in range(1, MOST_ROUNDS + 1) if needed <= rounds), MOST_ROUNDS + 1)

    def _hedge_again(self, view: View) -> Iterator[Order]:
        """Make the short as large as what the tokens move like."""
        leg = view.leg(self.short)
        if not leg.size:
            return
        traded_usd = abs(leg.delta) * view.price
        fee_usd = quoted_fee_usd(view, ChargeRebalance(self.issuer, traded_usd))
        if fee_usd >= leg.equity_usd:
            yield from self._leave(view)
            return
        resized = yield from first_filled(view, Resize(self.short, leg.delta - leg.size), quietly=True)
        if resized and fee_usd:
            yield Withdraw(self.short, fee_usd)
            yield ChargeRebalance(self.issuer, traded_usd)

    def _leave(self, view: View, *, quietly: bool = False) -> Iterator[Order]:
        """Close the short and sell all tokens; they stay where they are while the short cannot be closed."""
        tokens = view.leg(self.short).tokens + view.leg(self.pool).tokens
        if quietly and tokens and not quotes(view, Swap(self.pool, TOKEN, "USDC", tokens)):
            return
        closed = yield from first_filled(view, Close(self.short), quietly=quietly)
        if closed:
            yield from self._sell(view, view.leg(self.short).tokens)

    def _sell_unhedged(self, view: View, tokens: float) -> Iterator[Order]:
        """Sell so many tokens beside the short, which nothing hedges, and pay in what they bring.

        They go in rounds, each as large as the margin lets go: what one has brought lets the next one be larger. Where
        nothing can go, all is closed.
        """
        for _ in range(MOST_ROUNDS):
            part = self._movable(view, tokens)
            if not part:
                break
            yield from self._sell(view, part)
            if isinstance(view.outcome, Rejected):
                return
            yield Deposit(self.short, view.cash_usd)
            tokens -= part
        if tokens:
            yield from self._leave(view)

    def _movable(self, view: View, tokens: float) -> float:
        """How many of so many tokens may leave the short at once: all, a half, a quarter and so on; 0 for none."""
        parts = (tokens / 2**halvings for halvings in range(MOST_ROUNDS))
        return next((part for part in parts if part and takes(view, MoveTokens(self.short, self.pool, TOKEN, part))), 0)

    def _sell(self, view: View, tokens: float) -> Iterator[Order]:
        """Sell so many tokens of those beside the short, and all that are at the pool."""
        if tokens > 0:
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
        charge = ChargeRebalance(self.issuer, self._traded_usd(view, half, tokens))
        short_usd = quoted_fee_usd(view, Resize(self.short, half))
        pool_usd = quoted_fee_usd(view, Swap(self.pool, TOKEN, "USDC", tokens))
        return (short_usd + pool_usd + quoted_fee_usd(view, charge)) / half
