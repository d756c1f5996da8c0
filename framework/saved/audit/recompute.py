"""Thorough checks: income, fees, liquidations and positions again, from market rows and balances and by other code.

Nothing here calls a venue. Of a venue only its rules are read, the values that stand in the scenario; accounts are
found by their names. A venue whose rules are unknown here is left to `again`.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from framework.accounts import Account
from framework.assembly import Assembly
from framework.market import Flags, Floats, Ints
from framework.saved.audit.finding import Finding, Findings
from framework.saved.audit.held import at_cost, held, market_prices, prices_at
from framework.saved.audit.history import History, worst
from framework.units import JITOSOL, SOL, USDC, perpetual
from framework.venue import Venue, account_part

ROUNDING = 0.5
"""A path is rounded once per row: what was posted is never further from it than half an atomic unit."""


def _off(what: str, account: Account | None, sign: int, exact: Floats, anew: Flags, history: History) -> Findings:
    """The entries at which what was settled on an account leaves the exact path by more than its rounding."""
    posted = sign * history.settled(account)
    off = worst(posted, exact, anew)
    slack = ROUNDING + 1e-3 + 1e-12 * np.abs(exact.cumsum())
    outside = np.abs(off) > slack
    first = outside & ~np.concatenate(([False], outside[:-1]))
    for row in np.flatnonzero(first).tolist():
        words = f"{what} is {off[row]:+.3f} atomic units from what row and position make; posted {posted[row]}"
        yield Finding(history.settlement(account, row), words)


def funding(assembly: Assembly, history: History) -> Findings:
    """Each row's funding is rate x position x price, on the position before the row, to half an atomic unit."""
    market = history.market
    for venue in assembly.venues:
        rate_column = getattr(venue, "funding_rate", None)
        if not isinstance(rate_column, str) or rate_column not in market.columns:
            continue
        place, contract = account_part(venue.name), perpetual(str(getattr(venue, "coin", "")))
        position = history.account(f"Assets:{place}:Position", contract.code)
        size = history.before(position) / contract.scale
        if at_cost(venue):
            exact = history.before(history.account(f"Assets:{place}:Quote", "USDC")) * market[rate_column]
        else:
            exact = -size * market[str(getattr(venue, "funding_price", "close"))] * market[rate_column] * USDC.scale
        received = history.account(f"Income:{place}:Funding", "USDC")
        yield from _off(f"funding at {venue.name}", received, -1, exact, history.acted(position), history)


def interest(assembly: Assembly, history: History) -> Findings:
    """Each row's lending and interest are rate x balance, compounding between entries, to half an atomic unit."""
    for venue in assembly.venues:
        if isinstance(getattr(venue, "lending_rate", None), str):
            yield from (_interest_at_cost if at_cost(venue) else _interest_compounding)(venue, history)


def _interest_compounding(venue: Venue, history: History) -> Findings:
    market, place = history.market, account_part(venue.name)
    coin = str(getattr(venue, "coin", ""))
    for words, name, asset, column, sign in (
        ("lending", f"Assets:{place}:Collateral", coin, "lending_rate", 1),
        ("interest", f"Liabilities:{place}:Loan", "USDC", "borrowing_rate", -1),
        ("interest on a deposit", f"Assets:{place}:Deposit", "USDC", "borrowing_rate", 1),
    ):
        account = history.account(name, asset)
        growth = 1 + market[str(getattr(venue, column))] * market.years
        anew = history.acted(account)
        exact = _compounded(sign * history.before(account), growth, anew)
        yield from _off(f"{words} at {venue.name}", account, sign, exact, anew, history)


def _compounded(before: Ints, growth: Floats, anew: Flags) -> Floats:
    """What a balance gains in each row if it is not rounded between the rows in which it begins anew."""
    starts = [0, *np.flatnonzero(anew).tolist(), len(before)]
    gains = np.zeros(len(before))
    for start, stop in pairwise(starts):
        if stop > start:
            path = before[start] * np.concatenate(([1.0], np.cumprod(growth[start:stop])))
            gains[start:stop] = np.diff(path)
    return gains


