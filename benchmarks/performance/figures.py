"""What one measurement gives, as it travels from the process that measures to the document."""

import statistics
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict

from pipeline.timings import Timings

_MANY = 20


class Figures(BaseModel):
    """Base of everything measured; travels as one line of JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Series(Figures):
    """The same thing measured several times."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The value that counts."""
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest; of more than 20 values the 5th and the 95th percentile."""
        outer = (5, 95) if len(self.values) > _MANY else (0, 100)
        low, high = np.percentile(self.values, outer)
        return float(low), float(high)

    def over(self, other: Self) -> "Series":
        """Ratios round by round: what was measured next to each other is compared."""
        return Series(values=tuple(a / b for a, b in zip(self.values, other.values, strict=True)))


class PeerRun(Figures):
    """One run of the peer pipeline."""

    records: int
    method: str
    """neurokit2's way of delineating: `prominence` or `dwt`."""
    generate_s: float
    measure_s: float
    failed_leads: int

    @property
    def records_per_s(self) -> float:
        """Of both stages, one after the other."""
        return self.records / (self.generate_s + self.measure_s)


class BuildRun(Figures):
    """One build of a dataset into an empty folder."""

    records: int
    workers: int
    shards: int
    wall_s: float
    """Of all of `build_dataset`."""
    phases_s: dict[str, float]
    """On the wall: start, make, finalise."""
    stages_s: dict[str, float]
    """Of all workers together, in the order of the stages; what runs beside the next shard is in `beside_s`."""
    beside_s: dict[str, float]
    waiting_s: float
    """Of all workers together."""

    @classmethod
    def of(cls, timings: Timings, wall_s: float, beside: str) -> Self:
        """From a build's own timings.

        Args:
            timings: of the build.
            wall_s: seconds it took in all.
            beside: the stage that is no part of the sum.
        """
        return cls(
            records=timings.records,
            workers=timings.workers,
            shards=timings.shards,
            wall_s=wall_s,
            phases_s=timings.phases,
            stages_s={stage: seconds for stage, seconds in timings.stages.items() if stage != beside},
            beside_s={beside: timings.stages[beside]},
            waiting_s=timings.waiting,
        )

    @property
    def records_per_s(self) -> float:
        """Of the whole build."""
        return self.records / self.wall_s

    @property
    def made_per_s(self) -> float:
        """Records a second while shards are made: without start and finalise."""
        return self.records / self.phases_s["make"]

    @property
    def waiting_ms_a_shard(self) -> float:
        """Scheduling, starting, stopping, and the wait for a shard."""
        return 1000 * self.waiting_s / self.shards
