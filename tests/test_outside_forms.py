"""More inputs as chat models, servers and people write them, each of which once scored wrong without a word.

English and Chinese; answers of GPT-4o, Qwen-Omni, R1-Omni, HumanOmni, Emotion-LLaMA and LLaVA-CoT among them. A neighbour of
`test_outside_words.py` and `test_outside_answers.py`, whose helpers serve here.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from affect_lightning.corpora.annotation_tables import read_row_file
from affect_lightning.errors import DataError
from affect_lightning.label_strings import given_words, parse_labels
from affect_lightning.prompting.cleaning import clean_response
from affect_lightning.prompting.cleaning.error_messages import is_error_message
from affect_lightning.sentiment_strings import read_sentiment, told_number
from affect_lightning_plugins.label_extractors.rules import RulesLabelExtractor
from test_outside_words import NAMES, VALUES, WORDS, mine, own_folder, score, write

__all__ = ["own_folder"]  # the fixture of the other file, which pytest finds by its name here

CHAT = {"choices": [{"message": {"role": "assistant", "content": '```json\n{"emotion": "sad"}\n```'}}]}
LABELS: dict[str, list[str]] = {
    # models with a task's or a thought's marks
    "<think>He looks angry, maybe sad.</think>\n<answer>happy</answer>": ["happy"],
    "<vis_desc>A man, happy</vis_desc>\n<aud_desc>calm voice</aud_desc>\n<answer>angry</answer>": ["angry"],
    "<SUMMARY>calm</SUMMARY><CAPTION>bored</CAPTION><CONCLUSION>angry</CONCLUSION>": ["angry"],
    "[reason] The person is calm [emotion] angry": ["angry"],
    "The person in video says: I am so happy. Please determine which emotion label in the video represents: happy, sad. angry": [
        "angry"
    ],
    # measures, ranks and reasons beside the words
    "Sadness (high confidence), Anger (low confidence)": ["sadness"],
    "Anger (70%) / Sadness (30%)": ["anger"],
    "Anger: ★★★★☆, Sadness: ★☆☆☆☆": ["anger"],
    "Happy 0.2 Sad 0.7 Angry 0.1": ["sad"],
    "Happy\t0.2\nSad\t0.7": ["sad"],
    '{"emotion": {"primary": "sad", "secondary": ["angry"]}}': ["sad", "angry"],
    '{"primary": "sad", "secondary": "angry"}': ["sad", "angry"],
    "emotion: sad, sentiment: negative": ["sad"],
    "sad\n\nExplanation: He isn't happy, he smiles out of politeness. calm.": ["sad"],
    "sad. Explanation: the calm tone...": ["sad"],
    "sad (because his happy days are over)": ["sad"],
    "情绪：悲伤（0.8），平静（0.2）": ["sad"],
    "happy? no. sad? yes.": ["sad"],
    "Happy: No. Sad: Yes. Angry: No.": ["sad"],
    "happy ❌, sad ✅": ["sad"],
    "sad, instead of angry": ["sad"],
    "It's hard to say for sure, but likely sad.": ["sad"],
    "I'm sad to say that I cannot see the video.": [],
    "I regret that I can't analyze this.": [],
    "我很难过，我无法看到视频。": [],
    # words that are set aside
    "The person is more sad than angry.": ["sad"],
    "rather sad than angry": ["sad"],
    "less angry than sad": ["sad"],
    "One would expect calm, but she is angry.": ["angry"],
    "He tries to look happy, but he is sad.": ["sad"],
    "He seems calm, but he is actually furious.": ["furious"],
    "他与其说是平静，不如说是愤怒。": ["angry"],
    "比起悲伤，他更愤怒。": ["angry"],
    "他的愤怒多于悲伤。": ["angry"],
    "本以为他会高兴，但他很愤怒。": ["angry"],
    "看似平静，实则愤怒。": ["angry"],
    "说话人感到开心的可能性很小，更可能是悲伤。": ["sad"],
    # ... and words that look so, but count: a change shows both, and what only seems is not denied
    "The person goes from calm to angry.": ["calm", "angry"],
    "从平静变为愤怒": ["calm", "angry"],
    "He is more than happy.": ["happy"],
    "He feels nothing more than anger.": ["anger"],
    "He seems sad, but also hopeful.": ["sad", "hopeful"],
    "看起来高兴，但也有些紧张。": ["happy", "nervous"],
    # speech, and words between quotes that are none
    "The man says 'I am happy' in an angry voice.": ["angry"],
    "She says 'I'm so happy', but her voice is sad.": ["sad"],
    "她说‘我很高兴’，但语气愤怒。": ["angry"],
    "She feels 'sad' today.": ["sad"],
    'Her emotion can be described as "sad".': ["sad"],
    "The dogs' owner is sad, and the cats' too.": ["sad"],
    # prose that looks like a list
    "She looks happy and excited.": ["happy", "excited"],
    "The individual appears to be **frustrated** and slightly **annoyed**.": ["frustrated", "annoyed"],
    # odd characters
    "ｈａｐｐｙ": ["happy"],
    "ha\u200bppy, \u00adsa\u00add": ["happy", "sad"],
    "\ufeffThe person\u00a0is\u3000𝐬𝐚𝐝.": ["sad"],
    # what a server sent
    json.dumps(CHAT): ["sad"],
    '[{"role": "user", "content": "Is he happy?"}, {"role": "assistant", "content": "sad"}]': ["sad"],
    "ChatCompletionMessage(content='The person is sad.', role='assistant')": ["sad"],
    '{"emotion": "sad", "emotion": "happy"}': ["sad", "happy"],
    "作为一个AI模型，我认为他很悲伤。": ["sad"],
}


@pytest.mark.parametrize(("response", "labels"), LABELS.items(), ids=map(str, range(len(LABELS))))
def test_a_response_has_the_labels_that_it_means(response: str, labels: list[str]) -> None:
    assert sorted(RulesLabelExtractor().extract([response])[0]) == sorted(labels)
    once = clean_response(response).text
    assert clean_response(str(once)).text == once, "cleaning again changes nothing"


ERRORS = [
    "Error: CUDA out of memory. Sad ...",
    "[ERROR] angry",
    "HTTP 500 Internal Server Error: sad",
    "429 Too Many Requests: we are sorry",
    "503 Service Unavailable",
    "openai.RateLimitError: Error code: 429 - happy",
    "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB; sad",
    'Traceback (most recent call last):\n  File "x.py"\nValueError: happy',
    "HTTPSConnectionPool(host='x', port=443): Max retries exceeded (angry)",
    "Request timed out. We are sorry.",
    "The server is overloaded, please be happy later.",
    '{"error": {"message": "The server had an error. Sorry about that! angry"}}',
    '{"object": "error", "message": "too long, sorry", "code": 400}',
    "请求过于频繁，请稍后再试，抱歉",
    "服务器错误：生气",
    "错误：高兴",
]


@pytest.mark.parametrize("message", ERRORS)
def test_a_message_of_a_failed_call_has_no_label_and_counts_as_refused(message: str) -> None:
    clean = clean_response(message)
    assert (clean.text, clean.refused, clean.failed) == ("", True, True)
    assert RulesLabelExtractor().extract([message]) == [[]]


@pytest.mark.parametrize(
    "response",
    [
        "The error makes him angry.",
        "Her failed exam makes her sad.",
        "He is angry because the connection failed.",
        "The request for help shows that she is afraid.",
        "服务器旁边的人很生气。",
        "Errors annoy her.",
        "The server is busy with her tables and looks tired.",
    ],
)
def test_people_with_errors_are_no_error_messages(response: str) -> None:
    assert not is_error_message(response)
    assert RulesLabelExtractor().extract([response]) != [[]]


def test_an_answer_before_a_traceback_stays() -> None:
    assert clean_response("She is sad.\nTraceback (most recent call last):\n  angry").text == "She is sad."
    assert clean_response("She is sad.\nError: out of memory, angry").text == "She is sad."


def test_failed_calls_are_told_and_counted(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    answers = ["Error: CUDA out of memory. Sad ...", *(f"The person is {word}." for word in WORDS[1:])]
    with caplog.at_level(logging.WARNING):
        code, result, _ = score(capsys, "mine", "labels.csv", write("p.jsonl", "response", answers))
    assert (code, result["refused"], result["cleaned"]) == (0, 1, {"error message": 1})
    assert (
        "mine: ask the model again: 1 of 6 responses are the message of a call that failed, such as 'Error: CUDA"
        in (caplog.text)
    )
    assert result["without_a_label"] == 1


SENTIMENTS = {
    "★★★★☆": "positive",
    "⭐⭐": "negative",
    "⭐️⭐️⭐️⭐️": "positive",
    "4/5": "positive",
    "Sentiment: 2/5": "negative",
    "3 out of 5": "neutral",
    "4 stars": "positive",
    "四星": "positive",
    "2 星": "negative",
    "7/10": "positive",
    "{sentiment_score: -0.6}": "negative",
    "情感得分：-0.6": "negative",
    "Valence: -0.3, Arousal: 0.6": "negative",
    "－０．６": "negative",
    "nega\u200btive": "negative",
    "+ve": "positive",
    "👎": "negative",
    "Negative: 80%, Positive: 20%": "negative",
    "{'positive': 0.2, 'negative': 0.8}": "negative",
    "positive: 0.5, negative: 0.5": None,
    "positive or negative: 0.5": None,
    "2024/11": None,
    "4/6": None,
    "6/5": None,
}


@pytest.mark.parametrize(("text", "word"), SENTIMENTS.items())
def test_stars_ratings_and_named_numbers_are_sentiments(text: str, word: str | None) -> None:
    assert read_sentiment(text) == word


def test_told_numbers_are_those_of_a_measure() -> None:
    assert (told_number("Sentiment score: -0.6"), told_number("0,4"), told_number("★★")) == (-0.6, 0.4, None)


@pytest.mark.parametrize(
    "form",
    [
        "Sentiment score: {value}",
        "The sentiment score is {value}.",
        "{value}",
        '{{"sentiment_score": {value}}}',
        '{{"sentiment": {value}}}',
        "polarity: {value}",
        "情感得分：{value}",
        "Valence: {value}, Arousal: 0.5",
    ],
)
def test_a_sentiment_in_a_response_scores_as_one_in_a_column(capsys: pytest.CaptureFixture[str], form: str) -> None:
    given = score(capsys, "mine", "sent_labels.csv", write("p.jsonl", "sentiment", VALUES))[1]["score"]
    answers = [form.format(value=value) for value in VALUES]
    code, result, err = score(capsys, "mine", "sent_labels.csv", write("p.jsonl", "response", answers))
    assert (code, result["score"], result["without_a_label"]) == (0, given, 0), err
    assert given == 100.0
    if form == "{value}":
        assert score(capsys, "mine", "labels.csv", write("p.jsonl", "response", answers))[0] == 2, "as class codes"
    else:
        assert mine(capsys, "response", answers) == 0.0, "a set of emotions has no use for it"


@pytest.mark.parametrize("values", [["-0.8", "-0.4", "-1", "0.6", "0.2", "1"], [-0.8, -0.4, -1, 0.6, 0.2, 1]])
def test_bare_numbers_as_responses_are_sentiments(capsys: pytest.CaptureFixture[str], values: list[Any]) -> None:
    assert score(capsys, "mine", "sent_labels.csv", write("p.jsonl", "response", values))[1]["score"] == 100.0


def test_ratings_as_responses_and_in_a_column(capsys: pytest.CaptureFixture[str]) -> None:
    stars = ["★☆☆☆☆", "★★☆☆☆", "1/5", "4/5", "★★★★☆", "5 out of 5"]
    for column in ("response", "sentiment"):
        assert score(capsys, "mine", "sent_labels.csv", write("p.jsonl", column, stars))[1]["score"] == 100.0, column


def test_numbers_of_responses_that_are_never_below_zero_are_told(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        score(capsys, "mine", "sent_labels.csv", write("p.jsonl", "response", ["0", "0", "1", "2", "2", "2"]))
    assert "mine: no number that responses give as a sentiment is below 0 (0 to 2)" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        score(capsys, "mine", "sent_labels.csv", write("p.jsonl", "response", ["-1", "0", "-1", "1", "1", "1"]))
    assert "is below 0" not in caplog.text


@pytest.mark.parametrize(
    "values",
    [
        [{word: 0.9, "calm": 0.1} for word in WORDS],
        [{"label": word, "score": 0.9} for word in WORDS],
        [[{"label": word, "score": 0.9}, {"label": "calm", "score": 0.2}] for word in WORDS],
        [{"emotions": [word], "reason": "a smile"} for word in WORDS],
        [json.dumps({word: 0.9, "calm": 0.1}) for word in WORDS],
        [f"emotions: {word}" for word in WORDS],
        [f"Primary emotion: {word}" for word in WORDS],
        [f"情绪：{word}" for word in WORDS],
        ["".join(chr(ord(letter) + 0xFEE0) for letter in word) for word in WORDS],
        [f"\ufeff{word[:2]}\u200b{word[2:]}\u00ad" for word in WORDS],
    ],
)
def test_labels_in_objects_behind_keys_and_in_odd_characters_are_read_on_both_sides(
    capsys: pytest.CaptureFixture[str], values: list[Any]
) -> None:
    assert mine(capsys, "labels", values) == 100.0
    truths = write("truths.jsonl", "openset", values)
    code, result, err = score(capsys, "mine", truths, write("p.jsonl", "labels", WORDS))
    assert (code, result["score"], result["unread"]["true labels"]["unread"]) == (0, 100.0, 0), err


def test_chinese_words_as_labels_get_a_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    chinese = ["开心的", "难过的", "愤怒的", "惊讶的", "害怕的", "厌恶的"]
    predictions = write("p.jsonl", "labels", chinese)
    code, _, err = score(capsys, "mine", "labels.csv", predictions)
    assert code == 2
    assert "name their column as responses, `--column response=NAME`. A score would mean nothing" in err
    assert score(capsys, "mine", "labels.csv", predictions, "--column", "response=labels")[1]["score"] == 100.0
    code, _, err = score(capsys, "mine", write("truths.csv", "openset", chinese), write("q.jsonl", "labels", WORDS))
    assert (code, "Translate Chinese ones." in err) == (2, True)


def test_a_missing_output_of_ones_own_set_gets_no_far_name(capsys: pytest.CaptureFixture[str]) -> None:
    write("p.jsonl", "labels", WORDS)
    code, _, err = score(capsys, "mine", "labels.csv", "p.jsonl", "--union", "gone.csv")
    assert (code, "There is no file gone.csv with predictions. Give a file" in err, "Did you mean" in err) == (
        2,
        True,
        False,
    )
    code, _, err = score(capsys, "mine", "labels.csv", "p.jsonl", "--union", "p.jsonl")
    assert (code, "--predictions and --union name p.jsonl more than once" in err) == (2, True)
    code, _, err = score(capsys, "mine", "labels.csv", "p.jsonl")
    assert (code, "Did you mean" in err) == (0, False)


def test_keys_before_words_go_and_other_colons_stay() -> None:
    assert parse_labels("emotions: happy, calm") == parse_labels("emotions: [happy, calm]") == ("happy", "calm")
    assert parse_labels("primary: happy; secondary: calm") == ("happy", "calm")
    assert given_words(["Emotion: happy", "label: calm"]) == ("happy", "calm")
    for text in (
        "('happy','calm')",
        "{'happy', 'calm'}",
        "1.happy\n2.calm",
        "<happy>; #calm",
        "happy 😊, calm:",
        "labels=happy, calm",
    ):
        assert parse_labels(text) == ("happy", "calm"), text
    assert parse_labels("note: happy") == ("note: happy",), "an unknown key is told as a word that cannot be read"
    assert parse_labels('{"happy": 0.9, "happy": 0.1}') != ("happy",), "a key twice is told, too"


@pytest.mark.parametrize(
    "values",
    [
        [[value] for value in VALUES],
        [{"sentiment": value} for value in VALUES],
        [{"label": "negative" if value < 0 else "positive", "score": 0.9} for value in VALUES],
        [{"negative": 0.9, "positive": 0.1} if value < 0 else {"positive": 0.9, "negative": 0.1} for value in VALUES],
    ],
)
def test_sentiments_in_lists_of_one_and_objects_are_read(capsys: pytest.CaptureFixture[str], values: list[Any]) -> None:
    code, result, err = score(capsys, "mine", "sent_labels.csv", write("p.jsonl", "sentiment", values))
    assert (code, result["score"]) == (0, 100.0), err


@pytest.mark.parametrize("value", [False, {"clip": "a"}, [0.1, 0.2], None])
def test_a_sentiment_that_is_none_is_refused_with_the_remedy(capsys: pytest.CaptureFixture[str], value: Any) -> None:
    code, _, err = score(capsys, "mine", "sent_labels.csv", write("p.jsonl", "sentiment", [value] * 6))
    assert code == 2
    assert "write positive, negative, neutral or a number below, at or above 0. Found" in err


@pytest.mark.parametrize(
    "answer",
    [
        {"role": "assistant", "content": "The person is {}."},
        {"choices": [{"message": {"role": "assistant", "content": "{}"}}]},
        [{"role": "user", "content": "calm?"}, {"role": "assistant", "content": "{}"}],
        {"candidates": [{"content": {"role": "model", "parts": [{"text": "{}"}]}}]},
        [{"generated_text": "{}"}],
        {"generated_text": [{"role": "user", "content": "calm?"}, {"role": "assistant", "content": "{}"}]},
        {"status_code": 200, "body": {"choices": [{"message": {"content": "{}"}}]}},
        {"emotion": "{}", "reason": "calm voice"},
    ],
)
@pytest.mark.parametrize("as_text", [True, False])
def test_what_a_chat_server_sent_is_read(capsys: pytest.CaptureFixture[str], answer: Any, as_text: bool) -> None:
    texts = [json.dumps(answer).replace("{}", word) for word in WORDS]
    values = texts if as_text else [json.loads(text) for text in texts]
    assert mine(capsys, "response", values) == 100.0


def test_the_lines_of_a_batch_are_read_and_their_failures_told(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    lines: list[dict[str, Any]] = [
        {"custom_id": name, "response": {"body": {"choices": [{"message": {"content": word}}]}}}
        for name, word in zip(NAMES, WORDS, strict=True)
    ]
    lines[0]["response"] = {"status_code": 500, "body": {"error": {"message": "sorry, sad"}}}
    Path("batch.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    with caplog.at_level(logging.WARNING):
        code, result, err = score(capsys, "mine", "labels.csv", "batch.jsonl")
    assert (code, result["refused"], result["without_a_label"]) == (0, 1, 1), err
    assert "1 of 6 responses are the message of a call that failed, such as" in caplog.text


def test_a_key_twice_in_a_row_stops_a_score(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        f'{{"name": "{name}", "labels": "calm", "labels": "{word}"}}' for name, word in zip(NAMES, WORDS, strict=True)
    ]
    Path("p.jsonl").write_text("\n".join(rows), "utf-8")
    code, _, err = score(capsys, "mine", "labels.csv", "p.jsonl")
    assert code == 2
    assert "p.jsonl, line 1 has the key 'labels' twice in one object. Keep one of the two." in err


@pytest.mark.parametrize("name", ["\ufefflabels", "ｌａｂｅｌｓ", "la\u200bbels", "labels\u00ad"])
def test_odd_characters_in_names_of_columns_and_clips_do_not_matter(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    for file in ("p.jsonl", "p.csv"):
        odd = {f"{clip[:3]}\u200b{clip[3:]}": word for clip, word in zip(NAMES, WORDS, strict=True)}
        if file.endswith("csv"):
            text = f"name,{name}\n" + "".join(f"{clip},{word}\n" for clip, word in odd.items())
        else:
            text = "".join(json.dumps({"name": clip, name: word}) + "\n" for clip, word in odd.items())
        Path(file).write_text(text, "utf-8")
        for more in ((), ("--column", f"labels={name}")):
            code, result, err = score(capsys, "mine", "labels.csv", file, *more)
            assert (code, result["score"]) == (0, 100.0), err


def test_columns_that_only_look_alike_are_refused() -> None:
    Path("p.jsonl").write_text('{"name": "a", "labels": "happy", "la\\u200bbels": "sad"}\n', "utf-8")
    with pytest.raises(DataError, match="two columns whose names look alike"):
        read_row_file(Path("p.jsonl"))


@pytest.mark.parametrize("metric", ["openset", "val"])
def test_truths_that_are_all_neutral_say_why_there_is_no_score(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, metric: str
) -> None:
    truths = write("neutral.csv", metric, ["neutral"] * 6)
    with caplog.at_level(logging.WARNING):
        code, result, _ = score(capsys, "mine", truths, write("p.jsonl", "response", ["The person is sad."] * 6))
    assert (code, result["score"]) == (0, None)
    said = (
        "true words of its 6 clips ('neutral') is on an emotion wheel"
        if metric == "openset"
        else "of all its 6 clips is 0"
    )
    assert "mine has no score: " in caplog.text
    assert said in caplog.text


def test_other_files_are_called_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    Path("wide.csv").write_bytes("name,labels\nclip_000,happy\n".encode("utf-32"))
    code, _, err = score(capsys, "mine", "labels.csv", "wide.csv")
    assert (code, "Save wide.csv as UTF-8: it is UTF-32, which is not read." in err) == (2, True)
    Path("list.jsonl").write_text('[{"name": "clip_000", "labels": "happy"}]', "utf-8")
    code, _, err = score(capsys, "mine", "labels.csv", "list.jsonl")
    assert (code, "list.jsonl, line 1 holds a list. Name the file .json if this is all of it" in err) == (2, True)
