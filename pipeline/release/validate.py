"""A release's metadata through each standard's own validator: offline, and in a process of its own.

In a process of its own, because validators take seconds to import, print, warn and log as they like, would fetch what a
hostile document names, and open Parquet files by themselves. There the network can be switched off for good.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.errors import DatasetError, InputError
from pipeline.recipe import parse_json
from pipeline.release.checksums import read_checksums
from pipeline.store.outside import check_plain
from pipeline.store.pages import check_pages
from pipeline.store.tables import read_table

_LIBRARIES = ("cyclonedx", "datacite", "frictionless", "jsonschema", "mlcroissant", "rdflib", "rocrate", "yaml")
_ROWS = 20
"""Of a table that frictionless looks at: it takes 9 ms a row of 150 columns."""
_MOST_FAULTS = 5
"""Named a file."""
_MOST_BYTES, _MOST_YAML_BYTES = 1 << 22, 1 << 16
"""Of a document, some 30 times ours: validators take far more memory than that, and YAML seconds."""
_DEVICES = {os.devnull, "/dev/urandom"}
_MOST_SECONDS = 600
"""For all documents, which take seconds; a pattern that one of them brings may take for ever."""


def invalid_metadata(folder: Path) -> Iterator[tuple[str, str]]:
    """Run each standard's own validator on a release, without the network.

    Args:
        folder: the release.

    Yields:
        The file that is not valid, and why, in one line.

    Raises:
        InputError: when the validators are not installed.
        DatasetError: when the release brings a validator down.
    """
    missing = [library for library in _LIBRARIES if find_spec(library) is None]
    if missing:
        raise InputError(
            f"metadata cannot be validated without {', '.join(missing)}. Run pip install 'ecg-foundry[check]'"
        )
    command = [
        sys.executable,
        "-P",
        "-m",
        __name__,
        str(folder.absolute()),
    ]  # never a module of the folder it is run in
    try:
        done = subprocess.run(
            command, capture_output=True, check=False, encoding="utf-8", errors="replace", timeout=_MOST_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise DatasetError(
            f"{folder} keeps a validator of metadata busy for more than {_MOST_SECONDS} s. Get the release again"
        ) from error
    if done.returncode:
        reason = (done.stderr.splitlines() or [f"exit status {done.returncode}"])[-1]
        raise DatasetError(f"{folder} brings a validator of metadata down: {_line(reason)}. Get the release again")
    for line in done.stdout.splitlines():
        name, reason = json.loads(line)
        yield name, reason


def _croissant(folder: Path, name: str) -> Iterator[str]:
    """The document, and the first record of both tables through it."""
    document = _read_json(folder, name)
    named = {each["contentUrl"]: each.get("sha256") for each in document["distribution"]}
    wrong = list(_unlike_the_sums(folder, named))
    yield from wrong
    if wrong:
        return
    dataset = _library("mlcroissant").Dataset(folder / name)
    for records in document["recordSet"]:
        table = records["field"][0]["source"]["fileObject"]["@id"]
        check_pages(folder, folder / table)
        rows = read_table(folder / table).num_rows  # which looks at a file before anything else opens it
        if len(list(islice(dataset.records(records["@id"]), 1))) != min(rows, 1):
            yield f"{records['@id']} gives no record of {table}"


def _ro_crate(folder: Path, _: str) -> Iterator[str]:
    crate = _library("rocrate.rocrate").ROCrate(folder)
    yield from _unlike_the_sums(folder, {each.id: each.get("sha256") for each in crate.data_entities})


def _data_package(folder: Path, name: str) -> Iterator[str]:
    """The document, and the first rows of the tables against their columns.

    By itself frictionless would hash every archive, and read tables whole, to look at their first rows.
    """
    frictionless = _library("frictionless")
    document = _read_json(folder, name)
    wrong = [error.note for error in frictionless.Package.metadata_validate(document)]
    if not wrong:
        named = {each["path"]: each["hash"].removeprefix("sha256:") for each in document["resources"]}
        wrong = list(_unlike_the_sums(folder, named))
    yield from wrong
    for resource in () if wrong else document["resources"]:
        rows = list[Any]()
        if "schema" in resource:
            check_pages(folder, folder / resource["path"])
            rows = read_table(folder / resource["path"]).slice(0, _ROWS).to_pylist()
        if rows:
            schema = frictionless.Schema.from_descriptor(resource["schema"])
            report = frictionless.Resource(data=rows, schema=schema).validate()
            yield from (f"{resource['path']}: {fault}" for (fault,) in report.flatten(["message"]))


def _datacite(folder: Path, name: str) -> Iterator[str]:
    yield from _schema_faults(_library("datacite.schema45").validator, _read_json(folder, name))


def _cyclonedx(folder: Path, name: str) -> Iterator[str]:
    version = _library("cyclonedx.schema").SchemaVersion.V1_6
    fault = _library("cyclonedx.validation.json").JsonStrictValidator(version).validate_str(_read(folder, name))
    if fault is not None:
        yield str(fault)


def _citation(folder: Path, name: str) -> Iterator[str]:
    yaml, text = _library("yaml"), _read(folder, name)
    if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):  # ten lines of which are 10^10 values
        yield "it has an alias, which no citation needs"
        return
    document = yaml.safe_load(text)
    schema = json.loads(files("pipeline.release").joinpath("schemas/cff-1.2.0.json").read_text(encoding="utf-8"))
    as_json = json.loads(json.dumps(document, default=str))  # YAML has dates, of which the schema knows nothing
    yield from _schema_faults(_library("jsonschema").Draft7Validator(schema), as_json)


def _provenance(folder: Path, name: str) -> Iterator[str]:
    """PROV has no validator of its own for this form: it has to be JSON-LD, and to say who did what to what."""
    rdflib = _library("rdflib")
    graph = rdflib.Graph().parse(data=_read(folder, name), format="json-ld")
    for kind in ("Entity", "Activity", "Agent"):
        if (None, rdflib.RDF.type, rdflib.PROV[kind]) not in graph:
            yield f"it names no prov:{kind}"


VALIDATORS: dict[str, Callable[[Path, str], Iterator[str]]] = {
    "CITATION.cff": _citation,
    "datapackage.json": _data_package,
    "datacite.json": _datacite,
    "sbom.cdx.json": _cyclonedx,
    "provenance.jsonld": _provenance,
    "croissant.json": _croissant,
    "ro-crate-metadata.json": _ro_crate,
}
"""What is wrong with a file of a release, by its name: functions of the folder and of that name."""


def faults(folder: Path, name: str) -> list[str]:
    """What is wrong with one metadata file, a line each and not many; whatever its validator raises is a fault too."""
    try:
        check_plain(folder, folder / name)
        most = _MOST_YAML_BYTES if name == "CITATION.cff" else _MOST_BYTES
        if (folder / name).stat().st_size > most:
            return [f"it is larger than {most >> 10} KiB"]
        return [_line(fault) for fault in islice(VALIDATORS[name](folder, name), _MOST_FAULTS)]
    except Exception as error:  # noqa: BLE001 - on a damaged document a validator may raise anything
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        return [_line(f"{type(cause).__name__}: {cause}")]


def _unlike_the_sums(folder: Path, named: dict[str, str | None]) -> Iterator[str]:
    """Files that a document names and that are not in the release, or with another hash than its checksums have."""
    sums = read_checksums(folder)
    for name, sha256 in named.items():
        if name not in sums or not (folder / name).is_file():
            yield f"it names {name}, which is not in the release"
        elif sha256 not in {None, sums[name]}:
            yield f"it gives {name} another SHA-256 than SHA256SUMS.txt"


def _schema_faults(validator: Any, document: object) -> Iterator[str]:  # noqa: ANN401 - untyped libraries
    for error in validator.iter_errors(document):
        yield f"{'/'.join(map(str, error.absolute_path)) or 'the document'}: {error.message}"


def _read(folder: Path, name: str) -> str:
    return (folder / name).read_text(encoding="utf-8")


def _read_json(folder: Path, name: str) -> Any:  # noqa: ANN401 - whatever it holds
    return parse_json(_read(folder, name))


def _library(name: str) -> Any:  # noqa: ANN401 - untyped libraries
    """A validator, which is imported where it is needed: it is part of an extra, and takes up to 2 s."""
    return import_module(name)


def _line(text: str) -> str:
    line = " ".join(text.split())[:300]
    return line if line.isprintable() else ascii(line)


def _refuse_outside(event: str, arguments: tuple[Any, ...]) -> None:
    """No network, and nothing of which there may be no end."""
    if event.startswith(("socket.connect", "socket.getaddrinfo", "socket.gethostby")):
        raise OSError("metadata is validated without the network, and this asks for it")
    if event == "open" and isinstance(arguments[0], str | bytes):
        path = Path(os.fsdecode(arguments[0]))
        if str(path) not in _DEVICES and path.exists() and not path.is_file() and not path.is_dir():
            raise OSError("metadata is validated without devices and pipes, and this asks for one")


def main() -> None:
    """Print a line of JSON a fault; the validators' own output goes where errors go."""
    folder, results = Path(sys.argv[1]), sys.stdout
    sys.stdout = sys.stderr
    sys.addaudithook(_refuse_outside)
    for name in VALIDATORS:
        for fault in faults(folder, name):
            print(json.dumps([name, fault]), file=results)


if __name__ == "__main__":
    main()
