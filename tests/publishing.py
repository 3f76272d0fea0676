"""What tests of publishing have in common."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.errors import FoundryError
from pipeline.publish import publish
from pipeline.store.files import all_files
from tests.fake_osf import Entity, FakeOsf

TOKEN = "sentinelTokenThatNobodyMaySee"
NODE = "abc12"
FILES = {"README.md": b"card", "all/signals.zip": b"PK" * 900, "all/table.parquet": b"PAR1", "quality/a.json": b"{}"}
LARGE = "all/signals-000.zarr.zip"
IN_PARTS = {"README.md": b"card", LARGE: os.urandom(3 << 19), "all/measurements.parquet": b"PAR1" * 500}


def expected(release: Path) -> dict[str, bytes]:
    """What has to be there once a release is published, by path."""
    return {f"1.0.0/{path.relative_to(release).as_posix()}": path.read_bytes() for path in all_files(release)}


def one_line_of(call: Callable[[], object], *words: str, kind: type[FoundryError] = FoundryError) -> str:
    """A call ends in one line with these words in it, and without the token; returns the line."""
    with pytest.raises(kind) as told:
        call()
    line = str(told.value)
    assert "\n" not in line
    assert TOKEN not in line
    assert [word for word in words if word not in line] == []
    return line


def refused(release: Path, to: str, *words: str, node: str | None = NODE) -> str:
    """Publishing ends in such a line."""
    return one_line_of(lambda: publish(release, to, node=node), *words)


def sends_nothing(_: int) -> None:
    """Count nothing."""


@contextmanager
def silent_server() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def listing(osf: FakeOsf, folder: str) -> Any:
    """What the API says is in a folder of the node's storage."""
    address = f"{osf.api}nodes/{NODE}/files/osfstorage/{folder}"
    return httpx.get(address, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False).json()


def there(osf: FakeOsf) -> dict[str, Entity]:
    """Everything in the folder of the version, and that itself as ``""``, by path."""
    return {path.removeprefix("1.0.0/"): each for path, each in osf.nodes[NODE].root.below()}
