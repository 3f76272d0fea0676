"""Any record can be made again alone, from the recipe, and compared with the stored one."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.dataset import Dataset
from pipeline.generators import generate_block, load_generator
from pipeline.rows import stored_rows
from pipeline.shards import BLOCK


@dataclass(frozen=True)
class Comparison:
    """A record made again, beside the stored one."""

    record: int
    differing_samples: int
    largest_difference_uv: int
    differing_columns: list[str]

    @property
    def identical(self) -> bool:
        """Whether signal and row are the same to the last bit."""
        return not self.differing_samples and not self.differing_columns


def regenerate(dataset: Dataset, record: int, checkpoint: Path | None = None) -> Comparison:
    """Make one record again and compare signal and row.

    Args:
        dataset: where it is stored.
        record: its number there.
        checkpoint: the generator's checkpoint; None for the published one.

    Raises:
        DatasetError: when there is no such record.
        RecipeError: when the checkpoint is not the recipe's.
    """
    stored = dataset.signal(record)
    recipe = dataset.manifest.recipe
    number = dataset.source_record(record)
    generator = load_generator(recipe, checkpoint)
    again = generate_block(generator, recipe.seed, number // BLOCK)[number % BLOCK]
    difference = np.abs(again.astype(np.int32) - stored.astype(np.int32))
    row_again = stored_rows(again[np.newaxis], record)
    row = dataset.measurements(row_again.column_names).slice(record, 1)
    return Comparison(
        record=record,
        differing_samples=int(np.count_nonzero(difference)),
        largest_difference_uv=int(difference.max()),
        differing_columns=[name for name in row.column_names if row[name].to_pylist() != row_again[name].to_pylist()],
    )
