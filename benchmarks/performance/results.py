"""What was measured, part by part of the document."""

from benchmarks.performance.figures import BuildRun, Figures, PeerRun, Series


class Generator(Figures):
    """The generator alone on one core."""

    ours_ms: Series
    """Milliseconds a record, in blocks of 32."""
    published_ms: Series
    """Of the published network, at its best batch size."""
    batches_ms: dict[int, float]
    """Of the published network at each batch size, the best of a few tries."""
    multiply_adds: dict[str, float]
    """A record, by form of the network."""
    product_per_s: Series
    """Multiply-adds a second of one large float32 matrix product on the same core."""
    gpu: str | None
    gpu_per_s: Series | None
    """Records a second on the GPU, blocks there and back included."""

    @property
    def batch(self) -> int:
        """The published network's best batch size."""
        return min(self.batches_ms, key=lambda batch: self.batches_ms[batch])


class OneCore(Figures):
    """Whole builds on one core; each list has an entry a round."""

    generator_per_s: Series
    """Records a second of the generator alone, before and after each build."""
    builds: list[BuildRun]
    peers: dict[str, list[PeerRun]]
    """By method."""
    stages_ms: dict[str, Series]
    """Milliseconds a record of each stage alone, nothing beside it."""

    @property
    def build_per_s(self) -> Series:
        """Records a second of the whole build."""
        return Series(values=tuple(build.records_per_s for build in self.builds))

    def peer_per_s(self, method: str) -> Series:
        """Records a second of the peer."""
        return Series(values=tuple(peer.records_per_s for peer in self.peers[method]))


class Peak(Figures):
    """The most memory that a program and all its processes held at once."""

    pss_bytes: int
    """Sum of the proportional set sizes: memory shared by n processes counts 1/n in each."""
    rss_bytes: int
    """Sum of the resident set sizes: shared memory counts in each."""
    processes: int
    samples: int


class FullBuild(Figures):
    """A build in a process of its own, from its start to its end."""

    run: BuildRun
    process_s: float
    """From start to end, imports included."""
    peak: Peak

    @property
    def records_per_s(self) -> float:
        """From start to end."""
        return self.run.records / self.process_s


class FlowRun(Figures):
    """A build by the Prefect flow, as it reports itself."""

    records: int
    waiting_ms_a_shard: float
    waiting_percent: float
    """Of the workers' time."""


class Scaling(Figures):
    """Builds by one worker and by two, in turn."""

    one: list[BuildRun]
    two: list[BuildRun]

    @property
    def ratio(self) -> Series:
        """Records a second of two workers over those of one, while shards are made."""
        one, two = (Series(values=tuple(build.made_per_s for build in builds)) for builds in (self.one, self.two))
        return two.over(one)


class Codec(Figures):
    """One way to compress a record."""

    codec: str
    level: int
    shuffle: str
    """Of bits or bytes."""
    bytes_a_record: float
    encode_ms: float
    decode_ms: float


class Storage(Figures):
    """A dataset on disk and read back through Zarr on one core."""

    records: int
    signal_bytes: int
    """Of all files in `signals.zarr`."""
    dataset_bytes: int
    random_ms: Series
    """To read one record, each of another place."""
    scan_mb_per_s: Series
    """Shards read whole: 1e6 bytes of int16 a second."""
    codecs: list[Codec]


class Machine(Figures):
    """Where and with what."""

    date: str
    commit: str
    processor: str
    cores: int
    memory_bytes: int
    system: str
    instruction_set: str
    versions: dict[str, str]
    pinned: bool
    """Whether the one-core figures were held to one core."""


class Results(Figures):
    """Everything in the document."""

    machine: Machine
    quick: bool
    generator: Generator
    one_core: OneCore
    full: FullBuild
    small: list[FullBuild]
    flow: FlowRun
    scaling: Scaling
    storage: Storage
