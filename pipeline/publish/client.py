"""A small HTTP client for OSF: patient, and careful with the token.

What goes wrong is returned and not raised: the exceptions of an HTTP library hold the request with all its headers, and
would take the token along into tracebacks and logs.
"""

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self

import httpx
from pydantic import SecretStr

from pipeline.publish.body import Body
from pipeline.publish.links import api_address, is_loopback, trusted_link
from pipeline.publish.target import PublishError

ATTEMPTS = 6
FIRST_PAUSE_SECONDS = 1.0  # then twice as long every time
LONGEST_PAUSE_SECONDS = 900.0  # that a server may ask for; its own limits are by the hour and by the day
TIMEOUT_SECONDS = 60.0  # without a byte either way
UPLOAD_TIMEOUT_SECONDS = 600.0  # for the answer to an upload: up to 5 GB are hashed and moved there before it comes

_PASSING = frozenset({0, 408, 425, 429, 500, 502, 503, 504})
_MOST_PAGES = 1000
_EPOCH_SECONDS = 1e9  # WaterButler's documentation calls its Retry-After a time since 1970, its code sends seconds


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
        """Whether it may go better the next time."""
        return self.status in _PASSING


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
        InputError: when the address is none.
    """

    def __init__(self, api: str, token: SecretStr) -> None:
        self.api = api_address(api)
        self._token = token
        self._http = httpx.Client(
            auth=_Bearer(token),
            headers={"Accept": "application/vnd.api+json", "User-Agent": "ecg-foundry"},
            trust_env=not is_loopback(self.api),  # a proxy has no business on this machine
        )

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
            PublishError: when the link leads to a host that must not be told the token.
        """
        url = trusted_link(self.api, link).copy_merge_params(dict(parameters))
        headers = {} if body is None else {"Content-Length": str(body.size), "Content-Type": "application/octet-stream"}
        timeout = httpx.Timeout(TIMEOUT_SECONDS, read=TIMEOUT_SECONDS if body is None else UPLOAD_TIMEOUT_SECONDS)
        try:
            response = self._http.request(method, url, headers=headers, content=body, timeout=timeout)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Answer(0, self._without_token(f"{type(error).__name__} {error}"), {})
        document: object = {}
        with suppress(ValueError):
            document = response.json()
        return Answer(
            response.status_code,
            self._without_token(f"{response.status_code} {response.reason_phrase}"),
            document if isinstance(document, dict) else {},
            response.headers.get("Retry-After", ""),
        )

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
            PublishError: as `get`, and when the listing has no end.
        """
        answer = self.get(link, {"page[size]": "100"})  # the most that the API gives
        for _ in range(_MOST_PAGES):
            yield answer
            links = answer.document.get("links")
            following = links.get("next") if isinstance(links, dict) else None
            if not isinstance(following, str):
                return
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
        time.sleep(seconds)

    def _without_token(self, text: str) -> str:
        return text.replace(self._token.get_secret_value(), "[token]")[:200]


def _asked_pause(retry_after: str) -> float | None:
    """Seconds from a number of them, a time since 1970 or a date; None where there is none of these."""
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp()
        except (ValueError, TypeError, OverflowError):
            return None
    if seconds > _EPOCH_SECONDS:
        seconds -= datetime.now(UTC).timestamp()
    return max(0.0, seconds)
