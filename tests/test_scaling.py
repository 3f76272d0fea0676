"""The scaling document's machinery; nothing here depends on how fast a machine is."""

import re
from pathlib import Path

import pytest

from benchmarks.performance.results import FullBuild, Peak
from benchmarks.scaling.document import BEGIN, document, with_figures
from benchmarks.scaling.finalising import finalised
from benchmarks.scaling.model import costs
from benchmarks.scaling.orchestration import run_empty
from benchmarks.scaling.results import Driven, EmptyRun, Finalised, Kept, Requests, Results
from benchmarks.scaling.servers import DATABASES, check_database
from pipeline.dataset import Dataset, plan_of
from pipeline.errors import FoundryError
from tests.test_benchmarks import MACHINE, build_run

MB = 10**6


def empty_run(database: str, shards: int, kb: float = 20, ms: float = 5, wait_ms: float = 900) -> EmptyRun:
    driven = Driven(flow_run="x", shards=shards, workers=2, started=0, make_s=ms * shards / 1000, cpu_s=1)
    return EmptyRun(
        database=database,
        driven=driven,
        peak_bytes=int(400 * MB + 1000 * kb * shards),
        requests=30,
        recorded=shards,
        recorded_s=0.01 * shards,
        dropped=0,
        server_cpu_s=1,
        server_bytes=300 * MB,
        database_cpu_s=1,
        kept=Kept(bytes=9 * MB, waits_ms=(wait_ms,)),
        grown_bytes=25_000 * shards,
        transactions=3 * shards,
    )


def finalised_run(records: int, share: float) -> Finalised:
    return Finalised(
        records=records,
        shards=records // 100,
        second_opinion=share,
        seconds=1 + records / 4000,
        before_bytes=200 * MB,
        peak_bytes=300 * MB + 5000 * records,
        table_bytes=450 * records,
        folder_bytes=68_000 * records,
    )


def results(empty: list[EmptyRun], *, quick: bool = False) -> Results:
    made = build_run(workers=1)
    asked = [
        Requests(
            shards=shards,
            records=32 * shards,
            second_opinion=share,
            phases={
                "open": {"GET": shards},
                "make": {"PUT": 3 * shards},
                "finalise": {"GET": 4 * shards, "HEAD": more},
            },
        )
        for shards, share, more in ((2, 0, 0), (6, 0, 0), (6, 0.02, 8))
    ]
    return Results(
        machine=MACHINE,
        quick=quick,
        empty=empty,
        crowd=empty[0],
        inside=[made, build_run()],
        nodes={1: made, 3: made},
        shard_sizes={
            256: FullBuild(run=made, process_s=9, peak=Peak(pss_bytes=1, rss_bytes=2**30, processes=1, samples=1))
        },
        finalised=[finalised_run(2000, 0.02), finalised_run(100_000, 0.0), finalised_run(100_000, 0.02)],
        requests=asked,
    )


@pytest.fixture(scope="module")
def good() -> Results:
    return results([empty_run(database, shards) for database in DATABASES for shards in (1000, 10_000)])


def test_costs_are_slopes_where_there_is_a_base(good: Results) -> None:
    found = costs(good)
    assert found.driver_bytes == pytest.approx(20_000)
    assert found.driver_base_bytes == pytest.approx(400 * MB)
    assert (found.driver_ms, found.server_ms, found.database_bytes) == pytest.approx((5, 10, 25_000))
    assert (found.finalise_s, found.finalise_bytes) == pytest.approx((1 / 4000, 5000))
    assert found.requests == {"open": 1, "make": 3, "finalise": 4}
    assert found.opinion_requests == 2  # 8 more for 4 of 192 records
    assert found.worker_s == pytest.approx(2 * 1.9 / 512)
    assert found.without_generator_s == pytest.approx(2 * 0.8 / 512)
    assert found.workers_at_once(256, 5) == pytest.approx(256 * found.worker_s / 0.005)


def test_a_server_that_lost_shards_is_not_taken_for_a_fast_one(good: Results) -> None:
    lost = good.empty[1].model_copy(update={"recorded": 6000, "recorded_s": 1.0})
    assert costs(results([good.empty[0], lost])).server_ms == pytest.approx(10)


def test_the_document_renders_from_figures(good: Results) -> None:
    text = document(Results.model_validate_json(good.model_dump_json()))
    assert "| PostgreSQL: driver, ms a shard | 5.00 | 15 | met |" in text
    assert "| finalise, in 16 GiB of memory | 3,435,974 records |" in text
    assert "| datasets, each with its own seed, finalised in 64 GiB | 73 of 13.7 million records |" in text
    assert "A quick run" not in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1, table


@pytest.mark.parametrize(
    ("fault", "missed"), [({"kb": 41}, "memory"), ({"ms": 16}, "driver, ms"), ({"wait_ms": 1001}, "lock")]
)
def test_what_is_missed_is_said(fault: dict[str, float], missed: str) -> None:
    runs = [empty_run("PostgreSQL", shards, **fault) for shards in (1000, 10_000)]
    lines = [line for line in document(results(runs)).splitlines() if "missed" in line]
    assert len(lines) == 1
    assert missed in lines[0]
    quick = document(results(runs, quick=True))
    assert "missed" not in quick
    assert "A quick run" in quick


def test_the_words_stay_when_the_figures_are_replaced() -> None:
    once = with_figures("# Scaling\n\nWords.\n", f"{BEGIN}\n\nold\n")
    assert with_figures(once, f"{BEGIN}\n\nnew\n") == f"# Scaling\n\nWords.\n\n{BEGIN}\n\nnew\n"


@pytest.mark.bad_day
def test_empty_shards_go_through_a_real_server() -> None:
    """On PostgreSQL where it can be started, else on SQLite."""
    database = DATABASES[0]
    try:
        check_database(database)
    except FoundryError:
        database = DATABASES[1]
    run = run_empty(database, 20, 2)
    assert (run.driven.shards, run.recorded, run.dropped) == (20, 20, 0)
    assert 0 < run.driven.make_s < run.recorded_s
    assert run.peak_bytes > 50 * MB
    assert run.requests > 3
    assert run.grown_bytes > 0
    assert (run.transactions > 20) == (run.database_cpu_s > 0) == (database == "PostgreSQL")


def test_finalising_again_makes_the_same_and_leaves_the_dataset_alone(dataset: Dataset) -> None:
    folder = Path(str(dataset.folder))
    files = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    found = finalised(folder, 0.02)
    assert (found.records, found.shards) == (len(dataset), len(plan_of(dataset.manifest).shards()))
    assert found.peak_bytes > 0
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == files
