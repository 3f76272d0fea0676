"""Bounds: values that few or no people have, samples that no electrocardiograph delivers, and flat leads."""

from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.leads import LEADS
from pipeline.measurement.constants import FLAT_UV, HIGHEST_UV, LIKELY_MS
from pipeline.quality.check import Check
from pipeline.quality.extremes import Extremes
from pipeline.quality.features import groups, numbers
from pipeline.quality.wording import histogram, percent, percentiles, share

MASON = (
    "2nd and 98th percentile of 46,129 people of pharmaceutical trials with a very low probability of cardiovascular "
    "disease: abstract of Mason et al., J Electrocardiol 40:228 (2007)"
)
UNCHECKED = "(as cited by others, not checked)"
"""Ends the source of a limit whose text was not at hand."""
ATHLETES = (
    "2005 European criteria for a positive ECG of an athlete, which ask for a P in both II and III, or in V1: Corrado "
    f"et al., Eur Heart J 26:516 (2005) {UNCHECKED}"
)
AHA_IV = f"upper threshold of men, AHA/ACCF/HRS recommendations part IV, Circulation 119:e241 (2009) {UNCHECKED}"
FASTEST = (
    f"1:1 conduction of atrial flutter, Chou's Electrocardiography, 6th ed. {UNCHECKED}; below, 10 s hold too few beats"
)
INSTRUMENT = f"the input range of an electrocardiograph, IEC 60601-2-25 {UNCHECKED}"
WORKING = "working limit of this program, beyond which it doubts its measurement"


class Limit(NamedTuple):
    """What a quantity seldom goes beyond."""

    quantity: str
    kind: Literal["reference", "suspect"]
    """A reference range, outside which there are healthy people as well, or one outside which a value is suspect."""
    columns: tuple[str, ...]
    """A record is outside when one of them is."""
    lowest: float | None
    highest: float
    unit: str
    source: str

    def __str__(self) -> str:
        """What it is to be outside."""
        unit = {"uV": "µV", "deg": "°"}.get(self.unit, self.unit)
        beyond = f"above {self.highest:g}" if self.lowest is None else f"outside {self.lowest:g} to {self.highest:g}"
        return f"{self.quantity} {beyond} {unit}"


def _waves(waves: str, *leads: str) -> tuple[str, ...]:
    return tuple(f"{wave}_amplitude_{lead.lower()}_uv" for wave in waves.split() for lead in leads)


_ANY = _waves("p q r s stj stm ste t", *LEADS)

LIMITS = (
    Limit("heart rate", "reference", ("heart_rate_bpm",), 48, 98, "1/min", MASON),
    Limit("PR interval", "reference", ("pr_interval_ms",), 113, 212, "ms", MASON),
    Limit("QRS duration", "reference", ("qrs_duration_ms",), 69, 109, "ms", MASON),
    Limit("QT interval", "reference", ("qt_interval_ms",), 325, 452, "ms", MASON),
    Limit("QTc by Bazett", "reference", ("qtc_bazett_ms",), 361, 457, "ms", MASON),
    Limit("QTc by Fridericia", "reference", ("qtc_fridericia_ms",), 359, 445, "ms", MASON),
    Limit("QRS axis", "reference", ("qrs_axis_deg",), -40, 91, "deg", MASON),
    Limit("P in II, III or V1", "reference", _waves("p", "II", "III", "V1"), None, 249, "uV", ATHLETES),
    # Where there is no R, the QS stands as a Q, which the criteria would call an S.
    Limit("Q, R or S in a limb lead", "reference", _waves("q r s", *LEADS[:6]), None, 1999, "uV", ATHLETES),
    Limit("Q or S in V1 or V2", "reference", _waves("q s", "V1", "V2"), None, 2999, "uV", ATHLETES),
    Limit("R in V5 or V6", "reference", _waves("r", "V5", "V6"), None, 2999, "uV", ATHLETES),
    Limit("T in V2 or V3", "reference", _waves("t", "V2", "V3"), None, 1400, "uV", AHA_IV),
    Limit("heart rate", "suspect", ("heart_rate_bpm",), 20, 300, "1/min", FASTEST),
    Limit("P duration", "suspect", ("p_duration_ms",), *LIKELY_MS["p_duration_ms"], "ms", WORKING),
    Limit("PR interval", "suspect", ("pr_interval_ms",), *LIKELY_MS["pr_interval_ms"], "ms", WORKING),
    Limit("QRS duration", "suspect", ("qrs_duration_ms",), *LIKELY_MS["qrs_duration_ms"], "ms", WORKING),
    Limit("QT interval", "suspect", ("qt_interval_ms",), *LIKELY_MS["qt_interval_ms"], "ms", WORKING),
    Limit("QTc by Bazett", "suspect", ("qtc_bazett_ms",), *LIKELY_MS["qtc_bazett_ms"], "ms", WORKING),
    Limit("any amplitude", "suspect", _ANY, -HIGHEST_UV, HIGHEST_UV, "uV", INSTRUMENT),
)

