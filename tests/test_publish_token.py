"""The token goes to OSF and nowhere else, and neither it nor another secret is ever shown."""

import base64
import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from pipeline.errors import FoundryError
from pipeline.publish import PublishError, publish
from pipeline.publish.links import api_address, trusted_link, without_userinfo
from tests.fake_osf import Entity, FakeOsf, Fault, Node, fake_osf, make_release
from tests.publishing import FILES, NODE, TOKEN, listing, refused, there

pytestmark = pytest.mark.usefixtures("osf_token")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_release(tmp_path_factory.mktemp("one") / "release", FILES)


API = httpx.URL("https://api.osf.io/v2/")


@pytest.mark.parametrize(
    "link", ["https://files.osf.io/v1/", "https://files.de-1.osf.io/v1/x?kind=file", "nodes/abc12/", "https://OSF.io/"]
)
def test_the_token_goes_to_the_domain_of_the_api(link: str) -> None:
    assert trusted_link(API, link).host.endswith("osf.io")


@pytest.mark.parametrize(
    "link",
    [
        "http://files.osf.io/v1/",
        "https://osf.io.example.org/",
        "https://evilosf.io/",
        "https://me@files.osf.io/",
        "https://files.osf.io@example.org/",
        "https://127.0.0.1/",
        "//example.org/v2/",
        "file:///etc/passwd",
        "https://[::1/",
        "https://files.osf.io.:443:1/",
    ],
)
def test_and_nowhere_else(link: str) -> None:
    with pytest.raises(PublishError, match="not sent there"):
        trusted_link(API, link)
    with pytest.raises(PublishError):
        trusted_link(api_address("http://127.0.0.1:80/v2"), "https://files.osf.io/")
    with pytest.raises(PublishError):
        trusted_link(httpx.URL("https://api.org/v2/"), "https://example.org/")


def test_hostile_answers_do_not_get_the_token(release: Path, osf: FakeOsf) -> None:
    with fake_osf("") as thief:
        osf.faults = [Fault("status", method="GET", status=302, headers={"Location": thief.api}, times=9)]
        refused(release, osf.api, "302")
        osf.faults = [Fault("status", on="1.0.0", status=307, headers={"Location": thief.files_host}, times=9)]
        refused(release, osf.api, "307")
        assert thief.requests == []
    osf.requests.clear()
    osf.faults = []
    osf.files_host = "http://files.example.org"
    refused(release, osf.api, "files.example.org", "The token is not sent there")
    assert osf.sent == []


_TALKATIVE = """
import logging, sys, traceback
logging.basicConfig(level=logging.DEBUG, filename=sys.argv[2])
logging.getLogger().addHandler(logging.StreamHandler())
from pathlib import Path
from pipeline.publish import client, publish
client.FIRST_PAUSE_SECONDS, client.ATTEMPTS = 0.01, 2
for api in sys.argv[3:]:
    try:
        print("it ended", publish(Path(sys.argv[1]), api, node="abc12"))
    except Exception as error:
        traceback.print_exc()
        print("it ended in", repr(error))
        while error:
            print(vars(error), error.args)
            error = error.__cause__ or error.__context__
"""


def test_the_token_appears_nowhere(release: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    endings = [
        ("it ended Plan(", []),
        ("does not accept the token", []),
        ("did not arrive", [Fault("cut", on="README", times=99)]),
        ("is none", [Fault("status", method="GET", status=200)]),
        ("The token is not sent there", []),
    ]
    with ExitStack() as stack:
        servers = [stack.enter_context(fake_osf(TOKEN)) for _ in endings]
        for server, (_, faults) in zip(servers, endings, strict=True):
            server.nodes[NODE] = Node()
            server.faults = faults
        servers[1].token = "another"
        servers[-1].files_host = "http://files.example.org"
        apis = [*[server.api for server in servers], "http://127.0.0.1:9/v2/"]
        arguments = [sys.executable, "-c", _TALKATIVE, str(release), str(log), *apis]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    ends = [line for line in done.stdout.splitlines() if line.startswith("it ended")]
    words = [*[word for word, _ in endings], "does not answer"]
    assert [word in end for word, end in zip(words, ends, strict=True)] == [True] * len(apis)
    assert {request.token for request in servers[0].requests} == {TOKEN}
    assert done.stderr.count("Traceback") >= 5
    assert "send_request_headers.started" in done.stderr  # the library does tell all that it does
    for text in (done.stdout, done.stderr, log.read_text()):
        assert TOKEN not in text
        assert base64.b64encode(TOKEN.encode()).decode() not in text


def test_a_wrong_token_is_sent_nothing(release: Path, osf: FakeOsf, monkeypatch: pytest.MonkeyPatch) -> None:
    for token, word in (("wrong", "does not accept the token"), ("  ", "no OSF token"), ("to\nken", "character")):
        monkeypatch.setenv("OSF_TOKEN", token)
        assert "ken'" not in refused(release, osf.api, word, "OSF_TOKEN")
    monkeypatch.delenv("OSF_TOKEN")
    refused(release, osf.api, "no OSF token")
    assert osf.sent == []
    publish(release, osf.api, node=NODE, token=SecretStr(TOKEN), dry_run=True)


@pytest.mark.parametrize(
    ("given", "shown"), [("hf_SENTINEL\n", False), ("hf_SENT INEL", True), ("hf_SENTINEL\u00e9", True)]
)
def test_a_hub_token_that_no_header_can_hold_is_not_shown(
    release: Path, monkeypatch: pytest.MonkeyPatch, given: str, *, shown: bool
) -> None:
    """A line break around it is taken off; with anything else inside it is refused before a library sees it."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(FoundryError) as caught:
        publish(release, "hf://datasets/user/name", token=SecretStr(given), dry_run=True)
    assert "SENT" not in str(caught.value)
    assert ("special character" in str(caught.value)) is shown


@pytest.mark.parametrize("spelling", [TOKEN, "\\u0073" + TOKEN[1:]], ids=["plain", "escaped"])
def test_a_token_that_comes_back_as_a_name_is_not_shown(release: Path, osf: FakeOsf, spelling: str) -> None:
    publish(release, osf.api, node=NODE)
    folder = there(osf)["quality/"]
    folder.children.append(Entity("NAME", [b"x"]))
    listed = json.dumps(listing(osf, f"{folder.id}/")).replace("NAME", spelling).encode()
    assert TOKEN in json.dumps(json.loads(listed))
    osf.faults = [Fault("status", folder.id, "GET", status=200, content=listed)]
    refused(release, osf.api, "quality/[token], which this release does not have")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks5://me:secret@127.0.0.1:1"),
        ("HTTPS_PROXY", "ftp://me:secret@127.0.0.1:1"),
        ("HTTPS_PROXY", "http://me:secret@[::1"),
        ("SSL_CERT_FILE", "/nowhere/me:secret"),
    ],
)
def test_an_environment_of_no_use_is_one_line(
    release: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert "secret" not in refused(release, "https://api.osf.io/v2/", variable)


@pytest.mark.parametrize(
    "to",
    [
        "https://me:secret@api.osf.io/v2/",
        "https://me:sec?secret@api.osf.io/v2/",
        "https://me:secret@[::1",
        "https://api.osf.io:bad/v2/?token=secret",
        "http://api.osf.io/v2/?secret",
        "ftp://me:se/secret@host/x",
    ],
)
@pytest.mark.parametrize("node", [NODE, None])
def test_a_password_in_an_address_is_not_shown(release: Path, to: str, node: str | None) -> None:
    assert "secret" not in refused(release, to, without_userinfo(to), node=node)
