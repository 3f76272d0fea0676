"""What was measured, part by part of the document."""

from benchmarks.performance.figures import BuildRun, Figures
from benchmarks.performance.results import FullBuild, Machine


class Driven(Figures):
    """What the driver says of empty shards."""

    flow_run: str
    shards: int
    workers: int
    started: float
    """Seconds since 1970."""
    make_s: float
    """From the first shard's task to the last one's end, on the wall."""
    cpu_s: float
    """Of the driver, meanwhile."""


class Kept(Figures):
    """What a database holds, and what it had to go through."""

    bytes: int
    transactions: int = 0
    """Of SQLite nobody counts them."""
    deadlocks: int = 0
    waits_ms: tuple[float, ...] = ()
    """For a lock, each of more than 100."""
    errors: int = 0
    """Statements that ended in one about a lock."""


class EmptyRun(Figures):
    """Empty shards through one server."""

    database: str
    driven: Driven
    peak_bytes: int
    """The most memory (RSS) that the driver held."""
    requests: int
    """To the server's API, from the driver's start to its end."""
    recorded: int
    """Shards that the server knew as Completed in the end."""
    dropped: int
    """Messages that one of the server's services had no room for."""
    recorded_s: float
    """When it knew the last, from the first shard's task on."""
    server_cpu_s: float
    server_bytes: int
    """RSS of the server in the end."""
    database_cpu_s: float
    """Of PostgreSQL; SQLite is part of the server."""
    kept: Kept
    grown_bytes: int
    transactions: int

    @property
    def wall_ms(self) -> float:
        """Milliseconds a shard of the driver, on the wall."""
        return self.a_shard(1000 * self.driven.make_s)

    def a_shard(self, value: float) -> float:
        """Its share of something."""
        return value / self.driven.shards


class Finalised(Figures):
    """What finalising a dataset takes, in a process that does nothing else."""

    records: int
    shards: int
    second_opinion: float
    seconds: float
    before_bytes: int
    """RSS before."""
    peak_bytes: int
    """RSS at most."""
    table_bytes: int
    """Of the joined rows in memory."""
    folder_bytes: int
    """Of the dataset with its normal subset."""


class Requests(Figures):
    """What a build asks of an S3 store, by phase and method."""

    shards: int
    records: int
    second_opinion: float
    phases: dict[str, dict[str, int]]


class Results(Figures):
    """Everything in the document."""

    machine: Machine
    quick: bool
    empty: list[EmptyRun]
    """In the order of their shards, database by database."""
    crowd: EmptyRun
    """With many workers."""
    inside: list[BuildRun]
    """Builds by one worker and by two, with Ray inside the build."""
    nodes: dict[int, BuildRun]
    """Builds on so many Ray nodes of a core each, all on this machine."""
    shard_sizes: dict[int, FullBuild]
    """One shard of so many records, made by one worker."""
    finalised: list[Finalised]
    requests: list[Requests]
    """Of few shards and of more without second opinions, and of more with them."""
