"""Incidents: what befalls venues and markets from outside, at a given time or drawn at random with a seed.

A scenario writes each as a table of `[[incidents]]`. Halts, failures and passages that fail are facts about an instant,
which orders, acts and arrivals ask for; a failure and a deleveraging also move money when they come; a frozen oracle
and a depeg are changes to the market's columns before the run begins.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
from attrs import evolve, field, frozen, validators

from framework.clock import NS_PER_HOUR, NS_PER_YEAR
from framework.errors import ScenarioError
from framework.market import Flags, Floats, Market, PriceAt, price_column
from framework.rulebook.rules import day, instant_ns
from framework.support.suggestions import suggestion

Kind = Literal["halt", "failure", "oracle_freeze", "depeg", "transfer_failure", "gas", "deleveraging"]
"""What may happen.

- `halt`: the venue takes no orders, nothing leaves or enters it; what accrues goes on
- `failure`: the venue is gone; `loss_share` of what it held is lost, the rest is on its way until `paid`
- `oracle_freeze`: the oracle prices that the venue reads stay where they were
- `depeg`: the market price of `token` is lower by `share`
- `transfer_failure`: nothing gets through to the venue or from it
- `gas`: gas costs `times` as much, at the venue or, without one, everywhere
- `deleveraging`: `share` of each profitable position at the venue is closed at the mark
"""
NEEDED: Mapping[Kind, tuple[str, ...]] = {
    "halt": ("venue",),
    "failure": ("venue", "loss_share"),
    "oracle_freeze": ("venue",),
    "depeg": ("token", "share"),
    "transfer_failure": ("venue",),
    "gas": ("times",),
    "deleveraging": ("venue", "share"),
}
"""The keys that each kind needs besides its time."""
FURTHER: Mapping[Kind, tuple[str, ...]] = {"failure": ("paid",), "gas": ("venue",)}
"""The keys that a kind may have."""
AT_ONCE = ("failure", "deleveraging")
"""Kinds that have no duration."""
CLOSING: tuple[Kind, ...] = ("halt", "failure")
"""Kinds that keep a venue closed while they last."""
ABOUT = ("venue", "token", "share", "loss_share", "times", "paid")
SHARE = validators.optional(validators.and_(validators.gt(0.0), validators.le(1.0)))


@frozen(kw_only=True)
class Incident:
    """An incident as a scenario writes it: `kind`, what it needs, and when.

    It begins `at` a date or an instant in UTC, or as often as `per_year`, at random with `seed`; it lasts for `hours`,
    or `until` an instant, or to the end of the run. Shares are fractions, `times` a multiple.
    """

    kind: Kind
    venue: str | None = None
    """The venue that it is about."""
    token: str | None = None
    """The token that it is about, such as jitoSOL."""
    share: float | None = field(default=None, validator=SHARE)
    """How much of it is meant, such as the share of a position."""
    loss_share: float | None = field(default=None, validator=SHARE)
    """The share of what a venue holds that is lost."""
    times: float | None = field(default=None, validator=validators.optional(validators.gt(0.0)))
    at: object = None
    until: object = None
    paid: object = None
    """When what a failed venue still has is paid out: a date or an instant in UTC."""
    hours: float | None = field(default=None, validator=validators.optional(validators.gt(0.0)))
    per_year: float | None = field(default=None, validator=validators.optional(validators.gt(0.0)))
    seed: int = 0

    def __attrs_post_init__(self) -> None:
        needed, may = NEEDED[self.kind], FURTHER.get(self.kind, ())
        for name in needed:
            if getattr(self, name) is None:
                raise ValueError(f"a {self.kind} without {name}; expected {', '.join(needed)}")
        for name in ABOUT:
            if getattr(self, name) is not None and name not in (*needed, *may):
                raise ValueError(
                    f"a {self.kind} with {name}; expected {', '.join((*needed, *may))} and when it happens"
                )
        if (self.at is None) == (self.per_year is None):
            raise ValueError(f"a {self.kind} with {'neither' if self.at is None else 'both'}; expected at or per_year")
        if self.until is not None and (self.hours is not None or self.at is None):
            raise ValueError(f"a {self.kind} with until; expected it with at, and without hours")
        if self.kind in AT_ONCE and (self.until is not None or self.hours is not None):
            raise ValueError(f"a {self.kind} with an end; expected none, for it happens at once")
        for name in ("at", "until", "paid"):
            if getattr(self, name) is not None:
                instant_ns(getattr(self, name))


@frozen(eq=False)
class Occurrence:
    """One time that an incident happens: from `start_ns` to before `end_ns`, or for good; `number` is its place."""

    number: int
    incident: Incident
    start_ns: int
    end_ns: int | None

    def at(self, at_ns: int) -> bool:
        """Whether it goes on at an instant."""
        return self.start_ns <= at_ns and (self.end_ns is None or at_ns < self.end_ns)

    @property
    def words(self) -> str:
        """Why the venue is closed."""
        until = "" if self.end_ns is None else f" until {day(self.end_ns)}"
        return f"has failed on {day(self.start_ns)}" if self.incident.kind == "failure" else f"is halted{until}"

    @property
    def paid_ns(self) -> int | None:
        """When what a failed venue has left is paid."""
        return None if self.incident.paid is None else instant_ns(self.incident.paid)


@frozen(eq=False)
class Incidents:
    """All that happens in a run, in the order in which it begins; what holds at an instant."""

    occurrences: tuple[Occurrence, ...] = ()

    @classmethod
    def of(cls, incidents: Sequence[Incident], market: Market, venues: Sequence[str]) -> "Incidents":
        """What a scenario says, on the time of a market; raises `ScenarioError` for what cannot happen there."""
        found: list[Occurrence] = []
        failing: dict[str | None, int] = {}
        for number, incident in enumerate(incidents):
            if incident.venue is not None and incident.venue not in venues:
                some = suggestion(incident.venue, venues)
                raise ScenarioError(f"incidents.{number}.venue: unknown venue {incident.venue!r}; {some}")
            if incident.kind == "failure" and incident.at is not None:
                first = failing.setdefault(incident.venue, number)
                if first != number:
                    words = (
                        f"{incident.venue} fails by incidents.{first}, and for good; expected one failure of a venue"
                    )
                    raise ScenarioError(f"incidents.{number}.venue: {words}")
            found += _occurrences(number, incident, market)
        return cls(tuple(sorted(found, key=lambda each: (each.start_ns, each.number))))

    def __bool__(self) -> bool:
        return bool(self.occurrences)

    def closed(self, venue: str, at_ns: int) -> Occurrence | None:
        """Why a venue takes no orders and no money at an instant; None where it is open. A failure overrides a halt."""
        found = [each for each in self._of(venue, *CLOSING) if each.at(at_ns)]
        return next((each for each in found if each.incident.kind == "failure"), found[0] if found else None)

    def failed_ns(self, venue: str) -> int | None:
        """When a venue fails for good; None where it does not."""
        return next((each.start_ns for each in self._of(venue, "failure")), None)

    def failing(self, venue: str) -> bool:
        """Whether a venue fails at some time."""
        return self.failed_ns(venue) is not None

    def cut_off(self, venue: str, at_ns: int) -> bool:
        """Whether nothing gets through to a venue, or from it, at an instant."""
        return any(each.at(at_ns) for each in self._of(venue, "transfer_failure"))

    def gas(self, venue: str, at_ns: int) -> float:
        """What gas costs at a venue at an instant, as a multiple of what it usually does."""
        found = (each for each in self._of(venue, "gas") if each.at(at_ns))
        return math.prod((each.incident.times or 1.0 for each in found), start=1.0)

    def closed_rows(self, venue: str, market: Market) -> Flags | None:
        """The rows at whose close a venue is closed; None where it never is."""
        found = [_rows(each, market.at_ns) for each in self._of(venue, *CLOSING)]
        return np.logical_or.reduce(found) if found else None

    def _of(self, venue: str, *kinds: Kind) -> Iterator[Occurrence]:
        """What of these kinds happens to a venue, or to all."""
        return (
            each for each in self.occurrences if each.incident.kind in kinds and each.incident.venue in (None, venue)
        )


def _rows(occurrence: Occurrence, at_ns: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Flags:
    """Which of some instants are within an occurrence."""
    end_ns = np.iinfo(np.int64).max if occurrence.end_ns is None else occurrence.end_ns
    within: Flags = (at_ns >= occurrence.start_ns) & (at_ns < end_ns)
    return within


def _occurrences(number: int, incident: Incident, market: Market) -> Iterator[Occurrence]:
    first_ns, last_ns = int(market.open_ns[0]), int(market.at_ns[-1])
    place = f"incidents.{number}"
    if incident.per_year is not None:
        for start_ns in _drawn(incident.per_year, incident.seed, number, first_ns, last_ns):
            yield Occurrence(number, incident, start_ns, _end_ns(incident, start_ns))
        return
    start_ns = instant_ns(incident.at)
    if not first_ns <= start_ns <= last_ns:
        words = f"the market, which runs from {day(first_ns)} to {day(last_ns)}"
        raise ScenarioError(f"{place}.at: {day(start_ns)} is outside {words}; expected an instant within it")
    end_ns = _end_ns(incident, start_ns)
    for name, later_ns in (
        ("until", None if incident.until is None else end_ns),
        ("paid", None if incident.paid is None else instant_ns(incident.paid)),
    ):
        if later_ns is not None and later_ns <= start_ns:
            raise ScenarioError(f"{place}.{name}: {day(later_ns)}; expected an instant after {day(start_ns)}")
    yield Occurrence(number, incident, start_ns, end_ns)


def _end_ns(incident: Incident, start_ns: int) -> int | None:
    if incident.kind == "deleveraging":
        return start_ns
    if incident.until is not None:
        return instant_ns(incident.until)
    return None if incident.hours is None else start_ns + round(incident.hours * NS_PER_HOUR)


def _drawn(per_year: float, seed: int, number: int, first_ns: int, last_ns: int) -> Iterator[int]:
    """Instants between two at which something happens that often, a Poisson process to the second."""
    state = (seed * 0x9E3779B97F4A7C15 + number * 0xD1B54A32D192ED03) & MASK
    at_ns = first_ns
    while True:
        state, share = split_mix(state)
        seconds = math.floor(-math.log1p(-share) / per_year * (NS_PER_YEAR // 1_000_000_000))
        at_ns += max(1, seconds) * 1_000_000_000
        if at_ns > last_ns:
            return
        yield at_ns


MASK = 2**64 - 1


def split_mix(state: int) -> tuple[int, float]:
    """The next state of SplitMix64, and a number from 0 to below 1 of the first 53 of its 64 bits."""
    state = (state + 0x9E3779B97F4A7C15) & MASK
    mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
    mixed ^= mixed >> 31
    return state, (mixed >> 11) * 2.0**-53


# What changes the market.


def disturbed(market: Market, incidents: Incidents, coins: Mapping[str, Sequence[str]]) -> Market:
    """The market with its oracles frozen and its pegs broken; `coins` are those of each venue.

    Raises `ScenarioError` for a token without a price.
    """
    columns = dict(market.columns)
    for each in incidents.occurrences:
        if each.incident.kind == "depeg":
            _break_peg(each, market, columns)
        elif each.incident.kind == "oracle_freeze":
            for coin in coins.get(each.incident.venue or "", ()):
                _freeze(each, market, columns, coin)
    same = len(columns) == len(market.columns) and all(columns[name] is market.columns[name] for name in columns)
    return market if same else evolve(market, columns=columns)


def _break_peg(occurrence: Occurrence, market: Market, columns: dict[str, Floats]) -> None:
    token, kept = str(occurrence.incident.token), 1 - float(occurrence.incident.share or 0)
    named = {at: price_column(columns, token, at, plain=market.coin or "-") for at in ("open", "low", "high", "close")}
    if named["close"] not in columns:
        raise ScenarioError(
            f"incidents.{occurrence.number}.token: the market has no price of {token!r}; expected a column "
            f"{token.lower()}_close or {token}.close"
        )
    closes, opens = _rows(occurrence, market.at_ns), _rows(occurrence, market.open_ns)
    some = (market.open_ns < (occurrence.end_ns or np.iinfo(np.int64).max)) & (market.at_ns >= occurrence.start_ns)
    for at, rows in (("open", opens), ("low", some), ("high", opens & closes), ("close", closes)):
        if named[at] in columns:
            columns[named[at]] = np.where(rows, columns[named[at]] * kept, columns[named[at]])


def _freeze(occurrence: Occurrence, market: Market, columns: dict[str, Floats], coin: str) -> None:
    """Let the oracle that a venue reads stay where it was at the last close before; others go on reading theirs."""
    venue = occurrence.incident.venue or ""

    def oracle(at: PriceAt) -> Floats:
        return columns[price_column(columns, coin, at, "oracle", market.coin, venue)]

    before = max(0, int(market.at_ns.searchsorted(occurrence.start_ns, side="left")) - 1)
    found: dict[str, Floats] = {"": oracle("close"), ".low": oracle("low"), ".high": oracle("high")}
    rows, frozen_at = _rows(occurrence, market.at_ns), found[""][before]
    rows[: before + 1] = False
    for end, values in found.items():
        columns[f"{venue}.{coin}.oracle{end}"] = np.where(rows, frozen_at, values)
