"""Pulse2Pulse: a one-dimensional U-Net from noise of an ECG's shape to an ECG.

Architecture after Thambawita, Isaksen et al., "DeepFake electrocardiograms" (2021), supplementary Table S1, as the
published weights have it: six strided convolutions down, six upsampling blocks up, skips by concatenation. The
output, times 6000 and truncated toward zero, is in µV at 500 Hz, leads I, II, V1-V6.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import RecipeError
from pipeline.generators.checkpoint import load_weights
from pipeline.leads import SAMPLES, STORED_LEADS

SCALE_UV = 6000.0
"""The published scale: training ECGs were divided by 6000 µV (deepfake-ecg 1.1.2, Pulse2Pulse data loader)."""

_KERNEL = 25
_DOWN = ((8, 10, 2), (10, 25, 5), (25, 50, 2), (50, 150, 5), (150, 250, 5), (250, 250, 5))
"""Channels in, channels out and stride of conv_1 to conv_6."""
_UP = {1: (250, 250, 5), 2: (500, 150, 5), 3: (300, 50, 5), 5: (100, 25, 2), 6: (50, 10, 5), 7: (10, 8, 2)}
"""Channels in, channels out and upsampling of the deconv blocks; the published network has no deconv_4."""
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
    """The generator network; parameter names are the published checkpoint's."""

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
            x = functional.leaky_relu(self.get_submodule(f"conv_{number}")(x), 0.01)
            down.append(x)
        x = functional.relu(self.get_submodule("deconv_1")(x))
        for number, skip in ((2, 5), (3, 4), (5, 3), (6, 2)):
            x = torch.cat((x, down[skip - 1]), dim=1)
            x = functional.relu(self.get_submodule(f"deconv_{number}")(x))
        return torch.tanh(self.get_submodule("deconv_7")(x))


class Pulse2PulseGenerator:
    """A loaded Pulse2Pulse on one device."""

    def __init__(self, network: Pulse2Pulse, device: str) -> None:
        self._network = network.to(device).eval()
        self._torch_device = torch.device(device)
        self.device = device if device == "cpu" else f"{device} {torch.cuda.get_device_name(device)}"

    def __call__(self, noise: NDArray[np.float32]) -> NDArray[np.int16]:
        """Noise (batch, 8, 5000) to signals (batch, 8, 5000), int16 µV, truncated toward zero as published."""
        with _reproducible(), torch.inference_mode():
            signals = self._network(torch.from_numpy(noise).to(self._torch_device)) * SCALE_UV
            truncated: NDArray[np.int16] = signals.to(torch.int16).cpu().numpy()
            return truncated


@contextmanager
def _reproducible() -> Iterator[None]:
    """One intra-op thread, because rounding depends on how a convolution is shared out; on a GPU full float32."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_num_threads(before)


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
