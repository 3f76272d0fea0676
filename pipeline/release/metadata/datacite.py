"""`datacite.json`: what DataCite asks for when a DOI is registered, in its schema 4.5."""

from pipeline.release.manifest import TITLE, Facts
from pipeline.release.metadata import shared


def datacite(facts: Facts) -> str:
    """Everything but the DOI, its publisher and the creators, which are whoever registers it to give."""
    issued = shared.issued(facts)
    release = facts.release
    record = {
        "schemaVersion": "http://datacite.org/schema/kernel-4",
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Synthetic electrocardiograms"},
        "creators": [{"name": ":unav"}],  # DataCite's own word for what is not available
        "titles": [{"title": TITLE}],
        "publisher": {"name": ":tba"},  # and for what is still to be announced
        "publicationYear": str(issued.year),
        "version": release.version,
        "language": "en",
        "subjects": [{"subject": keyword} for keyword in shared.KEYWORDS],
        "dates": [{"date": issued.date().isoformat(), "dateType": "Issued"}],
        "alternateIdentifiers": [
            {
                "alternateIdentifier": contents.content_digest,
                "alternateIdentifierType": f"SHA-256 content digest: {name}",
            }
            for name, contents in (("all", facts.everything), ("normal", facts.normal))
        ],
        "relatedIdentifiers": [
            {"relatedIdentifier": shared.PAPER_DOI, "relatedIdentifierType": "DOI", "relationType": "Cites"}
        ],
        "sizes": [f"{facts.everything.records} records", f"{facts.normal.records} of them normal"],
        "formats": sorted({shared.media_type(file) for file in shared.data_files(facts)}),
        "rightsList": [
            {
                "rights": shared.LICENCE_NAME,
                "rightsUri": shared.LICENCE_URL,
                "rightsIdentifier": shared.LICENCE,
                "rightsIdentifierScheme": "SPDX",
                "schemeUri": "https://spdx.org/licenses/",
            }
        ],
        "descriptions": [{"description": shared.summary(facts), "descriptionType": "Abstract"}],
    }
    return shared.as_json(record)
