"""Checkpoint files: found, hashed before they are opened, and loaded without running any code of theirs."""

import hashlib
import io
import warnings
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import torch

from pipeline.errors import RecipeError
from pipeline.recipe import printable

MOST_BYTES = 1 << 29
"""Of a file: twelve times the published one, which is read whole."""
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
    return hashlib.sha256(_content(path)).hexdigest()


def _content(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():  # a FIFO or a device has no end
            raise RecipeError(f"checkpoint {path} is no regular file. Give the path of a checkpoint file")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise RecipeError(
            f"checkpoint {path} cannot be read: {error.strerror}. Give the path of a checkpoint file"
        ) from error
    if len(content) > MOST_BYTES:
        raise RecipeError(
            f"checkpoint {path} is larger than {MOST_BYTES >> 20} MiB. Give a generator's state dictionary"
        )
    return content


def _check_archive(content: bytes) -> None:
    """Refuse a ZIP archive that unpacks to more than it is: PyTorch stores its records as they are."""
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(record.file_size for record in archive.infolist())
        if unpacked > len(content):
            raise ValueError(f"its archive of {len(content)} bytes unpacks to {unpacked}")


def load_weights(checkpoint: Path | None, sha256: str) -> dict[str, torch.Tensor]:
    """The state dictionary of a checkpoint, on the CPU.

    Args:
        checkpoint: its file; None for the published one.
        sha256: what the file must hash to.

    Raises:
        RecipeError: when the file is missing, altered, or holds anything but tensors.
    """
    path = checkpoint or published_checkpoint()
    read = _content(path)  # once: what is hashed is what is loaded
    found = hashlib.sha256(read).hexdigest()
    if found != sha256:
        raise RecipeError(
            f"checkpoint {path} is not the one of the recipe: SHA-256 {found[:12]}… instead of {sha256[:12]}…. "
            f"Give the right file with --checkpoint, or build into a new folder"
        )
    try:
        _check_archive(read)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch on the published file's old tar-free pickle format
            content = torch.load(io.BytesIO(read), map_location="cpu", weights_only=True)
    except Exception as error:  # its reader meets damaged bytes with as many kinds as a pickle has instructions
        reason = printable(str(error).splitlines()[0] if str(error) else type(error).__name__)
        raise RecipeError(
            f"checkpoint {path} does not load as plain tensors: {reason}. Give a PyTorch state dictionary"
        ) from error
    for key in _STATE_DICT_KEYS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and _is_plain(value, len(read)) for name, value in content.items()
    ):
        raise RecipeError(
            f"checkpoint {path} holds no state dictionary of finite numbers. Give a file saved from a generator's "
            f"state_dict()"
        )
    return content


def _is_plain(value: object, most_bytes: int) -> bool:
    """Whether something is a tensor of finite numbers, and of no more of them than its file can hold."""
    return (
        isinstance(value, torch.Tensor)
        and (value.device.type, value.layout, value.is_quantized) == ("cpu", torch.strided, False)
        and not value.is_complex()
        and value.nbytes <= most_bytes
        and bool(value.isfinite().all())
    )
