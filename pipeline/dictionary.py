"""The data dictionary: of every column how it was measured, what null means in it, and what others call the quantity.

Name, type, unit and definition are those of `pipeline.columns`. An equivalent is a name of the same quantity, not of
the same values: ours are this program's own. What no public source shows is left empty, and so is what resembles ours
only: wave boundaries, which others count from the start of the median beat; P, of which 12SL measures the first phase
and P' by itself, and we the larger phase; Q, which here is also the QS; and P and T as a maximum or minimum.

muse        columns of the published dataset's ground truth (OSF 6hved), as in the printed outputs of
            notebooks/deepfake_ecg_analysis.ipynb in vlbthambawita/ECG-k-Fold and in programs that read them
ptbxl_plus  columns of features/12sl_features.csv in PTB-XL+ 1.0.1 (doi.org/10.13026/g6h6-7g88) and their unit and sign,
            as programs that read them have them
loinc       HL7's value sets US Core Clinical Test Codes and, lead by lead, LOINC Codes of FHIR 4.0.1; heart rate from
            DICOM PS3.16 CID 12220; RR and the QTc of both formulas, and R in V5 and V6, from published FHIR profiles
mdc         reference identifiers of ISO/IEEE 11073-10102 in DICOM PS3.16 CID 3229, 3688 and 3689; heart rate from the
            HL7 annotated ECG. Their two names for either QTc differ, so that it has none here
"""

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import pyarrow as pa

from pipeline.columns import RECORD_NAME, RELEASE_COLUMNS, Column
from pipeline.leads import LEADS
from pipeline.measurement import constants as c


@dataclass(frozen=True)
class Equivalents:
    """What others call a column's quantity; an empty text where nothing is known."""

    muse: str = ""
    ptbxl_plus: str = ""
    ptbxl_plus_unit: str = ""
    """UCUM, and the sign where it is not ours."""
    loinc: str = ""
    mdc: str = ""


NEVER = "never null"
_RATE = f"null with fewer than {c.FEWEST_QRS} QRS complexes"
_QRS = f"{_RATE} or fewer than {c.FEWEST_USED} complete, alike beats with a QRS"
_P, _T = f"{_QRS}, and where there is no P wave", f"{_QRS}, and where there is no T wave"
_NO_AREA = f"; also where the wave's net area in I and aVF is below {c.AXIS_LEAST_UV_MS:.0f} µV·ms"
_TOO_LARGE = "; also beyond ±32,767 µV"
_UNINTERPRETED = f"{_RATE}: the status is unmeasurable"

_COPY = f"of a copy of the record without pacing spikes and baseline (zero-phase high-pass of {c.HIGHPASS_HZ} Hz)"
_MEDIAN = f"on the median beat {_COPY}"
_BOUNDARY = f"{_MEDIAN}, to 2 ms: "
_P_EDGE = (
    f"{_BOUNDARY}the middle one of three views over all leads, which are the feet of P in their vector, the feet of P "
    "in single leads, and where the leads' slopes begin and end"
)
_QRS_EDGE = f"{_BOUNDARY}where the outermost of twelve leads but {c.QRS_LEADS_PASSED_OVER} turns from quiet to steep"
_T_EDGE = (
    f"{_BOUNDARY}the middle one of three estimates, which are the largest trapezium, where the leads' velocity has "
    f"fallen to {c.T_VELOCITY_SHARE:.0%} of its largest, and the latest of twelve leads' tangents but "
    f"{c.T_LEADS_PASSED_OVER}"
)
_DIFFERENCE = "difference of the two boundaries, so to 2 ms"
_QTC = "from qt_interval_ms and mean_rr_ms"
_AXIS = f"{_MEDIAN}, to the degree: atan2(2/√3 aVF, I) of the net areas over the whole wave"
_COMPARED = (
    f"single beats and the median beat {_COPY}, over 8 leads, from "
    f"{(c.BEAT_BEFORE - c.COMPARED.start) * c.MS_PER_SAMPLE:.0f} ms before to "
    f"{(c.COMPARED.stop - c.BEAT_BEFORE) * c.MS_PER_SAMPLE:.0f} ms after the point on which the beats are aligned"
)
_BEATS = (
    f"maxima of the slopes of 8 leads from {c.DETECTION_BAND_HZ[0]:.0f} to {c.DETECTION_BAND_HZ[-1]:.0f} Hz that reach "
    f"at least {c.DETECTION_SHARE:.0%} of their typical height"
)
_BEATS_USED = (
    f"those whole in the recording whose QRS is like the others (cosine of their spatial velocities "
    f"{c.ALIKE_CORRELATION} and more) and whose RR on either side is within {c.RR_TOLERANCE:.0%} of the median, "
    f"which is waived where it leaves fewer than {c.FEWEST_USED}"
)
_FOLDS = (
    "in the order of verdict, heart rate and hash, every ten neighbours are given the ten folds in the order of their "
    "hashes; exact duplicates share a fold"
)
_STATUS = "partial where rhythm, a boundary, an interval, an axis or an amplitude is null; unmeasurable where rhythm is"
_PLACE = "the archives are filled in the order of the records"
_DEFLECTION = (
    f"{_MEDIAN}: deflections from QRS onset to offset of at least {c.SIGNIFICANT_WAVE_UV_MS:.0f} µV·ms, named in their "
    "order"
)
_SAMPLE = f"{_MEDIAN}: one sample less that at QRS onset"
_PHASES = f"{_MEDIAN}; T is biphasic from {c.T_PHASE_UV:.0f} µV to either side on, flat below {c.T_FLAT_UV:.0f} µV"

