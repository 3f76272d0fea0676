"""A bucket takes a release whole, or one line says in time why not."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import obstore
import pytest

import pipeline.publish
from pipeline.errors import DatasetError, InputError
from pipeline.publish import PublishError, publish, s3
from pipeline.publish.inventory import read_inventory
from pipeline.publish.s3 import S3Target
from pipeline.release.checksums import CHECKSUMS
from pipeline.store import bucket as store_bucket
from pipeline.store.bucket import answer, bucket_errors, open_bucket
from tests.fake_osf import make_release
from tests.publishing import IN_PARTS, LARGE, TOKEN, expected, one_line_of, sends_nothing, silent_server
from tests.s3_server import s3_endpoint


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return make_release(tmp_path / "release", IN_PARTS)


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
    settings = {"ALLOW_HTTP": "true", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": TOKEN, "REGION": "us-east-1"}
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
    with silent_server() as address:
        credentials.setenv("AWS_ENDPOINT_URL", address)
        yield "s3://bucket/x"


def held(prefix: str) -> dict[str, bytes]:
    store = open_bucket(f"s3://bucket/{prefix}")
    return {item["path"]: bytes(obstore.get(store, item["path"]).bytes()) for page in store.list() for item in page}


def test_a_bucket_takes_a_release_and_no_other(release: Path, bucket: str, tmp_path: Path) -> None:
    url = f"{bucket}/data/ecg/"
    assert len(publish(release, url, dry_run=True).to_send) == len(IN_PARTS) + 2
    assert held("data/ecg") == {}
    publish(release, url)
    assert held("data/ecg") == expected(release)
    assert publish(release, url).to_send == []
    store = open_bucket(url)
    obstore.delete(store, [f"1.0.0/{CHECKSUMS}", f"1.0.0/{LARGE}"])
    assert [step.file for step in publish(release, url).to_send] == [LARGE, CHECKSUMS]
    other = make_release(tmp_path / "other", IN_PARTS | {"README.md": b"another"})
    one_line_of(lambda: publish(other, url), "never overwritten", kind=PublishError)
    target = S3Target(url)
    for name in ("README.md", LARGE):  # found by nobody when the other one began
        with pytest.raises(PublishError, match="meanwhile"):
            target.send(read_inventory(other), [name], sends_nothing)
    assert held("data/ecg") == expected(release)
    one_line_of(lambda: publish(release, "s3://nosuchbucket/x"), "404", "NoSuchBucket", "AWS_", kind=PublishError)


def test_a_spoilt_object_is_not_believed(release: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put = obstore.put_async

    def spoil(store: Any, key: str, content: bytes, **more: Any) -> Any:
        return put(store, key, content[::-1], **more)

    monkeypatch.setattr("obstore.put_async", spoil)
    one_line_of(lambda: publish(release, f"{bucket}/spoilt"), "came back with other content", kind=PublishError)
    assert held("spoilt") == {}


def test_a_file_that_changes_on_the_way_to_a_bucket_never_arrives(
    release: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline.publish, "check_inventory", lambda _: None)
    (release / LARGE).write_bytes(IN_PARTS[LARGE][:-1] + b"x")
    one_line_of(lambda: publish(release, f"{bucket}/changed"), "changed while it was sent", kind=DatasetError)
    assert f"1.0.0/{LARGE}" not in held("changed")


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
    one_line_of(lambda: publish(release, f"{bucket}/copied"), "README.md is missing there or another one")


@pytest.mark.parametrize("endpoint", ["refusing", "silent"])
def test_a_dead_store_is_given_up(release: Path, silent: str, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "ANSWER_SECONDS", 0.5)  # 15
    if endpoint == "refusing":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    began = time.monotonic()
    one_line_of(lambda: publish(release, silent), "s3://bucket/x", "AWS_", kind=PublishError)
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
        ({"SECRET_ACCESS_KEY": TOKEN}, "AWS_ACCESS_KEY_ID is missing"),
        ({"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": f"{TOKEN}\n"}, "AWS_SECRET_ACCESS_KEY is not of the form"),
        ({"ENDPOINT_URL": f"https://me:{TOKEN}@127.0.0.1:9"}, "AWS_ENDPOINT_URL is not of the form"),
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
    one_line_of(lambda: open_bucket("s3://bucket/x"), words, kind=InputError)
    assert time.monotonic() - began < 5
    assert capfd.readouterr().err == ""


def test_a_role_may_give_the_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x")
    open_bucket("s3://bucket/x")


@pytest.mark.parametrize(
    "url",
    [
        f"s3://me:{TOKEN}@bucket/x",
        f"s3://bucket/x?key={TOKEN}",
        f"s3://bucket/x#{TOKEN}",
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
    one_line_of(lambda: publish(release, url), "Give s3://bucket/prefix", kind=InputError)


def test_a_panic_becomes_one_line(credentials: pytest.MonkeyPatch) -> None:
    credentials.setenv("AWS_METADATA_ENDPOINT", "x")
    credentials.setitem(store_bucket._FORMS, "AWS_ENDPOINT_URL", ".*")  # as one that is not known to panic
    credentials.setenv("AWS_ENDPOINT_URL", ":::")
    store = open_bucket("s3://bucket/x")

    def asked(head: Callable[[], object]) -> None:
        with bucket_errors("s3://bucket/x", PublishError):
            head()

    one_line_of(lambda: asked(lambda: answer(lambda: obstore.head_async(store, "y"))), "AWS_* variables")
    one_line_of(lambda: asked(lambda: obstore.head(store, "y")), "AWS_* variables")


def test_other_exceptions_pass() -> None:
    for other in (KeyboardInterrupt, ZeroDivisionError):
        with pytest.raises(other), bucket_errors("s3://bucket/x", PublishError):
            raise other
