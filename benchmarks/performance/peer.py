"""The peer: what one would otherwise run, deepfake-ecg's own `generate` and then neurokit2 on every lead.

Both with their authors' defaults: one .asc file a record, then for each of the 8 leads `ecg_clean`, `ecg_peaks` and
`ecg_delineate`. Reading the files back is not counted. It measures less than this program does: no median beat, no
boundaries over all leads, no amplitudes by definition, no interpretation, no dataset.
"""

import contextlib
import os
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import deepfakeecg
import neurokit2
import numpy as np
from numpy.typing import NDArray

from benchmarks.performance.figures import PeerRun
from pipeline.leads import SAMPLING_RATE_HZ

METHODS = ("prominence", "dwt")


def run_peer(records: int, method: str) -> PeerRun:
    """Generate records into files, read them, and measure them.

    Args:
        records: how many.
        method: neurokit2's way of delineating.
    """
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stderr(nowhere):  # its bar
            deepfakeecg.generate(records, folder)
        generate_s = time.perf_counter() - started
        signals = [np.loadtxt(Path(folder) / f"{record}.asc").T for record in range(records)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        started = time.perf_counter()
        failed = sum(not _measured(lead, method) for signal in signals for lead in signal)
        measure_s = time.perf_counter() - started
    return PeerRun(records=records, method=method, generate_s=generate_s, measure_s=measure_s, failed_leads=failed)


def _measured(lead: NDArray[Any], method: str) -> bool:
    """Whether neurokit2 gets through one lead; where it does not, its time counts all the same."""
    try:
        clean = neurokit2.ecg_clean(lead, sampling_rate=SAMPLING_RATE_HZ)
        _, found = neurokit2.ecg_peaks(clean, sampling_rate=SAMPLING_RATE_HZ)
        neurokit2.ecg_delineate(clean, found["ECG_R_Peaks"], sampling_rate=SAMPLING_RATE_HZ, method=method)
    except Exception:  # noqa: BLE001 - neurokit2 raises whatever it stumbles over
        return False
    return True
