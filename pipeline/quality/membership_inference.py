r"""Test whether a synthetic ECG dataset gives away who was in the training data of its generator.

For whoever holds the real recordings: run it inside your own walls. Needs Python 3.11 or later, numpy and pyarrow.

    python membership_inference.py --synthetic all/measurements.parquet \
        --train train.parquet --holdout holdout.parquet --out membership_inference_result.json

`train.parquet` has the measurements of recordings that the generator was trained on, `holdout.parquet` those of
recordings of the same kind that it was not, of other people; both as `ecg-foundry measure` writes them.

The attack: a record is called a member if it is near to a synthetic record. Each column is standardised by the
synthetic records, which an attacker has. The result holds aggregates alone. What it finds is a LOWER BOUND: where this
attack succeeds, the data leak; where it fails, a better one may succeed, on the waveforms, or with generators trained
by the attacker (Carlini et al., arXiv 2112.03570; Yao et al., arXiv 2505.01524). It never shows that data are safe.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

FEWEST = 100
"""Records of each table: aggregates of fewer could be traced to people, and would be too uncertain."""
FALSE_POSITIVE_RATES = (0.001, 0.01)
NORMAL_95 = 1.959964
MOST_SD = 5
"""Standardised values end here, or a wave that few records have would be all that a distance sees."""
NOT_MEASURED = {"record_id", "source_record_id", "seed", "strat_fold", "signals_row"}
BLOCK = 512

CAUTIONS = {
    "lower_bound": "a better attack may succeed where this one fails; it never shows that the data are safe",
    "groups": (
        "training and hold-out recordings must be of the same kind and of different people, or their own differences "
        "are taken for a leak: largest_ks_between_training_and_holdout should be small"
    ),
}

Array = NDArray[np.float64]


class Unusable(Exception):  # noqa: N818 - said to people, not to programs
    """An input that the test cannot be made on."""


def main() -> int:
    """Read the tables, make the test, write its result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, what in (
        ("synthetic", "measurements of the released records"),
        ("train", "measurements of recordings that the generator was trained on"),
        ("holdout", "measurements of recordings that it was not trained on, of other people"),
        ("out", "JSON file to write; it must not be there"),
    ):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="FILE", help=what)
    options = parser.parse_args()
    if options.out.exists():
        parser.error(f"{options.out} is there. Choose another name for the result")
    try:
        result = attack(options.synthetic, options.train, options.holdout)
        options.out.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except (Unusable, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    low, high = result["auc_95"]
    sys.stdout.write(f"AUC {result['auc']:.3f} (95 % {low:.3f} to {high:.3f}; 0.5 is chance), in {options.out}\n")
    return 0


def attack(synthetic_file: Path, train_file: Path, holdout_file: Path) -> dict[str, Any]:
    """The attack's success in aggregates.

    Args:
        synthetic_file: Parquet table of measurements.
        train_file: likewise.
        holdout_file: likewise.

    Raises:
        Unusable: when a table cannot be read, is too small, or shares records with another.
    """
    files = {"synthetic": synthetic_file, "train": train_file, "holdout": holdout_file}
    tables = {name: read(path) for name, path in files.items()}
    names = shared_columns(list(tables.values()))
    kept = {name: measured(matrix(table, names)) for name, table in tables.items()}
    check(kept)
    mean, spread = np.nanmean(kept["synthetic"], axis=0), np.nanstd(kept["synthetic"], axis=0)
    varies = spread > 0
    points = {
        name: np.nan_to_num(np.clip((values[:, varies] - mean[varies]) / spread[varies], -MOST_SD, MOST_SD))
        for name, values in kept.items()
    }
    train = nearest(points["train"], points["synthetic"], "training records")
    holdout = nearest(points["holdout"], points["synthetic"], "hold-out records")
    area, interval = auc(-train, -holdout)
    ks = [largest_gap(kept["train"][:, i], kept["holdout"][:, i]) for i in range(len(names))]
    return {
        "attack": "nearest synthetic record in the space of measurements",
        "cautions": CAUTIONS,
        "inputs": {
            name: {
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "records": tables[name].num_rows,
                "left_out_less_than_half_measured": tables[name].num_rows - len(kept[name]),
                "missing_values_percent": rounded(100 * np.isnan(kept[name]).mean()),
            }
            for name, path in files.items()
        },
        "missing_rule": "a missing value counts as the mean of the synthetic records",
        "columns": int(varies.sum()),
        "auc": rounded(area),
        "auc_95": [rounded(end) for end in interval],
        "auc_95_method": "DeLong et al., Biometrics 44:837 (1988)",
        "true_positives": [true_positives(train, holdout, rate) for rate in FALSE_POSITIVE_RATES],
        "distance_to_nearest_synthetic_sd": {
            name: {f"p{p}": rounded(np.percentile(values, p)) for p in (5, 50, 95)}
            for name, values in (("train", train), ("holdout", holdout))
        },
        "median_distance_train_over_holdout": ratio(np.median(train), np.median(holdout)),
        "largest_ks_between_training_and_holdout": {"column": names[int(np.argmax(ks))], "ks": rounded(max(ks))},
    }


def read(path: Path) -> pa.Table:
    """A table of measurements.

    Raises:
        Unusable: when it cannot be read.
    """
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise Unusable(f"{path} cannot be read: {error}. Give a Parquet table of measurements") from error


def shared_columns(tables: Sequence[pa.Table]) -> list[str]:
    """The measured numbers that all tables have; axes are left out, for -179° and 180° are neighbours."""
    names = [
        field.name
        for field in tables[0].schema
        if (pa.types.is_integer(field.type) or pa.types.is_floating(field.type))
        and field.name not in NOT_MEASURED
        and not field.name.endswith("_axis_deg")
        and all(field.name in table.column_names for table in tables)
        and tables[0][field.name].null_count < tables[0].num_rows
    ]
    if not names:
        raise Unusable("The tables have no measured numbers in common. Measure all recordings with one program")
    return names


def matrix(table: pa.Table, names: Sequence[str]) -> Array:
    """(records, columns) of values; what is missing is NaN."""
    return np.stack([table[name].cast(pa.float64()).to_numpy() for name in names], axis=1)


def measured(values: Array) -> Array:
    """The records of which at least half of the values are known."""
    known: NDArray[np.bool_] = 2 * np.isfinite(values).sum(axis=1) >= values.shape[1]
    return values[known]


def check(kept: dict[str, Array]) -> None:
    """Refuse what would say nothing, or too much.

    Raises:
        Unusable: names the table.
    """
    for name, values in kept.items():
        if len(values) < FEWEST:
            raise Unusable(f"{name}: {len(values)} measured records are too few. Give {FEWEST} or more")
    seen = {row.tobytes() for row in kept["train"]}
    both = sum(row.tobytes() in seen for row in kept["holdout"])
    if both:
        raise Unusable(f"{both} records are in both train and holdout. Give recordings of different people")


def nearest(points: Array, others: Array, what: str) -> Array:
    """(n,) distance of every point to the nearest of the others, in SD of the columns."""
    squares = (others**2).sum(axis=1)
    found = np.empty(len(points))
    for start in range(0, len(points), BLOCK):
        block = points[start : start + BLOCK]
        least = np.full(len(block), np.inf)
        for first in range(0, len(others), 16 * BLOCK):
            part = slice(first, first + 16 * BLOCK)
            np.minimum(least, (squares[part] - 2 * block @ others[part].T).min(axis=1), out=least)
        found[start : start + BLOCK] = np.sqrt(np.maximum(least + (block**2).sum(axis=1), 0))
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{what}: {min(start + BLOCK, len(points)):,} of {len(points):,}")
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    return np.round(found, 6)  # what an exact copy leaves in rounding errors is not a rank


def midranks(values: Array) -> Array:
    """(n,) ranks from 1, equals sharing the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def auc(members: Array, others: Array) -> tuple[float, tuple[float, float]]:
    """Probability that a member scores higher than another, half of it for equals, and its 95 % interval by DeLong.

    Args:
        members: (m,) scores.
        others: (n,) scores.
    """
    m, n = len(members), len(others)
    ranks = midranks(np.concatenate([members, others]))
    above = (ranks[:m] - midranks(members)) / n
    below = 1 - (ranks[m:] - midranks(others)) / m
    area = float(above.mean())
    error = float(np.sqrt(above.var(ddof=1) / m + below.var(ddof=1) / n))
    return area, (max(0.0, area - NORMAL_95 * error), min(1.0, area + NORMAL_95 * error))


def true_positives(train: Array, holdout: Array, rate: float) -> dict[str, Any]:
    """Share of members found when so many others are taken for members, with Wilson's 95 % interval."""
    allowed = int(rate * len(holdout))
    if not allowed:
        return {"false_positive_rate": rate, "rate": None, "why": f"needs {round(1 / rate)} hold-out records"}
    limit = np.partition(holdout, allowed)[allowed]
    n, share = len(train), float((train < limit).mean())
    middle, width = (
        share + NORMAL_95**2 / (2 * n),
        NORMAL_95 * np.sqrt(share * (1 - share) / n + NORMAL_95**2 / (4 * n**2)),
    )
    scale = 1 + NORMAL_95**2 / n
    ends = [rounded((middle - width) / scale), rounded((middle + width) / scale)]
    return {"false_positive_rate": rate, "rate": rounded(share), "rate_95": ends}


def largest_gap(one: Array, other: Array) -> float:
    """Kolmogorov-Smirnov statistic of two columns, without what is missing."""
    one, other = (np.sort(values[np.isfinite(values)]) for values in (one, other))
    if not len(one) or not len(other):
        return 0.0
    both = np.concatenate([one, other])
    gaps = np.searchsorted(one, both, "right") / len(one) - np.searchsorted(other, both, "right") / len(other)
    return float(np.abs(gaps).max())


def ratio(part: float, whole: float) -> float | None:
    """A quotient, or None where there is none."""
    return rounded(part / whole) if whole else None


def rounded(value: float) -> float:
    """Four decimals: more would not be significant, and say more of single records."""
    return round(float(value), 4)


if __name__ == "__main__":
    sys.exit(main())
