"""`release.json`: what a release is. Every metadata file says the same in its own standard's words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.dataset import Provenance
from pipeline.recipe import MOST_RECORDS, Recipe
from pipeline.store.documents import Document, Sha256, Words
from pipeline.store.files import FileEntry

RELEASE_MANIFEST = "release.json"
TITLE = "Synthetic 12-lead ECGs from a Pulse2Pulse generator"

_Count = Annotated[int, Field(ge=0, le=MOST_RECORDS)]
VERSION = r"^(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})$"
"""A semantic version of three numbers."""


class SignalsPart(BaseModel):
    """One archive of signals."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    file: Words = Field(description="path in the release")
    records: _Count


class Contents(BaseModel):
    """One of the two datasets of a release."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    records: _Count
    table: Words = Field(description="path of the measurements in the release")
    signals: list[SignalsPart] = Field(description="archives in the order of their records")
    content_digest: Sha256 = Field(description="of the dataset in the folder that the release was made from")
    signals_digest: Sha256
    table_digest: Sha256 = Field(description="of its columns there: those that the release adds are not in it")
    verdicts: dict[Words, _Count] = Field(description="records by verdict")
    statuses: dict[Words, _Count] = Field(description="records by measurement status")
    marks: dict[Literal["normal_strict", "normal_permissive", "quality_flags"], _Count] = Field(
        description="records that are normal by the strict and by the permissive limits, and that have a quality flag"
    )


class ReleaseManifest(Document):
    """What a release is; the hash of every file is in `SHA256SUMS.txt`."""

    kind: Literal["release"] = "release"
    version: Annotated[str, Field(pattern=VERSION)]
    issued: datetime = Field(strict=False, description="SOURCE_DATE_EPOCH where it is set, else the end of the build")
    recipe: Recipe
    lineage_digest: Sha256
    generation_version: str
    measurement_version: str
    rule_set: str
    provenance: Provenance
    datasets: dict[Literal["all", "normal"], Contents]


@dataclass(frozen=True)
class Facts:
    """What the metadata writers are given: the one model behind all of them."""

    release: ReleaseManifest
    files: Mapping[str, FileEntry]
    """Hash and size of every file that has been written so far, by its path in the release."""

    @property
    def everything(self) -> Contents:
        """The dataset of all records."""
        return self.release.datasets["all"]

    @property
    def normal(self) -> Contents:
        """The dataset of the normal records."""
        return self.release.datasets["normal"]
