"""Signals as the original dataset had them: a text file a record, whole µV, in tar archives."""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.columns import SOURCE_RECORD_ID
from pipeline.leads import STORED_LEADS
from pipeline.release.exports.export import PART_BYTES, Export, pieces, write_readme
from pipeline.release.exports.tars import write_tars
from pipeline.release.manifest import ReleaseManifest
from pipeline.release.source import Source

ARCHIVES = {
    "all": ("pulse2pulse_150k", "pulse2pulse_150k/from_006_chkp_2500_150k"),
    "normal": ("filtered_all_normals_121977", "from_006_chck_2500_150k_filtered_all_normals_121977"),
}
"""The archive of each dataset and the folder in it, letter by letter as in the original dataset.

But for the archive of all, whose name was not seen: it is that of the folder around the files.
"""

_README = """
The signals in the layout of the original dataset (OSF 6hved, 2021), for programs that were written for it: unpack the
archives (`for part in *.tar.gz; do tar -xf "$part"; done`) and read them as before:

    numpy.loadtxt("{folder}/0.asc")

A file is a record: 5,000 rows (10 s at 500 Hz) of 8 whole numbers, I II V1 V2 V3 V4 V5 V6, **microvolts**, divided by
spaces, without a header. Its name is the number under which the record was generated (`source_record_id`, in the CSVs
`patid`), the same in both datasets.

| archives | folder | records here |
|---|---|---|
{rows}

Folders and files are called as in the original so that paths go on working, but for the archive of all, whose name
there is not known to us. The counts in the names are the original's. These records were generated anew, from other
noise: no file here has the signal of its namesake there.
"""


def write(sources: Sequence[Source], facts: ReleaseManifest, folder: Path, *, part_bytes: int = PART_BYTES) -> None:
    """Write the archives of each dataset."""
    rows = list[str]()
    for source in sources:
        archive, inside = ARCHIVES[source.name]
        numbers = source.table[SOURCE_RECORD_ID.name].to_numpy()

        def members(
            piece: tuple[range, NDArray[np.int16]],
            inside: str = inside,
            numbers: NDArray[np.int64] = numbers,
        ) -> Iterator[tuple[str, bytes]]:
            for row, signal in zip(*piece, strict=True):
                yield f"{inside}/{numbers[row]}.asc", asc(signal)

        write_tars(folder / archive, pieces(source, f"asc, {source.name}"), members, part_bytes=part_bytes)
        rows.append(f"| {archive}-000.tar.gz … | {inside}/ | {len(numbers):,} |")
    write_readme(folder, facts, _README.format(folder=ARCHIVES["all"][1], rows="\n".join(rows)))


def asc(signal: NDArray[np.int16]) -> bytes:
    """The text of one record, as `numpy.savetxt(…, fmt="%i")` writes it.

    Args:
        signal: (8, samples) int16.

    Returns:
        A line a sample.
    """
    words = _words().take(signal.T.astype(np.int16, order="C").view(np.uint16))
    words.view(np.uint8).reshape(*words.shape, 8)[:, 0, 0] = ord("\n")
    return words.tobytes().translate(None, b"\0")[1:] + b"\n"


@cache
def _words() -> NDArray[np.uint64]:
    """Every int16, by its bits: a space and the number in 8 bytes, the rest of them zeros, which are no text."""
    numbers = np.arange(1 << 16, dtype=np.uint16).view(np.int16)
    return np.array([f" {number}".encode() for number in numbers.tolist()], "S8").view(np.uint64)


EXPORT = Export(
    name="asc",
    description=f"text files in the original dataset's folders, {' '.join(STORED_LEADS)} in µV, as .tar.gz",
    bytes_per_record=80_000,
    write=write,
)
