"""A kept connection to a server that speaks the OpenAI format, with tries, waits and messages that name the mend.

aiohttp rather than httpx: with hundreds of requests in flight the CPU of each decides, about 0.3 ms against over 1 ms.
"""

import asyncio
import email.utils
import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import aiohttp

from agentark.errors import EngineError, EngineUnavailable, InvalidInput
from agentark.llm.wire import Malformed

_Parsed = TypeVar("_Parsed")

_SHOWN = 300  # Characters of a server's body that are quoted in a message.
_ERROR_BYTES = 65536
_CHECK_TIMEOUT_S = 30.0


class Refused(EngineError):
    """A request that the server will not answer however often it is made.

    Attributes:
        status: Of HTTP.
        body: The beginning of what the server sent, up to 64 KiB; it may hold the key, so it is not to be shown.
    """

    def __init__(self, message: str, status: int, body: bytes = b"") -> None:
        super().__init__(message)
        self.status, self.body = status, body


class _Retry(Exception):
    """A try that failed in a way that may pass."""

    def __init__(self, reason: str, after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.after_s = after_s


class Connection:
    """Requests to one model of one server.

    Tries that end in status 429 or 5xx, a timeout, a cut connection or a malformed body are repeated after a wait drawn
    from [0, backoff_s * 2^tries] (full jitter), or after what the server asks for in Retry-After. Other 4xx are final.

    Args:
        base_url: For example ``http://localhost:8000/v1``.
        model: Name under which the server offers the model.
        api_key: Sent as a bearer token; at most one of the three ways may be used.
        api_key_env: Environment variable that holds the key.
        api_key_file: File that holds the key.
        max_connections: Requests in flight at most; others wait for a free slot.
        timeout_s: Longest single try, in seconds.
        deadline_s: Longest request over all its tries and waits, in seconds, from when it got its slot.
        max_retries: Tries after the first.
        backoff_s: Scale of the first wait, in seconds.
        backoff_max_s: Longest wait, in seconds, that is not asked for by the server.

    Attributes:
        url: The base URL without a slash at its end.
        model: Name of the model.
        requests: Requests answered.
        retries: Tries beyond the first.

    Raises:
        InvalidInput: If the address is no HTTP address, or the key cannot be read or used.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str = "",
        api_key_env: str = "",
        api_key_file: Path | None = None,
        max_connections: int = 64,
        timeout_s: float = 300.0,
        deadline_s: float = 900.0,
        max_retries: int = 8,
        backoff_s: float = 0.25,
        backoff_max_s: float = 30.0,
    ) -> None:
        self.url = _checked_url(base_url)
        self.model = model
        self._key_source = _key_source(api_key, api_key_env, api_key_file)
        self._key = _read_key(api_key, api_key_env, api_key_file)
        self._headers = {"Content-Type": "application/json"}
        if self._key:
            self._headers["Authorization"] = f"Bearer {self._key}"
        self._max_connections = max_connections
        self._slots = asyncio.Semaphore(max_connections)
        self._timeout_s, self._deadline_s = timeout_s, deadline_s
        self._max_retries, self._backoff_s, self._backoff_max_s = max_retries, backoff_s, backoff_max_s
        # Unseeded on purpose: clients must not wait in step, and no result depends on it.
        self._jitter = random.Random()
        self._session: aiohttp.ClientSession | None = None
        self.requests = 0
        self.retries = 0

    async def check(self) -> None:
        """Make sure that the server is there and serves the model.

        Raises:
            InvalidInput: If the address, the key or the model's name is wrong.
            EngineUnavailable: If nobody answers, or the server is not ready to.
            EngineError: If the answer is not that of such a server.
        """
        url = f"{self.url}/models"
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S), self._opened().get(url, headers=self._headers) as response:
                body = await response.content.read(2**22)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise EngineUnavailable(self._unreachable(error)) from error
        if response.status in (401, 403):
            raise InvalidInput(self._refusal(url, response.status, body))
        if response.status == 404:
            raise InvalidInput(f"{url} does not exist (status 404); the base URL of most servers ends in /v1")
        if response.status != 200:
            busy = response.status == 429 or response.status >= 500
            raise (EngineUnavailable if busy else EngineError)(
                f"{url} answered with status {response.status}: {self._quoted(body)}"
            )
        try:
            offered = [str(entry["id"]) for entry in json.loads(body)["data"]]
        except (ValueError, KeyError, TypeError) as error:
            raise EngineError(
                f"{url} does not list models, so this is no OpenAI-compatible server: {self._quoted(body)}"
            ) from error
        if self.model not in offered:
            raise InvalidInput(
                f"{self.url} does not serve {self.model!r}; it offers: {', '.join(offered) or 'nothing'}"
            )

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, url: str, body: bytes, parse: Callable[[bytes], _Parsed]) -> tuple[_Parsed, float]:
        """Send a request until there is an answer that can be read.

        Asking again has to be safe.

        Args:
            url: The whole address.
            body: JSON.
            parse: Reads a body of status 200; raises `Malformed` where it cannot.

        Returns:
            What `parse` returned, and the seconds spent waiting for a slot.

        Raises:
            Refused: If the server refuses the request.
            EngineError: If no try within the deadline gave a usable answer.
        """
        queued = time.perf_counter()
        # Held through the waits between tries as well: a server in trouble should not be asked by more.
        async with self._slots:
            started = time.perf_counter()
            tries = 0
            while True:
                left_s = started + self._deadline_s - time.perf_counter()
                tries += 1
                try:
                    answer = parse(await self._try(url, body, min(left_s, self._timeout_s)))
                except _Retry as failure:
                    reason, after_s = str(failure), failure.after_s
                except Malformed as failure:
                    reason, after_s = f"{url} answered with status 200, but {failure}", 0.0
                else:
                    self.requests += 1
                    return answer, started - queued
                wait_s = self._wait_s(tries, after_s)
                left_s = started + self._deadline_s - time.perf_counter()
                if tries > self._max_retries or wait_s >= left_s:
                    limit = (
                        f"deadline_s={self._deadline_s:g}" if wait_s >= left_s else f"max_retries={self._max_retries}"
                    )
                    raise EngineError(f"gave up after {tries} {'try' if tries == 1 else 'tries'} ({limit}): {reason}")
                self.retries += 1
                await asyncio.sleep(wait_s)

    def _wait_s(self, tries: int, after_s: float) -> float:
        jitter_s = self._jitter.uniform(0, min(self._backoff_max_s, self._backoff_s * 2.0 ** (tries - 1)))
        # Asked to come back at one moment, clients would all come at that moment.
        return after_s + jitter_s

    async def _try(self, url: str, body: bytes, timeout_s: float) -> bytes:
        """The body of a reply with status 200."""
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._opened().post(url, data=body, headers=self._headers, allow_redirects=False) as response,
            ):
                if response.status == 200:
                    return await response.read()
                refused = await response.content.read(_ERROR_BYTES)
        except TimeoutError as error:
            raise _Retry(
                f"{url} did not answer within {timeout_s:.3g} s (timeout_s or what the deadline left)"
            ) from error
        except aiohttp.ClientSSLError as error:
            raise EngineError(f"{url}: no safe connection: {error}") from error
        except aiohttp.ClientConnectorError as error:
            raise _Retry(self._unreachable(error)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise _Retry(f"{url}: the connection was cut ({type(error).__name__}: {error})") from error
        if response.status == 429 or response.status >= 500:
            after_s = _retry_after_s(response.headers.get("Retry-After", ""))
            raise _Retry(f"{url} answered with status {response.status}: {self._quoted(refused)}", after_s)
        message = self._refusal(url, response.status, refused)
        if response.status == 404:
            message += await self._offers()
        raise Refused(message, response.status, refused)

    async def _offers(self) -> str:
        """Say what `check` finds wrong, for a request that the server does not know what to do with."""
        try:
            await self.check()
        except (InvalidInput, EngineError) as error:
            return f"; {error}"
        return ""

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._max_connections, keepalive_timeout=60.0),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),  # Each try sets its own.
            )
        return self._session

    def _unreachable(self, error: BaseException) -> str:
        return (
            f"no server answers at {self.url} ({type(error).__name__}: {error}); start it, or correct the base URL; "
            "`curl` the address followed by /models to see"
        )

    def _refusal(self, url: str, status: int, body: bytes) -> str:
        message = f"{url} refused the request with status {status}: {self._quoted(body)}"
        if status in (401, 403):
            message += f"; {self._key_source}"
        return message

    def _quoted(self, body: bytes) -> str:
        text = body.decode("utf-8", errors="replace")
        if self._key:
            text = text.replace(self._key, "***")  # Before it is cut, so that no part of the key remains.
        text = " ".join(text.split())
        return repr(text[:_SHOWN]) + ("..." if len(text) > _SHOWN else "")


def _checked_url(base_url: str) -> str:
    parts = urlsplit(base_url)
    if "@" in parts.netloc:
        raise InvalidInput("the base URL holds a user or password; give the key by an environment variable or a file")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise InvalidInput(f"the base URL is {base_url!r}; accepted: an address like http://localhost:8000/v1")
    return base_url.rstrip("/")


def _key_source(api_key: str, api_key_env: str, api_key_file: Path | None) -> str:
    """Say where the key comes from, and so what to look at when it is refused."""
    if sum(map(bool, (api_key, api_key_env, api_key_file))) > 1:
        raise InvalidInput("give only one of api_key, api_key_env and api_key_file")
    if api_key_env:
        return f"the key is the one in the environment variable {api_key_env}: correct it there"
    if api_key_file:
        return f"the key is the one in the file {api_key_file}: correct it there"
    if api_key:
        return "correct the key given as api_key"
    return "no key was sent: put it into an environment variable and name that as api_key_env, or give api_key_file"


def _read_key(api_key: str, api_key_env: str, api_key_file: Path | None) -> str:
    if api_key_env:
        api_key = os.environ.get(api_key_env, "")
        if not api_key:
            raise InvalidInput(f"the environment variable {api_key_env}, which should hold the API key, is not set")
    if api_key_file:
        try:
            api_key = api_key_file.read_text(encoding="ascii", errors="replace")
        except OSError as error:
            raise InvalidInput(f"the API key file {api_key_file} cannot be read: {error.strerror}") from error
        if not api_key.strip():
            raise InvalidInput(f"the API key file {api_key_file} is empty")
    api_key = api_key.strip()
    if not (api_key.isascii() and api_key.isprintable()):
        raise InvalidInput(
            f"the API key holds characters that no header can carry ({api_key_env or api_key_file or ''})"
        )
    return api_key


def _retry_after_s(value: str) -> float:
    """Read Retry-After, seconds or a date; 0 where there is none that can be read."""
    value = value.strip()
    if value.replace(".", "", 1).isdigit():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    return max(0.0, moment.timestamp() - time.time())
