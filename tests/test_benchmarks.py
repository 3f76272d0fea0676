"""The performance document's machinery; nothing here depends on how fast a machine is."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.performance.arithmetic import polyphase_multiply_adds, published_multiply_adds
from benchmarks.performance.child import held_to, run
from benchmarks.performance.document import document
from benchmarks.performance.figures import BuildRun, PeerRun, Series
from benchmarks.performance.flow import parsed_report
from benchmarks.performance.memory import MemoryWatch, marked
from benchmarks.performance.peer import METHODS, run_peer
from benchmarks.performance.results import (
    Codec,
    FlowRun,
    FullBuild,
    Generator,
    Machine,
    OneCore,
    Peak,
    Results,
    Scaling,
    Storage,
)
from benchmarks.performance.targets import Target, targets
from benchmarks.results import results_markdown
from pipeline.dataset import Dataset
from pipeline.errors import FoundryError
from pipeline.report.folder import make_report
from pipeline.timings import BESIDE, Timings

MB = 10**6


def timings(records: int = 512, workers: int = 2) -> Timings:
    found = Timings(workers=workers)
    found.phases = {"start": 1.0, "make": 4.0, "finalise": 0.5}
    for _ in range(records // 256):
        found.add_shard(256, {"noise": 0.1, "generate": 1.0, "measure": 0.8, BESIDE: 0.2})
    return found


def build_run(records: int = 512, workers: int = 2) -> BuildRun:
    return BuildRun.of(timings(records, workers), 5.5, BESIDE)


MACHINE = Machine(
    date="2026-01-01",
    commit="abc",
    processor="A|B",
    cores=2,
    memory_bytes=24 * 2**30,
    system="Linux",
    instruction_set="x",
    versions={"torch": "2"},
    pinned=True,
)


def results(full_records: int = 150_016, gpu: str | None = None) -> Results:
    three = Series(values=(1.0, 2.0, 4.0))
    peers = {
        method: [PeerRun(records=4, method=method, generate_s=1, measure_s=3, failed_leads=1)] * 3 for method in METHODS
    }
    full = FullBuild(
        run=build_run(full_records),
        process_s=300,
        peak=Peak(pss_bytes=4 * 2**30, rss_bytes=5 * 2**30, processes=9, samples=600),
    )
    return Results(
        machine=MACHINE,
        quick=False,
        generator=Generator(
            ours_ms=three,
            published_ms=Series(values=(4.0, 8.0, 16.0)),
            batches_ms={1: 9.0, 8: 7.0},
            multiply_adds={"published": 313e6, "polyphase": 125e6, "ours": 53e6},
            product_per_s=Series(values=(5e10,)),
            gpu=gpu,
            gpu_per_s=Series(values=(9000.0,)) if gpu else None,
        ),
        one_core=OneCore(
            generator_per_s=Series(values=(200.0,) * 3),
            builds=[build_run(workers=1)] * 3,
            peers=peers,
            stages_ms={"noise": three, "hash": three},
        ),
        full=full,
        small=[full],
        flow=FlowRun(records=512, waiting_ms_a_shard=12, waiting_percent=2),
        scaling=Scaling(one=[build_run(workers=1)], two=[build_run()]),
        storage=Storage(
            records=100,
            signal_bytes=3_650_000,
            dataset_bytes=7_000_000,
            random_ms=three,
            scan_mb_per_s=three,
            codecs=[Codec(codec="zstd", level=1, shuffle="bit", bytes_a_record=36_500, encode_ms=0.2, decode_ms=0.1)],
        ),
    )


def test_the_document_renders_from_figures() -> None:
    text = document(Results.model_validate_json(results().model_dump_json()))
    assert (
        "| generator against the published network, one core | 4.00× | 4.00 to 4.00 | ≥ 1.9× | ≥ 2.4× | aim |" in text
    )
    assert "GPU: not measured" in text
    assert "A quick run" not in text
    assert "zstd, level 1, bit shuffle | 36,500" in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1, table
    assert "A quick run" in document(results().model_copy(update={"quick": True}))
    assert "On cuda:0 X: 9,000 records/s" in document(results(gpu="cuda:0 X"))


def test_limits_of_the_full_build_judge_no_other() -> None:
    verdicts = {target.name: target.verdict for target in targets(results())}
    assert verdicts["150,016 records by two workers: time"] == "other size"
    assert verdicts["signals on disk, a record"] == "met"
    quick = targets(results().model_copy(update={"quick": True}))
    assert {target.verdict for target in quick} == {"other size"}


@pytest.mark.parametrize(
    ("reached", "higher", "verdict"),
    [(3, True, "aim"), (1.5, True, "must"), (0.5, True, "**missed**"), (0.5, False, "aim"), (3, False, "**missed**")],
)
def test_a_figure_is_judged_by_its_median(reached: float, higher: bool, verdict: str) -> None:
    limits = (1, 2) if higher else (2, 1)
    assert Target("x", Series(values=(0, reached, 9)), *limits, higher=higher).verdict == verdict


def test_the_profile_adds_up() -> None:
    run = build_run()
    assert sum(run.stages_s.values()) + run.waiting_s == pytest.approx(run.workers * run.phases_s["make"])
    assert set(run.beside_s) == {BESIDE}
    assert run.made_per_s == 512 / 4


def test_the_flows_report_is_understood() -> None:
    """In the words in which builds report their timings."""
    found = timings()
    flow = parsed_report(f"something\n{found.text()}", 512)
    assert flow.waiting_ms_a_shard == pytest.approx(1000 * found.waiting / 2, abs=0.1)
    assert flow.waiting_percent == pytest.approx(100 * found.waiting / 8, abs=0.1)
    with pytest.raises(FoundryError, match="where the time went"):
        parsed_report("nothing", 512)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("method", METHODS)
def test_the_peer_generates_and_measures(method: str) -> None:
    run = run_peer(1, method)
    assert run.failed_leads <= 8
    assert min(run.generate_s, run.measure_s) > 0
    assert run.records_per_s == pytest.approx(1 / (run.generate_s + run.measure_s))


def test_memory_of_children_and_of_the_adopted_is_counted() -> None:
    """A child's 200 MB, held by a process whose parent has ended."""
    holder = "import time; held = b'x' * 200_000_000; print(len(held), flush=True); time.sleep(60)"
    program = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {holder!r}]).pid, flush=True)"
    mark, environment = marked(os.environ)
    parent = subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    child = int(parent.stdout.readline())
    try:
        assert parent.stdout.readline() == "200000000\n"
        with MemoryWatch(parent.pid, mark) as watch:
            parent.wait()
            time.sleep(0.1)
    finally:
        os.kill(child, 9)
        parent.stdout.close()
    assert 200 * MB < watch.peak.pss_bytes <= watch.peak.rss_bytes < 300 * MB


