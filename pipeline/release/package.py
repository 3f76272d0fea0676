"""Make a release: two self-contained datasets and what speaks for both, in one folder that anybody can check."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Literal

import pyarrow as pa

from pipeline.columns import RELEASE_SCHEMA
from pipeline.dataset import Dataset, Manifest, open_dataset
from pipeline.dictionary import dictionary_csv, dictionary_json
from pipeline.errors import DatasetError, RecipeError
from pipeline.normal import NORMAL
from pipeline.quality.assess import assess
from pipeline.quality.distances import read_reference
from pipeline.quality.documents import quality_files
from pipeline.release.archives import write_archives
from pipeline.release.checksums import CHECKSUMS, checksums_text
from pipeline.release.exports import EXPORTS, chosen_exports
from pipeline.release.manifest import RELEASE_MANIFEST, TITLE, Contents, Facts, ReleaseManifest
from pipeline.release.metadata import METADATA
from pipeline.release.place import (
    check_disk,
    check_place,
    check_version,
    default_place,
    find_release,
    next_version,
    unfinished,
)
from pipeline.release.prose import prose
from pipeline.release.released import read_release
from pipeline.release.rows import count_marks, release_rows
from pipeline.release.source import Source
from pipeline.release.splits import strat_folds
from pipeline.release.vocabulary import flags_csv, statements_csv
from pipeline.report.page import report_page
from pipeline.second_opinion import SECOND_OPINION
from pipeline.store.documents import write_document
from pipeline.store.files import content_entry, folder_entries
from pipeline.store.lease import locked
from pipeline.store.place import Place
from pipeline.store.signals import SIGNALS
from pipeline.store.tables import MEASUREMENTS, write_table
from pipeline.verify import verify

QUALITY, CODE, EXPORTED = "quality", "code", "exports"
_BESIDES_BYTES = 100_000_000
"""For everything but signals, rows and exports; the report's page with its pictures is most of it."""
_CARRIED_OVER = {"records", "content_digest", "signals_digest", "table_digest", "verdicts", "statuses"}
"""What is true of a dataset's records in a release as well."""


@dataclass(frozen=True)
class Released:
    """A release that is there."""

    folder: Place
    manifest: ReleaseManifest
    made: bool = True
    """Whether it was made just now."""

    def text(self) -> str:
        """One line."""
        everything, normal = self.manifest.datasets["all"], self.manifest.datasets["normal"]
        verb = "released" if self.made else "is released already"
        counts = f"{everything.records:,} records, {normal.records:,} of them normal"
        return f"{verb} as version {self.manifest.version}, {counts}: {self.folder}"


@dataclass(frozen=True)
class Request:
    """What a release is to be."""

    out: Place
    version: str
    exports: Sequence[str] = ()
    reference: Path | None = None
    """Table of real ECGs, as `measure` writes it, to compare distributions with."""


def keep_released(dataset: Dataset) -> Released:
    """Release a dataset as the next version beside it, unless it is released there already as it is.

    Raises:
        DatasetError: as `make_release`.
    """
    place = default_place(dataset.folder)
    found = find_release(place, dataset.manifest.content_digest)
    if found is not None:
        return Released(found, read_release(found), made=False)
    out, version = next_release(dataset)
    return make_release(dataset, Request(out, version))


def next_release(dataset: Dataset, out: Place | None = None, version: str | None = None) -> tuple[Place, str]:
    """Where a release goes and which version it is, as far as that is not given.

    Args:
        dataset: to be released.
        out: the folder, if it is given.
        version: the version, if it is given.
    """
    place = default_place(dataset.folder)
    version = version or next_version(place)
    return out or place / version, version


def make_release(dataset: Dataset, request: Request) -> Released:
    """Package a dataset and its normal subset.

    The same dataset gives the same bytes. It is issued when it was built, or at SOURCE_DATE_EPOCH where that is set; no
    time in it is then later, as https://reproducible-builds.org/specs/source-date-epoch/ asks.

    Args:
        dataset: a finished one, which is checked wholly first.
        request: what the release is to be.

    Raises:
        DatasetError: when the dataset is damaged or a subset, or the release cannot be written or does not fit.
        InputError: when there is something at its place, or the reference is no table of measurements.
        RecipeError: for an impossible version or an unknown export.
    """
    check_version(request.version)
    check_place(request.out)
    exports = chosen_exports(request.exports)
    reference = None if request.reference is None else read_reference(request.reference)
    if dataset.manifest.kind == "subset":
        raise DatasetError(f"{dataset.folder} is a subset, and a release has both. Give the dataset around it")
    normal = open_dataset(dataset.folder / NORMAL)
    exported = sum(EXPORTS[name].bytes(len(dataset), len(normal)) for name in exports)
    check_disk(request.out, _bytes(dataset.manifest) + _BESIDES_BYTES + exported)
    with locked(dataset.folder):  # no build changes it meanwhile
        _check_whole(dataset)
        with unfinished(request.out) as folder:
            manifest = _write(folder, dataset, normal, request.version, exports, reference)
    return Released(request.out, manifest)


def _bytes(manifest: Manifest) -> int:
    """What the dataset's and the subset's signals and rows take in a release, where shards are cut anew."""
    parts = (SIGNALS, MEASUREMENTS, NORMAL)
    copied = sum(entry.bytes for name, entry in manifest.files.items() if Path(name).parts[0] in parts)
    return copied + copied // 100


def _check_whole(dataset: Dataset) -> None:
    problems = verify(dataset)
    if problems:
        raise DatasetError(
            f"{dataset.folder} is damaged in {len(problems)} places and is not released; the first: {problems[0]}. "
            f"Run its build again to repair it"
        )