_WAVES = {
    "p": (f"{_MEDIAN}, less the straight line from P onset to offset", _P),
    "q": (_DEFLECTION, _QRS),
    "r": (_DEFLECTION, _QRS),
    "s": (_DEFLECTION, _QRS),
    "stj": (_SAMPLE, _QRS),
    "stm": (f"{_SAMPLE}; RR is mean_rr_ms", _QRS),
    "ste": (f"{_SAMPLE}; RR is mean_rr_ms", _QRS),
    "t": (_PHASES, _T),
    "t2": (_PHASES, _T),
}
"""By wave: how its amplitude in a lead is measured, and what null means."""

_AMPLITUDES = {f"{wave}_amplitude_{lead.lower()}_uv": (wave, lead) for wave in _WAVES for lead in LEADS}

_METHODS = {
    "record_id": ("counted in the order of the table", NEVER),
    "source_record_id": ("kept where records are selected", NEVER),
    "seed": ("the recipe's; with source_record_id the key of Philox4x64-10, which draws the noise", NEVER),
    "strat_fold": (_FOLDS, NEVER),
    "signals_file": (_PLACE, NEVER),
    "signals_row": (f"{_PLACE}; counted from 0 in each", NEVER),
    "record_name": ("path of its header in the folder given, without ending; only in tables of WFDB records", NEVER),
    "signal_sha256": ("of the (8, 5000) samples in µV as they are stored", NEVER),
    "status": (_STATUS, NEVER),
    "status_reason": (
        "every reason that applies, joined by semicolons; flags.csv explains each",
        "null where the status is measured",
    ),
    "heart_rate_bpm": ("from mean_rr_ms; to a whole number", _RATE),
    "mean_rr_ms": ("from the first R peak to the last, over the number of intervals; premature beats count", _RATE),
    "rr_sd_ms": ("root of the mean square of RR - mean_rr_ms", _RATE),
    "beats": (_BEATS, NEVER),
    "beats_used": (_BEATS_USED, NEVER),
    **{f"p_{edge}_ms": (_P_EDGE, _P) for edge in ("onset", "offset")},
    **{f"qrs_{edge}_ms": (_QRS_EDGE, _QRS) for edge in ("onset", "offset")},
    "t_offset_ms": (_T_EDGE, _T),
    "r_peaks": (
        "the beats, aligned with one another, at the median beat's longest vector between QRS onset and offset",
        f"{NEVER}; empty where there is none",
    ),
    "p_duration_ms": (_DIFFERENCE, _P),
    "pr_interval_ms": (_DIFFERENCE, _P),
    "qrs_duration_ms": (_DIFFERENCE, _QRS),
    "qt_interval_ms": (_DIFFERENCE, _T),
    "qtc_bazett_ms": (_QTC, _T),
    "qtc_fridericia_ms": (_QTC, _T),
    **{f"{wave}_axis_deg": (_AXIS, null + _NO_AREA) for wave, null in (("p", _P), ("qrs", _QRS), ("t", _T))},
    **{name: (_WAVES[wave][0], _WAVES[wave][1] + _TOO_LARGE) for name, (wave, _) in _AMPLITUDES.items()},
    "noise_uv": ("from the spectrum of the 10 s, without pacing spikes; holds what a steep QRS has there", NEVER),
    "baseline_wander_uv": ("from the spectrum of the 10 s, without pacing spikes and mean", NEVER),
    "beat_correlation": (f"{_COMPARED}; of every complete beat, used or not", _QRS),
    "beat_residual_uv": (_COMPARED, _QRS),
    "rr_deviation_percent": ("100 max |RR - mean RR| / mean RR", _RATE),
    "p_prominence_uv": (f"{_MEDIAN}: its vector's length; leads of high gain weigh less", _QRS),
    "p_correlation": ("over 8 leads, from P onset to offset, each lead less its mean; of the used beats", _QRS),
    "t_end_spread_ms": ("latest less earliest of the three estimates of t_offset_ms", _T),
    "quality_flags": (
        "faults of the recording, the electrodes' placement and the measurement, each with a fixed limit: flags.csv",
        f"{NEVER}; empty where nothing is doubtful",
    ),
    "verdict": (
        "the worst that any of the statements costs, by public criteria in 12SL's structure: statements.csv",
        _UNINTERPRETED,
    ),
    "normal_strict": ("no condition holds that counts in `strict`, by statements.csv", _UNINTERPRETED),
    "normal_permissive": ("no condition holds that counts in `permissive`, by statements.csv", _UNINTERPRETED),
    "statements": (
        (
            "of every rule that applies and of the verdict; statements.csv has the text and condition of each (a null "
            "meets no limit), the published ground truth a column sl_CODE of 12SL's own for each"
        ),
        NEVER,
    ),
    "rule_set": ("of the program that interpreted the record", NEVER),
}
"""By column: how it is measured, and what null means."""

