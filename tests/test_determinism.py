"""One recipe, one digest: whatever the shards, their order, the engine, its workers, what fails and how often."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import ray
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from pipeline import worker
from pipeline.build import Build, build_dataset, make_shards
from pipeline.cli import main
from pipeline.dataset import Dataset, open_dataset
from pipeline.digest import digests
from pipeline.engines import Crew, Engine
from pipeline.engines.ray_cluster import connect
from pipeline.errors import WorkerError
from pipeline.shards import BLOCK, Shard
from pipeline.store.ledger import LedgerEntry, part_file
from pipeline.store.place import Place
from pipeline.store.signals import shard_file
from pipeline.verify import verify
from tests.conftest import build, planned

SEED = 7
MOST = 4 * BLOCK
"""Records of the dataset that all others are compared with, as the first of its records."""
STEPS = ("write_shard", "write_part", "commit")
"""What a worker does with a shard that it has computed."""

Record = Callable[[str, object], None]
SLOW = settings(
    deadline=None,
    # An example is a build or several: to shrink one takes minutes, and it is short as it stands.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@dataclass(frozen=True)
class Go:
    """One call of a build, which something may end early."""

    crew: Crew
    order: tuple[int, ...]
    """In which the shards are begun, by their index."""
    twice: frozenset[int]
    """Shards that two workers are given at once."""
    never_begun: frozenset[int]
    """Calls of a worker, counted from 0, that fail before it has done anything."""
    answer_lost: frozenset[int]
    """Calls of a worker that fail when it has done everything."""
    step_fails: frozenset[tuple[int, bool]]
    """Steps of a worker in this process, counted from 0, that fail; before they are done, or after."""
    stopped_after: int | None
    """Calls of a worker after which the driver is stopped."""


@dataclass(frozen=True)
class Course:
    """One way to come to a dataset: what is there before, then goes, and a last one in which nothing fails."""

    records: int
    shard_records: int
    before: int
    """Records of a finished dataset that is extended; none for none."""
    goes: tuple[Go, ...]


def subsets(largest: int) -> st.SearchStrategy[frozenset[int]]:
    return st.frozensets(st.integers(0, largest), max_size=4)


def courses(crews: list[Crew], most_goes: int) -> st.SearchStrategy[Course]:
    """Courses by any of the crews."""
    shards = MOST // BLOCK
    go = st.builds(
        Go,
        crew=st.sampled_from(crews),
        order=st.permutations(range(shards)).map(tuple),
        twice=subsets(shards),
        never_begun=subsets(2 * shards),
        answer_lost=subsets(2 * shards),
        step_fails=st.frozensets(st.tuples(st.integers(0, 3 * shards), st.booleans()), max_size=4),
        stopped_after=st.none() | st.integers(0, 2 * shards),
    )
    return st.builds(
        Course,
        records=st.integers(1, MOST),
        shard_records=st.sampled_from([BLOCK, 2 * BLOCK, 3 * BLOCK, MOST, 2 * MOST]),
        before=st.just(0) | st.integers(1, MOST),
        goes=st.lists(go, min_size=1, max_size=most_goes).map(tuple),
    )


class Stopped(Exception):  # noqa: N818 - not an error: what Ctrl-C does to a driver
    """The driver is stopped."""


class Troubled:
    """An engine to which happens what a go says."""

    def __init__(self, engine: Engine, go: Go, failures: list[str]) -> None:
        self._engine, self._go, self._failures = engine, go, failures
        self._lock = threading.Lock()
        self._calls = 0
        self.workers, self.slots = engine.workers, engine.slots

    def run(self, shard: Shard) -> LedgerEntry:
        with self._lock:
            call = self._calls
            self._calls += 1
        if call == self._go.stopped_after:
            raise Stopped
        if call in self._go.never_begun:
            raise _failure("the worker never began", self._failures)
        entry = self._engine.run(shard)
        if call in self._go.answer_lost:
            raise _failure("the worker's answer was lost", self._failures)
        return entry

    def stop(self) -> None:
        self._engine.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass


def _failure(reason: str, failures: list[str]) -> WorkerError:
    failures.append(reason)
    return WorkerError(reason)


@contextmanager
def failing_steps(fails: frozenset[tuple[int, bool]], failures: list[str]) -> Iterator[None]:
    """Workers in this process die before or after some of their steps."""
    lock, count = threading.Lock(), iter(range(10**6))

    def failing(step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            with lock:
                number = next(count)
            if (number, False) in fails:
                raise _failure("the worker died before a step", failures)
            result = step(*arguments)
            if (number, True) in fails:
                raise _failure("the worker died after a step", failures)
            return result

        return run

    with pytest.MonkeyPatch.context() as patch:
        for name in STEPS:
            patch.setattr(worker, name, failing(getattr(worker, name)))
        yield


def follow(course: Course, folder: Path, failures: list[str]) -> Dataset:
    """Build a dataset by a course; what fails on the way is noted."""
    options: dict[str, Any] = {"second_opinion": 0.0}
    if 0 < course.before <= course.records:
        build(folder, engine="serial", records=course.before, seed=SEED, shard_records=course.shard_records, **options)
    plan = planned(records=course.records, seed=SEED, shard_records=course.shard_records)
    for go in course.goes:

        def make(build: Build, engine: Engine, go: Go = go) -> None:
            shards = [shard for shard in build.pending for _ in range(1 + (shard.index in go.twice))]
            shards.sort(key=lambda shard: go.order.index(shard.index))
            make_shards(
                replace(build, remaining=replace(build.remaining, pending=shards)), Troubled(engine, go, failures)
            )

        try:
            with failing_steps(go.step_fails, failures):
                build_dataset(folder, plan, crew=go.crew, make=make, **options)
        except (Stopped, WorkerError):
            continue  # the next go resumes
    return build_dataset(folder, plan, crew=Crew("serial"), **options).dataset


class Witness:
    """Holds every build against the one that all are compared with, and its files against those of the others."""

    def __init__(self, whole: Dataset) -> None:
        self._signals, self._table = whole.signals[:], whole.measurements()
        self._files: dict[tuple[object, ...], str] = {}

    def check(self, dataset: Dataset) -> None:
        """Digest, signals and rows are the whole dataset's, and files the same bytes wherever they hold the same."""
        records, manifest = len(dataset), dataset.manifest
        assert manifest.content_digest == digests(self._table.slice(0, records)).content
        assert np.array_equal(dataset.signals[:], self._signals[:records])
        assert dataset.measurements().equals(self._table.slice(0, records))
        self._same(dataset.folder / "measurements.parquet", records)
        for shard in planned(records=records, seed=SEED, shard_records=manifest.shard_records).shards():
            self._same(shard_file(dataset.folder, shard), shard, manifest.shard_records)
            self._same(part_file(dataset.folder, shard), shard)
        assert not verify(dataset)

    def _same(self, file: Place, *holds: object) -> None:
        found = sha256(file.read_bytes()).hexdigest()
        assert self._files.setdefault((file.suffix, *holds), found) == found, file


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory) -> Witness:
    folder = tmp_path_factory.mktemp("whole") / "d"
    return Witness(build(folder, records=MOST, seed=SEED, shard_records=MOST, second_opinion=0.0))


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """One Ray cluster of three cores for every build; engines join what they find started."""
    connect(Crew(workers=3))
    yield
    ray.shutdown()


