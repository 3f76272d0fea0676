"""Two publishers at once, and an OSF that answers oddly, slowly or without end: a right release or one line."""

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.publish import PublishError, client, publish
from pipeline.release.checksums import CHECKSUMS
from pipeline.store.files import all_files
from tests.fake_osf import Entity, FakeOsf, Fault, Node, make_release
from tests.publishing import FILES, NODE, TOKEN, expected, listing, refused, there


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(tmp_path_factory.mktemp("one") / "release", FILES)


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the same version: files in common, others, and more of them."""
    files = FILES | {"README.md": b"another card", "all/signals.zip": b"KP" * 900, "exports/x.csv": b"1,2\n"}
    return make_release(tmp_path_factory.mktemp("another") / "release", files)


def at_request(osf: FakeOsf, number: int, method: str, act: Callable[[], object]) -> None:
    """Do something when so many requests of a method have come, once."""

    def count() -> None:
        if sum(request.method == method for request in osf.requests) == number:
            osf.at_moment = lambda: None
            act()

    osf.at_moment = count


def is_published(release: Path, osf: FakeOsf) -> bool:
    try:
        publish(release, osf.api, node=NODE)
    except PublishError:
        return False
    return True


@pytest.mark.parametrize("is_begun", [False, True], ids=["nothing there", "half there"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_of_two_publishers_one_has_the_version(
    release: Path, another: Path, osf: FakeOsf, method: str, *, is_begun: bool
) -> None:
    """At whatever point of one publication another one of that version is done from beginning to end."""

    def begin() -> None:
        osf.nodes[NODE] = Node()
        if is_begun:
            osf.faults = [Fault("status", on="quality", status=403)]
            refused(release, osf.api, "may not be written to")
        osf.requests.clear()

    begin()
    publish(another, osf.api, node=NODE)
    winners = set[Path]()
    moments = sum(request.method == method for request in osf.requests)
    for moment in range(1, moments + 1, 5 if method == "GET" else 2):
        begin()
        came_between: list[bool] = []
        at_request(osf, moment, method, lambda: came_between.append(is_published(release, osf)))  # noqa: B023
        has_won = is_published(another, osf)
        assert came_between == [not has_won]
        winners.add(winner := another if has_won else release)
        files = osf.nodes[NODE].files()
        wrong = [name for name, content in expected(winner).items() if files[name] != content]
        # The one upload that is under way to a file that is there, when the other seals, cannot be called back.
        assert len(wrong) <= (is_begun and method == "PUT")
        assert files.keys() == expected(winner).keys()
        assert f"1.0.0/{CHECKSUMS}" not in wrong
    assert release in winners


def test_a_seal_that_was_spoilt_on_the_way_is_our_own(release: Path, osf: FakeOsf) -> None:
    osf.faults = [Fault("corrupt", on=CHECKSUMS), Fault("partial", on=CHECKSUMS)]
    publish(release, osf.api, node=NODE)
    assert osf.nodes[NODE].files() == expected(release)


@pytest.mark.parametrize("cut", [0, 1, 100])
def test_a_seal_that_was_cut_off_is_our_own_and_no_other_is(release: Path, osf: FakeOsf, cut: int) -> None:
    publish(release, osf.api, node=NODE)
    seal = (release / CHECKSUMS).read_bytes()
    there(osf)[CHECKSUMS].versions = [seal[:cut] + b"#"]
    refused(release, osf.api, "never overwritten")
    there(osf)[CHECKSUMS].versions = [seal[:cut]]
    assert [step.file for step in publish(release, osf.api, node=NODE).to_send] == [CHECKSUMS]


@pytest.mark.parametrize("name", ["", "quality/", "all/signals.zip"])
def test_what_moves_to_the_next_page_is_there_once(release: Path, osf: FakeOsf, name: str) -> None:
    """Something new in front of it moves it there while the pages are read, and it is listed twice."""
    osf.page_size = 1
    publish(release, osf.api, node=NODE)
    moved = there(osf)[name]
    above = next(each for each in (osf.nodes[NODE].root, *there(osf).values()) if moved in each.children)
    above.children.append(moved)
    assert publish(release, osf.api, node=NODE, dry_run=True).to_send == []
    above.children[-1] = Entity(moved.name, moved.versions, moved.children)
    refused(release, osf.api, "has two of", "Remove one of them there")


@pytest.mark.parametrize("path", ["", "all/"])
def test_a_folder_that_lists_itself_has_an_end(release: Path, osf: FakeOsf, path: str) -> None:
    publish(release, osf.api, node=NODE)
    above = f"{there(osf)[''].id}/" if path else ""
    itself = next(each for each in listing(osf, above)["data"] if each["id"] == there(osf)[path].id)
    content = json.dumps({"data": [itself], "links": {"next": None}}).encode()
    osf.faults = [Fault("status", f"/{itself['id']}/", "GET", status=200, times=99, content=content)]
    refused(release, osf.api, f"1.0.0/{path}{itself['attributes']['name']}/, which this release does not have")


def page(following: object, name: str = "osfstorage") -> bytes:
    """A listing of one storage."""
    storage = {"attributes": {"name": name, "kind": "folder", "path": "/"}, "links": {"upload": "x"}}
    return json.dumps({"data": [storage], "links": following}).encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[" * 100_000, "is none"),
        (b'{"data": ' * 100_000, "is none"),
        (page({"next": 5}, "box"), "whose next page has no address"),
        (page(["x"], "box"), "whose next page has no address"),
        (page({"next": "https://[::1"}, "box"), "an unreadable address"),
        (page({"next": "https://[v1.x]/"}, "box"), "an unreadable address"),
        (page({"next": "https://xn--a.osf.io/"}, "box"), "an unreadable address"),
        (page({"next": "http://127.0.0.1:99999/"}, "box"), "does not answer"),
        (page(None).replace(b'"x"', json.dumps(f"https://{TOKEN}.org/").encode()), "The token is not sent there"),
        (page({"next": f"https://{TOKEN}.org/"}, "box"), "The token is not sent there"),
    ],
)
def test_odd_answers_are_one_line(release: Path, osf: FakeOsf, content: bytes, words: str) -> None:
    osf.faults = [Fault("status", "/files/", "GET", status=200, content=content)]
    refused(release, osf.api, words)


def test_a_used_storage_of_absurd_size_is_one_line(release: Path, osf: FakeOsf) -> None:
    storage = json.dumps({"data": {"attributes": {"storage_usage": "9" * 400}}}).encode()
    osf.faults = [Fault("status", "/storage/", "GET", status=200, content=storage)]
    refused(release, osf.api, "about a storage is none")


@pytest.mark.parametrize("is_compressed", [False, True])
def test_an_answer_is_read_to_a_bound(
    release: Path, osf: FakeOsf, monkeypatch: pytest.MonkeyPatch, *, is_compressed: bool
) -> None:
    """The first one could be used; of the other one only what came is held, not what it unpacks to."""
    monkeypatch.setattr(client, "MOST_ANSWER_BYTES", 1 << 20, raising=False)
    content = json.dumps(listing(osf, "") | {"more": " " * (2 << 20)}).encode()
    headers = {"Content-Encoding": "gzip"} if is_compressed else {}
    content = gzip.compress(content) if is_compressed else content
    osf.faults = [Fault("status", "/files/osfstorage", "GET", times=99, status=200, headers=headers, content=content)]
    refused(release, osf.api, "is none" if is_compressed else "an answer of more than 1,048,576 bytes")


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_an_answer_that_drips_has_an_end(
    release: Path, osf: FakeOsf, monkeypatch: pytest.MonkeyPatch, method: str, head: bytes
) -> None:
    monkeypatch.setattr(client, "LONGEST_SECONDS", 0.5, raising=False)
    osf.faults = [Fault("drip", "1.0.0" if method == "PUT" else "/storage/", method, content=head)]
    refused(release, osf.api, "has not ended its answer", "Run the same command again")
    monkeypatch.undo()
    monkeypatch.setenv("OSF_TOKEN", TOKEN)
    publish(release, osf.api, node=NODE)
    assert osf.nodes[NODE].files() == expected(release)


def test_a_wait_is_said_before_it_is_made(
    release: Path, osf: FakeOsf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[list[str]] = []
    monkeypatch.setattr("time.sleep", lambda _: said.append(caplog.messages[-1:]))
    osf.faults = [Fault("status", "README.md", status=429, headers={"Retry-After": "840"})]
    publish(release, osf.api, node=NODE)
    assert said == [["waiting: seconds=840.0 host=127.0.0.1 reason=429 Too Many Requests"]]


def test_a_date_of_the_past_is_no_pause() -> None:
    assert client._asked_pause("Sun, 06 Nov 1994 08:49:37 GMT") == 0


def test_hashes_in_capitals_are_hashes(release: Path, osf: FakeOsf) -> None:
    osf.spelling = str.upper
    publish(release, osf.api, node=NODE)
    assert publish(release, osf.api, node=NODE).to_send == []
    assert all(len(each.versions or [b""]) == 1 for each in there(osf).values())


def test_a_hash_that_never_comes_is_waited_for_and_nothing_is_sent_twice(release: Path, osf: FakeOsf) -> None:
    osf.spelling = lambda _: None
    refused(release, osf.api, "cannot be checked", "no SHA-256")
    files = [request.file for request in osf.sent if "kind=file" in request.target]
    assert len(files) == 1
    osf.spelling = lambda digest: digest
    publish(release, osf.api, node=NODE)
    osf.spelling = lambda _: None
    refused(release, osf.api, f"no SHA-256 of 1.0.0/{CHECKSUMS}")


@pytest.mark.parametrize("status", [404, 409])
def test_a_refusal_that_may_pass_is_not_hurried(
    release: Path, osf: FakeOsf, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    osf.faults = [Fault("status", "README.md", times=99, status=status)]
    refused(release, osf.api, "README.md did not arrive", f"{status}")
    assert len(pauses) == client.ATTEMPTS


@pytest.mark.parametrize("on", ["1.0.0", "quality", "README.md", CHECKSUMS])
@pytest.mark.parametrize(
    ("status", "content"), [(201, b"<html>"), (302, b""), (520, b""), (524, b"<html>"), (599, b"")]
)
def test_what_was_done_under_an_odd_answer_is_seen(
    release: Path, osf: FakeOsf, on: str, status: int, content: bytes
) -> None:
    osf.faults = [Fault("answer", on, status=status, content=content)]
    publish(release, osf.api, node=NODE)
    assert osf.nodes[NODE].files() == expected(release)
    assert len([request for request in osf.sent if request.file == on]) == 1


def test_an_odd_answer_to_a_question_passes(release: Path, osf: FakeOsf) -> None:
    osf.faults = [Fault("status", on, "GET", status=520) for on in ("/v2/nodes/", "/storage/", "/files/")]
    publish(release, osf.api, node=NODE)
    assert not any(fault.times for fault in osf.faults)


@pytest.mark.parametrize("path", ["%0a", "%00", "v2/%0a/", "\u00e9"])
def test_an_odd_path_is_asked_as_it_is(release: Path, osf: FakeOsf, path: str) -> None:
    refused(release, osf.api.removesuffix("v2/") + path, "does not exist")
    assert osf.sent == []


@pytest.mark.parametrize(
    "to", ["OSF", "Osf", "s3:/bucket", "hf:datasets/me/x", "https:/api.osf.io", "S3://b", "HTTPS://x"]
)
@pytest.mark.parametrize("node", [NODE, None])
def test_what_looks_like_an_address_is_no_folder(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str, node: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(release, to, "no place to publish to", "./NAME", node=node)
    assert not any(tmp_path.iterdir())
    publish(release, f"./{to}")
    assert (tmp_path / to / "1.0.0" / CHECKSUMS).is_file()


@pytest.mark.parametrize("wrong", [["README.md"], ["README.md", "quality/a.json"], [*FILES]])
@pytest.mark.parametrize("is_missing", [False, True], ids=["altered", "missing"])
def test_a_damaged_publication_is_mended_as_the_line_says(
    release: Path, tmp_path: Path, wrong: list[str], *, is_missing: bool
) -> None:
    place = tmp_path / "place"
    publish(release, str(place))
    for name in wrong:
        (place / "1.0.0" / name).unlink() if is_missing else (place / "1.0.0" / name).write_bytes(b"x")
    line = refused(release, str(place), "and run the same command again to repair it", node=None)
    named = line.partition("Remove ")[2].partition(" there and")[0].removeprefix("all of ")
    for path in named.split(" and "):
        (shutil.rmtree if path.endswith("/") else os.unlink)(place / path)
    publish(release, str(place))
    assert {f"{path.relative_to(place)}": path.read_bytes() for path in all_files(place)} == expected(release)
