"""Standard output that cannot be written although nothing is buffered."""

import subprocess
import sys
from pathlib import Path

PROGRAM = "from pipeline.boundary import one_line; raise SystemExit(one_line('it', lambda: print('a line') or 0))"


def test_a_full_disk_under_unbuffered_output_is_named() -> None:
    shell = ["sh", "-c", '"$@" && "$@" > /dev/full', "sh", sys.executable, "-u", "-c", PROGRAM]
    ended = subprocess.run(shell, check=False, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert (ended.returncode, ended.stdout) == (1, "a line\n")
    assert ended.stderr.startswith("it: error: standard output cannot be written: No space left on device")
    assert ended.stderr.count("\n") == 1
