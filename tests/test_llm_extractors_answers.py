"""What language models answer, read: lists, bullets, prose, refusals; and the prompts that they are asked with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affect_lightning.errors import ConfigurationError
from affect_lightning.prompting import ExtractionPrompts, read_extraction_prompts
from affect_lightning_plugins.label_extractors.answer_parsing import labels_in_answer, sentiment_in_answer


@pytest.mark.parametrize(
    ("answer", "labels"),
    [
        # lists in brackets
        ('["worried", "sad"]', ["worried", "sad"]),
        ("['Worried', 'a bit SAD', 'worried']", ["worried", "a bit sad"]),
        ("[worried, sad]", ["worried", "sad"]),
        ("[worried; sad.]", ["worried", "sad"]),
        ('["self-conscious"]', ["self-conscious"]),
        ("[\"doesn't care\", 'calm']", ["doesn't care", "calm"]),
        ('Sure! Here is the list:\n```json\n["angry",\n "hurt"]\n```\nLet me know!', ["angry", "hurt"]),
        ('For example ["happy"]. The answer: ["angry"]', ["angry"]),
        ('{"emotions": ["proud"], "confidence": 0.9}', ["proud"]),
        ('{"emotion": "proud, calm"}', ["proud", "calm"]),
        ('["happy", 3, null]', ["happy"]),
        ('["happy (she smiles)", "calm: no movement"]', ["happy", "calm"]),
        ('["高兴", "激动"]', ["happy", "excited"]),
        ("【】", None),
        # cut off in the middle of a list
        ('["anxious", "tense", "ner', ["anxious", "tense"]),
        ("[anxious, tense, ner", ["anxious", "tense"]),
        ('["anx', None),
        # thoughts
        ('<think>He might be ["happy"]?</think>["sad"]', ["sad"]),
        ("the notes say happy, so</think>\n['happy']", ["happy"]),
        ('<think>He might be ["happy"', None),
        # bullets and lines
        ("- joyful\n- relaxed", ["joyful", "relaxed"]),
        ("1. **Joyful**: she laughs\n2. **Relaxed** - leaning back\n3) wistful", ["joyful", "relaxed", "wistful"]),
        ("The emotions are:\n• Sad\n• Lonely (alone at night)", ["sad", "lonely"]),
        ("sad\nlonely", ["sad", "lonely"]),
        # no list, but the words
        ("happy, excited", ["happy", "excited"]),
        ("Wistful.", ["wistful"]),
        ("The main character's emotional state is nervous and worried.", ["nervous", "worried"]),
        ("She is not angry; the person clearly feels sad.", ["sad"]),
        ("高兴、激动", ["happy", "excited"]),
        # nothing there
        ("[]", []),
        ("```[]```", []),
        ('["none"]', []),
        ("[none]", []),
        ("None", []),
        ("There are none.", None),
        ("No clear emotional states are mentioned.", []),
        ("无", []),
        # not an answer
        ("", None),
        ("I'm sorry, but I cannot watch videos.", None),
        ("As an AI, I have no feelings like sadness.", None),
        ("{response}", None),
        ("The table is made of wood and stands near the window.", None),
        ('["The person in the video is talking about the weather"]', None),
        ("\x00\ud800[", None),
    ],
)
def test_labels_in_answers(answer: str, labels: list[str] | None) -> None:
    assert labels_in_answer(answer) == labels


@pytest.mark.parametrize(
    ("answer", "sentiment"),
    [
        ("positive", "positive"),
        (" Negative.", "negative"),
        ("**NEUTRAL**", "neutral"),
        ('["negative"]', "negative"),
        ('{"sentiment": "positive"}', "positive"),
        ("The sentiment is negative.", "negative"),
        ("The sentiment is not positive but negative.", "negative"),
        ("Negative. The words are not neutral, let alone positive.", "negative"),
        ("Out of [positive, negative, neutral] I choose neutral", "neutral"),
        ("positive, negative or neutral? Positive.", "positive"),
        ("<think>positive or negative?</think>\nnegative", "negative"),
        ("积极", "positive"),
        ("情感倾向是消极的，而不是积极的。", "negative"),
        ("这些词是中性的", "neutral"),
        ("", None),
        ("mixed", None),
        ("It could be positive and it could be negative", None),
        ("not positive", None),
        ("positively", None),
    ],
)
def test_sentiments_in_answers(answer: str, sentiment: str | None) -> None:
    assert sentiment_in_answer(answer) == sentiment


@settings(max_examples=500, deadline=None)
@given(
    st.text(alphabet=st.sampled_from(list("[]{}\"',:-*. \n1sadhappy\\<>无高兴")), max_size=60) | st.text(max_size=60)
)
def test_any_answer_is_read_or_counted(answer: str) -> None:
    labels = labels_in_answer(answer)
    if labels is not None:
        assert len(set(labels)) == len(labels)
        assert all(label == label.strip().lower() and label for label in labels)
    assert sentiment_in_answer(answer) in {"positive", "negative", "neutral", None}


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(["sad", "angry", "a bit shy", "self-conscious", "wistful", "under pressure"]), unique=True)
)
def test_every_way_of_writing_a_list_reads_the_same(words: list[str]) -> None:
    ways = [json.dumps(words), repr(words), f"[{', '.join(words)}]", f"Answer:\n{json.dumps(words, indent=2)}"]
    if words:
        ways.append("\n".join(f"* {word.title()}" for word in words))
        ways.append("\n".join(f"{number}. {word}" for number, word in enumerate(words, 1)))
    assert [labels_in_answer(way) for way in ways] == [words] * len(ways)


def test_prompts_come_as_text_or_file(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("Gefühle in: {response}\n", encoding="utf-8")
    prompts = read_extraction_prompts(str(file), "Is {labels} good?")
    assert prompts.about_response(" {labels} 'ok' ") == "Gefühle in: {labels} 'ok'"
    assert prompts.about_labels(["sad", "tired"]) == "Is sad, tired good?"
    assert read_extraction_prompts() == ExtractionPrompts()
    hashes = {read_extraction_prompts(a, b).sha256 for a in (None, "{response}") for b in (None, "{labels}")}
    assert len(hashes) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels_prompt": "What does he feel?"}, r"labels_prompt .* placeholder \{response\}.*'What does he feel\?'"),
        ({"sentiment_prompt": "{response}"}, r"sentiment_prompt .* placeholder \{labels\}"),
        ({"labels_prompt": ""}, "labels_prompt"),
        ({"labels_prompt": "nowhere.txt"}, "path of a file with such a text; got 'nowhere.txt'"),
        ({"labels_prompt": "FILE"}, r"the file .*prompt\.txt of labels_prompt"),
        ({"labels_prompt": "x\0y"}, "labels_prompt"),
    ],
)
def test_a_prompt_without_its_placeholder_is_refused(options: dict[str, str], message: str, tmp_path: Path) -> None:
    file = tmp_path / "prompt.txt"
    file.write_text("no placeholder", encoding="utf-8")
    given = {key: str(file) if value == "FILE" else value for key, value in options.items()}
    with pytest.raises(ConfigurationError, match=message):
        read_extraction_prompts(**given)


def test_our_prompts_ask_for_what_the_parser_reads() -> None:
    prompts = ExtractionPrompts()
    assert "JSON list" in prompts.about_response("x")
    assert labels_in_answer('["worried", "sad"]') == ["worried", "sad"]  # the example that the prompt gives
    assert all(word in prompts.sentiment for word in ("positive", "negative", "neutral"))
