"""The page of a release in a real browser: nothing it asks for, nothing it complains of, nothing wider than a phone."""

import base64
import json
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect
from websockets.sync.connection import Connection

DESKTOP, PHONE = (1280, 900), (375, 812)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SECONDS = 60


class Tab:
    """A tab of a headless Chromium, spoken to by its DevTools protocol."""

    def __init__(self, socket: Connection) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        self.session: dict[str, str] = {}
        (page,) = [each for each in self.call("Target.getTargets")["targetInfos"] if each["type"] == "page"]
        session = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]
        self.session = {"sessionId": session}
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask for something and wait for the answer; what happens meanwhile is kept."""
        self.socket.send(json.dumps({"id": 1, "method": method, "params": parameters} | self.session))
        while "id" not in (message := json.loads(self.socket.recv(timeout=SECONDS))):
            self.events.append(message)
        assert "error" not in message, f"{method}: {message['error']}"
        answer: dict[str, Any] = message["result"]
        return answer

    def happened(self, *methods: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self.events if event["method"] in methods]

    def open(self, page: Path, size: tuple[int, int]) -> None:
        """Show a page from a file as wide as a screen and wait until it has loaded."""
        self.events.clear()
        width, height = size
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **screen)
        self.call("Page.navigate", url=page.as_uri())
        while not self.happened("Page.loadEventFired"):
            self.events.append(json.loads(self.socket.recv(timeout=SECONDS)))

    def value(self, expression: str) -> Any:
        """What an expression in the page is."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"]["value"]

    def picture(self, path: Path, **options: Any) -> bytes:
        """Write a screenshot of the whole page."""
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=True, **options)
        path.write_bytes(base64.b64decode(answer["data"]))
        return path.read_bytes()


@contextmanager
def opened(browser: str, profile: Path) -> Iterator[Tab]:
    """A browser with one tab, ended with the block."""
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
    process = subprocess.Popen(
        [browser, *options, f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stderr
        listening = "DevTools listening on "
        line = next((line for line in process.stderr if line.startswith(listening)), "")
        assert line, f"{browser} has ended before it listened"
        with connect(line.strip().removeprefix(listening), max_size=None) as socket:
            yield Tab(socket)
    finally:
        process.terminate()
        process.communicate(timeout=SECONDS)


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    with opened(browser, tmp_path_factory.mktemp("profile")) as first:
        yield first


@pytest.fixture
def page(release: Path) -> Path:
    return release / "report.html"


def faults(tab: Tab, page: Path, size: tuple[int, int]) -> list[str]:
    """What is wrong with a page on a screen: complaints, requests, pictures that are not there, too much width."""
    tab.open(page, size)
    width, empty = tab.value(
        "[document.documentElement.scrollWidth, [...document.images].filter(each => !each.naturalWidth).length]"
    )
    asked = [event["request"]["url"] for event in tab.happened("Network.requestWillBeSent")]
    complaints = tab.happened("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    return [
        *(f"complains: {json.dumps(complaint)}" for complaint in complaints),
        *(f"asks for {url}" for url in asked if url != page.as_uri() and not url.startswith("data:")),
        *(["has empty pictures"] if empty else []),
        *([f"is {width} wide"] if width > size[0] else []),
    ]


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_is_whole_on_its_own_and_fits(tab: Tab, page: Path, size: tuple[int, int], tmp_path: Path) -> None:
    assert faults(tab, page, size) == []
    assert tab.value("document.images.length") > 4
    height = tab.value("document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": size[0], "height": height, "scale": 1}
    picture = tab.picture(tmp_path / f"{size[0]}.png", clip=clip)
    assert struct.unpack(">II", picture[16:24]) == (size[0], height)


def test_on_a_phone_wide_things_scroll_in_boxes_of_their_own(tab: Tab, page: Path) -> None:
    tab.open(page, PHONE)
    boxes = "[...document.querySelectorAll('.scroll')].map(each => [each.clientWidth, each.scrollWidth])"
    widths = tab.value(boxes)
    assert all(inner <= PHONE[0] for inner, _ in widths)
    assert sum(outer > inner for inner, outer in widths) > 20
    assert (
        tab.value(
            "Math.min(...[...document.querySelectorAll('p, td, th, dd, dt, figcaption')]"
            ".map(each => parseFloat(getComputedStyle(each).fontSize)))"
        )
        >= 12
    )


def test_it_prints(tab: Tab, page: Path, tmp_path: Path) -> None:
    tab.open(page, DESKTOP)
    printed = base64.b64decode(tab.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"])
    (tmp_path / "page.pdf").write_bytes(printed)
    assert printed.startswith(b"%PDF")
    assert b"/MediaBox [0 0 594.95996 841.91998]" in printed  # A4


@pytest.mark.parametrize(
    ("added", "fault"),
    [
        (
            '<img src="http://127.0.0.1:9/x.png" alt="">',
            "complains",
        ),  # by the page's own policy it is not even asked for
        ("<script>1</script>", "complains"),
        ('<img src="data:image/png;base64,AAAA" alt="">', "has empty pictures"),
        ('<p style="width: 80rem">x</p>', "wide"),
    ],
)
def test_what_is_wrong_with_a_page_is_seen(tab: Tab, page: Path, tmp_path: Path, added: str, fault: str) -> None:
    worse = tmp_path / "worse.html"
    worse.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{added}</body>"), encoding="utf-8")
    assert any(fault in each for each in faults(tab, worse, PHONE))


def test_a_request_is_seen(tab: Tab, tmp_path: Path) -> None:
    page = tmp_path / "asks.html"
    page.write_text('<!DOCTYPE html><img src="http://127.0.0.1:9/x.png">', encoding="utf-8")
    assert "asks for http://127.0.0.1:9/x.png" in faults(tab, page, DESKTOP)
