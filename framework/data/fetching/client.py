"""The HTTP client: polite to one host, patient with its failures, and never taken in by the size of a reply."""

import contextlib
import hashlib
import json
import random
import socket
import threading
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from types import TracebackType
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx2
from attrs import define, field, frozen
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from framework.errors import FetchError
from framework.support.logs import log

AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may pass."""
LONGEST_WAIT_S = 60.0
LONGEST_ASKED_S = 300.0
"""How long a source may ask us to wait."""


@frozen
class Pace:
    """What a source allows: `per_minute` units of weight, `burst` of them at once; after a 429 at least `rest_s`."""

    per_minute: float
    burst: float = 1.0
    rest_s: float = 1.0


@frozen
class Reply:
    """The body of a reply, and the request that it answers as one line."""

    request: str
    content: bytes

    @property
    def sha256(self) -> str:
        """The digest of the raw reply."""
        return hashlib.sha256(self.content).hexdigest()

    def json(self) -> Any:  # noqa: ANN401  (whatever the source says)
        """The body as JSON; raises `FetchError`."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError) as error:
            raise FetchError(f"{self.request}: not JSON ({error}): {_start(self.content)}; expected JSON") from None


class _Passing(Exception):  # noqa: N818  (it is no mistake, it may pass)
    """A failure that may pass, with the words to use if it does not and what it asks to wait."""

    def __init__(self, words: str, wait_s: float = 0.0) -> None:
        super().__init__(words)
        self.wait_s = wait_s


