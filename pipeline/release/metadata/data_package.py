"""`datapackage.json`: Data Package 2.0, which R, OpenRefine and frictionless read."""

from typing import Any

import pyarrow as pa

from pipeline.columns import RELEASE_COLUMNS, Column
from pipeline.release.manifest import TITLE, Facts
from pipeline.release.metadata import shared

PROFILE = "https://datapackage.org/profiles/2.0/datapackage.json"


def data_package(facts: Facts) -> str:
    """The two tables with every column's type, and the archives of signals."""
    package = {
        "$schema": PROFILE,
        "name": shared.NAME,
        "title": TITLE,
        "description": shared.summary(facts),
        "version": facts.release.version,
        "created": shared.moment(facts.release.issued),
        "keywords": shared.KEYWORDS,
        "licenses": [{"name": shared.LICENCE, "title": shared.LICENCE_NAME, "path": shared.LICENCE_URL}],
        "sources": [{"title": shared.PAPER_TITLE, "path": shared.PAPER_URL}],
        "resources": [_resource(file, facts) for file in shared.data_files(facts)],
    }
    return shared.as_json(package)


def _resource(file: str, facts: Facts) -> dict[str, Any]:
    entry = facts.files[file]
    stem, *_, kind = file.split(".")
    resource = {
        "name": stem.replace("/", "-"),
        "path": file,
        "format": kind,
        "mediatype": shared.media_type(file),
        "hash": f"sha256:{entry.sha256}",
    }
    if kind == "parquet":  # without its size: frictionless, which reads it through pandas, takes it for wrong
        fields = [_field(column) for column in RELEASE_COLUMNS]
        return {**resource, "type": "table", "schema": {"fields": fields, "primaryKey": ["record_id"]}}
    return {**resource, "bytes": entry.bytes}


def _field(column: Column) -> dict[str, str]:
    unit = {"unit": column.unit} if column.unit else {}
    return {"name": column.name, "type": _type(column.type), "description": column.description, **unit}


def _type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return "any"  # frictionless takes a list out of Parquet for no array
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_string(kind):
        return "string"
    return "integer" if pa.types.is_integer(kind) else "number"
