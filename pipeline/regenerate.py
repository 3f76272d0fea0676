"""Records made again from the recipe, and compared with the stored ones: to the last bit, or within the tolerance."""

import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.columns import RECORD_ID, SOURCE_RECORD_ID, SUBSET_SCHEMA, TABLE_SCHEMA
from pipeline.dataset import Dataset, open_dataset
from pipeline.errors import DatasetError, RecipeError
from pipeline.generators import GENERATION_VERSION, generate_block, load_generator
from pipeline.interpret.rules import RULE_SET
from pipeline.leads import SAMPLES, STORED_LEADS
from pipeline.measurement import MEASUREMENT_VERSION
from pipeline.progress import tracked
from pipeline.recipe import printable
from pipeline.rows import stored_rows
from pipeline.shards import BLOCK
from pipeline.worker import instruction_set

LARGEST_UV = 1
"""The published tolerance across instruction sets and library versions: how far a sample may be off, and…"""
SHARE_OF_SAMPLES = 0.005
"""…on what share of samples. Seen: 0.12 % of those of 6,144 records."""
SHARE_OF_A_RECORD = 0.02
"""That share is one of many records together; of few, as many samples may differ as would in one record at this share.
Seen: 0.4 % of records have more than 0.5 %, the worst of 6,144 has 1.1 %."""
SHARE_OF_ROWS = 0.02
"""Rows are measured on the stored signals, so the generator's rounding is not in them, and on x86-64 none of 2,048
came out differently under all of the libraries' switches. Elsewhere the last bit may: with every sample off by half a
unit of float32's last place, a float column differs in its seventh digit in most rows, and in 0.5 % of rows a decision
falls the other way and takes other columns with it. More than a few are another measurement, not another rounding."""
_ROUNDING = 1e-5
"""Relative difference of a float column up to which it is a matter of rounding."""
_TAKING_PART = ("numpy", "scipy", "torch")
"""Libraries whose arithmetic is in signals and rows. The others store them without loss, in whatever version."""
_SAMPLES = len(STORED_LEADS) * SAMPLES
_NOT_BUILT = "Run the build of its dataset again, or get it again"


@dataclass(frozen=True)
class Origin:
    """What the last bit depends on."""

    instruction_sets: tuple[str, ...]
    versions: dict[str, str]
    """Of the libraries that take part."""


@dataclass(frozen=True)
class Comparison:
    """Records made again, beside the stored ones."""

    records: int
    """Compared."""
    differing_signals: list[int]
    """Records with another signal."""
    differing_samples: int
    largest_difference_uv: int
    differing_rows: list[int]
    """Records whose row, measured again on the stored signal, is another."""
    rows_beyond_rounding: int
    """Those of them in which more than the last digits of a float is."""
    differing_columns: list[str]
    made_on: Origin | None
    """None where it is not known: a subset away from its source."""
    here: Origin

    @property
    def samples(self) -> int:
        """Compared."""
        return self.records * _SAMPLES

    @property
    def identical(self) -> bool:
        """Whether every signal and every row is the same to the last bit."""
        return not self.differing_signals and not self.differing_rows

    @property
    def within_tolerance(self) -> bool:
        """Whether the differences are what other arithmetic explains, and the arithmetic is another."""
        samples = max(SHARE_OF_SAMPLES * self.samples, SHARE_OF_A_RECORD * _SAMPLES)
        return (
            self.made_on != self.here
            and self.largest_difference_uv <= LARGEST_UV
            and self.differing_samples <= samples
            and self.rows_beyond_rounding <= SHARE_OF_ROWS * self.records
        )

    def outcome(self) -> str:
        """Which it is, in one line.

        Raises:
            DatasetError: when it is neither identical nor within the tolerance.
        """
        if self.identical:
            where = "" if self.made_on == self.here else f". {self._where()}"
            return f"identical to the last bit, signals and rows{where}"
        if self.within_tolerance:
            return f"within the tolerance of {self._other()}: {self._differences()}. {self._where()}"
        expected = (
            "Between equals nothing may differ"
            if self.made_on == self.here
            else f"More than {LARGEST_UV} µV on {_percent(SHARE_OF_SAMPLES)} of samples and a change in "
            f"{_percent(SHARE_OF_ROWS)} of rows is no rounding{self._too_few()}"
        )
        first = sorted({*self.differing_signals, *self.differing_rows})[:3]
        raise DatasetError(
            f"what was made again is not what is stored, in record {', '.join(map(str, first))} first: "
            f"{self._differences()}. {self._where()}. {expected}. "
            f"Try another machine; if it says the same, build into a new folder"
        )

    def _too_few(self) -> str:
        few = SHARE_OF_ROWS * self.records < 1 and self.rows_beyond_rounding
        return "; one row among so few may be, which 200 records or more will tell" if few else ""

    def _differences(self) -> str:
        signals = f"{len(self.differing_signals):,} of {self.records:,} signals differ"
        if self.differing_signals:
            share = _percent(self.differing_samples / self.samples)
            signals += f", in {self.differing_samples:,} of {self.samples:,} samples ({share})"
            signals += f" by at most {self.largest_difference_uv} µV"
        rows = f"{len(self.differing_rows):,} rows measured again on the stored signals differ"
        if self.differing_rows:
            named = ", ".join(self.differing_columns[:5]) + (" …" if len(self.differing_columns) > 5 else "")
            rows += f", {self.rows_beyond_rounding:,} of them by more than rounding, in {named}"
        return f"{signals}; {rows}"

    def _other(self) -> str:
        if self.made_on and self.made_on.instruction_sets == self.here.instruction_sets:
            return "other library versions"
        return "another instruction set"

    def _where(self) -> str:
        here = f"this machine is {self.here.instruction_sets[0]}"
        if self.made_on is None:
            return f"On what instruction set it was made is not known; {here}"
        versions = [
            f"; {name} {made} there, {self.here.versions[name]} here"
            for name, made in self.made_on.versions.items()
            if made != self.here.versions[name]
        ]
        return f"It was made on {' and '.join(self.made_on.instruction_sets)}; {here}{''.join(versions)}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


