"""The data dictionary leaves no column out, is true of what is measured, and its codes are codes."""

import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.columns import RECORD_NAME, RELEASE_SCHEMA, SOURCE_RECORD_ID, TABLE_COLUMNS
from pipeline.dataset import Dataset
from pipeline.dictionary import NEVER, dictionary, dictionary_csv, dictionary_json, muse_name
from pipeline.leads import LEADS, SAMPLES, STORED_LEADS
from pipeline.report.published import MUSE_NORMALS
from pipeline.rows import interpreted_rows
from tests.synthetic import beat, record

ENTRIES = {entry["name"]: entry for entry in dictionary()}
SYSTEMS = ("muse", "ptbxl_plus", "loinc", "mdc")


def test_every_column_is_explained() -> None:
    assert ENTRIES.keys() == {*RELEASE_SCHEMA.names, RECORD_NAME.name}
    assert ENTRIES.keys() >= {SOURCE_RECORD_ID.name} | {column.name for column in TABLE_COLUMNS}
    for entry in ENTRIES.values():
        told = [entry[part] for part in ("definition", "method", "missing")]
        assert all(told), entry["name"]
        assert len(set(told)) == 3, entry["name"]


def test_types_units_and_definitions_are_those_of_the_tables() -> None:
    for field in RELEASE_SCHEMA:
        entry = ENTRIES[field.name]
        said = {b"unit": entry["unit"].encode(), b"description": entry["definition"].encode()}
        assert (entry["type"], field.metadata) == (str(field.type).replace("item: ", ""), said)


def test_the_unit_is_that_of_the_name() -> None:
    units = {"ms": "ms", "uv": "uV", "bpm": "1/min", "deg": "deg", "percent": "%"}
    for name, entry in ENTRIES.items():
        suffix = name.rpartition("_")[2]
        assert entry["unit"] == units[suffix] if suffix in units else entry["unit"] in {"", "1", "sample"}, name


def test_never_null_is_so_in_a_real_dataset(dataset: Dataset) -> None:
    table = dataset.measurements()
    never = [name for name in table.column_names if ENTRIES[name]["missing"].startswith(NEVER)]
    assert len(never) > 10
    assert not any(table[name].null_count for name in never)


def four_slow_beats() -> NDArray[np.float64]:
    """Of which the first and the last are cut off."""
    return record(beat(), [60, 1660, 3260, 4860])


@pytest.mark.parametrize(
    ("signal", "is_null"),
    [
        (lambda: record(beat(), [*range(150, SAMPLES, 430)]), lambda rule: "status is measured" in rule),
        (lambda: np.zeros((len(STORED_LEADS), SAMPLES)), lambda rule: "fewer than 4 QRS" in rule),
        (four_slow_beats, lambda rule: "complete, alike beats" in rule),
        (lambda: record(beat(p_share=0), [*range(150, SAMPLES, 430)]), lambda rule: "no P wave" in rule),
        (lambda: record(beat(t_share=0), [*range(150, SAMPLES, 430)]), lambda rule: "no T wave" in rule),
    ],
    ids=["whole", "flat", "too few beats", "no P", "no T"],
)
def test_null_means_what_is_said(signal: Callable[[], Any], is_null: Callable[[str], bool]) -> None:
    row = interpreted_rows(signal()[None]).to_pylist()[0]
    null = {name for name, value in row.items() if value is None}
    assert null == {name for name in row if is_null(ENTRIES[name]["missing"])}


@pytest.mark.parametrize(
    ("system", "pattern"),
    [
        ("muse", r"[A-Za-z]+|([RT]_PeakAmpl|STJ)_(i|ii|iii|avr|avl|avf|v[1-6])"),
        ("ptbxl_plus", r"[A-Z]+_[A-Za-z]+_(Global|I|II|III|aVR|aVL|aVF|V[1-6])"),
        ("loinc", r"\d{4,5}-\d"),
        ("mdc", r"MDC_ECG(_[A-Z0-9]+)+"),
    ],
)
def test_equivalents_are_names_of_their_system_and_of_one_column_each(system: str, pattern: str) -> None:
    names = [entry[system] for entry in ENTRIES.values() if entry[system]]
    assert len(names) >= 10
    assert len(set(names)) == len(names)
    assert [name for name in names if not re.fullmatch(pattern, name)] == []


