"""What others have published on accuracy, and the standard's limits; each figure with how it is known.

`READ`: read in the publication or its abstract. `MEMORY`: put down from memory, the text was not read for it; to be
checked before it is quoted. `TRIED`: a published program run on LUDB against the same kind of reference as here.
"""

from typing import NamedTuple

READ, MEMORY, TRIED = "read", "from memory", "tried out"


class Published(NamedTuple):
    """One row: who, on what data, the figures in ms as text, and how they are known."""

    method: str
    data: str
    figures: tuple[str, ...]
    known: str


INTERVALS = (
    Published(
        "CED-Net (Krasteva et al. 2024), representative beat of 12 leads",
        "CSE",
        ("2.6 ± 11.0", "0.9 ± 5.8", "-2.4 ± 5.4", "-0.7 ± 10.3"),
        READ,
    ),
    Published(
        "12SL, newer QT, against careful manual QT (PubMed 17100684)", "15,194 ECGs", ("", "", "", "3.95 ± 5.50"), READ
    ),
    Published("the same", "29,866 ECGs, noisy", ("", "", "", "2.41 ± 9.47"), READ),
    Published("12SL, older QT, the same study", "the same two", ("", "", "", "0.51 ± 12.41; -0.17 ± 14.89"), READ),
    Published(
        "neurokit2 0.2.13 `prominence`, median of 12 leads",
        "LUDB, 50 near-normal",
        ("-25 ± 19", "4 ± 15", "-41 ± 16", "-10 ± 28"),
        TRIED,
    ),
    Published(
        "IEC 60601-2-25:2011: most allowed",
        "CAL and ANE, calibration signals",
        ("±10, SD 8", "±10, SD 8", "±6, SD 5", "±12, SD 10"),
        MEMORY,
    ),
    Published(
        "IEC 60601-2-25:2011: most allowed",
        "CSE, ECGs of people",
        ("±10, SD 15", "±10, SD 10", "±10, SD 10", "±25, SD 30"),
        MEMORY,
    ),
)
"""P, PR (PQ), QRS, QT: mean ± SD of the differences from the reference."""

BOUNDARIES = (
    Published(
        "wavelets (Martínez et al. 2004)",
        "QTDB",
        ("2.0 ± 14.8", "1.9 ± 12.8", "4.6 ± 7.7", "0.8 ± 8.7", "-1.6 ± 18.1"),
        MEMORY,
    ),
    Published(
        "Kalyakulina et al. 2018",
        "LUDB",
        ("-2.7 ± 10.2", "0.4 ± 11.4", "-8.1 ± 7.7", "3.8 ± 8.8", "5.7 ± 15.5"),
        MEMORY,
    ),
    Published(
        "neurokit2 0.2.13 `dwt`, lead II",
        "LUDB, 59 records",
        ("-2 ± 22", "", "-54 ± 46", "13 ± 31", "-14 ± 37"),
        TRIED,
    ),
    Published(
        "neurokit2 0.2.13 `prominence`, lead II",
        "LUDB, 59 records",
        ("10 ± 22", "-8 ± 19", "6 ± 16", "-13 ± 21", "13 ± 29"),
        TRIED,
    ),
    Published("tolerances of the CSE project, 2 SD", "CSE", ("10.2", "12.7", "6.5", "11.6", "30.6"), MEMORY),
)
"""P onset, P offset, QRS onset, QRS offset, T offset: mean ± SD."""

OTHER = (
    (
        "Krasteva et al. 2024 against Schiller's ETM program, PTB: means -2.6 to 2.4 ms, SDs 2.9 to 11.4 ms; P "
        f"detected in 96.6 % ({READ})"
    ),
    f"Martínez et al. 2004: QRS sensitivity 99.66 %, positive predictivity 99.56 %, all databases together ({READ})",
    f"Kalyakulina et al. 2018, LUDB: sensitivity of P, QRS and T 98.5, 99.6 and 98.0 % ({MEMORY})",
    f"U-Net (Moskalenko et al. 2020), LUDB: F1 at least 97.8 % for P, 99.5 % for T, 99.9 % for QRS ({READ})",
    (
        "Jimenez-Perez et al. 2021, QTDB: precision 90.12, 99.14 and 98.25 %, recall 98.73, 99.94 and 99.88 % for P, "
        f"QRS and T ({READ})"
    ),
    (
        "Jimenez-Perez et al., trained on synthetic ECGs, three databases: F1 99.38 %; onsets 2.19 ± 17.73 ms, offsets "
        f"4.45 ± 18.32 ms ({READ})"
    ),
    f"ECGdeli (2021), QTDB: median error below 16 ms for P and QRS, below 5 samples over all ({READ})",
    f"Emrich et al. 2024 (neurokit2's `prominence`), LUDB and QTDB: F1 above 99 %, but for T on QTDB ({READ})",
    f"neurokit2 0.2.13 `dwt`, lead II, LUDB: 80 % of T ends within 150 ms ({TRIED})",
)
