"""A measurement table as whole arrays: values, membership of lists, and which values are in doubt."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.columns import SIGNAL_SHA256
from pipeline.dataset import Dataset
from pipeline.report import published
from pipeline.store.tables import MEASUREMENTS, read_columns

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]

STRICT, PERMISSIVE = "normal_strict", "normal_permissive"
"""Columns that a table may have: is a record normal by tighter limits, is it by wider ones?"""

_PARAMETERS = dict.fromkeys([*published.TABLE_2, *published.MUSE_NORMALS])
COLUMNS = ("verdict", "status", "status_reason", "statements", "quality_flags", *_PARAMETERS)
"""What a report reads of a table."""

OPTIONAL = (STRICT, PERMISSIVE, SIGNAL_SHA256.name)
"""And what it reads besides where the table has it."""

CONCERNS: dict[str, tuple[str, ...]] = {
    "uncertain_p": ("p_", "pr_"),
    "p_upon_t": ("p_", "pr_", "qt"),
    "uncertain_t_end": ("qt", "t_"),
    "template_rhythm": ("heart_rate_", "mean_rr_", "beats"),
    "unlikely_p_duration": ("p_duration_",),
    "unlikely_pr_interval": ("pr_",),
    "unlikely_qrs_duration": ("qrs_duration_", "stj_"),
    "unlikely_qt_interval": ("qt",),
    "unlikely_qtc_bazett": ("qt",),
}
"""What the columns that a quality flag casts doubt on begin with. Any other flag (noise, flat or clipped leads, wander,
unlike beats) is about the whole record."""


class Records:
    """Some rows of a measurement table."""

    def __init__(self, table: pa.Table) -> None:
        """View a table that has at least `verdict` and `quality_flags`."""
        self.table = table
        self.flags = membership(table["quality_flags"])

    def __len__(self) -> int:
        """Number of records, n."""
        return int(self.table.num_rows)

    def __getitem__(self, column: str) -> Values:
        """One column, (n,) in its unit; what is missing is NaN."""
        values: Values = self.table[column].cast(pa.float64()).to_numpy()
        return values

    def flagged(self) -> Mask:
        """Where any quality flag is raised, (n,)."""
        return any_of(self.flags.values(), len(self))

    def doubted(self, column: str) -> Mask:
        """Where a quality flag concerns a column, whether or not it has a value, (n,)."""
        return any_of(
            (mask for flag, mask in self.flags.items() if column.startswith(CONCERNS.get(flag, ""))), len(self)
        )

    def is_normal(self) -> Mask:
        """Where the verdict is Normal, (n,)."""
        return true_where(pc.equal(self.table["verdict"], "Normal"))

    def normal(self) -> "Records":
        """The records of verdict Normal."""
        return Records(self.table.filter(pa.array(self.is_normal())))


def read_records(dataset: Dataset) -> Records:
    """What a report needs of a dataset's table."""
    stored = read_columns(dataset.folder / MEASUREMENTS)
    return Records(dataset.measurements([*COLUMNS, *(name for name in OPTIONAL if name in stored)]))


def any_of(masks: Iterable[Mask], n: int) -> Mask:
    """Where any of several masks holds, (n,); nowhere if there is none."""
    found = np.zeros(n, np.bool_)
    for mask in masks:
        found |= mask
    return found


def true_where(column: pa.ChunkedArray) -> Mask:
    """Where a nullable boolean column is true, (n,)."""
    mask: Mask = column.fill_null(False).to_numpy()
    return mask


def membership(lists: pa.ChunkedArray) -> dict[Any, Mask]:
    """For every distinct value in a column of n lists, ascending: which of the lists hold it, (n,)."""
    array = lists.combine_chunks()
    values = pc.list_flatten(array).dictionary_encode()
    held = np.zeros((len(values.dictionary), len(array)), np.bool_)
    held[values.indices.to_numpy(), pc.list_parent_indices(array).to_numpy()] = True
    return dict(sorted(zip(values.dictionary.to_pylist(), held, strict=True)))