CALM = Go(Crew("serial"), (3, 2, 1, 0), *(frozenset[int](),) * 3, frozenset(), None)
LOST_AND_TWICE = replace(CALM, twice=frozenset(range(4)), answer_lost=frozenset({0, 1, 2}))
DYING = replace(CALM, step_fails=frozenset({(0, True), (2, True), (3, False), (5, True)}), stopped_after=5)


@pytest.mark.parametrize("examples", [2, pytest.param(100, marks=pytest.mark.bad_day)])
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("one_generator")
@pytest.mark.filterwarnings("ignore::tqdm.TqdmWarning")  # a shard given to two workers counts twice
def test_shards_orders_and_failures_change_nothing(
    examples: int, witness: Witness, tmp_path: Path, record_property: Record
) -> None:
    folders, failures = map(str, range(10**6)), list[str]()
    builds = 0

    @settings(SLOW, max_examples=examples)
    @example(Course(MOST, BLOCK, 0, (LOST_AND_TWICE, DYING)))
    @example(Course(MOST - 1, BLOCK, 50, (DYING, DYING, LOST_AND_TWICE)))
    @given(courses([Crew("serial")], most_goes=3))
    def holds(course: Course) -> None:
        nonlocal builds
        witness.check(follow(course, tmp_path / next(folders), failures))
        builds += 1

    holds()
    over = "over lengths, shard sizes, orders, goes and extensions"
    record_property("bad_day_figure", f"determinism: {builds} builds {over}, {len(failures)} failures: one digest")


