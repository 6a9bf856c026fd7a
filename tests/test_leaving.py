"""Nothing leaves this machine before the user has agreed: clips and texts, by every way out."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from affect_lightning.annotation.tables import ClipTable, write_clip_table
from affect_lightning.command_line.executors import CommandStep
from affect_lightning.command_line.program import main
from affect_lightning.describing.answering import AskedParts
from affect_lightning.describing.cues import CueParts
from affect_lightning.errors import ConfigurationError
from affect_lightning.plugin_loading import build_part
from affect_lightning_plugins.asked_models import leaving
from affect_lightning_plugins.asked_models.chat_server import ChatServer
from affect_lightning_plugins.asked_models.leaving import check_leaving, leaves_this_machine, texts
from annotation_cases import raw_clips

FAR = "https://example.invalid/v1"
TEXTS = f"Set texts_may_leave: true if you may send these texts to {FAR}"


@pytest.fixture(autouse=True)
def _nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChatServer, "_ask", lambda server, prompt, run: pytest.fail("something was sent"))
    monkeypatch.setattr(leaving, "_agreed", set())


def asked(option: str) -> tuple[str, ...]:
    return (f"--{option}", "openai", f"--{option}.model", "m", f"--{option}.base_url", FAR)


def table_of(path: Path) -> Path:
    names = ["a", "b"]
    columns = {"name": names, "description": ["She is happy."] * 2, "crowd_emotion": [["happy"]] * 2}
    write_clip_table(path, ClipTable.of_columns(columns))
    return path


def test_a_merger_is_asked_before_the_first_clip_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = raw_clips(tmp_path / "raw", 1)
    words = ["annotate", "describe", "--clips", str(clips), "--out", str(tmp_path / "d.parquet"), *asked("merger")]
    assert main(words) == 2
    assert TEXTS in capsys.readouterr().err
    assert not list(tmp_path.glob(".d.work/.01.work/*/answers.jsonl"))


def test_the_last_stage_of_a_configuration_is_asked_before_the_first_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw_clips(tmp_path / "raw", 1)
    far = {"name": "openai", "model": "m", "base_url": FAR, "cache_dir": str(tmp_path / "kept")}
    stages = [{"describe": {"audio": "signal", "visual": "none"}}, {"agree": {"rule": "E", "extractor": far}}]
    content = {"clips": str(tmp_path / "raw"), "out": str(tmp_path / "out"), "stages": stages}
    (tmp_path / "c.yaml").write_text(json.dumps(content), encoding="utf-8")
    for more in ([], ["--part", "1/1"]):
        assert main(["annotate", "--config", str(tmp_path / "c.yaml"), *more]) == 2
        assert TEXTS in capsys.readouterr().err
    assert not list(tmp_path.glob("out/**/01_describe.parquet"))
    assert main(["annotate", "--config", str(tmp_path / "c.yaml"), "--dry-run"]) == 0, "a dry run asks nobody"


def test_agree_alone_asks_and_an_option_allows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = table_of(tmp_path / "t.parquet")
    far = (*asked("extractor"), "--extractor.cache_dir", str(tmp_path / "kept"))
    assert main(["annotate", "agree", str(table), "--rule", "E", *far]) == 2
    assert TEXTS in capsys.readouterr().err
    allowed = ("--extractor.texts_may_leave", "true")
    with pytest.raises(pytest.fail.Exception, match="something was sent"):
        main(["annotate", "agree", str(table), "--rule", "E", *far, *allowed])


@pytest.mark.parametrize(
    ("group", "choice"),
    [
        ("label_extractors", {"name": "qwen2.5-released", "base_url": FAR}),
        ("label_extractors", {"name": "choices", "classes": ["happy", "sad"],
                              "asks": {"name": "openai", "model": "m", "base_url": FAR}}),
        ("label_extractors", {"name": "openai", "model": "m", "base_url": FAR}),
        ("clue_mergers", {"name": "openai", "model": "m", "base_url": FAR}),
    ],
)  # fmt: skip
def test_every_part_that_asks_in_words(group: str, choice: dict[str, Any], tmp_path: Path) -> None:
    part = build_part(group, choice)
    with pytest.raises(ConfigurationError, match="Set texts_may_leave: true"):
        part.check()


def test_all_parts_of_answer_and_describe_are_asked() -> None:
    class Asked:
        modality, streams = "audio", ("audio",)

        def __init__(self) -> None:
            self.count = 0

        def check(self) -> None:
            self.count += 1

    describer, merger, ears = Asked(), Asked(), Asked()
    AskedParts(describer, merger, ears).check()  # type: ignore[arg-type]
    CueParts(merger, describer, None, ears).check()  # type: ignore[arg-type]
    assert [describer.count, merger.count, ears.count] == [2, 2, 2]


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setattr(leaving, "_has_terminal", lambda: True)
    monkeypatch.setattr(sys, "stdin", io.StringIO(said))


def test_at_a_terminal_the_note_is_shown_once_and_yes_counts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at_a_terminal(monkeypatch, "yes\n")
    check_leaving(FAR, texts())
    shown = capsys.readouterr().err
    assert f"These texts are to be sent to {FAR}. Words of people" in shown
    check_leaving(FAR, texts())
    assert capsys.readouterr().err == ""
    at_a_terminal(monkeypatch, "y\n")
    with pytest.raises(ConfigurationError, match="if you may send these clips"):
        check_leaving(FAR, leaving.clips())


@pytest.mark.parametrize("address", ["http://127.0.0.1:8000/v1", "http://localhost/v1", "http://[::1]:1/v1"])
def test_a_server_on_this_machine_needs_no_word(address: str) -> None:
    assert not leaves_this_machine(address)
    check_leaving(address, texts())


def test_a_part_of_an_executor_cannot_ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given: dict[str, Any] = {}

    def run(command: list[str], **how: Any) -> subprocess.CompletedProcess[str]:
        given.update(how)
        return subprocess.CompletedProcess(command, 2)

    monkeypatch.setattr(subprocess, "run", run)
    CommandStep(("annotate",), str(tmp_path), raises=False)(None, 0, 2)
    assert given["stdin"] == subprocess.DEVNULL
