"""Multiply-adds that the generator's network takes in each of its forms, and how fast this core does them."""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pipeline.generators import Generator
from pipeline.generators.pulse2pulse import Pulse2Pulse, UpBlock
from pipeline.generators.spectral import upsampled_taps
from pipeline.leads import SAMPLES, STORED_LEADS
from pipeline.noise import block_noise
from pipeline.shards import BLOCK

_SIZE = 2048
"""Rows and columns of the large product."""


def multiply_adds(generator: Generator) -> dict[str, float]:
    """Multiply-adds a record of the published form, of the polyphase form, and of ours as it runs."""
    noise = block_noise(0, 0, BLOCK)
    return {
        "published": published_multiply_adds(),
        "polyphase": polyphase_multiply_adds(),
        "ours": _counted(lambda: generator(noise)) / BLOCK,
    }


def published_multiply_adds() -> float:
    """A record, layer by layer as published: every tap at every sample, copies and padding included."""
    network, noise = Pulse2Pulse(), torch.zeros(1, len(STORED_LEADS), SAMPLES)
    with torch.inference_mode():
        return _counted(lambda: network(noise))


def polyphase_multiply_adds() -> float:
    """A record, with those taps of the upsampling layers added up that read the same sample."""
    total, length = 0, SAMPLES
    for layer in Pulse2Pulse().children():  # in the order of the signal
        if isinstance(layer, UpBlock):
            kernel: Tensor = layer.conv1d.weight.detach()
            total += length * upsampled_taps(kernel.double().numpy(), layer.factor).weights.size
            length *= layer.factor
        elif isinstance(layer, nn.Conv1d):
            length //= layer.stride[0]
            total += length * layer.weight.numel()
    return float(total)


def product_rate(products: int) -> float:
    """Multiply-adds a second of a large float32 matrix product, on as many threads as are set.

    Args:
        products: how many are timed together.
    """
    a, b = torch.randn(_SIZE, _SIZE), torch.randn(_SIZE, _SIZE)
    result = torch.mm(a, b)
    started = time.perf_counter()
    for _ in range(products):
        torch.mm(a, b, out=result)
    return products * _SIZE**3 / (time.perf_counter() - started)


def _counted(work: Callable[[], object]) -> float:
    """Multiply-adds of the products and convolutions that the work really does."""
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops()) / 2  # a multiply-add is two operations
