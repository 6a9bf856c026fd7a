"""The playground as a visitor uses it: the command in a process of its own, its page in a headless Chromium."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from browser_driving import Page, opened_browser
from clip_making import tone, write_clip, write_wav
from page_blocks import commands_run_by
from patience import LONGEST
from test_watched_answers import network_with

ALONE, SIDE_BY_SIDE = commands_run_by("docs/playground.md", "test_playground_page.py")
FUSIONS = {"exported": "attention", "other": "qformer"}
SCREEN = 900  # pixels high: what a visitor needs first is seen without scrolling
LISTENS = "0A"  # the state of a listening socket in /proc/net/tcp


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two exported networks, files to upload, and the folder for everything temporary."""
    folder = tmp_path_factory.mktemp("playground")
    for name, fusion in FUSIONS.items():
        network = network_with(fusion)
        network.save_pretrained(folder / name, network.response_options)
    write_wav(folder / "sound.wav", tone(2.0, 200))
    write_clip(folder / "clip.mp4", range(0, 1200, 40), waveform=tone(1.2, 300))
    (folder / "words.mp4").write_text("I am a text file.\n" * 40, encoding="utf-8")
    (folder / "temporary").mkdir()
    return folder


@contextmanager
def opened(command: str, place: Path, temporary: Path, how: int) -> Iterator[str]:
    """Run a command of the page; gives where its page is. Afterwards it is ended, and nothing temporary may be left.

    Args:
        command: As the page has it.
        place: The folder with the networks.
        temporary: Folder for everything temporary, empty.
        how: Signal that ends it.
    """
    words = [sys.executable, "-m", "affect_lightning", *command.split()[1:]]
    log = temporary.with_suffix(".txt")
    environment = {**os.environ, "TMPDIR": str(temporary), "GRADIO_ANALYTICS_ENABLED": "True"}
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=errors, env=environment, encoding="utf-8", cwd=place
        ) as process,
    ):
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line.startswith("Open http://127.0.0.1:"), log.read_text(encoding="utf-8")
            yield line.removeprefix("Open ").strip()
        finally:
            process.send_signal(how)
            code = process.wait(LONGEST)
    told = log.read_text(encoding="utf-8")
    assert code == 0, told
    assert "Only this machine can." in told
    assert "Every upload is deleted." in told
    assert "Traceback" not in told
    assert list(temporary.iterdir()) == []


@pytest.fixture(scope="module")
def address(place: Path) -> Iterator[str]:
    with opened(SIDE_BY_SIDE, place, place / "temporary", signal.SIGTERM) as found:
        yield found


@pytest.fixture(scope="module")
def page(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with opened_browser(tmp_path_factory.mktemp("browser")) as found:
        found.open(address)
        for part in ("#video input[type=file]", "#video .source-selection button", "#question input", "#ask"):
            found.wait_for(f"document.querySelector({json.dumps(part)}) !== null")
        yield found


def press(page: Page, selector: str) -> None:
    page.value(f"document.querySelector({json.dumps(selector)}).click()")


def bottom_of(page: Page, selector: str) -> float:
    """Where the lowest element that a selector finds ends, in pixels from the top."""
    script = f"Math.max(...[...document.querySelectorAll({json.dumps(selector)})].map((e) => e.getBoundingClientRect().bottom))"
    return float(str(page.value(script)))


def texts_of(page: Page, selector: str) -> list[str]:
    """The text of everything that a selector finds."""
    found: Any = page.value(f"[...document.querySelectorAll({json.dumps(selector)})].map((e) => e.textContent.trim())")
    return [as_shown(str(text)) for text in found]


def as_shown(text: str) -> str:
    """Without what a page does not show: control characters, and more than one space."""
    return " ".join("".join(" " if ord(letter) < 32 or ord(letter) == 127 else letter for letter in text).split())


def ask(page: Page) -> None:
    """Press Ask, and wait until both networks have answered this question."""
    page.value("document.querySelector('#answers .play')?.setAttribute('class', 'play old')")
    press(page, "#ask")
    page.wait_for("document.querySelectorAll('#answers .play:not(.old) .answer.whole').length === 2")


def described(place: Path, **options: Any) -> list[Any]:
    """What each network says of the clip."""
    given = {"subtitle": "Hello <b>there</b>!", "question": "name", **options}
    return [network_with(fusion).describe(place / "clip.mp4", **given) for fusion in FUSIONS.values()]


def temporary_files(place: Path) -> list[Path]:
    """Files that uploads left. The browser's profile, and the module that some releases of torch write, are others'."""
    found = [path for path in (place / "temporary").rglob("*") if path.is_file() and "profile" not in path.parts]
    return [path for path in found if "_remote_module_non_scriptable" not in path.name]


def test_what_a_visitor_needs_first_is_seen_without_scrolling(page: Page) -> None:
    assert 0 < bottom_of(page, "#ask") < SCREEN
    assert bottom_of(page, "#question") < bottom_of(page, "#ask")
    assert page.value("document.querySelectorAll('#video .source-selection button').length") == 2  # upload, record
    assert bottom_of(page, "#video .source-selection button") < bottom_of(page, "#video")


def test_a_clip_is_uploaded_asked_about_and_deleted(page: Page, place: Path) -> None:
    page.upload("#video input[type=file]", place / "clip.mp4")
    page.wait_for("document.querySelectorAll('#seen .strip img').length === 3")
    assert "1.2 s" in str(page.text("#seen h3"))
    assert temporary_files(place) == []
    page.write("#subtitle textarea", "Hello <b>there</b>!")
    ask(page)
    assert texts_of(page, "#answers .answer h3") == list(FUSIONS)
    assert page.value("document.querySelectorAll('#answers .strip img').length") == 2 * 3
    assert page.value("[...document.querySelectorAll('#answers img')].every((img) => img.naturalWidth > 10)") is True
    expected = described(place)
    assert texts_of(page, "#answers .text") == [as_shown(one.text) for one in expected]
    for shown, one in zip(texts_of(page, "#answers .labels"), expected, strict=True):
        assert shown.startswith(f"Labels: {', '.join(one.labels) or 'none'}")
    weighed = (
        "[...document.querySelectorAll('#answers .answer')].map((e) => e.textContent.includes('Weights of the fusion'))"
    )
    assert page.value(weighed) == [True, False]  # the q-former shows none


def test_a_stream_is_switched_off(page: Page, place: Path) -> None:
    press(page, "#streams input[type=checkbox]")
    ask(page)
    assert texts_of(page, "#answers .off") == ["Asked without: audio"] * 2
    expected = described(place, without=["audio"])
    assert texts_of(page, "#answers .text") == [as_shown(one.text) for one in expected]


def test_a_sound_takes_the_place_of_the_video_s(page: Page, place: Path) -> None:
    press(page, "#sound-box button")
    page.wait_for("document.querySelector('#sound input[type=file]') !== null")
    page.upload("#sound input[type=file]", place / "sound.wav")
    page.wait_for("document.querySelector('#seen h3')?.textContent === 'The clip: 2.0 s'")
    assert page.value("document.querySelectorAll('#seen .strip img').length") == 3
    assert temporary_files(place) == []


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


def test_one_network_alone_until_ctrl_c(place: Path, tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    with opened(ALONE, place, tmp_path / "alone", signal.SIGINT) as address, urlopen(address) as reply:
        assert reply.status == 200
        assert b"Playground: exported" in reply.read()


def test_only_this_machine_can_reach_it(address: str) -> None:
    port = f":{urlsplit(address).port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    listening = {line[1] for line in lines if line[1].endswith(port) and line[3] == LISTENS}
    assert listening == {f"0100007F{port}"}