def _interest_at_cost(venue: Venue, history: History) -> Findings:
    """At cost nothing compounds: the base is the balance as the last entry on the account left it."""
    market, place = history.market, account_part(venue.name)
    for words, base, gained, column, sign in (
        ("lending", f"Equity:{place}:Trading", f"Income:{place}:Lending", "lending_rate", -1),
        ("interest", f"Liabilities:{place}:Loan", f"Expenses:{place}:Interest", "borrowing_rate", 1),
        ("interest on a deposit", f"Assets:{place}:Deposit", f"Income:{place}:DepositInterest", "borrowing_rate", -1),
    ):
        account = history.account(base, "USDC")
        anew = history.acted(account)
        starts = np.maximum.accumulate(np.where(anew, np.arange(len(anew)), 0))
        principal = np.abs(history.before(account))[starts]
        exact = principal * market[str(getattr(venue, column))] * market.years
        yield from _off(f"{words} at {venue.name}", history.account(gained, "USDC"), sign, exact, anew, history)


def rewards(assembly: Assembly, history: History) -> Findings:
    """Each step of a pool's rate is income on all tokens in the books, before its fee, to half an atomic unit."""
    market = history.market
    for venue in assembly.venues:
        fee = getattr(venue, "reward_fee", None)
        if fee is None:
            continue
        place = account_part(venue.name)
        accounts = history.folder.accounts
        held = [each for each in accounts if each.asset == JITOSOL and each.name.startswith("Assets:")]
        others = [each for each in accounts if each.asset == JITOSOL and not each.name.startswith("Assets:")]
        tokens = sum((history.before(each) for each in held), np.zeros(len(market), dtype=np.int64)) / JITOSOL.scale
        anew = np.logical_or.reduce([history.acted(each) for each in others])
        levels = np.concatenate((market["jitosol_rate_open"][:1], market["jitosol_rate_close"]))
        step = np.diff(levels)
        kept = np.maximum(step, 0.0) * fee / (1 - fee)
        for words, name, gain in (
            ("staking", f"Equity:{place}:Accretion", step),
            ("the fee on staking", f"Expenses:{place}:RewardFee", kept),
        ):
            account = history.account(name, "SOL")
            yield from _off(f"{words} at {venue.name}", account, 1, tokens * gain * SOL.scale, anew, history)


def running_fees(assembly: Assembly, history: History) -> Findings:
    """An issuer's yearly fee of a row is charged on the value of everything else, less what is owed already."""
    market, folder = history.market, history.folder
    for venue in assembly.venues:
        yearly = getattr(venue, "maintenance_per_year", None)
        if not yearly:
            continue
        place = account_part(venue.name)
        owed = -history.before(history.account(f"Liabilities:{place}:MaintenanceFee", "USDC"))
        value, at_market = np.zeros(len(market)), market_prices(history)
        prices = {account_part(each.name): prices_at(each, history, history.accrued) for each in assembly.venues}
        for account in folder.accounts:
            root, holder = account.name.split(":")[:2]
            if root in {"Assets", "Liabilities"} and holder != place:
                price = prices.get(holder, at_market)[account.asset]
                value += history.accrued(account) / account.asset.scale * price * USDC.scale
        held = sum(
            (np.abs(history.before(each)) for each in folder.accounts if each.asset != USDC),
            np.zeros(len(market), dtype=np.int64),
        )
        exact = np.where((held > 0) | (owed != 0), (value - owed) * yearly * market.years, 0.0)
        charged = history.account(f"Expenses:{place}:MaintenanceFee", "USDC")
        posted = history.settled(charged)
        for row in np.flatnonzero(np.abs(posted - exact) > ROUNDING + 1e-3).tolist():
            words = f"the fee of {venue.name} is {posted[row] - exact[row]:+.3f} atomic units from rate x value"
            yield Finding(history.settlement(charged, row), words)


