"""The label extractor `qwen2.5-released`: what it asks, how it samples and what it makes of answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from affect_lightning.errors import ConfigurationError
from affect_lightning.plugin_loading import build_part
from affect_lightning.prompting import RELEASED_PROMPTS, ExtractionPrompts
from affect_lightning_plugins.asked_models import local_model
from affect_lightning_plugins.label_extractors.qwen25_released import (
    ReleasedLabelExtractor,
    released_labels,
    released_sentiment,
)
from affect_lightning_plugins.language_models.response_decoding import DecodingOptions, decode_responses
from language_model_server import serving

RESPONSES = ["She laughs.", "He is sad and hurt.", "No."]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    part = build_part("language_models", {"name": "tiny-lm", "lora_rank": 0})
    path = tmp_path_factory.mktemp("lm") / "tiny"
    part.causal_model.save_pretrained(path)
    part.tokenizer.save_pretrained(path)
    return path


def extractor(cache: Path, **options: Any) -> ReleasedLabelExtractor:
    return build_part("label_extractors", {"name": "qwen2.5-released", "cache_dir": str(cache), **options})


@pytest.mark.parametrize(
    ("answer", "labels"),
    [
        ("[happy, a bit shy]", ["happy", "a bit shy"]),
        ("Output: [happy, sad]", ["happy", "sad"]),
        ("Output:\nInput: ['happy', \"sad\"]", ["happy", "sad"]),
        ("happy, happy, Sad", ["happy", "Sad"]),
        ("[happy,\nsad]", ["happy", "sad"]),
        ("happy\nsad", ["happysad"]),
        ("[happy: very]", ["happy very"]),
        ("高兴，激动", ["高兴，激动"]),
        ("Outputs differ", ["Outputs differ"]),
        ("I cannot tell.", ["I cannot tell."]),
        ("[]", []),
        ("Output: []", []),
        ("", None),
        ("[,]", None),
    ],
)
def test_labels_are_taken_as_they_come(answer: str, labels: list[str] | None) -> None:
    assert released_labels(answer) == labels


@pytest.mark.parametrize(
    ("answer", "sentiment"),
    [
        ("positive", "positive"),
        (" Negative\n", "negative"),
        ("Output: NEUTRAL", "neutral"),
        ("positive.", None),
        ("The sentiment is positive", None),
        ("mixed", None),
        ("", None),
    ],
)
def test_a_sentiment_is_compared_exactly(answer: str, sentiment: str | None) -> None:
    assert released_sentiment(answer) == sentiment


def test_each_step_shows_two_examples_and_says_who_the_main_character_is() -> None:
    for text in (RELEASED_PROMPTS.labels, RELEASED_PROMPTS.sentiment):
        assert (text.count("Input: "), text.count("Output: "), text.endswith("\nOutput:")) == (3, 2, True)
    assert "the main character is the one" in RELEASED_PROMPTS.labels
    assert "'" not in RELEASED_PROMPTS.labels.split("Output: ")[1].splitlines()[0]
    assert RELEASED_PROMPTS.about_labels([]).endswith("Input: []\nOutput:")
    assert RELEASED_PROMPTS.sha256 != ExtractionPrompts().sha256


def test_a_server_is_asked_with_the_sampling_of_the_release(tmp_path: Path) -> None:
    def behaviour(prompt: str, earlier: int) -> str:
        judged = prompt.rsplit("Input: ", 1)[1].removesuffix("\nOutput:")
        return {"She laughs.": "Output: [happy]", "[happy]": "Positive", "[]": "neutral, I think"}.get(judged, "[]")

    with serving(behaviour) as server:
        asker = extractor(tmp_path, model="m", base_url=server.base_url, pause=0.01, seed=3)
        labels = asker.extract([*RESPONSES, ""])
        assert labels == [["happy"], [], [], []]
        assert asker.sentiment(labels) == ["positive", "neutral", "neutral", "neutral"]
        assert len(server.prompts) == 3 + 2, "three responses and two lists of words, the empty one among them"
        sampling = {"temperature": 0.7, "top_p": 0.8, "repetition_penalty": 1.05, "max_tokens": 512, "seed": 3}
        for body in server.bodies:
            assert {name: body[name] for name in sampling} == sampling
            assert body["model"] == "m"
        assert asker.unparsable == {"labels": 0, "sentiment": 1}
        said = asker.identity()
        assert said.startswith(
            f"qwen2.5-released m at {server.base_url}, revision unstated, sampled (temperature 0.7, "
        )
        assert "top-p 0.8, repetition 1.05, seed 3), prompts " in said
        other = extractor(tmp_path, model="m", base_url=server.base_url, seed=4)
        assert other.identity().rpartition("settings ")[2] != said.rpartition("settings ")[2]
        other.extract(RESPONSES[:1])
        assert len(server.prompts) == 6, "another seed asks anew"
        extractor(tmp_path, model="m", base_url=server.base_url, seed=3).extract(RESPONSES)
        assert len(server.prompts) == 6, "the same seed has its answers"


def test_a_model_in_this_process_is_sampled_the_same_way(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[DecodingOptions] = []
    real = local_model.decode_responses

    def record(*arguments: Any, **options: Any) -> list[list[int]]:
        seen.append(arguments[4])
        return real(*arguments, **options)

    monkeypatch.setattr(local_model, "decode_responses", record)
    short = {"model": str(folder), "device": "cpu", "dtype": "float32", "max_new_tokens": 6}
    results = {}
    for number, (seed, batch_size) in enumerate(((0, 1), (0, 16), (1, 16))):
        asker = extractor(tmp_path / str(number), **short, seed=seed, batch_size=batch_size)
        results[seed, batch_size] = asker.extract(RESPONSES)
        asker.sentiment([["happy"], []])
    assert results[0, 1] == results[0, 16] != results[1, 16]
    assert set(seen) == {DecodingOptions(6, 0.7, 0.8, seed, 1.05) for seed in (0, 1)}
    assert "qwen2.5-released tiny, revision files-" in extractor(tmp_path, **short).identity()


def test_the_defaults_are_those_of_the_release(folder: Path, tmp_path: Path) -> None:
    asker = extractor(tmp_path, model=str(folder), device="cpu")
    assert asker._local._decoding == DecodingOptions(512, 0.7, 0.8, 0, 1.05)
    assert build_part("label_extractors", "rules").identity().startswith("rules"), (
        "the default extractor samples nothing"
    )


@pytest.mark.parametrize("penalty", [1.05, 1.7])
def test_the_repetition_penalty_is_that_of_transformers(folder: Path, penalty: float) -> None:
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    prompts = [[5, 9, 17, 9], [30, 6, 5]]
    wanted = []
    for ids in prompts:
        rows = torch.tensor([ids])
        with torch.no_grad():
            written = model.generate(
                rows,
                attention_mask=torch.ones_like(rows),
                max_new_tokens=10,
                do_sample=False,
                repetition_penalty=penalty,
                eos_token_id=None,
                pad_token_id=0,
            )
        wanted.append(written[0, len(ids) :].tolist())
    rows = torch.tensor([prompts[0], [0, *prompts[1]]])
    mask = torch.tensor([[1, 1, 1, 1], [0, 1, 1, 1]])
    embedded = model.get_input_embeddings()(rows)
    options = DecodingOptions(10, repetition_penalty=penalty)
    assert decode_responses(model, embedded, mask, (), options, prompt_ids=prompts) == wanted
    without = decode_responses(model, embedded, mask, (), DecodingOptions(10), prompt_ids=prompts)
    assert (without != wanted) or penalty < 1.1


def test_wrong_options_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"repetition_penalty must be above 0; got 0"):
        DecodingOptions(1, repetition_penalty=0.0)
    with pytest.raises(ConfigurationError, match=r"batch_size must be 1 or more prompts; got 0"):
        extractor(tmp_path, model=str(folder), batch_size=0)
    with pytest.raises(ConfigurationError, match=r"Expected base_url to be an address"):
        extractor(tmp_path, base_url="nowhere")
    with pytest.raises(ConfigurationError, match="Remove `chat_template`, or remove `base_url`: a server applies"):
        extractor(tmp_path, base_url="http://127.0.0.1:1/v1", chat_template="{{ messages }}")
