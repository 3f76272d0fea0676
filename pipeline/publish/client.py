"""A small HTTP client for OSF: patient, and careful with the token.

What goes wrong is returned and not raised: the exceptions of an HTTP library hold the request with all its headers, and
would take the token along into tracebacks and logs. Every answer is read in one place, `Client.ask`, which bounds its
size and its time and takes the token out of it.
"""

import json
import logging
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Timer
from typing import Any, Self

import httpx
from pydantic import SecretStr

from pipeline.errors import InputError
from pipeline.logs import log_event
from pipeline.publish.body import Body
from pipeline.publish.links import api_address, is_loopback, trusted_link
from pipeline.publish.target import PublishError

ATTEMPTS = 6
FIRST_PAUSE_SECONDS = 1.0  # then twice as long every time
LONGEST_PAUSE_SECONDS = 900.0  # that a server may ask for; its own limits are by the hour and by the day
TIMEOUT_SECONDS = 60.0  # without a byte either way
UPLOAD_TIMEOUT_SECONDS = 600.0  # for the answer to an upload: up to 5 GB are hashed and moved there before it comes
LONGEST_SECONDS = 900.0  # for a request and its whole answer, however steadily single bytes come
SLOWEST_BYTES_A_SECOND = 50_000.0  # of an upload, which has that much longer
MOST_ANSWER_BYTES = 16 << 20  # a page of a listing has some 200 kB

# What a request can end in, odd host names and ports among it; what is wrong with the file that is sent is not here.
_FAILURES = (httpx.HTTPError, httpx.InvalidURL, ValueError, OverflowError)
_MOST_PAGES = 1000
_EPOCH_SECONDS = 1e9  # WaterButler's documentation calls its Retry-After a time since 1970, its code sends seconds
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """What came back, if anything did."""

    status: int
    """0 where nothing came back."""

    reason: str
    document: Mapping[str, Any]
    retry_after: str = ""

    @property
    def is_passing(self) -> bool:
        """Whether it may go better the next time; a full storage (507) will not."""
        return self.status in {0, 408, 425, 429} or (self.status >= 500 and self.status != 507)

    @property
    def is_refusal(self) -> bool:
        """Whether it says no; if it neither does that nor is passing, nobody knows what was done."""
        return self.status >= 400 and not self.is_passing


class _Bearer(httpx.Auth):
    """Sets the token at the last moment, so that no other object holds it in the clear."""

    def __init__(self, token: SecretStr) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        yield request


