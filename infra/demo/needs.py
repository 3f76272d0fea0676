"""What the machine must have, checked before anything is started."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from infra.demo.errors import DemoError

BIN = Path(sys.executable).parent
ISOLATED = ("unshare", "--net", "--pid", "--mount", "--mount-proc", "--fork", "--kill-child")
"""Runs a command as the first process of a machine of its own, all of which ends with it."""
_PACKAGES = {
    "ip": "iproute2",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "mount": "mount",
    "postgres": "postgresql",
    "initdb": "postgresql",
}


def program(name: str) -> str | None:
    """Where a program is, if anywhere: beside this Python, on the path, or where Debian hides PostgreSQL's."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name, path=BIN) or shutil.which(name) or (str(debian[-1]) if debian else None)


def check_needs() -> None:
    """Refuse a machine on which the demo cannot run.

    Raises:
        DemoError: names what is missing and the package that brings it.
    """
    if platform.system() != "Linux" or os.getuid() != 0:
        raise DemoError("network namespaces want Linux and root. Run it as root, in a virtual machine if need be")
    if missing := sorted({package for name, package in _PACKAGES.items() if not program(name)}):
        raise DemoError(f"programs of {', '.join(missing)} are missing. apt-get install {' '.join(missing)}")
    if not program("moto_server"):
        raise DemoError("the S3 server is missing. Run `make cluster-demo`, or pip install -c constraints.txt '.[dev]'")
    if subprocess.run([*ISOLATED, "true"], capture_output=True, check=False).returncode:
        raise DemoError("this root may not make namespaces, as in a container. Run it on a machine, real or virtual")
