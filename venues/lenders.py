"""Lenders: how much they lend, who is liquidated, how much is repaid at once, and what the collateral for it costs.

`Lender` has the rules of a lender, which its governance can change. A liquidation is arithmetic in exact fractions on
two sums, what the collateral is worth and what is owed, both in one unit. There are two procedures. `Rounds` repays a
share of the debt at a time until the position is healthy; `ToHealth` repays as much as makes it healthy at once. Each
answers with a `Round`; `until_healthy` repeats it at one price.

Sources: Kamino-Finance/klend at edd5ff50 (`state/liquidation_operations.rs`), solendprotocol/solana-program-library at
9ffd16dd (`token-lending`), mrgnlabs/marginfi-v2 at 3031ba3b, drift-labs/protocol-v2 at 0ae3e3b1
(`math/liquidation.rs`).
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from functools import cache, partial
from math import ceil, floor
from typing import Any, Literal

from attrs import NOTHING, evolve, field, fields, frozen

from framework.errors import ScenarioError
from framework.money import USDC
from framework.rulebook.rules import Dated, joined
from framework.venue import basis_points, fraction, not_negative, share

Amount = int | Fraction
"""A sum of money, or a share, exactly."""
BonusBy = Literal["minimum", "depth", "maximum", "what is left", "bad debt", "fees"]
"""The rule that decided the bonus."""
SizeBy = Literal["healthy", "close factor", "cap", "insolvency", "small debt", "buffer"]
"""The rule that decided the size of a round."""


def exactly(number: float | str | Amount) -> Fraction:
    """A rule as the decimal number that it was written as: 0.8 is 4/5, not the nearest float."""
    return number if isinstance(number, Fraction) else Fraction(Decimal(str(number)))


def _or_none(number: float | str | Amount | None) -> Fraction | None:
    return None if number is None else exactly(number)


@frozen
class Round:
    """One repayment by a liquidator: `repaid` of the debt for collateral worth `seized`."""

    repaid: Fraction
    seized: Fraction
    bonus: Fraction = Fraction(0)
    bonus_by: BonusBy = "minimum"
    size_by: SizeBy = "healthy"

    @property
    def penalty(self) -> Fraction:
        """What the borrower loses by it."""
        return self.seized - self.repaid

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules of a `Lender` that decided its size and its bonus."""
        return (*BEHIND_SIZE.get(self.size_by, ()), *BEHIND_BONUS.get(self.bonus_by, ()))


BEHIND_SIZE: Mapping[SizeBy, tuple[str, ...]] = {
    "close factor": ("close_factor",),
    "cap": ("most_per_call_usd",),
    "insolvency": ("insolvency_ltv",),
    "small debt": ("small_debt_usd",),
    "buffer": ("buffer",),
}
BEHIND_BONUS: Mapping[BonusBy, tuple[str, ...]] = {
    "minimum": ("min_bonus",),
    "maximum": ("max_bonus",),
    "bad debt": ("bad_debt_bonus",),
    "fees": ("liquidator_fee", "insurance_fee"),
}
"""What decided a round -> the rules behind it; a bonus by depth follows from the line."""