@pytest.mark.bad_day
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("cluster", "one_generator")
@pytest.mark.filterwarnings("ignore::tqdm.TqdmWarning")
def test_engines_and_workers_change_nothing(witness: Witness, tmp_path: Path, record_property: Record) -> None:
    folders, failures = map(str, range(10**6)), list[str]()
    builds = 0
    three_workers = replace(LOST_AND_TWICE, crew=Crew(workers=3), stopped_after=6)

    @settings(SLOW, max_examples=25)
    @example(Course(MOST, BLOCK, 0, (three_workers,)))
    @given(courses([*(Crew(workers=number) for number in (1, 2, 3)), Crew("serial")], most_goes=2))
    def holds(course: Course) -> None:
        nonlocal builds
        witness.check(follow(course, tmp_path / next(folders), failures))
        builds += 1

    holds()
    by = "by 1 to 3 Ray workers, gone on with by another engine"
    record_property("bad_day_figure", f"determinism: {builds} builds {by}, {len(failures)} failures: one digest")


SWITCHES = {
    "ATEN_CPU_CAPABILITY": "default",  # PyTorch's own kernels, and what it says the machine can; on AMD no byte
    "ONEDNN_MAX_CPU_ISA": "SSE41",  # convolutions: 0.12 % of samples
    "MKL_CBWR": "COMPATIBLE",  # matrix products: 0.04 %
    "OPENBLAS_CORETYPE": "Nehalem",  # numpy's products, with which weights are folded: 0.02 %
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",  # the same as MKL_CBWR on Intel; on AMD it does nothing
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL",  # numpy's loops: no byte
}
"""The libraries' own, all to the oldest instruction set that they know."""


def on_another_instruction_set(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.cli", *map(str, arguments)]
    return subprocess.run(command, env=os.environ | SWITCHES, check=True, capture_output=True, text=True)


def test_a_dataset_of_another_instruction_set_is_within_the_tolerance_and_says_so(
    tmp_path: Path, dataset: Dataset, capsys: pytest.CaptureFixture[str], record_property: Record
) -> None:
    """Built there and made again here, and the other way round, every record; both name both classes."""
    plan = ("--records", 80, "--seed", 7, "--shard-records", 64, "--engine", "serial", "--second-opinion", 0)
    on_another_instruction_set("build", *plan, "--no-release", "--out", tmp_path / "d")
    there = open_dataset(tmp_path / "d").manifest
    here = dataset.manifest
    assert there.provenance is not None
    assert here.provenance is not None
    classes = here.provenance.instruction_sets + there.provenance.instruction_sets
    if classes[0] == classes[1]:
        pytest.skip(f"this machine has one instruction set only: {classes[0]}")
    assert there.content_digest != here.content_digest
    assert main(["verify", str(tmp_path / "d"), "--regenerate", "80"]) == 0
    outputs = [capsys.readouterr().out, on_another_instruction_set("verify", dataset.folder, "--regenerate", 80).stdout]
    for output in outputs:
        assert "within the tolerance of another instruction set" in output
        assert all(name in output for name in classes)
        assert "by at most 1 µV; 0 rows measured again on the stored signals differ" in output
    normal = ["verify", str(tmp_path / "d" / "normal"), "--regenerate", "8", "--sample-seed", "1"]
    assert main(normal) == 0
    assert f"made on {classes[1]}; this machine is {classes[0]}" in capsys.readouterr().out
    share = np.mean(open_dataset(tmp_path / "d").signals[:] != dataset.signals[:])
    assert 0 < share <= 0.005
    figure = f"another instruction set: {100 * share:.2g} % of samples differ, by 1 µV, and no row measured on them"
    record_property("bad_day_figure", f"{figure} ({classes[1]} against {classes[0]})")
