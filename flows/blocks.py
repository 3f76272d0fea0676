"""Secrets that a run takes from Prefect's blocks rather than from its surroundings."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from prefect.blocks.system import Secret

from pipeline.errors import InputError


@contextmanager
def credentials(block: str | None) -> Iterator[None]:
    """Have a bucket's credentials in the environment, where Ray's own workers find them too.

    Args:
        block: name of a Secret block whose value is JSON such as `{"AWS_ACCESS_KEY_ID": "…", …}`; None changes nothing.

    Raises:
        InputError: when the block holds anything else, which is not shown.
    """
    variables = _variables(block) if block else {}
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _variables(block: str) -> dict[str, str]:
    value = Secret.load(block).get()  # type: ignore[union-attr]  # loaded from a thread that has no event loop
    try:
        variables = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        variables = None
    if not isinstance(variables, dict) or not all(
        name.startswith("AWS_") and isinstance(text, str) for name, text in variables.items()
    ):
        raise InputError(
            f"the Secret block {block} holds no JSON object of AWS_* variables. Give it one such as "
            f'{{"AWS_ACCESS_KEY_ID": "…", "AWS_SECRET_ACCESS_KEY": "…"}}'
        )
    return variables
