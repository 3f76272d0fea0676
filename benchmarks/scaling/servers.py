"""A Prefect server of its own on a database of its own, and what the two say of themselves afterwards."""

import asyncio
import os
import re
import signal
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import httpx
import psutil

from benchmarks.scaling.results import Kept
from infra.demo.errors import DemoError
from infra.demo.needs import program
from infra.demo.postgres import start_postgres
from infra.demo.processes import Processes, kill_group
from pipeline.errors import FoundryError

DATABASES = ("PostgreSQL", "SQLite")
_WAITS_MS = 100
"""A wait for a lock that takes longer is written into PostgreSQL's log."""
_QUESTION = """
select pg_database_size(datname) as bytes, xact_commit + xact_rollback as transactions, deadlocks
from pg_stat_database where datname = current_database()
"""


@dataclass(frozen=True)
class Site:
    """A server that answers."""

    environment: dict[str, str]
    """Under which a flow reports to it."""
    api: httpx.Client
    server: psutil.Process
    log: Path
    kept: Callable[[], Kept]
    """What its database says of itself."""
    database: psutil.Process | None
    """None where the server itself is."""

    def ask(self, path: str, **question: object) -> Any:  # noqa: ANN401 - JSON
        """What the server answers to a POST."""
        answer = self.api.post(path, json=question)
        answer.raise_for_status()
        return answer.json()

    def logged(self, pattern: str) -> int:
        """How often the server has logged something."""
        return len(re.findall(pattern, self.log.read_text(encoding="utf-8", errors="replace")))


def check_database(kind: str) -> None:
    """Refuse what cannot be started here.

    Raises:
        FoundryError: names what is missing.
    """
    if kind == "PostgreSQL" and not (program("postgres") and program("initdb") and os.getuid() == 0):
        raise FoundryError(
            "PostgreSQL cannot be started: it wants its programs (apt-get install postgresql) and root, which gives it "
            "to an unprivileged user. Or measure --database SQLite alone"
        )


@contextmanager
def site(kind: str) -> Iterator[Site]:
    """Start a database and a server on loopback, at ports that are free; both end with the block.

    Args:
        kind: one of `DATABASES`.

    Raises:
        FoundryError: when one of them does not start.
    """
    with tempfile.TemporaryDirectory(prefix="ecg-foundry-site-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL's user must come through
        processes = Processes(folder)
        try:
            with _postgres(processes) if kind == "PostgreSQL" else _sqlite(processes) as (url, postmaster, kept):
                yield from _server(processes, url, postmaster, kept)
        except DemoError as error:
            raise FoundryError(f"{kind}: {error}") from error


def _server(
    processes: Processes, database: str, postmaster: psutil.Process | None, kept: Callable[[], Kept]
) -> Iterator[Site]:
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    environment = {
        "PREFECT_HOME": str(processes.folder),
        "PREFECT_API_URL": url,
        "PREFECT_API_DATABASE_CONNECTION_URL": database,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_PLUGINS_ENABLED": "false",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port), "--log-level", "INFO"]
    server = processes.start("server", *command, env=environment)
    try:
        with httpx.Client(base_url=url, timeout=60) as api:
            processes.await_start("server", server, lambda: _answers(api))
            yield Site(environment, api, psutil.Process(server.pid), processes.log("server"), kept, postmaster)
    finally:
        kill_group(server)


def _answers(api: httpx.Client) -> bool:
    try:
        return api.get("/health", timeout=2).is_success
    except httpx.TransportError:
        return False


_Started = tuple[str, psutil.Process | None, Callable[[], Kept]]


@contextmanager
def _postgres(processes: Processes) -> Iterator[_Started]:
    """PostgreSQL with its own settings, but that it says so when a lock is waited for."""
    url = start_postgres(processes, free_port(), "log_lock_waits=on", f"deadlock_timeout={_WAITS_MS}ms")
    pid = int((processes.folder / "postgres" / "data" / "postmaster.pid").read_text(encoding="utf-8").split()[0])
    postmaster = psutil.Process(pid)

    def kept() -> Kept:
        said, known = processes.said("postgres"), asyncio.run(_asked(url))
        return Kept(
            **known,
            waits_ms=tuple(map(float, re.findall(r" acquired \w+Lock on .* after ([\d.]+) ms", said))),
            errors=len(re.findall(r"ERROR: .*(deadlock|lock timeout|could not obtain lock)", said)),
        )

    try:
        yield url, postmaster, kept
    finally:
        postmaster.send_signal(signal.SIGQUIT)  # it takes all its processes with it
        postmaster.wait(30)


async def _asked(url: str) -> dict[str, int]:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        return dict(await connection.fetchrow(_QUESTION))
    finally:
        await connection.close()


@contextmanager
def _sqlite(processes: Processes) -> Iterator[_Started]:
    file = processes.folder / "prefect.db"

    def kept() -> Kept:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            pages, size = (connection.execute(f"pragma {name}").fetchone()[0] for name in ("page_count", "page_size"))
        return Kept(bytes=pages * size, errors=processes.said("server").count("database is locked"))

    yield f"sqlite+aiosqlite:///{file}", None, kept


def free_port() -> int:
    """Of loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
