"""The folder of a report: where it goes, what it may replace, and its files, the same bytes for the same dataset."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.dataset import MANIFEST, Dataset, Manifest, check_output
from pipeline.errors import InputError
from pipeline.report import published
from pipeline.report.figures import Picture, draw_figures
from pipeline.report.markdown import FIGURES, report_markdown
from pipeline.report.records import CONCERNS, read_records
from pipeline.report.statistics import Statistics, statistics
from pipeline.report.text import CAVEAT, report_text
from pipeline.second_opinion import read_second_opinion
from pipeline.store.files import all_files, replacing, writing
from pipeline.store.place import BucketPath, Place

KIND = "ecg-foundry-report"
JSON, MARKDOWN = "report.json", "report.md"


def make_report(dataset: Dataset, out: Path | None = None) -> str:
    """Write a dataset's report as Markdown, JSON and PNG figures.

    Args:
        dataset: a dataset, or the subset of its normal records.
        out: folder to write, `default_folder` if none; an older report there is replaced whole.

    Returns:
        The report as text of at most 120 columns.

    Raises:
        InputError: the folder holds anything but a report, or lies in a dataset.
        DatasetError: the dataset's table cannot be read, or the report not be written.
    """
    folder = out or default_folder(dataset.folder)
    place = Path(os.path.realpath(folder))  # behind a link, the link stays
    _check(place, dataset.folder)
    records = read_records(dataset)
    found = statistics(records, read_second_opinion(dataset.folder))
    figures = draw_figures(records, found)
    with writing(place), replacing(place) as temporary:
        (temporary / FIGURES).mkdir(parents=True)
        for figure in figures:
            (temporary / FIGURES / f"{figure.name}.png").write_bytes(figure.png)
        (temporary / MARKDOWN).write_text(report_markdown(dataset.manifest, found, figures), encoding="utf-8")
        (temporary / JSON).write_text(_json(dataset.manifest, found, figures), encoding="utf-8")
    return f"{report_text(dataset.manifest, found)}\nWritten with {len(figures)} figures: {folder / MARKDOWN}"


def default_folder(dataset: Place) -> Path:
    """`DATASET-report` beside the dataset; for a subset inside one `DATASET-SUBSET-report` beside that.

    That of a dataset in a bucket is in the current folder.

    Args:
        dataset: its folder.
    """
    # Made absolute by its name, by which the user knows it, not by a link's target.
    folder = dataset if isinstance(dataset, BucketPath) else Path(os.path.abspath(dataset))  # noqa: PTH100
    outermost = [folder, *(parent for parent in folder.parents if (parent / MANIFEST).is_file())][-1]
    name = "-".join([outermost.name, *folder.relative_to(outermost).parts, "report"])
    return Path(name) if isinstance(outermost, BucketPath) else outermost.with_name(name)


def _check(place: Path, dataset: Place) -> None:
    """Refuse a place that holds anything but a report, or that lies in a dataset."""
    remedy = "Choose another folder with --out"
    check_output(place / JSON if place.is_dir() else place, dataset)
    if place.is_file():
        raise InputError(f"{place} is a file. {remedy}")
    if place.exists():
        files = _files(place)
        # What is no report may be a home folder, of which one file says enough.
        there = all_files(place) if files else place.iterdir()
        foreign = next(
            (path.relative_to(place) for path in there if path.relative_to(place).as_posix() not in files), ""
        )
        if foreign:
            raise InputError(f"{place} holds {foreign}, which is no part of a report. {remedy}")


def _files(place: Path) -> set[str]:
    """The files of the report that is in a folder, if there is one."""
    try:
        report = json.loads((place / JSON).read_bytes())
        if report["kind"] == KIND:
            return {JSON, MARKDOWN, *(f"{FIGURES}/{figure['name']}.png" for figure in report["figures"])}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return set()


def _json(manifest: Manifest, found: Statistics, figures: list[Picture]) -> str:
    """Everything that the Markdown shows, and which dataset it is of."""
    of = manifest.model_dump(
        mode="json",
        include={
            "kind",
            "records",
            "recipe",
            "generation_version",
            "measurement_version",
            "rule_set",
            "content_digest",
            "source_content_digest",
        },
    )
    report: dict[str, Any] = {
        "kind": KIND,
        "dataset": of,
        "caveat": CAVEAT.replace("\n", " "),
        "sources": {"table_2": published.PAPER, "normals": published.NORMALS_SOURCE},
        "flags_concern": CONCERNS,
        "figures": [{"name": figure.name, "title": figure.title, "caption": figure.caption} for figure in figures],
        **asdict(found),
    }
    return json.dumps(report, ensure_ascii=False, allow_nan=False, indent=1, sort_keys=True) + "\n"
