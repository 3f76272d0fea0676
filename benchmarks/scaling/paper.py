"""What is computed from the measured figures: the cost model, what saturates where, and a thousand million records."""

import math

from benchmarks.markdown import text
from benchmarks.performance.markdown import number, table
from benchmarks.performance.targets import GIB
from benchmarks.scaling.model import Costs
from pipeline.recipe import MOST_RECORDS
from pipeline.shards import DEFAULT_SHARD_RECORDS, MOST_SHARD_RECORDS, MOST_SHARDS

_RELEASE_S, _RELEASE_BYTES = 103 / 150_000, 10.1e9 / 150_000
"""A record: docs/releasing.md."""
_FULL = 150_000, 2, 322.0, 47.3, 5.5
"""Records, workers, seconds of making and of finalising, and the flow's milliseconds a shard: docs/performance.md."""
_DAY, _HOUR = 86_400, 3600
_GIB = (16, 64)
_CORES = 1000
_SIZES = (DEFAULT_SHARD_RECORDS, 2048, MOST_SHARD_RECORDS)
_KB, _MB, _GB, _TB = 1e3, 1e6, 1e9, 1e12


def computed(found: Costs, database: str) -> list[str]:
    """The sections.

    Args:
        found: what was measured.
        database: where.
    """
    return ["## Computed", *_model(found, database), *_limits(found), *_most(found)]


def _model(found: Costs, database: str) -> list[str]:
    requests = ", ".join(f"{number(count)} to {phase}" for phase, count in found.requests.items())
    rows = [
        ("a core", f"{1 / found.worker_s:,.0f} records/s", "measured"),
        (
            "a core of a worker with a GPU",
            f"at most {1 / found.without_generator_s:,.0f} records/s",
            "estimated: as if noise and network took no time; no GPU was there to measure",
        ),
        ("dataset, normal subset included", f"{found.stored_bytes:,.0f} B a record", "measured"),
        ("release", f"{_RELEASE_BYTES:,.0f} B and {1000 * _RELEASE_S:.2f} ms a record", "docs/releasing.md"),
        ("finalise, time", f"{1000 * found.finalise_s:.3f} ms a record", "slope between the datasets above"),
        ("finalise, memory", f"{found.finalise_bytes:,.0f} B a record", "slope between the datasets above"),
        ("driver, time", f"{number(found.driver_ms)} ms a shard", f"measured, {database}"),
        (
            "driver, memory",
            f"{found.driver_base_bytes / _MB:,.0f} MB and {found.driver_bytes / _KB:.1f} kB a shard",
            "slope between the largest two",
        ),
        (
            "Prefect's server, time",
            f"{number(found.server_ms)} ms a shard",
            f"measured, {database}, the largest run of which it knew every shard",
        ),
        ("Prefect's database", f"{found.database_bytes / _KB:.1f} kB a shard", "of the same run"),
        ("S3, requests a shard", requests, "slope between the builds above"),
        ("S3, requests a second opinion", number(found.opinion_requests), "measured"),
    ]
    records, workers, make_s, finalise_s, driver_ms = _FULL
    checks = [
        ("making, s", number(records * found.worker_s / workers), number(make_s)),
        ("finalising, s", number(records * found.finalise_s), number(finalise_s)),
        ("scheduling and waiting, ms a shard", number(found.driver_ms), number(driver_ms)),
    ]
    return [
        "### Cost model",
        table(("", "", "how known"), rows),
        text(f"Held against the {records:,} records by {workers} workers of docs/performance.md, another day:"),
        table(("", "by this model", "measured there"), checks),
    ]


