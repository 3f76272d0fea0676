"""The files of a release's folder `quality/`."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from pipeline.quality.check import Check
from pipeline.quality.privacy import SCRIPT, script_text


def quality_files(checks: Iterable[Check]) -> dict[str, str]:
    """The text of every file of `quality/` by its name: a JSON document a check, and the script for data owners.

    The same checks give the same bytes; floats have six significant digits, beyond which machines differ.
    """
    texts = {f"{check.name}.json": _text(check) for check in checks}
    return texts | {SCRIPT: script_text()}


def _text(check: Check) -> str:
    document = {
        "name": check.name,
        "title": check.title,
        "summary": check.summary,
        **check.document,
        "histograms": [asdict(histogram) for histogram in check.histograms],
    }
    return json.dumps(_plain(document), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON has any of its types
    """Plain JSON values; what is no finite number is null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float):
        return float(f"{value:.6g}") + 0.0 if np.isfinite(value) else None  # -0.0 + 0.0 is 0.0
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return value
