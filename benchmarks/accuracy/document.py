"""The scores as one Markdown document, the same bytes for the same recordings and measurement."""

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.accuracy import ludb, muse, published
from benchmarks.accuracy.agreement import Agreement
from benchmarks.accuracy.robustness import STORED_PER_SD, UV_PER_SD, Counts
from benchmarks.markdown import table, text
from pipeline.measurement import MEASUREMENT_VERSION

TITLES = {"p_duration_ms": "P", "pr_interval_ms": "PR", "qrs_duration_ms": "QRS", "qt_interval_ms": "QT"} | {
    "heart_rate_bpm": "rate, 1/min",
    "p_axis_deg": "P axis, °",
    "qrs_axis_deg": "QRS axis, °",
    "t_axis_deg": "T axis, °",
}
AMPLITUDES = {"r": "R", "s": "S", "stj": "STJ", "t": "T", "p": "P", "q": "Q", "stm": "STM", "ste": "STE"}
EVEN = "near-normal, even numbers"
WORST = 5
NONE = "–"

Groups = Mapping[str, Sequence[ludb.Case]]


def document(
    cases: Sequence[ludb.Case],
    exports: Sequence[muse.Export],
    ptbxl: Mapping[str, Counts] | None,
    raw: Mapping[str, Counts] | None,
) -> str:
    """Everything there is to say; a collection that was not given has a section that says so.

    Args:
        cases: LUDB's records.
        exports: MUSE's.
        ptbxl: counts by label.
        raw: counts by folder.
    """
    groups = _groups(cases)
    parts = [
        "# Accuracy of the measurement",
        text(
            f"Measurement version {MEASUREMENT_VERSION}. Written by `make accuracy LUDB=DIR MUSE=DIR [PTBXL=FILE] "
            "[RAW=DIR]`; changes by hand are lost. Differences are measured minus reference, in ms unless a unit is "
            "named. Bias is their mean, SD their standard deviation with its 95 % interval over "
            "2,000 bootstrap resamples, robust SD the interquartile range / 1.349, p95 the 95th percentile of "
            "|difference - bias|, slope that of the reference on the measured by least squares: well below 1, the "
            "measurement invents spread; well above 1, it shrinks towards the mean."
        ),
        *_ludb(groups),
        *_beside(groups),
        *_muse(exports),
        *_ptbxl(ptbxl),
        *_raw(raw),
    ]
    return "\n\n".join(parts) + "\n"


def _groups(cases: Sequence[ludb.Case]) -> dict[str, Sequence[ludb.Case]]:
    """Near-normal records, all, and where LUDB is whole the near-normal ones on which no constant was chosen."""
    near_normal = [case for case in cases if case.near_normal]
    even = [case for case in near_normal if case.name.isdigit() and int(case.name) % 2 == 0]
    return {"near-normal": near_normal, "all": cases} | ({EVEN: even} if even else {})


def _ludb(groups: Groups) -> list[str]:
    count, marked = len(groups["all"]), ludb.detection(groups["all"])
    without_p, false_p = ludb.false_p(groups["all"])
    flag = ludb.DOUBTS["p_duration_ms"]
    doubted = sum(case.name in false_p and flag in case.row["quality_flags"] for case in groups["all"])
    held_out = (
        "The even-numbered ones had no part in that and have rows of their own."
        if EVEN in groups
        else "No even-numbered record was given, so that every figure of this section is in-sample."
    )
    return [
        "## LUDB: readers",
        text(
            f"{count} records of LUDB, {len(groups['near-normal'])} of them near-normal: a sinus rhythm without block, "
            "pacing, premature atrial beats, infarct, scar, ischaemia, WPW, fibrillation or flutter. The reference: in "
            "each of 12 leads the median over beats of every marked boundary relative to lead II's QRS peak; over "
            "leads the second-earliest onset and the second-latest offset; at least 2 beats a lead and 3 leads."
        ),
        text(
            "**In-sample.** Constants of the measurement were chosen for the smallest scatter on the odd-numbered "
            "records of LUDB (`pipeline/measurement/constants.py` says which), so that its scatter there flatters. "
            + held_out
        ),
        text(
            "**A wide reference.** Readers marked lead by lead, and the extremes over 12 leads lie outside what one "
            "sees in all leads at once: P and QRS come out longer than 12SL's. So LUDB judges scatter; bias is judged, "
            "weakly, by the MUSE exports below. LUDB's amplitudes are not calibrated and are not used."
        ),
        _interval_table(groups),
        text(
            f"QRS complexes: {marked.found:,} of the {marked.marked:,} marked in lead II were found within 120 ms, and "
            f"{marked.false} besides between the first and the last mark. False P: on {len(false_p)} of the "
            f"{without_p} records without a P mark in any lead a P was measured ({_names(false_p)}), "
            f"{doubted} of them with the flag `{flag}`."
        ),
        "### Without low confidence",
        text("The scatter when records with the interval's own quality flag are left out."),
        _doubt_table(groups),
        f"### The {WORST} records furthest from the bias",
        *_worst_tables(groups),
    ]


