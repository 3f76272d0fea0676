"""A folder, a bucket and the Hub take a release whole, or one line says in time why not."""

import asyncio
import base64
import fcntl
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from urllib.parse import unquote, urlsplit

import httpx
import obstore
import pytest
from pydantic import SecretStr

import pipeline.publish
from pipeline.errors import DatasetError, FoundryError, InputError
from pipeline.publish import PublishError, publish, s3
from pipeline.publish.folder import FolderTarget
from pipeline.publish.hugging_face import HuggingFaceTarget
from pipeline.publish.inventory import read_inventory
from pipeline.publish.s3 import S3Target
from pipeline.release.checksums import CHECKSUMS
from pipeline.store import bucket as store_bucket
from pipeline.store.bucket import answer, bucket_errors, open_bucket
from pipeline.store.files import all_files
from tests.fake_osf import make_release
from tests.s3_server import s3_endpoint

BIG = "all/signals-000.zarr.zip"
CONTENT = {"README.md": b"card", BIG: os.urandom(3 << 19), "all/measurements.parquet": b"PAR1" * 500}
SECRET = "sentinelSecretThatNobodyMaySee"


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return make_release(tmp_path / "release", CONTENT)


def refused(call: Callable[[], object], *words: str, kind: type[FoundryError] = FoundryError) -> str:
    """It ends in one line with these words in it; returns the line."""
    with pytest.raises(kind) as told:
        call()
    line = str(told.value)
    assert "\n" not in line
    assert SECRET not in line
    assert [word for word in words if word not in line] == []
    return line


def sends_nothing(_: int) -> None:
    """Count nothing."""


# A folder.


