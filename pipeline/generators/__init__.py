"""Generators by name. One file a network; each turns noise into int16 µV signals."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.generators import pulse2pulse
from pipeline.noise import block_noise
from pipeline.recipe import Recipe
from pipeline.shards import BLOCK

GENERATION_VERSION = "2.0.0"
"""Changes whenever the noise or a generator's rounding does: bytes of two versions do not belong in one dataset.

1.0.0  the published network as it stands
2.0.0  its convolutions between phases, as products of spectra
"""


class Generator(Protocol):
    """A loaded network."""

    device: str
    """The device it runs on, such as `cpu` or `cuda:0 NVIDIA H200`."""

    def __call__(self, noise: NDArray[np.float32]) -> NDArray[np.int16]:
        """Signals of one block: (BLOCK, 8, 5000) noise in, (BLOCK, 8, 5000) µV out."""
        ...


GENERATORS: dict[str, Callable[[Path | None, str, str], Generator]] = {"pulse2pulse": pulse2pulse.load}
"""Loaders by name: (checkpoint file or None for the published one, its SHA-256, device) to a generator."""


def load_generator(recipe: Recipe, checkpoint: Path | None = None, device: str = "cpu") -> Generator:
    """Load the recipe's generator.

    Args:
        recipe: names the generator and pins the checkpoint's SHA-256.
        checkpoint: the checkpoint file; None for the published one.
        device: `cpu` or `cuda`.

    Raises:
        RecipeError: when the checkpoint is missing, altered or of another network.
    """
    return GENERATORS[recipe.generator](checkpoint, recipe.checkpoint_sha256, device)


def generate_block(generator: Generator, seed: int, block: int) -> NDArray[np.int16]:
    """Generate the whole block of records 32 · block ≤ i < 32 · (block + 1), shape (32, 8, 5000), µV."""
    return generator(block_noise(seed, block * BLOCK, (block + 1) * BLOCK))