def _interval_table(groups: Groups) -> str:
    header = ("interval", "records", "n", "missing", "bias", "SD", "95 % of SD", "robust SD", "p95", "slope")
    of_groups = {group: ludb.intervals(cases) for group, cases in groups.items()}
    rows = []
    for name in ludb.INTERVALS:
        for group, found in of_groups.items():
            one = found[name]
            missing = f"{len(one.missing)} ({_names(one.missing)})" if one.missing else "0"
            rows.append((TITLES[name], group, str(len(one.pairs)), missing, *_agreement_cells(one.agreement)))
    return table(header, rows)


def _agreement_cells(of: Agreement | None) -> tuple[str, ...]:
    if of is None:
        return (NONE,) * 6
    low, high = of.sd_interval
    return (
        f"{of.bias:.1f}",
        f"{of.sd:.1f}",
        f"{low:.1f} to {high:.1f}",
        f"{of.robust_sd:.1f}",
        f"{of.p95:.1f}",
        f"{of.slope:.2f}",
    )


def _doubt_table(groups: Groups) -> str:
    rows = []
    for name, flag in ludb.DOUBTS.items():
        for group, cases in groups.items():
            everything = ludb.intervals(cases)[name]
            sure = ludb.intervals([case for case in cases if flag not in case.row["quality_flags"]])[name]
            counts = (str(len(everything.pairs) - len(sure.pairs)), str(len(sure.pairs)))
            rows.append((TITLES[name], group, f"`{flag}`", *counts, _sd(everything.agreement), _sd(sure.agreement)))
    return table(("interval", "records", "flag", "left out", "n left", "SD of all", "SD of the rest"), rows)


def _worst_tables(groups: Groups) -> Iterable[str]:
    header = (
        "interval",
        "record",
        "measured",
        "reference",
        "difference",
        "from bias",
        "LUDB's labels",
        "our quality flags",
    )
    for group, cases in groups.items():
        by_name = {case.name: case for case in cases}
        rows = []
        for name, one in ludb.intervals(cases).items():
            for record in one.worst(WORST):
                measured, reference = one.pairs[record]
                difference = measured - reference
                from_bias = f"{difference - one.agreement.bias:.0f}" if one.agreement else NONE
                values = (f"{measured:g}", f"{reference:g}", f"{difference:g}", from_bias)
                flags = ", ".join(by_name[record].row["quality_flags"]) or NONE
                rows.append((TITLES[name], record, *values, by_name[record].labels, flags))
        yield f"Of the records: {group}."
        yield table(header, rows)


def _beside(groups: Groups) -> list[str]:
    in_sample = "in-sample but for even numbers" if EVEN in groups else "in-sample"
    return [
        "## Beside published methods",
        text(
            "Mean ± SD of the differences in ms, ours first. They stand beside each other, not against each other: "
            f"data, references and whether a beat or a record counts all differ, and ours are {in_sample}. Of 12SL's "
            "own accuracy only that of QT is known here. How a figure is known: *read* in the publication or its "
            "abstract; *from memory*, its text not read, to be checked before it is quoted; *tried out*, a published "
            "program run on LUDB against the same kind of reference as here."
        ),
        table(("method", "data", "P", "PR", "QRS", "QT", "known"), _with_ours(groups, published.INTERVALS)),
        text(
            "The limits of IEC 60601-2-25 belong to its own test databases; none of them was run here, and nothing "
            "here shows conformity. For amplitudes it allows 25 µV up to 500 µV, and beyond that the larger of 5 % and "
            f"40 µV ({published.MEMORY})."
        ),
        "Boundaries; ours against lead II's QRS peak as LUDB marks it:",
        table(
            ("method", "data", "P onset", "P offset", "QRS onset", "QRS offset", "T offset", "known"),
            _with_ours(groups, published.BOUNDARIES),
        ),
        "Detection, and what fits no column:",
        "\n".join(f"- {line}." for line in published.OTHER),
    ]


