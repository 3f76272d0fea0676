"""Checks of this machine: packages, processor, GPUs, memory, space, the checkpoint and the tokens."""

import os
import platform
import re
import shutil
import tempfile
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import torch
from packaging.requirements import Requirement
from packaging.version import Version

import pipeline
from pipeline.doctor.findings import Finding
from pipeline.errors import DatasetError, RecipeError
from pipeline.generators.checkpoint import checkpoint_sha256, published_checkpoint
from pipeline.recipe import PUBLISHED_CHECKPOINT_SHA256
from pipeline.remaining import BYTES_PER_RECORD
from pipeline.status import look
from pipeline.worker import instruction_set

_NAMED = ("torch", "ray", "prefect", "zarr", "pyarrow", "numpy")
_TOKENS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "OSF_TOKEN", "HF_TOKEN", "PREFECT_API_KEY", "RAY_AUTH_TOKEN")
_GIB_PER_WORKER = 0.8
"""Two workers, their driver and Ray take 1.6 GiB (docs/performance.md)."""
_TEMPORARY_BYTES = 1e9
"""Ray keeps sockets, logs and its object store's overflow below /tmp, and a bucket's files are made there."""


def packages() -> list[Finding]:
    """Versions, against the ranges that this program asks for and the ones that it was tested with."""
    asked = [Requirement(line) for line in requires("ecg-foundry") or []]
    asked = [each for each in asked if each.marker is None or each.marker.evaluate({"extra": ""})]
    found = {each.name: _version(each.name) for each in asked}
    wrong = [
        f"{each.name} {found[each.name] or 'is missing'}, asked {each.specifier}"
        for each in asked
        if (there := found[each.name]) is None or not each.specifier.contains(there, prereleases=True)
    ]
    named = [f"Python {platform.python_version()}", f"ecg-foundry {version('ecg-foundry')}"]
    said = ", ".join([*named, *(f"{name} {found[name]}" for name in _NAMED)])
    if wrong:
        return [Finding("fault", "packages", "; ".join(wrong), "install again: pip install -c constraints.txt -e .")]
    tested = _tested_versions()
    others = [
        f"{name} {there} (tested: {tested[name]})"
        for name, there in found.items()
        if there and name in tested and Version(there).public != Version(tested[name]).public
    ]
    if others:
        remedy = "bytes may differ; to have the tested ones: pip install -c constraints.txt -e ."
        return [Finding("warning", "packages", ", ".join(others), remedy)]
    return [Finding("ok", "packages", said)]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _tested_versions() -> dict[str, str]:
    """The pins of `constraints.txt`, where the program runs from its own folder."""
    file = Path(pipeline.__file__).parents[1] / "constraints.txt"
    if not file.is_file():
        return {}
    return dict(re.findall(r"^([\w.-]+)==(\S+)", file.read_text(encoding="utf-8"), re.MULTILINE))


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> list[Finding]:
    """The class of machines of equal bytes, and cores; a container may have less than it sees."""
    quota, period = (*_control_group("cpu.max").split(), "max", "")[:2]
    seen = cores()
    said = f"{instruction_set()}, {seen} cores"
    if quota != "max" and int(quota) < 0.9 * seen * int(period):
        granted = int(quota) / int(period)
        return [
            Finding("warning", "processor", f"{said}, time on {granted:.1f}", f"use --workers {max(1, int(granted))}")
        ]
    return [Finding("ok", "processor", said)]


def gpus() -> list[Finding]:
    """NVIDIA GPUs, as PyTorch sees them."""
    driver = Path("/proc/driver/nvidia/version")
    known = re.search(r"\b\d+\.\d+(\.\d+)?\b", driver.read_text(encoding="utf-8")) if driver.is_file() else None
    if torch.cuda.is_available():
        each = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
        said = ", ".join(f"{gpu.name} with {gpu.total_memory / 2**30:.0f} GiB" for gpu in each)
        return [Finding("ok", "GPU", f"{said}; CUDA {torch.version.cuda}, driver {known[0] if known else 'not known'}")]
    if driver.is_file():
        said = f"driver {known[0] if known else 'not known'} is there, but torch {torch.__version__} sees no GPU"
        return [Finding("warning", "GPU", said, "install PyTorch's CUDA build, or see to `nvidia-smi`")]
    return [Finding("ok", "GPU", "none; the CPU computes")]