@frozen(kw_only=True)
class Rounds:
    """A share of the debt for each call, at a bonus that grows with the depth: Kamino, and Save, its ancestor.

    Rates are fractions. `liquidation_ltv` is the loan-to-value at which a position is liquidated, the debt weighted by
    `borrow_factor`. The bonus is the depth beyond that line, at least `min_bonus` and at most `max_bonus`; with
    `max_bonus_ltv` it rises in a straight line instead, to its maximum at that loan-to-value. With `solvent` it is at
    most the equity that is left, as a fraction of the collateral; `bad_debt_bonus` holds from `BAD_DEBT_LTV` on. Beyond
    `insolvency_ltv` the whole debt may be repaid at once; below the sum `small_debt` it has to be, and at it as well
    with `small_debt_included`. `most_per_call` is the largest sum that one call repays.
    """

    liquidation_ltv: Fraction = field(converter=exactly)
    close_factor: Fraction = field(converter=exactly)
    min_bonus: Fraction = field(converter=exactly)
    max_bonus: Fraction = field(converter=exactly)
    max_bonus_ltv: Fraction | None = field(default=None, converter=_or_none)
    solvent: bool = True
    bad_debt_bonus: Fraction | None = field(default=None, converter=_or_none)
    insolvency_ltv: Fraction | None = field(default=None, converter=_or_none)
    small_debt: Fraction = field(default=Fraction(0), converter=exactly)
    small_debt_included: bool = False
    most_per_call: Fraction | None = field(default=None, converter=_or_none)
    borrow_factor: Fraction = field(default=Fraction(1), converter=exactly)

    def unhealthy(self, collateral: Amount, debt: Amount) -> bool:
        """Whether the position may be liquidated: at the line and beyond."""
        return debt > 0 and debt * self.borrow_factor >= self.liquidation_ltv * collateral

    def bonus(self, collateral: Amount, debt: Amount) -> tuple[Fraction, BonusBy]:
        """What the liquidator gets beyond the repaid debt, as a fraction of it, and the rule behind it."""
        raw_ltv = Fraction(debt) / collateral
        if self.bad_debt_bonus is not None and raw_ltv >= BAD_DEBT_LTV:
            return max(self.bad_debt_bonus, 1 - raw_ltv), "bad debt"
        depth = raw_ltv * self.borrow_factor - self.liquidation_ltv
        if self.max_bonus_ltv is not None:
            way = self.max_bonus_ltv - self.liquidation_ltv
            depth = self.min_bonus + depth * (self.max_bonus - self.min_bonus) / way
        found: tuple[Fraction, BonusBy] = (depth, "depth") if depth > self.min_bonus else (self.min_bonus, "minimum")
        found = min(found, (self.max_bonus, "maximum"), key=_rate)
        return min(found, (1 - raw_ltv, "what is left"), key=_rate) if self.solvent else found

    def round(self, collateral: Amount, debt: Amount, repaying: Amount | None = None) -> Round:
        """What one call repays and seizes; of several debts `repaying` is the one that is repaid, `debt` their sum."""
        due = Fraction(debt if repaying is None else repaying)
        if collateral <= 0 or due <= 0:
            return Round(Fraction(0), Fraction(0))
        bonus, bonus_by = self.bonus(collateral, debt)
        if due < self.small_debt or (self.small_debt_included and due == self.small_debt):
            return Round(due, min(due * (1 + bonus), Fraction(collateral)), bonus, bonus_by, "small debt")
        size, size_by = self._size(collateral, debt, due)
        return _affordable(size, bonus, bonus_by, size_by, collateral)

    def _size(self, collateral: Amount, debt: Amount, due: Fraction) -> tuple[Fraction, SizeBy]:
        """The most that may be repaid at once, and the rule behind it."""
        insolvent = self.insolvency_ltv is not None and debt * self.borrow_factor > self.insolvency_ltv * collateral
        share, size_by = (Fraction(1), "insolvency") if insolvent else (self.close_factor, "close factor")
        size = min(share * debt, due)
        if self.most_per_call is not None and self.most_per_call < size:
            return self.most_per_call, "cap"
        return size, size_by  # type: ignore[return-value]


@frozen(kw_only=True)
class ToHealth:
    """As much at once as restores the health, with a buffer: Marginfi (without one) and Drift's spot market.

    Rates are fractions. `liquidation_ltv` is the maintenance weight of the collateral over that of the debt. A
    liquidator sells the collateral for `liquidator_fee` more than the debt that is repaid; `insurance_fee` of the debt
    goes to the insurance fund instead of being repaid. With `of_collateral` both are parts of the seized value, as on
    Marginfi. `buffer` is by how much the debt has to fall below the line.
    """

    liquidation_ltv: Fraction = field(converter=exactly)
    liquidator_fee: Fraction = field(converter=exactly)
    insurance_fee: Fraction = field(converter=exactly)
    buffer: Fraction = field(default=Fraction(0), converter=exactly)
    of_collateral: bool = False

    @property
    def rate(self) -> Fraction:
        """The bonus: what is seized beyond the repaid debt, as a fraction of it."""
        if self.of_collateral:
            return 1 / (1 - self.liquidator_fee - self.insurance_fee) - 1
        return (1 + self.liquidator_fee) / (1 - self.insurance_fee) - 1

    def unhealthy(self, collateral: Amount, debt: Amount) -> bool:
        """Whether the position may be liquidated: beyond the line."""
        return debt > self.liquidation_ltv * collateral

    def round(self, collateral: Amount, debt: Amount) -> Round:
        """What one liquidation repays and seizes; all, if no amount makes the position healthy."""
        shortage = (1 + self.buffer) * debt - self.liquidation_ltv * collateral
        if collateral <= 0 or debt <= 0 or shortage <= 0:
            return Round(Fraction(0), Fraction(0), self.rate)
        gained = 1 + self.buffer - self.liquidation_ltv * (1 + self.rate)
        size = min(shortage / gained, Fraction(debt)) if gained > 0 else Fraction(debt)
        return _affordable(size, self.rate, "fees", "buffer", collateral)


