"""Hyperliquid: an account with one perpetual position, its margin in USDC."""

from attrs import frozen

from venues.perpetual import Perpetual


@frozen(kw_only=True)
class Hyperliquid(Perpetual):
    """Hyperliquid's perpetual under given rules; `Perpetual` says what they mean."""

    name: str = "hyperliquid"
    funding_rate: str = "hyperliquid_funding_rate"
