"""The noise is a stated formula over published words, and depends on (seed, record) alone."""

import hashlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.noise import block_noise

MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
KEY_STEPS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
MASK = 2**64 - 1


def philox_4x64_10(counter: list[int], key: list[int]) -> list[int]:
    """The generator as its paper states it (Salmon et al., SC11), in plain integers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        first, second = MULTIPLIERS[0] * c[0], MULTIPLIERS[1] * c[2]
        c = [(second >> 64) ^ c[1] ^ k[0], second & MASK, (first >> 64) ^ c[3] ^ k[1], first & MASK]
        k = [(k[0] + KEY_STEPS[0]) & MASK, (k[1] + KEY_STEPS[1]) & MASK]
    return c


def test_the_published_known_answer() -> None:
    """Random123's known answer for philox4x64-10 of zero counter and key."""
    assert philox_4x64_10([0] * 4, [0] * 2) == [
        0x16554D9ECA36314C,
        0xDB20FE9D672D0FDC,
        0xD7E772CEE186176B,
        0x7E68B68AEC7BA23B,
    ]


@given(st.integers(0, 2**63 - 1), st.integers(0, 10**9))
@settings(max_examples=20)
def test_the_first_samples_follow_the_formula(seed: int, record: int) -> None:
    words = [word for block in (1, 2) for word in philox_4x64_10([block, 0, 0, 0], [seed, record])]
    halves = [half for word in words for half in (word & 0xFFFFFFFF, word >> 32)]
    expected = [((half >> 7 | 1) - 2**24) * 2.0**-24 for half in halves]
    assert block_noise(seed, record, record + 1).ravel()[:16].tolist() == expected


@given(st.integers(0, 2**40), st.integers(0, 10**6), st.integers(1, 5))
@settings(max_examples=20)
def test_a_block_is_its_records(seed: int, start: int, count: int) -> None:
    block = block_noise(seed, start, start + count)
    assert block.dtype == np.float32
    assert all(np.array_equal(block[i], block_noise(seed, start + i, start + i + 1)[0]) for i in range(count))


def test_noise_is_uniform_and_open() -> None:
    noise = block_noise(0, 0, 64).astype(np.float64)
    assert noise.min() > -1
    assert noise.max() < 1
    # Standard errors over n samples: of the mean sqrt(1/3n), of the variance sqrt(4/45n); five of each.
    n = noise.size
    assert abs(noise.mean()) < 5 * np.sqrt(1 / (3 * n))
    assert abs(noise.var() - 1 / 3) < 5 * np.sqrt(4 / (45 * n))


def test_golden_bytes() -> None:
    """Everything downstream hangs on these bytes; they may never change."""
    digest = hashlib.sha256(block_noise(0, 0, 32).astype("<f4").tobytes()).hexdigest()
    assert digest == "2e1f0943738117c4027a8720f08d6b90a6d1665175d8d5c28a810655410275f8"
