"""Every check of a finished dataset."""

import pyarrow as pa

from pipeline.columns import RECORD_ID, SIGNAL_SHA256
from pipeline.dataset import Dataset
from pipeline.quality.bounds import check_bounds
from pipeline.quality.check import Check
from pipeline.quality.copies import check_copies
from pipeline.quality.coverage import check_coverage
from pipeline.quality.distances import check_distances
from pipeline.quality.extremes import extremes
from pipeline.quality.features import NUMBERS
from pipeline.quality.identities import check_identities
from pipeline.quality.privacy import check_privacy

COLUMNS = (RECORD_ID.name, *NUMBERS, "quality_flags", "verdict", "statements", SIGNAL_SHA256.name)
"""What the checks read of a dataset's table."""


def assess(dataset: Dataset, reference: pa.Table | None = None) -> list[Check]:
    """Check a finished dataset for its release: copies, coverage, bounds, identities, distances and privacy.

    The normal subset is looked at as the records of verdict Normal, of which it consists. The same dataset gives the
    same checks.

    Args:
        dataset: the whole dataset, not its normal subset.
        reference: measurements to compare with, as of `distances.read_reference`; without it there are no distances.

    Raises:
        DatasetError: when signals or rows cannot be read.
    """
    table = dataset.measurements(list(COLUMNS))
    return [
        check_copies(dataset, table),
        check_coverage(table),
        check_bounds(table, extremes(dataset)),
        check_identities(dataset),
        *([] if reference is None else [check_distances(table, reference)]),
        check_privacy(),
    ]
