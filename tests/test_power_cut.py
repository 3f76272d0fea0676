"""What is on the disk when the power goes: nothing is named before its content and its folder are safe."""

import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.store.files import all_files
from tests.conftest import build


class Disk:
    """Follows, through the calls that the program makes of the system, what a power cut would leave.

    A file's content is safe once the file was fsynced, its name once the folder that has the name was.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.contents: set[int] = set()
        """Files, by inode, whose content is safe."""
        self.names: set[tuple[int, str, int]] = set()
        """Of folder, by inode, name, and inode of the file that has it there."""
        self.safe_when_committed: dict[Path, bool] = {}
        self._stock_fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self._fsync)
        for name in ("replace", "hardlink_to"):
            self._watch(monkeypatch, name)

    def _fsync(self, descriptor: int) -> None:
        self._stock_fsync(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        self.contents.add(path.stat().st_ino)
        if path.is_dir():
            self.names |= {(path.stat().st_ino, file.name, file.stat().st_ino) for file in path.iterdir()}

    def _watch(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        stock = getattr(Path, name)

        def watched(source: Path, target: Path) -> Any:
            final = source if name == "hardlink_to" else target
            if final.parent.name == "ledger" and final.suffix == ".json" and final.name.startswith("shard-"):
                index = int(final.stem.removeprefix("shard-"))
                folder = final.parents[1]
                named = [
                    folder / "signals.zarr" / "signal" / "c" / str(index) / "0" / "0",
                    final.with_suffix(".parquet"),
                ]
                self.safe_when_committed[final] = all(self.is_safe(path, folder) for path in named)
            if final.name == "dataset.json" and ".tmp" not in str(final.parent):
                others = [path for path in all_files(final.parent) if ".tmp" not in str(path)]
                self.safe_when_committed[final] = all(self.is_safe(path, final.parent) for path in others)
            return stock(source, target)

        monkeypatch.setattr(Path, name, watched)

    def is_safe(self, path: Path, folder: Path) -> bool:
        """Whether a file would be there with its content, and all folders down to it."""
        steps = [path, *(parent for parent in path.parents if folder in (parent, *parent.parents))]
        named = [(step.parent.stat().st_ino, step.name, step.stat().st_ino) in self.names for step in steps]
        return path.stat().st_ino in self.contents and all(named)


def test_everything_is_on_the_disk_before_it_is_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    folder = tmp_path / "above" / "dataset"
    build(folder, records=80, seed=7, shard_records=32)
    shards = {folder / "ledger" / f"shard-{index:05d}.json" for index in range(3)}
    assert disk.safe_when_committed.keys() == {*shards, folder / "dataset.json"}
    assert all(disk.safe_when_committed.values()), disk.safe_when_committed
    assert disk.is_safe(folder / "dataset.json", folder)
