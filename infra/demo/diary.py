"""What happens while it happens, and the account of it at the end."""

import time
from dataclasses import dataclass, field


@dataclass
class Diary:
    """Prints a line for everything, and keeps what was done to the cluster."""

    begun: float = field(default_factory=time.monotonic)
    deeds: list[tuple[float, str]] = field(default_factory=list)
    """Seconds since the run began, and what was done."""
    _told: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """A line, with the seconds since the demo began."""
        print(f"{time.monotonic() - self._told:6.1f} s  {text}", flush=True)

    def run_begins(self) -> None:
        """Count the seconds of deeds from here."""
        self.begun = time.monotonic()

    def note(self, deed: str) -> None:
        """Something that was done to the cluster."""
        self.deeds.append((time.monotonic() - self.begun, deed))
        self.say(f"** {deed}")


@dataclass(frozen=True)
class Made:
    """A dataset that was built."""

    where: str
    seconds: float
    digest: str


@dataclass(frozen=True)
class Account:
    """What the demo shows."""

    records: int
    laptop: Made
    cluster: Made
    deeds: list[tuple[float, str]]
    retried: list[str]
    """Shards that took more than one attempt."""
    known: str
    """Shards that Prefect has as Completed, of how many."""

    @property
    def equal(self) -> bool:
        """Whether the cluster made what the laptop made."""
        return self.laptop.digest == self.cluster.digest

    def text(self) -> str:
        """The table, in Markdown."""
        rows: list[tuple[str, ...]] = [("second of the run", "what was done to the cluster")]
        rows += [(f"{seconds:.0f}", deed) for seconds, deed in self.deeds]
        both: list[tuple[str, ...]] = [("", "laptop", "cluster"), ("where", self.laptop.where, self.cluster.where)]
        made = (self.laptop, self.cluster)
        both.append(("seconds", *(f"{each.seconds:.1f}" for each in made)))
        both.append(("records/s", *(f"{self.records / each.seconds:.0f}" for each in made)))
        both.append(("shards tried again", "", f"{len(self.retried)}"))
        both.append(("shards Completed in Prefect", "", self.known))
        both.append(("content digest", *(f"{each.digest[:16]}…" for each in made)))
        verdict = "equal" if self.equal else "NOT EQUAL"
        return (
            f"{_table(rows)}\n\n{_table(both)}\n\n"
            f"Tried again: {', '.join(self.retried) or 'no shard'}.\n"
            f"Content digest of {self.records:,} records on the laptop: {self.laptop.digest}\n"
            f"                        and on the cluster: {self.cluster.digest}, {verdict}\n"
        )


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])
