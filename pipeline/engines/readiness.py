"""Whether a node may work: it has the driver's code and libraries, and the dataset's folder before it."""

from collections.abc import Callable, Mapping

from pipeline.errors import DatasetError, EngineError
from pipeline.store.documents import read_document
from pipeline.store.ledger import Plan, plan_file
from pipeline.worker import Job

PROGRAM = "ecg-foundry"
LIBRARIES = ("numpy", "pyarrow", "scipy", "torch", "zarr", "numcodecs")
"""Libraries whose version can change bytes."""
_MISSING = "none"

Versions = Mapping[str, str]
"""Of Python, of this program and of its libraries, by their names."""


def version_finder() -> Callable[[], Versions]:
    """A function that finds the versions of where it runs, and needs nothing of this program there.

    Ray takes along a function within a function as it is; any other one it looks up by name, in a package that a node
    may lack or have in another version.
    """
    program, libraries, missing = PROGRAM, LIBRARIES, _MISSING

    def find() -> Versions:
        import importlib.metadata  # noqa: PLC0415
        import importlib.util  # noqa: PLC0415
        import platform  # noqa: PLC0415

        found = {"Python": ".".join(platform.python_version_tuple()[:2])}
        for name in (program, *libraries):
            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                found[name] = missing
        package = importlib.util.find_spec("pipeline")
        if package is None or package.origin is None:  # a folder that happens to have the name has none
            found[program] = missing
        return found

    return find


def check_versions(node: str, theirs: Versions, ours: Versions) -> None:
    """Refuse a node that might make other bytes.

    Args:
        node: its host name and address.
        theirs: what the node has.
        ours: what the driver has.

    Raises:
        EngineError: names the node and both versions.
    """
    differing = [
        f"{name} {theirs.get(name, _MISSING)}, the driver {ours[name]}"
        for name in ours
        if theirs.get(name, _MISSING) != ours[name]
    ]
    if differing:
        raise EngineError(
            f"node {node} has {'; '.join(differing)}, and may make other bytes. Give every node the environment that "
            f"the build is started from, such as the same container image"
        )


def check_place(node: str, job: Job) -> None:
    """Refuse a node that does not see the folder that the driver has prepared.

    Args:
        node: its host name and address.
        job: what is to be made, and where.

    Raises:
        DatasetError: names the node, the folder and the remedy.
    """
    remedy = "Give --out as an s3:// address, or as a folder on a disk that all nodes share"
    try:
        found = read_document(plan_file(job.folder), Plan)
    except DatasetError as error:
        reason = str(error).partition(". ")[0]
        raise DatasetError(f"node {node} does not see the dataset's folder: {reason}. {remedy}") from error
    if found.seal() != job.plan.seal():
        raise DatasetError(f"node {node} sees another dataset at {job.folder} than the driver. {remedy}")
