"""docs/python.md: its blocks run as they stand, and the package's public names need no import of the world first."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import affect_lightning
from affect_lightning import AffectGPT, ClipDataModule
from affect_lightning.model import ModelConfiguration
from clip_making import tone, write_clip
from page_blocks import page_blocks

PAGE = Path(__file__).resolve().parents[1] / "docs" / "python.md"
BLOCKS = dict(re.findall(r"^```python (\S+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))
PARTS = {
    "video_encoder": "tiny-video",
    "audio_encoder": "tiny-audio",
    "language_model": "tiny-lm",
    "pre_fusion": "attention",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an exported network, a clip, and a folder of clips, one of which cannot be read."""
    folder = tmp_path_factory.mktemp("python")
    reading = ClipDataModule(frames=3, crop_size=32, face_detector="none").response_options()
    options = {"model": {"max_new_tokens": 3}, "data": reading}
    AffectGPT.from_configuration(ModelConfiguration.resolve(**PARTS)).save_pretrained(folder / "exported", options)
    write_clip(folder / "clip.mp4", waveform=tone(2.0))
    (folder / "clips").mkdir()
    for name in ("one", "two"):
        shutil.copy(folder / "clip.mp4", folder / "clips" / f"{name}.mp4")
    (folder / "clips" / "broken.mp4").write_bytes(b"nothing that plays")
    return folder


@pytest.mark.parametrize(
    ("block", "printed"),
    [
        ("load.py", r"\('multi', 'audio', 'face', 'text'\)\n3\n"),
        ("describe.py", r".* \(.*\) \w*\n\(3, 32, 32, 3\) \(32000,\) 16000\n"),
        ("many.py", r"broken .*FFmpeg decodes\.\none .*\ntwo .*\n"),
        ("without.py", r".*\n.* None dict_keys\(\['audio', 'face'\]\)\n"),
        ("arrays.py", r".*\n"),
        ("batch.py", r"(one|two) \[.*\]\n(one|two) \[.*\]\n\[\{'name': 'broken'.*\}\]\n"),
        ("score.py", r"\d+\.\d+ \(.*\)\n"),
    ],
)
def test_a_block_runs_as_it_stands(
    block: str, printed: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    exec(compile(BLOCKS[block], block, "exec"), {"__name__": "__main__"})
    assert re.fullmatch(printed, capsys.readouterr().out, re.DOTALL)


def test_the_lines_of_the_readme_run(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = [block for block in page_blocks("README.md") if block.is_python()]
    monkeypatch.chdir(place)
    exec(compile("\n".join(block.lines), "README.md", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out.endswith("\n")


def test_every_block_of_the_page_is_run() -> None:
    assert set(BLOCKS) == {"load.py", "describe.py", "many.py", "without.py", "arrays.py", "batch.py", "score.py"}


def test_public_names_are_listed_and_load_nothing_heavy() -> None:
    program = (
        "import sys, affect_lightning\n"
        "assert 'AffectGPT' in dir(affect_lightning)\n"
        "assert not {'torch', 'numpy', 'lightning'} & set(sys.modules), 'heavy'\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert dir(affect_lightning) == sorted(affect_lightning.__all__)
    assert all(getattr(affect_lightning, name) is not None for name in affect_lightning.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Affectgpt'"):
        affect_lightning.Affectgpt  # noqa: B018


@pytest.mark.parametrize(
    "name",
    [
        *("checkpoints", "contracts", "corpora", "data", "metrics", "model"),
        *("plugin_loading", "prompting", "storage", "testing", "training"),
    ],
)
def test_a_package_lists_its_public_names_and_has_them(name: str) -> None:
    package = importlib.import_module(f"affect_lightning.{name}")
    assert dir(package) == sorted(package.__all__)
    assert all(getattr(package, public) is not None for public in package.__all__)
