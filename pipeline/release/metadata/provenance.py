"""`provenance.jsonld`: how the release came to be, in the words of W3C's PROV-O."""

from typing import Any

from pipeline.release.manifest import TITLE, Contents, Facts
from pipeline.release.metadata import shared

_LINKS = ("used", "wasGeneratedBy", "wasDerivedFrom", "wasAssociatedWith", "wasAttributedTo", "hadMember")
_CONTEXT = {
    "prov": "http://www.w3.org/ns/prov#",
    "schema": "https://schema.org/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "generatedAtTime": {"@id": "prov:generatedAtTime", "@type": "xsd:dateTime"},
    **{term: {"@id": f"prov:{term}", "@type": "@id"} for term in _LINKS},
    **{term: f"schema:{term}" for term in ("name", "value", "sha256", "softwareVersion", "additionalProperty")},
}


def provenance(facts: Facts) -> str:
    """From recipe and checkpoint by generation, measurement and interpretation to the two datasets and their files."""
    release = {
        "@id": "./",
        "@type": ["prov:Entity", "prov:Collection"],
        "name": f"{TITLE}, version {facts.release.version}",
        "wasGeneratedBy": "#packaging",
        "wasAttributedTo": "#software",
        "generatedAtTime": shared.moment(facts.release.issued),
        "hadMember": shared.data_files(facts),
    }
    graph = [
        *_origin(facts),
        *_activities(facts),
        *_dataset("all", facts.everything, facts),
        *_dataset("normal", facts.normal, facts),
        release,
    ]
    return shared.as_json({"@context": _CONTEXT, "@graph": graph})


def _origin(facts: Facts) -> list[dict[str, Any]]:
    """Who made it, where, and from what."""
    release = facts.release
    made = release.provenance
    name, _, version = made.software.rpartition(" ")
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
            "@type": ["prov:Entity", "prov:Plan"],
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
    steps = (
        ("generation", facts.release.generation_version, ["#recipe", "#checkpoint"]),
        ("measurement", facts.release.measurement_version, ["#all-signals"]),
        ("interpretation", facts.release.rule_set, ["#all-signals"]),
        ("selection", facts.release.rule_set, ["#all"]),
        ("packaging", facts.release.version, ["#all", "#normal"]),
    )
    return [
        {
            "@id": f"#{name}",
            "@type": "prov:Activity",
            "name": name,
            "softwareVersion": version,
            "used": used,
            "wasAssociatedWith": "#software",
        }
        for name, version, used in steps
    ]


def _dataset(name: str, contents: Contents, facts: Facts) -> list[dict[str, Any]]:
    """A dataset as it was built, its signals and its table, and the files of the release that hold them."""
    whole, signals, table = f"#{name}", f"#{name}-signals", f"#{name}-measurements"
    if name == "all":
        made = {"wasGeneratedBy": ["#generation", "#measurement", "#interpretation"], "wasDerivedFrom": "#checkpoint"}
    else:
        made = {"wasGeneratedBy": "#selection", "wasDerivedFrom": "#all"}
    built = {
        "@id": whole,
        "@type": ["prov:Entity", "prov:Collection"],
        "name": f"dataset {name}, {contents.records} records",
        "generatedAtTime": shared.moment(facts.release.provenance.finished_at),
        "additionalProperty": _properties([("content digest", contents.content_digest)]),
        "hadMember": [signals, table],
        **made,
    }
    parts = [
        {"@id": part, "@type": "prov:Entity", "additionalProperty": _properties([(f"{kind} digest", digest)]), **more}
        for part, kind, digest, more in (
            (signals, "signals", contents.signals_digest, {}),
            (table, "table", contents.table_digest, {"wasDerivedFrom": signals}),
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
