"""The cost model: what a record and a shard take, and how far that carries."""

from dataclasses import dataclass

from benchmarks.performance.figures import BuildRun
from benchmarks.scaling.results import Requests, Results
from pipeline.second_opinion import sample_size

GENERATOR = ("noise", "generate")
"""The stages that a GPU takes over, noise in part."""


@dataclass(frozen=True)
class Costs:
    """What one record or one shard takes."""

    worker_s: float
    """A record, of one core."""
    without_generator_s: float
    """A record, of one core, were generating free."""
    driver_ms: float
    """A shard, on the wall."""
    driver_bytes: float
    """A shard."""
    driver_base_bytes: float
    server_ms: float
    """A shard, until server and database have all of it; of the largest run that they have wholly."""
    database_bytes: float
    """A shard."""
    finalise_s: float
    """A record."""
    finalise_bytes: float
    """A record, of memory."""
    stored_bytes: float
    """A record, of the dataset with its normal subset."""
    requests: dict[str, float]
    """A shard, of an S3 store, by phase."""
    opinion_requests: float
    """A second opinion."""

    def workers_at_once(self, shard_records: int, milliseconds: float) -> float:
        """How many workers are served by what takes so long a shard."""
        return 1000 * shard_records * self.worker_s / milliseconds


def costs(results: Results) -> Costs:
    """From what was measured, of databases with the first.

    Args:
        results: with at least two sizes of everything.
    """
    runs = [run for run in results.empty if run.database == results.empty[0].database]
    small, large = runs[-2], runs[-1]
    kept_up = [run for run in runs if run.recorded == run.driven.shards][-1]
    fewer, more = (run.driven.shards for run in (small, large))
    one = results.inside[0]
    few, many, opinions = results.requests
    default = [found for found in results.finalised if found.second_opinion]
    least, most = default[0], default[-1]
    records = most.records - least.records
    driver_bytes = (large.peak_bytes - small.peak_bytes) / (more - fewer)
    return Costs(
        worker_s=_worker_s(one),
        without_generator_s=_worker_s(one) - sum(one.stages_s[stage] for stage in GENERATOR) / one.records,
        driver_ms=large.wall_ms,
        driver_bytes=driver_bytes,
        driver_base_bytes=large.peak_bytes - more * driver_bytes,
        server_ms=kept_up.a_shard(1000 * kept_up.recorded_s),
        database_bytes=kept_up.a_shard(kept_up.grown_bytes),
        finalise_s=(most.seconds - least.seconds) / records,
        finalise_bytes=(most.peak_bytes - least.peak_bytes) / records,
        stored_bytes=most.folder_bytes / most.records,
        requests={phase: _more(many, few, phase) / (many.shards - few.shards) for phase in many.phases},
        opinion_requests=_more(opinions, many, "finalise") / sample_size(opinions.records, opinions.second_opinion),
    )


def _worker_s(build: BuildRun) -> float:
    """Seconds of a worker a record: what it computes; it writes beside that."""
    return sum(build.stages_s.values()) / build.records


def _more(one: Requests, other: Requests, phase: str) -> int:
    return sum(one.phases[phase].values()) - sum(other.phases[phase].values())