REMARK = (
    "Each reference range that is from percentiles leaves out about 4 % of the people it was found in; sex and age, on "
    "which all of them depend, are unknown here. A value inside every bound can still be wrong."
)


def check_bounds(table: pa.Table, signals: Extremes) -> Check:
    """Measurements outside stated limits, and samples outside an electrocardiograph's range.

    Args:
        table: a measurement table, (n,).
        signals: the extremes of its records' leads.
    """
    parts = groups(table)
    found = [{name: _counts(limit, part) for name, part in parts.items()} for limit in LIMITS]
    suspect = np.zeros(table.num_rows, np.bool_)
    for limit in LIMITS:
        if limit.kind == "suspect":
            suspect |= _outside(limit, table)
    raw = _signal_bounds(signals) | {"flagged": _flags(table, "flat_lead", "clipped", "above_5_mv")}
    return Check(
        name="bounds",
        title="Physiological bounds",
        summary=(
            f"{share(int(suspect.sum()), table.num_rows)} records have a value so far out that it is suspect. All "
            f"samples were looked at as stored: {raw['beyond_5_mv']:,} records have one beyond 5 mV, "
            f"{raw['at_int16_limits']:,} one at the limits of int16, and {raw['flat_lead']:,} a lead that is flat. "
            f"{REMARK}"
        ),
        rows=(
            *((f"{limit} ({limit.kind})", _text(counts["all"])) for limit, counts in zip(LIMITS, found, strict=True)),
            ("records with a suspect value", f"{suspect.sum():,}"),
            (
                "records with a sample beyond 5 mV as stored (flagged above_5_mv, that is without baseline wander)",
                f"{raw['beyond_5_mv']:,} ({raw['flagged']['above_5_mv']:,})",
            ),
            ("records with a sample at the limits of int16", f"{raw['at_int16_limits']:,}"),
            ("records with a lead flat for 10 s", f"{raw['flat_lead']:,}"),
            ("records flagged as clipped", f"{raw['flagged']['clipped']:,}"),
        ),
        document={
            "limits": [limit._asdict() | counts for limit, counts in zip(LIMITS, found, strict=True)],
            "records_with_a_suspect_value": int(suspect.sum()),
            "signals": raw,
            "remark": REMARK,
        },
        histograms=(
            histogram(
                _largest(signals) / 1000,
                np.linspace(0, max(5, np.ceil(_largest(signals).max(initial=0) / 1000)), 41),
                title="Largest deflection",
                quantity="largest sample of a record in its 8 stored leads, mV",
                caption="All records, as stored, baseline wander included. An electrocardiograph records up to 5 mV.",
            ),
        ),
    )


def _outside(limit: Limit, table: pa.Table) -> NDArray[np.bool_]:
    """Where one of a limit's columns is outside it, (n,); what is missing is not."""
    outside = np.zeros(table.num_rows, np.bool_)
    for name in limit.columns:
        values = numbers(table, name)
        outside |= values > limit.highest
        if limit.lowest is not None:
            outside |= values < limit.lowest
    return outside


def _counts(limit: Limit, table: pa.Table) -> dict[str, float]:
    """How many records are outside a limit, and how many miss all that it is about."""
    known = np.zeros(table.num_rows, np.bool_)
    for name in limit.columns:
        known |= np.asarray(table[name].is_valid())
    measured, outside = int(known.sum()), int(_outside(limit, table).sum())
    missing = table.num_rows - measured
    return {"measured": measured, "missing": missing, "outside": outside, "percent": percent(outside, measured)}


def _text(counts: dict[str, float]) -> str:
    return f"{share(int(counts['outside']), int(counts['measured']))}, {counts['missing']:,} missing"


def _largest(signals: Extremes) -> NDArray[np.float64]:
    """(n,) the largest deflection of every record, in µV."""
    largest: NDArray[np.float64] = np.maximum(signals.highest.astype(float), -signals.lowest.astype(float)).max(axis=1)
    return largest


def _signal_bounds(signals: Extremes) -> dict[str, Any]:
    limits = np.iinfo(np.int16)
    railed = (signals.lowest == limits.min) | (signals.highest == limits.max)
    swing = signals.highest.astype(float) - signals.lowest
    return {
        "records": len(swing),
        "scanned": (
            "every sample of the 8 stored leads of all records as stored; the flag above_5_mv is raised once baseline "
            "wander is removed"
        ),
        "beyond_5_mv": int((_largest(signals) > HIGHEST_UV).sum()),
        "at_int16_limits": int(railed.any(axis=1).sum()),
        "flat_lead": int((swing < FLAT_UV).any(axis=1).sum()),
        "flat_below_uv": FLAT_UV,
        "highest_uv": percentiles(signals.highest.max(axis=1).astype(float)),
        "lowest_uv": percentiles(signals.lowest.min(axis=1).astype(float)),
    }


def _flags(table: pa.Table, *names: str) -> dict[str, int]:
    """How many records bear each of some quality flags."""
    flags = pc.list_flatten(table["quality_flags"])
    return {name: int(pc.sum(pc.equal(flags, name)).as_py() or 0) for name in names}
