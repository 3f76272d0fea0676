"""A folder takes a release whole, or one line says why not."""

import fcntl
import os
from pathlib import Path

import pytest

from pipeline.errors import DatasetError
from pipeline.publish import PublishError, publish
from pipeline.publish.folder import FolderTarget
from pipeline.publish.inventory import read_inventory
from tests.fake_osf import make_release
from tests.publishing import IN_PARTS, one_line_of, sends_nothing


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return make_release(tmp_path / "release", IN_PARTS)


def test_a_loop_of_links_is_no_folder(release: Path, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    one_line_of(lambda: publish(release, str(tmp_path / "loop")), "is a file or a link", kind=PublishError)
    one_line_of(lambda: publish(release, str(tmp_path / "loop/below")), "cannot be read", kind=PublishError)


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
    one_line_of(lambda: publish(release, str(tmp_path / "there")), "is being published into", kind=PublishError)
    assert [*top.iterdir()] == [top / ".0123456789abcdef.tmp"]
    os.close(descriptor)
    publish(release, str(tmp_path / "there"))


def test_what_is_no_file_in_a_files_place_is_called_so(release: Path, tmp_path: Path) -> None:
    there = tmp_path / "there/1.0.0"
    (there / "README.md").mkdir(parents=True)
    to = str(tmp_path / "there")
    one_line_of(lambda: publish(release, to), "README.md is a folder in a file's place", kind=PublishError)
    (there / "README.md").rmdir()
    os.mkfifo(there / "README.md")
    one_line_of(lambda: publish(release, to), "README.md is a link or no regular file", kind=PublishError)
    (there / "README.md").unlink()
    (there / "README.md").symlink_to(release / "README.md")
    one_line_of(lambda: publish(release, to), "README.md is a link or no regular file", kind=PublishError)


@pytest.mark.parametrize("fault", ["gone", "FIFO"])
def test_a_fault_of_the_release_is_the_releases(release: Path, tmp_path: Path, fault: str) -> None:
    """A file that goes once it was checked, or a FIFO in its place, is neither waited for nor blamed on the place."""
    inventory = read_inventory(release)
    (release / "README.md").unlink()
    if fault == "FIFO":
        os.mkfifo(release / "README.md")
    target = FolderTarget(tmp_path / "there", release)
    line = one_line_of(lambda: target.send(inventory, ["README.md"], sends_nothing), kind=DatasetError)
    assert line.startswith(f"{release / 'README.md'} c")
    assert line.endswith("Make the release again")
