"""Ten folds of records, alike in verdicts and heart rates, so that all who train on a release can compare.

As PTB-XL's `strat_fold`: its authors recommend folds 1 to 8 for training, 9 for validation and 10 for testing (Wagner
et al., "PTB-XL, a large publicly available electrocardiography dataset", Scientific Data 7, 154 (2020)). There, folds
9 and 10 are also of better quality, and no patient is in two of them; here no fold is better, and nobody is a patient.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.columns import SIGNAL_SHA256

FOLDS = 10


def strat_folds(table: pa.Table) -> NDArray[np.int8]:
    """The fold of every record.

    All signals are sorted by verdict, heart rate and hash, what is null last. Every ten neighbours then get the ten
    folds, in the order of their hashes, which is that of chance. So folds differ by one signal at most, and any verdict
    or band of heart rates is as frequent in one fold as in another. Exact duplicates are one signal and share its fold,
    or training would see what is tested; where there are many, folds differ by as many. No fold depends on the order
    of the rows.

    Args:
        table: n rows with the columns verdict, heart_rate_bpm and signal_sha256.

    Returns:
        (n,) 1 to 10.
    """
    verdict, rate, signal = (_ranks(table[name]) for name in ("verdict", "heart_rate_bpm", SIGNAL_SHA256.name))
    ordered = signal[np.lexsort((signal, rate, verdict))]
    signals, first = np.unique(ordered, return_index=True)
    distinct = ordered[np.sort(first)]
    neighbours = np.arange(len(signals)) // FOLDS
    dealt = distinct[np.lexsort((distinct, neighbours))]
    fold = np.empty(len(signals) + 1, np.int8)
    fold[dealt] = np.arange(len(signals)) % FOLDS + 1
    return fold[signal]


def _ranks(column: pa.ChunkedArray) -> NDArray[np.intp]:
    """(n,) the place of each value among the column's distinct ones, from 1; null comes last."""
    ranks: NDArray[np.intp] = pc.rank(column, tiebreaker="dense").to_numpy().astype(np.intp)
    return ranks
