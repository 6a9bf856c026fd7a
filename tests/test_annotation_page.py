"""Every command and snippet of docs/annotation.md, as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from affect_lightning.annotation.review_server import ReviewServer
from affect_lightning.annotation.review_store import ReviewStore
from affect_lightning.annotation.tables import ClipTable, read_clip_table, write_clip_table
from affect_lightning.command_line import annotate_trained_crowd
from affect_lightning.command_line.program import main
from trained_crowd_cases import EMOTIONS, made_features, write_cache, write_labels

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
    Path("clips.csv").write_text("name,media\na,a.mp4\nb,b.mp4\n", encoding="utf-8")
    write_labels(Path("SETS"), EMOTIONS * 10, [1.0, -1.0] * 10)
    labelled = {("meld", f"meld_{n:03}"): made_features(f"m{n}", n % 3) for n in range(30)}
    labelled |= {("cmumosi", f"mosi_{n:03}"): made_features(f"s{n}", n % 2) for n in range(20)}
    cache = write_cache(
        Path("cached"), {**labelled, ("own", "a"): made_features("a", 0), ("own", "b"): made_features("b", 1)}
    )
    # What the encoders of the sandbox would give; that an experiment's encoders run, another test shows.
    monkeypatch.setattr(annotate_trained_crowd, "encode_clips", lambda *arguments: cache)
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
    # Those need or make clips: test_annotation_pipeline.py and test_annotation_speaker.py run them.
    raw = ("annotate --config", "annotate describe", "annotate speaker", "sandbox")
    commands = [command for command in commands if not command.startswith(raw)]
    assert len(commands) == 8
    for command in commands:
        assert main(shlex.split(command)) == 0, f"{command}: {capsys.readouterr().err}"
    for file in ("crowd.parquet", "shares.svg", "length.parquet", "lengths.svg", "agree.parquet", "verdicts.csv"):
        assert Path(file).stat().st_size > 0
    assert read_clip_table(Path("agree.parquet")).column("kept.agree") == [True, False, True]
    assert read_clip_table(Path("trained.parquet")).column("crowd_emotion") == ["happy", "sad"]
    assert len(ReviewStore(Path("study.sqlite")).judgements()) == 1


def test_the_snippet_of_the_page_runs(tmp_path: Path, repository: Path) -> None:
    page = (repository / "docs" / "annotation.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"^```python\n(.+?)^```", page, re.MULTILINE | re.DOTALL)
    path, out = tmp_path / "descriptions.csv", tmp_path / "out.parquet"
    path.write_text(DESCRIPTIONS, encoding="utf-8")
    exec(snippet, {"path": path, "out": out})
    assert read_clip_table(out).records[-1].stage == "length"