_MUSE_WAVES = {"r": "R_PeakAmpl", "t": "T_PeakAmpl", "stj": "STJ"}
_PTBXL_WAVES = {"r": "R_Amp", "s": "S_Amp", "t": "T_Amp", "stj": "ST_Amp"}
_MDC_WAVES = {"r": "R", "s": "S", "stj": "J"}
_LOINC_LEADS = ("aVF", "aVL", "aVR", "I", "II", "III", "V1", "V2", "V3", "V4", "V5", "V6")
_LOINC_FIRST = {"s": 10034, "t2": 10130, "t": 10142}
"""LOINC has a number for every lead, in this order, from the first on."""
_LOINC_R = {"V5": "9995-2", "V6": "9996-0"}  # no source that was seen has the other leads'


def _of_lead(wave: str, lead: str) -> Equivalents:
    """What others call a wave's amplitude in a lead."""
    muse, ptbxl, mdc = _MUSE_WAVES.get(wave), _PTBXL_WAVES.get(wave), _MDC_WAVES.get(wave)
    loinc = _LOINC_R.get(lead, "") if wave == "r" else ""
    if wave in _LOINC_FIRST:
        loinc = _with_check_digit(_LOINC_FIRST[wave] + _LOINC_LEADS.index(lead))
    return Equivalents(
        muse=f"{muse}_{lead.lower()}" if muse else "",
        ptbxl_plus=f"{ptbxl}_{lead}" if ptbxl else "",
        ptbxl_plus_unit=("mV, negative" if wave == "s" else "mV") if ptbxl else "",
        loinc=loinc,
        mdc=f"MDC_ECG_AMPL_{mdc}_{lead.upper()}" if mdc else "",
    )


