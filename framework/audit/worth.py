"""The checks of what a run says that it is worth: curve, waterfall and summary, again from the folder."""

from collections.abc import Iterator, Mapping
from decimal import localcontext
from itertools import islice, product

import numpy as np

from framework.audit.books import known
from framework.audit.findings import Finding, Findings
from framework.books import ROLES
from framework.events import Ended
from framework.money import USDC, Account
from framework.performance import COSTS, FIGURES
from framework.run_folder.archive import Folder
from framework.valuation import Waterfall, Worth, decimal, fees_of, waterfall_of
from framework.venue import BRIDGE_FEE, CASH, IN_TRANSIT


def end(folder: Folder) -> Findings:
    """The curve is the sum of its parts, and its end, the balances and the waterfall come to the same final equity.

    It starts at the capital. Its last close is before the orders that the end of the run provoked and is compared with
    the balances before these: cash and money in transit as they are, and each venue's equity at the last close, every
    account at its price, mark or oracle price. A venue may value otherwise, such as at cost. Then the last equity of
    all, plus what those orders gained and lost apart from that venue's trades, has to be the final equity.
    """
    curve = folder.table("equity")
    moments = curve["moment"].to_pylist()
    if moments != ["start", *["close"] * (len(moments) - 2), "end"]:
        yield Finding("equity.parquet", "its moments are not the start, the close of each row and the end")
        return
    names = ("cash_usd", "transit_usd", *(f"{each}_equity_usd" for each in dict.fromkeys(folder.owners) if each))
    parts = {name: curve[name].to_numpy() for name in names}
    whole = curve["equity_usd"].to_numpy()
    total = sum(parts.values(), np.zeros(len(whole)))
    for row in np.flatnonzero(~(np.abs(whole - total) <= 1e-9 + 1e-12 * np.abs(total)))[:1].tolist():
        yield Finding(f"equity.parquet, row {row + 1}", f"equity_usd is {whole[row]}; its parts sum to {total[row]}")
    after = worth_of(folder)
    final, steps = after.equity(), waterfall_of(after, folder.capital)
    with localcontext(prec=100):  # a sum of Decimals is rounded to 28 digits otherwise
        buckets = (amount for name, amount in steps.steps() if name not in ("unexplained", "result"))
        summed = sum(buckets, USDC.decimal(folder.capital))
    if decimal(final) != summed:
        yield Finding("the final equity", f"capital and buckets come to {summed}; the balances to {decimal(final)}")
    if not _about(float(whole[0]), USDC.units(folder.capital)):
        yield Finding("the start of the curve", f"it is {whole[0]}; the capital is {USDC.decimal(folder.capital)}")
    left = dict.fromkeys(names, 0)
    for account, owner in zip(folder.accounts, folder.owners, strict=True):
        if account.owned:
            left[_part(account, owner)] += after.left[account]
    for name, values in ({"equity_usd": whole} | parts).items():
        books = decimal(left.get(name, final))
        if not _about(float(values[-1]), float(books)):
            yield Finding("the end of the curve", f"{name} is {values[-1]}; the books have {books}")
    last = {name: float(values[-2]) for name, values in ({"equity_usd": whole} | parts).items()}
    yield from _last_close(folder, last, after)


