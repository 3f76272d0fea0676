"""The rows of a release's two tables: those of the dataset, and where each record came from, lies and belongs."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.columns import (
    RECORD_ID,
    RELEASE_SCHEMA,
    SEED,
    SIGNALS_FILE,
    SIGNALS_ROW,
    SOURCE_RECORD_ID,
    STRAT_FOLD,
)
from pipeline.release.manifest import SignalsPart


def release_rows(table: pa.Table, seed: int, folds: NDArray[np.int8], parts: Sequence[SignalsPart]) -> pa.Table:
    """A dataset's rows with what a release adds.

    Args:
        table: (n,) of a dataset, or of a subset, which names the source of each record.
        seed: of the recipe.
        folds: (records of the whole dataset,) the fold of each.
        parts: the archives of signals, n records in all.

    Returns:
        (n,) of `RELEASE_SCHEMA`.
    """
    n = table.num_rows
    source = table[SOURCE_RECORD_ID.name if SOURCE_RECORD_ID.name in table.column_names else RECORD_ID.name].to_numpy()
    added = {
        SOURCE_RECORD_ID.name: source,
        SEED.name: np.full(n, seed),
        STRAT_FOLD.name: folds[source],
    } | released_places(parts)
    return pa.table(
        [
            pa.array(added[field.name]).cast(field.type) if field.name in added else table[field.name]
            for field in RELEASE_SCHEMA
        ],
        schema=RELEASE_SCHEMA,
    )


def count_marks(table: pa.Table) -> dict[Literal["normal_strict", "normal_permissive", "quality_flags"], int]:
    """How many records are normal by the strict and by the permissive limits, and how many have a quality flag.

    Args:
        table: (n,) of a dataset or a subset.
    """
    flagged = pc.greater(pc.list_value_length(table["quality_flags"]), 0)
    return {
        "normal_strict": pc.sum(table["normal_strict"], min_count=0).as_py(),
        "normal_permissive": pc.sum(table["normal_permissive"], min_count=0).as_py(),
        "quality_flags": pc.sum(flagged, min_count=0).as_py(),
    }


def released_places(parts: Sequence[SignalsPart]) -> dict[str, pa.Array]:
    """The columns that say where each record's signal lies.

    Args:
        parts: the archives of signals, n records in all.

    Returns:
        `signals_file` and `signals_row`, (n,) each.
    """
    sizes = np.array([part.records for part in parts])
    files = np.repeat([part.file.rpartition("/")[2] for part in parts], sizes)
    rows = np.arange(sizes.sum()) - np.repeat(sizes.cumsum() - sizes, sizes)
    return {
        SIGNALS_FILE.name: pa.array(files, SIGNALS_FILE.type),
        SIGNALS_ROW.name: pa.array(rows, SIGNALS_ROW.type),
    }
