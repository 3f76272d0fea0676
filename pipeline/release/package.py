"""Package a dataset and its normal subset into one folder that explains itself and can be checked."""

import json
import shutil
import zipfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from string import Template

from pipeline.columns import SOURCE_RECORD_ID, TABLE_COLUMNS, column_dictionary
from pipeline.dataset import Manifest
from pipeline.normal import NORMAL
from pipeline.progress import tracked
from pipeline.store.files import all_files, file_entry, updating
from pipeline.store.signals import SIGNALS
from pipeline.store.tables import MEASUREMENTS

RELEASE = "release"
SIGNALS_ZIP = f"{SIGNALS}.zip"
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
_COPY_BYTES = 1 << 20


def write_release(folder: Path, manifest: Manifest, normal: Manifest) -> None:
    """Write `release/`: both datasets with data dictionary, licence, citation, notices, README and checksums.

    The same dataset gives the same bytes.

    Args:
        folder: the dataset's folder, with signals, rows and normal subset in place.
        manifest: the dataset's manifest.
        normal: its normal subset's manifest.
    """
    with updating(folder / RELEASE, whole=True) as release:
        for name, source in (("all", folder), (NORMAL, folder / NORMAL)):
            (release / name).mkdir(parents=True)
            zip_store(source / SIGNALS, release / name / SIGNALS_ZIP)
            shutil.copyfile(source / MEASUREMENTS, release / name / MEASUREMENTS)
        columns = column_dictionary(SOURCE_RECORD_ID, *TABLE_COLUMNS)
        (release / "columns.json").write_text(json.dumps(columns, indent=1) + "\n", encoding="utf-8")
        for name in ("LICENSE", "NOTICE"):
            (release / name).write_text(_text(f"{name}.txt"), encoding="utf-8")
        for name in ("README.md", "CITATION.cff"):
            text = Template(_text(name)).substitute(_facts(manifest, normal))
            (release / name).write_text(text, encoding="utf-8")
        (release / "SHA256SUMS.txt").write_text("".join(_checksums(release)), encoding="utf-8")


def zip_store(store: Path, path: Path) -> None:
    """Pack a Zarr store into a stored ZIP that opens in place; sorted names and fixed dates make it reproducible."""
    files = all_files(store)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in tracked(files, f"packing {path.parent.name}", "files"):
            info = zipfile.ZipInfo(file.relative_to(store).as_posix(), _ZIP_EPOCH)
            info.external_attr = 0o644 << 16
            info.file_size = file.stat().st_size
            with file.open("rb") as source, archive.open(info, "w") as target:
                shutil.copyfileobj(source, target, _COPY_BYTES)


def _facts(manifest: Manifest, normal: Manifest) -> dict[str, str]:
    share = normal.records / manifest.records
    provenance = manifest.provenance
    return {
        "records": f"{manifest.records:,}",
        "normal_records": f"{normal.records:,}",
        "normal_percent": f"{100 * share:.1f}",
        "seed": str(manifest.recipe.seed),
        "checkpoint_sha256": manifest.recipe.checkpoint_sha256,
        "content_digest": manifest.content_digest,
        "normal_content_digest": normal.content_digest,
        "generation_version": manifest.generation_version,
        "measurement_version": manifest.measurement_version,
        "rule_set": manifest.rule_set,
        "software": provenance.software if provenance else "",
        "instruction_sets": ", ".join(provenance.instruction_sets) if provenance else "",
        "verdicts": "\n".join(f"| {verdict} | {count:,} |" for verdict, count in manifest.verdicts.items()),
        "statuses": ", ".join(f"{count:,} {status}" for status, count in manifest.statuses.items()),
    }


def _checksums(release: Path) -> Iterator[str]:
    """Lines that `sha256sum -c` reads."""
    files = all_files(release)
    for path in tracked(files, "hashing the release", "files"):
        yield f"{file_entry(path).sha256}  {path.relative_to(release).as_posix()}\n"


def _text(name: str) -> str:
    return (files("pipeline.release") / "texts" / name).read_text(encoding="utf-8")
