"""`Rulebook`: a named set of rules that fills in what a scenario leaves open about its venues and about entry."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from framework.strategy import Strategy


class Rulebook(ABC):
    """Rules as values. Subclasses are frozen; their fields are the keys of `[rulebook]` in a scenario."""

    look_ahead_at_entry: bool

    @abstractmethod
    def terms(self, venue: str, strategy: Strategy) -> Mapping[str, object]:
        """Keys of `[venues.NAME]` for a venue of the class with this short name; the scenario's own keys go first."""

    def leaves_open(self, venue: str, strategy: Strategy) -> str:  # noqa: ARG002  (for rulebooks that do)
        """Why it leaves rules of such a venue open, for the complaint about one that is missing; nothing by default."""
        return ""
