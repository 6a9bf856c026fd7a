"""Inputs that a new user tried: class codes, corrections, what is ruled out, weights, echoed input, sentiments that are weighed.

A neighbour of `test_outside_words.py`, `test_outside_answers.py` and `test_outside_forms.py`, whose helpers serve here. Each
gave a wrong figure without a word, or a message that did not help, before it was put here.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from affect_lightning.command_line.program import main
from affect_lightning.corpora.own_clips import read_own_table
from affect_lightning.corpora.truths import Truth, class_codes
from affect_lightning.data.own_descriptions import faults_of_descriptions, without_faults
from affect_lightning.label_strings import parse_labels
from affect_lightning.prompting.cleaning import clean_response
from affect_lightning.sentiment_strings import main_sentiment, read_sentiment
from affect_lightning_plugins.label_extractors.rules import RulesLabelExtractor
from test_outside_words import CHINESE, NAMES, WORDS, mine, own_folder, score, write

__all__ = ["own_folder"]  # the fixture of the other file, which pytest finds by its name here

MELD = ("joy", "sadness", "anger", "surprise", "fear", "disgust")


# --- class codes ---


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_class_codes_as_truths_are_told(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, ending: str
) -> None:
    """MELD's own order is another one than the authors', so that right words score 0."""
    truths = write(f"codes.{ending}", "label", [4, 3, 6, 1, 2, 5])
    with caplog.at_level(logging.WARNING):
        code, result, _ = score(capsys, "meld", truths, write("p.jsonl", "labels", MELD))
    assert code == 0
    assert result["score"] < 50.0, "the order is told, not guessed"
    read = result["class_codes"]
    assert list(read) == ["1", "2", "3", "4", "5", "6"]
    mapping = ", ".join(f"{number}={word}" for number, word in read.items())
    assert (
        f"codes.{ending}: the class codes in the column label are read in the order of the classes of meld: "
        in caplog.text
    )
    assert f"{mapping}. If your codes have another order, write the words instead." in caplog.text
    report = json.loads(Path("out/report.json").read_text(encoding="utf-8"))
    assert mapping in json.dumps(report)


def test_words_as_truths_need_no_warning(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, reference: Path
) -> None:
    with caplog.at_level(logging.WARNING):
        _, result, _ = score(capsys, "meld", write("w.csv", "label", MELD), write("p.jsonl", "labels", MELD))
    assert result["score"] == 100.0
    assert "class_codes" not in result
    assert "class codes" not in caplog.text
    from affect_lightning.corpora import known_sets
    from affect_lightning.corpora.truths import read_truths

    caplog.clear()
    official = reference / "labels" / "meld-process" / "label.npz"
    with caplog.at_level(logging.WARNING):
        truths = read_truths(official, "meld", known_sets()["meld"])
    assert class_codes(truths.values()) == {}, "the release's codes have the release's order"
    assert "class codes" not in caplog.text
    assert class_codes([Truth(("sad",), code=5), Truth(("happy",), code=1)]) == {1: "happy", 5: "sad"}


# --- answers ---

ANSWERS = {
    # taken back
    "wait": "The person is calm. Wait, no, actually {word}.",
    "wait, a dash": "He is calm — wait, he is {word}.",
    "correction": "The person is calm. Correction: {word}",
    "scratch that": "Calm. Scratch that, {word}.",
    "struck out": "~~calm~~ {word}.",
    # a sentence is no list
    "sorry, but": "Sorry, but the person seems {word}.",
    "ruling out": "Ruling out calm and bored, I choose {word}.",
    "excluding": "excluding calm, {word}",
    "among": "Among calm, bored, and {word}, the person is {word}.",
    "given options": "The given options are calm, {word}, bored and tired. I choose {word}.",
    "from a list": "From the candidate labels [calm, {word}, bored], the best is {word}.",
    # a table with a column for each emotion
    "columns": "| Emotion | {word} | calm |\n|---|---|---|\n| Score | 0.9 | 0.1 |",
    "columns alone": "| calm | {word} |\n|---|---|\n| 0.1 | 0.9 |",
    # weights
    "percent first": "80% {word}, 20% calm",
    "percent and": "80% {word} and 20% calm.",
    "of ten": "{word} 8/10, calm 1/10",
    "csv in the answer": "emotion,score\n{word},0.9\ncalm,0.1",
    "unlikely": "{word} is likely. Calm is unlikely.",
    "unlikely in brackets": "1. {word} (most likely)\n2. calm (unlikely)\n3. bored (very unlikely)",
    # set aside
    "absent": "Present: {word}. Absent: calm, bored.",
    "JSON absent": '{{"present": ["{word}"], "absent": ["calm", "bored"]}}',
    "YAML absent": "emotions:\n  - {word}\nnot_present:\n  - calm\n",
    "ruled out": "Calm can be ruled out. He is {word}.",
    "opposed": "{word} as opposed to calm",
    "isnt": "He isnt calm. He is {word}.",
    # echoes
    "subtitle": "Subtitle: I am so calm! Emotion: {word}",
    "transcript": "Transcript: I am calm, I'm bored.\nEmotion: {word}",
    "choose from": "Emotion (choose from calm, bored, tired): {word}",
    "input and output": "Input: a calm clip\nOutput: {word}",
    "options and a letter": "Options: (A) {word} (B) calm\nAnswer: A",
    "lettered lines": "A. calm\nB. {word}\nC. bored\nAnswer: B",
    # junk beside the word
    "valence and arousal": "{word} (valence: -0.8, arousal: 0.3)",
    "arousal in words": "{word}, arousal: high, valence: negative",
    "a tail of figures": "{word} [0.8s, 34 tokens, confident=True]",
    "confident": "{word}, confident=True",
}
CHINESE_ANSWERS = {
    "correction": "平静。不对，是{word}",
    "correction in sentences": "这个人很平静。不对，应该是{word}。",
    "percent": "{word}80%，平静20%",
    "percent first": "80%{word}，10%平静，10%无聊",
    "points": "{word}：9分，平静：1分",
    "present and absent": "存在：{word}；不存在：平静",
    "signs": "平静×，{word}√",
    "ruled out": "排除平静和无聊，选择{word}。",
    "not shown": "未表现出平静，表现出{word}",
    "thoughts": "思考：可能平静。\n回答：{word}",
    "options and a letter": "选项：A. 平静 B. {word} C. 无聊\n答案：B",
}


@pytest.mark.parametrize("form", ANSWERS.values(), ids=ANSWERS)
def test_every_form_gives_its_emotion(capsys: pytest.CaptureFixture[str], form: str) -> None:
    answers = [form.format(word=word) for word in WORDS]
    assert mine(capsys, "response", answers) == pytest.approx(100.0)
    for answer, word in zip(answers, WORDS, strict=True):
        assert RulesLabelExtractor().extract([answer]) == [[word]]
        once = clean_response(answer).text
        assert clean_response(str(once)).text == once, "cleaning again changes nothing"


@pytest.mark.parametrize("form", CHINESE_ANSWERS.values(), ids=CHINESE_ANSWERS)
def test_every_chinese_form_gives_its_emotion(form: str) -> None:
    plain = RulesLabelExtractor().extract([f"她很{word}。" for word in CHINESE])
    answers = [form.format(word=word) for word in CHINESE]
    assert RulesLabelExtractor().extract(answers) == plain
    assert all(len(labels) == 1 for labels in plain)


SPEECH = {
    'He says "Calm down. Wait, no, actually go." and seems sad.': ["sad"],
    "She waits, no longer calm but sad.": ["sad"],
    "Happy, sad and angry.": ["happy", "sad", "angry"],
    "The text is present: sad and tired.": ["sad", "tired"],
    "I'm sorry, but I cannot tell.": [],
    "He looks calm. Wait, no one is happy.": ["calm"],
}


@pytest.mark.parametrize(("response", "labels"), SPEECH.items())
def test_what_only_looks_so_is_read_as_before(response: str, labels: list[str]) -> None:
    assert sorted(RulesLabelExtractor().extract([response])[0]) == sorted(labels)


def test_weights_in_a_column_of_labels_are_read_as_in_answers() -> None:
    assert parse_labels("80% happy, 20% calm") == ("happy",)
    assert parse_labels("Sadness 8/10, happiness 1/10") == ("Sadness",)
    assert parse_labels("悲伤：9分，平静：1分") == ("悲伤",)
    assert parse_labels("80% of them were happy") == ("80% of them were happy",), "no list of weights"


# --- sentiments ---

KEYS = (
    "Score: {n}",
    "Score = {n}",
    "Score is {n}",
    "Rating: {n}",
    "Answer: {n}",
    "Label: {n}",
    "Class: {n}",
    "Output: {n}",
)
KEYED = (*KEYS, "得分：{n}", "评分：{n}", "得分：{n}分", '{{"score": {n}}}', '{{"rating": {n}}}', '{{"answer": {n}}}')


@pytest.mark.parametrize("form", KEYED)
def test_a_number_behind_a_plain_key_is_a_sentiment(capsys: pytest.CaptureFixture[str], form: str) -> None:
    answers = [form.format(n=number) for number in ("-3", "-0.6", "-1", "3", "0.6", "1")]
    given = write("p.jsonl", "response", answers)
    assert score(capsys, "mine", "sent_labels.csv", given)[1]["score"] == 100.0
    assert RulesLabelExtractor().extract(answers) == [[]] * 6, "such a key is no label"


WEIGHED = {
    "positive overall, though some negative remarks": "positive",
    "negative overall, though some positive remarks": "negative",
    "80% negative, 20% positive": "negative",
    "80% positive, 20% negative": "positive",
    "总体积极，略带消极": "positive",
    "总体消极，略带积极": "negative",
    "虽然有负面词，整体是正面的": "positive",
    "Despite negative words, the sentiment is positive.": "positive",
    "a negative tone despite positive words": "negative",
    "mainly positive with a negative ending": "positive",
    "The words are positive, but the tone is negative. Overall: negative": "negative",
}


@pytest.mark.parametrize(("text", "sentiment"), WEIGHED.items())
def test_of_two_sentiments_the_main_one_counts(capsys: pytest.CaptureFixture[str], text: str, sentiment: str) -> None:
    assert main_sentiment(text) == read_sentiment(text) == sentiment
    truths = write("t.csv", "val", [-1.0 if sentiment == "negative" else 1.0] * 6)
    assert score(capsys, "mine", truths, write("p.jsonl", "response", [text] * 6))[1]["score"] == 100.0


@pytest.mark.parametrize(
    "text", ["positive or negative", "between positive and negative", "positive", "50% positive, 50% negative"]
)
def test_what_weighs_nothing_has_no_main_sentiment(text: str) -> None:
    assert main_sentiment(text) is None


# --- servers and verdicts ---


@pytest.mark.parametrize("as_text", [False, True])
def test_two_answers_of_a_server_are_refused(capsys: pytest.CaptureFixture[str], as_text: bool) -> None:
    sent: list[Any] = [{"choices": [{"text": f"She is {word}."}, {"text": "She is calm."}]} for word in WORDS]
    sent = [json.dumps(one) for one in sent] if as_text else sent
    code, _, err = score(capsys, "mine", "labels.csv", write("p.jsonl", "response", sent))
    assert code == 2
    assert "p.jsonl, line 1, column response, clip clip_000: expected one answer, found 2 choices of a server." in err


def verdicts(values: list[str]) -> str:
    rows = [f"c{number},A,He is sad and tired.,B,He is happy.,{said}" for number, said in enumerate(values)]
    Path("v.csv").write_text("\n".join(["name,model1,a1,model2,a2,preference", *rows]) + "\n", encoding="utf-8")
    return "v.csv"


def test_verdicts_of_0_and_1_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["annotate", "review", "--import", verdicts(["0", "1", "0"])]) == 2
    err = capsys.readouterr().err
    assert "v.csv, line 2, column preference, clip c0: write a1 or a2 instead" in err
    assert "1 means a1, 2 means a2 and 0 means same" in err
    assert main(["annotate", "review", "--import", verdicts(["1", "2", "0"]), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["wins"], found["losses"], found["ties"]) == (1, 1, 1)


# --- own tables ---

DESCRIBED = """name,text,description
a,Hi,<think>happy?</think>He is sad.
b,Hi,"I'm sorry, I cannot help."
c,Hi,Error: CUDA out of memory
d,Hi,She is calm.
"""


def test_descriptions_that_are_none_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    table = Path("own.csv")
    table.write_text(DESCRIBED, encoding="utf-8")
    clips = read_own_table(table)
    faults = faults_of_descriptions(clips)
    assert (faults.failed, faults.refused, faults.thoughts) == (("c",), ("b",), ("a",))
    with caplog.at_level(logging.WARNING):
        cleaned = without_faults(table, clips)
    assert cleaned[0].description == "He is sad."
    assert cleaned[1:] == clips[1:]
    for name, what in (("c", "an error message"), ("b", "a refusal"), ("a", "thoughts, which are taken out")):
        assert f"own.csv: 1 of 4 clips ({name}): the description" in caplog.text
        assert what in caplog.text


def test_fit_and_doctor_read_such_a_table(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    from affect_lightning.data.clip_sources import ClipSources
    from affect_lightning.inspection.annotations import check_annotations, named_sets

    Path("own.csv").write_text(DESCRIBED, encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        clips = ClipSources(train_sets=("own.csv",), validation_share=0.0).training_clips()[0]
    assert {clip.name: clip.description for clip in clips}["a"] == "He is sad."
    assert "the description is a refusal" in caplog.text
    findings = check_annotations(named_sets(("own.csv",), "training", None)[0], needs_media=False).findings
    found = [(finding.check, finding.level, finding.names) for finding in findings]
    assert found == [
        ("bad-description", "problem", ("c",)),
        ("bad-description", "problem", ("b",)),
        ("bad-description", "note", ("a",)),
    ]


def test_label_beside_labels_is_told(caplog: pytest.LogCaptureFixture) -> None:
    Path("both.csv").write_text("name,text,label,labels\na,Hi,happy,sad\n", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        assert read_own_table("both.csv")[0].labels == ("sad",)
    assert "both.csv: the emotion words are read from the column labels; label is left alone." in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert read_own_table("both.csv", {"labels": "label"})[0].labels == ("happy",)
    assert "is left alone" not in caplog.text


def test_columns_with_capitals_are_read() -> None:
    Path("capitals.csv").write_text("Name,Text,Labels\na,Hi,happy\n", encoding="utf-8")
    assert read_own_table("capitals.csv")[0].labels == ("happy",)
    assert read_own_table("capitals.csv", {"labels": "Labels"})[0].labels == ("happy",)


# --- messages ---


def test_messages_say_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(zip(NAMES, WORDS, strict=True))
    lines = [json.dumps({"prompt": "How?", "predict": f"She is {word}.", "label": word}) for _, word in rows]
    files = {
        "generated_predictions.jsonl": (
            "\n".join(lines),
            "LLaMA-Factory writes its predictions in the order of its data set",
        ),
        "emotion.csv": ("name,emotion\n" + "".join(f"{n},{w}\n" for n, w in rows), "`--column labels=emotion`"),
        "m.csv": ("id,M\n" + "".join(f"{n},0.5\n" for n, _ in rows), "`--column sentiment=M`"),
        "bare.csv": (
            "".join(f"c{n},{w}\n" for n, w in enumerate(WORDS)),
            "If the first line is no header, add one, such as",
        ),
    }
    for name, (text, message) in files.items():
        Path(name).write_text(text, encoding="utf-8")
        code, _, err = score(capsys, "mine", "labels.csv", name)
        assert (code, message in err) == (2, True), err


@pytest.mark.parametrize(
    "form", ["The person is {word} today.", "<think>calm</think>{word}", '```json\n["{word}"]\n```']
)
def test_responses_in_a_column_of_labels_get_a_hint(capsys: pytest.CaptureFixture[str], form: str) -> None:
    given = write("p.jsonl", "labels", [form.format(word=word) for word in WORDS])
    code, _, err = score(capsys, "mine", "labels.csv", given)
    assert code == 2
    assert "`--column response=labels`" in err


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_its_mark_is_named(capsys: pytest.CaptureFixture[str], codec: str) -> None:
    text = "name,labels\n" + "".join(f"{name},{word}\n" for name, word in zip(NAMES, WORDS, strict=True))
    Path("p.csv").write_bytes(text.encode(codec))
    code, _, err = score(capsys, "mine", "labels.csv", "p.csv")
    assert code == 2
    assert "Save p.csv as UTF-8: it looks like UTF-16 without a byte order mark" in err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["plugins", "chek"], "Did you mean `affect-lightning plugins check`?"),
        (["annotate", "--mebmer", "x"], "An option of one step stands behind the step's name"),
        (["taxonomy", "--miror", "x"], "Did you mean `affect-lightning taxonomy fetch --mirror`?"),
        (["export", "--ouput", "x"], "Did you mean `out`? It has no dashes: `affect-lightning export checkpoint out`."),
        (["pull", "--revison", "x"], "Did you mean `--revision`?"),
    ],
)
def test_slips_get_a_near_name(capsys: pytest.CaptureFixture[str], words: list[str], hint: str) -> None:
    assert main(words) == 2
    assert hint in capsys.readouterr().err
