"""A bucket of S3, or of a store that speaks its protocol; credentials and address come from AWS's own variables."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from pipeline.errors import InputError
from pipeline.publish.body import Body
from pipeline.publish.inventory import Inventory
from pipeline.publish.target import UNKNOWN, PublishError

_SMALL_BYTES = 8 << 20
"""Sent at once, on condition that nothing has the name; parts of a larger file know no such condition."""
_PART_BYTES = 16 << 20  # in 10,000 parts at most, so 160 GB
_CONNECTIONS = 4
_HASH = "sha256"


class S3Target:
    """Publishes below a prefix of a bucket; an object appears whole or not at all and carries its SHA-256.

    Args:
        url: such as `s3://bucket/prefix`.

    Raises:
        InputError: when it is none.
    """

    replaces = False

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        try:
            self._store = S3Store.from_url(self._url)
        except (BaseError, ValueError) as error:
            raise InputError(f"{url} cannot be used: {_first_line(error)}. Give s3://bucket/prefix") from error

    @property
    def where(self) -> str:
        """The address."""
        return self._url

    def find(self, inventory: Inventory) -> Mapping[str, str]:
        """As `Target` says, by what each object says of itself, which is verified when it is sent."""
        found = dict[str, str]()
        with self._telling():
            for listed in obstore.list(self._store, prefix=inventory.version):
                for item in listed:
                    name = item["path"].removeprefix(f"{inventory.version}/")
                    found[name] = UNKNOWN
                    if name in inventory.files and item["size"] == inventory.files[name].bytes:
                        head = obstore.get(self._store, item["path"], options={"head": True})
                        found[name] = head.attributes.get(_HASH, UNKNOWN)
        return found

    def check_room(self, inventory: Inventory, names: Sequence[str]) -> None:
        """A bucket has no bounds that could be asked for."""

    def send(self, inventory: Inventory, names: Sequence[str], sent: Callable[[int], object]) -> None:
        """As `Target` says; every object is read back."""
        for name in names:
            with self._telling():
                self._put(inventory, name, sent)

    def _put(self, inventory: Inventory, name: str, sent: Callable[[int], object]) -> None:
        key = f"{inventory.version}/{name}"
        entry = inventory.files[name]
        body = Body(inventory.path(name), entry, sent)
        attributes = {_HASH: entry.sha256}
        if entry.bytes <= _SMALL_BYTES:
            try:
                obstore.put(self._store, key, b"".join(body), attributes=attributes, mode="create")
            except AlreadyExistsError:
                raise PublishError(
                    f"{self.where} has got {key} meanwhile. Let one publication end before the next"
                ) from None
        else:
            obstore.put(
                self._store,
                key,
                iter(body),
                attributes=attributes,
                chunk_size=_PART_BYTES,
                max_concurrency=_CONNECTIONS,
            )
        digest = hashlib.sha256()
        for chunk in obstore.get(self._store, key).stream(min_chunk_size=_SMALL_BYTES):
            digest.update(chunk)
        if digest.hexdigest() != entry.sha256:
            obstore.delete(self._store, key)  # or the next attempt would believe what it says of itself
            raise PublishError(f"{self.where}/{key} came back with other content. Run the same command again")

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except BaseError as error:
            reason = _first_line(error)
        else:
            return
        raise PublishError(f"{self.where} cannot be used: {reason}. Check the bucket, AWS_* variables and permissions")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].removesuffix('<?xml version="1.0" encoding="utf-8"?>')[:300]
