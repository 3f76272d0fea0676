"""Drawn ECGs of known beats, rhythms and fibrillation waves, for the tests of the measurement."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.leads import SAMPLES, STORED_LEADS
from pipeline.measurement import measure

# Synthetic beats: positions and widths in samples of 2 ms relative to R, heights of the 8 leads in µV
RR = 430
R_AT = 150
P_ONSET, P_SAMPLES = -92, 52
QRS_ONSET, QRS_OFFSET = -20, 26
T_PEAK, T_HALF = 140, 60
P_HEIGHTS = (80, 150, -40, 60, 80, 80, 80, 70)
Q_HEIGHTS = (-90, -60, 0, 0, -40, -80, -100, -110)
R_HEIGHTS = (700, 1000, 200, 500, 1000, 1500, 1300, 1000)
S_HEIGHTS = (-100, -150, -900, -1200, -700, -400, -200, -100)
T_HEIGHTS = (200, 300, -80, 300, 500, 450, 350, 250)


def hump(length: int, centre: float, half: float) -> NDArray[np.float64]:
    """A raised cosine of unit height that is zero beyond half a width from its centre."""
    distance = np.abs(np.arange(length) - centre)
    return np.where(distance < half, 0.5 + 0.5 * np.cos(np.pi * distance / half), 0.0)


def triangle(length: int, start: float, peak: float, end: float) -> NDArray[np.float64]:
    return np.interp(np.arange(length), [start, peak, end], [0.0, 1.0, 0.0])


def beat(
    st_uv: float = 0.0,
    p_share: float = 1.0,
    t_share: float = 1.0,
    *,
    p_onset: int = P_ONSET,
    p_samples: int = P_SAMPLES,
    widen: float = 1.0,
    t_peak: int = T_PEAK,
    t_half: int = T_HALF,
    r: int = R_AT,
) -> NDArray[np.float64]:
    """(8, 500) one beat: raised-cosine P and T, triangular Q, R and S stretched by `widen`, a shifted ST segment."""
    p = hump(500, r + p_onset + p_samples / 2, p_samples / 2)
    q, up, s = (
        triangle(500, *(r + widen * corner for corner in corners))
        for corners in ((QRS_ONSET, -14, -8), (-8, 0, 8), (8, 15, QRS_OFFSET))
    )
    t = hump(500, r + t_peak, t_half)
    shift = np.interp(np.arange(500), [r + 14, r + QRS_OFFSET, r + 160, r + 240], [0.0, st_uv, st_uv, 0.0])
    waves = ((p, P_HEIGHTS, p_share), (q, Q_HEIGHTS, 1), (up, R_HEIGHTS, 1), (s, S_HEIGHTS, 1), (t, T_HEIGHTS, t_share))
    beat = sum(np.outer(heights, wave) * share for wave, heights, share in waves)
    return np.asarray(beat) + shift


def record(
    beat: NDArray[np.float64], peaks: list[int], noise_uv: float = 3.0, r: int = R_AT, samples: int = SAMPLES
) -> NDArray[np.float64]:
    """(8, samples) the beat at every peak, with white noise so that two beats are never the same."""
    signal = np.random.default_rng(1).normal(0, noise_uv, (8, samples + 1000))
    for peak in peaks:
        signal[:, 500 + peak - r : 1000 + peak - r] += beat
    return signal[:, 500:-500]


def jittering(rr: int = RR, samples: int = SAMPLES) -> list[int]:
    """R peaks of a rhythm that varies a little, on average regular."""
    at = range(170, samples + 100, rr)
    return [place + shift for place, shift in zip(at, np.resize([0, 4, -4, 2, -2], len(at)).tolist(), strict=True)]


def regular(beat: NDArray[np.float64], rr: int = RR, noise_uv: float = 3.0, r: int = R_AT) -> dict[str, Any]:
    """The measured row of a record with jittering but on average regular beats."""
    return row(record(beat, jittering(rr), noise_uv, r))


def row(signal: NDArray[Any]) -> dict[str, Any]:
    row: dict[str, Any] = measure(signal[None]).to_pylist()[0]
    return row


def lead(row: dict[str, Any], wave: str) -> list[Any]:
    return [row[f"{wave}_amplitude_{lead.lower()}_uv"] for lead in STORED_LEADS]


def irregular(seed: int, shortest: int, longest: int) -> list[int]:
    """R peaks at intervals that say nothing of one another, the short ones the more frequent, as in fibrillation."""
    rng = np.random.default_rng(seed)
    steps = np.rint(rng.triangular(shortest, shortest + (longest - shortest) / 3, longest, 40)).astype(int)
    return [peak for peak in (150 + np.cumsum(steps)).tolist() if peak < SAMPLES + 100]


def fibrillation(seed: int, rms_uv: float) -> NDArray[np.float64]:
    """(8, 5000) waves of 4 to 9 Hz at random phases, in every lead others."""
    rng = np.random.default_rng(seed)
    frequencies = np.fft.rfftfreq(SAMPLES, 1 / 500)
    band = (frequencies >= 4) & (frequencies <= 9)
    waves = np.fft.irfft(band * np.exp(2j * np.pi * rng.random((8, len(frequencies)))), SAMPLES)
    scaled: NDArray[np.float64] = rms_uv * waves / waves.std(axis=1, keepdims=True)
    return scaled
