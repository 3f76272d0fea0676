"""PostgreSQL on loopback, with a random password."""

import os
import secrets

from infra.demo.needs import program
from infra.demo.processes import Processes, listens

_PORT = 5432
_NOBODY = 65534  # PostgreSQL refuses to run as root


def start_postgres(processes: Processes, port: int = _PORT, *settings: str) -> str:
    """Make a cluster of databases and start it; returns the URL that Prefect wants.

    Args:
        processes: what has the log.
        port: of loopback.
        settings: such as `log_lock_waits=on`.
    """
    password = secrets.token_hex(16)
    home = processes.folder / "postgres"
    home.mkdir()
    secret = home / "password"
    secret.write_text(password, encoding="utf-8")
    for path in (home, secret):
        os.chown(path, _NOBODY, _NOBODY)
        path.chmod(0o700)
    on = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--inh-caps=-all"]
    data = str(home / "data")
    rights = ["--username", "prefect", "--auth", "scram-sha-256", "--pwfile", str(secret)]
    processes.run("initdb", str(program("initdb")), "-D", data, *rights, "--no-locale", "--encoding", "UTF8", on=on)
    options = ["-h", "127.0.0.1", "-p", str(port), "-k", str(home)]
    options += [word for setting in settings for word in ("-c", setting)]
    server = processes.start("postgres", str(program("postgres")), "-D", data, *options, on=on)
    processes.await_start("postgres", server, lambda: listens("127.0.0.1", port))
    return f"postgresql+asyncpg://prefect:{password}@127.0.0.1:{port}/postgres"
