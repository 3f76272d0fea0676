"""A second opinion on heart rate: by neurokit2, an independent program, on a sample of the records."""

import logging
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.columns import TABLE_SCHEMA, Column
from pipeline.errors import RecipeError
from pipeline.leads import SAMPLING_RATE_HZ, STORED_LEADS
from pipeline.progress import tracked
from pipeline.store.files import remove
from pipeline.store.place import Place
from pipeline.store.signals import open_signals
from pipeline.store.tables import read_table, write_table

SECOND_OPINION = "second_opinion.parquet"
DEFAULT_SHARE = 0.02
"""Share of the records that neurokit2 sees."""

_THEIRS = Column(
    "neurokit2_heart_rate_bpm",
    pa.float32(),
    "1/min",
    "60000 / mean RR of the R peaks that neurokit2 finds in lead II, unrounded; null where it finds fewer than two",
)
SECOND_OPINION_SCHEMA = pa.schema(
    [*(TABLE_SCHEMA.field(name) for name in ("record_id", "heart_rate_bpm")), _THEIRS.field()]
)

_log = logging.getLogger(__name__)


def check_share(share: float) -> None:
    """Refuse a share that is none, before anything is touched.

    Raises:
        RecipeError: when it is not from 0 to 1.
    """
    if not 0 <= share <= 1:
        raise RecipeError(f"second_opinion {share} is no share of the records. Give 0 (none) to 1 (all)")


def sample_size(records: int, share: float) -> int:
    """How many of the records are sampled: the share rounded up, so at least one unless the share is 0."""
    return math.ceil(records * _exact(share))


def sampled_records(records: int, share: float) -> list[int]:
    """The records sampled, spread evenly from record 0 on: every fiftieth for a share of 0.02.

    As good as a random sample: every record has its own independent noise, so that which are looked at can have
    nothing to do with what is in them. And unlike a random one it needs no seed, depends on no layout, and a dataset
    of more records keeps the sample of one of fewer.

    Args:
        records: number of records.
        share: from 0 to 1.

    Returns:
        Their numbers, ascending: floor(k / share) for k = 0, 1, 2, … as long as that is below `records`.
    """
    exact = _exact(share)
    return [math.floor(k / exact) for k in range(sample_size(records, share))]


def _exact(share: float) -> Fraction:
    """The share as it was written: the float 0.02 is a little above 1/50, and would add a record."""
    return Fraction(str(share))


def count_opinions(folder: Place) -> int:
    """How many records of a finished dataset have a second opinion.

    Raises:
        DatasetError: when the file is there and cannot be read.
    """
    path = folder / SECOND_OPINION
    return int(read_table(path, ["record_id"]).num_rows) if path.is_file() else 0


def read_second_opinion(folder: Place) -> pa.Table | None:
    """The second opinion of a dataset, a row a sampled record; None where there is none.

    Raises:
        DatasetError: when the file is there and cannot be read.
    """
    path = folder / SECOND_OPINION
    return read_table(path, SECOND_OPINION_SCHEMA.names) if path.is_file() else None


def write_second_opinion(folder: Place, table: pa.Table, share: float) -> None:
    """Write `second_opinion.parquet`, our heart rate and neurokit2's, a row a sampled record; for a share of 0 it goes.

    Args:
        folder: the dataset's folder, with all signals.
        table: its measurement table.
        share: of the records, from 0 to 1.
    """
    sampled = sampled_records(table.num_rows, share)
    if not sampled:
        remove(folder / SECOND_OPINION)
        return
    lead = STORED_LEADS.index("II")
    signals = open_signals(folder)  # once: opening takes longer than neurokit2
    theirs: list[float | None] = []
    failures: list[str] = []
    for record in tracked(sampled, "second opinion", "records"):
        try:
            theirs.append(neurokit2_heart_rate(np.asarray(signals[record, lead])))
        except (ValueError, IndexError) as error:  # what neurokit2 raises itself, and where it looks into empty arrays
            theirs.append(None)
            failures.append(f"record {record}: {error!r}")
    if failures:
        _log.warning(
            "neurokit2 failed on %d of %d records, which are null in %s; the first is %s",
            len(failures),
            len(sampled),
            SECOND_OPINION,
            failures[0],
        )
    ours = table.select(["record_id", "heart_rate_bpm"]).take(pa.array(sampled))
    write_table(
        folder / SECOND_OPINION,
        ours.append_column(_THEIRS.field(), pa.array(theirs, _THEIRS.type)),
        SECOND_OPINION_SCHEMA,
    )


def neurokit2_heart_rate(lead: NDArray[Any]) -> float | None:
    """Heart rate by neurokit2's own filter and R peak detector with their defaults, which are deterministic.

    Args:
        lead: (samples,), one lead at 500 Hz; the unit cancels out.

    Returns:
        60000 / mean RR in ms, in 1/min; None where it finds fewer than two R peaks.

    Raises:
        ValueError: when neurokit2 cannot use the signal; no finite one is known.
        IndexError: when it finds nothing where it expects something, such as for a lead of nothing but NaN.
    """
    import neurokit2  # noqa: PLC0415 - takes more than a second, for which what needs none of it need not wait

    clean = neurokit2.ecg_clean(lead.astype(np.float64), sampling_rate=SAMPLING_RATE_HZ, method="neurokit")
    _, found = neurokit2.ecg_peaks(clean, sampling_rate=SAMPLING_RATE_HZ, method="neurokit")
    peaks = found["ECG_R_Peaks"]
    return float(60 * SAMPLING_RATE_HZ / np.diff(peaks).mean()) if len(peaks) > 1 else None