def test_what_a_process_said_is_in_the_error_when_it_fails() -> None:
    with pytest.raises(FoundryError, match=r"benchmarks.performance.build failed with status 2: .*--records"):
        run("benchmarks.performance.build", (), cores=1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot hold a process to a core")
def test_processes_are_held_to_cores_and_the_test_is_not() -> None:
    before = os.sched_getaffinity(0)
    with held_to(1):
        count = subprocess.check_output([sys.executable, "-c", "import os; print(len(os.sched_getaffinity(0)))"])
    assert int(count) == 1
    assert os.sched_getaffinity(0) == before


def test_multiply_adds_are_those_of_the_network() -> None:
    assert round(published_multiply_adds() / 1e6) == 313
    assert round(polyphase_multiply_adds() / 1e6) == 125


def test_results_are_the_report_with_its_provenance(dataset: Dataset, tmp_path: Path) -> None:
    make_report(dataset, tmp_path / "report")
    report = (tmp_path / "report" / "report.md").read_text()
    text = results_markdown(report, dataset.manifest)
    assert text.startswith("# Results: 80 records\n")
    assert "`ecg-foundry build --records 80 --seed 7`" in text
    assert dataset.manifest.content_digest in text
    assert dataset.manifest.provenance
    assert all(name in text for name in dataset.manifest.provenance.instruction_sets)
    assert report.split("## Counts")[1].replace("(figures/", "(results/") in text


@pytest.mark.parametrize(
    ("module", "arguments", "status"),
    [
        ("performance", ["--records", "0"], 2),
        ("performance", ["--flow-records", "-5"], 2),
        ("codecs", ["--records", "none"], 2),
        ("results", ["nowhere"], 4),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(module: str, arguments: list[str], status: int) -> None:
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    assert "error:" in done.stderr.splitlines()[-1]
