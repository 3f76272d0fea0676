"""How many requests a build sends to an S3 store, counted in the store's own log; a program of its own."""

import argparse
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.scaling.results import Requests
from benchmarks.scaling.servers import free_port
from infra.demo.processes import Processes, kill_group, listens
from pipeline.boundary import one_line
from pipeline.build import Build, build_dataset, make_shards
from pipeline.engines import Crew, Engine
from pipeline.plan import plan_build
from pipeline.shards import BLOCK
from pipeline.store.place import place_of

_BUCKET = "datasets"


def requests_of(shards: int, second_opinion: float) -> Requests:
    """Build a dataset of shards of 32 records in a bucket, and count.

    Args:
        shards: how many.
        second_opinion: share of the records that neurokit2 sees.
    """
    counts: list[Counter[str]] = []

    with _store() as log:

        def make(build: Build, engine: Engine) -> None:
            counts.append(_counted(log))
            make_shards(build, engine)
            counts.append(_counted(log))

        plan = plan_build({"records": BLOCK * shards}, shard_records=BLOCK)
        out = place_of(f"s3://{_BUCKET}/dataset")
        build_dataset(out, plan, crew=Crew("serial"), second_opinion=second_opinion, make=make)
        counts.append(_counted(log))
    opened, made, finalised = counts
    phases = {"open": opened, "make": made - opened, "finalise": finalised - made}
    return Requests(shards=shards, records=BLOCK * shards, second_opinion=second_opinion, phases=phases)


def _counted(log: Path) -> Counter[str]:
    """By method."""
    said = log.read_text(encoding="utf-8", errors="replace")
    return Counter(re.findall(rf'"([A-Z]+) /{_BUCKET}[/?][^"]*" \d{{3}}', said))


@contextmanager
def _store() -> Iterator[Path]:
    """An S3 server on loopback with one bucket, which this process's own variables name; gives its log."""
    with tempfile.TemporaryDirectory(prefix="ecg-foundry-store-") as name:
        processes, port = Processes(Path(name)), free_port()
        server = processes.start("s3", sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port))
        try:
            processes.await_start("s3", server, lambda: listens("127.0.0.1", port))
            os.environ |= {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
                "AWS_ACCESS_KEY_ID": "benchmark",  # any will do
                "AWS_SECRET_ACCESS_KEY": "benchmark",
                "AWS_REGION": "us-east-1",
                "AWS_ALLOW_HTTP": "true",
            }
            httpx.put(f"{os.environ['AWS_ENDPOINT_URL']}/{_BUCKET}", timeout=30).raise_for_status()
            yield processes.log("s3")
        finally:
            kill_group(server)


def main() -> int:
    """Print the figures as one line of JSON; returns the exit status."""
    parser = argparse.ArgumentParser(prog="bucket", description=__doc__)
    parser.add_argument("--shards", type=int, required=True)
    parser.add_argument("--second-opinion", type=float, required=True)
    options = parser.parse_args()
    return one_line(parser.prog, lambda: _run(options), goes_on=False)


def _run(options: argparse.Namespace) -> int:
    print(requests_of(options.shards, options.second_opinion).model_dump_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
