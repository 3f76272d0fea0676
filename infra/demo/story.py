"""The story: a laptop builds; a cluster builds the same, and has a bad day; are they equal?"""

import argparse
import os
import signal
import time
from pathlib import Path

from infra.demo.diary import Account, Diary, Made
from infra.demo.errors import DemoError
from infra.demo.processes import Processes, title, wait_until
from infra.demo.stage import Build, Stage, set_stage
from pipeline.dataset import open_dataset

_OUTAGE_SECONDS = 3.0
_CANCEL_SECONDS = 15.0  # within which nothing of a cancelled run may be left


def tell(folder: Path, options: argparse.Namespace) -> int:
    """Start everything, tell the story, and print the account; who called ends all that was started.

    Args:
        folder: where everything is.
        options: the command line's.

    Returns:
        0 when the cluster's datasets are the laptop's, else 1.

    Raises:
        DemoError: when a part does not start, or a run does not end as it should.
    """
    diary = Diary()
    laptop = _laptop(folder, diary, options)
    stage = set_stage(folder, diary, options)
    account = _bad_day(stage, laptop)
    print(f"\n{account.text()}", flush=True)
    equal = account.equal
    if options.cancel:
        equal &= _cancelled(stage) == laptop.digest
    diary.say("that was all")
    return 0 if equal else 1


def _laptop(folder: Path, diary: Diary, options: argparse.Namespace) -> Made:
    """A build as on a laptop: one process, shards of the usual size, no server, no cluster."""
    diary.say(f"a laptop builds {options.records:,} records, serially")
    out, begun = folder / "laptop", time.monotonic()
    command = ["build", "--engine", "serial", "--records", str(options.records), "--out", str(out), "--no-release"]
    Processes(folder).run("laptop-build", "ecg-foundry", *command)
    made = Made("1 process", time.monotonic() - begun, open_dataset(out).manifest.content_digest)
    diary.say(f"which took {made.seconds:.1f} s")
    return made


def _bad_day(stage: Stage, laptop: Made) -> Account:
    """A build during which a worker, a node and the Prefect server are lost."""
    diary, cluster = stage.diary, stage.cluster
    diary.say("the cluster builds the same records: prefect deployment run build-dataset")
    build = stage.begin("dataset")
    diary.run_begins()

    def note(deed: str) -> None:
        diary.note(f"{deed} ({build.made()} of {build.shards} shards made)")

    stage.await_share(build, 0.1)
    node = cluster.nodes[0]
    os.kill(wait_until(lambda: cluster.actors(at_work=True)[node], "node-1 makes a shard")[0], signal.SIGKILL)
    note("node-1: kill -9 of the actor in the middle of a shard")

    stage.await_share(build, 0.2)
    killed = cluster.nodes[1].lose()
    note(f"node-2 lost: its cable cut, then kill -9 of its {killed} processes")

    stage.await_share(build, 0.3)
    stage.site.kill_server()
    note("Prefect's server: kill -9")
    time.sleep(_OUTAGE_SECONDS)
    stage.site.start_server()
    note("Prefect's server answers again")

    stage.await_completion(build)
    note("the run is Completed")
    return _account(stage, laptop, build)


def _account(stage: Stage, laptop: Made, build: Build) -> Account:
    run = build.run
    where = f"Prefect, Ray on 4 hosts, {'a shared disk' if stage.options.shared_disk else 'S3'}"
    cluster = Made(where, run.seconds(), stage.verified_digest(build))
    known = f"{run.completed()} of {build.shards}"
    return Account(stage.options.records, laptop, cluster, stage.diary.deeds, run.retried(), known)


def _cancelled(stage: Stage) -> str:
    """A build that is cancelled, and resumed by another run; returns the content digest.

    Raises:
        DemoError: when something of the cancelled run is left.
    """
    diary, cluster = stage.diary, stage.cluster
    cluster.add_node()
    diary.say("node-3 has joined in place of node-2; the cluster builds once more, to be cancelled")
    idle = set(stage.site.worker.pids())
    build = stage.begin("cancelled")
    stage.await_share(build, 0.3)
    begun = time.monotonic()
    stage.processes.run("cancel", "prefect", "flow-run", "cancel", build.run.number)
    asked = time.monotonic()
    while left := _left(stage, idle):
        if time.monotonic() > asked + _CANCEL_SECONDS:
            raise DemoError(f"{_CANCEL_SECONDS:.0f} s after the run was cancelled there still are {', '.join(left)}")
        time.sleep(0.1)
    seconds = time.monotonic() - begun
    wait_until(lambda: build.run.ended, "the run is Cancelled")
    kept = build.made()
    diary.say(
        f"{build.run.state()[0]} after {kept} of {build.shards} shards; no process left after {seconds:.1f} s, "
        f"{asked - begun:.1f} s of them the command's"
    )
    again = stage.begin("cancelled")
    stage.await_completion(again)
    digest = stage.verified_digest(again)
    diary.say(f"resumed: {again.run.completed()} shards made, {again.run.seconds():.1f} s, content digest {digest}")
    return digest


def _left(stage: Stage, idle: set[int]) -> list[str]:
    """The titles of what a run has on the cluster: actors, and what the worker's host did not have before."""
    actors = [pid for pids in stage.cluster.actors().values() for pid in pids]
    return [title(pid) for pid in [*actors, *set(stage.site.worker.pids()) - idle]]
