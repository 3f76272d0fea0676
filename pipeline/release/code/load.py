"""Load this release with numpy, zarr and pyarrow alone.

    from load import Records, plot, read_rows, twelve_leads

    rows = read_rows("normal", ["record_id", "qt_interval_ms"])
    records = Records("normal")
    signal = records[0]               # (8, 5000) int16; 1 is 1 µV, not 1 mV
    plot(signal, "ecg.svg")

`python code/load.py normal 0` prints one row and draws its ECG.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zarr

RELEASE = Path(__file__).resolve().parent.parent
LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
TWELVE_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
SAMPLES_PER_SECOND = 500


def read_rows(name: str, columns: Sequence[str] | None = None, filters: object = None) -> pa.Table:
    """Rows of the measurement table of `all` or `normal`.

    Args:
        name: `all` or `normal`.
        columns: their names; None for every column.
        filters: as pyarrow takes them, such as `[("qt_interval_ms", ">", 440)]` or `[("strat_fold", "<=", 8)]`.
    """
    return pq.read_table(RELEASE / name / "measurements.parquet", columns=columns, filters=filters)


class Records:
    """The signals of `all` or `normal`, read one by one from the archives as they lie."""

    def __init__(self, name: str) -> None:
        """Open the archives.

        Args:
            name: `all` or `normal`.
        """
        release = json.loads((RELEASE / "release.json").read_text(encoding="utf-8"))
        parts = release["datasets"][name]["signals"]
        self._ends = np.cumsum([part["records"] for part in parts])
        self._arrays = [
            zarr.open_array(zarr.storage.ZipStore(RELEASE / part["file"], mode="r"), path="signal", mode="r")
            for part in parts
        ]

    def __len__(self) -> int:
        """Number of records."""
        return int(self._ends[-1])

    def __getitem__(self, record_id: int) -> np.ndarray:
        """One record, (8, 5000) int16, µV, leads in the order of `LEADS`."""
        if not 0 <= record_id < len(self):
            raise IndexError(f"no record {record_id}; there are {len(self)}, from 0")
        part = int(np.searchsorted(self._ends, record_id, side="right"))
        start = int(self._ends[part - 1]) if part else 0
        return np.asarray(self._arrays[part][record_id - start])


def twelve_leads(signal: np.ndarray) -> np.ndarray:
    """All leads, (12, 5000) float64, µV, in the order of `TWELVE_LEADS`; aVR, aVL and aVF may be at half a µV."""
    one, two = np.asarray(signal[:2], dtype=np.float64)
    limbs = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    return np.concatenate([limbs, signal[2:]])


def plot(signal: np.ndarray, path: str | Path) -> None:
    """Draw one record as an SVG on ECG paper, 25 mm/s and 10 mm/mV, a lead a row."""
    row_mm, width_mm = 25, 250
    height_mm = row_mm * len(TWELVE_LEADS)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-12 0 {width_mm + 14} {height_mm + 8}">',
        '<rect x="-12" width="100%" height="100%" fill="#fffaf8"/>',
    ]
    for step, colour, pen in ((1, "#f9d9d6", 0.1), (5, "#efaaa6", 0.2)):
        grid = "".join(f"M{x} 0V{height_mm}" for x in range(0, width_mm + 1, step))
        grid += "".join(f"M0 {y}H{width_mm}" for y in range(0, height_mm + 1, step))
        lines.append(f'<path d="{grid}" stroke="{colour}" stroke-width="{pen}" fill="none"/>')
    x = np.arange(signal.shape[1]) / SAMPLES_PER_SECOND * 25
    for row, (lead, trace) in enumerate(zip(TWELVE_LEADS, twelve_leads(signal), strict=True)):
        y = row_mm * (row + 0.5) - (trace - np.median(trace)) / 1000 * 10
        points = " ".join(f"{a:.2f},{b:.2f}" for a, b in zip(x, y, strict=True))
        lines.append(f'<polyline points="{points}" stroke="#16161d" stroke-width="0.25" fill="none"/>')
        lines.append(f'<text x="-11" y="{row_mm * (row + 0.5)}" font-size="5" font-family="sans-serif">{lead}</text>')
    note = "SYNTHETIC, not for clinical use. 25 mm/s, 10 mm/mV"
    lines.append(f'<text x="0" y="{height_mm + 6}" font-size="5" font-family="sans-serif">{note}</text></svg>')
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Print one row and draw its ECG."""
    if len(sys.argv) != 3 or sys.argv[1] not in {"all", "normal"} or not sys.argv[2].isdecimal():
        sys.exit("usage: python load.py all|normal RECORD_ID")
    name, record_id = sys.argv[1], int(sys.argv[2])
    signal = Records(name)[record_id]
    for column, value in read_rows(name).slice(record_id, 1).to_pylist()[0].items():
        print(f"{column:24} {value}")
    inside = RELEASE in (Path.cwd(), *Path.cwd().parents)  # where a drawing would be foreign
    drawing = Path(tempfile.gettempdir() if inside else "") / f"{name}-{record_id}.svg"
    plot(signal, drawing)
    print(f"drawn to {drawing}")


if __name__ == "__main__":
    main()
