"""A bucket of S3, or of a store that speaks its protocol."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import AlreadyExistsError

from pipeline.publish.body import Body
from pipeline.publish.inventory import Inventory
from pipeline.publish.target import UNKNOWN, PublishError
from pipeline.store.bucket import ANSWER_SECONDS, answer, bucket_errors, open_bucket

if TYPE_CHECKING:
    from obstore import ListStream, ObjectMeta

_SMALL_BYTES = 8 << 20
"""Sent at once, on condition that nothing has the name; parts of a larger file know no such condition."""
_PART_BYTES = 8 << 20  # in 10,000 parts at most, so 80 GB
_CONNECTIONS = 4
_HASH = "sha256"


class S3Target:
    """Publishes below a prefix of a bucket; an object appears whole or not at all and carries its SHA-256.

    What a large file's upload has sent when it is killed stays in the bucket unseen, and is paid for, until a lifecycle
    rule of the bucket (AbortIncompleteMultipartUpload) takes it away.

    Args:
        url: such as `s3://bucket/prefix`.

    Raises:
        InputError: when it is none, or AWS's variables do not open it.
    """

    replaces = False

    def __init__(self, url: str) -> None:
        self._store = open_bucket(url)
        self._url = url.rstrip("/")

    @property
    def where(self) -> str:
        """The address."""
        return self._url

    def find(self, inventory: Inventory) -> Mapping[str, str]:
        """As `Target` says, by what each object says of itself; one that says nothing is read."""
        folders = {f"{folder}" for name in inventory.files for folder in PurePosixPath(name).parents}
        found = dict[str, str]()
        with bucket_errors(self.where, PublishError):
            for key, size in self._listed(inventory.version):
                name = key.removeprefix(inventory.version).removeprefix("/") or "."
                if name in folders and not size:
                    continue  # which a bucket does not have; a browser of buckets makes an empty object of its name
                ours = name in inventory.files and size == inventory.files[name].bytes
                found[name] = self._said(key) or self._read(key, size) if ours else UNKNOWN
        return found

    def check_room(self, inventory: Inventory, names: Sequence[str]) -> None:
        """A bucket has no bounds that could be asked for."""

    def send(self, inventory: Inventory, names: Sequence[str], sent: Callable[[int], object]) -> None:
        """As `Target` says; every object is read back."""
        for name in names:
            with bucket_errors(self.where, PublishError):
                self._put(f"{inventory.version}/{name}", Body(inventory.path(name), inventory.files[name], sent))

    def _put(self, key: str, body: Body) -> None:
        put = partial(obstore.put_async, self._store, key, attributes={_HASH: body.sha256})
        with self._refusing(key):
            if body.size <= _SMALL_BYTES:
                content = b"".join(body)
                answer(lambda: put(content, mode="create"))
            else:
                self._check_absent(key)  # parts know no such condition
                answer(lambda: put(iter(body), chunk_size=_PART_BYTES, max_concurrency=_CONNECTIONS))
        if self._read(key, body.size) != body.sha256:
            answer(lambda: obstore.delete_async(self._store, key))  # or it would be believed the next time
            raise PublishError(f"{self.where}/{key} came back with other content. Run the same command again")

    def _listed(self, version: str) -> Iterator[tuple[str, int]]:
        """Every object's key and bytes."""
        pages = obstore.list(self._store, prefix=version)
        while page := answer(partial(_next, pages), ANSWER_SECONDS):
            for item in page:
                yield item["path"], item["size"]

    def _said(self, key: str) -> str | None:
        """The SHA-256 that an object carries; None where it was not sent from here."""
        head = answer(lambda: obstore.get_async(self._store, key, options={"head": True}), ANSWER_SECONDS)
        return head.attributes.get(_HASH)

    def _read(self, key: str, size: int) -> str:
        """SHA-256 of the first bytes of an object, in pieces, each of which is asked for again when it fails."""
        digest = hashlib.sha256()
        for start in range(0, size, _PART_BYTES):
            end = min(start + _PART_BYTES, size)
            digest.update(answer(partial(obstore.get_range_async, self._store, key, start=start, end=end)))
        return digest.hexdigest()

    def _check_absent(self, key: str) -> None:
        try:
            answer(lambda: obstore.head_async(self._store, key), ANSWER_SECONDS)
        except FileNotFoundError:
            return
        raise AlreadyExistsError(key)

    @contextmanager
    def _refusing(self, key: str) -> Iterator[None]:
        try:
            yield
        except AlreadyExistsError:
            raise PublishError(
                f"{self.where} has got {key} meanwhile. Let one publication end before the next"
            ) from None


async def _next(pages: "ListStream[Sequence[ObjectMeta]]") -> "Sequence[ObjectMeta]":
    """A page; an empty one after the last."""
    try:
        return await anext(pages)
    except StopAsyncIteration:
        return []
