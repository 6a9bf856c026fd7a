"""The user's cache follows the system, and a home that cannot be written stops nothing."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from affect_lightning.errors import ConfigurationError
from affect_lightning.storage import (
    cache_folder,
    keep_libraries_out_of_a_home_that_cannot_be_written,
    user_cache_folder,
)

LIBRARIES = ("MPLCONFIGDIR", "TRITON_CACHE_DIR", "HF_HOME")
# A file is in the way: even root makes no folder there. Root also makes none in the system's own file systems.
UNWRITABLE = ("/dev/null/home", "/proc", "/proc/nowhere", "FILE/home")


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A home and a temporary folder of the test's own."""
    for name in ("AFFECT_LIGHTNING_CACHE", "XDG_CACHE_HOME", *LIBRARIES):
        monkeypatch.setenv(name, "")  # so that whatever is set meanwhile goes again
        monkeypatch.delenv(name)
    for folder in ("home", "tmp"):
        (tmp_path / folder).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    cache_folder._temporary.cache_clear()
    yield
    cache_folder._temporary.cache_clear()


def test_the_folder_follows_the_system_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert user_cache_folder() == tmp_path / "home" / ".cache" / "affect-lightning"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "scratch"))
    assert user_cache_folder("face_boxes") == tmp_path / "scratch" / "affect-lightning" / "face_boxes"
    for ignored in ("", "relative/folder", "~/folder"):  # the XDG specification wants an absolute path
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert user_cache_folder() == tmp_path / "home" / ".cache" / "affect-lightning"
    monkeypatch.setenv("AFFECT_LIGHTNING_CACHE", "~/mine")
    assert user_cache_folder("a", "b") == tmp_path / "home" / "mine" / "a" / "b"
    assert not list((tmp_path / "home").iterdir())  # asking makes nothing


@pytest.mark.parametrize("home", UNWRITABLE)
def test_without_a_home_files_go_to_the_temporary_folder(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("HOME", home.replace("FILE", str(tmp_path / "file")))
    own = tmp_path / "tmp" / f"affect-lightning-{os.getuid()}"
    with caplog.at_level(logging.WARNING):
        assert user_cache_folder("doctor") == user_cache_folder("doctor") == own / "doctor"
    assert own.stat().st_mode & 0o777 == 0o700
    (told,) = caplog.messages
    assert told.startswith("Set AFFECT_LIGHTNING_CACHE to a folder that you may write: ")
    keep_libraries_out_of_a_home_that_cannot_be_written()
    assert {name: os.environ[name] for name in LIBRARIES} == {
        name: str(own / "libraries" / name.lower()) for name in LIBRARIES
    }


def test_a_read_only_home_counts_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place) != home)  # root may write anywhere
    assert user_cache_folder() == tmp_path / "tmp" / f"affect-lightning-{os.getuid()}"


def test_libraries_stay_in_a_home_that_can_be_written_and_where_the_user_put_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_libraries_out_of_a_home_that_cannot_be_written()
    assert not set(LIBRARIES) & set(os.environ)
    (tmp_path / "home" / ".cache" / "huggingface").mkdir(parents=True)  # models to read
    monkeypatch.setattr(os, "access", lambda place, mode: not Path(place).is_relative_to(tmp_path / "home"))
    monkeypatch.setenv("MPLCONFIGDIR", "mine")
    keep_libraries_out_of_a_home_that_cannot_be_written()
    assert os.environ["MPLCONFIGDIR"] == "mine"
    assert "HF_HOME" not in os.environ
    assert "triton" in os.environ["TRITON_CACHE_DIR"]


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/dev/null/home")
    own = tmp_path / "tmp" / f"affect-lightning-{os.getuid()}"
    own.symlink_to(tmp_path)
    with pytest.raises(ConfigurationError, match=r"^Set AFFECT_LIGHTNING_CACHE .* belongs to another user\.$"):
        user_cache_folder()
    own.unlink()
    own.write_text("", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"^Set AFFECT_LIGHTNING_CACHE .* neither .* can be written: "):
        user_cache_folder()