Procedure = Rounds | ToHealth
"""How a lender liquidates."""
PROCEDURES: Mapping[str, Callable[..., Procedure]] = {
    "kamino": Rounds,
    "save": partial(Rounds, solvent=False, small_debt_included=True),
    "marginfi": partial(ToHealth, of_collateral=True),
    "drift": ToHealth,
}
"""The procedure of each lender with the constants of its code; its arguments are the rules that can change."""
Name = Literal["kamino", "marginfi", "drift", "save"]
"""The lenders whose procedure is known."""


BAD_DEBT_LTV = Fraction(99, 100)
"""Loan-to-value from which Kamino's liquidators are paid the bonus for bad debt."""


def _rate(bonus: tuple[Fraction, BonusBy]) -> Fraction:
    return bonus[0]


def _affordable(size: Fraction, bonus: Fraction, bonus_by: BonusBy, size_by: SizeBy, collateral: Amount) -> Round:
    """A round of this size, scaled down to what the collateral covers."""
    seized = size * (1 + bonus)
    if seized > collateral:
        return Round(collateral / (1 + bonus), Fraction(collateral), bonus, bonus_by, size_by)
    return Round(size, seized, bonus, bonus_by, size_by)


@frozen
class Seizure:
    """A round in whole atomic units: `repaid` of the debt's asset for `seized` of the collateral's."""

    repaid: int
    seized: int
    round: Round


def until_healthy(
    procedure: Procedure, coins: int, debt: int, price: Fraction, *, found: bool = False
) -> Iterator[Seizure]:
    """Round after round at one price, until the position is healthy or nothing is left to seize or to repay.

    `price` is the worth of an atomic unit of the coins in atomic units of the debt. Repayments are rounded up, so that
    each is at least one unit, and what is seized is rounded down. With `found` the first round is made in any case: the
    position was found at its line in floats, and may be within it by a rounding.
    """
    while coins > 0 and debt > 0 and (found or procedure.unhealthy(coins * price, debt)):
        found = False
        made = procedure.round(coins * price, debt)
        seizure = Seizure(min(ceil(made.repaid), debt), min(floor(made.seized / price), coins), made)
        if not seizure.repaid:
            return
        yield seizure
        coins, debt = coins - seizure.seized, debt - seizure.repaid


Rule = float | Dated | None
"""A rule, with dates or without, or none."""