def memory() -> list[Finding]:
    """What is free, against one worker a core."""
    known = re.search(r"^MemAvailable:\s+(\d+) kB", _read(Path("/proc/meminfo")), re.MULTILINE)
    if known is None:
        return [Finding("warning", "memory", "this system does not tell")]
    limit = _control_group("memory.max").strip()
    free = min(int(known[1]) * 1024, int(limit) if limit.isdigit() else 1 << 62) / 2**30
    needed = _GIB_PER_WORKER * cores()
    said = f"{free:.1f} GiB free, {needed:.1f} GiB for {cores()} workers"
    if free < needed:
        fitting = max(1, int(free / _GIB_PER_WORKER))
        return [Finding("warning", "memory", said, f"use --workers {fitting}, or the kernel may kill some")]
    return [Finding("ok", "memory", said)]


def disk(out: Path, records: int | None) -> list[Finding]:
    """Whether the dataset and its release fit.

    Args:
        out: the dataset's folder.
        records: that it is going to hold; None where nobody says.
    """
    out = out.absolute()
    where = next(parent for parent in (out, *out.parents) if parent.exists())
    if not os.access(where, os.W_OK):
        return [Finding("fault", "disk", f"{where} cannot be written", "mend its permissions, or choose another --out")]
    free = shutil.disk_usage(where).free
    said = f"{where} has {free / 1e9:.1f} GB free"
    if records is None:
        return [Finding("ok", "disk", f"{said}; --records N says whether they fit")]
    needed = 2 * max(0, records - _records_made(out)) * BYTES_PER_RECORD  # the normal subset is at most as large again
    said += f", {needed / 1e9:.1f} GB needed, with a release {2 * needed / 1e9:.1f} GB"
    if free < needed:
        return [Finding("fault", "disk", said, "free some, or choose another --out")]
    if free < 2 * needed:
        return [Finding("warning", "disk", said, "free some, or build with --no-release")]
    return [Finding("ok", "disk", said)]


def _records_made(out: Path) -> int:
    try:
        return look(out).records_done
    except DatasetError:  # there is none yet
        return 0


def temporary_files() -> list[Finding]:
    """Room below /tmp."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    said = f"{folder} has {free / 1e9:.1f} GB free"
    if free < _TEMPORARY_BYTES:
        return [Finding("warning", "temporary files", said, "remove old sessions in /tmp/ray that no process uses")]
    return [Finding("ok", "temporary files", said)]


def checkpoint(given: Path | None) -> list[Finding]:
    """The generator's weights.

    Args:
        given: the checkpoint's file; None for the published one, which has to be unaltered.
    """
    try:
        file = given or published_checkpoint()
        found = checkpoint_sha256(file)
    except RecipeError as error:
        return [Finding("fault", "checkpoint", str(error))]
    if given is None and found != PUBLISHED_CHECKPOINT_SHA256:
        remedy = "reinstall it: pip install --force-reinstall deepfake-ecg==1.1.2"
        return [Finding("fault", "checkpoint", f"{file} was altered: SHA-256 {found[:12]}…", remedy)]
    which = "the published one" if found == PUBLISHED_CHECKPOINT_SHA256 else "not the published one"
    return [Finding("ok", "checkpoint", f"{which}, SHA-256 {found[:12]}…")]


def tokens() -> list[Finding]:
    """Which secrets are in the environment; never what they are."""
    there = [name for name in _TOKENS if os.environ.get(name)]
    absent = [name for name in _TOKENS if name not in there]
    return [Finding("ok", "tokens", f"set: {', '.join(there) or 'none'}; not set: {', '.join(absent) or 'none'}")]


def _control_group(name: str) -> str:
    """What the kernel grants this container, if it is one; `max` and nothing are no limit."""
    return _read(Path("/sys/fs/cgroup") / name)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
