"""Origins: by which commands the series of a store are fetched or imported, as their ids say it."""

from collections.abc import Iterable
from datetime import date

USUAL_INTERVAL = "1h"
FUNDING = "funding"


def commands(series: Iterable[str], known: Iterable[str] = (), days: tuple[date, date] | None = None) -> list[str]:
    """The commands that fetch `series`, one for each source and market; none for a source that is not ours.

    A command that fetches candles and funding at once takes the interval of candles that `series` or `known` have.
    `days` are the first and the last, both included; without them `DAY` stands for the first.
    """
    wanted = list(dict.fromkeys(series))
    intervals = _intervals((*wanted, *known))
    options: dict[str, list[str]] = {}
    for each in wanted:
        match each.split(":"):
            case "hyperliquid" | "binance" as source, market, what:
                candles = intervals.get((source, market), USUAL_INTERVAL) if what == FUNDING else what
                name = "coin" if source == "hyperliquid" else "symbol"
                options[f"{source} --{name} {market} --interval {candles}"] = []
            case "drift", market, "funding":
                options[f"drift --market {market}"] = []
            case "defillama", pool:
                options.setdefault("defillama", []).append(f"--pool {pool}")
            case "kamino", reserve:
                options.setdefault("kamino", []).append(f"--reserve {reserve}")
            case "kamino", market, reserve:
                options.setdefault(f"kamino --market {market}", []).append(f"--reserve {reserve}")
            case "jito", "pool_rate":
                options["jito"] = []
    window = f"--from {days[0]} --to {days[1]}" if days else "--from DAY"
    return [" ".join(("carrybook fetch", source, *more, window)) for source, more in options.items()]


def imports(series: Iterable[str]) -> list[str]:
    """The commands that import those of `series` that are a user's own; `FILE` and `UNIT` stand for what they have."""
    found = []
    for each in dict.fromkeys(series):
        match each.split(":"):
            case "own", coin, "funding" | "rates" as kind:
                found.append(f"carrybook data import FILE --kind {kind} --coin {coin} --unit UNIT")
            case "own", coin, *_:
                found.append(f"carrybook data import FILE --kind prices --coin {coin}")
    return found


def _intervals(series: Iterable[str]) -> dict[tuple[str, str], str]:
    """Source and market -> the first interval of which candles are named."""
    found: dict[tuple[str, str], str] = {}
    for each in series:
        match each.split(":"):
            case source, market, what if what != FUNDING:
                found.setdefault((source, market), what)
    return found
