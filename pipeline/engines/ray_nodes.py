"""What a Ray cluster has: `python -m pipeline.engines.ray_nodes HOST:PORT` joins it as a build does, and tells.

A process of its own, because a join cannot be broken off.
"""

import json
import logging
import sys

import ray

from pipeline.boundary import one_line
from pipeline.engines import Crew
from pipeline.engines.ray import _connect


def main() -> int:
    """Print nodes, cores, GPUs and Ray's version as JSON."""
    logging.disable()  # whatever Ray has to say stands in its own files
    _connect(Crew(ray_address=sys.argv[1]))
    nodes = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
    known = {"nodes": len(nodes), "cores": resources.get("CPU", 0), "gpus": resources.get("GPU", 0)}
    print(json.dumps(known | {"version": ray.__version__}))
    ray.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(one_line("ray_nodes", main))
