"""The network is the published one, its bytes depend on the record alone, and checkpoints are not trusted."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pipeline
from pipeline.errors import RecipeError
from pipeline.generators import generate_block, load_generator
from pipeline.generators.checkpoint import checkpoint_sha256, load_weights, published_checkpoint
from pipeline.generators.pulse2pulse import SCALE_UV, Pulse2Pulse
from pipeline.noise import block_noise
from pipeline.recipe import Recipe


def published_network() -> Pulse2Pulse:
    """Our network with the published weights."""
    weights = load_weights(None, Recipe().checkpoint_sha256)
    network = Pulse2Pulse()
    network.load_state_dict({name: weights[name] for name in network.state_dict()})
    return network.eval()


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_the_network_equals_the_published_one() -> None:
    """Same noise, same signal: at most 0.05 µV before truncation, on 64 records."""
    published = pytest.importorskip("deepfakeecg").Generator()
    content = torch.load(published_checkpoint(), map_location="cpu", weights_only=True)["stat_dict"]
    published.load_state_dict(content)
    ours = published_network()
    noise = torch.from_numpy(block_noise(3, 0, 64))
    with torch.inference_mode():
        difference = (published.eval()(noise) - ours(noise)).abs().max() * SCALE_UV
    assert float(difference) <= 0.05


def test_the_folded_form_is_as_exact_as_the_plain_one() -> None:
    """Truncated toward zero, both differ by 1 µV on one sample in a thousand from the network in float64."""
    noise = block_noise(0, 0, 32)
    network = published_network()
    with torch.inference_mode():
        plain = (network(torch.from_numpy(noise)) * SCALE_UV).to(torch.int16).numpy()
        exact = (network.double()(torch.from_numpy(noise).double()) * SCALE_UV).to(torch.int16).numpy()
    signals = load_generator(Recipe())(noise)
    assert signals.dtype == np.int16
    assert np.abs(signals.astype(np.int32) - exact).max() == 1
    assert np.mean(signals != exact) < 1.5 * np.mean(plain != exact) < 0.002


def test_blocks_leave_nothing_behind_in_the_generators_buffers() -> None:
    generator = load_generator(Recipe())
    first = generator(block_noise(0, 0, 32))
    other = generator(block_noise(0, 32, 64))
    assert not np.array_equal(first, other)
    assert np.array_equal(generator(block_noise(0, 0, 32)), first)


def test_generate_gives_the_same_record_alone_in_company_and_whatever_the_threads() -> None:
    threads = torch.get_num_threads()
    together = pipeline.generate([40, 3, 41], seed=9)
    torch.set_num_threads(2 if threads == 1 else 1)
    try:
        alone = pipeline.generate([41], seed=9)
    finally:
        torch.set_num_threads(threads)
    assert together.shape == (3, 8, 5000)
    assert np.array_equal(alone[0], together[2])
    assert np.array_equal(together[1], generate_block(load_generator(Recipe(seed=9)), 9, 0)[3])
    assert not np.array_equal(together[0], together[2])


def test_another_instruction_set_stays_within_the_stated_tolerance(tmp_path: Path) -> None:
    """At most 1 µV on at most 0.5 % of samples, forced through the libraries' own switches."""
    program = (
        "import sys, numpy, pipeline; from pipeline.worker import instruction_set; "
        "numpy.save(sys.argv[1], pipeline.generate(range(32))); print(instruction_set())"
    )
    signals, classes = [], []
    for name, switches in (("native", {}), ("sse", {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"})):
        path = tmp_path / f"{name}.npy"
        command = [sys.executable, "-c", program, str(path)]
        done = subprocess.run(command, env=os.environ | switches, check=True, capture_output=True, text=True)
        classes.append(done.stdout.strip())
        signals.append(np.load(path).astype(np.int32))
    if classes[0] == classes[1]:
        pytest.skip(f"this machine has one instruction set only: {classes[0]}")
    difference = np.abs(signals[0] - signals[1])
    assert difference.max() == 1
    assert 0 < np.mean(difference > 0) <= 0.005


@pytest.mark.gpu
def test_a_gpu_stays_within_the_same_tolerance() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    noise = block_noise(0, 0, 32)
    signals = [load_generator(Recipe(), device=device)(noise).astype(np.int32) for device in ("cpu", "cuda")]
    difference = np.abs(signals[0] - signals[1])
    assert difference.max() <= 1
    assert np.mean(difference > 0) <= 0.005


@pytest.mark.parametrize("ids", [[-1], [[1, 2]], [1.7], ["a"], [True], [10**9], [2**64]])
def test_impossible_record_numbers_are_refused(ids: list[Any]) -> None:
    with pytest.raises(RecipeError, match="record numbers"):
        pipeline.generate(ids)


def test_another_checkpoint_by_path_is_recorded_by_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    torch.manual_seed(1)
    torch.save({"netG_state_dict": Pulse2Pulse().state_dict()}, path)
    recipe = Recipe(checkpoint_sha256=checkpoint_sha256(path))
    assert np.ptp(load_generator(recipe, path)(block_noise(0, 0, 32))) > 0


def test_a_missing_or_altered_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        load_generator(Recipe(), tmp_path / "none.pt")
    altered = tmp_path / "altered.pt"
    altered.write_bytes(published_checkpoint().read_bytes()[:-1] + b"x")
    with pytest.raises(RecipeError, match="is not the one of the recipe"):
        load_generator(Recipe(), altered)


class Malicious:
    """A pickle that would write a file when loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (open, (str(self.path), "w"))


def test_code_in_a_checkpoint_is_refused_and_does_not_run(tmp_path: Path) -> None:
    path, trace = tmp_path / "evil.pt", tmp_path / "trace"
    torch.save({"stat_dict": Malicious(trace)}, path)
    with pytest.raises(RecipeError, match="does not load as plain tensors"):
        load_generator(Recipe(checkpoint_sha256=checkpoint_sha256(path)), path)
    path.write_bytes(pickle.dumps(Malicious(trace)))
    with pytest.raises(RecipeError, match="does not load as plain tensors"):
        load_generator(Recipe(checkpoint_sha256=checkpoint_sha256(path)), path)
    assert not trace.exists()


@pytest.mark.parametrize("content", [{"stat_dict": {}}, {"conv_1.weight": torch.zeros(2)}, torch.zeros(3), {"a": 1}])
def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "other.pt"
    torch.save(content, path)
    with pytest.raises(RecipeError, match=r"does not fit the generator|holds no state dictionary") as caught:
        load_generator(Recipe(checkpoint_sha256=checkpoint_sha256(path)), path)
    assert "\n" not in str(caught.value)