class Client:
    """Asks an OSF API and the hosts that it names; redirections are not followed.

    Args:
        api: address of the API.
        token: personal access token.

    Raises:
        InputError: when the address is none, or the environment names a proxy or certificates that are of no use.
    """

    def __init__(self, api: str, token: SecretStr) -> None:
        self.api = api_address(api)
        self._token = token
        try:
            self._http = httpx.Client(
                auth=_Bearer(token),
                # Not compressed: what is read is then no larger than what came.
                headers={
                    "Accept": "application/vnd.api+json",
                    "Accept-Encoding": "identity",
                    "User-Agent": "ecg-foundry",
                },
                trust_env=not is_loopback(self.api),  # a proxy has no business on this machine
            )
        except (httpx.InvalidURL, ValueError, ImportError, OSError):  # may hold the proxy's password
            raise InputError(
                "the proxy or the certificates that the environment names cannot be used. Set HTTPS_PROXY, HTTP_PROXY "
                "and ALL_PROXY to addresses such as http://proxy:3128 (not SOCKS), and SSL_CERT_FILE to a file, or "
                "unset them"
            ) from None

    def __enter__(self) -> Self:
        """Use it until the block ends."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the connections."""
        self._http.close()

    def ask(self, method: str, link: str, parameters: Mapping[str, str], body: Body | None = None) -> Answer:
        """Ask once.

        Args:
            method: of HTTP.
            link: whole, or relative to the API.
            parameters: added to those of the link.
            body: a file to send.

        Returns:
            The answer, which may be that none came.

        Raises:
            PublishError: when the link leads to a host that must not be told the token, or the answer has no end.
            DatasetError: when the file is not what it was.
        """
        url = trusted_link(self.api, link)
        headers = {} if body is None else {"Content-Length": str(body.size), "Content-Type": "application/octet-stream"}
        timeout = httpx.Timeout(TIMEOUT_SECONDS, read=TIMEOUT_SECONDS if body is None else UPLOAD_TIMEOUT_SECONDS)
        limit = LONGEST_SECONDS + (0 if body is None else body.size / SLOWEST_BYTES_A_SECOND)
        watchdog = Timer(limit, self._http.close)  # which ends a read that a byte now and then would keep alive
        watchdog.daemon = True
        watchdog.start()
        content = bytearray()
        try:
            url = url.copy_merge_params(dict(parameters))
            with self._http.stream(method, url, headers=headers, content=body, timeout=timeout) as response:
                for piece in response.iter_raw():
                    content += piece
                    if len(content) > MOST_ANSWER_BYTES:
                        return Answer(0, f"an answer of more than {MOST_ANSWER_BYTES:,} bytes", {})
        except _FAILURES as error:
            reason = self._masked(f"{type(error).__name__} {error}")[:200]
        else:
            return Answer(
                response.status_code,
                self._masked(f"{response.status_code} {response.reason_phrase}")[:200],
                self._document(content),
                response.headers.get("Retry-After", ""),
            )
        finally:
            watchdog.cancel()
        if self._http.is_closed:
            raise PublishError(
                f"{self.api.host} has not ended its answer after {limit:,.0f} s. Run the same command again later; "
                f"what is there is kept"
            )
        return Answer(0, reason, {})

    def _document(self, content: bytes | bytearray) -> Mapping[str, Any]:
        """The JSON object that an answer is, if it is one."""
        with suppress(ValueError, RecursionError):
            plain = json.dumps(json.loads(content))  # in one spelling, or an escape might hide the token
            document = json.loads(self._masked(plain))
            if isinstance(document, dict):
                return document
        return {}

    def _masked(self, text: str) -> str:
        """A text from outside without the token, which a server may send back."""
        return text.replace(self._token.get_secret_value(), "[token]")

    def get(self, link: str, parameters: Mapping[str, str] | None = None) -> Answer:
        """Ask for a document, again and again where the reason is a passing one.

        Raises:
            PublishError: when the API stays out of reach, or asks for too long a pause.
        """
        for attempt in range(ATTEMPTS):
            answer = self.ask("GET", link, parameters or {})
            if not answer.is_passing:
                return answer
            if attempt < ATTEMPTS - 1:
                self.pause(attempt, answer)
        raise PublishError(f"{self.api.host} does not answer: {answer.reason}. Run the same command again later")

    def pages(self, link: str) -> Iterator[Answer]:
        """A listing's pages, one after the other.

        Raises:
            PublishError: as `get`, and when the listing breaks off or has no end.
        """
        answer = self.get(link, {"page[size]": "100"})  # the most that the API gives
        for _ in range(_MOST_PAGES):
            yield answer
            links = answer.document.get("links", {})
            following = links.get("next") if isinstance(links, dict) else links
            if following is None:
                return
            if not isinstance(following, str):  # the rest would be taken for not there
                raise PublishError(f"{self.api.host} gives a listing whose next page has no address. Try again later")
            answer = self.get(following)
        raise PublishError(f"{self.api.host} gives a listing of more than {_MOST_PAGES} pages. Publish into a new node")

    def pause(self, attempt: int, answer: Answer) -> None:
        """Wait before the next attempt, as long as the answer asks for.

        Raises:
            PublishError: when that is too long.
        """
        seconds = _asked_pause(answer.retry_after)
        if seconds is None:
            seconds = FIRST_PAUSE_SECONDS * 2**attempt
        if seconds > LONGEST_PAUSE_SECONDS:
            raise PublishError(
                f"{self.api.host} asks for a pause of {seconds:,.0f} s ({answer.reason}). "
                f"Run the same command again after it; what is there is kept"
            )
        log_event(_log, logging.WARNING, "waiting", seconds=round(seconds, 1), host=self.api.host, reason=answer.reason)
        time.sleep(seconds)


def _asked_pause(retry_after: str) -> float | None:
    """Seconds from a number of them, a time since 1970 or a date; None where there is none of these."""
    now = datetime.now(UTC).timestamp()
    with suppress(ValueError):
        seconds = float(retry_after)
        return max(0.0, seconds - now if seconds > _EPOCH_SECONDS else seconds)
    with suppress(ValueError, TypeError, OverflowError):
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - now)
    return None