def liquidations(assembly: Assembly, history: History) -> Findings:
    """A position was liquidated in a row if, and only if, its health had crossed the line at the row's high or low."""
    happened = _liquidated_rows(history)
    for venue in assembly.venues:
        crossed = _crossed(venue, history)
        if crossed is None:
            continue
        for row in np.flatnonzero(crossed).tolist():
            if row not in happened.get(venue.name, set()):
                place = history.market.rows(row, row + 1)
                yield Finding(place, f"the position at {venue.name} had crossed its line and was not liquidated")
        for row in sorted(happened.get(venue.name, set())):
            if not crossed[row]:
                place = history.market.rows(row, row + 1)
                yield Finding(place, f"the position at {venue.name} was liquidated and had not crossed its line")


def _liquidated_rows(history: History) -> dict[str, set[int]]:
    rows: dict[str, set[int]] = {}
    for event in history.folder.events(("Liquidated",), ("venue", "row")):
        rows.setdefault(event["venue"], set()).add(event["row"])
    return rows


def _crossed(venue: Venue, history: History) -> Flags | None:
    """The rows at whose high or low a position would be liquidated; None for a venue whose rules are not known here."""
    market, margin = history.market, getattr(venue, "maintenance_margin", None)
    position = held(venue, history, history.accrued)
    if margin is None or position is None:
        return None
    size, money, cost = position.size, position.money_usd, position.cost
    distance = getattr(venue, "liquidation_distance", None)
    adverse = np.where(size > 0, market["low"], market["high"])
    if distance is not None:
        line = cost * np.where(size > 0, 1 - distance, 1 + distance)
        beyond: Flags = (size != 0) & np.where(size > 0, adverse <= line, adverse >= line)
        return beyond
    price = cost if at_cost(venue) else adverse
    token = getattr(venue, "collateral", None)
    if token:
        account = history.account(f"Assets:{account_part(venue.name)}:Collateral", token)
        tokens = history.accrued(account) / (account.asset.scale if account else 1)
        worth = tokens * market[f"{token.lower()}_close"] / market["close"]
        money = money + getattr(venue, "collateral_weight", 1.0) * worth * price
    short_of: Flags = (size != 0) & (money + size * price <= margin * np.abs(size) * price)
    return short_of


def positions(assembly: Assembly, history: History) -> Findings:
    """Positions in the ledger, in the orders that made them and in the curve are the same after every row."""
    market, curve = history.market, history.folder.table("equity")
    for venue in assembly.venues:
        place, coin = account_part(venue.name), str(getattr(venue, "coin", ""))
        contracts = (each for each in history.folder.accounts if each.name == f"Assets:{place}:Position")
        account = next(contracts, None) or history.account(f"Assets:{place}:Coins", coin)
        if account is None:
            continue
        after = history.after(account)
        known = np.rint(curve[f"{venue.name}_size"].to_numpy() * account.asset.scale).astype(np.int64)
        filled = _filled(history, venue.name)
        for row in np.flatnonzero((after != known) | (after != filled)).tolist()[:1]:
            words = (
                f"{venue.name} holds {after[row]} atomic units of {account.asset.code} in the ledger, "
                f"{filled[row]} by its orders and {known[row]} in the curve"
            )
            yield Finding(market.rows(row, row + 1), words)


def _fills(history: History, venue: str) -> Iterator[tuple[int, int, int]]:
    """Event, instant and signed size of everything that changed a position."""
    names = ("event", "at_ns", "kind", "venue", "order", "size", "closed")
    for event in history.folder.events(("OrderFilled", "Liquidated"), names):
        if event["venue"] != venue:
            continue
        if event["kind"] == "Liquidated" and event["closed"]:
            yield event["event"], event["at_ns"], -event["size"]
        elif event["order"] in ("open", "close", "resize", "swap"):
            yield event["event"], event["at_ns"], event["size"]


def _filled(history: History, venue: str) -> Ints:
    """The position after each row by the orders that were filled, before what the end of the run did."""
    gains = np.zeros(len(history.market) + 1, dtype=np.int64)
    for event, at_ns, size in _fills(history, venue):
        if not history.ended or event < history.ended:
            gains[int(history.market.at_ns.searchsorted(at_ns))] += size
    return gains.cumsum()[:-1]
