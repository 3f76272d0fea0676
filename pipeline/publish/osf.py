"""A node of OSF: its API says what is there, and its file service WaterButler takes the files."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline.errors import InputError
from pipeline.logs import log_event
from pipeline.publish.body import Body
from pipeline.publish.client import ATTEMPTS, Answer, Client
from pipeline.publish.inventory import Inventory
from pipeline.publish.osf_answers import Entity, Node, Storage, read_answer, read_listing
from pipeline.publish.target import UNKNOWN, PublishError
from pipeline.release.checksums import CHECKSUMS

OSF_API = "https://api.osf.io/v2/"
STORAGE = "osfstorage"

GB = 10**9
# https://help.osf.io/article/555-add-ons-storage-api-integration-faq-s, read in November 2026
MOST_FILE_BYTES = 5 * GB
MOST_PRIVATE_BYTES = 5 * GB
MOST_PUBLIC_BYTES = 50 * GB

_MEANINGS = {
    401: "does not accept the token. Make a new one at https://osf.io/settings/tokens and set OSF_TOKEN to it",
    403: "may not be written to with this token. Make one with osf.full_write, of somebody who may write to the node",
    404: "does not exist, or is a registration. Give the id of a project or component, as in osf.io/abc12",
    410: "was deleted. Give another project or component",
    507: "is full. Make it public (50 GB in place of 5 GB), remove something or publish into a new component",
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Folder:
    upload: str
    listing: str


class OsfTarget:
    """Publishes into the OSF storage of a project or component.

    Args:
        client: for the API.
        node: the node's id, as in osf.io/abc12.

    Raises:
        InputError: when the id is none.
    """

    replaces = True

    def __init__(self, client: Client, node: str) -> None:
        if re.fullmatch(r"[0-9A-Za-z]{5,20}", node) is None:  # it becomes part of an address
            raise InputError(f"{node!r} is no OSF node. Give the id of a project or component, as in osf.io/abc12")
        self._client = client
        self._node = node
        self._is_public = False
        self._root = _Folder("", "")
        self._folders: dict[str, _Folder] = {}
        """By their path in the release; the version's own is ``""``."""
        self._files: dict[str, Entity] = {}
        self._stored = set[str]()
        """Hashes of what came of our own uploads, as OSF gives them."""

    @property
    def where(self) -> str:
        """Such as `OSF node abc12`."""
        return f"OSF node {self._node}"

    def find(self, inventory: Inventory) -> Mapping[str, str]:
        """As `Target` says; two files of one name cannot be told apart and are refused."""
        node = read_answer(self._told(self._client.get(f"nodes/{self._node}/")), Node).attributes
        if "write" not in node.current_user_permissions:
            raise PublishError(f"{self.where} {_MEANINGS[403]}")
        self._is_public = node.public
        self._root = self._storage()
        self._folders.clear()
        self._files.clear()
        for entity in self._listed(self._root):
            if entity.is_folder and entity.name == inventory.version:
                self._take_in("", entity, _folders(inventory))
        if self._hash(CHECKSUMS) == UNKNOWN:
            raise PublishError(
                f"{self.where} gives no SHA-256 of {inventory.version}/{CHECKSUMS}, which cannot be compared. Run the "
                f"same command again later, or choose a new version"
            )
        return {name: file.sha256 for name, file in self._files.items()}

    def check_room(self, inventory: Inventory, names: Sequence[str]) -> None:
        """As `Target` says, by the limits that OSF publishes."""
        for name in names:
            if inventory.files[name].bytes > MOST_FILE_BYTES:
                raise PublishError(f"{inventory.path(name)} is larger than OSF's 5 GB a file. Release smaller parts")
        used = self._used_bytes() if names else 0
        coming = sum(inventory.files[name].bytes for name in names)
        most = MOST_PUBLIC_BYTES if self._is_public else MOST_PRIVATE_BYTES
        if used + coming > most:
            remedy = "Publish into a new component"
            if not self._is_public and used + coming <= MOST_PUBLIC_BYTES:
                remedy = "Make it public first (then it holds 50 GB), or publish into a public component"
            raise PublishError(
                f"{self.where} is {'public' if self._is_public else 'private'} and holds {most / GB:.0f} GB: "
                f"{used / GB:.2f} GB are used and {coming / GB:.2f} GB would come. {remedy}"
            )

    def send(self, inventory: Inventory, names: Sequence[str], sent: Callable[[int], object]) -> None:
        """As `Target` says; what is there with another content gets a new version."""
        for name in names:
            self._folder(inventory, name.rpartition("/")[0])
            self._send_file(name, inventory, sent)
            log_event(_log, logging.INFO, "file published", file=name, bytes=inventory.files[name].bytes)

    def _send_file(self, name: str, inventory: Inventory, sent: Callable[[int], object]) -> None:
        """Send a file until the hash that OSF has of it is ours.

        After whatever goes wrong the listing is read again: the file may be there although no answer came, or there in
        part. So no file is ever made twice.
        """
        entry = inventory.files[name]
        path = name.rpartition("/")[0]
        is_stored = False
        for attempt in range(ATTEMPTS):
            body = Body(inventory.path(name), entry, sent)
            if not is_stored or self._hash(name) != UNKNOWN:  # else only its hash is waited for
                answer = self._put_file(name, inventory, body)
                is_stored = answer.status in {200, 201}
            if self._hash(name) != entry.sha256:
                self._client.pause(attempt, answer)
                self._look_again(path)
            if self._hash(name) == entry.sha256:
                sent(entry.bytes - body.bytes)
                return
            body.take_back()
            reason = answer.reason
            if is_stored:
                reason = f"OSF has it with {'another' if self._hash(name) else 'no'} SHA-256"
            log_event(_log, logging.WARNING, "file is not there as it was sent", file=name, reason=reason)
        raise PublishError(
            f"{name} did not arrive at {self.where} whole, or cannot be checked, in {ATTEMPTS} attempts, the last: "
            f"{reason}. Run the same command again later; what is there is kept"
        )

    def _put_file(self, name: str, inventory: Inventory, body: Body) -> Answer:
        path, _, base = name.rpartition("/")
        there = self._files.get(name)
        if there is None:
            answer = self._put(inventory, self._folders[path].upload, {"kind": "file", "name": base}, body)
        else:  # a new version; with a name it would be refused
            answer = self._put(inventory, there.links.upload, {"kind": "file"}, body)
        if answer.is_refusal and answer.status not in {404, 409}:
            raise self._refusal(answer)
        if answer.status in {200, 201}:
            with suppress(PublishError):  # what it says may be nothing; the listing is read then
                self._files[name] = read_answer(answer, Entity)
                self._stored |= {self._files[name].sha256} - {UNKNOWN}
        return answer

    def _folder(self, inventory: Inventory, path: str) -> _Folder:
        """The folder of a path in the release, made where it is not there."""
        if path not in self._folders:
            above, _, name = path.rpartition("/")
            parent = self._folder(inventory, above) if path else self._root
            self._enter(path, self._made_folder(inventory, parent, name if path else inventory.version))
        return self._folders[path]

    def _made_folder(self, inventory: Inventory, parent: _Folder, name: str) -> Entity:
        for attempt in range(ATTEMPTS):
            answer = self._put(inventory, parent.upload, {"kind": "folder", "name": name})
            if answer.is_refusal and answer.status != 409:
                raise self._refusal(answer)
            with suppress(PublishError):
                if answer.status == 201:
                    return read_answer(answer, Entity)
            self._client.pause(attempt, answer)
            for entity in self._listed(parent):  # made although no answer came, or by somebody else
                if entity.is_folder and entity.name == name:
                    return entity
        raise PublishError(f"{self.where}: folder {name} cannot be made: {answer.reason}. Run the same command again")

    def _put(self, inventory: Inventory, link: str, parameters: Mapping[str, str], body: Body | None = None) -> Answer:
        """Send a file or make a folder, unless another release has been published as this version meanwhile.

        All that is ever changed there is changed here.
        """
        if "" in self._folders:
            self._look_again("")
            seal = self._hash(CHECKSUMS)
            if seal is not None and seal not in inventory.seals | self._stored:
                raise PublishError(
                    f"{self.where}: another release has been published as {inventory.version} meanwhile. A version is "
                    f"never overwritten: give this release a new one"
                )
        return self._client.ask("PUT", link, parameters, body)

    def _storage(self) -> _Folder:
        listing = f"nodes/{self._node}/files/"
        for answer in self._client.pages(listing):
            for provider in read_listing(self._told(answer)):
                if provider.name == STORAGE:
                    return _Folder(provider.links.upload, provider.listing(f"{listing}{STORAGE}/"))
        raise PublishError(f"{self.where} has no OSF storage. Switch the OSF Storage add-on on, or give another node")

    def _enter(self, path: str, folder: Entity) -> None:
        self._folders[path] = _Folder(folder.links.upload, folder.listing(self._root.listing))

    def _hash(self, name: str) -> str | None:
        """SHA-256 of a file as it was seen last; None where there is none."""
        return self._files[name].sha256 if name in self._files else None

    def _take_in(self, name: str, entity: Entity, known: frozenset[str]) -> None:
        """Know what is there: a file, or a folder and everything below it.

        A folder that the release does not have is noted and not looked into, so that there is an end to it.
        """
        if name in (self._folders if entity.is_folder else self._files):
            raise PublishError(f"{self.where} has two of {name or 'that version'}. Remove one of them there")
        if not entity.is_folder or name not in known:
            self._files[f"{name}/" if entity.is_folder else name] = entity
            return
        self._enter(name, entity)
        for inside in self._listed(self._folders[name]):
            self._take_in(f"{name}/{inside.name}" if name else inside.name, inside, known)

    def _look_again(self, path: str) -> None:
        """Read anew which files are in a folder."""
        prefix = f"{path}/" if path else ""
        files = {prefix + each.name: each for each in self._listed(self._folders[path]) if not each.is_folder}
        self._files = {name: each for name, each in self._files.items() if name.rpartition("/")[0] != path} | files

    def _listed(self, folder: _Folder) -> Iterator[Entity]:
        """What is in a folder; what moves to the next page while they are read is there only once."""
        seen = set[str]()
        for answer in self._client.pages(folder.listing):
            for entity in read_listing(self._told(answer)):
                if entity.attributes.path not in seen:
                    seen.add(entity.attributes.path)
                    yield entity

    def _used_bytes(self) -> int:
        """What OSF counts, up to a day late; only who may write is told."""
        for attempt in range(3):
            answer = self._told(self._client.get(f"nodes/{self._node}/storage/"))
            used = read_answer(answer, Storage).attributes.storage_usage
            if used is not None:
                return used
            self._client.pause(attempt, answer)
        log_event(_log, logging.WARNING, "storage use is unknown", node=self._node, reason="OSF has not counted it yet")
        return 0

    def _told(self, answer: Answer) -> Answer:
        if answer.status in {200, 202}:
            return answer
        raise self._refusal(answer)

    def _refusal(self, answer: Answer) -> PublishError:
        meaning = _MEANINGS.get(answer.status, f"cannot be used: OSF answers {answer.reason}. Try again later")
        return PublishError(f"{self.where} {meaning}")


def _folders(inventory: Inventory) -> frozenset[str]:
    """The folders of a release, that of the version as ``""``."""
    paths = {path for name in inventory.files for path in PurePosixPath(name).parents}
    return frozenset("" if path == PurePosixPath() else f"{path}" for path in paths)
