"""What one worker takes of a node, and how many workers a cluster holds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.engines import Crew
from pipeline.errors import RecipeError

_GIB = 2**30


@dataclass(frozen=True)
class Node:
    """A machine of the cluster, by what Ray says of it."""

    identity: str
    name: str
    """Host name and IP address, for people."""
    resources: Mapping[str, float] = field(hash=False)

    @property
    def cores(self) -> int:
        """Whole cores that Ray may give away."""
        return int(self.resources.get("CPU", 0))

    @property
    def gpus(self) -> int:
        """Whole GPUs that Ray may give away."""
        return int(self.resources.get("GPU", 0))

    @property
    def memory_bytes(self) -> int:
        """Memory that Ray may give away."""
        return int(self.resources.get("memory", 0))


@dataclass(frozen=True)
class Needs:
    """What Ray's scheduler keeps for one worker: a core, memory, and a GPU or a share of one."""

    gpus: float
    memory_bytes: int

    def places(self, nodes: Sequence[Node]) -> int:
        """How many workers the nodes hold when nothing else runs on them."""
        return sum(map(self._places, nodes))

    def _places(self, node: Node) -> int:
        places = node.cores
        if self.memory_bytes:
            places = min(places, node.memory_bytes // self.memory_bytes)
        if self.gpus:  # a share never lies on two GPUs
            places = min(places, node.gpus * math.floor(1 / self.gpus + 1e-9))
        return places

    def options(self) -> dict[str, float]:
        """As options of a Ray actor."""
        return {"num_cpus": 1, "num_gpus": self.gpus} | ({"memory": self.memory_bytes} if self.memory_bytes else {})

    def __str__(self) -> str:
        """In words."""
        words = ["1 core"]
        if self.gpus:
            words.append(f"{self.gpus:g} GPU")
        if self.memory_bytes:
            words.append(f"{self.memory_bytes / _GIB:g} GiB")
        return ", ".join(words)


def needs_of(crew: Crew, nodes: Sequence[Node]) -> Needs:
    """What a worker of the crew takes on these nodes.

    Bytes differ between a CPU and a GPU: where there is any GPU, every worker computes on one, and nodes without stay
    idle.

    Raises:
        RecipeError: when the nodes cannot hold the workers that are asked for, or none at all.
    """
    gpus = sum(node.gpus for node in nodes)
    share = 0.0
    if gpus:
        workers = crew.workers or sum(node.cores for node in nodes if node.gpus)
        share = crew.gpus_per_worker or _share(workers, gpus)
    elif crew.gpus_per_worker:
        raise RecipeError(
            f"gpus_per_worker {crew.gpus_per_worker:g} cannot be: Ray sees no GPU. Leave it out, or add nodes with GPUs"
        )
    needs = Needs(share, round((crew.memory_gib_per_worker or 0) * _GIB))
    places, asked = needs.places(nodes), crew.workers or 1
    if places < asked:
        raise RecipeError(
            f"Ray has room for {places} of {asked} worker(s), each with {needs}, on {len(nodes)} node(s) with "
            f"{sum(node.cores for node in nodes)} core(s), {gpus} GPU(s) and "
            f"{sum(node.memory_bytes for node in nodes) / _GIB:.1f} GiB. Ask for fewer or smaller ones, or add nodes"
        )
    return needs


def _share(workers: int, gpus: int) -> float:
    """Of a GPU, for so many workers on so many; Ray counts in ten-thousandths."""
    per_gpu = max(1, math.ceil(workers / gpus))
    return max(1, 10_000 // per_gpu) / 10_000
