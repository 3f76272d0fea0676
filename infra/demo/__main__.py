"""`python -m infra.demo`: outside, make a machine of its own for the demo; inside, tell the story."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from infra.demo.errors import DemoError
from infra.demo.needs import check_needs
from infra.demo.sandbox import enter, run_inside


def main(arguments: Sequence[str]) -> int:
    """Run the demo.

    Returns:
        0 when the cluster made what the laptop made, 1 when not or when something failed, 2 when something is missing,
        130 or 143 when it was stopped.
    """
    parser = argparse.ArgumentParser(prog="python -m infra.demo", description="A cluster's bad day on one machine.")
    parser.add_argument("--records", type=int, default=4000, help="records to build (default %(default)s)")
    parser.add_argument("--shard-records", type=int, default=64, help="records a shard (default %(default)s)")
    parser.add_argument("--shared-disk", action="store_true", help="build into a folder that all nodes see, not to S3")
    parser.add_argument("--cancel", action="store_true", help="then build again, cancel on the way, and resume")
    parser.add_argument("--keep", action="store_true", help="leave the folder with datasets and logs")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    try:
        if options.inside is None:
            check_needs()
            return run_inside(arguments, keep=options.keep)
        from infra.demo.story import tell  # noqa: PLC0415 - torch and Prefect are for the inside

        enter()
        return tell(options.inside, options)
    except DemoError as error:
        print(f"cluster-demo: error: {error}", file=sys.stderr)
        return 1 if options.inside else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
