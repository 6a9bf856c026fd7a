"""Every command and snippet of docs/annotation.md, as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from affect_lightning.annotation.review_server import ReviewServer
from affect_lightning.annotation.review_store import ReviewStore
from affect_lightning.annotation.tables import ClipTable, read_clip_table, write_clip_table
from affect_lightning.command_line.program import main

DESCRIPTIONS = """name,description
a,She smiles and is very happy about the news.
b,He is angry and shouts at the driver of the other car.
c,She is sad.
"""
PAIRS = """name,model1,a1,model2,a2
a,ours,She smiles and is happy.,theirs,She sits.
b,ours,He shouts.,theirs,He is calm.
"""


@pytest.fixture
def prepared(reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the page's commands name."""
    monkeypatch.chdir(tmp_path)
    described = reference / "describers"
    for name, model in (("salmonn", "SALMONN"), ("chat-univi", "Chat-UniVi")):
        Path(f"{name}.npz").symlink_to(described / model / "output-reason-7b-subtitle-eng-openset.npz")
    Path("LABELS").mkdir()
    for source in (*(reference / "labels").iterdir(), reference / "ovmerd"):
        Path("LABELS", source.name).symlink_to(source)
    Path("affectgpt_outputs").symlink_to(reference / "affectgpt_outputs")
    Path("preferences.csv").symlink_to(reference / "emoprefer" / "preferences.csv")
    Path("descriptions.csv").write_text(DESCRIPTIONS, encoding="utf-8")
    emotions = {"name": ["a", "b", "c"], "crowd_emotion": ["joyful", "happy", "sad"]}
    write_clip_table(Path("emotions.parquet"), ClipTable.of_columns(emotions))
    Path("pairs.csv").write_text(PAIRS, encoding="utf-8")
    Path("CLIPS").mkdir()
    Path("CLIPS", "a.mp4").write_bytes(b"")
    return tmp_path


def test_the_commands_of_the_page_run(
    prepared: Path, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def leave(server: ReviewServer) -> None:
        server.store.enter("ann")
        server.store.judge("ann", 0, "left")
        raise KeyboardInterrupt

    monkeypatch.setattr(ReviewServer, "serve_forever", leave)
    page = (repository / "docs" / "annotation.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    affect-lightning (.+)$", page, re.MULTILINE)
    assert len(commands) == 7
    for command in commands:
        assert main(shlex.split(command)) == 0, f"{command}: {capsys.readouterr().err}"
    for file in ("crowd.parquet", "shares.svg", "length.parquet", "lengths.svg", "agree.parquet", "verdicts.csv"):
        assert Path(file).stat().st_size > 0
    assert read_clip_table(Path("agree.parquet")).column("kept.agree") == [True, False, True]
    assert len(ReviewStore(Path("study.sqlite")).judgements()) == 1


def test_the_snippet_of_the_page_runs(tmp_path: Path, repository: Path) -> None:
    page = (repository / "docs" / "annotation.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"^```python\n(.+?)^```", page, re.MULTILINE | re.DOTALL)
    path, out = tmp_path / "descriptions.csv", tmp_path / "out.parquet"
    path.write_text(DESCRIPTIONS, encoding="utf-8")
    exec(snippet, {"path": path, "out": out})
    assert read_clip_table(out).records[0].stage == "length"
