"""Checkpoint files: found, hashed before they are opened, and loaded without running any code of theirs."""

import hashlib
import pickle
import warnings
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import torch

from pipeline.errors import RecipeError

_PUBLISHED = ("deepfake-ecg", "deepfakeecg/checkpoints/g_stat.pt")
_STATE_DICT_KEYS = ("stat_dict", "netG_state_dict", "state_dict")
"""Where published and trained checkpoints keep the generator's weights: deepfake-ecg, Pulse2Pulse, PyTorch habit."""


def published_checkpoint() -> Path:
    """The published checkpoint's file in the installed deepfake-ecg distribution, whose code is not imported.

    Raises:
        RecipeError: when the distribution or its file is missing.
    """
    name, file = _PUBLISHED
    try:
        path = Path(str(distribution(name).locate_file(file)))
    except PackageNotFoundError as error:
        raise RecipeError(
            f"the package {name}, which carries the checkpoint, is missing. pip install {name}==1.1.2"
        ) from error
    if not path.is_file():
        raise RecipeError(f"checkpoint {path} is missing. Reinstall it: pip install --force-reinstall {name}==1.1.2")
    return path


def checkpoint_sha256(path: Path) -> str:
    """SHA-256 of a checkpoint file.

    Raises:
        RecipeError: when it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RecipeError(
            f"checkpoint {path} cannot be read: {error.strerror}. Give the path of a checkpoint file"
        ) from error


def load_weights(checkpoint: Path | None, sha256: str) -> dict[str, torch.Tensor]:
    """The state dictionary of a checkpoint, on the CPU.

    Args:
        checkpoint: its file; None for the published one.
        sha256: what the file must hash to.

    Raises:
        RecipeError: when the file is missing, altered, or holds anything but tensors.
    """
    path = checkpoint or published_checkpoint()
    found = checkpoint_sha256(path)
    if found != sha256:
        raise RecipeError(
            f"checkpoint {path} is not the one of the recipe: SHA-256 {found[:12]}… instead of {sha256[:12]}…. "
            f"Give the right file with --checkpoint, or build into a new folder"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch on the published file's old tar-free pickle format
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RecipeError(
            f"checkpoint {path} does not load as plain tensors: {reason}. Give a PyTorch state dictionary"
        ) from error
    for key in _STATE_DICT_KEYS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in content.items()
    ):
        raise RecipeError(
            f"checkpoint {path} holds no state dictionary. Give a file saved from a generator's state_dict()"
        )
    return content
