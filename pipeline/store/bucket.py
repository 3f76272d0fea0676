"""A bucket of S3, or of a store that speaks its protocol: opened only if it can work, heard in time, and told plainly.

Credentials, region and address come from AWS's own variables, as obstore reads them: it knows no `~/.aws`.
"""

import asyncio
import os
import re
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from obstore.exceptions import BaseError
from obstore.store import S3Store

from pipeline.errors import FoundryError, InputError

S3 = "s3://"
ANSWER_SECONDS = 10.0
"""In which a question of a few bytes is answered, retries and all, by a store that is there."""
_REQUEST_SECONDS = 120.0  # four parts of 8 MiB at once then need 2.2 Mbit/s
_CONNECT_SECONDS = 5.0
_METADATA_SECONDS = 1.0  # what botocore grants a machine's own address, on which no answer is the rule
_PANICS = ("PanicException", "RustPanic")  # of obstore's language; the first is no `Exception`, neither can be imported
_PARTING_SECONDS = 0.2  # for obstore's threads to let go of what was cancelled: they panic where Python ends first
_MOST_CHARACTERS = 300
_NO_SECRET = 8  # characters, such as "testing"; AWS's keys have 16 and more
_METADATA = "169.254.169.254"
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_ROLES = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_ADDRESS = r"https?://([\w.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(/[\w./-]*)?"
_FORMS = {
    **dict.fromkeys(_KEYS, "[!-~]*"),
    **dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), r"[\w.-]+"),
    **dict.fromkeys(("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"), _ADDRESS),
}
"""What obstore does not look at before it uses it; with other values it panics, on standard error."""
_Result = TypeVar("_Result")


def open_bucket(url: str) -> S3Store:
    """A store whose paths lie below the prefix of a bucket; nothing is asked of it yet.

    It can be pickled, and tries again what fails for a while. Ask it by way of `answer`, or in an event loop.

    Args:
        url: such as `s3://bucket/prefix`.

    Raises:
        InputError: when the address is none, or AWS's variables hold no credentials or what cannot be used.
    """
    address = split_address(url)
    if address is None:  # not shown: it may hold a password
        raise InputError("the address is no bucket's. Give s3://bucket/prefix, in plain letters and without a password")
    allow_http = _is_set("AWS_ALLOW_HTTP")
    _check_variables(allow_http=allow_http)
    with bucket_errors(url, InputError):
        return S3Store(
            address[0],
            prefix=address[1] or None,
            client_options={  # in place of all that AWS's variables say of the client
                "allow_http": allow_http,
                "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
                "timeout": timedelta(seconds=_REQUEST_SECONDS),
            },
            retry_config={
                "max_retries": 5,
                "retry_timeout": timedelta(seconds=_REQUEST_SECONDS),
                "backoff": {"max_backoff": timedelta(seconds=5)},
            },
        )


def split_address(url: str) -> tuple[str, str] | None:
    """The bucket and the prefix that an address names; None where it is none, or one that not every store takes."""
    found = re.fullmatch(rf"{S3}([\w.-]+)((?:/[\w.=+@ -]+)*)/?", url, re.ASCII)
    if found is None or re.search(r"/\.\.?(/|$)", url):
        return None
    return found[1], found[2].strip("/")


def answer(call: Callable[[], Awaitable[_Result]], seconds: float | None = None) -> _Result:
    """What an asynchronous call of a store gives; a signal ends it at once, to which the synchronous ones are deaf.

    Args:
        call: such as a partial of `obstore.head_async`.
        seconds: in which it has to end; None for as long as the store's own retries take.

    Raises:
        TimeoutError: when it does not.
    """

    async def bounded() -> _Result:
        async with asyncio.timeout(seconds):
            return await call()

    try:
        if not _runs_a_loop():
            return asyncio.run(bounded())
        with ThreadPoolExecutor(1) as elsewhere:  # this thread's loop is busy with the caller, as in a notebook
            return elsewhere.submit(asyncio.run, bounded()).result()
    except (KeyboardInterrupt, TimeoutError):
        time.sleep(_PARTING_SECONDS)
        raise


def _runs_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@contextmanager
def bucket_errors(url: str, kind: type[FoundryError]) -> Iterator[None]:
    """Turn what a store says, its panics and its silence into one line that shows no key.

    Args:
        url: of the bucket, which `open_bucket` has accepted.
        kind: of the error.

    Raises:
        FoundryError: of that kind.
    """
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        reason = first_line(error)
    except TimeoutError:
        reason = "it does not answer"
    except BaseException as error:
        if type(error).__name__ not in _PANICS:
            raise
        reason = "obstore cannot work with these AWS_* variables"
    else:
        return
    if _METADATA in reason:
        reason = "there are no credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and this machine has no role"
    raise kind(f"{url} cannot be used: {reason}. Check the bucket, the AWS_* variables and your permissions") from None


def first_line(error: BaseException) -> str:
    """What obstore says first, without its account of the retries and without keys, and what the store says itself."""
    text = str(error)
    first = text.partition("\n")[0].partition("<")[0]
    first = re.sub(
        r"^Generic S3 error: |Error performing list request: |Server returned non-2xx status code: ", "", first
    )
    first = re.sub(r"(\?\S*)? in [\d.]+\S*s(, after .*?)? +- ", ": ", first).strip(" :.")
    said = re.search(r'<Code>([^<]{1,80})</Code>|message: \\?"([^"\\]{1,80})', text)
    reason = f"{first} ({said[1] or said[2]})" if said else first
    for name in _KEYS:
        key = os.environ.get(name, "")
        reason = reason.replace(key, f"[{name}]") if len(key) > _NO_SECRET else reason
    return reason[:_MOST_CHARACTERS]


def _check_variables(*, allow_http: bool) -> None:
    for name, form in _FORMS.items():
        value = os.environ.get(name)
        if value is not None and re.fullmatch(form, value, re.ASCII) is None:
            raise InputError(f"{name} is not of the form that it has to have. Set it again, or unset it")
        if form == _ADDRESS and value is not None and value.startswith("http://") and not allow_http:
            raise InputError(f"{name} is not encrypted. Give an https:// address, or set AWS_ALLOW_HTTP=true")
    missing = [name for name in _KEYS[:2] if not os.environ.get(name)]
    if not missing or _is_set("AWS_SKIP_SIGNATURE"):
        return
    if len(missing) == 1:
        raise InputError(f"{missing[0]} is missing. Set it: credentials are read from the environment, not from ~/.aws")
    if not any(os.environ.get(name) for name in _ROLES) and not _may_have_a_role():
        raise InputError(
            "there are no credentials for S3. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: ~/.aws is not read"
        )


def _may_have_a_role() -> bool:
    """Whether anything is where a machine in the cloud is told its credentials."""
    if _is_set("AWS_EC2_METADATA_DISABLED"):
        return False
    try:
        socket.create_connection((_METADATA, 80), timeout=_METADATA_SECONDS).close()
    except OSError:
        return False
    return True


def _is_set(name: str) -> bool:
    return os.environ.get(name, "").lower() in {"1", "true", "on", "yes", "y"}  # what obstore takes for yes
