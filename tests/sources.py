"""A real HTTP server on the loopback that speaks as the sources do, and misbehaves as they do when it is told to."""

import json
import threading
import time
from collections.abc import Callable
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
    """What the server says: JSON, or bytes as they are; `cut` stops in the middle, `slow_s` waits before each piece."""

    content: object = None
    status: int = 200
    headers: dict[str, str] = Factory(dict)
    cut: bool = False
    slow_s: float = 0.0

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

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

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
    """Hyperliquid's info API over these rows, at most `page` of them at once."""

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
        return [row for row in rows if wanted["startTime"] <= row[key] <= until][:page]

    return speak
