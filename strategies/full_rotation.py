"""Full rotation: leave both legs when one comes close to its liquidation, and enter again on the next row."""

from collections.abc import Iterable, Iterator

from attrs import field, frozen, validators

from framework.events import ConditionMet, Deleveraged, Ended, Event, Liquidated
from framework.orders import Close, Order, PayPenalty, Resize
from framework.strategy import Condition, EveryRow, LiquidationNear, NoPosition, Strategy, View
from strategies.hedge import LegsApart, Unhedged, apart, even_out, left_open, takes
from strategies.minimum_apy import MinimumApy
from strategies.pair import Refused, another_leg, half, leave_pair, level_equity, open_after_fees

MINIMUM_APY = "minimum APY"
"""The reason of a close that the minimum APY caused."""


@frozen(kw_only=True)
class FullRotation(Strategy):
    """Close both legs when a leg is liquidated, is within `liquidation_buffer` of it, or earns too little.

    The buffer is a share of the row's low or high; 0 waits for the liquidation itself, which is the unmanaged
    position. `min_apy_pct` is the least yearly yield over the last `min_apy_rows` rows held, 0 for none;
    `lending_rate` and `borrowing_rate` are the market columns that it takes for the coin and for the loan. Two quirks
    of the study are options: with `compounding` both legs are levelled and resized to the income after every row, and
    `capital_penalty` is the share of the capital that a liquidation costs, if no later reason hides it.

    Both legs are left at once or not at all: while one venue takes no order, the other leg stays. `unhedged` says what
    becomes of a leg that is larger than the other by more than `tolerance` all the same, as after a liquidation in part
    or at a venue that failed: with `close` both are left, with `cut` and `hold` the pair goes on. `refused` says what
    becomes of an opening that a venue does not take.
    """

    long: str
    short: str = field(validator=another_leg)
    leverage: float = field(validator=validators.gt(1))
    """Notional over equity of each leg at entry, above 1."""
    liquidation_buffer: float = field(default=0.1, validator=(validators.ge(0.0), validators.lt(1.0)))
    min_apy_pct: float = field(default=0.0, validator=validators.ge(0.0))
    min_apy_rows: int = field(default=7, validator=validators.ge(1))
    min_capital_usd: float = field(default=100.0, validator=validators.ge(0.0))
    """Capital at or below which nothing is opened again."""
    compounding: bool = False
    capital_penalty: float = field(default=0.0, validator=(validators.ge(0.0), validators.lt(1.0)))
    lending_rate: str = "sol_lending_apy"
    borrowing_rate: str = "usdc_borrowing_apy"
    unhedged: Unhedged = "close"
    tolerance: float = field(default=0.2, validator=(validators.gt(0.0), validators.lt(1.0)))
    refused: Refused = "wait"

    def conditions(self) -> tuple[Condition, ...]:
        if self.compounding or self.min_apy_pct:
            return (EveryRow(),)
        near = LiquidationNear(self.long, self.liquidation_buffer), LiquidationNear(self.short, self.liquidation_buffer)
        return NoPosition(self.long), *near, LegsApart(self.long, self.short, self.tolerance)

    def on_start(self, view: View) -> Iterable[Order]:
        return self._enter(view, quietly=False)

    def on_event(self, event: Event, view: View) -> Iterator[Order]:
        held = view.leg(self.long).size != 0 or view.leg(self.short).size != 0
        woken = isinstance(event, ConditionMet)
        match event:
            case Ended():
                yield from leave_pair(view, self.long, self.short)
            case ConditionMet(condition=NoPosition() | EveryRow()) if not held:
                yield from self._enter(view, quietly=True)
            case _ if held and self._unhedged(event, view):
                yield from even_out(view, self.long, self.short, self.leverage, self.unhedged, quietly=woken)
            case _ if held and (reasons := self._reasons(event, view)):
                yield from self._leave(view, reasons[-1])
            case ConditionMet(condition=EveryRow()) if self.compounding:
                yield from self._compound(view)

    def _enter(self, view: View, *, quietly: bool) -> Iterable[Order]:
        """Open both legs, once all money has arrived."""
        half_usd = half(view, self.long, self.short)
        if view.transit_usd or 2 * half_usd <= self.min_capital_usd:
            return ()
        planned_usd = half_usd * self.leverage
        return open_after_fees(
            view, self.long, self.short, self.leverage, planned_usd, refused=self.refused, quietly=quietly
        )

    def _unhedged(self, event: Event, view: View) -> bool:
        """Whether a leg lacks its hedge; what to do after a liquidation is no question of it where both are left."""
        if isinstance(event, Liquidated):
            return self.unhedged != "close" and not left_open(event, view)
        return isinstance(event, Deleveraged) or apart(view, self.long, self.short, self.tolerance)

    def _leave(self, view: View, reason: str) -> Iterator[Order]:
        """Close both legs, if both venues take that: one alone would leave the other without its hedge."""
        closings = Close(self.long, reason), Close(self.short, reason)
        if not takes(view, *closings):
            return
        hit = {f"{side} liquidated": venue for side, venue in (("long", self.long), ("short", self.short))}
        if self.capital_penalty and reason in hit:
            capital_usd = view.leg(self.long).equity_usd + view.leg(self.short).equity_usd
            yield PayPenalty(hit[reason], capital_usd * self.capital_penalty)
        yield from closings

    def _compound(self, view: View) -> Iterator[Order]:
        """Give both legs the same equity, and the size that goes with it at the price at which each is valued."""
        yield from level_equity(view, self.long, self.short, min_transfer_usd=1e-6)
        equity_usd = view.leg(self.long).equity_usd + view.leg(self.short).equity_usd
        for venue in (self.long, self.short):
            leg = view.leg(venue)
            yield Resize(venue, equity_usd / 2 * self.leverage / leg.notional_usd * abs(leg.size))

    def _reasons(self, event: Event, view: View) -> list[str]:
        """Why to leave, in the order long, short, yield."""
        reasons = []
        for side, venue, column, sign in (("long", self.long, "low", 1), ("short", self.short, "high", -1)):
            extreme, trigger = view.history(column, 1)[-1], view.leg(venue).liquidation_price
            distance = sign * (extreme - trigger)
            if distance <= 0 or (isinstance(event, Liquidated) and event.venue == venue):
                reasons.append(f"{side} liquidated")
            elif distance / extreme < self.liquidation_buffer:
                reasons.append(f"{side} near")
        if self.min_apy_pct and self._minimum().missed(view):
            reasons.append(MINIMUM_APY)
        return reasons

    def _minimum(self) -> MinimumApy:
        return MinimumApy(
            apy_pct=self.min_apy_pct,
            rows=self.min_apy_rows,
            leverage=self.leverage,
            venue=self.short,
            funding_rate=f"{self.short}_funding_rate",
            lending_rate=self.lending_rate,
            borrowing_rate=self.borrowing_rate,
        )
