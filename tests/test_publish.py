"""A release is published whole and checked, or one line says why not, and then not one byte of it was sent."""

import base64
import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import httpx
import obstore
import pytest
from huggingface_hub import constants
from moto.server import ThreadedMotoServer
from obstore.store import S3Store
from pydantic import SecretStr

import pipeline.publish
from pipeline.errors import DatasetError, FoundryError, InputError, RecipeError
from pipeline.publish import PublishError, client, open_target, publish, s3
from pipeline.publish.hugging_face import HuggingFaceTarget
from pipeline.publish.inventory import read_inventory
from pipeline.publish.links import api_address, trusted_link
from pipeline.release.checksums import CHECKSUMS
from pipeline.store.files import all_files
from tests.fake_osf import GB, Entity, FakeOsf, Fault, Node, fake_osf, make_release

TOKEN = "sentinelTokenThatNobodyMaySee"
NODE = "abc12"
BIG = "all/signals-000.zarr.zip"
CONTENT = {
    "README.md": b"Synthetic. Not for clinical use.",
    BIG: os.urandom(3 << 19),
    "all/measurements.parquet": b"PAR1" * 500,
    "normal/measurements.parquet": b"PAR1" * 400,
    "normal/signals-000.zarr.zip": os.urandom(5000),
    "exports/asc/all/0.asc": b"1 2 3 4 5 6 7 8\n",
    "quality/a.json": b"{}",
    "quality/b.json": b"[]",
    "quality/c.json": b"[0]",
    "quality/d.json": b"[1]",
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setenv("OSF_TOKEN", TOKEN)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tests must not change it."""
    return make_release(tmp_path_factory.mktemp("finished") / "release", CONTENT)


@pytest.fixture
def release(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "release"))


@pytest.fixture
def osf() -> Iterator[FakeOsf]:
    with fake_osf(TOKEN) as server:
        server.nodes[NODE] = Node()
        yield server


def expected(release: Path) -> dict[str, bytes]:
    return {f"1.0.0/{path.relative_to(release).as_posix()}": path.read_bytes() for path in all_files(release)}


def entity(osf: FakeOsf, path: str) -> Entity:
    return dict(osf.nodes[NODE].root.below())[f"1.0.0/{path}"]


def refused(release: Path, to: str, *words: str, node: str | None = NODE) -> str:
    """Publishing ends in one line with these words in it."""
    with pytest.raises(FoundryError) as told:
        publish(release, to, node=node)
    line = str(told.value)
    assert "\n" not in line
    assert [word for word in words if word not in line] == []
    return line


def test_a_release_arrives_whole_sealed_last_and_not_twice(finished: Path, osf: FakeOsf) -> None:
    assert {step.action for step in publish(finished, osf.api, node=NODE).steps} == {"upload"}
    assert osf.nodes[NODE].files() == expected(finished)
    assert osf.sent[-1].file == CHECKSUMS
    folders = [path for path, each in osf.nodes[NODE].root.below() if each.versions is None]
    assert len(osf.sent) == len(expected(finished)) + len(folders)  # each made once
    assert any("page=2" in request.target for request in osf.requests)

    osf.requests.clear()
    plan = publish(finished, osf.api, node=NODE)
    assert (plan.to_send, plan.bytes_to_send, osf.sent) == ([], 0, [])


def test_a_dry_run_says_what_would_happen_and_only_asks(release: Path, osf: FakeOsf) -> None:
    osf.nodes[NODE].root.children = [Entity("1.0.0", children=[Entity("README.md", [b"cut o"])])]
    plan = publish(release, osf.api, node=NODE, dry_run=True)
    actions = {step.file: step.action for step in plan.steps}
    assert actions.pop("README.md") == "new version"
    assert set(actions.values()) == {"upload"}
    assert plan.bytes_to_send == sum(len(content) for content in expected(release).values())
    lines = [*plan.lines()]
    assert len(lines) == len(plan.steps) + 1
    assert f"{len(CONTENT[BIG]):,} bytes  1.0.0/{BIG}" in "\n".join(lines)
    assert osf.sent == []


@pytest.mark.parametrize(
    ("fault", "uploads", "versions"),
    [
        (Fault("status", status=503), 2, 1),
        (Fault("status", status=429, times=3), 4, 1),
        (Fault("early", status=502), 2, 1),
        (Fault("cut"), 2, 1),
        (Fault("partial"), 2, 2),
        (Fault("lost"), 1, 1),
        (Fault("corrupt"), 2, 2),
        (Fault("hashless"), 1, 1),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_what_goes_wrong_with_an_upload_is_made_good(
    finished: Path, osf: FakeOsf, fault: Fault, uploads: int, versions: int
) -> None:
    fault.on = BIG.rpartition("/")[2]
    osf.faults = [fault]
    sent: list[int] = []
    inventory = read_inventory(finished)
    with open_target(osf.api, finished, node=NODE) as target:
        target.find(inventory)
        target.send(inventory, [BIG], sent.append)
    assert [request.file for request in osf.sent].count(fault.on) == uploads
    assert sum(sent) == len(CONTENT[BIG])  # the bar ends where it should
    there = entity(osf, BIG).versions
    assert there is not None
    assert (there[-1], len(there)) == (CONTENT[BIG], versions)


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("status", method="GET", on=on, status=503) for on in ("/storage/", "/files/", "/v2/nodes/")],
        [Fault("status", method="GET", on="osfstorage", status=429, headers={"Retry-After": "0"}, times=4)],
        [Fault("lost", on="quality"), Fault("lost", on="1.0.0")],  # folders that are made though no answer comes
        [Fault("lost", on=name.rpartition("/")[2], times=2) for name in CONTENT],
    ],
    ids=["asking", "too many requests", "folders", "every answer"],
)
def test_a_bad_connection_leaves_nothing_out_and_nothing_twice(
    finished: Path, osf: FakeOsf, faults: list[Fault]
) -> None:
    osf.faults = faults
    publish(finished, osf.api, node=NODE)
    assert not any(fault.times for fault in faults if fault.kind == "status")
    assert osf.nodes[NODE].files() == expected(finished)
    assert all(len(each.versions or [b""]) == 1 for _, each in osf.nodes[NODE].root.below())


def test_a_late_upload_does_no_harm(release: Path, osf: FakeOsf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "UPLOAD_TIMEOUT_SECONDS", 0.2)
    osf.faults = [Fault("slow", on="README.md")]
    publish(release, osf.api, node=NODE)
    while osf.busy:
        time.sleep(0.01)
    assert osf.nodes[NODE].files() == expected(release)


def test_a_pause_that_is_asked_for_is_made(finished: Path, osf: FakeOsf) -> None:
    osf.faults = [Fault("status", on="release.json", status=429, headers={"Retry-After": "1"})]
    publish(finished, osf.api, node=NODE)
    first, second = (request for request in osf.sent if request.file == "release.json")
    assert 1 <= second.time - first.time < 4


def test_a_pause_is_asked_for_in_three_ways() -> None:
    now = time.time()
    date = format_datetime(datetime.fromtimestamp(now + 50, UTC), usegmt=True)
    for text, seconds in (("50", 50), (date, 50), (f"{now + 50:.0f}", 50), ("-3", 0), (f"{now - 50:.0f}", 0)):
        assert client._asked_pause(text) == pytest.approx(seconds, abs=3)
    assert client._asked_pause("") is client._asked_pause("soon") is None


def test_a_pause_of_hours_is_left_to_the_user(finished: Path, osf: FakeOsf) -> None:
    osf.faults = [Fault("status", on="release.json", status=429, headers={"Retry-After": "7200"})]
    refused(finished, osf.api, "7,200 s", "Run the same command again")
    assert [request.file for request in osf.sent].count("release.json") == 1
    publish(finished, osf.api, node=NODE)
    assert osf.nodes[NODE].files() == expected(finished)


def test_a_file_that_never_arrives_whole_ends_it_unsealed(finished: Path, osf: FakeOsf) -> None:
    osf.faults = [Fault("corrupt", on="0.asc", times=99)]
    refused(finished, osf.api, "0.asc", "another SHA-256")
    assert [request.file for request in osf.sent].count("0.asc") == client.ATTEMPTS
    assert f"1.0.0/{CHECKSUMS}" not in osf.nodes[NODE].files()


def test_what_is_spoilt_after_it_was_checked_keeps_the_version_unpublished(finished: Path, osf: FakeOsf) -> None:
    def spoil() -> None:
        if osf.requests[-1].file == "release.json":  # the last file but the seal
            entity(osf, "README.md").versions = [b"somebody else's"]

    osf.at_moment = spoil
    refused(finished, osf.api, "README.md", "not published yet")
    assert f"1.0.0/{CHECKSUMS}" not in osf.nodes[NODE].files()


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (Node(deleted=True), ["deleted"]),
        (Node(public=False, permissions=()), ["may not be written to"]),
        (Node(permissions=("read",)), ["may not be written to", "osf.full_write"]),
        (Node(used=50 * GB - 1000), ["public", "50 GB", "50.00 GB are used", "new component"]),
        (Node(public=False, used=5 * GB - 1000), ["private", "5 GB", "Make it public first"]),
        (None, ["does not exist", "osf.io/abc12"]),
    ],
    ids=["deleted", "not ours", "read only", "full", "private", "no such node"],
)
def test_a_node_that_cannot_take_it_is_sent_nothing(
    finished: Path, osf: FakeOsf, node: Node | None, words: list[str]
) -> None:
    osf.nodes = {NODE: node} if node else {}
    refused(finished, osf.api, *words)
    assert osf.sent == []


def test_a_wrong_token_is_sent_nothing(finished: Path, osf: FakeOsf, monkeypatch: pytest.MonkeyPatch) -> None:
    for token, word in (("wrong", "does not accept the token"), ("  ", "no OSF token"), ("to\nken", "character")):
        monkeypatch.setenv("OSF_TOKEN", token)
        assert "ken'" not in refused(finished, osf.api, word, "OSF_TOKEN")
    monkeypatch.delenv("OSF_TOKEN")
    refused(finished, osf.api, "no OSF token")
    assert osf.sent == []
    publish(finished, osf.api, node=NODE, token=SecretStr(TOKEN), dry_run=True)


def test_a_file_of_more_than_5_gb_is_sent_nothing_of(release: Path, osf: FakeOsf) -> None:
    os.truncate(release / BIG, 5 * GB + 1)
    refused(release, osf.api, BIG, "5 GB a file")
    assert osf.sent == []


def test_storage_that_osf_is_still_counting_is_waited_for(finished: Path, osf: FakeOsf) -> None:
    osf.nodes[NODE] = Node(public=False, used=5 * GB, uncounted=2)
    refused(finished, osf.api, "Make it public first")
    osf.nodes[NODE] = Node(uncounted=9)
    assert publish(finished, osf.api, node=NODE, dry_run=True).to_send


@pytest.mark.parametrize(
    ("to", "node", "words"),
    [
        ("osf", None, "needs a node"),
        ("osf", "../users/me", "is no OSF node"),
        ("/somewhere", NODE, "has no nodes"),
        ("http://api.osf.io/v2/", NODE, "is no address of an OSF API"),
        ("https://me:secret@api.osf.io/v2/", NODE, "is no address"),
        ("gs://bucket", None, "no place to publish to"),
        ("", None, "no place to publish to"),
        ("s3://", None, "Give s3://bucket/prefix"),
        ("hf://datasets/user", None, "hf://datasets/user/name"),
    ],
)
def test_a_wrong_place_is_said(finished: Path, to: str, node: str | None, words: str) -> None:
    with pytest.raises((InputError, RecipeError), match=words):
        publish(finished, to, node=node)


def test_a_release_that_is_not_what_it_says_is_sent_nothing_of(release: Path, osf: FakeOsf) -> None:
    (release / "stray").touch()
    refused(release, osf.api, "stray", "not listed")
    (release / "stray").unlink()
    content = (release / "quality/a.json").read_bytes()
    (release / "quality/a.json").write_bytes(b"[]")
    refused(release, osf.api, "quality/a.json", "altered")
    (release / "quality/a.json").unlink()
    refused(release, osf.api, "quality/a.json", "missing")
    (release / "quality/a.json").symlink_to(release / "quality/b.json")
    refused(release, osf.api, "quality/a.json", "symbolic link")
    (release / "quality/a.json").unlink()
    (release / "quality/a.json").write_bytes(content)
    (release / CHECKSUMS).rename(release / "elsewhere")
    refused(release, osf.api, "is no finished release")
    assert osf.sent == []


def test_a_file_that_changes_on_the_way_never_arrives(release: Path, osf: FakeOsf) -> None:
    def change() -> None:
        if osf.sent:
            (release / BIG).write_bytes(CONTENT[BIG][:-1] + b"x")

    osf.at_moment = change
    with pytest.raises(DatasetError, match="changed while it was sent"):
        publish(release, osf.api, node=NODE)
    assert f"1.0.0/{BIG}" not in osf.nodes[NODE].files()


def test_a_published_version_never_changes(release: Path, osf: FakeOsf, tmp_path: Path) -> None:
    publish(release, osf.api, node=NODE)
    before = osf.nodes[NODE].files()
    osf.requests.clear()
    other = make_release(tmp_path / "other", CONTENT | {"README.md": b"another"})
    refused(other, osf.api, CHECKSUMS, "never overwritten")

    folder = dict(osf.nodes[NODE].root.below())["1.0.0/"]
    gone = entity(osf, "README.md")
    folder.children.remove(gone)
    refused(release, osf.api, "README.md", f"Remove 1.0.0/{CHECKSUMS} there")
    folder.children.append(Entity("README.md", [b"another"]))
    refused(release, osf.api, "README.md", "another one")
    assert osf.sent == []

    folder.children.remove(entity(osf, CHECKSUMS))  # as that line says
    publish(release, osf.api, node=NODE)
    assert osf.nodes[NODE].files() == before
    publish(make_release(tmp_path / "next", CONTENT, version="1.0.1"), osf.api, node=NODE)
    assert before.items() < osf.nodes[NODE].files().items()


def test_an_unfinished_upload_goes_on(release: Path, osf: FakeOsf) -> None:
    osf.faults = [Fault("status", on="quality", status=403)]
    refused(release, osf.api, "may not be written to")
    entity(osf, BIG).versions = [CONTENT[BIG][:99]]
    osf.requests.clear()
    plan = publish(release, osf.api, node=NODE)
    assert {step.file for step in plan.steps if step.action == "new version"} == {BIG}
    assert osf.nodes[NODE].files() == expected(release)
    assert "README.md" not in {request.file for request in osf.sent}

    entity(osf, CHECKSUMS).versions = [(release / CHECKSUMS).read_bytes()[:70]]  # cut off in the very last file
    assert [step.file for step in publish(release, osf.api, node=NODE).to_send] == [CHECKSUMS]
    assert osf.nodes[NODE].files() == expected(release)


def test_files_of_others_are_left_alone(finished: Path, osf: FakeOsf) -> None:
    root = osf.nodes[NODE].root
    root.children = [Entity("1.0.0", [b"a file of that name"]), Entity("mine", children=[Entity("x", [b"x"])])]
    publish(finished, osf.api, node=NODE)
    assert osf.nodes[NODE].files().items() >= {"mine/x": b"x", "1.0.0": b"a file of that name"}.items()
    entity(osf, "quality/").children.append(Entity("notes.txt", [b"n"]))
    osf.requests.clear()
    refused(finished, osf.api, "quality/notes.txt", "does not have")
    assert osf.sent == []


API = httpx.URL("https://api.osf.io/v2/")


@pytest.mark.parametrize(
    "link", ["https://files.osf.io/v1/", "https://files.de-1.osf.io/v1/x?kind=file", "nodes/abc12/", "https://OSF.io/"]
)
def test_the_token_goes_to_the_domain_of_the_api(link: str) -> None:
    assert trusted_link(API, link).host.endswith("osf.io")


@pytest.mark.parametrize(
    "link",
    [
        "http://files.osf.io/v1/",
        "https://osf.io.example.org/",
        "https://evilosf.io/",
        "https://me@files.osf.io/",
        "https://files.osf.io@example.org/",
        "https://127.0.0.1/",
        "//example.org/v2/",
        "file:///etc/passwd",
        "https://[::1/",
        "https://files.osf.io.:443:1/",
    ],
)
def test_and_nowhere_else(link: str) -> None:
    with pytest.raises(PublishError, match="not sent there"):
        trusted_link(API, link)
    with pytest.raises(PublishError):
        trusted_link(api_address("http://127.0.0.1:80/v2"), "https://files.osf.io/")
    with pytest.raises(PublishError):
        trusted_link(httpx.URL("https://api.org/v2/"), "https://example.org/")


def test_hostile_answers_do_not_get_the_token(finished: Path, osf: FakeOsf) -> None:
    with fake_osf("") as thief:
        osf.faults = [Fault("status", method="GET", status=302, headers={"Location": thief.api}, times=9)]
        refused(finished, osf.api, "302")
        osf.faults = [Fault("status", on="1.0.0", status=307, headers={"Location": thief.files_host}, times=9)]
        refused(finished, osf.api, "307")
        assert thief.requests == []
    osf.requests.clear()
    osf.faults = []
    osf.files_host = "http://files.example.org"
    refused(finished, osf.api, "files.example.org", "The token is not sent there")
    assert osf.sent == []


_TALKATIVE = """
import logging, sys, traceback
logging.basicConfig(level=logging.DEBUG, filename=sys.argv[2])
logging.getLogger().addHandler(logging.StreamHandler())
from pathlib import Path
from pipeline.publish import client, publish
client.FIRST_PAUSE_SECONDS, client.ATTEMPTS = 0.01, 2
for api in sys.argv[3:]:
    try:
        print("it ended", publish(Path(sys.argv[1]), api, node="abc12"))
    except Exception as error:
        traceback.print_exc()
        print("it ended in", repr(error))
        while error:
            print(vars(error), error.args)
            error = error.__cause__ or error.__context__
"""


def test_the_token_appears_nowhere(finished: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    endings = [
        ("it ended Plan(", []),
        ("does not accept the token", []),
        ("did not arrive", [Fault("cut", on="README", times=99)]),
        ("is none", [Fault("status", method="GET", status=200)]),
        ("The token is not sent there", []),
    ]
    with ExitStack() as stack:
        servers = [stack.enter_context(fake_osf(TOKEN)) for _ in endings]
        for server, (_, faults) in zip(servers, endings, strict=True):
            server.nodes[NODE] = Node()
            server.faults = faults
        servers[1].token = "another"
        servers[-1].files_host = "http://files.example.org"
        apis = [*[server.api for server in servers], "http://127.0.0.1:9/v2/"]
        arguments = [sys.executable, "-c", _TALKATIVE, str(finished), str(log), *apis]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    ends = [line for line in done.stdout.splitlines() if line.startswith("it ended")]
    words = [*[word for word, _ in endings], "does not answer"]
    assert [word in end for word, end in zip(words, ends, strict=True)] == [True] * len(apis)
    assert {request.token for request in servers[0].requests} == {TOKEN}
    assert done.stderr.count("Traceback") >= 5
    assert "send_request_headers.started" in done.stderr  # the library does tell all that it does
    for text in (done.stdout, done.stderr, log.read_text()):
        assert TOKEN not in text
        assert base64.b64encode(TOKEN.encode()).decode() not in text


def test_a_folder_is_a_place_too(release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tmp_path / "there"
    plan = publish(release, str(there), dry_run=True)
    assert (len(plan.to_send), there.exists()) == (len(CONTENT) + 2, False)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 9))
    refused(release, str(there), "9 bytes free", node=None)
    monkeypatch.undo()

    publish(release, str(there))
    (there / "1.0.0" / BIG).unlink()
    (there / "1.0.0" / CHECKSUMS).unlink()
    (there / "1.0.0/all/.0123456789abcdef.tmp").write_bytes(b"of a crash")
    assert [step.file for step in publish(release, str(there)).to_send] == [BIG, CHECKSUMS]
    assert {f"{path.relative_to(there)}": path.read_bytes() for path in all_files(there)} == expected(release)

    other = make_release(tmp_path / "other", CONTENT | {"README.md": b"another"})
    refused(other, str(there), "never overwritten", node=None)
    (there / "1.0.0" / CHECKSUMS).unlink()
    refused(other, str(there), "README.md", "never overwritten", node=None)
    refused(release, str(release / "inside"), "inside each other", node=None)
    refused(release, str(release / CHECKSUMS), "inside each other", node=None)
    refused(release, str(tmp_path / "other" / "README.md"), "is a file or a link", node=None)


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """An S3 server of its own."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    settings = {"ENDPOINT": endpoint, "ALLOW_HTTP": "true", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**settings, "REGION": "us-east-1"}.items():
            patch.setenv(f"AWS_{name}", value)
        httpx.put(f"{endpoint}/bucket", trust_env=False)
        yield "s3://bucket"
    server.stop()


def test_s3(release: Path, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "_SMALL_BYTES", 1 << 20)  # so that the large file goes in parts
    url = f"{bucket}/data/ecg/"
    store = S3Store.from_url(bucket)
    assert len(publish(release, url, dry_run=True).to_send) == len(CONTENT) + 2
    assert [*obstore.list(store)] == []

    put = obstore.put

    def spoil(store: S3Store, key: str, content: bytes, **more: Any) -> None:
        put(store, key, content[::-1], **more)

    monkeypatch.setattr("obstore.put", spoil)
    refused(release, url, "came back with other content", node=None)
    monkeypatch.setattr("obstore.put", put)
    assert [*obstore.list(store)] == []  # or it would be believed the next time

    assert publish(release, url).to_send
    there = {item["path"]: obstore.get(store, item["path"]) for items in obstore.list(store) for item in items}
    content = {path: bytes(got.bytes()) for path, got in there.items()}
    assert content == {f"data/ecg/{name}": held for name, held in expected(release).items()}
    big = there[f"data/ecg/1.0.0/{BIG}"]
    assert big.attributes["sha256"] == hashlib.sha256(CONTENT[BIG]).hexdigest()
    assert publish(release, url).to_send == []

    obstore.delete(store, [f"data/ecg/1.0.0/{CHECKSUMS}", f"data/ecg/1.0.0/{BIG}"])
    assert [step.file for step in publish(release, url).to_send] == [BIG, CHECKSUMS]
    other = make_release(tmp_path / "other", CONTENT | {"README.md": b"another"})
    refused(other, url, "never overwritten", node=None)
    obstore.delete(store, f"data/ecg/1.0.0/{CHECKSUMS}")
    refused(other, url, "README.md", "never overwritten", node=None)
    refused(release, "s3://nosuchbucket/x", "404", "AWS_", node=None)


def test_a_file_that_changes_on_the_way_to_s3_never_arrives(
    release: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline.publish, "check_inventory", lambda _: None)
    monkeypatch.setattr(s3, "_SMALL_BYTES", 1 << 20)
    (release / BIG).write_bytes(CONTENT[BIG][:-1] + b"x")
    with pytest.raises(DatasetError, match="changed while it was sent"):
        publish(release, f"{bucket}/changed")
    with pytest.raises(FileNotFoundError):
        obstore.head(S3Store.from_url(bucket), f"changed/1.0.0/{BIG}")


def test_a_library_that_is_missing_is_named(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for library, module, to in (
        ("obstore", "s3", "s3://bucket/x"),
        ("huggingface_hub", "hugging_face", "hf://datasets/user/name"),
    ):
        monkeypatch.setitem(sys.modules, library, None)
        monkeypatch.delitem(sys.modules, f"pipeline.publish.{module}")
        refused(finished, to, library, "pip install 'ecg-foundry[publish]'", node=None)


class _Hub(BaseHTTPRequestHandler):
    """The four requests of the Hub that small files take; large ones go to a storage that is not here."""

    protocol_version = "HTTP/1.1"
    files: ClassVar[dict[str, bytes]] = {}
    commits: ClassVar[list[list[str]]] = []
    token = "hub-token"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if self.headers["Authorization"] != f"Bearer {self.token}" or "/datasets/user/name/" not in path:
            self._reply(401, {"error": "Invalid credentials"}, "RepoNotFound")
        elif path.endswith("/auth-check/write"):
            self._reply(200, {})
        elif not self.files:
            self._reply(404, {"error": "not there"}, "EntryNotFound")
        else:
            assert path.endswith("/tree/main/1.0.0")
            self._reply(200, [self._listed(name, content) for name, content in sorted(self.files.items())])

    def do_POST(self) -> None:
        lines = self.rfile.read(int(self.headers["Content-Length"])).splitlines()
        if "/preupload/" in self.path:
            files = [file["path"] for file in json.loads(lines[0])["files"]]
            modes = [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in files]
            self._reply(200, {"files": modes})
            return
        added = [json.loads(line)["value"] for line in lines[1:]]
        self.files.update({file["path"]: base64.b64decode(file["content"]) for file in added})
        self.commits.append([file["path"] for file in added])
        self._reply(
            200, {"commitUrl": f"http://{self.headers['Host']}/datasets/user/name/commit/1", "commitOid": "1" * 40}
        )

    @staticmethod
    def _listed(name: str, content: bytes) -> dict[str, Any]:
        oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return {"type": "file", "path": name, "size": len(content), "oid": oid}

    def _reply(self, status: int, document: object, error: str = "") -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), "X-Error-Code": error}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def test_hugging_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    release = make_release(tmp_path / "release", {"README.md": b"card", "quality/a.json": b"{}"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    url = "hf://datasets/user/name"

    def opened(to: str, token: SecretStr | None) -> HuggingFaceTarget:
        return HuggingFaceTarget(to, token, endpoint)

    monkeypatch.setattr(pipeline.publish, "_with_library", opened)
    token = SecretStr(_Hub.token)
    assert len(publish(release, url, token=token, dry_run=True).to_send) == 4
    publish(release, url, token=token)
    assert _Hub.files == expected(release)
    assert [len(commit) for commit in _Hub.commits] == [3, 1]
    assert _Hub.commits[-1] == [f"1.0.0/{CHECKSUMS}"]
    assert publish(release, url, token=token).to_send == []
    _Hub.files["1.0.0/README.md"] = b"else"
    with pytest.raises(PublishError, match=r"README\.md is missing there or another one"):
        publish(release, url, token=token)
    with pytest.raises(PublishError, match="cannot be written to") as told:
        publish(release, url, token=SecretStr("wrong-token"))
    assert told.value.__cause__ is told.value.__context__ is None
    assert "wrong-token" not in str(told.value)
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("given", "shown"), [("hf_SENTINEL\n", False), ("hf_SENT INEL", True), ("hf_SENTINEL\u00e9", True)]
)
def test_a_hub_token_that_no_header_can_hold_is_not_shown(
    finished: Path, monkeypatch: pytest.MonkeyPatch, given: str, *, shown: bool
) -> None:
    """A line break around it is taken off; with anything else inside it is refused before a library sees it."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(FoundryError) as caught:
        publish(finished, "hf://datasets/user/name", token=SecretStr(given), dry_run=True)
    assert "SENT" not in str(caught.value)
    assert ("special character" in str(caught.value)) is shown
