"""`provenance.jsonld`: how the release came to be, in the words of W3C's PROV-O."""

from typing import Any

from pipeline.release.manifest import TITLE, Contents, Facts
from pipeline.release.metadata import shared

_LINKS = ("used", "wasGeneratedBy", "wasDerivedFrom", "wasAssociatedWith", "wasAttributedTo", "hadMember")
_CONTEXT = {
    "prov": "http://www.w3.org/ns/prov#",
    "schema": "https://schema.org/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "endedAtTime": {"@id": "prov:endedAtTime", "@type": "xsd:dateTime"},
    "issued": {"@id": "http://purl.org/dc/terms/issued", "@type": "xsd:dateTime"},
    "isPartOf": {"@id": "http://purl.org/dc/terms/isPartOf", "@type": "@id"},
    **{term: {"@id": f"prov:{term}", "@type": "@id"} for term in _LINKS},
    **{term: f"schema:{term}" for term in ("name", "value", "sha256", "softwareVersion", "additionalProperty")},
}
_ORIGINS = {
    "#all-signals": ("#generation", "#checkpoint"),
    "#all-measurements": ("#interpretation", "#all-measured"),
    "#normal-signals": ("#selection", "#all-signals"),
    "#normal-measurements": ("#selection", "#all-measurements"),
}
"""The step that made a part of a dataset, and what it was derived from."""


def provenance(facts: Facts) -> str:
    """From recipe and checkpoint by generation, measurement and interpretation to the two datasets and their files."""
    release = {
        "@id": "./",
        "@type": ["prov:Entity", "prov:Collection"],
        "name": f"{TITLE}, version {facts.release.version}",
        "wasGeneratedBy": "#packaging",
        "wasAttributedTo": "#software",
        "issued": shared.moment(facts.release.issued),
        "hadMember": shared.data_files(facts),
    }
    graph = [
        *_origin(facts),
        *_activities(facts),
        {
            "@id": "#all-measured",
            "@type": "prov:Entity",
            "name": "measurements of all signals, before their interpretation",
            "wasGeneratedBy": "#measurement",
            "wasDerivedFrom": "#all-signals",
        },
        *_dataset("all", facts.everything, facts),
        *_dataset("normal", facts.normal, facts),
        release,
    ]
    return shared.as_json({"@context": _CONTEXT, "@graph": graph})


def _origin(facts: Facts) -> list[dict[str, Any]]:
    """Who made it, where, and from what."""
    release = facts.release
    made = release.provenance
    name, version = shared.software(facts)
    places = [("device", each) for each in made.devices] + [("instruction set", each) for each in made.instruction_sets]
    recipe = {**release.recipe.model_dump(), "lineage digest": release.lineage_digest}
    return [
        {
            "@id": "#software",
            "@type": ["prov:Agent", "prov:SoftwareAgent"],
            "name": name,
            "softwareVersion": version,
            "additionalProperty": _properties([*places, *made.versions.items()]),
        },
        {
            "@id": "#recipe",
            "@type": "prov:Entity",
            "name": "recipe",
            "additionalProperty": _properties(recipe.items()),
        },
        {
            "@id": "#checkpoint",
            "@type": "prov:Entity",
            "name": f"checkpoint of {release.recipe.generator}",
            "sha256": release.recipe.checkpoint_sha256,
        },
    ]


def _activities(facts: Facts) -> list[dict[str, Any]]:
    """The build, whose end alone is known, its steps, and what was done with its datasets."""
    release = facts.release
    steps = (
        ("generation", release.generation_version, ["#recipe", "#checkpoint"]),
        ("measurement", release.measurement_version, ["#all-signals"]),
        ("interpretation", release.rule_set, ["#all-measured"]),
        ("selection", release.rule_set, ["#all-signals", "#all-measurements"]),
    )
    build = {
        "@id": "#build",
        "@type": "prov:Activity",
        "name": "build",
        "wasAssociatedWith": "#software",
        "endedAtTime": shared.moment(release.provenance.finished_at),
    }
    packaging = {
        "@id": "#packaging",
        "@type": "prov:Activity",
        "name": "packaging, by the software in sbom.cdx.json",
        "used": list(_ORIGINS),
    }
    return [
        build,
        *(
            {
                "@id": f"#{name}",
                "@type": "prov:Activity",
                "name": name,
                "softwareVersion": version,
                "used": used,
                "isPartOf": "#build",
                "wasAssociatedWith": "#software",
            }
            for name, version, used in steps
        ),
        packaging,
    ]


def _dataset(name: str, contents: Contents, facts: Facts) -> list[dict[str, Any]]:
    """A dataset as it was built, its signals and its table, and the files of the release that hold them."""
    signals, table = f"#{name}-signals", f"#{name}-measurements"
    built = {
        "@id": f"#{name}",
        "@type": ["prov:Entity", "prov:Collection"],
        "name": f"dataset {name}, {contents.records} records",
        "additionalProperty": _properties([("content digest", contents.content_digest)]),
        "wasGeneratedBy": "#build",
        "hadMember": [signals, table],
    }
    parts = [
        {
            "@id": part,
            "@type": "prov:Entity",
            "additionalProperty": _properties([(f"{kind} digest", digest)]),
            "wasGeneratedBy": _ORIGINS[part][0],
            "wasDerivedFrom": _ORIGINS[part][1],
        }
        for part, kind, digest in (
            (signals, "signals", contents.signals_digest),
            (table, "table", contents.table_digest),
        )
    ]
    sources = {contents.table: table} | {part.file: signals for part in contents.signals}
    files = [
        {
            "@id": file,
            "@type": "prov:Entity",
            "sha256": facts.files[file].sha256,
            "wasGeneratedBy": "#packaging",
            "wasDerivedFrom": source,
        }
        for file, source in sources.items()
    ]
    return [built, *parts, *files]


def _properties(values: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    return [{"@type": "schema:PropertyValue", "name": name, "value": value} for name, value in values]
