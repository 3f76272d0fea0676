"""A dataset repository on the Hugging Face Hub, through the Hub's own library."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from httpx2 import URL, Client, HTTPError, InvalidURL, Request, Response, Timeout
from huggingface_hub import CommitOperationAdd, HfApi, get_session, get_token, set_client_factory
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
from huggingface_hub.hf_api import RepoFile
from pydantic import SecretStr

from pipeline.errors import DatasetError, InputError
from pipeline.publish.body import Body
from pipeline.publish.client import LONGEST_PAUSE_SECONDS, TIMEOUT_SECONDS, UPLOAD_TIMEOUT_SECONDS
from pipeline.publish.inventory import Inventory
from pipeline.publish.target import UNKNOWN, PublishError
from pipeline.store.outside import check_plain

HUGGING_FACE = "hf://datasets/"
_CONNECT_SECONDS = 20.0
_HAS_MOVED_ON = 412  # what the Hub says to a commit onto another one than its last
_LIBRARY_HOOKS = tuple(get_session().event_hooks["request"])  # such as that of its offline mode
_ODD = (HTTPError, InvalidURL, OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError)
"""What the library raises: most of it where an answer has another shape than it believes."""
_Result = TypeVar("_Result")


class HuggingFaceTarget:
    """Publishes into a dataset repository that exists: the files in one commit, their checksums in a second.

    Args:
        url: such as `hf://datasets/user/name`.
        token: of the Hub; None for that of HF_TOKEN or of its own login.
        endpoint: address of another Hub.

    Raises:
        InputError: when the address is none.
    """

    replaces = False

    def __init__(self, url: str, token: SecretStr | None = None, endpoint: str | None = None) -> None:
        self._name = url.removeprefix(HUGGING_FACE).rstrip("/")
        if re.fullmatch(r"[\w.-]+/[\w.-]+", self._name) is None:
            raise InputError(f"{url} is no dataset of the Hub. Give {HUGGING_FACE}user/name")
        self._token = token.get_secret_value() if token else get_token()
        self._api = HfApi(endpoint=endpoint, token=self._token)
        self._commit = ""

    @property
    def where(self) -> str:
        """The address."""
        return f"{HUGGING_FACE}{self._name}"

    def find(self, inventory: Inventory) -> Mapping[str, str]:
        """As `Target` says, in the last commit; the repository has to be there and ours to write to."""
        self._asked(lambda: self._api.auth_check(self._name, repo_type="dataset", write=True))
        self._commit = str(self._asked(lambda: self._api.repo_info(self._name, repo_type="dataset").sha))
        return self._asked(lambda: self._found(inventory))

    def check_room(self, inventory: Inventory, names: Sequence[str]) -> None:
        """The Hub's bounds lie far above a release."""

    def send(self, inventory: Inventory, names: Sequence[str], sent: Callable[[int], object]) -> None:
        """As `Target` says; all of them appear at once, and only in place of what was found."""
        if not names:
            return
        for name in names:
            check_plain(inventory.folder, inventory.path(name))  # the library would wait for a FIFO
        additions = self._asked(
            lambda: [CommitOperationAdd(f"{inventory.version}/{name}", inventory.path(name)) for name in names]
        )
        for name, addition in zip(names, additions, strict=True):
            if addition.upload_info.sha256.hex() != inventory.files[name].sha256:
                raise DatasetError(f"{inventory.path(name)} changed while it was sent. Make the release again")
        message = f"Release {inventory.version}: {len(names)} files"
        self._asked(
            lambda: self._api.create_commit(
                self._name, additions, commit_message=message, repo_type="dataset", parent_commit=self._commit
            )
        )
        found = self.find(inventory)
        for name in names:
            if found.get(name) != inventory.files[name].sha256:
                raise PublishError(f"{self.where} has not got {name} as it was sent. Run the same command again")
            sent(inventory.files[name].bytes)

    def _found(self, inventory: Inventory) -> dict[str, str]:
        version, commit = inventory.version, self._commit
        try:
            listed = [
                *self._api.list_repo_tree(self._name, version, revision=commit, recursive=True, repo_type="dataset")
            ]
        except EntryNotFoundError:
            return {}
        files = [item for item in listed if isinstance(item, RepoFile)]
        return {item.path.removeprefix(f"{version}/"): _sha256(item, inventory) for item in files}

    def _asked(self, call: Callable[[], _Result]) -> _Result:
        """The result of a call of the library, none of whose exceptions gets out: they hold the token."""
        set_client_factory(self._client)  # the library has one for all
        try:
            return call()
        except _ODD as error:
            reason = self._masked(f"{type(error).__name__} {error}").partition("\n")[0][:200].rstrip(".")
            file = error.filename if isinstance(error, OSError) else None
            moved_on = isinstance(error, HfHubHTTPError) and error.response.status_code == _HAS_MOVED_ON
        if file is not None:
            raise DatasetError(f"{file} cannot be read: {reason}. Mend that and run the same command again")
        if moved_on:
            raise PublishError(
                f"{self.where} has changed meanwhile. Let one publication end, then run the same command again"
            )
        raise PublishError(
            f"{self.where} cannot be written to: {reason}. Make the repository first, and set HF_TOKEN to a token "
            f"that may write to it"
        )

    def _masked(self, text: str) -> str:
        return text.replace(self._token, "[token]") if self._token else text

    def _client(self) -> Client:
        hooks = [*_LIBRARY_HOOKS, self._check_request]
        return Client(event_hooks={"request": hooks, "response": [self._check_response]}, follow_redirects=True)

    def _check_request(self, request: Request) -> None:
        """Bound every request in time, which the library does not, and keep the token to the Hub."""
        read = TIMEOUT_SECONDS if request.method == "GET" else UPLOAD_TIMEOUT_SECONDS
        request.extensions["timeout"] = Timeout(TIMEOUT_SECONDS, connect=_CONNECT_SECONDS, read=read).as_dict()
        if self._token and self._token in request.headers.get("Authorization", ""):
            ours, theirs = ((url.scheme, url.host, url.port) for url in (URL(self._api.endpoint), request.url))
            if ours != theirs:
                raise PublishError(
                    f"{self.where} leads to {self._masked(request.url.host)}. The token is not sent there"
                )

    def _check_response(self, response: Response) -> None:
        """Refuse a pause that the library would make, however long."""
        asked = re.fullmatch(r"\s*(\d+)\s*", response.headers.get("Retry-After", ""))
        reset = re.search(r";\s*r\s*=\s*0\s*;\s*t\s*=\s*(\d+)", response.headers.get("RateLimit", ""))
        for found in (asked, reset):
            if response.is_error and found and int(found[1]) > LONGEST_PAUSE_SECONDS:
                raise PublishError(
                    f"{self.where} asks for a pause of {int(found[1]):,} s. Run the same command again after it"
                )


def _sha256(item: RepoFile, inventory: Inventory) -> str:
    """SHA-256 of a file there; a small one has but git's own hash there, to which ours is compared."""
    if item.lfs is not None:
        return item.lfs.sha256
    name = item.path.removeprefix(f"{inventory.version}/")
    if name not in inventory.files or inventory.files[name].bytes != item.size:
        return UNKNOWN
    content = b"".join(Body(inventory.path(name), inventory.files[name], lambda _: None))
    digest = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    return inventory.files[name].sha256 if digest == item.blob_id else UNKNOWN
