"""What ecgbench 1.0 needs to read the release: configurations, tables and folds; the signals are those of hdf5."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from pipeline.columns import RECORD_ID, SOURCE_RECORD_ID, STRAT_FOLD
from pipeline.leads import SAMPLES, SAMPLING_RATE_HZ, STORED_LEADS
from pipeline.release.exports import hdf5
from pipeline.release.exports.export import Export, lists_as_text, rows_alone, write_readme
from pipeline.release.manifest import TITLE, ReleaseManifest
from pipeline.release.source import Source

SPLITS = np.array(["train"] * 8 + ["val", "test"])
"""Of the folds 1 to 10, as in PTB-XL."""

_METADATA, _FOLDS, _SIGNAL = "metadata.csv", "folds.csv", "signal_path"
_README = """
Configurations with which [ecgbench](https://pypi.org/project/ecgbench/) 1.0 reads the signals of `../hdf5`, which has
to stay beside this folder. It looks for configurations in its own package only: put them there first.

    import glob, os, shutil, ecgbench
    for file in glob.glob("*.yaml"):
        shutil.copy(file, os.path.join(os.path.dirname(ecgbench.__file__), "data", "configs"))

    from ecgbench.dataset import ECGDataset
    train = ECGDataset("ecg_foundry_normal", "train", data_path="normal", metadata_source="local", labels=True)
    train[0]["signal"]  # (8, 5000), mV

`all/` and `normal/` are the data paths of the two: `metadata.csv` has every record with its measurements, `folds.csv`
the splits, folds 1 to 8 to train, 9 to validate, 10 to test. ecgbench's `record_id` is the number under which the
record was generated (`source_record_id`), in both; the tables' own `record_id` is left out. ecgbench reads the 8
stored leads, in some 6 ms a record; the four derived ones follow from them.
"""
_CONFIGURATION = """
name: "{title}: {about}"
slug: "{slug}"
version: "{version}"
url: "https://doi.org/10.1038/s41598-021-01295-2"  # of the generator's paper
license: "CC BY 4.0"
description: "{records:,} synthetic 10 s ECGs. Not for clinical use. Labels are the release's own measurements."

signal_format: "hdf5"
signal_unit_scale: 0.001  # stored in whole µV
leads: {leads}
lead_names: {lead_names}
duration_seconds: 10
sampling_rates: [{rate}]
default_sampling_rate: {rate}

metadata_csv: "{metadata}"
record_id_column: "{record}"
signal_path_columns:
  {rate}: "{signal}"

label_column: "verdict"
label_format: "single"
labels:
  source_csv: "{metadata}"
  join_column: "{record}"

has_predefined_splits: true
predefined_splits:
  column: "{fold}"
  fold_mapping:
    train: [1, 2, 3, 4, 5, 6, 7, 8]
    val: [9]
    test: [10]

validation:
  expected_leads: {leads}
  expected_samples:
    {rate}: {samples}
  checks: [missing_leads, nan_values, truncated_signal, flat_line, corrupt_header, amplitude_outlier]
"""
_ABOUT = {"all": "all records", "normal": "the records with the verdict Normal"}


def write(sources: Sequence[Source], facts: ReleaseManifest, folder: Path) -> None:
    """Write a configuration, and a folder with table and folds, of each dataset."""
    for source in sources:
        slug, place = f"ecg_foundry_{source.name}", folder / source.name
        place.mkdir()
        rows = _rows(source.table)
        folds = rows[STRAT_FOLD.name].to_numpy()
        names = [SOURCE_RECORD_ID.name, _SIGNAL, "fold", "default_split"]
        columns = [rows[SOURCE_RECORD_ID.name], rows[_SIGNAL], folds, SPLITS[folds - 1]]
        for name, table in ((_METADATA, rows), (_FOLDS, pa.table(columns, names))):
            with (place / name).open("wb") as file:
                pa.csv.write_csv(table, file)
        configuration = _CONFIGURATION.format(
            title=TITLE,
            about=_ABOUT[source.name],
            slug=slug,
            version=facts.version,
            records=rows.num_rows,
            leads=len(STORED_LEADS),
            lead_names=list(STORED_LEADS),
            rate=SAMPLING_RATE_HZ,
            samples=SAMPLES,
            metadata=_METADATA,
            record=SOURCE_RECORD_ID.name,
            signal=_SIGNAL,
            fold=STRAT_FOLD.name,
        )
        (folder / f"{slug}.yaml").write_text(configuration.lstrip(), encoding="utf-8", newline="\n")
    write_readme(folder, facts, _README)


def _rows(table: pa.Table) -> pa.Table:
    """A release's rows with the place of each record's signal, as ecgbench names rows of HDF5."""
    parts, rows = np.divmod(table[SOURCE_RECORD_ID.name].to_numpy(), hdf5.PART_RECORDS)
    paths = [
        f"../../hdf5/{hdf5.part_name(part)}:{hdf5.TRACINGS}:{row}"
        for part, row in zip(parts.tolist(), rows.tolist(), strict=True)
    ]
    rows_of_all = rows_alone(table).drop_columns([RECORD_ID.name])  # which ecgbench has a number of its own for
    return lists_as_text(rows_of_all).append_column(_SIGNAL, pa.array(paths, pa.string()))


EXPORT = Export(
    name="ecgbench",
    description="configurations, tables and folds with which ecgbench 1.0 reads the export hdf5, which comes with it",
    bytes_per_record=1_000,
    write=write,
    needs=("hdf5",),
)
