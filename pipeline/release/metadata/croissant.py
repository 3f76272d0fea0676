"""`croissant.json`: Croissant 1.1 with its responsible-AI vocabulary, which loaders of training data read."""

from typing import Any

import pyarrow as pa

from pipeline.columns import RECORD_ID, RELEASE_COLUMNS, STRAT_FOLD, Column
from pipeline.release.manifest import TITLE, Contents, Facts
from pipeline.release.metadata import shared

_OWN_TERMS = (
    "annotation arrayShape citeAs column containedIn equivalentProperty excludes extract field fileObject fileProperty "
    "fileSet format includes isArray isLiveDataset jsonPath key md5 parentField path readLines recordSet references "
    "regex repeated replace samplingRate sdVersion separator source subField transform unArchive value"
)
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{term: f"cr:{term}" for term in _OWN_TERMS.split()},
}
_PARQUET = "application/x-parquet"  # the only name by which mlcroissant opens the file


def croissant(facts: Facts) -> str:
    """Both tables column by column, so that a loader streams their records, and the archives as files.

    There is no creator, which would have to be a person or an organisation: `prov:wasGeneratedBy` names the program.
    """
    release = facts.release
    datasets = {"all": facts.everything, "normal": facts.normal}
    files = [*shared.data_files(facts), *({shared.SECOND_OPINION} & facts.files.keys())]
    dataset = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": TITLE,
        "description": shared.summary(facts),
        "url": "README.md",  # beside this file, wherever that is published
        "version": release.version,
        "datePublished": shared.moment(release.issued),
        "license": shared.LICENCE_URL,
        "keywords": shared.KEYWORDS,
        "citeAs": f"{shared.PAPER_TITLE}. {shared.PAPER_URL}",
        "isLiveDataset": False,
        **_responsible_ai(facts),
        "distribution": [_file(file, facts) for file in files],
        "recordSet": [_records(name, contents) for name, contents in datasets.items()],
    }
    return shared.as_json(dataset)


def _responsible_ai(facts: Facts) -> dict[str, object]:
    training, findings, made = shared.training(facts), shared.findings(facts), facts.release.provenance
    return {
        "rai:hasSyntheticData": True,
        "rai:dataLimitations": (
            f"Not for clinical use: no record was recorded from a person. {training} {findings} Measurements and "
            "verdicts are this program's own, after 12SL's published definitions; they are neither 12SL's output nor "
            "ground truth. Normal means that no rule objected; README.md names what the rules do not look for. A null "
            "is what could not be measured."
        ),
        "rai:dataBiases": (
            f"{training} {findings} Records take after the people and devices behind those ECGs; no record tells "
            "whose age or sex it takes after. The limits of the verdict Normal lean on the ranges of 12SL's normals of "
            "the same generator."
        ),
        "rai:personalSensitiveInformation": (
            f"None was put in. {training} Whether a record reproduces an ECG among them, or lets one be inferred, was "
            "not evaluated."
        ),
        "rai:dataUseCases": (
            "Methods to which a finding does not matter, with folds in strat_fold: to find waves, measure, compress or "
            "denoise; to compare programs that measure ECGs; to teach. Not to train or test detectors of any finding, "
            "for diagnosis, nor for estimates of how common a finding is."
        ),
        "rai:dataSocialImpact": (
            "Methods can be worked on without access to patients' recordings; one tuned on these alone can fail on "
            "people."
        ),
        "prov:wasDerivedFrom": {
            "@id": "provenance.jsonld#checkpoint",
            "prov:label": f"checkpoint of the generator {facts.release.recipe.generator}",
            "sha256": facts.release.recipe.checkpoint_sha256,
        },
        "prov:wasGeneratedBy": {
            "@id": "provenance.jsonld#build",
            "@type": "prov:Activity",
            "prov:label": f"build by {made.software}; its steps and the time of its end are in provenance.jsonld",
        },
    }


def _file(file: str, facts: Facts) -> dict[str, str]:
    entry = facts.files[file]
    return {
        "@type": "cr:FileObject",
        "@id": file,
        "name": file,
        "contentUrl": file,
        "contentSize": f"{entry.bytes} B",
        "encodingFormat": _PARQUET if file.endswith(".parquet") else shared.media_type(file),
        "sha256": entry.sha256,
    }


def _records(name: str, contents: Contents) -> dict[str, object]:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"The {contents.records:,} rows of {contents.table}, one a record.",
        "key": {"@id": f"{name}/{RECORD_ID.name}"},
        "field": [_field(name, contents.table, column) for column in RELEASE_COLUMNS],
    }


def _field(name: str, table: str, column: Column) -> dict[str, object]:
    kind = column.type
    field: dict[str, object] = {
        "@type": "cr:Field",
        "@id": f"{name}/{column.name}",
        "name": column.name,
        "description": column.description,
        "source": {"fileObject": {"@id": table}, "extract": {"column": column.name}},
    }
    if pa.types.is_list(kind):
        field |= {"isArray": True, "arrayShape": "-1"}
        kind = kind.value_type
    field["dataType"] = [_data_type(kind), "cr:Split"] if column == STRAT_FOLD else _data_type(kind)
    if column.unit:
        field["unitText"] = column.unit
    return field


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_string(kind):
        return "sc:Text"
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    return f"cr:{'Int' if pa.types.is_integer(kind) else 'Float'}{kind.bit_width}"
