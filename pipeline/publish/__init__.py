"""Publish a release: to OSF, a folder, a bucket or the Hugging Face Hub, resumably, and never over a published one."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from pipeline.errors import InputError, RecipeError
from pipeline.progress import progress_bar
from pipeline.publish.client import Client
from pipeline.publish.folder import FolderTarget
from pipeline.publish.inventory import Inventory, check_inventory, read_inventory
from pipeline.publish.links import without_userinfo
from pipeline.publish.osf import OSF_API, OsfTarget
from pipeline.publish.plan import Plan, Step, plan_upload
from pipeline.publish.s3 import S3Target
from pipeline.publish.target import PublishError, Target
from pipeline.release.checksums import CHECKSUMS
from pipeline.release.place import on_disk
from pipeline.store.place import Place

__all__ = ["Plan", "PublishError", "Step", "open_target", "publish"]

TOKEN_VARIABLE, HUB_VARIABLE = "OSF_TOKEN", "HF_TOKEN"

_LIKE_A_PLACE = re.compile(r"osf$|[a-z][a-z0-9+.-]*:", re.IGNORECASE)
"""What nobody means a folder by."""


def publish(
    release: Place, to: str, *, node: str | None = None, token: SecretStr | None = None, dry_run: bool = False
) -> Plan:
    """Send a release to a place outside, under a folder named by its version; what is there already is not sent again.

    Killed or cut off at any point, the same call goes on. `SHA256SUMS.txt` is sent last, once all else is there and
    right; with it the version is published, and no other release of that version can take its place.

    Args:
        release: the release folder; one in a bucket is fetched whole first.
        to: as `open_target`.
        node: as `open_target`.
        token: as `open_target`.
        dry_run: only ask what is there, and send nothing.

    Returns:
        What became of every file, or would.

    Raises:
        RecipeError: when the place is none, or lacks a node.
        InputError: when it lacks a token or a library.
        DatasetError: when the release is unfinished or altered, before its first byte leaves.
        PublishError: when the place cannot take it, or holds another release of that version.
    """
    with on_disk(release) as folder, open_target(to, folder, node=node, token=token) as target:
        inventory = read_inventory(folder)
        plan = plan_upload(inventory, target.find(inventory), target)
        target.check_room(inventory, [step.file for step in plan.to_send])
        check_inventory(inventory)
        if plan.to_send and not dry_run:
            _send(inventory, plan, target)
        elif not dry_run:
            target.send(inventory, [], lambda _: None)  # what a kill may have left there goes
        return plan


def _send(inventory: Inventory, plan: Plan, target: Target) -> None:
    total = sum(entry.bytes for entry in inventory.files.values())
    with progress_bar(total, "publishing", "B", done=total - plan.bytes_to_send) as bar:
        bar.unit_scale = True
        target.send(inventory, [step.file for step in plan.to_send if step.file != CHECKSUMS], bar.update)
        left = [step.file for step in plan_upload(inventory, target.find(inventory), target).to_send]
        if left not in ([CHECKSUMS], []):  # it may just have been published from elsewhere too
            raise PublishError(
                f"{target.where} does not have {left[0]} as it was sent. Run the same command again: what is there is "
                f"kept, and {inventory.version} is not published yet"
            )
        target.send(inventory, left, bar.update)


@contextmanager
def open_target(to: str, release: Path, *, node: str | None = None, token: SecretStr | None = None) -> Iterator[Target]:
    """The place that an address means.

    Args:
        to: ``osf``, or the address of another OSF API such as `https://api.test.osf.io/v2/`; `s3://bucket/prefix`;
            `hf://datasets/user/name`; else a folder.
        release: the release folder.
        node: the project or component on OSF, as in osf.io/abc12.
        token: OSF's personal access token or the Hub's token; None for that of OSF_TOKEN or HF_TOKEN.

    Raises:
        RecipeError: when there is no such place, or it lacks a node.
        InputError: when it lacks a token or a library.
    """
    is_osf = to == "osf" or to.startswith(("https://", "http://"))
    is_bucket, is_hub = to.startswith("s3://"), to.startswith("hf://")
    shown = without_userinfo(to)
    if not to or (_LIKE_A_PLACE.match(to) and not (is_osf or is_bucket or is_hub)):
        raise RecipeError(
            f"{shown!r} is no place to publish to. Give osf, s3://…, hf://datasets/… or a folder (./NAME whatever its "
            f"name)"
        )
    if is_osf and node is None:
        raise RecipeError(f"{shown} needs a node. Give its id, as in osf.io/abc12")
    if node is not None and not is_osf:
        raise RecipeError(f"{shown} has no nodes. Leave the node out")
    if is_osf:
        with Client(OSF_API if to == "osf" else to, _osf_token(token)) as client:
            yield OsfTarget(client, str(node))
    elif is_bucket:
        yield S3Target(to)
    elif is_hub:
        yield _hub(to, token)
    else:
        yield FolderTarget(Path(to), release)


def _osf_token(given: SecretStr | None) -> SecretStr:
    token = (given.get_secret_value() if given else os.environ.get(TOKEN_VARIABLE, "")).strip()
    if not token:
        raise InputError(
            f"there is no OSF token. Make one with osf.full_write at https://osf.io/settings/tokens and set "
            f"{TOKEN_VARIABLE} to it"
        )
    return _checked(token, TOKEN_VARIABLE)


def _hub_token(given: SecretStr | None) -> SecretStr | None:
    """The Hub's token, if there is one; else its library looks for a login of its own."""
    token = (given.get_secret_value() if given else os.environ.get(HUB_VARIABLE, "")).strip()
    return _checked(token, HUB_VARIABLE) if token else None


def _checked(token: str, variable: str) -> SecretStr:
    """A token that a header can hold: the refusal of another one would show it."""
    if re.fullmatch("[!-~]+", token) is None:
        raise InputError(f"the token has a space or a special character inside. Set {variable} to it alone")
    return SecretStr(token)


def _hub(to: str, token: SecretStr | None) -> Target:
    """The Hub, whose library a plain installation does not have."""
    try:
        from pipeline.publish.hugging_face import HuggingFaceTarget  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise InputError(f"{error.name} is missing. Run: pip install 'ecg-foundry[publish]'") from error
    return HuggingFaceTarget(to, _hub_token(token))
