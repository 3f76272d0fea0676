"""OSF on loopback: its API (version 2) and its file service WaterButler (version 1), each on a port of its own.

Paths, parameters, status codes and shapes are those of the sources of osf.io and WaterButler 26. What it is sent it
keeps, and it fails in every way that it is told to. `python -m tests.fake_osf` runs it by hand.
"""

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, urlencode, urlsplit

from pipeline.dataset import Provenance
from pipeline.recipe import Recipe
from pipeline.release.checksums import CHECKSUMS, checksums_text
from pipeline.release.manifest import RELEASE_MANIFEST, ReleaseManifest
from pipeline.store.documents import write_document
from pipeline.store.files import all_files, file_entry

Json = dict[str, Any]
GB = 10**9
_PIECE_BYTES = 1 << 18


@dataclass
class Entity:
    """A file with its versions, or a folder with what is in it."""

    name: str
    versions: list[bytes] | None = None
    children: list["Entity"] = field(default_factory=list)
    id: str = field(default_factory=lambda: secrets.token_hex(12))

    @property
    def path(self) -> str:
        return f"/{self.id}" if self.versions else f"/{self.id}/"

    def below(self, prefix: str = "") -> Iterator[tuple[str, "Entity"]]:
        """Everything below it by its path, that of a folder with a slash; one path twice, where there are two."""
        for child in self.children:
            path = f"{prefix}{child.name}{'/' if child.versions is None else ''}"
            yield path, child
            yield from child.below(path)


@dataclass
class Node:
    """A project or component."""

    public: bool = True
    permissions: tuple[str, ...] = ("admin", "write", "read")
    used: int = 0
    """Bytes in other places of it."""
    uncounted: int = 0
    """How often its storage use is asked for in vain before it is known."""
    deleted: bool = False
    root: Entity = field(default_factory=lambda: Entity(""))

    @property
    def usage(self) -> int:
        return self.used + sum(len(content) for _, entity in self.root.below() for content in entity.versions or [])

    def files(self) -> dict[str, bytes]:
        """The newest version of every file; nothing is there twice."""
        found = [*self.root.below()]
        assert len(dict(found)) == len(found)
        return {path: entity.versions[-1] for path, entity in found if entity.versions}


@dataclass
class Fault:
    """What goes wrong with the next requests of a method whose path or file has this text in it."""

    kind: Literal["status", "early", "cut", "partial", "lost", "corrupt", "hashless", "slow", "answer", "drip"]
    on: str = ""
    method: str = "PUT"
    times: int = 1
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict)
    """Of the answer."""
    content: bytes = b""
    """In place of the answer's own, of any status; where it drips, of the answer with its head, which never ends."""


@dataclass
class Request:
    """One that came."""

    method: str
    path: str
    target: str
    """The path with its parameters."""
    file: str
    token: str | None
    time: float
    status: int = 0


class FakeOsf:
    """Both services, in threads.

    Args:
        token: whose bearer may do everything that a node's permissions allow.
        page_size: the most entries that a page of a listing has.
        keeps_partial: whether an upload that breaks off is stored as far as it came.
    """

    def __init__(self, token: str, *, page_size: int = 3, keeps_partial: bool = False) -> None:
        self.token = token
        self.page_size = page_size
        self.keeps_partial = keeps_partial
        self.nodes: dict[str, Node] = {}
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.at_moment: Callable[[], object] = lambda: None
        """Called when a request has come, at each piece of its body, and when it is done and not answered yet."""
        self.spelling: Callable[[str], str | None] = lambda digest: digest
        """What is said of a SHA-256."""
        self.busy = 0
        """Requests under way."""
        self.lock = threading.RLock()
        self._servers = [_server(self, _Api), _server(self, _WaterButler)]
        self.api = f"http://127.0.0.1:{self._servers[0].server_port}/v2/"
        self.files_host = f"http://127.0.0.1:{self._servers[1].server_port}"
        """Where its links say that files go."""

    @property
    def sent(self) -> list[Request]:
        """Requests that could change something."""
        return [request for request in self.requests if request.method != "GET"]

    def fault_for(self, request: Request) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times and fault.method == request.method and fault.on in f"{request.path} {request.file}":
                    fault.times -= 1
                    return fault
        return None

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()


