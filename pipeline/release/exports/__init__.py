"""Other formats that a release is written in on request, each by a module of its own."""

from collections.abc import Iterable
from importlib.util import find_spec

from pipeline.errors import InputError, RecipeError
from pipeline.release.exports import asc, ecgbench, hdf5, huggingface, muse_csv, wfdb
from pipeline.release.exports.export import Export

EXPORTS: dict[str, Export] = {
    export.name: export
    for export in (asc.EXPORT, muse_csv.EXPORT, wfdb.EXPORT, hdf5.EXPORT, ecgbench.EXPORT, huggingface.EXPORT)
}
"""By name; one that needs another comes after it."""


def chosen_exports(names: Iterable[str]) -> list[str]:
    """The exports that were asked for and those that they need, in the order in which they are to be written.

    Args:
        names: of exports, in any order.

    Raises:
        RecipeError: when there is no such export.
        InputError: when what one of them is written with is not installed.
    """
    wanted = set(names)
    unknown = sorted(wanted - EXPORTS.keys())
    if unknown:
        raise RecipeError(f"there is no export {', '.join(unknown)}. Choose from {', '.join(EXPORTS)}")
    wanted |= {needed for name in wanted for needed in EXPORTS[name].needs}
    chosen = [name for name in EXPORTS if name in wanted]
    for name in chosen:
        library = EXPORTS[name].library
        if library and find_spec(library) is None:
            raise InputError(
                f"the export {name} needs {library}, which is not installed. Run pip install 'ecg-foundry[{name}]'"
            )
    return chosen
