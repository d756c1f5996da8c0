"""Thorough check of the equity curve: what the balances after each row are worth, at the market or at cost."""

import numpy as np

from framework.assembly import Assembly
from framework.market import Floats
from framework.saved.audit.finding import Finding, Findings
from framework.saved.audit.held import Prices, market_prices, prices_at
from framework.saved.audit.history import History
from framework.venue import CASH, IN_TRANSIT, account_part


def equity(assembly: Assembly, history: History) -> Findings:
    """The equity curve is what the balances after each row are worth, at each venue, at the market or at cost."""
    table, saved = history.market, history.folder.table("equity")
    for name, made in _made(assembly, history).items():
        kept = saved[name].to_numpy()
        off = ~(np.abs(kept - made) <= 1e-6 + 1e-9 * np.abs(made))
        for row in np.flatnonzero(off)[:1].tolist():
            words = f"{name} of the curve is {kept[row]:.6f}; the balances are worth {made[row]:.6f}"
            yield Finding(table.rows(row, row + 1), words)


def _made(assembly: Assembly, history: History) -> dict[str, Floats]:
    """The columns of the curve that are money, USD, by their names."""
    wallet = {"cash_usd": CASH.name, "transit_usd": IN_TRANSIT.name}
    made = {name: _worth(history, account, market_prices(history)) for name, account in wallet.items()}
    for venue in assembly.venues:
        prices, place = prices_at(venue, history, history.after), account_part(venue.name)
        sides = (_worth(history, f"{side}:{place}:", prices) for side in ("Assets", "Liabilities"))
        made[f"{venue.name}_equity_usd"] = sum(sides, np.zeros(len(history.market)))
    return made | {"equity_usd": sum(made.values(), np.zeros(len(history.market)))}


def _worth(history: History, beginning: str, prices: Prices) -> Floats:
    """What the accounts whose names begin so are worth after each row, USD."""
    value = np.zeros(len(history.market))
    for account in history.folder.accounts:
        if account.name.startswith(beginning):
            value += history.after(account) / account.asset.scale * prices[account.asset]
    return value
