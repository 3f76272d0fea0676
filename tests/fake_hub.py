"""A Hugging Face Hub for tests, as small files know it."""

import base64
import hashlib
import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


class Hub(BaseHTTPRequestHandler):
    """The requests that small files take; large ones go to a storage that is not here."""

    protocol_version = "HTTP/1.1"
    token = "hub-token-with-SENTINEL"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""

    def do_GET(self) -> None:
        hub = hub_of(self)
        path = unquote(urlsplit(self.path).path).removeprefix("/api/datasets/user/name")
        if self.headers["Authorization"] != f"Bearer {self.token}":
            self._reply(401, {"error": f"Invalid credentials: {self.headers['Authorization']}"}, "RepoNotFound")
        elif path == "/auth-check/write":
            self._reply(hub.status, {}, **hub.headers)
        elif not path:
            self._reply(200, {"id": "user/name", "sha": hub.commit})
        elif not hub.files:
            self._reply(404, {"error": "not there"}, "EntryNotFound")
        else:
            assert path == f"/tree/{hub.commit}/1.0.0"
            answer = [self._listed(name, content) for name, content in sorted(hub.files.items())]
            self._reply(200, hub.tree or answer, **hub.links)

    def do_POST(self) -> None:
        hub = hub_of(self)
        lines = self.rfile.read(int(self.headers["Content-Length"])).splitlines()
        if "/preupload/" in self.path:
            files = [file["path"] for file in json.loads(lines[0])["files"]]
            modes = [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in files]
            hub.before_commit()
            self._reply(200, {"files": modes})
        elif json.loads(lines[0])["value"].get("parentCommit") != hub.commit:
            self._reply(412, {"error": "A commit has happened since. Please refresh and try again."})
        else:
            hub.add(
                {
                    file["path"]: base64.b64decode(file["content"])
                    for file in (json.loads(x)["value"] for x in lines[1:])
                }
            )
            url = f"http://{self.headers['Host']}/datasets/user/name/commit/1"
            self._reply(200, {"commitUrl": url, "commitOid": hub.commit})

    @staticmethod
    def _listed(name: str, content: bytes) -> dict[str, Any]:
        oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return {"type": "file", "path": name, "size": len(content), "oid": oid}

    def _reply(self, status: int, document: object, error: str = "", **headers: str) -> None:
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Content-Length": str(len(content)), "X-Error-Code": error, **more}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


class HubServer(ThreadingHTTPServer):
    """What the Hub holds, and how it misbehaves."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Hub)
        self.files: dict[str, bytes] = {}
        self.commits: list[list[str]] = []
        self.status, self.headers, self.links = 200, dict[str, str](), dict[str, str]()
        self.tree: object = None
        self.before_commit: Callable[[], object] = lambda: None

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def commit(self) -> str:
        """The last one."""
        return f"{len(self.commits):040x}"

    def add(self, files: dict[str, bytes]) -> None:
        """Commit."""
        self.files |= files
        self.commits.append([*files])


def hub_of(request: BaseHTTPRequestHandler) -> HubServer:
    assert isinstance(request.server, HubServer)
    return request.server