def _write(
    folder: Path, dataset: Dataset, normal: Dataset, version: str, exports: Sequence[str], reference: pa.Table | None
) -> ReleaseManifest:
    sources, contents = _write_data(folder, dataset, normal)
    release = describe_release(dataset.manifest, version, contents)
    write_document(folder / RELEASE_MANIFEST, release)
    checks = assess(dataset, reference)
    texts = {f"{QUALITY}/{name}": text for name, text in quality_files(checks).items()}
    texts |= {f"{CODE}/{name}": _resource("code", name) for name in ("load.py", "verify.py")}
    texts |= {"columns.csv": dictionary_csv(), "columns.json": dictionary_json()}
    texts |= {"statements.csv": statements_csv(), "flags.csv": flags_csv()}
    texts["report.html"] = report_page(TITLE, _summary(release), dataset, checks, version=version)
    for name, text in texts.items():
        _write_text(folder / name, text)
    if (dataset.folder / SECOND_OPINION).exists():
        (folder / QUALITY / SECOND_OPINION).write_bytes((dataset.folder / SECOND_OPINION).read_bytes())
    for name in exports:
        (folder / EXPORTED / name).mkdir(parents=True)
        EXPORTS[name].write(sources, release, folder / EXPORTED / name)
    _write_metadata(folder, release)
    return release


def _write_data(
    folder: Path, dataset: Dataset, normal: Dataset
) -> tuple[list[Source], dict[Literal["all", "normal"], Contents]]:
    """Archives and tables of both datasets."""
    table = dataset.measurements()
    folds, seed = strat_folds(table), dataset.manifest.recipe.seed
    sources, contents = list[Source](), dict[Literal["all", "normal"], Contents]()
    opened: tuple[tuple[Literal["all", "normal"], Dataset, pa.Table], ...] = (
        ("all", dataset, table),
        ("normal", normal, normal.measurements()),
    )
    for name, source, rows in opened:
        (folder / name).mkdir()
        parts = write_archives(source, folder / name)
        released = release_rows(rows, seed, folds, parts)
        write_table(folder / name / MEASUREMENTS, released, RELEASE_SCHEMA)
        sources.append(Source(name, source, released))
        contents[name] = Contents(
            table=f"{name}/{MEASUREMENTS}",
            signals=parts,
            marks=count_marks(rows),
            **source.manifest.model_dump(include=_CARRIED_OVER),
        )
    return sources, contents


def describe_release(
    manifest: Manifest, version: str, contents: dict[Literal["all", "normal"], Contents]
) -> ReleaseManifest:
    """What a release is.

    Args:
        manifest: of the dataset that it is made from.
        version: its version.
        contents: of its two datasets.

    Raises:
        DatasetError: when the manifest is a subset's, which names no provenance.
        RecipeError: when SOURCE_DATE_EPOCH is no number of seconds.
    """
    provenance = manifest.provenance
    if provenance is None:
        raise DatasetError("the dataset's manifest names no provenance. Run its build again")
    source_date = _source_date()
    finished = min(provenance.finished_at, source_date or provenance.finished_at)  # so that one built again is the same
    return ReleaseManifest(
        version=version,
        issued=(source_date or finished).replace(microsecond=0),
        recipe=manifest.recipe,
        lineage_digest=manifest.lineage_digest,
        generation_version=manifest.generation_version,
        measurement_version=manifest.measurement_version,
        rule_set=manifest.rule_set,
        provenance=provenance.model_copy(update={"finished_at": finished}),
        datasets=contents,
    )


def _source_date() -> datetime | None:
    """What SOURCE_DATE_EPOCH says, if it is set: https://reproducible-builds.org/specs/source-date-epoch/.

    Raises:
        RecipeError: when it is no number of seconds.
    """
    value = os.environ.get("SOURCE_DATE_EPOCH")
    if not value:
        return None
    if not value.isdecimal() or len(value) > 11:
        raise RecipeError(f"SOURCE_DATE_EPOCH {value!r} is no number of seconds since 1970. Set it to one, or unset it")
    return datetime.fromtimestamp(int(value), UTC)


def _summary(release: ReleaseManifest) -> list[tuple[str, str]]:
    """What a reader of the report asks first."""
    everything, normal = release.datasets["all"], release.datasets["normal"]
    return [
        ("Issued", f"{release.issued:%d %B %Y}"),
        ("Records", f"{everything.records:,}, of which {normal.records:,} have the verdict Normal"),
        (
            "Generator",
            f"Pulse2Pulse, checkpoint SHA-256 {release.recipe.checkpoint_sha256}, seed {release.recipe.seed}",
        ),
        ("Made by", f"{release.provenance.software} on {', '.join(release.provenance.instruction_sets)}"),
        ("Content digest", everything.content_digest),
    ]


def _write_metadata(folder: Path, release: ReleaseManifest) -> None:
    """The texts and each standard's document, which name the hashes of what was written before, and all hashes."""
    entries = folder_entries(folder, {})

    def write(name: str, text: str) -> None:
        _write_text(folder / name, text)
        entries[name] = content_entry(text.encode())

    for name, text in prose(Facts(release, entries)).items():
        write(name, text)
    for name, document in METADATA.items():
        write(name, document(Facts(release, entries)))
    _write_text(folder / CHECKSUMS, checksums_text(entries))


def _resource(*names: str) -> str:
    return files("pipeline.release").joinpath(*names).read_text(encoding="utf-8")


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
