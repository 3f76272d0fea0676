"""The Hugging Face Hub takes a release whole, or one line says in time why not."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from pydantic import SecretStr

import pipeline.publish
from pipeline.errors import DatasetError
from pipeline.publish import PublishError, publish
from pipeline.publish.hugging_face import HuggingFaceTarget
from pipeline.publish.inventory import read_inventory
from pipeline.release.checksums import CHECKSUMS
from tests.fake_hub import Hub, HubServer
from tests.fake_osf import make_release
from tests.publishing import IN_PARTS, TOKEN, expected, one_line_of, sends_nothing, silent_server


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return make_release(tmp_path / "release", IN_PARTS)


@pytest.fixture
def silent() -> Iterator[str]:
    with silent_server() as address:
        yield address


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
    one_line_of(lambda: to_hub(small), "README.md is missing there or another one", kind=PublishError)


def test_a_release_that_is_published_meanwhile_stays(release: Path, hub: HubServer) -> None:
    theirs = {f"1.0.0/{CHECKSUMS}": b"of another release", "1.0.0/README.md": b"another"}
    hub.before_commit = lambda: hub.add(theirs)
    one_line_of(lambda: to_hub(release), "has changed meanwhile", kind=PublishError)
    assert hub.files == theirs


def test_a_token_that_the_hub_echoes_is_masked(release: Path, hub: HubServer) -> None:
    del hub
    with pytest.raises(PublishError, match="cannot be written to") as told:
        to_hub(release, TOKEN)
    assert told.value.__cause__ is told.value.__context__ is None
    assert TOKEN not in str(told.value)
    assert HuggingFaceTarget("hf://datasets/user/name", SecretStr(TOKEN))._masked(f"a {TOKEN} b") == "a [token] b"


def test_a_pause_of_hours_is_not_made_for_the_hub(release: Path, hub: HubServer) -> None:
    for headers in ({"Retry_After": "3600"}, {"RateLimit": '"api";r=0;t=3600'}):
        hub.status, hub.headers = 429, headers
        one_line_of(lambda: to_hub(release), "3,600 s", "again", kind=PublishError)


def test_a_hub_that_is_silent_is_given_up(release: Path, silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.publish.hugging_face.TIMEOUT_SECONDS", 0.3)
    target = HuggingFaceTarget("hf://datasets/user/name", SecretStr("x"), silent)
    began = time.monotonic()
    one_line_of(lambda: target.find(read_inventory(release)), "ReadTimeout", kind=PublishError)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    "tree",
    [b"[", b"[" * 100_000, {"a": 1}, [1], [{}], [{"type": "file"}], [{"type": "file", "path": 1, "size": 1, "oid": 1}]],
    ids=["no JSON", "deep", "mapping", "number", "empty", "no path", "no text"],
)
def test_odd_answers_of_the_hub_are_one_line(release: Path, hub: HubServer, tree: object) -> None:
    hub.files, hub.tree = {"1.0.0/README.md": b"card"}, tree
    one_line_of(lambda: to_hub(release), "hf://datasets/user/name", kind=PublishError)


def test_the_token_does_not_leave_the_hub(release: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.files = expected(release)
    with HubServer() as thief:
        threading.Thread(target=thief.serve_forever, args=(0.02,), daemon=True).start()
        heard = Mock(return_value=True)
        monkeypatch.setattr(thief, "verify_request", heard)
        hub.links = {"Link": f'<{thief.endpoint}/x>; rel="next"'}
        one_line_of(lambda: to_hub(release), "leads to 127.0.0.1", "The token is not sent there", kind=PublishError)
        heard.assert_not_called()
        thief.shutdown()


def test_a_fifo_in_a_release_is_not_waited_for_on_the_way_to_the_hub(release: Path, hub: HubServer) -> None:
    inventory = read_inventory(release)
    target = HuggingFaceTarget("hf://datasets/user/name", SecretStr(Hub.token), hub.endpoint)
    (release / "README.md").unlink()
    os.mkfifo(release / "README.md")
    one_line_of(lambda: target.send(inventory, ["README.md"], sends_nothing), "no regular file", kind=DatasetError)
