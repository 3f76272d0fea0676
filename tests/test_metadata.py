"""A release's metadata says the same in every standard, and each standard's own validator takes it, offline."""

import ast
import contextlib
import json
import os
import shutil
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import frictionless
import mlcroissant
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr

from pipeline.columns import RELEASE_SCHEMA
from pipeline.dataset import Dataset, open_dataset
from pipeline.errors import DatasetError, InputError
from pipeline.release import validate
from pipeline.release.checksums import CHECKSUMS, checksums_text
from pipeline.release.manifest import Contents, Facts, ReleaseManifest, SignalsPart
from pipeline.release.metadata import METADATA
from pipeline.release.metadata.sbom import requirements
from pipeline.release.metadata.shared import SECOND_OPINION
from pipeline.release.prose import prose
from pipeline.release.rows import count_marks, release_rows
from pipeline.release.validate import VALIDATORS, faults, invalid_metadata
from pipeline.store.files import all_files, file_entry
from pipeline.store.tables import write_table


def describe(dataset: Dataset, name: str, folder: Path) -> Contents:
    """Write a dataset's table, and an archive without signals, for metadata does not look into it."""
    (folder / name).mkdir(parents=True)
    manifest = dataset.manifest
    part = SignalsPart(file=f"{name}/signals-000.zarr.zip", records=len(dataset))
    with zipfile.ZipFile(folder / part.file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("zarr.json"), name)
    folds = np.arange(manifest.recipe.records, dtype=np.int8) % 10 + 1
    rows = release_rows(dataset.measurements(), manifest.recipe.seed, folds, [part])
    write_table(folder / name / "measurements.parquet", rows, RELEASE_SCHEMA)
    return Contents(
        records=len(dataset),
        table=f"{name}/measurements.parquet",
        signals=[part],
        content_digest=manifest.content_digest,
        signals_digest=manifest.signals_digest,
        table_digest=manifest.table_digest,
        verdicts=manifest.verdicts,
        statuses=manifest.statuses,
        marks=count_marks(rows),
    )


def facts_of(folder: Path, release: ReleaseManifest) -> Facts:
    return Facts(release, {file.relative_to(folder).as_posix(): file_entry(file) for file in all_files(folder)})


def document(folder: Path, release: ReleaseManifest) -> Facts:
    """Write what speaks for the data that is there."""
    for name, text in prose(facts_of(folder, release)).items():
        (folder / name).write_text(text, encoding="utf-8")
    for name, writer in METADATA.items():
        (folder / name).write_text(writer(facts_of(folder, release)), encoding="utf-8")
    facts = facts_of(folder, release)
    (folder / CHECKSUMS).write_text(checksums_text(facts.files), encoding="utf-8")
    return facts


@pytest.fixture(scope="module")
def facts_and_folder(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Facts, Path]:
    """A release but for what is not metadata's business, and what is known of it when all is written."""
    folder = tmp_path_factory.mktemp("metadata") / "release"
    manifest = dataset.manifest
    assert manifest.provenance
    (folder / "quality").mkdir(parents=True)
    shutil.copyfile(dataset.folder / "second_opinion.parquet", folder / SECOND_OPINION)
    release = ReleaseManifest(
        version="1.2.3",
        issued=manifest.provenance.finished_at,
        recipe=manifest.recipe,
        lineage_digest=manifest.lineage_digest,
        generation_version=manifest.generation_version,
        measurement_version=manifest.measurement_version,
        rule_set=manifest.rule_set,
        provenance=manifest.provenance,
        datasets={
            "all": describe(dataset, "all", folder),
            "normal": describe(open_dataset(dataset.folder / "normal"), "normal", folder),
        },
    )
    return document(folder, release), folder


@pytest.fixture
def facts(facts_and_folder: tuple[Facts, Path]) -> Facts:
    return facts_and_folder[0]


@pytest.fixture
def release(facts_and_folder: tuple[Facts, Path]) -> Path:
    """Tests must not change it."""
    return facts_and_folder[1]


@pytest.fixture
def copy(release: Path, tmp_path: Path) -> Path:
    """One to damage."""
    return Path(shutil.copytree(release, tmp_path / "copy"))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked for")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text(encoding="utf-8"))


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", VALIDATORS)
def test_each_standard_takes_its_document(release: Path, name: str) -> None:
    assert faults(release, name) == []


