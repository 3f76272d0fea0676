"""Signals as WFDB records of 12 leads, which every PhysioNet tool reads, in tar archives."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.columns import SOURCE_RECORD_ID
from pipeline.errors import DatasetError
from pipeline.leads import LEADS, SAMPLING_RATE_HZ, to_twelve_leads
from pipeline.release.exports.export import PART_BYTES, Export, dataset_of_all, pieces, write_readme
from pipeline.release.exports.tars import write_tars
from pipeline.release.manifest import ReleaseManifest
from pipeline.release.source import Source

UNITS_PER_MV = 2000
"""Half a µV a unit: aVR, aVL and aVF fall on halves, and at 1 µV the leads would contradict each other."""

_UNITS_PER_UV = UNITS_PER_MV // 1000
_MOST_UNITS = 32_767
"""Of format 16; -32,768 means that there is no sample."""
_FOLDER_RECORDS = 1000
"""As in PTB-XL."""

_README = """
Every record as a WFDB record of 12 leads, {units} units a millivolt, so that III, aVR, aVL and aVF are exact. Unpack
the archives here (`for part in *.tar.gz; do tar -xf "$part"; done`) and read them by the names in `RECORDS`:

    wfdb.rdrecord("000000/000000").p_signal  # (5000, 12), mV

A record's name is the number under which it was generated (`source_record_id`). `RECORDS` has all {everything},
`RECORDS-normal` the {normal} with the verdict Normal, which are not packed a second time.
"""


def write(sources: Sequence[Source], facts: ReleaseManifest, folder: Path, *, part_bytes: int = PART_BYTES) -> None:
    """Write the archives of the dataset of all records, and the names of the records of each dataset.

    Raises:
        DatasetError: names a record whose voltages WFDB cannot hold at this resolution.
    """
    source = dataset_of_all(sources)
    numbers = source.table[SOURCE_RECORD_ID.name].to_numpy()
    verdicts = source.table["verdict"].to_pylist()

    def members(piece: tuple[range, NDArray[np.int16]]) -> Iterator[tuple[str, bytes]]:
        rows, signals = piece
        units = to_twelve_leads(signals.astype(np.float32)) * np.float32(_UNITS_PER_UV)  # exact: all are below 2^24
        _check_range(units, numbers[rows.start : rows.stop])
        digital = units.astype("<i2")
        sums = digital.sum(axis=2, dtype=np.int16)  # which wraps, as WFDB's checksum does
        for row, record, checksums in zip(rows, digital, sums, strict=True):
            name = record_name(numbers[row])
            yield f"{name}.dat", record.T.tobytes()
            yield f"{name}.hea", _header(name, record, checksums, verdicts[row]).encode("ascii")

    write_tars(folder / "records", pieces(source, "wfdb"), members, part_bytes=part_bytes)
    for each in sources:
        names = map(record_name, each.table[SOURCE_RECORD_ID.name].to_pylist())
        path = folder / ("RECORDS" if each is source else f"RECORDS-{each.name}")
        path.write_text("".join(f"{name}\n" for name in names), encoding="ascii", newline="\n")
    counts = {name: f"{contents.records:,}" for name, contents in facts.datasets.items()}
    text = _README.format(units=UNITS_PER_MV, everything=counts["all"], normal=counts["normal"])
    write_readme(folder, facts, text)


def record_name(number: int) -> str:
    """The path of a record without suffix, by the number under which it was generated."""
    return f"{number // _FOLDER_RECORDS * _FOLDER_RECORDS:06}/{number:06}"


def _header(name: str, record: NDArray[np.int16], checksums: NDArray[np.int16], verdict: str | None) -> str:
    """The lines of https://physionet.org/physiotools/wag/header-5.htm for one record, (12, samples)."""
    base = name.rpartition("/")[2]
    leads = (
        f"{base}.dat 16 {UNITS_PER_MV}(0)/mV 16 0 {first} {checksum % (1 << 16)} 0 {lead}"
        for lead, first, checksum in zip(LEADS, record[:, 0].tolist(), checksums.tolist(), strict=True)
    )
    comments = ("# synthetic, not for clinical use", f"# verdict: {verdict or 'none'}")
    return "\n".join([f"{base} {len(LEADS)} {SAMPLING_RATE_HZ} {record.shape[1]}", *leads, *comments]) + "\n"


def _check_range(units: NDArray[np.float32], numbers: NDArray[np.int64]) -> None:
    """Refuse records, (n, 12, samples), of which a sample does not fit."""
    peaks = np.abs(units).max(axis=2)
    if peaks.max() > _MOST_UNITS:
        row, lead = np.unravel_index(peaks.argmax(), peaks.shape)
        raise DatasetError(
            f"record {numbers[row]} reaches {peaks[row, lead] / UNITS_PER_MV:.3f} mV in lead {LEADS[lead]}, and WFDB's "
            f"16 bits of {UNITS_PER_MV} units a mV end at {_MOST_UNITS / UNITS_PER_MV:.3f}. "
            f"Release without the export wfdb"
        )


EXPORT = Export(
    name="wfdb",
    description=f"WFDB records of 12 leads, {UNITS_PER_MV} units a mV, derived leads exact, as .tar.gz",
    bytes_per_record=100_000,
    write=write,
    normal_again=False,
)