class Regenerator:
    """A dataset and the generator of its recipe."""

    def __init__(self, dataset: Dataset, checkpoint: Path | None = None) -> None:
        """Load the generator.

        Args:
            dataset: whose records to make again; a subset will do.
            checkpoint: the generator's checkpoint; None for the published one.

        Raises:
            DatasetError: when the dataset is of another generation, measurement or set of rules than this program's.
            RecipeError: when the checkpoint is not the recipe's.
        """
        _check_code(dataset)
        self._dataset = dataset
        self._generator = load_generator(dataset.manifest.recipe, checkpoint)

    def compare(self, records: NDArray[np.int64]) -> Comparison:
        """Make records again, a block at a time, and measure the stored ones again.

        In memory are the measurement table and one block of signals, however many the records.

        Args:
            records: (n,) their numbers in the dataset, ascending.

        Raises:
            DatasetError: when signals or rows cannot be read, or the rows are not such as a build writes.
        """
        table = self._dataset.measurements()
        sources = _sources(self._dataset, table)[records]
        samples, rows_differ, beyond = np.zeros(len(records), np.int64), *np.zeros((2, len(records)), bool)
        largest, columns = 0, Counter[str]()
        # Ascending numbers have those of a block side by side, in a subset too.
        blocks = np.split(np.arange(len(records)), np.flatnonzero(np.diff(sources // BLOCK)) + 1)
        for places in tracked(blocks if len(records) else [], "making records again", "blocks"):
            first, stop = int(records[places[0]]), int(records[places[-1]]) + 1
            its = records[places] - first
            stored = self._dataset.read(first, stop)[its]
            rows = table.slice(first, stop - first).take(its)
            block, within = int(sources[places[0]]) // BLOCK, sources[places] % BLOCK
            again = generate_block(self._generator, self._dataset.manifest.recipe.seed, block)[within]
            difference = np.abs(again.astype(np.int32) - stored)
            samples[places] = np.count_nonzero(difference, axis=(1, 2))
            largest = max(largest, int(difference.max()))
            for name, differs, by_more in _differing_columns(rows, stored_rows(stored, 0)):
                columns[name] += 1
                rows_differ[places] |= differs
                beyond[places] |= by_more
        return Comparison(
            records=len(records),
            differing_signals=records[samples > 0].tolist(),
            differing_samples=int(samples.sum()),
            largest_difference_uv=largest,
            differing_rows=records[rows_differ].tolist(),
            rows_beyond_rounding=int(beyond.sum()),
            differing_columns=sorted(columns),
            made_on=_origin(self._dataset),
            here=Origin((instruction_set(self._generator.device),), {name: version(name) for name in _TAKING_PART}),
        )


def regenerate(dataset: Dataset, record: int, checkpoint: Path | None = None) -> Comparison:
    """Make one record again and compare signal and row.

    Args:
        dataset: where it is stored.
        record: its number there.
        checkpoint: the generator's checkpoint; None for the published one.

    Raises:
        DatasetError: when there is no such record, or the dataset is of another version of this program.
        RecipeError: when the checkpoint is not the recipe's.
    """
    dataset.signal(record)  # refuses one that is not there
    return Regenerator(dataset, checkpoint).compare(np.array([record]))


def draw_sample(dataset: Dataset, size: int, seed: int | None = None) -> tuple[NDArray[np.int64], int]:
    """Draw records at random, none twice.

    Args:
        dataset: to draw from.
        size: how many; all where it has fewer.
        seed: of the draw; None for one drawn at random.

    Returns:
        Their numbers, ascending, and the seed.

    Raises:
        RecipeError: when the size is not positive or the seed is negative.
    """
    if size < 1:
        raise RecipeError(f"a sample of {size} records shows nothing. Ask for at least 1")
    if seed is not None and seed < 0:
        raise RecipeError(f"sample seed {seed} is negative. Give 0 or more")
    seed = secrets.randbits(32) if seed is None else seed
    drawn = np.random.default_rng(seed).choice(len(dataset), min(size, len(dataset)), replace=False, shuffle=False)
    return np.sort(drawn).astype(np.int64), seed


def _check_code(dataset: Dataset) -> None:
    """What another version of this program made it can make again, and it alone."""
    manifest = dataset.manifest
    theirs = (manifest.generation_version, manifest.measurement_version, manifest.rule_set)
    if theirs != (GENERATION_VERSION, MEASUREMENT_VERSION, RULE_SET):
        raise DatasetError(
            f"{dataset.folder} is of generation {theirs[0]}, measurement {theirs[1]} and rules {theirs[2]}, this "
            f"program of {GENERATION_VERSION}, {MEASUREMENT_VERSION} and {RULE_SET}. Make its records again with the "
            f"version of this program that made it"
        )


def _sources(dataset: Dataset, table: pa.Table) -> NDArray[np.int64]:
    """The numbers under which records were generated: their own, or in a subset those in the dataset it was taken from.

    Raises:
        DatasetError: when the table is none of a dataset or of a subset of normal records.
    """
    is_subset = dataset.manifest.kind == "subset"
    columns = (SUBSET_SCHEMA if is_subset else TABLE_SCHEMA).names
    if table.column_names != columns:
        named = printable(", ".join(sorted(set(table.column_names) ^ set(columns)))) or "their order"
        raise DatasetError(f"{dataset.folder} has other columns than its version writes ({named}). {_NOT_BUILT}")
    if not is_subset:
        return np.arange(table.num_rows)
    sources: NDArray[np.int64] = table[SOURCE_RECORD_ID.name].to_numpy()
    bounded = np.concatenate([[-1], sources, [dataset.manifest.recipe.records]])
    if not (np.diff(bounded) > 0).all():  # a NaN for null included
        raise DatasetError(f"{dataset.folder} names sources that are not records of its recipe in order. {_NOT_BUILT}")
    if not pc.all(pc.equal(table["verdict"], "Normal"), min_count=0).as_py():
        raise DatasetError(f"{dataset.folder} has records that are not Normal. {_NOT_BUILT}")
    return sources


def _origin(dataset: Dataset) -> Origin | None:
    """What a dataset was made on; a subset says nothing of it, but the dataset around it may be its source."""
    provenance = dataset.manifest.provenance
    if dataset.manifest.kind == "subset":
        try:
            around = open_dataset(dataset.folder.resolve().parent).manifest
        except DatasetError:
            return None
        if around.content_digest == dataset.manifest.source_content_digest:
            provenance = around.provenance
    if provenance is None:
        return None
    versions = {name: provenance.versions.get(name, "unknown") for name in _TAKING_PART}
    return Origin(tuple(provenance.instruction_sets), versions)


def _differing_columns(stored: pa.Table, again: pa.Table) -> Iterator[tuple[str, NDArray[np.bool_], NDArray[np.bool_]]]:
    """The columns in which two tables differ, in which rows, and in which of them by more than rounding."""
    for name in again.column_names:
        one, other = stored[name], again[name]
        if name == RECORD_ID.name or one.equals(other):
            continue
        if pa.types.is_floating(one.type):
            left, right = (np.array(column.to_pylist(), np.float64) for column in (one, other))  # with NaN for null
            missing = pc.not_equal(pc.is_null(one), pc.is_null(other)).to_numpy()
            differs = missing | (left != right) & ~(np.isnan(left) & np.isnan(right))
            yield name, differs, missing | ~np.isclose(left, right, rtol=_ROUNDING, equal_nan=True)
        else:
            differs = np.array([a != b for a, b in zip(one.to_pylist(), other.to_pylist(), strict=True)])
            yield name, differs, differs
