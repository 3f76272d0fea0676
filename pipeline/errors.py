"""The errors a user can meet. Each message names the thing, the reason and the remedy, in one line."""

FAULT = 70
"""Exit status of a fault of the program itself: EX_SOFTWARE of BSD's sysexits.h."""


class FoundryError(Exception):
    """Base of every error that is the input's or the surroundings' fault, not the program's.

    The command line prints the message alone and exits with `exit_code`; anything else is a fault of the program, which
    it says, and exits with `FAULT`. A traceback is shown with `--debug` alone.
    """

    exit_code = 1


class RecipeError(FoundryError):
    """A recipe field, parameter or checkpoint that cannot be used."""

    exit_code = 2


class InputError(FoundryError):
    """A recording or array from outside that cannot be measured."""

    exit_code = 3


class DatasetError(FoundryError):
    """A dataset folder that is foreign, incomplete or damaged."""

    exit_code = 4


class WorkerError(FoundryError):
    """A worker died, hung or kept failing on a shard."""

    exit_code = 5


class EngineError(FoundryError):
    """No worker is left. Unlike with a `WorkerError`, to try again, or another shard, would be in vain."""

    exit_code = 6


class HeadLostError(EngineError):
    """The head of the cluster that was joined is lost. Ray would look for it at exit, and end with a status of 1."""
