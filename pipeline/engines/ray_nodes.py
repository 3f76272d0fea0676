"""What a Ray cluster has: `python -m pipeline.engines.ray_nodes [HOST:PORT]` joins it as a build does, and tells.

A process of its own, because a join cannot be broken off.
"""

import json
import logging
import sys

import ray

from pipeline.boundary import one_line
from pipeline.engines import Crew
from pipeline.engines.ray_cluster import connect, nodes


def main() -> int:
    """Print nodes, cores, GPUs and Ray's version as JSON."""
    logging.disable()  # whatever Ray has to say stands in its own files
    connect(Crew(ray_address=sys.argv[1] if sys.argv[1:] else None))
    found = nodes()
    cores, gpus = (sum(node.resources.get(name, 0) for node in found) for name in ("CPU", "GPU"))
    print(json.dumps({"nodes": len(found), "cores": cores, "gpus": gpus, "version": ray.__version__}))
    ray.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(one_line("ray_nodes", main))
