"""The summary of a dataset: Table 2 beside the paper's, the normal share, the reasons, sizes and how to load it."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dataset import Dataset
from pipeline.interpret import NOT_INTERPRETED, RULES, STATEMENT_TEXTS, Severity
from pipeline.report.published import NORMAL_PERCENT, TABLE_2, Spread
from pipeline.store.files import bytes_on_disk

_COMMONEST = 8


def summarise(dataset: Dataset, *, complete: bool = False) -> str:
    """The summary as text, with the missing count beside every statistic.

    Args:
        dataset: what to summarise.
        complete: say first that a build found nothing left to do.
    """
    columns = ["verdict", "statements", *TABLE_2]
    table = dataset.measurements(columns)
    found = [f"{dataset.folder} is complete and undamaged: no record was left to make."] if complete else []
    parts = [*found, _heading(dataset), _table_2(table), _reasons(table), _places(dataset), _loading(dataset)]
    return "\n\n".join(parts) + "\n"


def record_title(dataset: Dataset, record: int) -> str:
    """One line on a record: its number, its measured rate and intervals, its verdict."""
    shown = {
        "heart_rate_bpm": "{} bpm",
        "pr_interval_ms": "PR {}",
        "qrs_duration_ms": "QRS {}",
        "qt_interval_ms": "QT {}",
        "qtc_fridericia_ms": "QTcF {} ms",
        "verdict": "{}",
    }
    row = dataset.measurements(list(shown)).slice(record, 1).to_pylist()[0]
    values = [text.format("–" if row[name] is None else row[name]) for name, text in shown.items()]
    return "  ".join([f"Record {record}", *values])


def spread(column: pa.ChunkedArray) -> tuple[Spread | None, int]:
    """Mean, SD and central 95 % of what is there (None where nothing is), and how many values are missing."""
    values = column.drop_null().to_numpy().astype(np.float64)
    if not len(values):
        return None, len(column)
    low, high = np.percentile(values, [2.5, 97.5])
    return Spread(float(values.mean()), float(values.std()), float(low), float(high)), column.null_count


def reasons(table: pa.Table) -> list[tuple[int, int]]:
    """Codes of the statements that cost records their normality and how many carry each, the commonest first."""
    costly = {rule.code for rule in RULES if rule.severity > Severity.NORMAL} | {NOT_INTERPRETED}
    counted = Counter(code for code in pc.list_flatten(table["statements"]).to_pylist() if code in costly)
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))


def _heading(dataset: Dataset) -> str:
    manifest = dataset.manifest
    normal = manifest.verdicts.get("Normal", 0)
    statuses = ", ".join(f"{count:,} {status}" for status, count in manifest.statuses.items())
    return (
        f"{manifest.records:,} synthetic ECGs, not for clinical use; seed {manifest.recipe.seed}, "
        f"content digest {manifest.content_digest}\n"
        f"Normal: {normal:,} ({100 * normal / max(1, manifest.records):.1f} %; 12SL called {NORMAL_PERCENT} % of the "
        f"paper's 150,000 normal). Status: {statuses}"
    )


def _table_2(table: pa.Table) -> str:
    """Ours beside the paper's, normal records and all; the measurements are this program's, the paper's are 12SL's."""
    normal = table.filter(pc.equal(table["verdict"], "Normal"))
    titles = ("normal", "paper, normal", "all", "paper, all", "missing: normal, all")
    lines = [f"{'mean ± SD [2.5 %, 97.5 %]':<26}" + "".join(f"{title:>26}" for title in titles)]
    for name, (label, paper_normal, paper_all) in TABLE_2.items():
        ours_normal, missing_normal = spread(normal[name])
        ours_all, missing_all = spread(table[name])
        cells = [_cell(value) for value in (ours_normal, paper_normal, ours_all, paper_all)]
        cells.append(f"{missing_normal:,}, {missing_all:,}")
        lines.append(f"{label:<26}" + "".join(f"{cell:>26}" for cell in cells))
    lines.append(
        "Ours are this program's measurements, the paper's are 12SL's. The limits that make a record normal lean on "
        "the ranges\nof the paper's own normals, so the columns of normals and their share are no independent check."
    )
    return "\n".join(lines)


def _cell(value: Spread | None) -> str:
    if value is None:
        return "-"
    return f"{value.mean:.0f} ± {value.sd:.0f} [{value.p2_5:.0f}, {value.p97_5:.0f}]"


def _reasons(table: pa.Table) -> str:
    counted = reasons(table)
    lines = [f"{count:>8,}  {code:>5}  {STATEMENT_TEXTS.get(code, '')}" for code, count in counted[:_COMMONEST]]
    rest = f"\n          and {len(counted) - _COMMONEST} rarer statements" if len(counted) > _COMMONEST else ""
    return "Commonest reasons for not Normal:\n" + "\n".join(lines or ["    none"]) + rest


def _places(dataset: Dataset) -> str:
    rows = []
    for name in ("signals.zarr", "measurements.parquet", "normal", "release", "ledger"):
        path = dataset.folder / name
        if path.exists():
            rows.append(f"{bytes_on_disk(path) / 1e6:>10.1f} MB  {path}")
    return "\n".join(rows)


def _loading(dataset: Dataset) -> str:
    return (
        "Load it:\n"
        "    import pyarrow.parquet, zarr\n"
        f'    signal = zarr.open_array("{dataset.folder}/signals.zarr/signal", mode="r")  '
        "# [record, lead, sample], int16, µV\n"
        f'    table = pyarrow.parquet.read_table("{dataset.folder}/measurements.parquet")  # row i measures record i'
    )
