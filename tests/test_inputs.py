"""Reading recordings from outside: what is taken, what is refused, and that nothing else ever happens."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.inputs import open_recordings
from pipeline.inputs.wfdb_record import MAX_HEADER_BYTES
from pipeline.leads import LEADS, SAMPLES, STORED_LEADS, to_twelve_leads
from tests.conftest import RECORDINGS

GIVEN = {"sampling_rate_hz": 500, "units": "uV"}
"""What has to be said of an array."""


def leads_mv(count: int) -> NDArray[np.float64]:
    """(5000, count): a slow wave in every lead, of an amplitude that names the lead."""
    wave = np.sin(np.arange(SAMPLES) / 100)[:, None]
    return wave * (1 + np.arange(count)) / 10


def write_record(
    folder: Path,
    name: str = "100",
    leads: Sequence[str] = STORED_LEADS,
    signal: NDArray[np.floating] | None = None,
    **changes: Any,
) -> Path:
    signal = leads_mv(len(leads)) if signal is None else signal
    folder.mkdir(parents=True, exist_ok=True)
    arguments = {"fs": 500, "units": ["mV"] * len(leads), "fmt": ["16"] * len(leads)} | changes
    arguments["adc_gain"] = arguments.get("adc_gain", [1000.0] * len(leads))
    wfdb.wrsamp(
        name,
        sig_name=list(leads),
        p_signal=signal,
        baseline=[0] * len(leads),
        write_dir=str(folder),
        **arguments,
    )
    return folder / f"{name}.hea"


def edit(header: Path, old: str, new: str) -> Path:
    text = header.read_text(encoding="utf-8")
    assert old in text
    header.write_text(text.replace(old, new), encoding="utf-8")
    return header


def read(source: Path, **units: Any) -> NDArray[np.float32]:
    return np.concatenate([batch.signals for batch in open_recordings(source, **units).read_batches()])


def refused(source: Path, *parts: str, **units: Any) -> None:
    with pytest.raises(InputError) as caught:
        read(source, **units)
    message = str(caught.value)
    assert "\n" not in message
    assert source.name in message
    for part in parts:
        assert part in message


class TestWfdb:
    def test_one_record_with_and_without_suffix(self, tmp_path: Path) -> None:
        header = write_record(tmp_path)
        for source in (header, header.with_suffix("")):
            recordings = open_recordings(source)
            assert (recordings.total, recordings.names) == (1, ("100",))
            signal = recordings.read(0).signal
            assert signal.dtype == np.float32
            np.testing.assert_allclose(signal, leads_mv(8).T * 1000, atol=0.51)

    def test_twelve_leads_in_any_case_and_order(self, tmp_path: Path) -> None:
        twelve = to_twelve_leads(leads_mv(8).T)
        header = write_record(tmp_path, leads=[lead.lower() for lead in reversed(LEADS)], signal=twelve[::-1].T)
        np.testing.assert_allclose(read(header)[0], leads_mv(8).T * 1000, atol=0.51)

    def test_folder_is_searched_recursively_in_sorted_order(self, tmp_path: Path) -> None:
        for place, name in (("b", "1"), ("a", "2"), ("a", "10"), (".", "z")):
            write_record(tmp_path / place, name)
        (tmp_path / "notes.txt").write_text("not a record")
        (tmp_path / "a" / "._10.hea").write_bytes(b"\x00\x05")
        (tmp_path / "folder.hea").mkdir()
        batches = list(open_recordings(tmp_path).read_batches(size=3))
        assert [batch.names for batch in batches] == [("a/10", "a/2", "b/1"), ("z",)]
        assert [batch.signals.shape for batch in batches] == [(3, 8, SAMPLES), (1, 8, SAMPLES)]
        assert [batch.numbers.tolist() for batch in batches] == [[0, 1, 2], [3]]

    @pytest.mark.parametrize(("unit", "scale"), [("mV", 1000), ("mv", 1000), ("uV", 1), ("UV", 1)])
    def test_units_of_every_channel(self, tmp_path: Path, unit: str, scale: int) -> None:
        header = write_record(tmp_path, units=["mV"] * 7 + [unit])
        expected = leads_mv(8).T * 1000
        expected[7] *= scale / 1000
        np.testing.assert_allclose(read(header)[0], expected, atol=0.51)

    @pytest.mark.parametrize("encoded", ["µV".encode(), "μV".encode(), "µV".encode("latin-1")])
    def test_micro_sign(self, tmp_path: Path, encoded: bytes) -> None:
        header = write_record(tmp_path)
        header.write_bytes(header.read_bytes().replace(b"/mV", b"/" + encoded))
        np.testing.assert_allclose(read(header)[0], leads_mv(8).T, atol=0.51e-3)

    def test_unit_defaults_to_millivolts_as_the_standard_says(self, tmp_path: Path) -> None:
        header = edit(write_record(tmp_path), "/mV", "")
        np.testing.assert_allclose(read(header)[0], leads_mv(8).T * 1000, atol=0.51)

    def test_length_may_be_left_to_the_signal_file(self, tmp_path: Path) -> None:
        header = edit(write_record(tmp_path), "100 8 500 5000", "100 8 500")
        assert read(header).shape == (1, 8, SAMPLES)

    @pytest.mark.parametrize("signal_format", ["16", "24", "32", "212"])
    def test_formats(self, tmp_path: Path, signal_format: str) -> None:
        header = write_record(tmp_path, fmt=[signal_format] * 8)
        np.testing.assert_allclose(read(header)[0], leads_mv(8).T * 1000, atol=0.51)

    def test_other_signals_are_ignored(self, tmp_path: Path) -> None:
        header = write_record(tmp_path, leads=["RESP", *STORED_LEADS], units=["NU"] + ["mV"] * 8)
        np.testing.assert_allclose(read(header)[0], leads_mv(9).T[1:] * 1000, atol=0.51)


class TestRefusedRecords:
    def test_nothing_there(self, tmp_path: Path) -> None:
        refused(tmp_path, "no WFDB header")
        refused(tmp_path / "missing", "not found", "give a folder")
        refused(tmp_path / "missing.npy", "not found", sampling_rate_hz=500, units="uV")

    def test_missing_lead_is_not_taken_from_a_similar_name(self, tmp_path: Path) -> None:
        leads = ["MLII" if lead == "II" else lead for lead in STORED_LEADS]
        refused(write_record(tmp_path, leads=leads), "lead II is missing")

    def test_duplicate_lead(self, tmp_path: Path) -> None:
        refused(edit(write_record(tmp_path), " 0 V2", " 0 v1"), "lead V1 is there 2 times")

    def test_nan(self, tmp_path: Path) -> None:
        signal = leads_mv(8)
        signal[100:107, 3] = np.nan
        refused(write_record(tmp_path, signal=signal), "7 invalid samples (NaN or infinite) in lead V2")

    @pytest.mark.parametrize("rate", [100, 249, 64000])
    def test_sampling_rate(self, tmp_path: Path, rate: int) -> None:
        refused(write_record(tmp_path, fs=rate), f"sampled at {rate} Hz", "250 Hz to 32000 Hz", "as it was taken")

    @pytest.mark.parametrize("length", [4999, 5001])
    def test_length(self, tmp_path: Path, length: int) -> None:
        header = write_record(tmp_path, signal=np.zeros((length, 8)))
        refused(header, f"{length} samples, not 5000", "cut")
        refused(edit(header, f"500 {length}", "500"), f"{length} samples, not 5000")

    def test_unit(self, tmp_path: Path) -> None:
        refused(write_record(tmp_path, units=["mV"] * 7 + ["V"]), "lead V6 is in 'v', not uV or mV")

    def test_truncated_signal_file(self, tmp_path: Path) -> None:
        header = write_record(tmp_path)
        signal_file = header.with_suffix(".dat")
        signal_file.write_bytes(signal_file.read_bytes()[:-2])
        refused(header, "truncated at sample 4999")
        signal_file.unlink()
        refused(header, "'100.dat' is not beside it")

    @pytest.mark.parametrize(
        "name", ["../100.dat", "/etc/passwd", "..\\100.dat", "http://example.org/100.dat", "s3://a/b"]
    )
    def test_signal_file_elsewhere(self, tmp_path: Path, name: str) -> None:
        header = write_record(tmp_path / "a")
        shutil.copy(header.with_suffix(".dat"), tmp_path)
        refused(edit(header, "100.dat", name), "outside the record's folder", name.replace("\\", "\\\\"))

    def test_folder_that_the_reader_takes_for_a_url(self, tmp_path: Path) -> None:
        header = write_record(tmp_path / "x::http:")
        refused(header, "'::'", "rename")

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("100 8 500 5000", "100 8 500 99999999999999"),
            ("100 8 500 5000", "100 12 500 5000"),
            ("100 8 500 5000", "100/2 8 500 5000"),
            ("100 8 500 5000", "100 8 0 5000"),
            (" 16 ", " 16+999999999999999999999 "),
            (" 16 ", " 16:99999999999 "),
            (" 16 ", " 16x2 "),
            (" 16 ", " 99 "),
            (" 16 ", " 516 "),
            ("(0)", "(" + "9" * 400 + ")"),
            ("100 8 500 5000", "1" * 5000),
        ],
    )
    def test_absurd_claims(self, tmp_path: Path, old: str, new: str) -> None:
        refused(edit(write_record(tmp_path), old, new))

    def test_signals_of_one_file_apart(self, tmp_path: Path) -> None:
        header = write_record(tmp_path)
        lines = header.read_text().splitlines()
        lines[2] = lines[2].replace("100.dat", "other.dat")
        header.write_text("\n".join(lines))
        refused(header, "do not follow each other")

    @pytest.mark.parametrize("content", [b"", b"# only a comment\n", b"\xff" * 100, b"#" * (MAX_HEADER_BYTES + 1)])
    def test_no_header(self, tmp_path: Path, content: bytes) -> None:
        header = tmp_path / "1.hea"
        header.write_bytes(content)
        refused(header)


@pytest.fixture(scope="module")
def record_text(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    header = write_record(tmp_path_factory.mktemp("mutated"))
    return header, header.read_text()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_headers_are_read_or_refused(record_text: tuple[Path, str], data: st.DataObject) -> None:
    header, text = record_text
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        stop = start + data.draw(st.integers(0, 12))
        pieces = st.text(alphabet="0123456789-+.:/x()eEmuVI~ \n\t#\x00é", max_size=12) | st.text(max_size=4)
        text = text[:start] + data.draw(pieces) + text[stop:]
    header.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        signals = read(header)
    except InputError:
        return  # any other exception fails the test
    assert signals.shape == (1, 8, SAMPLES)
    assert np.isfinite(signals).all()


class TestArray:
    @pytest.mark.parametrize("dtype", ["int16", "float32", ">f8"])
    def test_batches(self, tmp_path: Path, dtype: str) -> None:
        samples = 100 * np.arange(5)[:, None, None] + np.zeros((5, 8, SAMPLES), dtype)
        np.save(tmp_path / "x.npy", samples.astype(dtype))
        recordings = open_recordings(tmp_path / "x.npy", sampling_rate_hz=500, units="uV")
        assert (recordings.total, recordings.names) == (5, ())
        batches = list(recordings.read_batches(size=2))
        assert [batch.names for batch in batches] == [()] * 3
        assert [batch.signals.dtype for batch in batches] == [np.float32] * 3
        np.testing.assert_array_equal(np.concatenate([batch.signals for batch in batches]), samples)

    def test_twelve_leads_in_millivolts(self, tmp_path: Path) -> None:
        samples = np.arange(12.0)[None, :, None] + np.zeros((1, 12, SAMPLES))
        np.save(tmp_path / "x.npy", samples)
        signals = read(tmp_path / "x.npy", sampling_rate_hz=500, units="mV")
        np.testing.assert_array_equal(signals[0, :, 0], [1000 * LEADS.index(lead) for lead in STORED_LEADS])

    def test_units_and_rate_have_to_be_given(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.zeros((1, 8, SAMPLES), np.int16))
        refused(tmp_path / "x.npy", "give its sampling rate", units="uV")
        refused(tmp_path / "x.npy", "units", sampling_rate_hz=500)
        refused(tmp_path / "x.npy", "'V' are unknown", sampling_rate_hz=500, units="V")
        refused(tmp_path / "x.npy", "not (records, 8 or 12, 2500)", sampling_rate_hz=250, units="uV")
        refused(tmp_path / "x.npy", "sampled at 100 Hz", sampling_rate_hz=100, units="uV")

    @pytest.mark.parametrize("given", [{"sampling_rate_hz": 500}, {"units": "mV"}, GIVEN])
    def test_wfdb_states_its_own(self, tmp_path: Path, given: dict[str, Any]) -> None:
        header = write_record(tmp_path / "w")
        for source in (header, tmp_path / "w"):
            refused(source, "--fs and --units are for a .npy", **given)

    @pytest.mark.parametrize(
        ("shape", "hint"),
        [
            ((), "give 8 leads"),
            ((5000,), "give 8 leads"),
            ((8, 5000), "signals[numpy.newaxis]"),
            ((1, 9, 5000), "give 8 leads (I, II, V1 to V6) or 12"),
            ((1, 5000, 8), "signals.transpose(0, 2, 1)"),
            ((1, 8, 4999), "give 10 s at 500 Hz"),
            ((0, 8, 5000), "at least one"),
        ],
    )
    def test_shape(self, tmp_path: Path, shape: tuple[int, ...], hint: str) -> None:
        np.save(tmp_path / "x.npy", np.zeros(shape))
        refused(tmp_path / "x.npy", hint, **GIVEN)

    @pytest.mark.parametrize("dtype", ["bool", "complex64", "U1", "M8[s]"])
    def test_dtype(self, tmp_path: Path, dtype: str) -> None:
        np.save(tmp_path / "x.npy", np.zeros((1, 8, SAMPLES), dtype))
        refused(tmp_path / "x.npy", "real numbers", **GIVEN)

    def test_pickles_and_damage(self, tmp_path: Path) -> None:
        path = tmp_path / "x.npy"
        np.save(path, np.array([{}], dtype=object), allow_pickle=True)
        refused(path, "unreadable", "numpy.save", **GIVEN)
        np.save(path, np.zeros((2, 8, SAMPLES)))
        path.write_bytes(path.read_bytes()[:-8])
        refused(path, "unreadable", **GIVEN)
        path.write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': [[[[[[(")
        refused(path, "unreadable", **GIVEN)
        np.savez(tmp_path / "archive.npz", np.zeros(3))
        (tmp_path / "archive.npz").replace(path)
        refused(path, "not an array", **GIVEN)

    def test_nan_names_record_and_lead(self, tmp_path: Path) -> None:
        samples = np.zeros((3, 8, SAMPLES))
        samples[2, 1, :5] = np.nan
        np.save(tmp_path / "x.npy", samples)
        refused(tmp_path / "x.npy", "record 2: 5 invalid samples (NaN or infinite) in lead II", **GIVEN)


@pytest.mark.parametrize(("folder", "total"), [("ludb/data", 100), ("muse", 3), ("raw-12lead", 40)])
def test_public_recordings_are_read_whole(folder: str, total: int) -> None:
    if not (RECORDINGS / folder).is_dir():
        pytest.skip(f"{RECORDINGS / folder} is not there")
    recordings = open_recordings(RECORDINGS / folder)
    assert recordings.total == len(set(recordings.names)) == total
    for batch in recordings.read_batches(size=64):
        assert batch.signals.shape == (len(batch.names), 8, SAMPLES)
        assert (np.abs(batch.signals).max(axis=(1, 2)) < 10_000).all()  # µV: an ECG, not mV nor ADC units
        assert (batch.signals.std(axis=(1, 2)) > 20).all()
