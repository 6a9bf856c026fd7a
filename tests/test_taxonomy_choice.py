"""Fetching official releases, choosing a taxonomy by name, and the cache of parsed tables."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from affect_lightning.errors import ConfigurationError, DataError
from affect_lightning.metrics import Taxonomy, default_taxonomy, set_f_score, taxonomy_by_name
from affect_lightning.metrics.official_releases import (
    RELEASE_2025,
    RELEASE_2026,
    RELEASES,
    DownloadError,
    copy_release,
    download_release,
)
from affect_lightning.metrics.taxonomy_choice import _loaded


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and no taxonomy in memory."""
    _loaded.cache_clear()
    monkeypatch.setenv("AFFECT_LIGHTNING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "cache"


@pytest.fixture
def copy(reference: Path, tmp_path: Path) -> Path:
    """A writable copy of the official folder."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in (reference / "emotion_wheel").iterdir():
        shutil.copyfile(path, folder / path.name)
    return folder


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(copy: Path) -> Iterator[str]:
    """Address of a web server that serves the copy."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(copy))) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def closed_address() -> str:
    """A web address where nobody answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/wheels"


def offline(release_name: str = "official-2025"):  # type: ignore[no-untyped-def]
    return replace(RELEASES[release_name], sources=(closed_address(), closed_address()))


def test_a_release_is_downloaded_and_becomes_the_default(server: str, cache: Path) -> None:
    assert default_taxonomy().name == "builtin"
    folder = download_release(replace(RELEASE_2025, sources=(f"{server}/nowhere", f"{server}/")))
    assert folder == cache / "taxonomies" / "official-2025"
    assert sorted(path.name for path in folder.iterdir()) == sorted(RELEASE_2025.sha256)
    assert default_taxonomy().name == taxonomy_by_name(None).name == "official-2025"
    assert taxonomy_by_name("builtin").name == "builtin"
    assert set_f_score([["happy"]], [["joyful"]]) == set_f_score([["happy"]], [["joyful"]], default_taxonomy())


def test_the_2026_release_is_downloaded_under_its_published_name(server: str, copy: Path) -> None:
    (copy / "wheel_mapping_2026.npz").rename(copy / "wheel_mapping.npz")
    folder = download_release(replace(RELEASE_2026, sources=(server,)))
    assert [path.name for path in folder.iterdir()] == ["wheel_mapping_2026.npz"]
    assert taxonomy_by_name("official-2026").name == "official-2026"
    assert default_taxonomy().name == "builtin"


def test_a_mirror_is_tried_first_and_a_foreign_file_passed_over(server: str, copy: Path) -> None:
    wrong = copy / "wrong"
    wrong.mkdir()
    (wrong / "format.csv").write_bytes(b"name,format\nevil,happy\n")
    download_release(replace(RELEASE_2025, sources=(closed_address(),)), mirrors=[f"{server}/wrong", server])
    assert default_taxonomy().sha256 == RELEASE_2025.taxonomy_sha256
    with pytest.raises(ConfigurationError, match="mirror 'file:///etc' is no web address"):
        download_release(RELEASE_2025, mirrors=["file:///etc"])


def test_offline_the_message_says_what_to_do(cache: Path) -> None:
    with pytest.raises(
        DownloadError, match="could not be downloaded; nothing was written. Tried 2 addresses"
    ) as caught:
        download_release(offline())
    assert "fetch --release official-2025 --from FOLDER`, which checks the same hashes" in str(caught.value)
    assert "Connection refused" in str(caught.value)
    assert not cache.exists()


def test_a_wrong_file_on_the_web_is_refused_and_nothing_written(server: str, copy: Path, cache: Path) -> None:
    (copy / "wheel5.xlsx").write_bytes(b"changed")
    with pytest.raises(DownloadError, match="is not wheel5.xlsx of the 2025 release: its SHA-256 is"):
        download_release(replace(RELEASE_2025, sources=(server,)))
    assert not cache.exists()
    assert default_taxonomy().name == "builtin"


def test_a_folder_copied_by_hand_passes_the_same_checks(copy: Path, cache: Path) -> None:
    content = (copy / "format.csv").read_bytes()
    (copy / "format.csv").write_bytes(content.replace(b"zealous", b"zealouz"))
    with pytest.raises(DataError, match=r"copy/format.csv is not format.csv of the 2025 release"):
        copy_release(RELEASE_2025, copy)
    (copy / "format.csv").unlink()
    with pytest.raises(
        DataError, match=r"copy/format.csv cannot be read: No such file.* The folder must hold format.csv"
    ):
        copy_release(RELEASE_2025, copy)
    assert not cache.exists()
    (copy / "format.csv").write_bytes(content)
    copy_release(RELEASE_2025, copy)
    copy_release(RELEASE_2025, copy)  # a second time replaces the first
    assert default_taxonomy().name == "official-2025"
    assert [path.name for path in (cache / "taxonomies").iterdir() if path.name != "parsed"] == ["official-2025"]


def test_a_cache_that_cannot_be_written_is_explained(copy: Path, cache: Path) -> None:
    cache.write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(DataError, match="official-2025 could not be written: .*AFFECT_LIGHTNING_CACHE"):
        copy_release(RELEASE_2025, copy)
    assert Taxonomy.from_official(copy).sha256 == taxonomy_by_name(copy).sha256  # loading does without the cache


def test_a_fetched_file_that_was_changed_later_is_an_error(copy: Path) -> None:
    folder = copy_release(RELEASE_2025, copy)
    path = folder / "format.csv"
    path.write_bytes(path.read_bytes().replace(b"zealously", b"zealouzly"))
    with pytest.raises(
        DataError, match="are not those of the 2025 release any more. Run `affect-lightning taxonomy fetch"
    ):
        default_taxonomy()


def test_names_and_folders(copy: Path, tmp_path: Path) -> None:
    assert taxonomy_by_name(copy).name == taxonomy_by_name(str(copy)).name == "official-2025"
    assert taxonomy_by_name(copy / "wheel_mapping_2026.npz").name == "official-2026"
    only = tmp_path / "only 2026"
    only.mkdir()
    shutil.copyfile(copy / "wheel_mapping_2026.npz", only / "wheel_mapping_2026.npz")
    assert taxonomy_by_name(only).name == "official-2026"
    with pytest.raises(ConfigurationError, match="no taxonomy 'offical-2025'. Did you mean 'official-2025'"):
        taxonomy_by_name("offical-2025")
    with pytest.raises(ConfigurationError, match="'official-2026' is not in .*taxonomy fetch --release official-2026"):
        taxonomy_by_name("official-2026")


def test_only_the_published_tables_are_called_official(copy: Path) -> None:
    path = copy / "format.csv"
    path.write_bytes(path.read_bytes() + b'glum,"glum,glummer"\r\n')
    altered = taxonomy_by_name(copy)
    assert altered.name == "copy (not the published 2025 release)"
    assert "glummer" in altered.forms


def test_parsed_tables_are_kept_and_follow_their_sources(
    copy: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = taxonomy_by_name(copy)
    (kept,) = (cache / "taxonomies" / "parsed").glob("*.npz")
    _loaded.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr("affect_lightning.metrics.official_tables.read_release", None)  # reading again would fail
        assert taxonomy_by_name(copy) == first
    path = copy / "format.csv"
    path.write_bytes(path.read_bytes() + b'glum,"glum,glummer"\n')
    assert taxonomy_by_name(copy) != first
    assert len(list(kept.parent.iterdir())) == 2
    path.write_bytes(path.read_bytes().removesuffix(b'glum,"glum,glummer"\n'))
    for damaged in (b"broken", kept.read_bytes()[:-2000]):
        kept.write_bytes(damaged)
        _loaded.cache_clear()
        assert taxonomy_by_name(copy) == first
        assert "The parsed taxonomy in the cache is not used" in caplog.text
        caplog.clear()
