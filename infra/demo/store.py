"""An S3 server with one bucket, as the nodes see it."""

import os

import httpx

from infra.demo.network import OUTSIDE
from infra.demo.processes import Processes, listens

_PORT = 9000
_BUCKET = "datasets"


def start_store(processes: Processes) -> str:
    """Start the server and make the bucket; all that is started later finds both in its environment.

    Returns:
        the bucket's address, such as `s3://datasets`.
    """
    server = processes.start("s3", "moto_server", "--host", OUTSIDE, "--port", str(_PORT))
    processes.await_start("s3", server, lambda: listens(OUTSIDE, _PORT))
    endpoint = f"http://{OUTSIDE}:{_PORT}"
    os.environ |= {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "demo",  # moto takes any
        "AWS_SECRET_ACCESS_KEY": "demo",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    httpx.put(f"{endpoint}/{_BUCKET}", timeout=30).raise_for_status()
    return f"s3://{_BUCKET}"
