"""From measurements to statements and a verdict, in the structure and with the library codes of GE's 12SL.

Every rule that applies leaves its statement; the verdict is the worst of their severities. Sex and age are
unknown: of limits that depend on them the stricter applies, and costs no more than Borderline. A rule
does not apply where a value that it needs is null.

How much the verdict Normal depends on these choices is told by two bands. `normal_permissive` passes over the
rules whose limit depends on sex or age; `normal_strict` asks besides for the public limits (`STRICT_LIMITS`) that
12SL's own normals exceed.
"""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.columns import INTERPRETED, schema
from pipeline.interpret.criteria import Flags, Measurements, count
from pipeline.interpret.rules import RULE_SET, RULES, STRICT_LIMITS, Severity

VERDICTS = {
    Severity.NORMAL: (1684, "Normal"),
    Severity.OTHERWISE_NORMAL: (1687, "Otherwise normal"),
    Severity.BORDERLINE: (1693, "Borderline"),
    Severity.ABNORMAL: (1699, "Abnormal"),
}
"""12SL's library code and our name of every verdict."""

NOT_INTERPRETED = 1676
"""Statement of a record whose status is unmeasurable; it has no verdict."""

VERDICT_STATEMENTS = {code: f"{name} ECG" for code, name in VERDICTS.values()}
"""The statements that give the verdict, by code."""

STATEMENT_TEXTS = (
    {rule.code: rule.text for rule in RULES}
    | VERDICT_STATEMENTS
    | {NOT_INTERPRETED: "Less than 4 QRS complexes detected, no interpretation possible"}
)
"""The wording of every statement that `interpret` makes, by code."""


def interpret(measurements: pa.Table) -> pa.Table:
    """Apply every rule to every record.

    Args:
        measurements: n rows with the columns `MEASURED` and `QUALITY` of `pipeline.columns`.

    Returns:
        n rows with the columns `INTERPRETED`: verdict (null where the status is unmeasurable) and its two bands, the
        codes of all statements, the verdict's among them, and the rule set.
    """
    view = Measurements(measurements)
    measurable = pc.not_equal(measurements["status"], "unmeasurable").fill_null(False).to_numpy()
    fired = np.array([rule.applies(view) & measurable for rule in RULES])
    costs = fired * np.array([[rule.severity] for rule in RULES])
    severity = costs.max(axis=0)
    permissive = costs[[not rule.by_sex_or_age for rule in RULES]].max(axis=0) == Severity.NORMAL
    strict = (severity == Severity.NORMAL) & (count(limit.applies(view) for limit in STRICT_LIMITS) == 0)
    hits = [(rule.code, applies) for rule, applies in zip(RULES, fired, strict=True)]
    hits += [(code, measurable & (severity == level)) for level, (code, _) in VERDICTS.items()]
    hits.append((NOT_INTERPRETED, ~measurable))
    names = np.array([name for _, name in VERDICTS.values()], dtype=object)
    verdict = pa.array(names[severity], pa.string(), mask=~measurable)
    bands = [pa.array(band, mask=~measurable) for band in (strict, permissive)]
    rule_set = pa.repeat(RULE_SET, len(measurements))
    return pa.table([verdict, *bands, _code_lists(hits), rule_set], schema=schema(*INTERPRETED))


def _code_lists(hits: Iterable[tuple[int, Flags]]) -> pa.ListArray:
    """The codes that hit each record, ascending, from each code and the records that it hits, (n,)."""
    codes, flags = zip(*sorted(hits, key=lambda hit: hit[0]), strict=True)
    matrix = np.stack(flags, axis=1)
    offsets = np.concatenate([[0], matrix.sum(axis=1).cumsum()])
    # Row by row and, within a row, in the order of the codes.
    values = np.array(codes, dtype=np.int16)[matrix.nonzero()[1]]
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values))
