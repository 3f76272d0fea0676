"""Spectral convolutions are the plain ones, strided or after upsampling, whatever the shape."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from pipeline.generators.spectral import TILE, SpectralConvolution, circular_correlation, strided_taps, upsampled_taps

BATCH = 3
LENGTHS = st.sampled_from([1, 2, 3, 10, 24, TILE, 2 * TILE, 10 * TILE])


def random_layer(seed: int, channels_in: int, channels_out: int, taps: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(channels_out, channels_in, taps)), generator.normal(size=channels_out)


def close(ours: torch.Tensor, plain: torch.Tensor) -> bool:
    """Equal but for float32's rounding, relative to the largest value."""
    return bool((ours - plain).abs().max() <= 2e-6 * max(1.0, float(plain.abs().max())))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 99), LENGTHS, st.sampled_from([1, 2, 5]), st.sampled_from([1, 7, 25]))
def test_a_strided_convolution(seed: int, length: int, stride: int, taps: int) -> None:
    kernel, bias = random_layer(seed, 4, 6, taps)
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(BATCH, 4, length * stride)))
    plain = functional.conv1d(x, torch.from_numpy(kernel), torch.from_numpy(bias), stride=stride, padding=taps // 2)
    layer = SpectralConvolution(strided_taps(kernel, stride), bias, length, BATCH, "cpu")
    layer.input.copy_(torch.unflatten(x.permute(2, 0, 1), 0, (-1, stride)).transpose(1, 2).flatten(2))
    assert close(layer().permute(1, 2, 0).double(), plain)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 99), LENGTHS, st.sampled_from([1, 2, 5]), st.sampled_from([1, 7, 25]))
def test_a_convolution_after_upsampling(seed: int, length: int, factor: int, taps: int) -> None:
    kernel, bias = random_layer(seed, 4, 6, taps)
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(BATCH, 4, length)))
    upsampled = functional.interpolate(x, scale_factor=float(factor), mode="nearest")
    plain = functional.conv1d(upsampled, torch.from_numpy(kernel), torch.from_numpy(bias), padding=taps // 2)
    layer = SpectralConvolution(upsampled_taps(kernel, factor), np.tile(bias, factor), length, BATCH, "cpu")
    layer.input.copy_(x.permute(2, 0, 1))
    ours = torch.unflatten(layer(), 2, (factor, -1)).permute(1, 3, 0, 2).flatten(2)
    assert close(ours.double(), plain)


@pytest.mark.parametrize("size", [1, 2, 3, 8, 31, 37])
def test_the_matrices_correlate_on_a_circle(size: int) -> None:
    x, h = np.random.default_rng(size).normal(size=(2, size))
    of_x, of_h, back = circular_correlation(size)
    expected = [sum(h[k] * x[(n + k) % size] for k in range(size)) for n in range(size)]
    assert np.allclose(back @ ((of_h @ h) * (of_x @ x)), expected, atol=1e-12)
    assert np.allclose(of_x[0], 1)
    assert np.allclose(back[:, 0], 1 / size)


def test_a_length_that_tiles_do_not_fill_is_refused() -> None:
    kernel, bias = random_layer(0, 1, 1, 3)
    with pytest.raises(ValueError, match="60 samples are not whole tiles of 25"):
        SpectralConvolution(strided_taps(kernel, 1), bias, 60, 1, "cpu")