def _with_check_digit(number: int) -> str:
    """A LOINC code: its number, and the check digit of Luhn's formula."""
    doubled = "".join(str(int(digit) * (1 + place % 2)) for place, digit in enumerate(reversed(str(number)), start=1))
    return f"{number}-{-sum(map(int, doubled)) % 10}"


_EQUIVALENTS = {
    "source_record_id": Equivalents(muse="patid"),  # 0, 1, 3, 4, 5 and so on in the normals' table
    "heart_rate_bpm": Equivalents("VentRate", "HR_Ventr_Global", "/min", "8867-4", "MDC_ECG_HEART_RATE"),
    "mean_rr_ms": Equivalents("avgrrinterval", "RR_Mean_Global", "ms", "8637-1", "MDC_ECG_TIME_PD_RR_GL"),
    "beats": Equivalents(muse="NumQRSComplexes"),
    "p_duration_ms": Equivalents("", "P_Dur_Global", "ms", "", "MDC_ECG_TIME_PD_P_GL"),
    "pr_interval_ms": Equivalents("pr", "PR_Int_Global", "ms", "8625-6", "MDC_ECG_TIME_PD_PR_GL"),
    "qrs_duration_ms": Equivalents("qrs", "QRS_Dur_Global", "ms", "8633-0", "MDC_ECG_TIME_PD_QRS_GL"),
    "qt_interval_ms": Equivalents("qt", "QT_Int_Global", "ms", "8634-8", "MDC_ECG_TIME_PD_QT_GL"),
    "qtc_bazett_ms": Equivalents("", "QT_IntBazett_Global", "ms", "76635-2"),
    "qtc_fridericia_ms": Equivalents("qtcf", "QT_IntFridericia_Global", "ms", "76634-5"),
    "p_axis_deg": Equivalents("paxis", "P_AxisFront_Global", "deg", "8626-4", "MDC_ECG_ANGLE_P_FRONT"),
    "qrs_axis_deg": Equivalents("raxis", "R_AxisFrontal_Global", "deg", "8632-2", "MDC_ECG_ANGLE_QRS_FRONT"),
    "t_axis_deg": Equivalents("taxis", "T_AxisFront_Global", "deg", "8638-9", "MDC_ECG_ANGLE_T_FRONT"),
    "verdict": Equivalents(muse="ecgcategory"),
    **{name: _of_lead(*of) for name, of in _AMPLITUDES.items()},
}

DICTIONARY_COLUMNS = (*RELEASE_COLUMNS, RECORD_NAME)
"""All that a table of ours can have."""


def dictionary(columns: Iterable[Column] = DICTIONARY_COLUMNS) -> list[dict[str, str]]:
    """What is to be known of columns, in their order, for people and programs that do not read Arrow schemas.

    Returns:
        Of every column name, type, unit (UCUM), definition, method, missing (what null means) and, empty where none is
        known, muse, ptbxl_plus, ptbxl_plus_unit, loinc and mdc.
    """
    return [_entry(column) for column in columns]


def _entry(column: Column) -> dict[str, str]:
    method, missing = _METHODS[column.name]
    said = {"definition": column.description, "method": method, "missing": missing}
    equivalents = asdict(_EQUIVALENTS.get(column.name, Equivalents()))
    return {"name": column.name, "type": _type(column.type), "unit": column.unit, **said, **equivalents}


def _type(kind: pa.DataType) -> str:
    """Its name, without that of a list's items, which Arrow and Parquet call differently."""
    return f"list<{kind.value_type}>" if pa.types.is_list(kind) else str(kind)


def dictionary_csv(columns: Iterable[Column] = RELEASE_COLUMNS) -> str:
    """The dictionary as CSV, a row a column; that of a release unless other columns are given."""
    entries = dictionary(columns)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(entries[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(entries)
    return text.getvalue()


def dictionary_json(columns: Iterable[Column] = RELEASE_COLUMNS) -> str:
    """The dictionary as JSON, a list of one object a column; that of a release unless other columns are given."""
    return json.dumps(dictionary(columns), indent=1, ensure_ascii=False) + "\n"


def muse_name(column: str) -> str | None:
    """What the published ground truth calls a column; None where it has none that is known."""
    return _EQUIVALENTS.get(column, Equivalents()).muse or None
