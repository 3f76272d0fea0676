"""Datasets in a bucket: on a real S3 server on loopback."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.build import build_dataset
from pipeline.cli import main
from pipeline.dataset import Dataset, open_dataset
from pipeline.engines import Crew
from pipeline.errors import DatasetError, InputError
from pipeline.release.package import Request, make_release
from pipeline.release.place import find_release, on_disk
from pipeline.store import lease
from pipeline.store.files import all_files
from pipeline.store.lease import locked
from pipeline.store.ledger import commit, entry_file, read_entry
from pipeline.store.place import BucketPath, Place, place_of
from pipeline.verify import verify
from tests.conftest import planned
from tests.s3_server import BUCKET, s3_server


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A client of the server that this module's tests have."""
    with s3_server() as client:
        yield client


@pytest.fixture
def prefix(s3: Any, request: pytest.FixtureRequest) -> BucketPath:
    """An empty one for each test."""
    place = place_of(f"s3://{BUCKET}/{request.node.name.translate(str.maketrans('[]/', '---'))}")
    assert isinstance(place, BucketPath)
    assert s3
    return place


def build_into(out: Place, records: int = 70, engine: Literal["ray", "serial"] = "serial") -> Dataset:
    """The first records of the shared dataset and its seed, in small shards."""
    plan = planned(records=records, seed=7, shard_records=32)
    return build_dataset(out, plan, crew=Crew(engine)).dataset


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The same on a disk."""
    return build_into(tmp_path_factory.mktemp("here") / "dataset")


def _key(path: Place) -> str:
    assert isinstance(path, BucketPath)
    return path.key


@pytest.mark.parametrize("name", ["", "a", "a/b", "a/b/c.bin", "a/missing", "ab"])
def test_a_bucket_answers_as_a_folder_does(prefix: BucketPath, tmp_path: Path, name: str) -> None:
    for place in (prefix, tmp_path):
        for file in ("a/b/c.bin", "a/d", "a.txt"):
            (place / file).parent.mkdir(parents=True, exist_ok=True)
            (place / file).write_bytes(file.encode())

    def answers(top: Place) -> dict[str, object]:
        place = top / name
        return {
            "exists": place.exists(),
            "file": place.is_file(),
            "folder": place.is_dir(),
            "listed": sorted(path.name for path in place.iterdir()) if place.is_dir() else None,
            "content": place.read_bytes() if place.is_file() else None,
            "size": place.stat().st_size if place.is_file() else None,
            "name": place.relative_to(top).as_posix(),
            "parent": place.parent.relative_to(top.parent).as_posix() if name else None,
        }

    ours, theirs = answers(prefix), answers(tmp_path)
    if ours["parent"]:  # begins with the folder's own name, which is not the same
        ours["parent"], theirs["parent"] = (str(each["parent"]).partition("/")[2] for each in (ours, theirs))
    assert ours == theirs


@pytest.fixture(scope="module")
def letters(s3: Any) -> BucketPath:
    """An object of several times what is read ahead."""
    assert s3
    place = BucketPath("/", BUCKET, "letters")
    place.write_bytes(bytes(range(256)) * 10_000)
    return place


@settings(deadline=None, max_examples=25)
@given(reads=st.lists(st.tuples(st.integers(0, 2_600_000), st.integers(0, 1_200_000)), max_size=6))
def test_an_object_reads_as_a_file_from_any_place(letters: BucketPath, reads: list[tuple[int, int]]) -> None:
    content = bytes(range(256)) * 10_000
    with letters.open("rb") as file:
        for start, length in reads:
            file.seek(start)
            assert file.read(length) == content[start : start + length]


@pytest.mark.parametrize(
    "address",
    [
        "s3://Bucket/x",
        "s3://bucket",
        "s3:/bucket/x",
        "gs://bucket/x",
        "s3://bucket/../x",
        "s3://bucket/é",
        "s3://u:secret@b/x",
    ],
)
def test_an_odd_address_is_refused_without_its_password(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="no place"):
        place_of(address)
    with pytest.raises(SystemExit) as ended:
        main(["build", "--out", address])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "no place" in said
    assert "secret" not in said


@pytest.mark.usefixtures("one_generator")
def test_a_bucket_holds_the_bytes_that_a_disk_does(prefix: BucketPath, here: Dataset, s3: Any) -> None:
    there = build_into(prefix)

    assert there.manifest.content_digest == here.manifest.content_digest
    assert not verify(there)
    names = {path.relative_to(prefix).as_posix() for path in prefix.files()}
    assert names == {*here.manifest.files, "dataset.json"}
    timed = re.compile(r"ledger/shard-\d+\.json")  # entries say how long it took
    for name in here.manifest.files:
        assert timed.fullmatch(name) or (prefix / name).read_bytes() == (here.folder / name).read_bytes(), name
    assert (there.signal(69) == here.signal(69)).all()
    assert (there.signals[33, 1] == here.signals[33, 1]).all()
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix.key}.lock")["KeyCount"] == 0


@pytest.mark.usefixtures("one_generator")
def test_it_is_loaded_as_the_documentation_says(prefix: BucketPath, here: Dataset) -> None:
    build_into(prefix)
    text = (Path(__file__).parents[1] / "docs" / "buckets.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}

    exec(example.replace("s3://BUCKET/dataset", str(prefix)), names)

    assert (names["v5"].values == here.read(0, 70)[:, 6]).all()
    assert names["table"].equals(here.measurements(["record_id", "qt_interval_ms"]))


@pytest.mark.usefixtures("one_generator")
def test_a_build_in_a_bucket_goes_on_repairs_and_extends(prefix: BucketPath, here: Dataset, s3: Any) -> None:
    build_into(prefix, records=40)
    unfinished = [prefix / "dataset.json", prefix / "measurements.parquet"]
    for path in [*unfinished, entry_file(prefix, planned(records=40, shard_records=32).shards()[1])]:
        s3.delete_object(Bucket=BUCKET, Key=_key(path))
    with pytest.raises(DatasetError, match=r"s3://.* is not finished"):
        open_dataset(str(prefix))

    there = build_into(prefix)
    assert there.manifest.content_digest == here.manifest.content_digest

    s3.put_object(Bucket=BUCKET, Key=f"{prefix.key}/signals.zarr/signal/c/1/0/0", Body=b"something else")
    s3.put_object(Bucket=BUCKET, Key=f"{prefix.key}/signals.zarr/stray", Body=b"x")
    assert {problem.thing for problem in verify(there)} == {"signals.zarr/signal/c/1/0/0", "signals.zarr/stray"}
    assert not verify(build_into(prefix))
    with pytest.raises(DatasetError, match="another recipe"):
        build_dataset(prefix, planned(records=70, seed=8, shard_records=32), crew=Crew("serial"))


@pytest.mark.usefixtures("one_generator")
def test_of_many_workers_at_one_shard_one_commits(prefix: BucketPath) -> None:
    dataset = build_into(prefix, records=32)
    plan = planned(records=32, seed=7, shard_records=32)
    shard = plan.shards()[0]
    entry = read_entry(dataset.folder, plan, shard)
    entry_file(prefix, shard).unlink()
    offers = [entry.model_copy(update={"seconds": {"write": float(number)}}) for number in range(8)]

    with ThreadPoolExecutor(8) as workers:
        answers = list(workers.map(lambda offer: commit(prefix, plan, shard, offer), offers))

    assert len({answer.seal() for answer in answers}) == 1
    assert read_entry(prefix, plan, shard).seal() == answers[0].seal()


def test_a_lock_lets_one_in_at_a_time(prefix: BucketPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEWED_SECONDS", 0.2)
    with locked(prefix), pytest.raises(DatasetError, match="being built by another process"), locked(prefix):
        pass
    with locked(prefix):  # it was given back
        pass


def test_the_lock_of_a_killed_build_is_taken_over(prefix: BucketPath, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = f"""
import os, sys
from pipeline.store.lease import locked
from pipeline.store.place import place_of
with locked(place_of({str(prefix)!r})):
    os.kill(os.getpid(), 9)
