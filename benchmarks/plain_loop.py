"""The rules of capital rebalance as a plain loop over rows: floats, no ledger, no framework; the bar to measure by.

It is what a careful script would be: the same decisions, the same figures out (each bucket of the waterfall, equity by
row, drawdown, the log of what was done), and nothing that can be walked back.
"""

from attrs import define, field


@define
class Position:
    """Both legs: coins and debt, contracts and margin, USD."""

    coins: float
    debt: float
    contracts: float
    entry: float
    margin: float


@define
class Outcome:
    """What the study reports of a run."""

    final: float = 0.0
    fees: float = 0.0
    bridge: float = 0.0
    penalty: float = 0.0
    carry: float = 0.0
    funding: float = 0.0
    bad_debt: float = 0.0
    drawdown: float = 0.0
    rebalances: int = 0
    liquidations: int = 0
    equity: list[float] = field(factory=list)
    events: list[dict[str, object]] = field(factory=list)


def capital_rebalance(
    rows: list[dict[str, float]],
    *,
    capital: float,
    leverage: float,
    trigger: float,
    open_fee_bps: float = 15.0,
    taker_fee_bps: float = 3.5,
    gas: float = 2.0,
    maintenance: float = 0.05,
    penalty_share: float = 0.5,
    bridge_fee: float = 3.0,
    rows_per_year: float = 365.0,
) -> Outcome:
    """One run under Hyperliquid's rules of the study; rows have high, low, close, funding, lending and borrowing."""
    opening, taker = open_fee_bps / 1e4, taker_fee_bps / 1e4
    out = Outcome()
    price = rows[0]["close"]
    half = capital / 2
    notional = half * leverage
    fee = notional * (opening + taker) + gas
    size = notional / price
    position = Position(size, half * (leverage - 1) + fee / 2, size, price, half - fee / 2)
    out.fees += fee
    out.events.append({"row": 0, "kind": "open", "price": price, "fees": fee})
    peak = capital
    for index, row in enumerate(rows):
        price, high, low = row["close"], row["high"], row["low"]
        earned = position.coins * row["lending"] / rows_per_year
        interest = position.debt * row["borrowing"] / rows_per_year
        funding = row["funding"] * position.contracts * price
        position.coins += earned
        position.debt += interest
        position.margin += funding
        out.carry += earned * price - interest
        out.funding += funding
        long = position.coins * price - position.debt
        short = position.margin + (position.entry - price) * position.contracts
        long_hit = position.coins * low - position.debt <= maintenance * position.coins * low
        short_at_high = position.margin + (position.entry - high) * position.contracts
        short_hit = short_at_high <= maintenance * position.contracts * high
        if long_hit or short_hit:
            for hit, equity in ((long_hit, long), (short_hit, short)):
                if hit:
                    taken = max(equity, 0.0) * penalty_share
                    out.penalty += taken
                    out.bad_debt += max(-equity, 0.0)
                    out.liquidations += 1
                    out.events.append({"row": index, "kind": "liquidation", "price": price, "penalty": taken})
            long = max(long, 0.0) * (1 - penalty_share) if long_hit else long
            short = max(short, 0.0) * (1 - penalty_share) if short_hit else short
            total = long + short
            fee = total / 2 * leverage * (opening + taker) + position.contracts * price * taker + gas
            out.fees += fee
            half = (total - fee) / 2
            size = half * leverage / price
            position = Position(size, half * (leverage - 1), size, price, half)
            out.events.append({"row": index, "kind": "reopen", "price": price, "fees": fee})
        elif position.coins * price > trigger * long or position.contracts * price > trigger * short:
            transfer = (long - short) / 2
            if abs(transfer) > 5:
                position.debt += transfer + bridge_fee / 2
                position.margin -= bridge_fee / 2 - transfer
                out.fees += bridge_fee
                out.bridge += bridge_fee
                out.rebalances += 1
                out.events.append({"row": index, "kind": "transfer", "price": price, "amount": transfer})
        equity = (
            position.coins * price
            - position.debt
            + position.margin
            + (position.entry - price) * position.contracts
        )  # fmt: skip
        out.equity.append(equity)
        peak = max(peak, equity)
        out.drawdown = max(out.drawdown, (peak - equity) / peak)
    fee = position.contracts * price * taker
    out.fees += fee
    out.final = equity - fee
    return out
