"""Issuer: who mints and redeems a synthetic dollar, and what that costs its holders; it holds no positions itself."""

import numpy as np
from attrs import field, frozen

from framework.accounts import Account, Book, Draft, Stream
from framework.accrual import Accrual
from framework.events import FeeAccrued, OrderFilled
from framework.market import Floats, Ints, Mark
from framework.orders import ChargeRebalance, Mint, Redeem, Trade
from framework.units import USDC
from framework.venue import (
    ABOVE_NOTHING,
    CASH,
    IN_TRANSIT,
    Bridge,
    Leg,
    Moment,
    Projection,
    Stretch,
    Venue,
    account_part,
    filled,
    fraction,
    is_number,
    unknown_order,
    wrong,
)


@frozen
class _Chart:
    swap_fee: Account
    rebalance_fee: Account
    maintenance_fee: Account
    owed: Account
    running: Stream

    @classmethod
    def of(cls, venue: str) -> "_Chart":
        place = account_part(venue)
        fee = Account(f"Expenses:{place}:MaintenanceFee", USDC)
        owed = Account(f"Liabilities:{place}:MaintenanceFee", USDC)
        return cls(
            swap_fee=Account(f"Expenses:{place}:SwapFee", USDC),
            rebalance_fee=Account(f"Expenses:{place}:RebalanceFee", USDC),
            maintenance_fee=fee,
            owed=owed,
            running=Stream(fee, owed, "maintenance_fee"),
        )


@frozen(kw_only=True)
class Issuer(Venue):
    """The issuer's fees as fractions: `swap` on what is minted or redeemed, `rebalance` on each traded leg's notional.

    `maintenance_per_year` runs on the value of everything after all fees so far; it is owed until the dollars are
    redeemed and backs nothing meanwhile. An issuer stands behind all venues that hold something.
    """

    name: str = "issuer"
    swap: float = field(default=0.0, validator=fraction)
    rebalance: float = field(default=0.0, validator=fraction)
    maintenance_per_year: float = field(default=0.0, validator=fraction)
    bridge: Bridge = field(factory=Bridge)
    _chart: _Chart = field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_chart", _Chart.of(self.name))

    def accounts(self) -> tuple[Account, ...]:
        chart = self._chart
        return chart.swap_fee, chart.rebalance_fee, chart.maintenance_fee, chart.owed

    def columns(self) -> tuple[str, ...]:
        return ()

    def project(self, book: Book, stretch: Stretch) -> Projection | None:
        owed = -book.balance(self._chart.owed)
        if not stretch.projections and not owed:
            return None
        wallet = book.balance(CASH) + book.balance(IN_TRANSIT)
        value = np.full(len(stretch), float(wallet))
        for each in stretch.projections.values():
            value += each.equity_usd * USDC.scale
        rate = self.maintenance_per_year * stretch.market.years[stretch.start : stretch.stop]
        fees = _running_fee(value, owed, rate)
        path = np.concatenate(([owed], owed + fees.cumsum()))
        flat = np.zeros(len(stretch))
        accrual = Accrual(
            event=FeeAccrued,
            venue=self.name,
            stream=self._chart.running,
            asset=USDC.code,
            path=path,
            rate=rate,
            price=np.ones(len(stretch)),
            size=np.rint(value - path[:-1]).astype(np.int64),
            rate_column="",
            price_column="",
        )
        return Projection(
            accruals=(accrual,) if self.maintenance_per_year else (),
            size=flat,
            equity_usd=-path[1:] / USDC.scale,
            notional_usd=flat,
            liquidated=np.zeros(len(stretch), dtype=bool),
        )

    def leg(self, book: Book, mark: Mark) -> Leg:
        return Leg(equity_usd=book.balance(self._chart.owed) / USDC.scale)

    def execute(self, order: Trade, draft: Draft, moment: Moment) -> OrderFilled:
        chart = self._chart
        match order:
            case Mint(amount_usd=base_usd):
                name, of, rate, account = "mint", "amount_usd", self.swap, chart.swap_fee
            case Redeem(amount_usd=base_usd):
                name, of, rate, account = "redeem", "amount_usd", self.swap, chart.swap_fee
                draft.transfer(chart.owed, CASH, max(0, -draft.balance(chart.owed)), "maintenance_fee_paid")
            case ChargeRebalance(traded_usd=base_usd):
                name, of, rate, account = "charge_rebalance", "traded_usd", self.rebalance, chart.rebalance_fee
            case _:
                raise unknown_order(self.name, order, moment, "Mint, Redeem or ChargeRebalance")
        if not is_number(base_usd) or base_usd <= 0:
            raise wrong(self.name, moment, order, of, ABOVE_NOTHING)
        fee = USDC.nearest(base_usd * rate)
        draft.transfer(account, CASH, fee, account.name.rpartition(":")[2].replace("Fee", "_fee").lower())
        return filled(self.name, name, moment, price=moment.price, amount=USDC.nearest(base_usd), fee=fee)


def _running_fee(value: Floats, owed: int, rate: Floats) -> Ints:
    """The fee of each row, atomic units, each on the value less all fees before it; as if computed row by row.

    The fee of a row depends on earlier rows alone, so repeating the columns until nothing changes gives just that.
    """
    fees = np.rint(rate * (value - owed))
    while True:
        before = owed + fees.cumsum() - fees
        again = np.rint(rate * (value - before))
        if np.array_equal(again, fees):
            return fees.astype(np.int64)
        fees = again
