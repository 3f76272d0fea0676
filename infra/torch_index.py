"""Prints the pip option that brings PyTorch's CPU build, where one is wanted and can be had.

On Linux, PyPI's torch carries several gigabytes of CUDA libraries. A machine without an NVIDIA GPU does better with
the CPU build from PyTorch's own index; where that index cannot be reached, nothing is printed, and pip goes on with
the indexes it knows. Only the standard library: it runs before anything is installed.
"""

import os
import platform
import shutil
import sys
import threading
import urllib.error
import urllib.request

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
SECONDS = 4.0


def main() -> None:
    """Print the option, or nothing."""
    if platform.system() == "Linux" and shutil.which("nvidia-smi") is None and reachable(CPU_INDEX, SECONDS):
        print(f"--extra-index-url {CPU_INDEX}")
    sys.stdout.flush()
    os._exit(0)  # a name server that does not answer holds its thread for longer than anybody wants to wait


def reachable(url: str, seconds: float) -> bool:
    """Whether a page answers within the time, the look-up of its name included."""
    answered = threading.Event()

    def ask() -> None:
        try:
            with urllib.request.urlopen(f"{url}/torch/", timeout=seconds):  # noqa: S310 - the address is ours
                answered.set()
        except (urllib.error.URLError, OSError):
            return

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return answered.is_set()


if __name__ == "__main__":
    main()
