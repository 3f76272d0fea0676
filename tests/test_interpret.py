"""Every rule at its threshold and one step before, and how statements become a verdict."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.columns import INTERPRETED, MEASURED, MEASUREMENT_SCHEMA, QUALITY, schema
from pipeline.interpret import NOT_INTERPRETED, STATEMENT_TEXTS, VERDICT_STATEMENTS, interpret
from pipeline.interpret.rules import RULE_SET, RULES, STRICT_LIMITS
from pipeline.leads import LEADS

Row = dict[str, Any]


def amplitudes(wave: str, value: float, *leads: str) -> Row:
    return {f"{wave}_amplitude_{lead.lower()}_uv": value for lead in leads}


NORMAL_ROW: Row = (
    {
        "status": "measured",
        "heart_rate_bpm": 70,
        "p_duration_ms": 110,
        "pr_interval_ms": 158,
        "qrs_duration_ms": 92,
        "qt_interval_ms": 394,
        "qtc_bazett_ms": 425,
        "qtc_fridericia_ms": 414,
        "p_axis_deg": 50,
        "qrs_axis_deg": 40,
        "t_axis_deg": 38,
        "rr_deviation_percent": 7,
        "beat_correlation": 0.98,
    }
    | amplitudes("p", 100, *LEADS)
    | amplitudes("q", 50, *LEADS)
    | amplitudes("r", 600, *LEADS)
    | amplitudes("s", 400, *LEADS)
    | {name: 10 for wave in ("stj", "stm", "ste") for name in amplitudes(wave, 10, *LEADS)}
    | amplitudes("t", 250, *LEADS)
    | amplitudes("t2", 0, *LEADS)
)


def table(*rows: Row) -> pa.Table:
    whole = [dict.fromkeys(MEASUREMENT_SCHEMA.names) | row for row in rows]
    return pa.Table.from_pylist(whole, schema=schema(*MEASURED, *QUALITY))


def verdict_and_codes(**changes: Any) -> tuple[str | None, set[int]]:
    row = interpret(table(NORMAL_ROW | changes)).to_pylist()[0]
    return row["verdict"], set(row["statements"]) - set(VERDICT_STATEMENTS)


OW, BO, AB = "Otherwise normal", "Borderline", "Abnormal"

# code, verdict where it applies, changes with which it just applies, changes one step before
THRESHOLDS: list[tuple[int, str, Row, Row]] = [
    (21, OW, {"heart_rate_bpm": 59}, {"heart_rate_bpm": 60}),
    (22, "Normal", {"heart_rate_bpm": 60}, {"heart_rate_bpm": 59}),
    (22, "Normal", {"heart_rate_bpm": 100}, {"heart_rate_bpm": 101}),
    (23, OW, {"heart_rate_bpm": 101}, {"heart_rate_bpm": 100}),
    (61, BO, {"heart_rate_bpm": 59, "p_axis_deg": -30}, {"heart_rate_bpm": 59, "p_axis_deg": -29}),
    (62, BO, {"p_axis_deg": -30}, {"p_axis_deg": -29}),
    (62, BO, {"p_axis_deg": 120}, {"p_axis_deg": 119}),
    (63, BO, {"heart_rate_bpm": 101, "p_axis_deg": 120}, {"heart_rate_bpm": 101, "p_axis_deg": 119}),
    (251, "Normal", {"rr_deviation_percent": 20.1}, {"rr_deviation_percent": 20.0}),
    (
        231,
        OW,
        {"rr_deviation_percent": 20.1, "beat_correlation": 0.84},
        {"rr_deviation_percent": 20.1, "beat_correlation": 0.86},
    ),
    (299, AB, {"p_duration_ms": None}, {"p_duration_ms": 60}),
    (101, OW, {"pr_interval_ms": 210}, {"pr_interval_ms": 208}),
    (102, OW, {"pr_interval_ms": 110}, {"pr_interval_ms": 112}),
    (350, BO, amplitudes("p", 250, "V1"), amplitudes("p", 249, "II", "III", "V1")),
    (487, BO, {"qrs_duration_ms": 118}, {"qrs_duration_ms": 116}),
    (487, BO, {"qrs_duration_ms": 118}, {"qrs_duration_ms": 120}),
    (482, AB, {"qrs_duration_ms": 120}, {"qrs_duration_ms": 118}),
    (372, BO, {"qrs_axis_deg": -30}, {"qrs_axis_deg": -29}),
    (371, AB, {"qrs_axis_deg": -45}, {"qrs_axis_deg": -44}),
    (380, BO, {"qrs_axis_deg": 90}, {"qrs_axis_deg": 89}),
    (383, AB, {"qrs_axis_deg": 120}, {"qrs_axis_deg": 119}),
    (384, AB, {"qrs_axis_deg": -91}, {"qrs_axis_deg": -90}),
    (
        410,
        BO,
        amplitudes("r", 99, *LEADS[:6]) | amplitudes("r", 599, *LEADS[6:]),
        amplitudes("r", 100, *LEADS[:6]) | amplitudes("r", 599, *LEADS[6:]),
    ),
    (530, BO, amplitudes("r", 1101, "aVL"), amplitudes("r", 1100, "aVL")),
    (531, BO, amplitudes("r", 3100, "V6"), amplitudes("r", 3099, "V5", "V6")),
    (532, BO, amplitudes("s", 1400, "V3"), amplitudes("s", 1399, "V3")),
    (533, BO, amplitudes("s", 2053, "V3"), amplitudes("s", 2052, "V3")),
    (542, BO, amplitudes("s", 1400, "V3"), amplitudes("s", 1399, "V3")),
    (548, BO, amplitudes("s", 2053, "V3"), amplitudes("s", 2052, "V3")),
    (
        700,
        AB,
        amplitudes("r", 0, "V1", "V2", "V3"),
        amplitudes("r", 0, "V1", "V2") | amplitudes("r", 5, "V3"),
    ),
    (904, BO, amplitudes("stj", 100, "V4", "V5"), amplitudes("stj", 99, "V4") | amplitudes("stj", 300, "V6")),
    (904, BO, amplitudes("stj", 200, "V2", "V3"), amplitudes("stj", 199, "V2", "V3")),
    (
        1023,
        AB,
        amplitudes("stj", -100, "II", "aVF") | amplitudes("stm", -100, "II", "aVF"),
        amplitudes("stj", -100, "II", "aVF") | amplitudes("stm", -99, "II", "aVF"),
    ),
    (
        1023,
        AB,
        amplitudes("stj", -50, "V2", "V3") | amplitudes("stm", -60, "V2", "V3"),
        amplitudes("stj", -49, "V2", "V3") | amplitudes("stm", -60, "V2", "V3"),
    ),
    (1140, AB, amplitudes("t", -100, "V5", "V6"), amplitudes("t", -100, "V5", "V3")),
    (1140, AB, amplitudes("t2", -100, "I", "V6"), amplitudes("t2", -99, "I", "V6")),
    (1140, AB, amplitudes("t", 59, "I", "II"), amplitudes("t", 60, "I", "II")),
    (
        1140,
        AB,
        amplitudes("t", 0, "I", "II") | amplitudes("r", 301, "I", "II"),
        amplitudes("t", 0, "I", "II") | amplitudes("r", 300, "I", "II"),
    ),
    (1142, BO, {"t_axis_deg": -42}, {"t_axis_deg": -41}),
    (1142, BO, {"t_axis_deg": 93}, {"t_axis_deg": 92}),
    (1143, AB, {"qtc_fridericia_ms": 479}, {"qtc_fridericia_ms": 478}),
    (1140, AB, {"qt_interval_ms": None}, {}),
    (1673, BO, {"qrs_duration_ms": None}, {}),
    (1673, BO, {"quality_flags": ["noisy", "flat_lead"]}, {"quality_flags": ["noisy", "uncertain_p"]}),
    (1672, BO, {"quality_flags": ["suspect_lead_reversal"]}, {"quality_flags": ["suspect_chest_leads"]}),
    (
        290,
        AB,
        {"quality_flags": ["pacing_spikes"], "qrs_duration_ms": 120},
        {"quality_flags": ["pacing_spikes"], "qrs_duration_ms": 118},
    ),
    (
        292,
        AB,
        {"quality_flags": ["pacing_spikes"], "qrs_duration_ms": 118},
        {"quality_flags": ["pacing_spikes"], "qrs_duration_ms": 120},
    ),
]


@pytest.mark.parametrize(("code", "verdict", "applies", "before"), THRESHOLDS)
def test_rule_applies_at_its_threshold_and_not_one_step_before(
    code: int, verdict: str, applies: Row, before: Row
) -> None:
    given, codes = verdict_and_codes(**applies)
    assert code in codes
    assert given == verdict
    assert code not in verdict_and_codes(**before)[1]


def test_every_rule_has_a_threshold_test_and_a_source() -> None:
    assert {rule.code for rule in RULES} == {code for code, *_ in THRESHOLDS}
    assert len({rule.code for rule in RULES}) == len(RULES)
    assert all(rule.text and rule.source for rule in RULES)


@pytest.mark.parametrize(
    "changes",
    [
        {
            "heart_rate_bpm": 60,
            "pr_interval_ms": 112,
            "p_axis_deg": -29,
            "qrs_axis_deg": -29,
            "t_axis_deg": -41,
        },
        {
            "heart_rate_bpm": 100,
            "pr_interval_ms": 208,
            "p_axis_deg": 119,
            "qrs_axis_deg": 89,
            "t_axis_deg": 92,
        },
        {"qrs_duration_ms": 116, "qtc_fridericia_ms": 478, "qt_interval_ms": 476},
        amplitudes("r", 1098, "aVL") | amplitudes("r", 2592, "V5") | amplitudes("r", 2480, "V6"),
        amplitudes("r", 0, "V1") | amplitudes("r", 19, "V2") | amplitudes("r", 14, "V3"),
        {"rr_deviation_percent": 50},
    ],
)
def test_what_12sl_called_normal_is_normal(changes: Row) -> None:
    assert verdict_and_codes(**changes)[0] == "Normal"


# text, changes with which the strict limit just excludes the record, changes one step before
STRICT: list[tuple[str, Row, Row]] = [
    ("PR outside", {"pr_interval_ms": 118}, {"pr_interval_ms": 120}),
    ("PR outside", {"pr_interval_ms": 202}, {"pr_interval_ms": 200}),
    ("QRS above", {"qrs_duration_ms": 112}, {"qrs_duration_ms": 110}),
    ("QTc by Bazett", {"qtc_bazett_ms": 450}, {"qtc_bazett_ms": 449}),
    ("P axis", {"p_axis_deg": 76}, {"p_axis_deg": 75}),
    ("P axis", {"p_axis_deg": -1}, {"p_axis_deg": 0}),
    ("R in V3", amplitudes("r", 299, "V3"), amplitudes("r", 300, "V3")),
    ("ST depression", amplitudes("stj", -50, "V5", "V6"), amplitudes("stj", -49, "V5", "V6")),
]


@pytest.mark.parametrize(("text", "beyond", "within"), STRICT)
def test_strict_band_asks_for_the_public_limits_as_well(text: str, beyond: Row, within: Row) -> None:
    rows = interpret(table(NORMAL_ROW | beyond, NORMAL_ROW | within)).to_pylist()
    assert [row["verdict"] for row in rows] == ["Normal", "Normal"], text
    assert [row["normal_strict"] for row in rows] == [False, True]
    assert {limit.text for limit in STRICT_LIMITS} == {
        limit.text for limit in STRICT_LIMITS for known, *_ in STRICT if limit.text.startswith(known)
    }


def test_permissive_band_passes_over_limits_of_one_sex_or_age_and_nothing_else() -> None:
    for code, _, applies, _ in THRESHOLDS:
        row = interpret(table(NORMAL_ROW | applies)).to_pylist()[0]
        costs = [rule for rule in RULES if rule.code in row["statements"] and rule.severity > 0]
        assert row["normal_permissive"] == all(rule.by_sex_or_age for rule in costs), code
        assert row["normal_permissive"] >= (row["verdict"] == "Normal") >= row["normal_strict"]
    for code, severity in ((rule.code, rule.severity) for rule in RULES if rule.by_sex_or_age):
        assert severity < 3, f"{code}: what depends on sex or age costs no more than Borderline"


def test_null_values_make_no_statement() -> None:
    verdict, codes = verdict_and_codes(pr_interval_ms=None, p_axis_deg=None, t_axis_deg=None, qrs_axis_deg=None)
    assert (verdict, codes) == ("Normal", {22})
    nothing = interpret(table({"status": "partial"})).to_pylist()[0]
    assert nothing["statements"] == [299, 1673, 1699]


def test_unmeasurable_has_one_statement_and_no_verdict() -> None:
    row = interpret(table({"status": "unmeasurable"})).to_pylist()[0]
    bands = {"normal_strict": None, "normal_permissive": None}
    assert row == {"verdict": None, **bands, "statements": [NOT_INTERPRETED], "rule_set": RULE_SET}


def test_worst_severity_wins_and_every_reason_is_kept() -> None:
    worst = {"heart_rate_bpm": 50, "qrs_axis_deg": 95, "pr_interval_ms": 230, "qrs_duration_ms": 130}
    row = interpret(table(NORMAL_ROW | worst)).to_pylist()[0]
    assert row["verdict"] == "Abnormal"
    assert row["statements"] == [21, 101, 380, 482, 1699]


def test_a_paced_rhythm_is_not_called_sinus() -> None:
    assert verdict_and_codes(quality_flags=["pacing_spikes"]) == ("Abnormal", {292})


def test_records_do_not_touch_each_other() -> None:
    rows = [NORMAL_ROW | applies for _, _, applies, _ in THRESHOLDS] + [
        {"status": "unmeasurable"},
        NORMAL_ROW,
    ]
    together = interpret(table(*rows)).to_pylist()
    assert together == [interpret(table(row)).to_pylist()[0] for row in rows]
    for row in together:
        assert row["statements"] == sorted(set(row["statements"]))
        assert set(row["statements"]) <= set(STATEMENT_TEXTS)
        verdicts = [VERDICT_STATEMENTS[code] for code in row["statements"] if code in VERDICT_STATEMENTS]
        assert verdicts == ([f"{row['verdict']} ECG"] if row["verdict"] else [])


@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_schema(chunks: int) -> None:
    measured = pa.concat_tables([table(), *[table(NORMAL_ROW)] * chunks])
    interpreted = interpret(measured)
    assert interpreted.schema.equals(schema(*INTERPRETED), check_metadata=True)
    assert interpreted.column("verdict").to_pylist() == ["Normal"] * chunks
    assert interpreted.column("statements").to_pylist() == [[22, 1684]] * chunks
    interpreted.validate(full=True)


def test_any_int16_table_is_interpreted() -> None:
    rng = np.random.default_rng(0)
    columns = {
        field.name: pa.array(
            rng.integers(-32768, 32768, 50).astype(float), mask=rng.random(50) < 0.1, type=pa.float64()
        ).cast(field.type)
        if not pa.types.is_nested(field.type) and not pa.types.is_string(field.type)
        else pa.nulls(50, field.type)
        for field in MEASUREMENT_SCHEMA
    }
    columns["status"] = pa.array(["measured"] * 50)
    interpreted = interpret(pa.table(columns))
    assert interpreted["verdict"].null_count == 0