@contextmanager
def fake_osf(token: str, **settings: Any) -> Iterator[FakeOsf]:
    """A fake OSF until the block ends."""
    osf = FakeOsf(token, **settings)
    try:
        yield osf
    finally:
        osf.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    osf: FakeOsf

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are killed are what this is for."""


def _server(osf: FakeOsf, handler: type["_Handler"]) -> _Server:
    server = _Server(("127.0.0.1", 0), handler)
    server.osf = osf
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server


class _RefusedError(Exception):
    def __init__(self, status: int, document: Json | None = None) -> None:
        self.status = status
        self.document = document or {"errors": [{"detail": f"refused with {status}"}]}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""

    @property
    def osf(self) -> FakeOsf:
        return self.server.osf

    def do_GET(self) -> None:
        self._counted()

    def do_PUT(self) -> None:
        self._counted()

    def _counted(self) -> None:
        with self.osf.lock:
            self.osf.busy += 1
        try:
            self._serve()
        finally:
            with self.osf.lock:
                self.osf.busy -= 1

    def _serve(self) -> None:
        url = urlsplit(self.path)
        self.query = {name: values[-1] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        self.parts = url.path.strip("/").split("/")
        self.is_folder = url.path.endswith("/")
        token = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
        file = self.query.get("name") or self._name_of(self.parts[-1])
        self.request_ = Request(self.command, url.path, self.path, file, token, time.monotonic())
        with self.osf.lock:
            self.osf.requests.append(self.request_)
        self.fault = self.osf.fault_for(self.request_)
        self.osf.at_moment()
        self.left = int(self.headers.get("Content-Length", 0))
        try:
            if self._fails_at_once():
                return
            status, document = self._answer()
        except _RefusedError as refusal:
            self._read(self.left)
            status, document = refusal.status, refusal.document
        except ConnectionError:
            self.close_connection = True
            return
        self.osf.at_moment()
        if self.fault is not None and self.fault.kind == "lost":
            self.close_connection = True
            return
        if self.fault is not None and self.fault.kind == "answer":
            status = self.fault.status
        self._reply(status, document)

    def _fails_at_once(self) -> bool:
        if self.fault is None or self.fault.kind not in {"status", "early", "slow", "drip"}:
            return False
        if self.fault.kind == "drip":
            self.wfile.write(self.fault.content)
            while True:  # until nobody is there any more
                self.wfile.flush()
                time.sleep(0.01)
                self.wfile.write(b" ")
        if self.fault.kind == "slow":
            time.sleep(1)
            return False
        if self.fault.kind == "early":
            self.close_connection = True
        else:
            self._read(self.left)
        self._reply(self.fault.status, {"errors": [{"detail": "injected"}]})
        return True

    def _reply(self, status: int, document: Json) -> None:
        self.request_.status = status
        content = (self.fault.content if self.fault else b"") or json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in (self.fault.headers if self.fault else {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _read(self, count: int) -> bytes:
        """The next bytes of the body.

        Raises:
            ConnectionError: when fewer come; they are in its arguments.
        """
        self.left -= count
        content = b"" if self.rfile.closed else self.rfile.read(count)
        if len(content) < count:
            raise ConnectionError(content)
        return content

    def _name_of(self, identifier: str) -> str:
        with self.osf.lock:
            entities = (entity for node in self.osf.nodes.values() for _, entity in node.root.below())
            return next((entity.name for entity in entities if entity.id == identifier), "")

    def _node(self, identifier: str) -> Node:
        if self.request_.token != self.osf.token:
            raise _RefusedError(401, {"errors": [{"detail": "User provided an invalid OAuth2 access token"}]})
        if identifier not in self.osf.nodes:
            raise _RefusedError(404, {"errors": [{"detail": "Not found."}]})
        node = self.osf.nodes[identifier]
        if node.deleted:
            raise _RefusedError(410, {"errors": [{"detail": "The requested node is no longer available.", "meta": {}}]})
        if not node.public and not node.permissions:
            raise _RefusedError(403, {"errors": [{"detail": "You do not have permission to perform this action."}]})
        return node

    def _entity(self, node: Node, identifier: str) -> Entity:
        for _, entity in node.root.below():
            if entity.id == identifier and (entity.versions is None) == self.is_folder:
                return entity
        raise _RefusedError(404, {"code": 404, "message": f"Could not retrieve file or directory {identifier}"})

    def _hashes(self, content: bytes) -> Json:
        return {"md5": None, "sha256": self.osf.spelling(hashlib.sha256(content).hexdigest())}

    def _upload_link(self, node_id: str, path: str) -> str:
        return f"{self.osf.files_host}/v1/resources/{node_id}/providers/osfstorage{path}"

    def _answer(self) -> tuple[int, Json]:
        raise NotImplementedError


class _Api(_Handler):
    """`/v2/nodes/{id}/` and what is below it."""

    def _answer(self) -> tuple[int, Json]:
        with self.osf.lock:
            match self.parts:
                case ["v2", "nodes", node_id]:
                    return 200, self._node_document(node_id, self._node(node_id))
                case ["v2", "nodes", node_id, "storage"]:
                    return self._storage(node_id, self._node(node_id))
                case ["v2", "nodes", node_id, "files"]:
                    self._node(node_id)
                    return self._page([self._provider(node_id, name) for name in ("github", "box", "osfstorage")], 2)
                case ["v2", "nodes", node_id, "files", "osfstorage", *rest]:
                    node = self._node(node_id)
                    folder = self._entity(node, rest[0]) if rest else node.root
                    children = sorted(folder.children, key=lambda child: child.name)
                    return self._page([self._listed(node_id, child) for child in children], self.osf.page_size)
        raise _RefusedError(404)

    def _page(self, items: list[Json], most: int) -> tuple[int, Json]:
        size = min(int(self.query.get("page[size]", "10")), most)
        number = int(self.query.get("page", "1"))
        pages = max(1, -(-len(items) // size))
        if number > pages:
            raise _RefusedError(404)
        following = None
        if number < pages:
            query = urlencode(self.query | {"page": str(number + 1)})
            following = f"{self.osf.api.removesuffix('/v2/')}{self.request_.path}?{query}"
        meta = {"total": len(items), "per_page": size}
        links = {"first": None, "last": None, "prev": None, "next": following, "meta": meta}
        return 200, {"data": items[(number - 1) * size : number * size], "links": links}

    def _node_document(self, node_id: str, node: Node) -> Json:
        attributes = {
            "title": "A node",
            "category": "data",
            "public": node.public,
            "registration": False,
            "current_user_permissions": [*node.permissions],
        }
        return {"data": {"id": node_id, "type": "nodes", "attributes": attributes, "relationships": {}, "links": {}}}

    def _storage(self, node_id: str, node: Node) -> tuple[int, Json]:
        if "write" not in node.permissions:
            raise _RefusedError(403)
        is_known = node.uncounted == 0
        node.uncounted -= not is_known
        limits = ((50 * GB, "OVER_PUBLIC"), (45 * GB, "APPROACHING_PUBLIC"), (5 * GB, "OVER_PRIVATE"))
        status = next((name for limit, name in limits if node.usage >= limit), "DEFAULT") if is_known else None
        attributes = {
            "storage_limit_status": status or "NOT_CALCULATED",
            "storage_usage": str(node.usage) if is_known else None,
        }
        return 200 if is_known else 202, {"data": {"id": node_id, "type": "node-storage", "attributes": attributes}}

    def _provider(self, node_id: str, name: str) -> Json:
        upload = self._upload_link(node_id, "/").replace("osfstorage", name)
        related = f"{self.osf.api}nodes/{node_id}/files/{name}/"
        return {
            "id": f"{node_id}:{name}",
            "type": "files",
            "attributes": {"kind": "folder", "name": name, "path": "/", "node": node_id, "provider": name},
            "relationships": {"files": {"links": {"related": {"href": related, "meta": {}}}}},
            "links": {"upload": upload, "new_folder": f"{upload}?kind=folder", "storage_addons": ""},
        }

    def _listed(self, node_id: str, entity: Entity) -> Json:
        upload = self._upload_link(node_id, entity.path)
        newest = entity.versions[-1] if entity.versions else None
        hashes: Json = {"md5": None, "sha256": None} if newest is None else self._hashes(newest)
        document: Json = {
            "id": entity.id,
            "type": "files",
            "attributes": {
                "guid": None,
                "checkout": None,
                "name": entity.name,
                "kind": "folder" if newest is None else "file",
                "path": entity.path,
                "size": None if newest is None else len(newest),
                "provider": "osfstorage",
                "extra": {"hashes": hashes},
                "current_version": len(entity.versions or [b""]),
            },
            "relationships": {},
            "links": {"move": upload, "upload": upload, "delete": upload},
        }
        if newest is None:
            related = f"{self.osf.api}nodes/{node_id}/files/osfstorage/{entity.id}/"
            document["relationships"]["files"] = {"links": {"related": {"href": related, "meta": {}}}}
            document["links"]["new_folder"] = f"{upload}?kind=folder"
        return document


class _WaterButler(_Handler):
    """`/v1/resources/{node}/providers/osfstorage/{folder}/` or `…/{file}`."""

    def _answer(self) -> tuple[int, Json]:
        if self.parts[:2] != ["v1", "resources"] or self.parts[3:5] != ["providers", "osfstorage"]:
            raise _RefusedError(404)
        with self.osf.lock:
            node = self._node(self.parts[2])
            place = self._entity(node, self.parts[5]) if self.parts[5:] else node.root
        if self.command != "PUT":
            raise _RefusedError(405)
        self._check(node, place)
        if self.query.get("kind", "file") == "folder":
            with self.osf.lock:
                place.children.append(Entity(self.query["name"]))
            return 201, {"data": self._document(place.children[-1])}
        if node.usage >= (50 if node.public else 5) * GB:
            self._read(self.left)
            raise _RefusedError(507, {"code": 507, "message": "The quota on this osfstorage project has been exceeded"})
        return self._store(place, self._body(place))

    def _check(self, node: Node, place: Entity) -> None:
        kind, name = self.query.get("kind", "file"), self.query.get("name")
        if "write" not in node.permissions:
            raise _RefusedError(403)
        if kind not in {"file", "folder"} or (place.versions is None) is (name is None):
            raise _RefusedError(
                400, {"code": 400, "message": "a folder needs a name, and a file has no parameter of it"}
            )
        if kind == "file" and "Content-Length" not in self.headers:
            raise _RefusedError(411)
        if kind == "folder" and self.left:
            raise _RefusedError(413)
        for child in place.children:
            if child.name == name and (child.versions is None) == (kind == "folder"):
                extant = self._document(child) if child.versions else {}
                message = f'Cannot complete action: file or folder "{name}" already exists in this location'
                raise _RefusedError(409, {"message": message, "data": extant})

    def _body(self, place: Entity) -> bytes:
        """All of it, or as much as comes before it is cut off.

        Raises:
            ConnectionError: when it is cut off; what came has been stored if that is the way of this server.
        """
        content = b""
        stored = self.osf.keeps_partial
        try:
            half = max(1, self.left // 2)
            while self.left:
                if len(content) >= half and self.fault is not None and self.fault.kind in {"cut", "partial"}:
                    stored = self.fault.kind == "partial"
                    self.rfile.close()
                content += self._read(min(self.left, half, _PIECE_BYTES))
                self.osf.at_moment()
        except ConnectionError as error:
            content += error.args[0] if isinstance(error.args[0], bytes) else b""
            if stored:
                self._store(place, content)
            raise
        if self.fault is not None and self.fault.kind == "corrupt":
            content = bytes([content[0] ^ 1]) + content[1:]
        return content

    def _store(self, place: Entity, content: bytes) -> tuple[int, Json]:
        with self.osf.lock:
            name = self.query.get("name")
            same = (
                [place] if place.versions else [each for each in place.children if each.versions and each.name == name]
            )
            for entity in same:  # made before, or meanwhile
                if entity.versions and entity.versions[-1] != content:  # no new version of the same
                    entity.versions.append(content)
                return 200, {"data": self._document(entity)}
            place.children.append(Entity(str(name), [content]))
            return 201, {"data": self._document(place.children[-1])}

    def _document(self, entity: Entity) -> Json:
        link = self._upload_link(self.parts[2], entity.path)
        attributes: Json = {
            "extra": {},
            "kind": "folder",
            "name": entity.name,
            "path": entity.path,
            "provider": "osfstorage",
            "materialized": f"/{entity.name}/",
            "etag": secrets.token_hex(32),
            "size": None,
            "sizeInt": None,
            "resource": self.parts[2],
        }
        links = {"move": link, "upload": f"{link}?kind=file", "delete": link}
        if entity.versions is None:
            links["new_folder"] = f"{link}?kind=folder"
        else:
            hashless = self.fault is not None and self.fault.kind == "hashless"
            hashes = {"md5": None, "sha256": None} if hashless else self._hashes(entity.versions[-1])
            size = len(entity.versions[-1])
            extra = {"guid": None, "version": len(entity.versions), "downloads": 0, "checkout": None, "hashes": hashes}
            attributes |= {"kind": "file", "extra": extra, "size": size, "sizeInt": size}
            links["download"] = link
        return {"id": f"osfstorage{entity.path}", "type": "files", "attributes": attributes, "links": links}


def make_release(folder: Path, files: dict[str, bytes], version: str = "1.0.0") -> Path:
    """A release folder with a true manifest and list of checksums, and files that are nothing else."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    provenance = Provenance(software="ours", devices=["cpu"], instruction_sets=["x"], versions={}, finished_at=moment)
    manifest = ReleaseManifest(
        version=version,
        issued=moment,
        recipe=Recipe(),
        lineage_digest="0" * 64,
        generation_version="1",
        measurement_version="1",
        rule_set="1",
        provenance=provenance,
        datasets={},
    )
    write_document(folder / RELEASE_MANIFEST, manifest)
    entries = {path.relative_to(folder).as_posix(): file_entry(path) for path in all_files(folder)}
    (folder / CHECKSUMS).write_text(checksums_text(entries), encoding="utf-8")
    return folder


if __name__ == "__main__":
    with fake_osf("token") as example, suppress(KeyboardInterrupt):
        example.nodes["abc12"] = Node()
        print(f"OSF_TOKEN=token ecg-foundry publish REL --to {example.api} --node abc12")
        threading.Event().wait()
