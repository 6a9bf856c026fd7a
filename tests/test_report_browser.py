"""The report's page in a real browser: no console messages, nothing loaded, table and figures visible in both schemes.

Chromium runs without a window and writes the page's console to its standard error. AFFECT_BROWSER names another binary;
with AFFECT_REQUIRE_BROWSER=1, as in CI, a missing browser is a failure instead of a skip.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import threading
from dataclasses import replace
from functools import lru_cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from affect_lightning.unibench.report.files import compare_runs, write_report
from patience import LONGEST
from report_cases import finished_runs

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "chrome-headless-shell")
CONSOLE = re.compile(r"INFO:CONSOLE[:(]\d+\)?\] (.*)")
WINDOW = (1280, 900)  # pixels
# Runs in a copy of the page: what is visible, how large, how legible, and what the page wanted to load.
MEASURE = """
<script>
addEventListener("load", () => {
const box = (element) => { const r = element.getBoundingClientRect(); return [r.width, r.height]; };
const rgb = (text) => text.match(/[0-9.]+/g).slice(0, 3).map((v) => v / 255)
  .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const light = (text) => { const [r, g, b] = rgb(text); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const contrast = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
const paper = getComputedStyle(document.querySelector("section")).backgroundColor;
const found = {
  tables: [...document.querySelectorAll("table")].map(box),
  rows: document.querySelectorAll("#scores tbody tr").length,
  figures: Object.fromEntries([...document.querySelectorAll("svg")].map((svg) => [svg.getAttribute("aria-label"), box(svg)])),
  marks: [...document.querySelectorAll("svg.scores circle, svg.scores path, svg.labels rect, svg.matrix rect")].map(box),
  pictures: [...document.querySelectorAll("img")].map((img) => img.naturalWidth),
  contrasts: ["#scores td", ".note", "nav a", ".figure text", "tr.published td", ".tag.warning"].map((selector) => {
    const element = document.querySelector(selector), style = getComputedStyle(element);
    const ink = element instanceof SVGElement ? style.fill : style.color;
    const ground = style.backgroundColor.endsWith(", 0)") ? paper : style.backgroundColor;
    return [selector, contrast(ink, ground)];
  }),
  dark: light(paper) < 0.2,
  hidden: [...document.querySelectorAll(".scroll")].map((part) => part.scrollWidth - part.clientWidth),
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  loaded: performance.getEntriesByType("resource").map((entry) => entry.name).filter((name) => !name.startsWith("data:")),
};
const output = document.createElement("pre");
output.id = "measured";
output.textContent = JSON.stringify(found);
document.body.append(output);
});
</script>
"""


@lru_cache(maxsize=1)
def browser() -> str | None:
    """A Chromium of this machine: named, on the PATH, or one that Playwright has fetched."""
    named = [os.environ.get("AFFECT_BROWSER", "")]
    found = [path for name in (*named, *NAMES) if name and (path := shutil.which(name))]
    caches = Path.home() / ".cache" / "ms-playwright"
    found += [
        str(path)
        for path in sorted(caches.glob("chromium*/chrome-linux*/*"))
        if path.name in {*NAMES, "headless_shell"}
    ]
    return found[0] if found else None


def opened(address: str, tmp_path: Path, *options: str) -> tuple[str, list[str]]:
    """The page's document after loading, and the messages of its console."""
    program = browser()
    if program is None:
        message = "no Chromium found: install the system's package `chromium`, or name a binary in AFFECT_BROWSER"
        if os.environ.get("AFFECT_REQUIRE_BROWSER") == "1":
            pytest.fail(message)
        pytest.skip(message)
    words = [
        *(program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"),
        *(f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={WINDOW[0]},{WINDOW[1]}", "--hide-scrollbars"),
        *("--enable-logging=stderr", "--virtual-time-budget=3000", *options, "--dump-dom", address),
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=LONGEST, encoding="utf-8")
    assert "</html>" in done.stdout, f"{program} showed nothing: {done.stderr[-2000:]}"
    return done.stdout, CONSOLE.findall(done.stderr)


class FolderHandler(SimpleHTTPRequestHandler):
    """Serves a folder and keeps quiet."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: standard error is the tests'."""


def measured(page: Path, tmp_path: Path, *options: str) -> dict[str, Any]:
    """What a script inside a copy of the page measures; served, because files tell nothing about what they load."""
    copy = tmp_path / "measured.html"
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{MEASURE}</body>"), encoding="utf-8")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(FolderHandler, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        document, messages = opened(f"http://127.0.0.1:{server.server_port}/{copy.name}", tmp_path, *options)
        server.shutdown()
    assert [message for message in messages if "favicon.ico" not in message] == []
    (text,) = re.findall(r'<pre id="measured">(.*?)</pre>', document, re.DOTALL)
    return dict(json.loads(html.unescape(text)))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    compare_runs(finished_runs(folder), folder / "both", published=["Emotion-LLaMA", "newer"])
    return folder / "both" / "report.html"


def test_the_page_opens_without_console_messages(page: Path, tmp_path: Path) -> None:
    document, messages = opened(page.as_uri(), tmp_path)
    assert messages == []
    assert "MER-UniBench: comparison of runs" in document


def test_a_planted_mistake_is_seen(page: Path, tmp_path: Path) -> None:
    """The check above can fail: the same page with a script that throws."""
    planted = tmp_path / "planted.html"
    mistake = "<script>throw new Error('planted mistake')</script></body>"
    planted.write_text(page.read_text(encoding="utf-8").replace("</body>", mistake), encoding="utf-8")
    _, messages = opened(planted.as_uri(), tmp_path)
    assert len(messages) == 1
    assert "planted mistake" in messages[0]


def test_a_planted_request_is_seen(page: Path, tmp_path: Path) -> None:
    """So is a picture from outside the file, which the page must not need."""
    (tmp_path / "outside.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', encoding="utf-8"
    )
    planted = tmp_path / "planted.html"
    text = page.read_text(encoding="utf-8").replace("</main>", '<img src="outside.svg" alt=""></main>')
    planted.write_text(text, encoding="utf-8")
    assert [Path(name).name for name in measured(planted, tmp_path)["loaded"]] == ["outside.svg"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_table_and_figures_are_visible_and_legible(page: Path, tmp_path: Path, scheme: str) -> None:
    found = measured(page, tmp_path, f"--blink-settings=preferredColorScheme={int(scheme == 'light')}")
    assert found["dark"] == (scheme == "dark")
    assert found["rows"] == 2 + 1 + 8, "two runs, a bound and eight published rows"
    assert len(found["tables"]) == 1 + 1 + 2, "scores, paired tests, and the details of each run"
    assert all(width > 600 and height > 60 for width, height in found["tables"])
    assert set(found["figures"]) == {
        "scores with 95% intervals",
        "confusions on wheel 1",
        "confusion matrix of wheel 1",
        "confusion matrix of sentiment",
        "labels a response",
        "loss over training steps",
    }
    assert all(width > 150 and height > 100 for width, height in found["figures"].values())
    assert len(found["marks"]) > 60
    assert sum(width > 2 and height > 2 for width, height in found["marks"]) > 60
    assert found["pictures"] == [1]
    assert found["loaded"] == []
    assert found["overflow"] == 0
    assert found["hidden"][0] == 0, "the table of scores needs sideways scrolling"
    assert all(contrast >= 4.5 for _, contrast in found["contrasts"]), found["contrasts"]


def test_all_nine_sets_are_seen_at_once(tmp_path: Path) -> None:
    from affect_lightning.corpora import MER_UNIBENCH
    from affect_lightning.unibench.report.content import Report
    from report_cases import generated_row, generated_suite

    row = generated_row("a name of usual length", rule="paper_best_on_test")
    rows = tuple(
        replace(row, name=f"{row.name} {seed}", scores=generated_suite(seed, skill, 300, tuple(MER_UNIBENCH.sets)))
        for seed, skill in ((1, 0.9), (2, 1.0))
    )
    write_report(Report("nine", rows), tmp_path / "nine", published=["AffectGPT"])
    found = measured(tmp_path / "nine" / "report.html", tmp_path)
    assert found["hidden"][0] == 0
    assert found["overflow"] == 0


def test_a_phone_needs_no_sideways_scrolling(page: Path, tmp_path: Path) -> None:
    assert measured(page, tmp_path, "--window-size=500,900")["overflow"] == 0


def test_a_page_of_one_run_opens_too(tmp_path: Path) -> None:
    from affect_lightning.unibench.report.content import Report
    from affect_lightning.unibench.scoring.scores import SuiteScores
    from report_cases import generated_row

    row = generated_row("alone")
    write_report(Report("<one> & only", (row,)), tmp_path / "one")
    document, messages = opened((tmp_path / "one" / "report.html").as_uri(), tmp_path)
    assert messages == []
    assert "&lt;one&gt; &amp; only" in document
    bare = SuiteScores({}, "t", "0", "e")
    write_report(Report("empty", (type(row)("bare", bare),)), tmp_path / "bare")
    assert opened((tmp_path / "bare" / "report.html").as_uri(), tmp_path)[1] == []
