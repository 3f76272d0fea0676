"""The normal subset: the records with the verdict Normal, as a self-contained dataset of their own."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.columns import RECORD_ID, SOURCE_RECORD_ID, SUBSET_SCHEMA
from pipeline.dataset import MANIFEST, Manifest, describe
from pipeline.shards import Shard
from pipeline.store.documents import write_document
from pipeline.store.files import folder_entries, rewriting
from pipeline.store.ledger import LedgerEntry, Plan
from pipeline.store.place import Place
from pipeline.store.subset import write_subset
from pipeline.store.tables import MEASUREMENTS, write_table

NORMAL = "normal"


def write_normal_subset(
    folder: Place, plan: Plan, entries: Mapping[Shard, LedgerEntry], table: pa.Table, source_digest: str
) -> Manifest:
    """Write `normal/` beside the signals and rows it is taken from, and check all those signals on the way.

    Args:
        folder: the dataset's folder.
        plan: its plan.
        entries: its shards in order, all committed.
        table: its measurement table.
        source_digest: its content digest.

    Returns:
        The subset's manifest.

    Raises:
        DatasetError: names the shard whose signals are missing or not what its entry says.
    """
    rows = table.filter(pc.equal(table["verdict"], "Normal"))
    source = rows[RECORD_ID.name].to_numpy()
    rows = rows.set_column(0, RECORD_ID.name, pa.array(np.arange(len(source))))
    rows = rows.add_column(1, SOURCE_RECORD_ID.name, pa.array(source)).cast(SUBSET_SCHEMA)
    with rewriting(folder / NORMAL) as subset:
        subset.mkdir()
        signals = {shard: entry.signals for shard, entry in entries.items()}
        written = write_subset(folder, signals, source, subset, plan.shard_records)
        write_table(subset / MEASUREMENTS, rows, SUBSET_SCHEMA)
        added = {"files": folder_entries(subset, written), "source_content_digest": source_digest}
        manifest = describe("subset", plan, rows).model_copy(update=added)
        write_document(subset / MANIFEST, manifest)
    return manifest
