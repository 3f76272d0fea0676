"""Pulse2Pulse: a one-dimensional U-Net from noise of an ECG's shape to an ECG.

Architecture after Thambawita, Isaksen et al., "DeepFake electrocardiograms" (2021), supplementary Table S1, as the
published weights have it: six strided convolutions down, six upsampling blocks up, skips by concatenation. The
output, times 6000 and truncated toward zero, is in µV at 500 Hz, leads I, II, V1-V6.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn, unflatten
from torch.nn import functional

from pipeline.errors import RecipeError
from pipeline.generators.checkpoint import load_weights
from pipeline.generators.spectral import SpectralConvolution, strided_taps, upsampled_taps
from pipeline.leads import SAMPLES, STORED_LEADS
from pipeline.shards import BLOCK

SCALE_UV = 6000.0
"""The published scale: training ECGs were divided by 6000 µV (deepfake-ecg 1.1.2, Pulse2Pulse data loader)."""

_KERNEL = 25
_DOWN = ((8, 10, 2), (10, 25, 5), (25, 50, 2), (50, 150, 5), (150, 250, 5), (250, 250, 5))
"""Channels in, channels out and stride of conv_1 to conv_6."""
_UP = {1: (250, 250, 5), 2: (500, 150, 5), 3: (300, 50, 5), 5: (100, 25, 2), 6: (50, 10, 5), 7: (10, 8, 2)}
"""Channels in, channels out and upsampling of the deconv blocks; the published network has no deconv_4."""
_SKIPS = {2: 5, 3: 4, 5: 3, 6: 2}
"""The deconv blocks that read, beside their predecessor's output, that of a conv layer."""
_SLOPE = 0.01
"""Of the leaky rectifiers on the way down."""
_CACHED = 8
"""Records that go through the last layer together: 1.3 MB a step, which a core's cache holds; all 32 take half as long
again."""
_DEAD = ("fc1.", "ppfilter1.", "Conv1dTrans.")
"""Published weights that the forward pass never touches: three layers left from WaveGAN."""


