# ruff: noqa: INP001
"""Take the pictures of docs/prefect.md again, `.venv/bin/python -m docs.prefect.screenshots`, in some minutes.

With a Prefect server, a worker and a headless Chromium of its own, and real runs.
"""

import json
import shutil
import tempfile
import time
import urllib.request
from pathlib import Path

from flows.artifacts import artifact_key
from tests.processes import PREFECT, PrefectSite, entries, wait_until
from tests.test_page_in_browser import BROWSERS, opened

HERE = Path(__file__).parent
WIDTH = 1280
_PATIENCE_SECONDS = 60


class Pictures:
    """A site's pages, each in a browser of its own: a connection to one does not outlive a long wait."""

    def __init__(self, site: PrefectSite) -> None:
        self._root = site.url.removesuffix("/api")
        self._browser = next(filter(None, map(shutil.which, BROWSERS)))

    def take(self, name: str, page: str, *shown: str, height: int = 900, click: str = "") -> None:
        """Open a page, wait until it shows some words, and keep a picture of it.

        Args:
            name: of the file, without suffix.
            page: its path.
            shown: words, all of which the page has to hold; a bare animation or a spinner has none.
            height: of the window.
            click: the text of a link or button to press first.
        """
        with tempfile.TemporaryDirectory() as profile, opened(self._browser, Path(profile)) as self._tab:
            self._take(name, page, shown, height, click)

    def _take(self, name: str, page: str, shown: tuple[str, ...], height: int, click: str) -> None:
        screen = {"width": WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._tab.call("Emulation.setDeviceMetricsOverride", **screen)
        self._tab.call("Page.navigate", url=f"{self._root}/{page}")
        if click:
            self._wait(click)
            found = f"[...document.querySelectorAll('*')].findLast(e => e.innerText?.trim() === '{click}')"
            self._wait_for(f"(e => e ? (e.click(), true) : false)({found})", click)
        for words in shown:
            self._wait(words)
        time.sleep(2)  # for what is drawn last, such as charts
        picture = self._tab.picture(HERE / f"{name}.png")
        print(f"{name}.png, {len(picture) / 1e3:.0f} kB")

    def _wait(self, words: str) -> None:
        self._wait_for(f"!!document.body?.innerText.includes({json.dumps(words)})", words)

    def _wait_for(self, expression: str, what: str) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self._tab.value(expression):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {what!r} in {self._tab.value('document.body.innerText')!r}")
            time.sleep(0.2)


def ask(site: PrefectSite, path: str, **question: object) -> list[dict[str, str]]:
    """What the server answers."""
    asked = urllib.request.Request(  # noqa: S310
        f"{site.url}/{path}", json.dumps(question).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:  # noqa: S310
        found: list[dict[str, str]] = json.load(answer)
    return found


def artifact_page(site: PrefectSite, out: Path, kind: str) -> str:
    """Where the newest of its kind is shown."""
    (newest,) = ask(site, "artifacts/latest/filter", artifacts={"key": {"any_": [artifact_key(out, kind)]}})
    return f"artifacts/artifact/{newest['latest_id']}"


def main() -> None:
    """Build, fail and look."""
    with tempfile.TemporaryDirectory() as folder, PrefectSite(Path(folder, "prefect")) as site:
        site.start_server()
        site.deploy()
        site.start_worker()
        take_all(Pictures(site), site, Path(folder))


def take_all(pictures: Pictures, site: PrefectSite, folder: Path) -> None:
    """Every picture, in the order of the page."""
    named = ask(site, "deployments/filter", deployments={"tags": {"all_": ["build"]}})
    pictures.take("form", f"deployments/deployment/{named[0]['id']}/run", "seconds_per_shard", height=1500)
    run = site.start_run("records=20000", "workers=2", "shard_records=64", f"out={folder}/dataset")
    wait_until(lambda: entries(folder / "dataset") >= 12, "a dozen shards")
    pictures.take("running", f"runs/flow-run/{run}", "shard-00005", height=1100)
    pictures.take("progress", f"runs/flow-run/{run}", "records/s", click="Artifacts", height=1000)
    site.run(PREFECT, "flow-run", "cancel", run)
    wait_until(lambda: site.state(run)[0] == "CANCELLED", "the run is cancelled")
    failed = site.start_run("records=640", "workers=1", "seconds_per_shard=0.05", f"out={folder}/impatient")
    site.end_of(failed)
    pictures.take("failed", f"runs/flow-run/{failed}", "shard-00002", click="Task Runs", height=1000)
    pictures.take("failures", artifact_page(site, folder / "impatient", "failures"), "the last:", height=450)
    finished = folder / "finished"
    site.end_of(done := site.start_run("records=2000", "workers=2", f"out={finished}"))
    pictures.take("finished", f"runs/flow-run/{done}", "table-2", click="Artifacts", height=1150)
    pictures.take("table-2", artifact_page(site, finished, "table-2"), "Heart rate", height=1200)
    pictures.take("funnel", artifact_page(site, finished, "funnel"), "generated", height=1000)
    pictures.take("summary", artifact_page(site, finished, "summary"), "content digest", height=1000)


if __name__ == "__main__":
    main()
