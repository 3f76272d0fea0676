"""What an export is, and what every export says of itself."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.columns import SIGNALS_FILE, SIGNALS_ROW
from pipeline.release.manifest import TITLE, ReleaseManifest
from pipeline.release.source import Source
from pipeline.shards import BLOCK

_ABOUT = """
Join with the release's tables by `source_record_id`: their `record_id` counts the rows of each table anew, so that in
`normal/` it is another number.

Part of version {version} of a release, whose README and dictionary of columns (`columns.csv`, `statements.csv`,
`flags.csv`) hold here too. Measurements and verdicts are its own, neither MUSE's nor 12SL's. Licence: CC BY 4.0
(https://creativecommons.org/licenses/by/4.0/). Cite as in the release's `CITATION.cff`. Content digests of its
datasets: {digests}.

**Synthetic. Not for clinical use.**
"""
PART_BYTES = 4_500_000_000
"""Below the 5 GB that OSF takes a file."""


@dataclass(frozen=True)
class Export:
    """One format that a release is also written in.

    `write` is given the datasets of the release, what the release is, and an empty folder. It holds a few blocks of
    records in memory, however many there are, and the same release gives the same bytes.
    """

    name: str
    """By which it is asked for; its folder has it too."""
    description: str
    """In one line."""
    bytes_per_record: int
    """Room to ask for, for each record that it writes: a sixth more than generated ECGs take, or better."""
    write: Callable[[Sequence[Source], ReleaseManifest, Path], None]
    needs: tuple[str, ...] = ()
    """Exports whose files it refers to."""
    normal_again: bool = True
    """Whether the normal records are written a second time, or only named."""
    library: str | None = None
    """What it is written with, where that is in an extra; the extra is called as the export is."""

    def records(self, everything: int, normal: int) -> int:
        """How many it writes of so many records, so many of them normal."""
        return everything + normal * self.normal_again

    def bytes(self, everything: int, normal: int) -> int:
        """Room to ask for, for so many records, so many of them normal."""
        return self.bytes_per_record * self.records(everything, normal)


def dataset_of_all(sources: Sequence[Source]) -> Source:
    """The one with every record, in which a record's row is the number under which it was generated."""
    return next(source for source in sources if source.name == "all")


def pieces(source: Source, what: str) -> Iterator[tuple[range, NDArray[np.int16]]]:
    """Rows and signals, (n, 8, 5000) int16 µV, of `BLOCK` records at a time, in order, under a bar.

    Shards are of whole blocks, so that pieces, and what is made of each by itself, do not depend on their size.
    """
    for shard, signals in source.blocks(what):
        for start in range(0, len(shard), BLOCK):
            piece = signals[start : start + BLOCK]
            yield range(shard.start + start, shard.start + start + len(piece)), piece


def rows_alone(table: pa.Table) -> pa.Table:
    """A release's rows without the columns that lead to its own archives."""
    return table.drop_columns([SIGNALS_FILE.name, SIGNALS_ROW.name])


def lists_as_text(table: pa.Table) -> pa.Table:
    """Rows whose lists are text, their items divided by spaces, for formats without lists; null stays null."""
    for place, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            text = pc.binary_join(table[field.name].cast(pa.list_(pa.string())), " ")
            table = table.set_column(place, field.with_type(pa.string()), text)
    return table


def write_readme(folder: Path, facts: ReleaseManifest, text: str, head: str = "") -> None:
    """Write an export's README.md, which ends in what is true of all of them.

    Args:
        folder: of the export.
        facts: what the release is.
        text: Markdown from the second line on.
        head: what goes before the title.
    """
    about = _ABOUT.format(
        version=facts.version,
        digests=", ".join(f"`{name}` {contents.content_digest}" for name, contents in facts.datasets.items()),
    )
    (folder / "README.md").write_text(f"{head}# {TITLE}\n\n{text.strip()}\n{about}", encoding="utf-8", newline="\n")
