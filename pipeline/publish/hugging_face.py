"""A dataset repository on the Hugging Face Hub, through the Hub's own library."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from httpx2 import HTTPError
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import EntryNotFoundError, HFValidationError
from huggingface_hub.hf_api import RepoFile
from pydantic import SecretStr

from pipeline.errors import DatasetError, InputError
from pipeline.publish.inventory import Inventory
from pipeline.publish.target import UNKNOWN, PublishError

HUGGING_FACE = "hf://datasets/"
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
        self._api = HfApi(endpoint=endpoint, token=token.get_secret_value() if token else None)

    @property
    def where(self) -> str:
        """The address."""
        return f"{HUGGING_FACE}{self._name}"

    def find(self, inventory: Inventory) -> Mapping[str, str]:
        """As `Target` says; the repository has to be there and ours to write to."""
        self._asked(lambda: self._api.auth_check(self._name, repo_type="dataset", write=True))
        files = self._asked(lambda: self._listed(inventory.version))
        return {item.path.removeprefix(f"{inventory.version}/"): _sha256(item, inventory) for item in files}

    def check_room(self, inventory: Inventory, names: Sequence[str]) -> None:
        """The Hub's bounds lie far above a release."""

    def send(self, inventory: Inventory, names: Sequence[str], sent: Callable[[int], object]) -> None:
        """As `Target` says; all of them appear at once."""
        additions = [CommitOperationAdd(f"{inventory.version}/{name}", inventory.path(name)) for name in names]
        for name, addition in zip(names, additions, strict=True):
            if addition.upload_info.sha256.hex() != inventory.files[name].sha256:
                raise DatasetError(f"{inventory.path(name)} changed while it was sent. Make the release again")
        message = f"Release {inventory.version}: {len(names)} files"
        self._asked(lambda: self._api.create_commit(self._name, additions, commit_message=message, repo_type="dataset"))
        found = self.find(inventory)
        for name in names:
            if found.get(name) != inventory.files[name].sha256:
                raise PublishError(f"{self.where} has not got {name} as it was sent. Run the same command again")
            sent(inventory.files[name].bytes)

    def _listed(self, version: str) -> list[RepoFile]:
        try:
            listed = [*self._api.list_repo_tree(self._name, version, recursive=True, repo_type="dataset")]
        except EntryNotFoundError:
            return []
        return [item for item in listed if isinstance(item, RepoFile)]

    def _asked(self, call: Callable[[], _Result]) -> _Result:
        """The result of a call of the library, none of whose exceptions gets out: they hold the token."""
        try:
            return call()
        except (HTTPError, HFValidationError, OSError) as error:
            reason = f"{type(error).__name__} {error}".partition("\n")[0][:200].rstrip(".")
        raise PublishError(
            f"{self.where} cannot be written to: {reason}. Make the repository first, and set HF_TOKEN to a token "
            f"that may write to it"
        )


def _sha256(item: RepoFile, inventory: Inventory) -> str:
    """SHA-256 of a file there; a small one has but git's own hash there, to which ours is compared."""
    if item.lfs is not None:
        return item.lfs.sha256
    name = item.path.removeprefix(f"{inventory.version}/")
    if name not in inventory.files or inventory.files[name].bytes != item.size:
        return UNKNOWN
    content = inventory.path(name).read_bytes()
    digest = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    return inventory.files[name].sha256 if digest == item.blob_id else UNKNOWN
