"""What the figures have to be and what they aim at, beside what was reached."""

from dataclasses import dataclass, replace

from benchmarks.performance.figures import Series
from benchmarks.performance.markdown import NONE, number, spread, table
from benchmarks.performance.results import Results

FULL = 150_000
"""Records for which the limits of the full build hold."""
GIB = 2**30


@dataclass(frozen=True)
class Target:
    """A limit and an aim; a reached value may be a median of several."""

    name: str
    reached: Series
    must: float
    aim: float | None
    unit: str = ""
    higher: bool = True
    """Whether more is better."""
    comparable: bool = True
    """Whether what was run is what the limit is for."""

    @property
    def verdict(self) -> str:
        """What the median meets."""
        if not self.comparable:
            return "other size"
        if self.aim is not None and self._meets(self.aim):
            return "aim"
        return ("must" if self.aim is not None else "met") if self._meets(self.must) else "**missed**"

    def _meets(self, limit: float) -> bool:
        return self.reached.median >= limit if self.higher else self.reached.median <= limit

    def cells(self) -> tuple[str, ...]:
        """A row of the table."""
        limits = (f"{'≥' if self.higher else '≤'} {limit:,g}{self.unit}" if limit else NONE for limit in self._limits)
        return (self.name, f"{number(self.reached.median)}{self.unit}", spread(self.reached), *limits, self.verdict)

    @property
    def _limits(self) -> tuple[float, float | None]:
        return self.must, self.aim


def target_table(results: Results) -> str:
    """One row a figure."""
    header = ("figure", "reached", "spread", "must", "aim", "meets")
    return table(header, (target.cells() for target in targets(results)))


def targets(results: Results) -> list[Target]:
    """All of them, in the order of the document; a quick run meets and misses none."""
    found = _targets(results)
    return [replace(target, comparable=False) for target in found] if results.quick else found


def _targets(results: Results) -> list[Target]:
    core, full, flow, storage = results.one_core, results.full, results.flow, results.storage
    whole = full.run.records == FULL
    peaks, records = full.peak, f"{full.run.records:,} records by two workers"
    small = Series(values=tuple(build.records_per_s for build in results.small)).median
    a_record = storage.signal_bytes / storage.records
    ratios = {method: core.build_per_s.over(core.peer_per_s(method)) for method in core.peers}
    one_core = ", whole build on one core"
    return [
        Target(
            "generator against the published network, one core",
            results.generator.published_ms.over(results.generator.ours_ms),
            1.9,
            2.4,
            "×",
        ),
        Target(f"against the peer with `prominence`{one_core}", ratios["prominence"], 10, 15, "×"),
        Target(f"against the peer with `dwt`{one_core}", ratios["dwt"], 55, 80, "×"),
        Target("whole build / generator alone, one core", core.build_per_s.over(core.generator_per_s), 0.55, 0.70),
        Target(f"{records}: time", _one(full.process_s / 60), 6.5, 5, " min", higher=False, comparable=whole),
        Target(
            f"{records}: memory of all processes (PSS)",
            _one(peaks.pss_bytes / GIB),
            5,
            4,
            " GiB",
            higher=False,
            comparable=whole,
        ),
        Target("its records/s over those of a tenth", _one(full.records_per_s / small), 0.95, None, comparable=whole),
        Target(
            "orchestration by Prefect and Ray, a shard", _one(flow.waiting_ms_a_shard), 15, None, " ms", higher=False
        ),
        Target("orchestration, of the workers' time", _one(flow.waiting_percent), 3, None, " %", higher=False),
        Target("two workers against one, two cores", results.scaling.ratio, 1.8, 1.95, "×"),
        Target("signals on disk, a record", _one(a_record), 37_000, None, " B", higher=False),
        Target("reading one record anywhere", storage.random_ms, 1.5, 1, " ms", higher=False),
        Target("reading shards whole, one core", storage.scan_mb_per_s, 150, 300, " MB/s"),
    ]


def _one(value: float) -> Series:
    return Series(values=(value,))
