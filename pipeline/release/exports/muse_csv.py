"""Our measurements under the column names that MUSE gave the original dataset's ground truth."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from pipeline.dictionary import muse_name
from pipeline.interpret import STATEMENT_TEXTS
from pipeline.progress import tracked
from pipeline.release.exports.export import Export, write_readme
from pipeline.release.manifest import ReleaseManifest
from pipeline.release.source import Source

FILES = {
    "all": "pulse2pulse_150k_ground_truth.csv",
    "normal": "filtered_all_normals_121977_ground_truth.csv",
}
"""Letter by letter as in the original dataset."""

CODES = tuple(sorted(STATEMENT_TEXTS))
"""12SL's library codes of every statement that a record can have."""

_BATCH_ROWS = 8192
_README = """
Measurements of each record in the files and columns of the original dataset's ground truth (OSF 6hved, 2021), for
programs that were written for it. **They are not ground truth**: each column has its name from MUSE and its values from
this release's own measurement, of which `measurements.parquet` has all columns.

{rows}

`patid` is the number under which the record was generated, and the name of its .asc file: join by it, not by position.
The original has 788 columns; here are the {columns} of the same quantities. Milliseconds, 1/min, degrees and µV; empty
where it could not be measured. `sl_CODE` says whether the record has the statement with that library code of 12SL,
`numcodes` how many it has, `ecgcategory` the verdict in MUSE's words. These are our rules under 12SL's codes
(`statements.csv` of the release), **not the same quantities**: sinus arrhythmia, `sl_251`, for example, is far rarer
here. P amplitudes are left out, as of a biphasic P 12SL measures another phase.

Both files are divided by commas (`,`), where one of the original's was by semicolons (`;`): a program that reads
`pulse2pulse_150k_ground_truth.csv` with `sep=";"` has to be told. The counts in the names are the original's.
"""


def write(sources: Sequence[Source], facts: ReleaseManifest, folder: Path) -> None:
    """Write a CSV of each dataset."""
    rows, columns = list[str](), 0
    for source in sources:
        table = ground_truth(source.table)
        with (folder / FILES[source.name]).open("wb") as file, pa.csv.CSVWriter(file, table.schema) as writer:
            for batch in tracked(table.to_batches(_BATCH_ROWS), f"csv, {source.name}", "batches"):
                writer.write_batch(batch)
        rows.append(f"- `{FILES[source.name]}`: {table.num_rows:,} records")
        columns = table.num_columns
    write_readme(folder, facts, _README.format(rows="\n".join(rows), columns=columns))


def ground_truth(table: pa.Table) -> pa.Table:
    """A release's rows under MUSE's names; what MUSE has no name for is left out.

    Args:
        table: (n,) of `RELEASE_SCHEMA`.

    Returns:
        (n,) `patid`, measurements, a flag for each of `CODES`, `numcodes` and `ecgcategory`.
    """
    names = {column: muse_name(column) for column in table.column_names if column != "verdict"}
    columns = {muse: table[column] for column, muse in names.items() if muse}
    statements = table["statements"].combine_chunks()
    flags = np.zeros((len(CODES), table.num_rows), np.bool_)
    flags[np.searchsorted(CODES, statements.flatten()), pc.list_parent_indices(statements)] = True
    columns |= {f"sl_{code}": pa.array(flag) for code, flag in zip(CODES, flags, strict=True)}
    columns["numcodes"] = pc.list_value_length(statements)
    columns["ecgcategory"] = pc.binary_join_element_wise(table["verdict"], "ECG", " ")
    return pa.table(columns)


EXPORT = Export(
    name="csv",
    description="measurements under MUSE's column names in the original dataset's two CSVs, divided by commas",
    bytes_per_record=650,
    write=write,
)