"""
    killed = subprocess.run([sys.executable, "-c", holder], check=False)
    assert killed.returncode == -9
    monkeypatch.setattr(lease, "LEASE_SECONDS", 2.0)
    begun = time.monotonic()
    with locked(prefix):
        assert time.monotonic() - begun >= 2.0


def test_who_has_lost_the_lock_does_not_end_well(prefix: BucketPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEWED_SECONDS", 0.1)

    def work() -> None:
        with locked(prefix):
            prefix.with_name(f"{prefix.name}.lock").write_bytes(b"another's")
            time.sleep(0.5)

    with pytest.raises(DatasetError, match="another process as well"):
        work()
    assert prefix.with_name(f"{prefix.name}.lock").read_bytes() == b"another's"


def test_a_release_in_a_bucket_is_the_one_on_a_disk(prefix: BucketPath, dataset: Dataset, release: Path) -> None:
    place = prefix / "1.0.0"
    for stray in ("all/stray", "release.json"):  # of one that was killed while it was copied
        (place / stray).write_bytes(b"x")

    made = make_release(dataset, Request(place, "1.0.0"))

    names = [path.relative_to(release).as_posix() for path in all_files(release)]
    assert [path.relative_to(place).as_posix() for path in place.files()] == names
    assert made.folder == place
    with on_disk(place) as copied:
        for name in names:
            assert (copied / name).read_bytes() == (release / name).read_bytes(), name
    assert find_release(prefix, dataset.manifest.content_digest) == place
    with pytest.raises(InputError, match="never written over"):
        make_release(dataset, Request(place, "1.0.0"))


def _fault(arguments: list[str], settings: dict[str, str]) -> tuple[float, int, str]:
    command = [sys.executable, "-m", "pipeline.cli", *arguments]
    begun = time.monotonic()
    ended = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=False, timeout=60)
    return time.monotonic() - begun, ended.returncode, ended.stderr


@pytest.mark.parametrize("fault", ["missing", "read-only", "unreachable", "deaf"])
@pytest.mark.usefixtures("s3")
def test_a_bucket_that_cannot_be_used_is_told_in_one_line_in_time(fault: str, forbidding: str, deaf: str) -> None:
    endpoints = {"read-only": forbidding, "unreachable": "http://127.0.0.1:9", "deaf": deaf}
    bucket = "missing" if fault == "missing" else BUCKET
    endpoint = endpoints.get(fault, os.environ["AWS_ENDPOINT_URL"])
    arguments = ["build", "--records", "32", "--out", f"s3://{bucket}/new", "--no-release"]

    seconds, status, said = _fault(arguments, {"AWS_ENDPOINT_URL": endpoint})

    assert status == DatasetError.exit_code
    assert said.count("\n") == 1
    assert f"s3://{bucket}/new cannot be" in said
    assert "sentinel" not in said
    assert seconds < 45  # 10 of them for an answer, 3 to start Python; on a busy machine that takes ten times as long


@pytest.fixture
def forbidding() -> Iterator[str]:
    """A store in which nothing is, and nothing may be written."""

    class Forbidding(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(404, b"")

        def do_GET(self) -> None:
            listing = b"<ListBucketResult><Name>datasets</Name><KeyCount>0</KeyCount></ListBucketResult>"
            self._answer(*((200, listing) if "list-type" in self.path else (404, b"")))

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Forbidding)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def deaf() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