def test_a_loop_of_links_is_no_folder(release: Path, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    refused(lambda: publish(release, str(tmp_path / "loop")), "is a file or a link", kind=PublishError)
    refused(lambda: publish(release, str(tmp_path / "loop/below")), "cannot be read", kind=PublishError)


def test_what_a_crash_leaves_goes_even_from_a_published_version(release: Path, tmp_path: Path) -> None:
    publish(release, str(tmp_path / "there"))
    left = tmp_path / "there/1.0.0/.0123456789abcdef.tmp"
    left.hardlink_to(tmp_path / "there/1.0.0/README.md")
    FolderTarget(tmp_path / "there", release).send(read_inventory(release), [], sends_nothing)
    assert not left.exists()


def test_a_second_publisher_leaves_the_files_of_the_first_alone(release: Path, tmp_path: Path) -> None:
    top = tmp_path / "there/1.0.0"
    top.mkdir(parents=True)
    (top / ".0123456789abcdef.tmp").write_bytes(b"under way")
    descriptor = os.open(top, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    refused(lambda: publish(release, str(tmp_path / "there")), "is being published into", kind=PublishError)
    assert [*top.iterdir()] == [top / ".0123456789abcdef.tmp"]
    os.close(descriptor)
    publish(release, str(tmp_path / "there"))


def test_what_is_no_file_in_a_files_place_is_called_so(release: Path, tmp_path: Path) -> None:
    there = tmp_path / "there/1.0.0"
    (there / "README.md").mkdir(parents=True)
    to = str(tmp_path / "there")
    refused(lambda: publish(release, to), "README.md is a folder in a file's place", kind=PublishError)
    (there / "README.md").rmdir()
    os.mkfifo(there / "README.md")
    refused(lambda: publish(release, to), "README.md is a link or no regular file", kind=PublishError)
    (there / "README.md").unlink()
    (there / "README.md").symlink_to(release / "README.md")
    refused(lambda: publish(release, to), "README.md is a link or no regular file", kind=PublishError)


@pytest.mark.parametrize("fault", ["gone", "FIFO"])
def test_a_fault_of_the_release_is_the_releases(release: Path, tmp_path: Path, fault: str) -> None:
    """A file that goes once it was checked, or a FIFO in its place, is neither waited for nor blamed on the place."""
    inventory = read_inventory(release)
    (release / "README.md").unlink()
    if fault == "FIFO":
        os.mkfifo(release / "README.md")
    target = FolderTarget(tmp_path / "there", release)
    line = refused(lambda: target.send(inventory, ["README.md"], sends_nothing), kind=DatasetError)
    assert line.startswith(f"{release / 'README.md'} c")
    assert line.endswith("Make the release again")


# A bucket.


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """The address of a server that speaks S3's protocol."""
    with s3_endpoint() as endpoint:
        httpx.put(f"{endpoint}/bucket", trust_env=False)
        yield endpoint


@pytest.fixture(autouse=True)
def no_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    settings = {"ALLOW_HTTP": "true", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": SECRET, "REGION": "us-east-1"}
    for name, value in settings.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    return monkeypatch


@pytest.fixture
def bucket(moto: str, credentials: pytest.MonkeyPatch) -> str:
    credentials.setenv("AWS_ENDPOINT_URL", moto)
    credentials.setattr(s3, "_SMALL_BYTES", 1 << 20)  # so that the large file goes in parts
    return "s3://bucket"


@pytest.fixture
def silent(credentials: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        credentials.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield "s3://bucket/x"


def held(prefix: str) -> dict[str, bytes]:
    store = open_bucket(f"s3://bucket/{prefix}")
    return {item["path"]: bytes(obstore.get(store, item["path"]).bytes()) for page in store.list() for item in page}


def expected(release: Path) -> dict[str, bytes]:
    return {f"1.0.0/{path.relative_to(release).as_posix()}": path.read_bytes() for path in all_files(release)}


def test_a_bucket_takes_a_release_and_no_other(release: Path, bucket: str, tmp_path: Path) -> None:
    url = f"{bucket}/data/ecg/"
    assert len(publish(release, url, dry_run=True).to_send) == len(CONTENT) + 2
    assert held("data/ecg") == {}
    publish(release, url)
    assert held("data/ecg") == expected(release)
    assert publish(release, url).to_send == []
    store = open_bucket(url)
    obstore.delete(store, [f"1.0.0/{CHECKSUMS}", f"1.0.0/{BIG}"])
    assert [step.file for step in publish(release, url).to_send] == [BIG, CHECKSUMS]
    other = make_release(tmp_path / "other", CONTENT | {"README.md": b"another"})
    refused(lambda: publish(other, url), "never overwritten", kind=PublishError)
    target = S3Target(url)
    for name in ("README.md", BIG):  # found by nobody when the other one began
        with pytest.raises(PublishError, match="meanwhile"):
            target.send(read_inventory(other), [name], sends_nothing)
    assert held("data/ecg") == expected(release)
    refused(lambda: publish(release, "s3://nosuchbucket/x"), "404", "NoSuchBucket", "AWS_", kind=PublishError)


def test_a_spoilt_object_is_not_believed(release: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put = obstore.put_async

    def spoil(store: Any, key: str, content: bytes, **more: Any) -> Any:
        return put(store, key, content[::-1], **more)

    monkeypatch.setattr("obstore.put_async", spoil)
    refused(lambda: publish(release, f"{bucket}/spoilt"), "came back with other content", kind=PublishError)
    assert held("spoilt") == {}


def test_a_file_that_changes_on_the_way_to_a_bucket_never_arrives(
    release: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline.publish, "check_inventory", lambda _: None)
    (release / BIG).write_bytes(CONTENT[BIG][:-1] + b"x")
    refused(lambda: publish(release, f"{bucket}/changed"), "changed while it was sent", kind=DatasetError)
    assert f"1.0.0/{BIG}" not in held("changed")


def test_objects_that_were_not_sent_from_here(release: Path, bucket: str) -> None:
    """Those of a copying tool are read, and the empty ones that stand for folders are none of a release's."""
    store = open_bucket(f"{bucket}/copied")
    for name, content in expected(release).items():
        obstore.put(store, name, content)
    for folder in ("1.0.0/", "1.0.0/all/"):
        endpoint = os.environ["AWS_ENDPOINT_URL"]
        httpx.put(f"{endpoint}/bucket/copied/{folder}", trust_env=False)
    assert publish(release, f"{bucket}/copied").to_send == []
    obstore.put(store, "1.0.0/README.md", b"else")
    refused(lambda: publish(release, f"{bucket}/copied"), "README.md is missing there or another one")


@pytest.mark.parametrize("endpoint", ["refusing", "silent"])
def test_a_dead_store_is_given_up(release: Path, silent: str, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "ANSWER_SECONDS", 0.5)  # 15
    if endpoint == "refusing":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    began = time.monotonic()
    refused(lambda: publish(release, silent), "s3://bucket/x", "AWS_", kind=PublishError)
    assert time.monotonic() - began < 12
    assert store_bucket.ANSWER_SECONDS <= 20


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("work", ["find", "send"])
def test_a_signal_is_heard_while_a_store_is_silent(release: Path, silent: str, number: int, work: str) -> None:
    code = """
import sys; from pathlib import Path
from pipeline.boundary import one_line; from pipeline.publish.inventory import read_inventory
from pipeline.publish.s3 import S3Target
inventory = read_inventory(Path(sys.argv[1])); target = S3Target(sys.argv[2])
def command():
    print("ready", flush=True)
    target.find(inventory) if sys.argv[3] == "find" else target.send(inventory, ["README.md"], print)
sys.exit(one_line("ecg-foundry", command))
"""
    arguments = [sys.executable, "-c", code, str(release), silent, work]
    root = Path(__file__).parents[1]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.5)
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(60) == 128 + number
        assert time.monotonic() - began < 12  # before the store is given up
        assert process.stderr.read() == "ecg-foundry: stopped; run the same command again to go on\n"


def test_a_loop_that_runs_already_is_no_hindrance(release: Path, bucket: str) -> None:
    async def notebook() -> None:
        assert publish(release, f"{bucket}/notebook", dry_run=True).to_send

    asyncio.run(notebook())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "no credentials for S3. Set AWS_ACCESS_KEY_ID"),
        ({"ACCESS_KEY_ID": "a"}, "AWS_SECRET_ACCESS_KEY is missing"),
        ({"SECRET_ACCESS_KEY": SECRET}, "AWS_ACCESS_KEY_ID is missing"),
        ({"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": f"{SECRET}\n"}, "AWS_SECRET_ACCESS_KEY is not of the form"),
        ({"ENDPOINT_URL": f"https://me:{SECRET}@127.0.0.1:9"}, "AWS_ENDPOINT_URL is not of the form"),
        ({"ENDPOINT_URL": ":::"}, "AWS_ENDPOINT_URL is not of the form"),
        ({"ENDPOINT": ""}, "AWS_ENDPOINT is not of the form"),
        ({"REGION": "a b"}, "AWS_REGION is not of the form"),
        ({"ENDPOINT_URL": "http://127.0.0.1:9"}, "set AWS_ALLOW_HTTP=true"),
        ({"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "CONDITIONAL_PUT": "x"}, 'Failed to parse "x"'),
    ],
)
def test_settings_that_open_no_bucket_are_said_at_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], settings: dict[str, str], words: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    began = time.monotonic()
    refused(lambda: open_bucket("s3://bucket/x"), words, kind=InputError)
    assert time.monotonic() - began < 5
    assert capfd.readouterr().err == ""


def test_a_role_may_give_the_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x")
    open_bucket("s3://bucket/x")


@pytest.mark.parametrize(
    "url",
    [
        f"s3://me:{SECRET}@bucket/x",
        f"s3://bucket/x?key={SECRET}",
        f"s3://bucket/x#{SECRET}",
        "s3://",
        "s3://bucket//x",
        "s3://bucket/../x",
        "s3://bucket:9/x",
        "s3://bucket/%2e%2e",
        "s3://bucket/x\n",
    ],
)
def test_an_address_that_is_no_buckets_is_not_shown(release: Path, credentials: pytest.MonkeyPatch, url: str) -> None:
    del credentials
    refused(lambda: publish(release, url), "Give s3://bucket/prefix", kind=InputError)


def test_a_panic_becomes_one_line(credentials: pytest.MonkeyPatch) -> None:
    credentials.setenv("AWS_METADATA_ENDPOINT", "x")
    credentials.setitem(store_bucket._FORMS, "AWS_ENDPOINT_URL", ".*")  # as one that is not known to panic
    credentials.setenv("AWS_ENDPOINT_URL", ":::")
    store = open_bucket("s3://bucket/x")

    def asked(head: Callable[[], object]) -> None:
        with bucket_errors("s3://bucket/x", PublishError):
            head()

    refused(lambda: asked(lambda: answer(lambda: obstore.head_async(store, "y"))), "AWS_* variables")
    refused(lambda: asked(lambda: obstore.head(store, "y")), "AWS_* variables")


def test_other_exceptions_pass() -> None:
    for other in (KeyboardInterrupt, ZeroDivisionError):
        with pytest.raises(other), bucket_errors("s3://bucket/x", PublishError):
            raise other


# The Hub.


class Hub(BaseHTTPRequestHandler):
    """The requests that small files take; large ones go to a storage that is not here."""

    protocol_version = "HTTP/1.1"
    token = "hub-token-with-SENTINEL"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""

    def do_GET(self) -> None:
        hub = hub_of(self)
        path = unquote(urlsplit(self.path).path).removeprefix("/api/datasets/user/name")
        if self.headers["Authorization"] != f"Bearer {self.token}":
            self._reply(401, {"error": f"Invalid credentials: {self.headers['Authorization']}"}, "RepoNotFound")
        elif path == "/auth-check/write":
            self._reply(hub.status, {}, **hub.headers)
        elif not path:
            self._reply(200, {"id": "user/name", "sha": hub.commit})
        elif not hub.files:
            self._reply(404, {"error": "not there"}, "EntryNotFound")
        else:
            assert path == f"/tree/{hub.commit}/1.0.0"
            answer = [self._listed(name, content) for name, content in sorted(hub.files.items())]
            self._reply(200, hub.tree or answer, **hub.links)

    def do_POST(self) -> None:
        hub = hub_of(self)
        lines = self.rfile.read(int(self.headers["Content-Length"])).splitlines()
        if "/preupload/" in self.path:
            files = [file["path"] for file in json.loads(lines[0])["files"]]
            modes = [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in files]
            hub.before_commit()
            self._reply(200, {"files": modes})
        elif json.loads(lines[0])["value"].get("parentCommit") != hub.commit:
            self._reply(412, {"error": "A commit has happened since. Please refresh and try again."})
        else:
            hub.add(
                {
                    file["path"]: base64.b64decode(file["content"])
                    for file in (json.loads(x)["value"] for x in lines[1:])
                }
            )
            url = f"http://{self.headers['Host']}/datasets/user/name/commit/1"
            self._reply(200, {"commitUrl": url, "commitOid": hub.commit})

    @staticmethod
    def _listed(name: str, content: bytes) -> dict[str, Any]:
        oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return {"type": "file", "path": name, "size": len(content), "oid": oid}

    def _reply(self, status: int, document: object, error: str = "", **headers: str) -> None:
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Content-Length": str(len(content)), "X-Error-Code": error, **more}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


class HubServer(ThreadingHTTPServer):
    """What the Hub holds, and how it misbehaves."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Hub)
        self.files: dict[str, bytes] = {}
        self.commits: list[list[str]] = []
        self.status, self.headers, self.links = 200, dict[str, str](), dict[str, str]()
        self.tree: object = None
        self.before_commit: Callable[[], object] = lambda: None

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def commit(self) -> str:
        """The last one."""
        return f"{len(self.commits):040x}"

    def add(self, files: dict[str, bytes]) -> None:
        """Commit."""
        self.files |= files
        self.commits.append([*files])


def hub_of(request: BaseHTTPRequestHandler) -> HubServer:
    assert isinstance(request.server, HubServer)
    return request.server


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_PROGRESS_BARS", True)
    with HubServer() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setattr(pipeline.publish, "_hub", lambda to, token: HuggingFaceTarget(to, token, server.endpoint))
        yield server
        server.shutdown()


def to_hub(release: Path, token: str = Hub.token) -> Any:
    return publish(release, "hf://datasets/user/name", token=SecretStr(token))


def test_the_hub_takes_a_release_in_two_commits(release: Path, hub: HubServer) -> None:
    small = make_release(release.parent / "small", {"README.md": b"card", "quality/a.json": b"{}"})
    to_hub(small)
    assert hub.files == expected(small)
    assert [len(commit) for commit in hub.commits] == [3, 1]
    assert hub.commits[-1] == [f"1.0.0/{CHECKSUMS}"]
    assert to_hub(small).to_send == []
    hub.files["1.0.0/README.md"] = b"else"
    refused(lambda: to_hub(small), "README.md is missing there or another one", kind=PublishError)


def test_a_release_that_is_published_meanwhile_stays(release: Path, hub: HubServer) -> None:
    theirs = {f"1.0.0/{CHECKSUMS}": b"of another release", "1.0.0/README.md": b"another"}
    hub.before_commit = lambda: hub.add(theirs)
    refused(lambda: to_hub(release), "has changed meanwhile", kind=PublishError)
    assert hub.files == theirs


def test_a_token_that_the_hub_echoes_is_masked(release: Path, hub: HubServer) -> None:
    del hub
    with pytest.raises(PublishError, match="cannot be written to") as told:
        to_hub(release, SECRET)
    assert told.value.__cause__ is told.value.__context__ is None
    assert SECRET not in str(told.value)
    assert HuggingFaceTarget("hf://datasets/user/name", SecretStr(SECRET))._masked(f"a {SECRET} b") == "a [token] b"


def test_a_pause_of_hours_is_not_made_for_the_hub(release: Path, hub: HubServer) -> None:
    for headers in ({"Retry_After": "3600"}, {"RateLimit": '"api";r=0;t=3600'}):
        hub.status, hub.headers = 429, headers
        refused(lambda: to_hub(release), "3,600 s", "again", kind=PublishError)


def test_a_hub_that_is_silent_is_given_up(release: Path, silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    del silent
    monkeypatch.setattr("pipeline.publish.hugging_face.TIMEOUT_SECONDS", 0.3)
    target = HuggingFaceTarget("hf://datasets/user/name", SecretStr("x"), os.environ["AWS_ENDPOINT_URL"])
    began = time.monotonic()
    refused(lambda: target.find(read_inventory(release)), "ReadTimeout", kind=PublishError)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    "tree",
    [b"[", b"[" * 100_000, {"a": 1}, [1], [{}], [{"type": "file"}], [{"type": "file", "path": 1, "size": 1, "oid": 1}]],
    ids=["no JSON", "deep", "mapping", "number", "empty", "no path", "no text"],
)
def test_odd_answers_of_the_hub_are_one_line(release: Path, hub: HubServer, tree: object) -> None:
    hub.files, hub.tree = {"1.0.0/README.md": b"card"}, tree
    refused(lambda: to_hub(release), "hf://datasets/user/name", kind=PublishError)


def test_the_token_does_not_leave_the_hub(release: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.files = expected(release)
    with HubServer() as thief:
        threading.Thread(target=thief.serve_forever, args=(0.02,), daemon=True).start()
        heard = Mock(return_value=True)
        monkeypatch.setattr(thief, "verify_request", heard)
        hub.links = {"Link": f'<{thief.endpoint}/x>; rel="next"'}
        refused(lambda: to_hub(release), "leads to 127.0.0.1", "The token is not sent there", kind=PublishError)
        heard.assert_not_called()
        thief.shutdown()


def test_a_fifo_in_a_release_is_not_waited_for_on_the_way_to_the_hub(release: Path, hub: HubServer) -> None:
    inventory = read_inventory(release)
    target = HuggingFaceTarget("hf://datasets/user/name", SecretStr(Hub.token), hub.endpoint)
    (release / "README.md").unlink()
    os.mkfifo(release / "README.md")
    refused(lambda: target.send(inventory, ["README.md"], sends_nothing), "no regular file", kind=DatasetError)
