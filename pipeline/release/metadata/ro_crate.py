"""`ro-crate-metadata.json`: RO-Crate 1.3, the list of everything in the folder. Written last."""

from pipeline.release.manifest import TITLE, Facts
from pipeline.release.metadata import shared

RO_CRATE = "ro-crate-metadata.json"
_SPECIFICATION = "https://w3id.org/ro/crate/1.3"


def ro_crate(facts: Facts) -> str:
    """Every file that has been written, with its size and hash."""
    files = sorted(facts.files.items())
    program, version = shared.software(facts)
    descriptor = {
        "@id": RO_CRATE,
        "@type": "CreativeWork",
        "conformsTo": {"@id": _SPECIFICATION},
        "about": {"@id": "./"},
    }
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": TITLE,
        "description": shared.summary(facts),
        "datePublished": shared.issued(facts).date().isoformat(),
        "version": facts.release.version,
        "keywords": ", ".join(shared.KEYWORDS),
        "license": {"@id": shared.LICENCE_URL},
        "creator": {"@id": "#software"},
        "citation": {"@id": shared.PAPER_URL},
        "hasPart": [{"@id": name} for name, _ in files],
    }
    context = [
        {"@id": shared.LICENCE_URL, "@type": "CreativeWork", "name": shared.LICENCE_NAME},
        {"@id": "#software", "@type": "SoftwareApplication", "name": program, "version": version},
        {"@id": shared.PAPER_URL, "@type": "ScholarlyArticle", "name": shared.PAPER_TITLE},
    ]
    parts = [
        {
            "@id": name,
            "@type": "File",
            "name": name,
            "encodingFormat": shared.media_type(name),
            "contentSize": str(entry.bytes),
            "sha256": entry.sha256,
        }
        for name, entry in files
    ]
    return shared.as_json({"@context": f"{_SPECIFICATION}/context", "@graph": [descriptor, root, *context, *parts]})
