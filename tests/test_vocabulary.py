"""Every code and word of the tables is explained, and the limits said are those at which rules and flags turn over."""

import csv
import io
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline.columns import MEASUREMENT_SCHEMA
from pipeline.dataset import Dataset
from pipeline.interpret import STATEMENT_TEXTS, interpret
from pipeline.interpret.criteria import Measurements
from pipeline.interpret.rules import RULES, STRICT_LIMITS
from pipeline.measurement.quality import measurement_flags
from pipeline.measurement.rows import measure_rows
from pipeline.release.vocabulary import flags_csv, statements_csv

Row = dict[str, Any]


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


STATEMENTS = {row["code"] or row["text"]: row for row in rows_of(statements_csv())}
FLAGS = {row["flag"]: row for row in rows_of(flags_csv())}
_NUMBER = r"(-?[\d.]+)"
LIMIT = re.compile(rf"(\w+) (above|below|from) {_NUMBER}(?: (?:or above|to) {_NUMBER})?(?: (?:ms|deg|uV|%|1/min))?")
FLAG, NULL = re.compile(r"flag (\w+)"), re.compile(r"(\w+) is null")


def test_every_statement_is_explained() -> None:
    assert {int(name) for name in STATEMENTS if name.isdecimal()} == STATEMENT_TEXTS.keys()
    assert {name for name in STATEMENTS if not name.isdecimal()} == {limit.text for limit in STRICT_LIMITS}
    assert all(STATEMENTS[str(code)]["text"] == text for code, text in STATEMENT_TEXTS.items())
    assert all(row["condition"] and row["source"] for row in STATEMENTS.values())


def test_every_flag_and_reason_is_explained() -> None:
    measured = measure_rows(np.zeros((1, 8, 5000), np.int16))
    assert {flag for flag, row in FLAGS.items() if row["column"] == "quality_flags"} == measured.flags.keys()
    assert {flag for flag, row in FLAGS.items() if row["column"] == "status_reason"} == measured.reasons.keys()
    assert all(all(row.values()) for row in FLAGS.values())


def test_whatever_a_real_dataset_has_is_explained(dataset: Dataset) -> None:
    table = dataset.measurements()
    codes, flags = (set(pc.list_flatten(table[name]).to_pylist()) for name in ("statements", "quality_flags"))
    reasons = {reason for text in table["status_reason"].drop_null().to_pylist() for reason in text.split("; ")}
    assert codes
    assert flags
    assert {str(code) for code in codes} <= STATEMENTS.keys()
    assert flags | reasons <= FLAGS.keys()


def test_what_a_statement_counts_in_gives_verdict_and_bands(dataset: Dataset) -> None:
    """But for the limits that leave no statement."""
    for row in dataset.measurements().to_pylist():
        counts_in = [STATEMENTS[str(code)]["counts_in"].split() for code in row["statements"]]
        assert (row["verdict"] == "Normal") == (not any("verdict" in each for each in counts_in))
        assert row["normal_permissive"] == (not any("permissive" in each for each in counts_in))
        assert not (row["normal_strict"] and any("strict" in each for each in counts_in))


def parts(condition: str) -> list[tuple[bool, str]]:
    """What must hold, or must not, all of it."""
    said = list[tuple[bool, str]]()
    for part in condition.replace(" is not null", " is null, not").split("; "):
        if part.startswith("neither "):
            said += [(False, each) for each in part.removeprefix("neither ").split(" nor ")]
        elif part.startswith(("not ", "no ")):
            said.append((False, part.partition(" ")[2]))
        else:
            said.append((not part.endswith(", not"), part.removesuffix(", not")))
    return said


def is_formal(condition: str) -> bool:
    return all(any(form.fullmatch(part) for form in (LIMIT, FLAG, NULL)) for _, part in parts(condition))


def holds(part: str, row: Row) -> bool:
    if flag := FLAG.fullmatch(part):
        return flag[1] in row["quality_flags"]
    if null := NULL.fullmatch(part):
        return row[null[1]] is None
    limit = LIMIT.fullmatch(part)
    assert limit is not None, part
    value, low, high = row[limit[1]], float(limit[3]), float(limit[4] or "nan")
    if value is None:
        return False
    if limit[2] == "from":
        return bool(low <= value <= high)
    return bool(value > low if limit[2] == "above" else value < low or value > high)


def about_its_limits(row: Row, condition: str, n: int) -> list[Row]:
    """A record again and again, with values at random just at, below and above the limits of a condition, or null."""
    random = np.random.default_rng(1)
    tried: dict[str, list[Any]] = {}
    for _, part in parts(condition):
        if flag := FLAG.fullmatch(part):
            tried["quality_flags"] = [[], [flag[1]], ["noisy"]]
        elif null := NULL.fullmatch(part):
            tried.setdefault(null[1], []).extend([None, 100])
        elif limit := LIMIT.fullmatch(part):
            numbers = [float(each) for each in limit.group(3, 4) if each]
            step = 1 if all(number.is_integer() for number in numbers) else 0.01
            tried.setdefault(limit[1], []).extend(number + by * step for number in numbers for by in (-1, 0, 1))
            if limit[1] != "heart_rate_bpm":  # null, it makes a record unmeasurable
                tried[limit[1]].append(None)
    return [
        row | {name: values[random.integers(len(values))] for name, values in sorted(tried.items())} for _ in range(n)
    ]


FORMAL = [name for name, row in STATEMENTS.items() if is_formal(row["condition"])]


@pytest.mark.parametrize("name", FORMAL)
def test_the_condition_of_a_statement_is_that_of_its_rule(dataset: Dataset, name: str) -> None:
    condition = STATEMENTS[name]["condition"]
    row = dataset.measurements(MEASUREMENT_SCHEMA.names).slice(0, 1).to_pylist()[0]
    rows = about_its_limits(row | {"quality_flags": []}, condition, 200)
    table = pa.Table.from_pylist(rows, MEASUREMENT_SCHEMA)
    expected = [all(holds(part, each) == wanted for wanted, part in parts(condition)) for each in table.to_pylist()]
    assert {*expected} == {True, False}
    if name.isdecimal():
        found = [int(name) in codes for codes in interpret(table)["statements"].to_pylist()]
    else:
        found = next(limit for limit in STRICT_LIMITS if limit.text == name).applies(Measurements(table)).tolist()
    assert found == expected


LIMITED = [flag for flag, row in FLAGS.items() if row["column"] == "quality_flags" and LIMIT.fullmatch(row["limit"])]


@pytest.mark.parametrize("flag", LIMITED)
def test_the_limit_of_a_flag_is_that_of_the_measurement(flag: str) -> None:
    limit = FLAGS[flag]["limit"]
    numeric = [field.name for field in MEASUREMENT_SCHEMA if not pa.types.is_nested(field.type)]
    rows = about_its_limits(dict.fromkeys(numeric, 1), limit, 50)
    values = {
        name: (np.array([row[name] or 0 for row in rows]), np.array([row[name] is not None for row in rows]))
        for name in numeric
    }
    assert measurement_flags(values)[flag].tolist() == [holds(limit, row) for row in rows]


def test_most_conditions_are_checked_so() -> None:
    assert len(FORMAL) > len(RULES) // 2
    assert len(LIMITED) >= 12
