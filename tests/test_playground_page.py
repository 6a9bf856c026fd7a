"""The playground as a visitor uses it: the command in a process of its own, its page in a headless Chromium."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from browser_driving import Page, opened_browser
from clip_making import tone, write_clip
from patience import LONGEST
from test_watched_answers import network_with

LISTENS = "0A"  # the state of a listening socket in /proc/net/tcp


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported network, files to upload, and the folder for everything temporary."""
    folder = tmp_path_factory.mktemp("playground")
    network = network_with("attention")
    network.save_pretrained(folder / "exported", network.response_options)
    write_clip(folder / "clip.mp4", range(0, 1200, 40), waveform=tone(1.2, 300))
    (folder / "words.mp4").write_text("I am a text file.\n" * 40, encoding="utf-8")
    (folder / "temporary").mkdir()
    return folder


@pytest.fixture(scope="module")
def address(place: Path) -> Iterator[str]:
    """Where the page is; afterwards the command is ended, and nothing temporary may be left."""
    words = [sys.executable, "-m", "affect_lightning", "playground", str(place / "exported"), "--seconds", "30"]
    temporary = place / "temporary"
    with (place / "errors.txt").open("wb") as errors:
        environment = {**os.environ, "TMPDIR": str(temporary), "GRADIO_ANALYTICS_ENABLED": "True"}
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True)
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("Open http://127.0.0.1:"), (place / "errors.txt").read_text(encoding="utf-8")
            yield line.removeprefix("Open ").strip()
        finally:
            process.send_signal(signal.SIGTERM)
            code = process.wait(LONGEST)
    told = (place / "errors.txt").read_text(encoding="utf-8")
    assert code == 0, told
    assert "Only this machine can." in told
    assert "Every upload is deleted." in told
    assert "Traceback" not in told
    assert list(temporary.iterdir()) == []


@pytest.fixture(scope="module")
def page(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with opened_browser(tmp_path_factory.mktemp("browser")) as opened:
        opened.open(address)
        opened.wait_for("document.querySelector('#video input[type=file]') !== null")
        yield opened


def press(page: Page, selector: str) -> None:
    page.value(f"document.querySelector({json.dumps(selector)}).click()")


def temporary_files(place: Path) -> list[Path]:
    """Files that uploads left."""
    return [path for path in (place / "temporary").rglob("*") if path.is_file() and "profile" not in path.parts]


def test_a_clip_is_uploaded_asked_about_and_deleted(page: Page, place: Path) -> None:
    page.upload("#video input[type=file]", place / "clip.mp4")
    page.wait_for("document.querySelectorAll('#seen .strip img').length === 3")
    assert "1.2 s" in str(page.text("#seen h3"))
    assert temporary_files(place) == []
    page.write("#subtitle textarea", "Hello <b>there</b>!")
    press(page, "#ask")
    page.wait_for("document.querySelector('#answers .answer.whole') !== null")
    assert page.text("#answers h3") == "exported"
    assert page.value("document.querySelectorAll('#answers .strip img').length") == 3
    assert page.value("[...document.querySelectorAll('#answers img')].every((img) => img.naturalWidth > 10)") is True
    network = network_with("attention")
    expected = network.describe(place / "clip.mp4", subtitle="Hello <b>there</b>!", question="name")
    assert str(page.text("#answers .text")).strip() == expected.text.strip()
    labels = ", ".join(expected.labels) or "none"
    assert " ".join(str(page.text("#answers .labels")).split()).startswith(f"Labels: {labels}")


def test_a_stream_is_switched_off(page: Page, place: Path) -> None:
    expected = network_with("attention").describe(
        place / "clip.mp4", subtitle="Hello <b>there</b>!", question="name", without=["audio"]
    )
    press(page, "#streams input[type=checkbox]")
    press(page, "#ask")
    page.wait_for("document.querySelector('#answers .answer.whole .off') !== null")
    assert page.text("#answers .off") == "Asked without: audio"
    assert str(page.text("#answers .text")).strip() == expected.text.strip()


def test_a_text_file_is_refused_in_a_sentence(page: Page, place: Path) -> None:
    page.wait_for("document.querySelector('#video input[type=file]') !== null")
    page.upload("#video input[type=file]", place / "words.mp4")
    page.wait_for("document.querySelector('#seen .problem') !== null")
    assert "words.mp4 cannot be read" in str(page.text("#seen .problem"))
    assert temporary_files(place) == []


def test_nothing_of_another_host_is_loaded(page: Page, address: str) -> None:
    asked = {
        urlsplit(request).netloc for request in page.requests if not request.startswith(("data:", "blob:", "about:"))
    }
    assert asked == {urlsplit(address).netloc}


def test_who_has_no_key_is_refused(address: str) -> None:
    place = urlsplit(address)
    for path in ("/", "/config", "/gradio_api/info", "/gradio_api/upload"):
        with pytest.raises(HTTPError, match="401"):
            urlopen(f"http://{place.netloc}{path}")
    with pytest.raises(HTTPError, match="401"):
        urlopen(Request(address, headers={"Host": "evil.example"}))


def test_only_this_machine_can_reach_it(address: str) -> None:
    port = f":{urlsplit(address).port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    listening = {line[1] for line in lines if line[1].endswith(port) and line[3] == LISTENS}
    assert listening == {f"0100007F{port}"}