def _limits(found: Costs) -> list[str]:
    memory = found.driver_base_bytes + MOST_SHARDS * found.driver_bytes
    by_size: dict[str, list[float]] = {
        "workers that one driver serves": [found.workers_at_once(size, found.driver_ms) for size in _SIZES],
        "workers whose task runs one server records as they come": [
            found.workers_at_once(size, found.server_ms) for size in _SIZES
        ],
        f"records in a dataset's {MOST_SHARDS:,} shards at most": [MOST_SHARDS * size for size in _SIZES],
        "requests to S3 for 1,000 records": [1000 * sum(found.requests.values()) / size for size in _SIZES],
    }
    by_records = [
        *((f"finalise, in {size} GiB of memory", f"{size * GIB / found.finalise_bytes:,.0f} records") for size in _GIB),
        ("finalise, in a day", f"{_DAY / found.finalise_s:,.0f} records"),
        ("release, in a day", f"{_DAY / _RELEASE_S:,.0f} records"),
        ("release, 1 TB of temporary files", f"{_TB / _RELEASE_BYTES:,.0f} records"),
        (f"driver's memory for {MOST_SHARDS:,} shards", f"{memory / GIB:.1f} GiB"),
        (f"Prefect's database for {MOST_SHARDS:,} shards", f"{MOST_SHARDS * found.database_bytes / _GB:.2f} GB"),
    ]
    return [
        "### Where each part saturates",
        text(
            f"By shard size. A dataset has at most {MOST_SHARDS:,} shards, because its manifest names four files a "
            "shard and is read only up to 16 MiB."
        ),
        table(
            ("records a shard", *(f"{size:,}" for size in _SIZES)),
            ((name, *map(number, values)) for name, values in by_size.items()),
        ),
        text("Whatever the shards:"),
        table(("", "reaches"), by_records),
        text(
            f"Finalising {1000 * found.finalise_s:.2f} ms and making {1000 * found.worker_s:.2f} ms a record, one "
            f"process finalises for as long as {number(found.worker_s / found.finalise_s)} workers make; with more of "
            "them, most of the time is its. Packaging is one process too: it takes as long as "
            f"{number(found.worker_s / _RELEASE_S)} workers make."
        ),
    ]


def _most(found: Costs) -> list[str]:
    datasets = math.ceil(MOST_RECORDS * found.finalise_bytes / (_GIB[-1] * GIB))
    each = MOST_RECORDS / datasets
    shards = datasets * math.ceil(each / MOST_SHARD_RECORDS)
    requests = shards * sum(found.requests.values())
    rows = [
        (
            f"datasets, each with its own seed, finalised in {_GIB[-1]} GiB",
            f"{datasets} of {each / 1e6:.1f} million records",
        ),
        ("shards", f"{shards:,} of {MOST_SHARD_RECORDS:,}"),
        ("cores for a year", f"{MOST_RECORDS * found.worker_s / _DAY / 365.25:.2f}"),
        (f"making, on {_CORES:,} cores", f"{MOST_RECORDS * found.worker_s / _CORES / _HOUR:.1f} h"),
        ("steering, one driver after the other", f"{shards * found.driver_ms / 1000 / _HOUR:.1f} h"),
        (
            "finalising each dataset",
            f"{each * found.finalise_s / _HOUR:.1f} h, {each * found.finalise_bytes / GIB:.0f} GiB",
        ),
        ("finalising all, one after the other", f"{MOST_RECORDS * found.finalise_s / _DAY:.1f} days"),
        (
            "packaging each release",
            f"{each * _RELEASE_S / _HOUR:.1f} h, {each * _RELEASE_BYTES / _TB:.1f} TB of temporary files",
        ),
        ("datasets", f"{MOST_RECORDS * found.stored_bytes / _TB:.0f} TB"),
        ("releases", f"{MOST_RECORDS * _RELEASE_BYTES / _TB:.0f} TB"),
        ("Prefect's database", f"{shards * found.database_bytes / _GB:.1f} GB"),
        ("requests to S3, without second opinions", f"{requests / 1e6:.1f} million"),
    ]
    return [f"### {MOST_RECORDS:,} records", table(("", ""), rows)]