def test_the_check_digit_of_every_loinc_code_is_right() -> None:
    """Luhn: from the right, every second digit counts twice, by its digit sum; all together are a multiple of ten."""
    for code in filter(None, (entry["loinc"] for entry in ENTRIES.values())):
        digits = [int(digit) for digit in reversed(code.replace("-", ""))]
        assert (sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10 == 0, code


def test_codes_of_single_leads_are_those_that_are_published() -> None:
    loinc = {
        "s_amplitude_avf_uv": "10034-7",
        "s_amplitude_v1_uv": "10040-4",
        "r_amplitude_v6_uv": "9996-0",
        "t_amplitude_iii_uv": "10147-7",
        "t_amplitude_v5_uv": "10152-7",
        "t2_amplitude_avr_uv": "10132-9",
        "t2_amplitude_v6_uv": "10141-0",
        "r_amplitude_v4_uv": "",
    }
    assert {name: ENTRIES[name]["loinc"] for name in loinc} == loinc
    assert ENTRIES["r_amplitude_v5_uv"]["mdc"] == "MDC_ECG_AMPL_R_V5"
    assert ENTRIES["s_amplitude_v1_uv"]["mdc"] == "MDC_ECG_AMPL_S_V1"


def test_the_unit_of_an_equivalent_is_said() -> None:
    """PTB-XL+ has millivolts, and S below zero."""
    for name, entry in ENTRIES.items():
        unit = {"uV": "mV", "1/min": "/min"}.get(entry["unit"], entry["unit"]) if entry["ptbxl_plus"] else ""
        sign = ", negative" if unit and name.startswith("s_") else ""
        assert entry["ptbxl_plus_unit"] == unit + sign, name


def test_what_others_measure_otherwise_has_no_equivalent() -> None:
    """12SL measures the phases of a biphasic P singly, and our Q is the QS too."""
    amplitudes = [entry for name, entry in ENTRIES.items() if name.startswith(("p_amplitude_", "q_amplitude_"))]
    assert len(amplitudes) == 24
    assert not any(entry[system] for entry in amplitudes for system in SYSTEMS)


def test_where_there_is_no_r_q_is_the_depth_of_the_qs_and_s_is_0() -> None:
    assert "where there is no R, the depth of the QS, and s is 0" in ENTRIES["q_amplitude_v1_uv"]["definition"]
    row = interpreted_rows(-np.abs(record(beat(), [*range(150, SAMPLES, 430)]))[None]).to_pylist()[0]
    qs = [
        lead.lower()
        for lead in LEADS
        if row[f"q_amplitude_{lead.lower()}_uv"] > 0 == row[f"r_amplitude_{lead.lower()}_uv"]
    ]
    assert qs
    assert not any(row[f"s_amplitude_{lead}_uv"] for lead in qs)


def test_muse_names() -> None:
    assert muse_name("heart_rate_bpm") == "VentRate"
    assert [muse_name(f"r_amplitude_{lead.lower()}_uv") for lead in LEADS] == [
        f"R_PeakAmpl_{lead.lower()}" for lead in LEADS
    ]
    assert muse_name("stj_amplitude_v5_uv") == "STJ_v5"
    assert muse_name("q_amplitude_v5_uv") is None
    assert muse_name("seed") is None
    assert muse_name("no_such_column") is None


def test_whatever_is_compared_with_the_published_table_has_a_name_in_it() -> None:
    assert [name for name in MUSE_NORMALS if muse_name(name) is None] == []


def test_csv_and_json_say_the_same_of_a_release() -> None:
    rows = list(csv.DictReader(io.StringIO(dictionary_csv(), newline="")))
    assert rows == json.loads(dictionary_json())
    assert [row["name"] for row in rows] == RELEASE_SCHEMA.names
    assert set(rows[0]) > {"name", "type", "unit", "definition", "method", "missing", *SYSTEMS}
