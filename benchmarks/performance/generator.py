"""The generator alone on one core, ours and the published network in turn, and on the GPU where there is one."""

import argparse
import time
from collections.abc import Callable

import deepfakeecg
import torch

from benchmarks.performance.arithmetic import multiply_adds, product_rate
from benchmarks.performance.figures import Series
from benchmarks.performance.results import Generator
from pipeline import generators
from pipeline.generators.checkpoint import load_weights
from pipeline.noise import block_noise
from pipeline.recipe import Recipe
from pipeline.shards import BLOCK

BATCHES = (1, 2, 4, 8, 16, 32, 64)
_SCANNED = 64
"""Records at each batch size when the best is looked for."""
_GPU_BLOCKS = 64


class Ours:
    """Our generator on blocks of 32, noise in and int16 µV out."""

    def __init__(self, device: str = "cpu") -> None:
        self._generator = generators.load_generator(Recipe(), device=device)
        self._noise = block_noise(0, 0, BLOCK)
        self.device = self._generator.device

    def records_per_s(self, blocks: int) -> float:
        """Make blocks one after another."""
        started = time.perf_counter()
        for _ in range(blocks):
            self._generator(self._noise)
        return blocks * BLOCK / (time.perf_counter() - started)

    def multiply_adds(self) -> dict[str, float]:
        """A record, by form of the network."""
        return multiply_adds(self._generator)


class Published:
    """The published network with its weights: the forward pass alone, in inference mode."""

    def __init__(self) -> None:
        self._network = deepfakeecg.Generator().eval()
        self._network.load_state_dict(load_weights(None, Recipe().checkpoint_sha256))

    def records_per_s(self, records: int, batch: int) -> float:
        """Make records in whole batches, at least one."""
        noise = torch.from_numpy(block_noise(0, 0, batch))
        batches = max(1, records // batch)
        with torch.inference_mode():
            started = time.perf_counter()
            for _ in range(batches):
                self._network(noise)
        return batches * batch / (time.perf_counter() - started)


def compare(rounds: int, blocks: int) -> Generator:
    """Time both in turn, on as many threads as are set.

    Args:
        rounds: how often each has its turn.
        blocks: of 32 records, at each turn.
    """
    ours, published = Ours(), Published()
    ours.records_per_s(1)
    published.records_per_s(1, 1)  # the first is slower
    scans = [{batch: published.records_per_s(_SCANNED, batch) for batch in BATCHES} for _ in range(min(3, rounds))]
    batches = {batch: max(scan[batch] for scan in scans) for batch in BATCHES}
    best = max(batches, key=lambda batch: batches[batch])
    turns: dict[str, Callable[[], float]] = {
        "ours": lambda: ours.records_per_s(blocks),
        "published": lambda: published.records_per_s(blocks * BLOCK, best),
        "product": lambda: product_rate(4),
    }
    rates: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(rounds):
        for name, turn in turns.items():
            rates[name].append(turn())
    gpu, gpu_per_s = _on_gpu(rounds)
    return Generator(
        ours_ms=_milliseconds(rates["ours"]),
        published_ms=_milliseconds(rates["published"]),
        batches_ms={batch: 1000 / rate for batch, rate in batches.items()},
        multiply_adds=ours.multiply_adds(),
        product_per_s=Series(values=tuple(rates["product"])),
        gpu=gpu,
        gpu_per_s=gpu_per_s,
    )


def _on_gpu(rounds: int) -> tuple[str | None, Series | None]:
    if not torch.cuda.is_available():
        return None, None
    ours = Ours("cuda")
    ours.records_per_s(2)
    return ours.device, Series(values=tuple(ours.records_per_s(_GPU_BLOCKS) for _ in range(rounds)))


def _milliseconds(rates: list[float]) -> Series:
    return Series(values=tuple(1000 / rate for rate in rates))


def main() -> None:
    """Print the figures as one line of JSON."""
    parser = argparse.ArgumentParser(prog="generator", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--blocks", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(compare(options.rounds, options.blocks).model_dump_json())


if __name__ == "__main__":
    main()
