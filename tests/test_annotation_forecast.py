"""`annotate --dry-run`: what transcribers and label extractors would be asked, and what their answers so far tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from affect_lightning.annotation.agreement import AgreementOptions, AgreeStage
from affect_lightning.annotation.descriptions import DescribeOptions, DescribeStage
from affect_lightning.annotation.stages import StageCost, StageWork
from affect_lightning.annotation.tables import ClipTable
from affect_lightning.contracts import ClipBatch, OpenQuestions, Transcriber, Transcript
from affect_lightning.describing.cues import CueLog
from affect_lightning.metrics import Taxonomy
from affect_lightning.plugin_loading import build_part
from language_model_server import serving


class Ears(Transcriber):
    """Is never asked here."""

    def transcribe(self, batch: ClipBatch) -> list[Transcript]:
        pytest.fail("a dry run asks nobody")

    def identity(self) -> str:
        return "ears"


def test_subtitles_that_must_be_heard_are_counted_and_measured(tmp_path: Path) -> None:
    merger, voice = (
        build_part("clue_mergers", "template"),
        build_part("cue_describers", {"name": "signal", "modality": "audio"}),
    )
    stage = DescribeStage(DescribeOptions(), merger=merger, audio=voice, transcriber=Ears())
    table = ClipTable.of_columns(
        {"name": ["a", "b", "c"], "audio": ["a.wav", "b.wav", "c.wav"], "subtitle": ["Yes.", None, None]}
    )
    assert stage.cost(table).requests == {"subtitle": 2, "audio cues": 3, "description": 3}
    log = CueLog(tmp_path / "answers.jsonl")
    heard = {"subtitle": "x" * 40, "subtitle_source": "ears", "subtitle_language": "en"}
    log.add([{"name": "b", "what": "subtitle", **heard, "seconds": 1.5}])
    stage.work = StageWork(tmp_path)
    cost = stage.cost(table)
    assert cost.requests["subtitle"] == 1
    assert cost.measured["subtitle"] == (1, 40, 1.5)
    only = StageCost({"subtitle": 3}, cost.measured)
    assert (only.tokens(), only.seconds()) == (30, 4.5)


def test_questions_of_an_extractor_before_between_and_after(tmp_path: Path) -> None:
    described = ClipTable.of_columns(
        {
            "name": ["a", "b", "c"],
            "description": ["He is glad.", "He is glad.", "He is sad."],
            "crowd_emotion": [["glad"]] * 3,
        }
    )
    with serving(lambda prompt, earlier: '["glad"]' if prompt.startswith("L") else "positive") as server:
        extractor = build_part(
            "label_extractors",
            {"name": "openai", "model": "m", "base_url": server.base_url, "cache_dir": str(tmp_path),
             "labels_prompt": "L:{response}", "sentiment_prompt": "S:{labels}"},
        )  # fmt: skip
        stage = AgreeStage(AgreementOptions(rule="E"), extractor, Taxonomy.builtin())
        bare = ClipTable.of_columns({"name": ["a", "b", "c"]})
        assert stage.cost(bare).requests == {"labels": 3, "sentiment": 3}, "descriptions to come"
        before = stage.cost(described)
        assert before.requests == {"labels": 2, "sentiment": 2}, "equal descriptions are asked about once"
        assert (before.tokens(), before.seconds()) == (None, None)
        extractor.extract(["He is glad."])
        between = stage.cost(described)
        assert between.requests == {"labels": 1, "sentiment": 2}
        assert (between.measured["labels"], between.seconds()) == ((1, 8, None), None)
        stage.columns_of(described)
        asked = len(server.prompts)
        after = stage.cost(described)
        assert after.requests == {"labels": 0, "sentiment": 0}
        assert after.tokens() == 0
        assert len(server.prompts) == asked


def test_rules_ask_no_model() -> None:
    stage = AgreeStage(AgreementOptions(), build_part("label_extractors", "rules"), Taxonomy.builtin())
    assert stage.cost(ClipTable.of_columns({"name": ["a"]})).requests == {}
    choices = build_part("label_extractors", {"name": "choices", "classes": ["happy", "sad"]})
    assert choices.open_questions(["Perhaps."]) == {}
    assert OpenQuestions(2).answered == 0
