"""The manifest of a run as one typed value: the one door through which the JSON of a run's folder is read.

Whoever sends a folder may have written anything into it. What passes this door has every key once and no other, of its
type, integers of at most 64 bits, finite numbers, and codes that are in the chart of accounts.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

from attrs import Attribute, asdict, field, frozen, validators

from framework.errors import RunError, ScenarioError
from framework.market import At
from framework.money import Account, Asset
from framework.scenario import structure
from framework.support.files import MIB, read_bounded

FORMAT = 4
"""Version of the folder's layout."""
JSON_BYTES = 16 * MIB
"""The longest JSON file that is read: the manifest of a thousand million transfers has as many bytes."""
JSON_DEPTH = 32
"""How deep lists and objects may lie in each other."""
INTEGER = 2**63
"""What an integer is less than."""
DIGEST = re.compile(r"[0-9a-f]{64}")
MOST_DECIMALS = 18
"""What an asset is counted to, at most."""
NAME = re.compile(r"[a-z][a-z0-9_]*")
"""What a venue is called."""


def read_json(path: Path) -> dict[str, object]:
    """A JSON file as an object; raises `RunError` for anything that two readers could take for two things.

    Refused are keys that stand twice, numbers that are not finite or too large, and more than `JSON_DEPTH` levels.
    """
    try:
        value = json.loads(
            read_bounded(path, JSON_BYTES).decode(),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_finite,
            parse_constant=_finite,
        )
    except OSError as error:
        raise RunError(f"{path}: not readable ({error.strerror}); expected the file as it was saved") from None
    except RecursionError:
        raise RunError(f"{path}: too many levels; expected at most {JSON_DEPTH}") from None
    except ValueError as error:
        raise RunError(f"{path}: not readable ({error}); expected the file as it was saved") from None
    if not isinstance(value, dict):
        raise RunError(f"{path}: a {type(value).__name__}; expected an object")
    level: list[object] = [value]
    for _ in range(JSON_DEPTH):
        level = [below for each in level for below in _below(each)]
    if level:
        raise RunError(f"{path}: too many levels; expected at most {JSON_DEPTH}")
    return value


def _below(value: object) -> list[object]:
    match value:
        case dict():
            return list(value.values())
        case list():
            return value
        case _:
            return []


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} stands twice")
    return found


def _integer(text: str) -> int:
    if len(text) > 20 or not -INTEGER <= (value := int(text)) < INTEGER:
        raise ValueError(f"an integer of {len(text)} digits")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text}")
    return value


def _digest(_: object, attribute: "Attribute[str]", value: str) -> None:
    if not DIGEST.fullmatch(value):
        raise ValueError(f"'{attribute.name}' must be a SHA-256 in hexadecimal digits: {value!r}")


@frozen(kw_only=True)
class Chart:
    """The chart of accounts, as lists of lists: the ledger's digest begins with it, so their form is fixed."""

    accounts: tuple[tuple[str, str], ...]
    """Name and asset of each."""
    floored: tuple[tuple[int], ...]
    buckets: tuple[tuple[str | None], ...]
    assets: tuple[tuple[str, int], ...]
    """Code and decimals of each."""
    kinds: tuple[tuple[str], ...]
    opened: tuple[Account, ...] = field(init=False, eq=False, repr=False)
    """The accounts in the order of their codes."""

    def __attrs_post_init__(self) -> None:
        assets = {code: Asset(code, decimals) for code, decimals in self.assets if 0 <= decimals <= MOST_DECIMALS}
        floored = {code for (code,) in self.floored}
        if len(assets) < len(self.assets):
            raise ValueError(f"'assets' must be codes, each once, with 0 to {MOST_DECIMALS} decimals: {self.assets}")
        if len(set(self.accounts)) < len(self.accounts) or not {asset for _, asset in self.accounts} <= assets.keys():
            raise ValueError(f"'accounts' must be names, each once, with an asset of the chart: {self.accounts}")
        if len(self.buckets) != len(self.accounts):
            raise ValueError(f"'buckets' must be one for each account: {len(self.buckets)}")
        if not floored <= set(range(len(self.accounts))):
            raise ValueError(f"'floored' must be codes of accounts: {sorted(floored)}")
        opened = tuple(
            Account(name, assets[asset], code in floored, bucket)
            for code, ((name, asset), (bucket,)) in enumerate(zip(self.accounts, self.buckets, strict=True))
        )
        object.__setattr__(self, "opened", opened)

    def plain(self) -> Mapping[str, object]:
        """The chart as it is digested."""
        return asdict(self, filter=lambda each, _: each.init)


