"""Every column of the measurement table: name, type, unit and definition. The schema follows from it."""

from dataclasses import dataclass

import pyarrow as pa

from pipeline.leads import LEADS


@dataclass(frozen=True)
class Column:
    """One column of the measurement table."""

    name: str
    type: pa.DataType
    unit: str
    description: str

    def field(self) -> pa.Field:
        """The Arrow field, carrying unit and description as metadata."""
        return pa.field(self.name, self.type, metadata={"unit": self.unit, "description": self.description})


def _ms(name: str, description: str) -> Column:
    return Column(name, pa.int16(), "ms", description)


_FIDUCIALS = tuple(
    _ms(f"{wave}_{edge}_ms", f"{label} {edge} on the median beat, relative to its R peak (negative: before)")
    for wave, label, edge in (
        ("p", "P", "onset"),
        ("p", "P", "offset"),
        ("qrs", "QRS", "onset"),
        ("qrs", "QRS", "offset"),
        ("t", "T", "offset"),
    )
)

_AMPLITUDES = {
    "p": "P wave: signed extremum relative to the chord from P onset to P offset",
    "q": (
        "Q wave: magnitude of the negative deflection before R, relative to QRS onset; where there is no R, the depth "
        "of the QS, and s is 0; 0 where absent"
    ),
    "r": "R wave: height of the first positive deflection relative to QRS onset; 0 where absent",
    "s": "S wave: magnitude of the first negative deflection after R, relative to QRS onset; 0 where absent",
    "stj": "level at the J point (QRS offset) relative to QRS onset",
    "stm": "level at J + RR/16 relative to QRS onset",
    "ste": "level at J + RR/8 relative to QRS onset",
    "t": "T wave: signed extremum from J + RR/8 to T offset relative to QRS onset, the first where biphasic; 0: flat",
    "t2": "T' wave: the second, opposite extremum of a biphasic T relative to QRS onset; 0 where absent",
}

MEASURED = (
    Column("status", pa.string(), "", "measured, partial (something is null) or unmeasurable"),
    Column("status_reason", pa.string(), "", "why something is null; null where the status is measured"),
    Column("heart_rate_bpm", pa.int16(), "1/min", "60000 / mean RR, rounded"),
    Column("mean_rr_ms", pa.float64(), "ms", "mean interval between successive R peaks, unrounded"),
    Column("rr_sd_ms", pa.float32(), "ms", "standard deviation of the RR intervals"),
    Column("beats", pa.int16(), "1", "QRS complexes detected"),
    Column("beats_used", pa.int16(), "1", "complete, alike beats that entered the median beat"),
    *_FIDUCIALS,
    Column("r_peaks", pa.list_(pa.int16()), "sample", "sample index of every detected R peak, 500 a second"),
    _ms("p_duration_ms", "P offset - P onset, one global value over the leads"),
    _ms("pr_interval_ms", "QRS onset - P onset"),
    _ms("qrs_duration_ms", "QRS offset - QRS onset"),
    _ms("qt_interval_ms", "T offset - QRS onset"),
    _ms("qtc_bazett_ms", "QT / sqrt(RR / 1 s), rounded"),
    _ms("qtc_fridericia_ms", "QT / cbrt(RR / 1 s), rounded"),
    *(
        Column(f"{wave}_axis_deg", pa.int16(), "deg", f"frontal axis of the {wave.upper()} wave, -179 to 180")
        for wave in ("p", "qrs", "t")
    ),
    *(
        Column(f"{wave}_amplitude_{lead.lower()}_uv", pa.int16(), "uV", f"lead {lead}, median beat, {definition}")
        for lead in LEADS
        for wave, definition in _AMPLITUDES.items()
    ),
)
"""What `measure` reports of the waves, in 12SL's definitions."""

QUALITY = (
    Column("noise_uv", pa.float32(), "uV", "RMS above 40 Hz, the worst of the 8 stored leads"),
    Column("baseline_wander_uv", pa.float32(), "uV", "RMS below 0.5 Hz, the worst of the 8 stored leads"),
    Column(
        "beat_correlation", pa.float32(), "1", "smallest uncentred correlation (cosine) of a beat with the median beat"
    ),
    Column("beat_residual_uv", pa.float32(), "uV", "RMS of the used beats' differences from the median beat"),
    Column("rr_deviation_percent", pa.float32(), "%", "largest |RR - mean RR| as a share of the mean RR"),
    Column("p_prominence_uv", pa.float32(), "uV", "height of the P hump above its higher foot, over 8 leads"),
    Column("p_correlation", pa.float32(), "1", "median correlation of the single beats' P with the median P"),
    _ms("t_end_spread_ms", "spread of the T end estimators; above 30 ms the QT interval is of low confidence"),
    Column("quality_flags", pa.list_(pa.string()), "", "what a careful reader would doubt; empty where nothing"),
)
"""How far the measurement can be trusted."""

INTERPRETED = (
    Column(
        "verdict",
        pa.string(),
        "",
        "Normal, Otherwise normal, Borderline or Abnormal; null: not interpretable",
    ),
    Column("normal_strict", pa.bool_(), "", "Normal, and within the public limits that 12SL's normals exceed"),
    Column("normal_permissive", pa.bool_(), "", "Normal but for limits that depend on sex or age, which are unknown"),
    Column("statements", pa.list_(pa.int16()), "", "12SL library codes of every statement, ascending"),
    Column("rule_set", pa.string(), "", "version of the rules that gave verdict and statements"),
)

RECORD_ID = Column("record_id", pa.int64(), "", "number of the record in its dataset, from 0")
SIGNAL_SHA256 = Column(
    "signal_sha256", pa.string(), "", "SHA-256 of the record's int16 little-endian samples, lead by lead"
)
SOURCE_RECORD_ID = Column(
    "source_record_id", pa.int64(), "", "number under which the record was generated: its record_id among all records"
)
SEED = Column("seed", pa.int64(), "", "of the noise: with source_record_id it fixes the record's signal")
STRAT_FOLD = Column(
    "strat_fold",
    pa.int8(),
    "",
    "1 to 10, alike in verdicts and heart rates; the same for a record in all/ and normal/. As in PTB-XL: 1 to 8 to "
    "train, 9 to validate, 10 to test",
)
SIGNALS_FILE = Column("signals_file", pa.string(), "", "archive beside the table that holds the record's signal")
SIGNALS_ROW = Column("signals_row", pa.int32(), "", "the record's index in that archive's array `signal`")
RECORD_NAME = Column("record_name", pa.string(), "", "name of the WFDB record")


def schema(*columns: Column) -> pa.Schema:
    """The Arrow schema of some columns, with unit and description on every field."""
    return pa.schema([column.field() for column in columns])


MEASUREMENT_SCHEMA = schema(*MEASURED, *QUALITY)
TABLE_COLUMNS = (RECORD_ID, *MEASURED, *QUALITY, *INTERPRETED, SIGNAL_SHA256)
TABLE_SCHEMA = schema(*TABLE_COLUMNS)
SUBSET_SCHEMA = schema(RECORD_ID, SOURCE_RECORD_ID, *TABLE_COLUMNS[1:])
RELEASE_COLUMNS = (RECORD_ID, SOURCE_RECORD_ID, SEED, STRAT_FOLD, SIGNALS_FILE, SIGNALS_ROW, *TABLE_COLUMNS[1:])
RELEASE_SCHEMA = schema(*RELEASE_COLUMNS)
