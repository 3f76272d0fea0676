"""A release is published whole and checked, or one line says why not, and then not one byte of it was sent."""

import os
import shutil
import sys
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest

from pipeline.errors import DatasetError, InputError, RecipeError
from pipeline.publish import client, open_target, publish
from pipeline.publish.inventory import read_inventory
from pipeline.release.checksums import CHECKSUMS
from pipeline.store.files import all_files
from tests.fake_osf import GB, Entity, FakeOsf, Fault, Node, make_release
from tests.publishing import NODE, expected, refused

pytestmark = pytest.mark.usefixtures("osf_token")

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


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tests must not change it."""
    return make_release(tmp_path_factory.mktemp("finished") / "release", CONTENT)


@pytest.fixture
def release(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "release"))


def entity(osf: FakeOsf, path: str) -> Entity:
    return dict(osf.nodes[NODE].root.below())[f"1.0.0/{path}"]


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


def test_a_library_that_is_missing_is_named(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.delitem(sys.modules, "pipeline.publish.hugging_face")
    refused(finished, "hf://datasets/user/name", "huggingface_hub", "pip install 'ecg-foundry[publish]'", node=None)
