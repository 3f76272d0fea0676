"""A build on several Ray nodes of one core each, all on this machine, as a program of its own."""

import argparse
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.performance.build import timed_build
from pipeline.boundary import one_line
from pipeline.engines import Crew


@contextmanager
def ray_nodes(count: int) -> Iterator[str]:
    """Start a head and further nodes, with a core and a scheduler each and one token for all; gives their address."""
    os.environ |= {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "120",  # on a busy machine
    }
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - which reads that when it is imported

    node: dict[str, Any] = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80 * 1024**2}
    node |= {"dashboard_agent_listen_port": 0}  # any that is free
    cluster = Cluster(initialize_head=True, head_node_args=node)
    try:
        for _ in range(count - 1):
            cluster.add_node(**node)
        cluster.wait_for_nodes()
        yield cluster.address
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]


def main() -> int:
    """Print the figures as one line of JSON; returns the exit status."""
    parser = argparse.ArgumentParser(prog="nodes", description=__doc__)
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--shard-records", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    return one_line(parser.prog, lambda: _run(options), goes_on=False)


def _run(options: argparse.Namespace) -> int:
    with ray_nodes(options.nodes) as address:
        crew = Crew(workers=options.nodes, ray_address=address)
        print(timed_build(options.out, options.records, crew, options.shard_records).model_dump_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