def _last_close(folder: Folder, last: Mapping[str, float], after: Worth) -> Findings:
    """The curve at the last close is what the balances were worth before the orders of the end."""
    ended = next((int(each["event"]) for each in folder.events((Ended.__name__,), ("event",))), None)
    before = folder.book.worth(batch if ended is None else batch[batch["event"] < ended] for batch in known(folder))
    for name, account in (("cash_usd", CASH), ("transit_usd", IN_TRANSIT)):
        held = sum(atoms for each, atoms in before.balances.items() if each.name == account.name)
        if not _about(last[name], USDC.units(held)):
            yield Finding("the last close of the curve", f"{name} is {last[name]}; the books have {USDC.decimal(held)}")
    expected, otherwise = float(decimal(before.equity())), set()
    for owner in dict.fromkeys(each for each in folder.owners if each):
        at_price, *others = _worths(folder, owner, before)
        found = next((each for each in (at_price, *others) if _about(last[f"{owner}_equity_usd"], each)), None)
        if found is None:
            otherwise.add(owner)
        else:
            expected += found - at_price
    gained = 0
    for account, owner in zip(folder.accounts, folder.owners, strict=True):
        if (
            account.bucket is not None
            and not account.owned
            and (account.bucket not in ("execution", "price_pnl") or owner not in otherwise)
        ):
            gained -= after.through[account] - before.through[account]
    if otherwise:
        shift = expected - float(decimal(before.equity()))
        expected = float(decimal(after.equity() - gained)) + shift
    if not _about(last["equity_usd"], expected):
        words = f"it is {last['equity_usd']:.6f}, and what the end of the run did gained {float(decimal(gained)):.6f}"
        finally_usd = float(decimal(after.equity()))
        yield Finding("the last close of the curve", f"{words}; the final equity of the books is {finally_usd:.6f}")


def _part(account: Account, owner: str) -> str:
    """The column of the curve in which an account counts."""
    if owner:
        return f"{owner}_equity_usd"
    return "transit_usd" if account.name == IN_TRANSIT.name else "cash_usd"


def _about(first: float, second: float) -> bool:
    """Whether two sums in USD are the same but for the rounding of the trades of a moment."""
    return abs(first - second) <= 1e-5 + 1e-12 * abs(second)


def _worths(folder: Folder, owner: str, worth: Worth) -> Iterator[float]:
    """What a venue's accounts may be worth at the last close, USD: at their prices, then at their marks or oracles."""
    money, choices = 0.0, []
    for account, of in zip(folder.accounts, folder.owners, strict=True):
        if of != owner or not account.owned or not worth.balances[account]:
            continue
        if account.asset == USDC:
            money += USDC.units(worth.balances[account])
            continue
        names = dict.fromkeys(folder.market.price_column(account.asset, "close", role, owner) for role in ROLES)
        units = account.asset.units(worth.balances[account])
        choices.append([units * folder.market[name][-1].item() for name in names])
    for chosen in islice(product(*choices), MOST_CHOICES):
        yield money + sum(chosen)


MOST_CHOICES = 1000
"""Ways of valuing a venue's accounts that are tried."""


def worth_of(folder: Folder) -> Worth:
    """What the accounts of a folder are worth, without the transfers of accounts that its chart lacks."""
    return folder.book.worth(known(folder))


def waterfall(folder: Folder) -> Findings:
    """The buckets of the waterfall sum to the result, and nothing is unexplained."""
    steps = waterfall_of(worth_of(folder), folder.capital)
    if steps.unexplained:
        yield Finding("the waterfall", f"{steps.unexplained} USD are unexplained; expected 0")


def summary(folder: Folder) -> Findings:
    """The money and the counts of the summary are those that the books make."""
    worth = worth_of(folder)
    steps = waterfall_of(worth, folder.capital)
    equity = decimal(worth.equity())
    capital = USDC.decimal(folder.capital)
    made: dict[str, object] = {name: _said(steps, name) for name in FIGURES}
    made |= {
        "capital_usd": float(capital),
        "final_equity_usd": float(equity),
        "return_pct": float((equity / capital - 1) * 100),
        "bridge_usd": float(fees_of(worth)[BRIDGE_FEE.name]),
        "transfers": folder.manifest.counts.transfers,
        "events": folder.manifest.counts.events,
        "rows": folder.manifest.counts.rows,
        "ledger_digest": folder.manifest.ledger.digest,
    }
    for name, value in made.items():
        if folder.summary.get(name) != value:
            yield Finding(f"summary.json, {name}", f"{folder.summary.get(name)}; the books make {value}")


def _said(steps: Waterfall, name: str) -> float:
    amount = getattr(steps, FIGURES[name])
    return float(-amount if name in COSTS else amount)
