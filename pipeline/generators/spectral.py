"""Convolutions between the phases of a signal, computed as products of short spectra.

Phases: a convolution of stride s is an ordinary one (stride 1, few taps) from the s phases of its input, and a
convolution after nearest-neighbour upsampling by u is an ordinary one to the u phases of its output, with those taps
added up that read the same sample. 25 taps become 5 to 13.

Spectra: circular correlation is multiplication in the discrete Fourier domain, and a complex product takes three real
ones (Karatsuba). All steps are linear in the signal, so a layer is three matrix products: into the spectrum, channels
with channels at each frequency, and back.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

TILE = 25
"""Output samples computed together, or a layer's whole length where that is less. Longer tiles need fewer products
a sample and more transforming; 10 to 50 were within 10 % of each other on two kinds of layer, 25 the best on most."""


@dataclass(frozen=True)
class Taps:
    """An ordinary convolution: y[n] = sum over k of x[n + first + k] @ weights[k]."""

    first: int
    weights: NDArray[np.float64]
    """(taps, channels in, channels out)."""


def strided_taps(kernel: NDArray[np.float64], stride: int) -> Taps:
    """The taps of a strided convolution, from the phases of its input.

    Args:
        kernel: (out, in, odd length), zero-padded by half its length on either side as PyTorch's `padding` has it.
        stride: s; the input's channels become (phase, channel).
    """
    channels_out, channels_in, length = kernel.shape
    place = np.arange(length) - length // 2
    step, phase = np.divmod(place, stride)
    weights = np.zeros((step[-1] - step[0] + 1, stride, channels_in, channels_out))
    weights[step - step[0], phase] = kernel.T
    return Taps(int(step[0]), weights.reshape(len(weights), -1, channels_out))


def upsampled_taps(kernel: NDArray[np.float64], factor: int) -> Taps:
    """The taps of a convolution after nearest-neighbour upsampling, to the phases of its output.

    Args:
        kernel: (out, in, odd length), zero-padded by half its length on either side as PyTorch's `padding` has it.
        factor: u; the output's channels become (phase, channel).
    """
    channels_out, channels_in, length = kernel.shape
    place = np.arange(length) - length // 2
    first = int(place[0] // factor)
    last = int((place[-1] + factor - 1) // factor)
    weights = np.zeros((last - first + 1, channels_in, factor, channels_out))
    for phase in range(factor):
        for tap, step in enumerate((place + phase) // factor - first):
            weights[step, :, phase] += kernel[:, :, tap].T
    return Taps(first, weights.reshape(len(weights), channels_in, -1))


def circular_correlation(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Matrices by which y[n] = sum over k of h[k] x[(n + k) mod size] is y = back @ ((of_h @ h) * (of_x @ x)).

    Each is real: one product for a real frequency, three for a complex one. Row 0 of `of_x` is the sum of x, and
    column 0 of `back` is 1 / size.

    Returns:
        `of_x` and `of_h` (products, size), `back` (size, products).
    """
    of_x, of_h, back = [], [], []
    turns = 2 * np.pi * np.arange(size) / size
    for frequency in range(size // 2 + 1):
        cos, sin = np.cos(frequency * turns), np.sin(frequency * turns)
        if frequency == 0 or 2 * frequency == size:
            of_x.append(cos)
            of_h.append(cos)
            back.append(cos / size)
        else:  # (cos - i sin)x times (cos + i sin)h
            of_x += [cos - sin, cos, -sin]
            of_h += [cos, sin - cos, cos + sin]
            back += [2 / size * (cos - sin), -2 / size * sin, -2 / size * cos]
    return np.array(of_x), np.array(of_h), np.array(back).T


class SpectralConvolution:
    """A convolution with bias over signals that lie as (length, batch, channels).

    It owns its buffers: write the input to `input`, call, and use the result before the next call.
    """

    def __init__(self, taps: Taps, bias: NDArray[np.float64], length: int, batch: int, device: str) -> None:
        """Fold weights for one shape.

        Args:
            taps: what to compute; samples before and after the signal count as zeros.
            bias: (channels out,).
            length: samples of input and output.
            batch: signals at once.
            device: `cpu` or `cuda`.

        Raises:
            ValueError: when the length is not a whole number of tiles.
        """
        taps = _reachable(taps, length)
        count, channels_in, channels_out = taps.weights.shape
        before, after = -taps.first, taps.first + count - 1
        self._tile = min(TILE, length)
        if length % self._tile:
            raise ValueError(f"{length} samples are not whole tiles of {self._tile}. Use a multiple, or fewer")
        if self._tile == length:  # the circle's unused part serves as the zeros on both sides
            lead, size, self._window = 0, length + max(before, after), length
        else:
            lead, size, self._window = before, self._tile + before + after, self._tile + before + after
        of_x, of_h, back = circular_correlation(size)
        spectrum = np.tensordot(of_h[:, (taps.first + lead + np.arange(count)) % size], taps.weights, axes=1)

        def tensor(values: NDArray[np.float64]) -> Tensor:
            return torch.tensor(values, dtype=torch.float32, device=device)

        self._into, self._weights, self._back = (
            tensor(of_x[:, : self._window]),
            tensor(spectrum),
            tensor(back[: self._tile]),
        )
        self._bias = tensor(size * bias)  # of the zeroth product, which is the mean of the window
        products, tiles = len(of_x), length // self._tile
        self._padded = torch.zeros((length - self._tile + self._window, batch, channels_in), device=device)
        self.input = self._padded[lead : lead + length]
        self._spectrum = torch.empty((products, tiles, batch, channels_in), device=device)
        self._product = torch.empty((products, tiles, batch, channels_out), device=device)
        self._output = torch.empty((length, batch, channels_out), device=device)

    def __call__(self) -> Tensor:
        """Convolve what is in `input`; returns (length, batch, channels out)."""
        padded, spectrum, product = self._padded.flatten(1), self._spectrum.flatten(2), self._product.flatten(2)
        starts = range(0, len(self._output), self._tile)
        for tile, start in enumerate(starts):
            torch.mm(self._into, padded[start : start + self._window], out=spectrum[:, tile])
        torch.bmm(self._spectrum.flatten(1, 2), self._weights, out=self._product.flatten(1, 2))
        self._product[0] += self._bias
        for tile, start in enumerate(starts):
            torch.mm(self._back, product[:, tile], out=self._output[start : start + self._tile].flatten(1))
        return self._output


def _reachable(taps: Taps, length: int) -> Taps:
    """Without the taps that read nothing but the zeros around so short a signal."""
    first = max(taps.first, 1 - length)
    stop = min(taps.first + len(taps.weights), length)
    return Taps(first, taps.weights[first - taps.first : stop - taps.first])
