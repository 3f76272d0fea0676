"""What a release says of itself in other people's standards: one model, `Facts`, and a short writer each."""

from collections.abc import Callable

from pipeline.release.manifest import Facts
from pipeline.release.metadata.croissant import croissant
from pipeline.release.metadata.data_package import data_package
from pipeline.release.metadata.datacite import datacite
from pipeline.release.metadata.provenance import provenance
from pipeline.release.metadata.ro_crate import ro_crate
from pipeline.release.metadata.sbom import sbom

METADATA: dict[str, Callable[[Facts], str]] = {
    "datapackage.json": data_package,
    "datacite.json": datacite,
    "sbom.cdx.json": sbom,
    "provenance.jsonld": provenance,
    "croissant.json": croissant,
    "ro-crate-metadata.json": ro_crate,
}
"""The writer of every metadata file, in the order of writing: the last lists all the others.

Each takes the facts with the files that have been written by then and gives the file's text; the same facts, in the
same installation, give the same text.
"""
