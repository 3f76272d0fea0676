"""Lead identities: what Einthoven and Goldberger ask of the twelve leads, and what rounding does to them."""

import numpy as np
from numpy.typing import NDArray

from pipeline.dataset import Dataset
from pipeline.leads import LEADS, to_twelve_leads
from pipeline.quality.check import Check
from pipeline.quality.wording import percent
from pipeline.store.threads import in_threads

SAMPLED = 512

REMARK = (
    "Only I, II and V1 to V6 are stored, and the other four leads follow from I and II, so that the identities hold by "
    "construction and speak for the derivation, not for the generator. aVR, aVL and aVF fall on half microvolts: "
    "rounded to 1 µV they break the identities, so that exports of 12 leads take 0.5 µV a unit."
)


def check_identities(dataset: Dataset) -> Check:
    """The residuals of the lead identities on records evenly spread over a dataset.

    Every record has its own independent noise, so that those are as good as a random sample.

    Raises:
        DatasetError: when a signal cannot be read.
    """
    count = min(SAMPLED, len(dataset))
    records = (np.arange(count) * len(dataset) // max(count, 1)).tolist()
    found = np.array(list(in_threads(lambda record: _residuals(dataset.signal(record)), records)))
    einthoven, goldberger, rounded = found[:, :3].max(axis=0)
    broken, half = found[:, 3:].mean(axis=0) * 100
    return Check(
        name="identities",
        title="Lead identities",
        summary=(
            f"On {count:,} records evenly spread, I + III = II and aVR + aVL + aVF = 0 hold to within "
            f"{max(einthoven, goldberger):g} µV. {REMARK}"
        ),
        rows=(
            ("records looked at", f"{count:,} of {len(dataset):,} ({percent(count, len(dataset)):.3g} %)"),
            ("largest |I + III - II|", f"{einthoven:g} µV"),
            ("largest |aVR + aVL + aVF|", f"{goldberger:g} µV"),
            ("samples of aVR at half a microvolt", f"{half:.1f} %"),
            (
                "largest |aVR + aVL + aVF| were they rounded to 1 µV",
                f"{rounded:g} µV, not 0 in {broken:.1f} % of samples",
            ),
        ),
        document={
            "records": len(dataset),
            "sampled": count,
            "einthoven_residual_uv": einthoven,
            "goldberger_residual_uv": goldberger,
            "avr_at_half_microvolt_percent": half,
            "rounded_goldberger_residual_uv": rounded,
            "rounded_goldberger_broken_percent": broken,
            "remark": REMARK,
        },
    )


def _residuals(signal: NDArray[np.int16]) -> tuple[float, float, float, float, float]:
    """Largest residuals of Einthoven's and Goldberger's identity, and of the latter on rounded leads, in µV.

    And the shares of samples in which the last is not 0, and in which aVR lies at half a microvolt.
    """
    leads = dict(zip(LEADS, to_twelve_leads(signal.astype(np.float32)), strict=True))
    augmented = np.stack([leads["aVR"], leads["aVL"], leads["aVF"]])
    rounded = np.abs(np.rint(augmented).sum(axis=0))
    return (
        float(np.abs(leads["I"] + leads["III"] - leads["II"]).max()),
        float(np.abs(augmented.sum(axis=0)).max()),
        float(rounded.max()),
        float((rounded > 0).mean()),
        float((leads["aVR"] % 1 != 0).mean()),
    )
