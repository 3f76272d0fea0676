"""The normal subset: the records with the verdict Normal, as a self-contained dataset of their own."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.columns import RECORD_ID, SOURCE_RECORD_ID, SUBSET_SCHEMA
from pipeline.dataset import MANIFEST, Manifest, describe
from pipeline.store.documents import write_document
from pipeline.store.files import all_files, file_entry, replacing
from pipeline.store.ledger import Plan
from pipeline.store.signals import write_subset
from pipeline.store.tables import MEASUREMENTS, write_table

NORMAL = "normal"


def write_normal_subset(folder: Path, plan: Plan, table: pa.Table, source_digest: str) -> Manifest:
    """Write `normal/` beside the signals and rows it is taken from.

    Args:
        folder: the dataset's folder, all shards committed.
        plan: its plan.
        table: its measurement table.
        source_digest: its content digest.

    Returns:
        The subset's manifest.
    """
    rows = table.filter(pc.equal(table["verdict"], "Normal"))
    source = rows[RECORD_ID.name].to_numpy()
    rows = rows.set_column(0, RECORD_ID.name, pa.array(np.arange(len(source))))
    rows = rows.add_column(1, SOURCE_RECORD_ID.name, pa.array(source)).cast(SUBSET_SCHEMA)
    with replacing(folder / NORMAL) as subset:
        subset.mkdir()
        write_subset(folder, source, subset, plan.shard_records)
        write_table(subset / MEASUREMENTS, rows, SUBSET_SCHEMA)
        files = {path.relative_to(subset).as_posix(): file_entry(path) for path in all_files(subset)}
        added = {"files": files, "source_content_digest": source_digest}
        manifest = describe("subset", plan, rows).model_copy(update=added)
        write_document(subset / MANIFEST, manifest)
    return manifest
