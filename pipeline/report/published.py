"""The published figures to compare with: no measurement, threshold or verdict reads them."""

from typing import NamedTuple


class Spread(NamedTuple):
    """Mean, standard deviation and central 95 % of one parameter, as the paper prints them."""

    mean: float
    sd: float
    p2_5: float
    p97_5: float


class Parameter(NamedTuple):
    """One row of the paper's Table 2."""

    label: str
    unit: str
    normal: Spread
    all: Spread


class Described(NamedTuple):
    """One column of the normals as `pandas.DataFrame.describe` printed it."""

    mean: float
    sd: float
    min: float
    p25: float
    p50: float
    p75: float
    max: float


class Normals(NamedTuple):
    """One column of 12SL's measurements on the 121,977 normals; the rest of them miss it."""

    label: str
    unit: str
    values: int
    described: Described


PAPER = (
    'Thambawita, Isaksen et al., "DeepFake electrocardiograms using generative adversarial networks are the beginning '
    'of the end for privacy issues in medicine", Scientific Reports 11, 21896 (2021)'
)

TABLE_2 = {
    "heart_rate_bpm": Parameter("Heart rate", "bpm", Spread(70, 7, 60, 88), Spread(70, 8, 60, 89)),
    "p_duration_ms": Parameter("P duration", "ms", Spread(117, 17, 86, 152), Spread(118, 17, 84, 152)),
    "qt_interval_ms": Parameter("QT interval", "ms", Spread(395, 20, 354, 436), Spread(395, 22, 352, 436)),
    "qrs_duration_ms": Parameter("QRS duration", "ms", Spread(92, 9, 78, 112), Spread(93, 10, 78, 114)),
    "pr_interval_ms": Parameter("PR interval", "ms", Spread(158, 17, 126, 192), Spread(159, 19, 124, 194)),
    "stj_amplitude_v5_uv": Parameter("STJ in V5", "µV", Spread(18, 33, -44, 87), Spread(16, 36, -54, 87)),
    "r_amplitude_v5_uv": Parameter("R in V5", "µV", Spread(1275, 367, 620, 2026), Spread(1273, 402, 566, 2094)),
    "t_amplitude_v5_uv": Parameter("T in V5", "µV", Spread(366, 135, 156, 668), Spread(361, 141, 141, 673)),
}
"""By our column: 12SL's figures on the 121,977 normal and on all 150,000 records (`PAPER`, Table 2)."""

RECORDS = 150_000
NORMAL = 121_977
BRADYCARDIA = 2_863
TACHYCARDIA = 129
"""Of `RECORDS`: what 12SL called Normal ECG, sinus bradycardia (below 60 a minute) and sinus tachycardia (100 or
more); `PAPER`, Results. The 10.2 % and 0.5 % printed there are shares of the 28,023 that are not normal."""

SINUS_ARRHYTHMIA = 7_726
"""Of `NORMAL`: those with statement 251 (`NORMALS_SOURCE`)."""

NORMALS_SOURCE = (
    "printed outputs of notebooks/deepfake_ecg_analysis.ipynb in vlbthambawita/ECG-k-Fold: df.describe, and for sinus "
    "arrhythmia the count of sl_251, over filtered_all_normals_121977_ground_truth.csv of OSF 6hved, 12SL's "
    "measurements of the paper's 121,977 normals"
)