def _with_ours(groups: Groups, rows: Sequence[published.Published]) -> list[Sequence[str]]:
    """Our rows, then the published ones of the same kind."""
    of_intervals = rows is published.INTERVALS
    result: list[Sequence[str]] = []
    for group, cases in groups.items():
        agreements = (
            [one.agreement for one in ludb.intervals(cases).values()]
            if of_intervals
            else ludb.boundaries(cases).values()
        )
        cells = (f"{a.bias:.1f} ± {a.sd:.1f}" if a else NONE for a in agreements)
        result.append(("**this program**", f"LUDB, {len(cases)} records, {group}", *cells, "measured here"))
    return result + [(row.method, row.data, *row.figures, row.known) for row in rows]


def _muse(exports: Sequence[muse.Export]) -> list[str]:
    differences = {each.name: {**muse.interval_differences(each), **muse.axis_differences(each)} for each in exports}
    columns = [*muse.INTERVALS, muse.P_DURATION, *muse.AXES]
    intervals = [
        (name, *(NONE if found.get(column) is None else f"{found[column]:g}" for column in columns))
        for name, found in differences.items()
    ]
    errors = muse.amplitude_errors(exports)
    amplitudes = [
        (
            title,
            str(e.n),
            str(e.missing),
            f"{e.median:.0f}",
            f"{e.p95:.0f}",
            f"{e.worst:.0f}",
            f"{100 * e.within:.0f} %",
        )
        for title, e in ((title, errors[wave]) for wave, title in AMPLITUDES.items() if wave in errors)
    ]
    return [
        "## MUSE: 12SL's own values",
        text(
            f"{len(exports)} exports, measured from the rhythm as 12SL did. The three that the measurement was made "
            "with are of one subject: they show that the conventions are 12SL's, not how far the two differ over "
            "people. In that sense n = 1, and constants marked MUSE were set on them."
        ),
        table(("export", *(TITLES[column] for column in columns)), intervals),
        text(
            "Amplitudes in 12 leads, |measured - 12SL| in µV, and the share within what IEC 60601-2-25 allows (25 µV "
            f"up to 500 µV, beyond that the larger of 5 % and 40 µV; {published.MEMORY}). 12SL's steps are 4.88 µV."
        ),
        table(("amplitude", "n", "missing", "median", "p95", "worst", "within"), amplitudes),
    ]


def _ptbxl(counts: Mapping[str, Counts] | None) -> list[str]:
    title = "## PTB-XL: robustness"
    if counts is None:
        return [title, "Not given (`PTBXL=FILE`)."]
    shares = []
    if afib := counts.get("AFIB"):
        shares.append(
            f"False P: {_share(afib.with_p, afib.records)} of AFIB, where no P can be; "
            f"{afib.doubtful_p} of these carry the flag `uncertain_p`."
        )
    if norm := counts.get("NORM"):
        shares.append(f"Missing P: {_share(norm.without_p, norm.records)} of NORM.")
    return [
        title,
        text(
            "Records at 500 Hz of which every lead was divided by its own standard deviation. Amplitude is gone, so "
            f"that this shows detection alone. Every lead was taken to have an SD of {UV_PER_SD} µV (stored value "
            f"× {UV_PER_SD / STORED_PER_SD:g}), about that of leads in real ECGs; the limb leads do not fit each other "
            "then, and axes and amplitudes mean nothing. " + " ".join(shares)
        ),
        _count_table("label", counts),
    ]


def _raw(counts: Mapping[str, Counts] | None) -> list[str]:
    title = "## Raw 12-lead records: robustness"
    if counts is None:
        return [title, "Not given (`RAW=DIR`)."]
    return [title, text("Real ECGs as recorded, without a reference."), _count_table("folder", counts)]


def _count_table(kind: str, counts: Mapping[str, Counts]) -> str:
    statuses = ("measured", "partial", "unmeasurable")
    header = (kind, "records", *statuses, "fewer than 4 QRS", "P measured", "P missing", "QT missing")
    rows = [
        (
            name,
            *(f"{number:,}" for number in (c.records, *(c.statuses[status] for status in statuses))),
            *(f"{number:,}" for number in (c.few_qrs, c.with_p, c.without_p, c.without_qt)),
        )
        for name, c in counts.items()
    ]
    return table(header, rows)


def _share(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} ({100 * part / whole:.1f} %)"


def _sd(of: Agreement | None) -> str:
    return f"{of.sd:.1f}" if of else NONE


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
