"""Everything that the story needs, started, and a build on it."""

import argparse
import math
import time
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from infra.demo.diary import Diary
from infra.demo.errors import DemoError
from infra.demo.network import make_bridge
from infra.demo.postgres import start_postgres
from infra.demo.prefect_site import FlowRun, PrefectSite
from infra.demo.processes import Processes
from infra.demo.ray_cluster import RayCluster
from infra.demo.store import start_store
from pipeline.dataset import open_dataset
from pipeline.store.ledger import LEDGER
from pipeline.store.place import place_of

_SECONDS_PER_SHARD = 20  # after which a silent worker is given up: some twenty times what a shard takes
_TELL_SECONDS = 5.0


@dataclass(frozen=True)
class Build:
    """A run of the flow `build-dataset`."""

    run: FlowRun
    out: str
    shards: int
    """How many it has to make."""

    def made(self) -> int:
        """Shards that are committed; the store says so, whether or not anybody was told."""
        try:
            names = [entry.name for entry in (place_of(self.out) / LEDGER).iterdir()]
        except FileNotFoundError:
            return 0
        return sum(fnmatch(name, "shard-?????.json") for name in names)


@dataclass(frozen=True)
class Stage:
    """A cluster at work, and who tells of it."""

    processes: Processes
    diary: Diary
    store: str
    cluster: RayCluster
    site: PrefectSite
    options: argparse.Namespace

    def begin(self, name: str) -> Build:
        """Start the build of a dataset."""
        records, shard_records = self.options.records, self.options.shard_records
        parameters = {
            "records": records,
            "shard_records": shard_records,
            "out": f"{self.store}/{name}",
            "ray_address": self.cluster.address,
            "seconds_per_shard": _SECONDS_PER_SHARD,
            "release": "false",
        }
        return Build(self.site.start_run(parameters), f"{self.store}/{name}", math.ceil(records / shard_records))

    def await_share(self, build: Build, share: float) -> None:
        """Wait until a share of the shards is made, and tell how far it is.

        Args:
            build: whose shards.
            share: from 0 to 1.

        Raises:
            DemoError: when the run has ended before that, or no shard is left to be lost.
        """
        told, said = time.monotonic(), 0
        while (made := build.made()) < share * build.shards:
            if build.run.ended:
                raise self.processes.failed("worker", f"says that {made} shards were made: {build.run.state()}")
            if made != said and time.monotonic() > told + _TELL_SECONDS:
                self.diary.say(f"   {made} of {build.shards} shards")
                told, said = time.monotonic(), made
            time.sleep(0.2)
        if made == build.shards and share < 1:
            raise DemoError(f"all {made} shards were made before anything could happen. Ask for more --records")

    def await_completion(self, build: Build) -> None:
        """Wait until a build has ended well.

        Raises:
            DemoError: when it ended otherwise.
        """
        self.await_share(build, 1)
        self.diary.say("   all shards; rows are joined, and the normal subset is written")
        while not build.run.ended:
            time.sleep(0.2)
        state, why = build.run.state()
        if state != "COMPLETED":
            raise self.processes.failed("worker", f"says that the run ended as {state}: {why}")

    def verified_digest(self, build: Build) -> str:
        """Have every file, row and signal of a dataset read and checked; returns its content digest.

        Raises:
            DemoError: when it is damaged.
        """
        self.processes.run("verify", "ecg-foundry", "verify", build.out)
        self.diary.say(f"{build.out} is verified: every file, row and signal as its manifest says")
        return open_dataset(build.out).manifest.content_digest


def set_stage(folder: Path, diary: Diary, options: argparse.Namespace) -> Stage:
    """Start network, store, Ray, PostgreSQL, Prefect's server and its worker.

    Args:
        folder: where everything is.
        diary: who tells of it.
        options: the command line's.

    Raises:
        DemoError: when a part does not start.
    """
    processes = Processes(folder)
    make_bridge()
    store = str(folder / "shared") if options.shared_disk else start_store(processes)
    diary.say(f"datasets go to {store}")
    cluster = RayCluster(processes)
    cluster.add_node()
    cluster.add_node()
    diary.say(f"Ray's head and two nodes are up at {cluster.address}")
    site = PrefectSite(processes, start_postgres(processes))
    site.start_server()
    diary.say("Prefect's server is up, on PostgreSQL")
    site.deploy()
    site.start_worker(cluster.address)
    diary.say("prefect.yaml is deployed, and the worker is up and part of the Ray cluster")
    return Stage(processes, diary, store, cluster, site, options)