@frozen(kw_only=True)
class Sealed:
    """The ledger by its digests, its chart of accounts, and the balances with which it ended, in atomic units."""

    digest: str = field(validator=_digest)
    chain: tuple[str, ...]
    chart: Chart
    balances: tuple[int, ...]


@frozen(kw_only=True)
class StreamLine:
    """What was declared to accrue: `debit` and `credit` are codes of accounts, `asset` is what it is on."""

    venue: str
    event: str
    kind: str
    debit: int
    credit: int
    asset: str
    basis: str
    share: float


@frozen(kw_only=True)
class Counts:
    """How many rows, events and transfers a run has."""

    rows: int = field(validator=validators.ge(1))
    events: int = field(validator=validators.ge(0))
    transfers: int = field(validator=validators.ge(0))


@frozen(kw_only=True)
class Place:
    """Where a directory was, absolutely and seen from the folder of the run."""

    path: str
    from_run: str


def _plain_names(_: object, attribute: "Attribute[Mapping[str, object]]", names: Mapping[str, object]) -> None:
    """Names of files in one directory, which lead nowhere else."""
    for name in names:
        if not name or "\0" in name or Path(name).name != name:
            raise ValueError(f"'{attribute.name}' must be names of files: {name!r}")


@frozen(kw_only=True)
class Manifest:
    """What a run's folder says of itself."""

    format: int
    run: str = field(validator=_digest)
    scenario: str = field(validator=_digest)
    seed: int
    inputs: dict[str, str] = field(validator=_plain_names)
    code: dict[str, str]
    """Module of a user's own -> SHA-256 of its file."""
    project: str = field(validator=_digest)
    data: Place | None
    beside: Place | None
    rules: dict[str, dict[str, object]]
    """Values of the rules by venue."""
    dated_rules: dict[str, dict[str, object]]
    """What a rulebook's dated rules said in the time of the run, by venue and key."""
    label: str
    capital: int = field(validator=validators.gt(0))
    opened_at: At
    coin: str
    ledger: Sealed
    owners: tuple[str, ...]
    streams: tuple[StreamLine, ...]
    counts: Counts
    files: dict[str, str] = field(validator=_plain_names)
    versions: dict[str, str]

    def __attrs_post_init__(self) -> None:
        chart = self.ledger.chart
        for name, listed in (("balances", self.ledger.balances), ("owners", self.owners)):
            if len(listed) != len(chart.accounts):
                raise ValueError(f"'{name}' must be one for each of {len(chart.accounts)} accounts: {len(listed)}")
        codes, assets = range(len(chart.accounts)), {code for code, _ in chart.assets}
        for each in self.streams:
            if each.debit not in codes or each.credit not in codes or each.asset not in assets:
                raise ValueError(f"'streams' must be between accounts and on an asset of the chart: {each}")
        if "carrybook" not in self.versions:
            raise ValueError(f"'versions' must be with that of carrybook: {self.versions}")
        if not all(NAME.fullmatch(venue) for venue in self.rules):
            raise ValueError(f"'rules' must be names of venues: {', '.join(self.rules)}")

    def name(self) -> str:
        """The name of a run of what this manifest says that went in."""
        return run_name(self.versions["carrybook"], self.project, self.scenario, self.inputs, self.code)


def run_name(version: str, project: str, scenario: str, inputs: Mapping[str, str], code: Mapping[str, str]) -> str:
    """The name of a run: SHA-256 over the project's version and files, the scenario, every input, and own code."""
    return hashlib.sha256(
        "\n".join([version, project, scenario, *inputs.values(), *code.values()]).encode()
    ).hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a run's folder; raises `RunError` with the first key that is not as it was saved."""
    path = folder / "manifest.json"
    if not path.is_file():
        raise RunError(f"{folder}: not a finished run; expected a folder with manifest.json")
    table = read_json(path)
    if table.get("format") != FORMAT:
        raise RunError(f"{path}: format {table.get('format')!r}; expected {FORMAT}, the one of this version")
    try:
        return structure(table, Manifest, "")
    except ScenarioError as error:
        raise RunError(f"{path}: {error}") from None
