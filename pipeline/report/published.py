"""The published figures to compare with: no measurement, threshold or verdict reads them."""

from typing import NamedTuple


class Spread(NamedTuple):
    """Mean, standard deviation and central 95 % of one parameter."""

    mean: float
    sd: float
    p2_5: float
    p97_5: float


TABLE_2: dict[str, tuple[str, Spread, Spread]] = {
    "heart_rate_bpm": ("Heart rate, bpm", Spread(70, 7, 60, 88), Spread(70, 8, 60, 89)),
    "p_duration_ms": ("P duration, ms", Spread(117, 17, 86, 152), Spread(118, 17, 84, 152)),
    "qt_interval_ms": ("QT interval, ms", Spread(395, 20, 354, 436), Spread(395, 22, 352, 436)),
    "qrs_duration_ms": ("QRS duration, ms", Spread(92, 9, 78, 112), Spread(93, 10, 78, 114)),
    "pr_interval_ms": ("PR interval, ms", Spread(158, 17, 126, 192), Spread(159, 19, 124, 194)),
    "stj_amplitude_v5_uv": ("STJ in V5, µV", Spread(18, 33, -44, 87), Spread(16, 36, -54, 87)),
    "r_amplitude_v5_uv": ("R in V5, µV", Spread(1275, 367, 620, 2026), Spread(1273, 402, 566, 2094)),
    "t_amplitude_v5_uv": ("T in V5, µV", Spread(366, 135, 156, 668), Spread(361, 141, 141, 673)),
}
"""Label, then 12SL's figures on the 121,977 normal and on all 150,000 records: Thambawita, Isaksen et al.,
"DeepFake electrocardiograms" (2021), Table 2."""

NORMAL_PERCENT = 81.3
"""Share that 12SL called Normal ECG: 121,977 of 150,000 (the same paper, Results)."""