@define
class Client:
    """Requests to one host, one after another.

    A request that fails in a way that may pass is made again, up to `attempts` times, after waits that double and are
    spread by chance. `wait_scale` scales these waits and the source's pace: less than 1 is for a host of one's own.
    What a source asks for by Retry-After is kept to always. Each attempt has `timeout_s` from its first byte
    to its last, and a reply `limit_bytes`.
    """

    host: str
    pace: Pace
    wait_scale: float = 1.0
    attempts: int = 6
    timeout_s: float = 30.0
    limit_bytes: int = 1 << 26
    requests: int = field(default=0, init=False)
    _told: str = field(init=False)
    """The host as messages and provenance name it: without a user's name and password."""
    _budget: float = field(init=False)
    _at: float = field(init=False)
    _http: httpx2.Client = field(init=False)
    _socket: socket.socket | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        try:
            parts = urlsplit(self.host)
            whole = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:  # such as a broken address of IPv6, or a port that is no number
            whole = False
        if not whole:
            host = self.host.rpartition("@")[2]
            raise FetchError(f"{host[:80]!r} is not a host; expected one such as https://api.hyperliquid.xyz")
        self._told = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        self._budget, self._at = self.pace.burst, time.monotonic()
        self._http = httpx2.Client(
            headers={"User-Agent": f"carrybook/{version('carrybook')}", "Accept": "application/json"},
            timeout=self.timeout_s,
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, parameters: Mapping[str, object] | None = None, weight: float = 1.0) -> Reply:
        """What the host answers to a GET; raises `FetchError`."""
        path += f"?{urlencode(parameters)}" if parameters else ""
        return self._asked(f"GET {self._told}{path}", "GET", f"{self.host}{path}", None, weight)

    def post(self, path: str, body: object, weight: float = 1.0) -> Reply:
        """What the host answers to a POST of JSON; raises `FetchError`."""
        content = json.dumps(body, separators=(",", ":"))
        return self._asked(f"POST {self._told}{path} {content}", "POST", f"{self.host}{path}", content, weight)

    def _asked(self, request: str, method: str, url: str, body: str | None, weight: float) -> Reply:
        retrying = Retrying(
            stop=stop_after_attempt(self.attempts),
            wait=self._wait_s,
            retry=retry_if_exception_type(_Passing),
            before_sleep=lambda state: _log_wait(request, state),
            reraise=True,
        )
        try:
            return Reply(request, retrying(self._once, request, method, url, body, weight))
        except _Passing as error:
            raise FetchError(f"{request}: {error}; {self.attempts} attempts") from None

    def _once(self, request: str, method: str, url: str, body: str | None, weight: float) -> bytes:
        self._keep_pace(weight)
        self.requests += 1
        headers = {"Content-Type": "application/json"} if body else {}
        until = time.monotonic() + self.timeout_s
        late = threading.Event()
        alarm = threading.Timer(self.timeout_s, self._cut_off, (late,))
        alarm.daemon = True
        alarm.start()
        try:
            traced = {"trace": self._notice_connection}
            with self._http.stream(method, url, content=body, headers=headers, extensions=traced) as reply:
                content = self._read(request, reply, until)
        except httpx2.TimeoutException:
            raise _Passing(f"no reply within {self.timeout_s:g} s") from None
        except httpx2.TransportError as error:
            if late.is_set():
                raise _Passing(f"no whole reply within {self.timeout_s:g} s") from None
            raise _Passing(str(error) or type(error).__name__) from None
        except (httpx2.InvalidURL, httpx2.HTTPError) as error:
            raise FetchError(f"{request}: {error}") from None
        finally:
            alarm.cancel()
        if reply.status_code in AGAIN:
            raise _Passing(f"status {reply.status_code}", self._asked_wait_s(request, reply))
        if reply.status_code != httpx2.codes.OK:
            raise FetchError(f"{request}: status {reply.status_code}: {_start(content)}; expected 200")
        return content

    def _notice_connection(self, step: str, told: Mapping[str, Any]) -> None:
        """Remember the connection that a request opens, for `_cut_off`."""
        if step in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._socket = told["return_value"].get_extra_info("socket")

    def _cut_off(self, late: threading.Event) -> None:
        """End a reply that takes too long. Header lines that come one by one never let a read time out."""
        late.set()
        if self._socket is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _read(self, request: str, reply: httpx2.Response, until: float) -> bytes:
        parts, size = [], 0
        for part in reply.iter_bytes():
            parts.append(part)
            size += len(part)
            if size > self.limit_bytes:
                raise FetchError(f"{request}: a reply of more than {self.limit_bytes:,} bytes; expected less")
            if time.monotonic() > until:
                raise _Passing(f"no whole reply within {self.timeout_s:g} s")
        return b"".join(parts)

    def _asked_wait_s(self, request: str, reply: httpx2.Response) -> float:
        """What the host asks us to wait: by Retry-After, in seconds or as a date, or else the source's own rest."""
        rest_s = self.pace.rest_s * self.wait_scale if reply.status_code == httpx2.codes.TOO_MANY_REQUESTS else 0.0
        text = reply.headers.get("Retry-After")
        if text is None:
            return rest_s
        try:
            wait_s = float(text) if text.strip().isdigit() else parsedate_to_datetime(text).timestamp() - time.time()
        except (TypeError, ValueError):
            return rest_s
        if wait_s > LONGEST_ASKED_S:
            raise FetchError(f"{request}: the source asks to wait {wait_s:.0f} s; start again after that")
        return max(0.0, wait_s)

    def _wait_s(self, state: RetryCallState) -> float:
        spread_s = random.random()  # noqa: S311  (no secret)
        backoff_s = min(LONGEST_WAIT_S, 2.0 ** (state.attempt_number - 1) + spread_s) * self.wait_scale
        failure = state.outcome.exception() if state.outcome else None
        return max(backoff_s, failure.wait_s if isinstance(failure, _Passing) else 0.0)

    def _keep_pace(self, weight: float) -> None:
        """Wait until the source's budget has room for another request."""
        per_second = self.pace.per_minute / 60
        now = time.monotonic()
        self._budget = min(max(self.pace.burst, weight), self._budget + (now - self._at) * per_second)
        self._at = now
        short_s = max(0.0, weight - self._budget) / per_second * self.wait_scale
        if short_s:
            time.sleep(short_s)
            self._at, self._budget = time.monotonic(), weight
        self._budget -= weight


def _log_wait(request: str, state: RetryCallState) -> None:
    failure = state.outcome.exception() if state.outcome else None
    words = f"asking again in {state.upcoming_sleep:.1f} s: {failure}"
    log.warning(words, request=request)  # without --log nothing but the words is shown


def _start(content: bytes) -> str:
    """The first words of a reply in one line."""
    text = " ".join(content[:200].decode(errors="replace").split())
    return repr(text[:80]) if text else "nothing"