MUSE_NORMALS = {
    "heart_rate_bpm": Normals("Heart rate", "bpm", 121977, Described(69.709855, 7.54659, 60, 64, 68, 74, 100)),
    "pr_interval_ms": Normals("PR interval", "ms", 121974, Described(158.114123, 16.848349, 112, 146, 158, 170, 208)),
    "qrs_duration_ms": Normals("QRS duration", "ms", 121977, Described(92.052633, 8.667925, 60, 86, 92, 98, 116)),
    "qt_interval_ms": Normals("QT interval", "ms", 121977, Described(395.206949, 20.480469, 318, 382, 396, 410, 476)),
    "qtc_fridericia_ms": Normals("QTcF", "ms", 121977, Described(414.145667, 16.708287, 349, 403, 414, 425, 478)),
    "mean_rr_ms": Normals("Mean RR", "ms", 121977, Described(869.180419, 86.81233, 596, 812, 880, 940, 1008)),
    "beats": Normals("QRS complexes", "", 121977, Described(11.4932, 1.301346, 9, 11, 11, 12, 17)),
    "p_axis_deg": Normals("P axis", "°", 121917, Described(50.744178, 16.396579, -29, 42, 53, 62, 119)),
    "qrs_axis_deg": Normals("QRS axis", "°", 121977, Described(40.366208, 22.943323, -29, 24, 42, 58, 89)),
    "t_axis_deg": Normals("T axis", "°", 121977, Described(37.938398, 15.859366, -41, 27, 39, 50, 92)),
} | {
    f"r_amplitude_{lead.lower()}_uv": Normals(f"R in {lead}", "µV", 121977, described)
    for lead, described in {
        "I": Described(678.873706, 237.832782, 9, 502, 654, 834, 1772),
        "II": Described(862.992031, 273.523845, 9, 678, 849, 1035, 2148),
        "III": Described(308.97793, 274.137947, 0, 83, 224, 473, 1977),
        "aVR": Described(49.040721, 44.270262, 0, 24, 39, 63, 454),
        "aVL": Described(315.071268, 209.217544, 0, 146, 273, 449, 1098),
        "aVF": Described(546.655632, 285.788296, 0, 341, 522, 732, 1982),
        "V1": Described(183.288751, 93.412581, 0, 117, 166, 234, 883),
        "V2": Described(491.915828, 258.780634, 19, 302, 444, 625, 2436),
        "V3": Described(831.709199, 417.814601, 14, 512, 756, 1074, 3359),
        "V4": Described(1284.370529, 456.596785, 14, 957, 1240, 1567, 3750),
        "V5": Described(1275.953696, 369.742125, 9, 1015, 1259, 1523, 2592),
        "V6": Described(1046.749641, 298.913804, 9, 839, 1030, 1240, 2480),
    }.items()
}
"""By our column: 12SL's figures on the normals (`NORMALS_SOURCE`)."""

CORRELATED = {
    "heart_rate_bpm": "rate",
    "pr_interval_ms": "PR",
    "qrs_duration_ms": "QRS",
    "qt_interval_ms": "QT",
    "qtc_fridericia_ms": "QTcF",
    "mean_rr_ms": "RR",
}
"""The columns of the correlation matrix and how it calls them."""

CORRELATIONS = {
    ("heart_rate_bpm", "pr_interval_ms"): -0.069266,
    ("heart_rate_bpm", "qrs_duration_ms"): -0.103854,
    ("heart_rate_bpm", "qt_interval_ms"): -0.626705,
    ("heart_rate_bpm", "qtc_fridericia_ms"): 0.037745,
    ("heart_rate_bpm", "mean_rr_ms"): -0.990933,
    ("pr_interval_ms", "qrs_duration_ms"): -0.088978,
    ("pr_interval_ms", "qt_interval_ms"): -0.027865,
    ("pr_interval_ms", "qtc_fridericia_ms"): -0.095869,
    ("pr_interval_ms", "mean_rr_ms"): 0.071925,
    ("qrs_duration_ms", "qt_interval_ms"): 0.149337,
    ("qrs_duration_ms", "qtc_fridericia_ms"): 0.104753,
    ("qrs_duration_ms", "mean_rr_ms"): 0.103497,
    ("qt_interval_ms", "qtc_fridericia_ms"): 0.752397,
    ("qt_interval_ms", "mean_rr_ms"): 0.627323,
    ("qtc_fridericia_ms", "mean_rr_ms"): -0.038667,
}
"""Pearson's r of each pair on the normals (`NORMALS_SOURCE`)."""
