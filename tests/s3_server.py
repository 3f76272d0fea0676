"""A real S3 server on loopback, for tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from moto.server import ThreadedMotoServer

BUCKET = "datasets"
SETTINGS = {
    "AWS_ACCESS_KEY_ID": "an-access-key",
    "AWS_SECRET_ACCESS_KEY": "a-sentinel-secret",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}


@contextmanager
def s3_endpoint() -> Iterator[str]:
    """The address of a server; all servers of one process have the same buckets."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


@contextmanager
def s3_server() -> Iterator[Any]:
    """A client of a server that has a bucket, which AWS's variables name until the block ends."""
    with s3_endpoint() as endpoint, pytest.MonkeyPatch.context() as patch:
        for name, value in (SETTINGS | {"AWS_ENDPOINT_URL": endpoint}).items():
            patch.setenv(name, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        yield client