@frozen(kw_only=True, cache_hash=True)
class Lender:
    """The rules of a lender that its governance can change, for a coin as collateral and a loan in USDC.

    They are fractions, but for names that end in a unit. The first six say how much is lent; the others are those of
    `Rounds` and `ToHealth`, which say how a position is liquidated.
    """

    limit_ltv: Rule = field(default=None, validator=share)
    """The largest loan-to-value of a new loan."""
    max_leverage: Rule = field(default=None, validator=not_negative)
    """The largest worth of the collateral, as a multiple of the equity."""
    borrow_capacity_usd: Rule = field(default=None, validator=not_negative)
    """The most that one position can owe."""
    max_borrowing_rate: Rule = field(default=None, validator=not_negative)
    """The yearly rate above which the pool has no money to lend."""
    borrow_fee_bps: float | Dated = field(default=0.0, validator=basis_points)
    """Fee on new debt."""
    liquidation_ltv: float | Dated = field(validator=share)
    """The loan-to-value at which a position is liquidated."""
    least_shortage: float | Dated = field(default=0.0, validator=fraction)
    """How far beyond that the loan has to be before a liquidator comes, as a share of it."""
    close_factor: Rule = field(default=None, validator=share)
    min_bonus: Rule = field(default=None, validator=fraction)
    max_bonus: Rule = field(default=None, validator=fraction)
    max_bonus_ltv: Rule = field(default=None, validator=share)
    bad_debt_bonus: Rule = field(default=None, validator=fraction)
    insolvency_ltv: Rule = field(default=None, validator=share)
    small_debt_usd: Rule = field(default=None, validator=not_negative)
    most_per_call_usd: Rule = field(default=None, validator=not_negative)
    liquidator_fee: Rule = field(default=None, validator=fraction)
    insurance_fee: Rule = field(default=None, validator=fraction)
    buffer: Rule = field(default=None, validator=fraction)

    def at(self, at_ns: int) -> "Lender":
        """The rules in force at an instant, as plain values; raises `ScenarioError` with the name of the rule."""
        found: list[tuple[str, Any]] = []
        for each in fields(Lender):
            rule = getattr(self, each.name)
            if isinstance(rule, Dated):
                try:
                    found.append((each.name, rule.at(at_ns)))
                except ScenarioError as error:
                    raise ScenarioError(f"{each.name}: {error}") from None
        return _with_values(self, tuple(found))

    def refusals(
        self, worth_usd: float, owed_usd: float, borrowed_usd: float, rate: float, pool_usd: float | None
    ) -> Iterator[tuple[str, str]]:
        """Why a loan is not given: each reason, with a place for the lender's name, and the rule behind it.

        The loan is `owed_usd` on collateral worth `worth_usd`, of which `borrowed_usd` are new. The pool has `pool_usd`
        to lend, if that is known, at the yearly `rate`. The rules have to be plain values, as `at` returns them.
        """
        rules: Any = self
        least_usd = 1 / USDC.scale  # what is free was rounded to the nearest unit
        if rules.limit_ltv is not None and owed_usd > rules.limit_ltv * worth_usd + least_usd:
            yield f"{{}} lends up to {rules.limit_ltv:.4g} of their worth", "limit_ltv"
        if rules.max_leverage is not None and worth_usd > rules.max_leverage * (worth_usd - owed_usd + least_usd):
            yield f"expected at most {rules.max_leverage:.4g} times the equity at {{}}", "max_leverage"
        if rules.borrow_capacity_usd is not None and owed_usd > rules.borrow_capacity_usd:
            yield f"{{}} lends one position up to {rules.borrow_capacity_usd:,.2f} USD", "borrow_capacity_usd"
        if pool_usd is not None and borrowed_usd > pool_usd:
            yield f"the pool of {{}} has {pool_usd:,.2f} USD to lend", ""
        if rules.max_borrowing_rate is not None and rate > rules.max_borrowing_rate:
            yield f"the pool of {{}} lends nothing at a rate above {rules.max_borrowing_rate:g}", "max_borrowing_rate"

    def procedure(self, name: Name) -> Procedure:
        """How the lender of this name liquidates under these rules, on sums in atomic units of USDC.

        Raises `ScenarioError` for a rule that is missing.
        """
        make = PROCEDURES[name]
        kind = make.func if isinstance(make, partial) else make
        found: dict[str, object] = {}
        for each in fields(kind):  # type: ignore[arg-type]
            in_usd = hasattr(self, f"{each.name}_usd")
            rule = getattr(self, f"{each.name}_usd" if in_usd else each.name, None)
            if rule is not None:
                found[each.name] = exactly(rule) * USDC.scale if in_usd else rule
            elif each.default is NOTHING:
                raise ScenarioError(f"{each.name}: missing; expected a value, which {name} liquidates by")
        return make(**found)

    def margin(self) -> float | Dated:
        """The equity at which a liquidator comes, as a fraction of the collateral: 1 less the loan-to-value."""
        found: float | Dated = joined(_margin, self.liquidation_ltv, self.least_shortage)
        return found


@cache
def _with_values(lender: Lender, values: tuple[tuple[str, Any], ...]) -> Lender:
    """The lender with some rules at these values; validated once between two changes of its rules."""
    return evolve(lender, **dict(values))


def _margin(line: float, beyond: float) -> float:
    return float(1 - exactly(line) * (1 + exactly(beyond)))


def most_ltv(limit: float | None, leverage: float | None) -> float:
    """The largest loan-to-value of a new loan, by a limit and by a maximum leverage."""
    return min(1.0 if limit is None else limit, 1.0 if leverage is None else 1 - 1 / leverage)
