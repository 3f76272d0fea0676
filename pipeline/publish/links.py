"""Which addresses may be told the token: answers name the hosts to go on with, and an answer may be hostile."""

import re
from ipaddress import ip_address

import httpx

from pipeline.errors import InputError
from pipeline.publish.target import PublishError


def is_loopback(url: httpx.URL) -> bool:
    """Whether an address is on this machine, as that of a test server is."""
    try:
        return url.host == "localhost" or ip_address(url.host).is_loopback
    except ValueError:
        return False


def api_address(text: str) -> httpx.URL:
    """The address of an OSF API, such as `https://api.osf.io/v2/`.

    Raises:
        InputError: when it is none, or one to which the token would travel unencrypted.
    """
    url = _parsed(text)
    if url is None or not url.host or url.userinfo or not (url.scheme == "https" or _is_local_http(url)):
        raise InputError(
            f"{without_userinfo(text)!r} is no address of an OSF API. Give one such as https://api.osf.io/v2/, or osf"
        )
    return url.copy_with(raw_path=url.raw_path.partition(b"?")[0].rstrip(b"/") + b"/", fragment=None)


def without_userinfo(text: str) -> str:
    """An address as it may be shown, without user, password and query, even if it cannot be read."""
    return re.sub(r"//.*@", "//", text, flags=re.DOTALL).partition("?")[0]


def trusted_link(api: httpx.URL, link: str) -> httpx.URL:
    """The whole address of a link, which may be relative to the API's, if the token may go there.

    That is to hosts of the API's own domain (`files.us.osf.io` for `api.osf.io`) over https, and from an API on this
    machine to this machine.

    Raises:
        PublishError: when it may not.
    """
    url = _parsed(link, api)
    if url is not None and not url.userinfo:
        if is_loopback(api) and is_loopback(url) and url.scheme in {"http", "https"}:
            return url
        if url.scheme == "https" and f".{url.host}".lower().endswith(f".{_domain(api)}"):
            return url
    raise PublishError(
        f"{api.host} names {url.host[:100] if url else 'an unreadable address'!r} to go on with, which is not of its "
        f"own domain or not https. The token is not sent there: look whether {api} is the right API"
    )


def _domain(api: httpx.URL) -> str:
    host = api.host.lower()
    above = host.removeprefix("api.")
    return above if "." in above else host


def _parsed(text: str, base: httpx.URL | None = None) -> httpx.URL | None:
    try:
        url = base.join(text) if base else httpx.URL(text)
        url.host  # noqa: B018 - which is decoded only now
    except (httpx.InvalidURL, ValueError):
        return None
    return url


def _is_local_http(url: httpx.URL) -> bool:
    return url.scheme == "http" and is_loopback(url)