class UpBlock(nn.Module):
    """Nearest-neighbour upsampling, then a convolution over zero-padded edges."""

    def __init__(self, channels_in: int, channels_out: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.conv1d = nn.Conv1d(channels_in, channels_out, _KERNEL, padding=_KERNEL // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in, length) to (batch, out, factor · length)."""
        convolved: Tensor = self.conv1d(functional.interpolate(x, scale_factor=float(self.factor), mode="nearest"))
        return convolved


class Pulse2Pulse(nn.Module):
    """The generator network in plain form; parameter names are the published checkpoint's."""

    def __init__(self) -> None:
        super().__init__()
        for number, (channels_in, channels_out, stride) in enumerate(_DOWN, start=1):
            layer = nn.Conv1d(channels_in, channels_out, _KERNEL, stride=stride, padding=_KERNEL // 2)
            self.add_module(f"conv_{number}", layer)
        for number, (channels_in, channels_out, factor) in _UP.items():
            self.add_module(f"deconv_{number}", UpBlock(channels_in, channels_out, factor))

    def forward(self, noise: Tensor) -> Tensor:
        """Noise (batch, 8, 5000) in (-1, 1) to signals (batch, 8, 5000) in units of 6000 µV."""
        down, x = [], noise
        for number in range(1, 7):
            x = functional.leaky_relu(self.get_submodule(f"conv_{number}")(x), _SLOPE)
            down.append(x)
        x = functional.relu(self.get_submodule("deconv_1")(x))
        for number, skip in _SKIPS.items():
            x = torch.cat((x, down[skip - 1]), dim=1)
            x = functional.relu(self.get_submodule(f"deconv_{number}")(x))
        return torch.tanh(self.get_submodule("deconv_7")(x))


class Pulse2PulseGenerator:
    """A Pulse2Pulse with its weights folded for blocks of 32 on one device; not for two threads at once.

    Its first two layers and its last have too few channels for anything but a plain convolution. The others are
    spectral; signals between them lie as (time, record, channel).
    """

    def __init__(self, network: Pulse2Pulse, device: str) -> None:
        self.device = device if device == "cpu" else f"{device} {torch.cuda.get_device_name(device)}"
        self._torch_device = torch.device(device)
        self._first, self._second = (network.get_submodule(f"conv_{number}").to(device) for number in (1, 2))
        self._down: dict[int, SpectralConvolution] = {}
        self._up: dict[int, SpectralConvolution] = {}
        length = SAMPLES
        for number, (_, _, stride) in enumerate(_DOWN, start=1):
            length //= stride
            if number > 2:
                kernel, bias = _kernel_and_bias(network, f"conv_{number}")
                taps = strided_taps(kernel, stride)
                self._down[number] = SpectralConvolution(taps, bias, length, BLOCK, device)
        for number, (_, _, factor) in _UP.items():
            kernel, bias = _kernel_and_bias(network, f"deconv_{number}.conv1d")
            taps, bias = upsampled_taps(kernel, factor), np.tile(bias, factor)
            if number < 7:
                self._up[number] = SpectralConvolution(taps, bias, length, BLOCK, device)
            else:
                self._last = torch.tensor(taps.weights.T.copy(), dtype=torch.float32, device=device)
                self._last_bias = torch.tensor(bias, dtype=torch.float32, device=device)
                self._last_input = torch.empty((_CACHED, kernel.shape[1], length), device=device)
            length *= factor

    def __call__(self, noise: NDArray[np.float32]) -> NDArray[np.int16]:
        """Noise (32, 8, 5000) to signals (32, 8, 5000), int16 µV, truncated toward zero as published."""
        with _reproducible(), torch.inference_mode():
            deepest = self._go_down(torch.from_numpy(noise).to(self._torch_device))
            signals: NDArray[np.int16] = self._go_up(deepest).cpu().numpy()
            return signals

    def _go_down(self, noise: Tensor) -> Tensor:
        """Noise (32, 8, 5000) to (2, 32, 250); what skips the rest is left in the inputs of the way up."""
        x = functional.leaky_relu_(self._first(noise), _SLOPE)
        x = functional.leaky_relu_(self._second(x), _SLOPE).permute(2, 0, 1)
        across = {down: up for up, down in _SKIPS.items()}
        for number, layer in self._down.items():
            stride, channels = _DOWN[number - 1][2], x.shape[2]
            unflatten(layer.input, 2, (stride, channels)).copy_(unflatten(x, 0, (-1, stride)).transpose(1, 2))
            self._up[across[number - 1]].input[..., -channels:] = x
            x = functional.leaky_relu_(layer(), _SLOPE)
        return x

    def _go_up(self, deepest: Tensor) -> Tensor:
        """(2, 32, 250) to signals (32, 8, 5000), int16 µV."""
        self._up[1].input.copy_(deepest)
        for number, following in itertools.pairwise(self._up):
            _, channels, factor = _UP[number]
            phases = unflatten(self._up[number](), 2, (factor, channels)).transpose(1, 2)
            torch.clamp_min(phases, 0, out=unflatten(self._up[following].input[..., :channels], 0, (-1, factor)))
        _, channels, factor = _UP[6]
        phases = unflatten(self._up[6](), 2, (factor, channels)).permute(1, 3, 0, 2)
        signals = torch.empty((BLOCK, len(STORED_LEADS), SAMPLES), dtype=torch.int16, device=phases.device)
        interleaved = unflatten(signals, 2, (-1, _UP[7][2]))  # (record, lead, time, phase)
        for start in range(0, BLOCK, _CACHED):
            torch.clamp_min(phases[start : start + _CACHED], 0, out=unflatten(self._last_input, 2, (-1, factor)))
            x = functional.conv1d(self._last_input, self._last, self._last_bias, padding=self._last.shape[2] // 2)
            x = unflatten(x.tanh_().mul_(SCALE_UV).to(torch.int16), 1, (_UP[7][2], -1))
            interleaved[start : start + _CACHED] = x.permute(0, 2, 3, 1)
        return signals


def _kernel_and_bias(network: Pulse2Pulse, layer: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    kernel, bias = (
        getattr(network.get_submodule(layer), name).detach().double().numpy() for name in ("weight", "bias")
    )
    return kernel, bias


@contextmanager
def _reproducible() -> Iterator[None]:
    """One intra-op thread, because rounding depends on how work is shared out, and full float32 everywhere."""
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)


def load(checkpoint: Path | None, sha256: str, device: str) -> Pulse2PulseGenerator:
    """Load a Pulse2Pulse checkpoint.

    Args:
        checkpoint: its file; None for the published one.
        sha256: what the file must hash to.
        device: `cpu` or `cuda`.

    Raises:
        RecipeError: when the file is missing, altered, or not of this network.
    """
    weights = load_weights(checkpoint, sha256)
    live = {name: value for name, value in weights.items() if not any(part in name for part in _DEAD)}
    network = Pulse2Pulse()
    try:
        network.load_state_dict(live)
    except RuntimeError as error:
        raise RecipeError(
            f"checkpoint {checkpoint or 'of deepfake-ecg'} does not fit the generator pulse2pulse "
            f"({len(STORED_LEADS)} leads × {SAMPLES} samples): {str(error).splitlines()[1].strip()} "
            f"Give a Pulse2Pulse generator's checkpoint"
        ) from error
    return Pulse2PulseGenerator(network, device)
