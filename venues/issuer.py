"""Issuer: mints and redeems a synthetic dollar for fees; it holds no positions itself."""

from collections.abc import Iterable

from attrs import field, frozen

from framework.accrual import Accrual, Computed, running
from framework.books import Books
from framework.events import FeeAccrued
from framework.formulas import formula
from framework.money import USDC, Account
from framework.orders import ABOVE_NOTHING, ChargeRebalance, Mint, Order, Redeem, is_number, wrong
from framework.venue import CASH, Bridge, Segment, Venue, account, fraction


@frozen(kw_only=True)
class Issuer(Venue):
    """The issuer's fees as fractions: `swap` on what is minted or redeemed, `rebalance` on each traded leg's notional.

    `maintenance_per_year` runs on the value of everything after all fees so far; it is owed until the dollars are
    redeemed and backs nothing meanwhile.
    """

    name: str = "issuer"
    swap: float = field(default=0.0, validator=fraction)
    rebalance: float = field(default=0.0, validator=fraction)
    maintenance_per_year: float = field(default=0.0, validator=fraction)
    bridge: Bridge = field(factory=Bridge)

    swap_fee = account("Expenses:{venue}:SwapFee", USDC)
    rebalance_fee = account("Expenses:{venue}:RebalanceFee", USDC)
    maintenance_fee = account("Expenses:{venue}:MaintenanceFee", USDC)
    owed = account("Liabilities:{venue}:MaintenanceFee", USDC)

    @formula
    def equity(owed):
        return owed

    def accruals(self) -> Iterable[Accrual]:
        if self.maintenance_per_year:
            yield Accrual(
                debit=self.maintenance_fee,
                credit=self.owed,
                kind="maintenance_fee",
                event=FeeAccrued,
                on=self.owed,
                basis="simple",
                rate="",
                compute=self._running_fee,
            )

    def _running_fee(self, segment: Segment) -> Computed:
        """The fee of each row on the value of everything else, less what is owed already."""
        rate, owed = self.maintenance_per_year * segment.years, -segment.balance(self.owed)
        if not segment.others_hold and not owed:
            rate = 0 * rate
        return running(rate, segment.others_usd * USDC.scale, owed)

    def mint(self, order: Mint, book: Books) -> None:
        self._charge(order, "amount_usd", self.swap, self.swap_fee, "swap_fee", book)

    def redeem(self, order: Redeem, book: Books) -> None:
        """Pay the fee, and all that is owed."""
        book.transfer(self.owed, CASH, max(0, -book[self.owed]), "maintenance_fee_paid")
        self._charge(order, "amount_usd", self.swap, self.swap_fee, "swap_fee", book)

    def charge_rebalance(self, order: ChargeRebalance, book: Books) -> None:
        self._charge(order, "traded_usd", self.rebalance, self.rebalance_fee, "rebalance_fee", book)

    def _charge(self, order: Order, of: str, rate: float, target: Account, kind: str, book: Books) -> None:
        """Charge the wallet a share of an amount of the order."""
        base_usd = getattr(order, of)
        if not is_number(base_usd) or base_usd <= 0:
            wrong(book, order, of, ABOVE_NOTHING)
        book.transfer(target, CASH, USDC.nearest(base_usd * rate), kind)
        book.fill(amount=USDC.nearest(base_usd))
