"""A real HTTP server on the loopback that speaks as the sources do, and misbehaves as they do where a test asks."""

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from attrs import Factory, define, field

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
START_MS = 1_735_689_600_000
"""2025-01-01T00:00:00Z."""


@define
class Asked:
    """A request as it came in."""

    method: str
    path: str
    query: dict[str, str]
    body: dict
    agent: str


@define
class Answer:
    """What the server says: JSON, or bytes as they are; `cut` stops in the middle, `slow_s` waits before each piece.

    `slow_headers_s` sends a hundred lines of headers first, and waits before each.
    """

    content: object = None
    status: int = 200
    headers: dict[str, str] = Factory(dict)
    cut: bool = False
    slow_s: float = 0.0
    slow_headers_s: float = 0.0

    @property
    def bytes(self) -> bytes:
        """The body."""
        return self.content if isinstance(self.content, bytes) else json.dumps(self.content).encode()


@define
class Host:
    """The server while it runs: `speak` answers, unless `first` has an answer that goes before."""

    speak: Callable[[Asked], object]
    first: list[Answer] = Factory(list)
    asked: list[Asked] = Factory(list)
    _server: ThreadingHTTPServer = field(init=False)

    def __attrs_post_init__(self) -> None:
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self._answer({})

            def do_POST(self) -> None:
                self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

            def _answer(self, body: dict) -> None:
                parts = urlsplit(self.path)
                query = dict(parse_qsl(parts.query))
                asked = Asked(self.command, parts.path, query, body, self.headers["User-Agent"])
                host.asked.append(asked)
                said = host.first.pop(0) if host.first else host.speak(asked)
                answer = said if isinstance(said, Answer) else Answer(said)
                content = answer.bytes
                if answer.slow_headers_s and not self._send_slowly(answer.slow_headers_s):
                    return
                self.send_response(answer.status)
                for name, value in ({"Content-Length": str(len(content))} | answer.headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.close_connection = answer.cut
                pieces = [content[: len(content) // 2]] if answer.cut else [content]
                if answer.slow_s:
                    pieces = [content[index : index + 1] for index in range(len(content))]
                try:
                    for piece in pieces:
                        time.sleep(answer.slow_s)
                        self.wfile.write(piece)
                        self.wfile.flush()
                except OSError:
                    self.close_connection = True

            def _send_slowly(self, wait_s: float) -> bool:
                try:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                    for _ in range(100):
                        time.sleep(wait_s)
                        self.wfile.write(b"X-Slow: 1\r\n")
                        self.wfile.flush()
                except OSError:
                    self.close_connection = True
                    return False
                return True

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  (of clients that have had enough)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "Host":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def candle(opens_ms: int, interval: str = "1d", close: float = 100.0, **cells: object) -> dict:
    """A candle as Hyperliquid gives it."""
    span = {"1h": HOUR_MS, "4h": 4 * HOUR_MS, "1d": DAY_MS}[interval]
    return {
        "t": opens_ms, "T": opens_ms + span - 1, "s": "SOL", "i": interval,
        "o": "100", "c": str(close), "h": "120", "l": "80", "v": "1000.5", "n": 7,
    } | cells  # fmt: skip


def candles(days: int, interval: str = "1d", **cells: object) -> list[dict]:
    """Candles from 2025-01-01 on."""
    span = {"1h": HOUR_MS, "4h": 4 * HOUR_MS, "1d": DAY_MS}[interval]
    return [candle(START_MS + index * span, interval, **cells) for index in range(days * DAY_MS // span)]


def premium_of(hour: int) -> float:
    """A premium for an hour: some beyond the clamp on either side."""
    return ((hour * 37) % 29 - 12) / 12_000


def hyperliquid_rate(premium: float) -> float:
    """The rate that Hyperliquid's formula gives for a premium."""
    return (premium + max(-0.0005, min(0.0005, 0.0001 - premium))) / 8


def payment(hour: int, **cells: object) -> dict:
    """An hourly payment as Hyperliquid gives it, stamped some milliseconds late."""
    premium = premium_of(hour)
    return {
        "coin": "SOL", "fundingRate": f"{hyperliquid_rate(premium):.12f}", "premium": f"{premium:.12f}",
        "time": START_MS + hour * HOUR_MS + 76,
    } | cells  # fmt: skip


def payments(days: int) -> list[dict]:
    """Hourly payments from 2025-01-01 on."""
    return [payment(hour) for hour in range(days * 24)]


def hyperliquid(prices: list[dict], funding: list[dict], page: int = 500) -> Callable[[Asked], object]:
    """Hyperliquid's info API over these rows, at most `page` of them at once, for whatever coin is asked."""

    def speak(asked: Asked) -> object:
        if asked.body["type"] == "fundingHistory":
            wanted, rows, key = asked.body, funding, "time"
        else:
            wanted, rows, key = (
                asked.body["req"],
                [row for row in prices if row["i"] == asked.body["req"]["interval"]],
                "t",
            )
        until = wanted.get("endTime", 1 << 60)
        name = {"coin" if key == "time" else "s": wanted["coin"]}
        return [row | name for row in rows if wanted["startTime"] <= row[key] <= until][:page]

    return speak


def drift_record(hour: int, **cells: object) -> dict:
    """An hourly record of Drift: 0.0000125 of 200 USD for longs, a little less for shorts, in decimal text."""
    return {
        "ts": START_MS // 1000 + hour * 3600 + 7, "fundingRate": "0.002500000", "fundingRateLong": "0.002500000",
        "fundingRateShort": "0.002000000", "oraclePriceTwap": "200.000000", "symbol": "SOL-PERP",
    } | cells  # fmt: skip


def drift(records: list[dict], key: str = "records") -> Callable[[Asked], object]:
    """Drift's data API: the records of the day in the path."""

    def speak(asked: Asked) -> object:
        year, month, day = map(int, asked.path.split("/")[-3:])
        first = int(datetime(year, month, day, tzinfo=UTC).timestamp())
        name = {"symbol": asked.path.split("/")[2]}
        rows = [row | name for row in records if first <= int(row["ts"]) < first + 86_400]
        return {"success": True, key: rows, "meta": {"nextPage": None}}

    return speak


def iso(at_ms: int) -> str:
    """A time as the chart interfaces write it."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def pool_sample(day: int, **cells: object) -> dict:
    """A day of DefiLlama's chart, in percent, sampled at 23:01 and some seconds."""
    return {
        "timestamp": iso(START_MS + day * DAY_MS + 82_860_000 + day % 7 * 1000), "apyReward": None,
        "totalBorrowUsd": 5, "apyBase": 5.0 + day / 100, "apyBaseBorrow": 8.0 + day / 100,
    } | cells  # fmt: skip


def defillama(rows: list[dict]) -> Callable[[Asked], object]:
    """DefiLlama: the whole chart, whatever is asked."""
    return lambda _: {"status": "success", "data": rows}


def reserve_sample(hour: int, **metrics: object) -> dict:
    """An hour of a Kamino reserve, rates as fractions, at times as text."""
    rates = {"supplyInterestAPY": 0.05, "borrowInterestAPY": "0.08", "loanToValueRatio": 0.74}
    return {"timestamp": iso(START_MS + hour * HOUR_MS), "metrics": rates | metrics}


def kamino(rows: list[dict]) -> Callable[[Asked], object]:
    """Kamino's API: the hours from start to end, both included."""

    def speak(asked: Asked) -> object:
        start, end = asked.query["start"], asked.query["end"]
        market, reserve = asked.path.split("/")[2:5:2]
        told = [row for row in rows if start <= row["timestamp"] <= end]
        return {"reserve": reserve, "market": market, "history": told}

    return speak


def jito(days: int, value: float = 1e9, supply: float = 1.0) -> Callable[[Asked], object]:
    """Jito's API: of samples every six hours the last within each day and the window, both ends included.

    The pool's rate is 1.2 and grows by 0.05 % every second day.
    """

    def speak(asked: Asked) -> object:
        limits = asked.body["range_filter"]
        first, last = (datetime.fromisoformat(limits[end]).timestamp() * 1000 for end in ("start", "end"))
        every = range(START_MS, START_MS + days * DAY_MS, DAY_MS // 4)
        latest = {at // DAY_MS: at for at in every if first <= at <= last}
        days_since = {at: (at - START_MS) // DAY_MS for at in latest.values()}
        rates = {iso(at): 1.2 * 1.0005 ** (day // 2) for at, day in days_since.items()}
        return {
            "tvl": [{"data": rate * 10_000_000 * value, "date": at} for at, rate in rates.items()],
            "supply": [{"data": 10_000_000 * supply, "date": at} for at in rates],
            "apy": [{"data": 0.07, "date": at} for at in rates],
        }

    return speak


def binance(prices: list[dict], funding: list[dict], page: int = 1000) -> Callable[[Asked], object]:
    """Binance's futures API: candles as arrays, payments as objects, ascending from startTime."""

    def speak(asked: Asked) -> object:
        first, last = int(asked.query["startTime"]), int(asked.query["endTime"])
        if asked.path.endswith("klines"):
            rows = [row for row in prices if first <= row["t"] <= last and row["i"] == asked.query["interval"]]
            return [[*(row[key] for key in "tohlcvT"), "0", 1, "0", "0", "0"] for row in rows][:page]
        name = {"symbol": asked.query["symbol"]}
        return [row | name for row in funding if first <= row["fundingTime"] <= last][:page]

    return speak


def binance_payment(hour: int, rate: float = 0.0001) -> dict:
    """A payment of Binance, some milliseconds late."""
    at = START_MS + hour * HOUR_MS + 3
    return {"symbol": "SOLUSDT", "fundingTime": at, "fundingRate": f"{rate:.8f}", "markPrice": ""}