@pytest.mark.usefixtures("no_network")
def test_frictionless_reads_the_whole_package_by_itself(release: Path) -> None:
    report = frictionless.validate(str(release / "datapackage.json"), limit_rows=10)
    assert report.valid, report.flatten(["message"])
    assert [task.stats.get("fields") for task in report.tasks if task.type == "table"] == [len(RELEASE_SCHEMA)] * 2


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", ["all", "normal"])
def test_croissant_streams_the_rows_of_the_tables(release: Path, name: str) -> None:
    table = pq.read_table(release / name / "measurements.parquet")
    streamed = list(islice(mlcroissant.Dataset(release / "croissant.json").records(name), 50))
    for record, row in zip(streamed, table.slice(0, 50).to_pylist(), strict=True):
        assert {column.removeprefix(f"{name}/"): plain(value) for column, value in record.items()} == row


def plain(value: Any) -> Any:
    """What mlcroissant gives as Python has it: texts come as bytes, numbers as numpy's."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if isinstance(value, np.generic) else value


def test_all_say_the_same_counts_and_hashes(release: Path, facts: Facts) -> None:
    sums = {name: entry.sha256 for name, entry in facts.files.items()}
    data = {name: sha256 for name, sha256 in sums.items() if name.startswith(("all/", "normal/"))}
    assert len(data) == 4
    opinion = {SECOND_OPINION: sums[SECOND_OPINION]}
    assert {
        each["contentUrl"]: each["sha256"] for each in read(release, "croissant.json")["distribution"]
    } == data | opinion
    resources = read(release, "datapackage.json")["resources"]
    assert {each["path"]: each["hash"].removeprefix("sha256:") for each in resources} == data
    origins = read(release, "provenance.jsonld")["@graph"]
    assert {
        each["@id"]: each["sha256"]
        for each in origins
        if each.get("wasGeneratedBy") == "#packaging" and "sha256" in each
    } == data
    crate = {each["@id"]: each for each in read(release, "ro-crate-metadata.json")["@graph"] if each["@type"] == "File"}
    listed = {name: entry for name, entry in facts.files.items() if name != "ro-crate-metadata.json"}
    assert {name: (each["sha256"], int(each["contentSize"])) for name, each in crate.items()} == {
        name: (entry.sha256, entry.bytes) for name, entry in listed.items()
    }


@pytest.mark.parametrize("name", ["README.md", "DATASHEET.md", "CHANGELOG.md", "datacite.json"])
def test_texts_give_the_counts_of_the_tables_and_the_digests(release: Path, facts: Facts, name: str) -> None:
    text = (release / name).read_text(encoding="utf-8")
    for contents in (facts.everything, facts.normal):
        assert f"{pq.read_metadata(release / contents.table).num_rows} " in text
        assert contents.content_digest in text
    assert "1.2.3" in text


def test_every_column_is_described_as_it_is(release: Path) -> None:
    schema = pq.read_schema(release / "normal" / "measurements.parquet")
    fields = {field["name"]: field for field in read(release, "croissant.json")["recordSet"][1]["field"]}
    columns = {field["name"]: field for field in read(release, "datapackage.json")["resources"][2]["schema"]["fields"]}
    assert list(fields) == list(columns) == schema.names
    for field in schema:
        unit, description = (field.metadata[key].decode() for key in (b"unit", b"description"))
        assert fields[field.name].get("unitText", "") == columns[field.name].get("unit", "") == unit
        assert fields[field.name]["description"] == columns[field.name]["description"] == description
        assert fields[field.name].get("isArray", False) == pa.types.is_list(field.type)
    assert fields["r_amplitude_v5_uv"]["dataType"] == "cr:Int16"
    assert fields["statements"]["dataType"] == "cr:Int16"
    assert fields["strat_fold"]["dataType"] == ["cr:Int8", "cr:Split"]


def test_the_same_facts_give_the_same_bytes(release: Path, facts: Facts) -> None:
    files = dict(facts.files)
    for name, writer in reversed(METADATA.items()):
        del files[name]  # each knows what was written before it
        assert writer(replace(facts, files=files)) == (release / name).read_text(encoding="utf-8")
    for name, text in prose(facts).items():
        assert text == (release / name).read_text(encoding="utf-8")


def test_a_release_without_a_normal_record_is_one_too(copy: Path, facts: Facts) -> None:
    write_table(copy / facts.normal.table, RELEASE_SCHEMA.empty_table(), RELEASE_SCHEMA)
    none = dict.fromkeys(facts.normal.marks, 0)
    nothing = facts.normal.model_copy(update={"records": 0, "verdicts": {}, "statuses": {}, "marks": none})
    for name in (*METADATA, CHECKSUMS):
        (copy / name).unlink()
    document(copy, facts.release.model_copy(update={"datasets": {"all": facts.everything, "normal": nothing}}))
    assert faults(copy, "datapackage.json") == []
    assert list(mlcroissant.Dataset(copy / "croissant.json").records("normal")) == []
    assert "80 records, 0 of them normal" in (copy / "README.md").read_text(encoding="utf-8")


def test_the_bill_of_materials_lists_what_we_need_and_what_that_needs(release: Path) -> None:
    needed = requirements("ecg-foundry")
    assert {"numpy", "zarr", "deepfake-ecg"} <= needed["ecg-foundry"]
    assert "numcodecs" in needed["zarr"]
    assert not {"pytest", "mypy", "ruff"} & needed.keys()  # of an extra
    assert set().union(*needed.values()) | {"ecg-foundry"} == needed.keys()
    listed = {each["name"]: each.get("version") for each in read(release, "sbom.cdx.json")["components"]}
    assert listed["zarr"] == zarr.__version__
    assert len(listed) == len(needed)  # without itself, but with the checkpoint


def test_what_is_not_the_published_checkpoint_is_not_said_to_be(facts: Facts) -> None:
    other = facts.release.recipe.model_copy(update={"checkpoint_sha256": "0" * 64})
    texts = prose(replace(facts, release=facts.release.model_copy(update={"recipe": other})))
    for name in ("README.md", "DATASHEET.md"):
        for claim in ("GESUS", "learnt no disease"):
            assert claim in prose(facts)[name]
            assert claim not in texts[name]
        assert "must not be used to train or test a detector" in texts[name]
    assert "other than the published one" in " ".join(texts["NOTICE"].split())


def test_texts_are_whole_and_their_code_is_code(release: Path) -> None:
    readme = (release / "README.md").read_text(encoding="utf-8")
    for name in ("README.md", "DATASHEET.md", "CHANGELOG.md", "CITATION.cff", "NOTICE"):
        assert "$" not in (release / name).read_text(encoding="utf-8"), name
    blocks = [block.split("```")[0] for block in readme.split("```python\n")[1:]]
    assert len(blocks) == 2
    for block in blocks:
        ast.parse(block)
    query = readme.split("```sql\n")[1].split("```")[0]
    with contextlib.chdir(release):
        assert duckdb.connect().execute(query).fetchall()
    assert "1 is 1 µV, not 1 mV" in readme
    assert "Synthetic. Not for clinical use." in readme
    assert "anonym" not in readme.lower()


def test_normal_is_qualified_by_the_bands_and_flags_of_the_tables(release: Path, facts: Facts) -> None:
    everything, normal = (pq.read_table(release / each.table) for each in (facts.everything, facts.normal))
    counts = (
        (sum(everything["normal_strict"].to_pylist()), 80),
        (sum(everything["normal_permissive"].to_pylist()), 80),
        (sum(map(bool, normal["quality_flags"].to_pylist())), normal.num_rows),
    )
    readme = (release / "README.md").read_text(encoding="utf-8")
    assert all(f" {count} ({100 * count / whole:.1f} %) " in readme for count, whole in counts)


def test_everything_has_one_origin_and_nothing_comes_before_what_it_is_made_of(release: Path) -> None:
    graph = {each["@id"]: each for each in read(release, "provenance.jsonld")["@graph"]}
    made = {name: each for name, each in graph.items() if "wasDerivedFrom" in each}
    assert len(made) == 9  # measurements twice of all, signals of all, two of normal, four files
    for name, each in made.items():
        assert each["wasDerivedFrom"] in graph[each["wasGeneratedBy"]]["used"], name
    steps = [each for each in graph.values() if each["@type"] == "prov:Activity"]
    assert [each["@id"] for each in steps if "endedAtTime" in each] == ["#build"]


def edit(folder: Path, name: str, change: Callable[[Any], object]) -> None:
    document = read(folder, name)
    change(document)
    (folder / name).write_text(json.dumps(document), encoding="utf-8")


@pytest.mark.parametrize("name", VALIDATORS)
def test_a_document_cut_short_or_missing_is_named(copy: Path, name: str) -> None:
    text = (copy / name).read_text(encoding="utf-8")
    (copy / name).write_text(text[: len(text) // 8], encoding="utf-8")
    assert faults(copy, name)
    (copy / name).unlink()
    (fault,) = faults(copy, name)
    assert "is missing" in fault


BROKEN: dict[str, tuple[str, Callable[[Any], object], str]] = {
    "no such column": (
        "croissant.json",
        lambda it: it["recordSet"][0]["field"][7]["source"]["extract"].update(column="nonsense"),
        "nonsense",
    ),
    "no type": ("croissant.json", lambda it: it["recordSet"][0]["field"][0].pop("dataType"), "dataType"),
    "another hash": ("croissant.json", lambda it: it["distribution"][1].update(sha256="0" * 64), "another SHA-256"),
    "no such file": (
        "ro-crate-metadata.json",
        lambda it: it["@graph"][-1].update({"@id": "gone"}) or it["@graph"][1]["hasPart"].append({"@id": "gone"}),
        "gone, which is not in the release",
    ),
    "no root": ("ro-crate-metadata.json", lambda it: it["@graph"][0].pop("about"), "root entity"),
    "no such type": (
        "datapackage.json",
        lambda it: it["resources"][0]["schema"]["fields"][0].update(type="nonsense"),
        "nonsense",
    ),
    "wrong type": (
        "datapackage.json",
        lambda it: it["resources"][0]["schema"]["fields"][4].update(type="integer"),
        "signals_file",
    ),
    "a path out of it": ("datapackage.json", lambda it: it["resources"][1].update(path="../there"), "../there"),
    "a year of two digits": ("datacite.json", lambda it: it.update(publicationYear="26"), "publicationYear"),
    "a DOI that is none": ("datacite.json", lambda it: it.update(doi="tba"), "doi"),
    "no name": ("sbom.cdx.json", lambda it: it["components"][3].pop("name"), "name"),
    "nobody": (
        "provenance.jsonld",
        lambda it: it["@graph"][0].update({"@type": "prov:Entity"}),
        "prov:Agent",
    ),
}


@pytest.mark.parametrize(("name", "change", "reason"), BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_is_said(copy: Path, name: str, change: Callable[[Any], object], reason: str) -> None:
    edit(copy, name, change)
    found = faults(copy, name)
    assert any(reason in fault for fault in found), found
    assert all(fault.isprintable() for fault in found)


def test_a_citation_without_a_title_is_named(copy: Path) -> None:
    text = (copy / "CITATION.cff").read_text(encoding="utf-8")
    (copy / "CITATION.cff").write_text(text.replace("\ntitle:", "\nheading:"), encoding="utf-8")
    assert "'title' is a required property" in " ".join(faults(copy, "CITATION.cff"))


def test_a_citation_of_few_lines_and_many_values_is_not_unfolded(copy: Path) -> None:
    lines = [f"a{n}: &a{n} [{', '.join(['x' if n == 0 else f'*a{n - 1}'] * 10)}]" for n in range(10)]
    with (copy / "CITATION.cff").open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    assert faults(copy, "CITATION.cff") == ["it has an alias, which no citation needs"]


def test_a_document_far_larger_than_ours_is_not_parsed(copy: Path) -> None:
    (copy / "ro-crate-metadata.json").write_bytes(b"[" + b"[]," * 2_000_000 + b"0]")
    assert faults(copy, "ro-crate-metadata.json") == ["it is larger than 4096 KiB"]


def test_a_document_that_leads_to_a_pipe_is_not_waited_for(copy: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    edit(copy, "provenance.jsonld", lambda it: it.update({"@context": (tmp_path / "pipe").as_uri()}))
    assert "without devices and pipes" in dict(invalid_metadata(copy))["provenance.jsonld"]


def test_a_document_that_keeps_a_validator_busy_is_one_line(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validate, "_MOST_SECONDS", 0.1)
    with pytest.raises(DatasetError, match=r"busy for more than 0\.1 s"):
        list(invalid_metadata(release))


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """The address of a server on this machine, and what was asked of it."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_error(404)

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", paths
    server.shutdown()


def test_hostile_documents_fetch_nothing(
    copy: Path, asked: tuple[str, list[str]], capfd: pytest.CaptureFixture[str]
) -> None:
    """Through the process of its own, whose output is nobody's, while the documents that are whole stay unnamed."""
    url, paths = asked
    edit(copy, "croissant.json", lambda it: it["distribution"][0].update(contentUrl=f"{url}/table"))
    edit(copy, "datapackage.json", lambda it: it.update(profile=f"{url}/profile.json"))
    edit(copy, "provenance.jsonld", lambda it: it.update({"@context": f"{url}/context.jsonld"}))
    found = dict(invalid_metadata(copy))
    assert found.keys() == {"croissant.json", "datapackage.json", "provenance.jsonld"}
    assert "without the network" in found["provenance.jsonld"]
    assert not paths
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_validated_is_one_line(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "false")
    with pytest.raises(DatasetError, match="brings a validator of metadata down"):
        list(invalid_metadata(release))
    monkeypatch.setattr(validate, "find_spec", lambda name: None if name == "rocrate" else name)
    with pytest.raises(InputError, match=r"without rocrate. Run pip install 'ecg-foundry\[check\]'"):
        list(invalid_metadata(release))
