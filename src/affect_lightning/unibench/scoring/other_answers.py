"""Columns of a file that could hold the model's answers, beside a column that could hold the truth.

Who adds answers to a label file names them `preds`, `qwen_out`, `pred_emotion` or anything else, and the truth keeps the name
that we understand. So a name that tells of answers counts, and so do cells that say emotions or sentiments. Neighbour:
`prediction_columns.py` chooses the columns and asks here before it takes one that may be the truth.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from affect_lightning.corpora.clip_names import MEDIA_SUFFIXES
from affect_lightning.corpora.trade_tables import IEMOCAP_CODES
from affect_lightning.label_strings import given_words
from affect_lightning.metrics.builtin import builtin_valences
from affect_lightning.sentiment_strings import names_polarity, read_sentiment, sentiment_number

# Columns that are chosen by their names and hold the truth in files of many projects; `response` or `pred` never do.
MAY_BE_TRUTH = frozenset(
    (
        "labels", "openset", "emotions", "discrete", "sentiment", "sentiments", "answer", "output", "description", "reason",
        "completion",
    )
)  # fmt: skip
_EXPLAINING = {"reason", "description"}
_TOLD = {
    "pred", "preds", "predict", "predicts", "predicted", "prediction", "predictions", "response", "responses", "resp",
    "resps", "generated", "generation", "generations", "hypothesis", "hypotheses", "hyp", "output", "outputs", "out",
    "answer", "answers", "completion", "completions", "reply", "replies", "llm", "vlm", "yhat", "hat", "inferred", "guess",
}  # fmt: skip
_MODEL = {"model", "models"}  # `model_says` is an answer, `base_model` is not: the cells decide
_TRUTH_LIKE = re.compile(r"true|truth|gold|target|^gt|gt$|reference|correct(?!ed)|annotat|^given_", re.IGNORECASE)
_LABEL_LIKE = re.compile(r"emotion|emo$|label|class|mood|feeling|sentiment|valence|polarity", re.IGNORECASE)
_INPUT = {
    "question", "questions", "prompt", "prompts", "instruction", "instructions", "query", "input", "inputs", "system",
    "messages", "options", "choices", "candidates", "solution", "task", "target", "doc", "arguments",
}  # fmt: skip
_ASIDE = {
    "id", "ids", "index", "idx", "no", "nr", "sr", "number", "path", "paths", "file", "filename", "files", "folder", "url",
    "video", "videos", "audio", "audios", "image", "images", "clip", "frame", "frames", "name", "names", "time", "start",
    "end", "starttime", "endtime", "duration", "seconds", "date", "timestamp", "split", "mode", "fold", "speaker", "gender",
    "age", "language", "lang", "version", "tokens", "length", "confidence", "conf", "prob", "probs", "probability", "logits",
    "logprob", "logprobs", "latency", "cost", "seed", "temperature", "corpus", "dataset", "season", "episode", "dialogue",
    "utterance", "type", "status", "format", "key", "source", "count", "model", "actor", "intensity", "arousal",
}  # fmt: skip
_OF_MODELS = {"video", "audio", "image", "model"}  # `qwen_audio` and `base_model`; paths are left out by their endings
_SAID = {  # what people say in a clip, and other texts about it, which seldom name an emotion
    "text", "texts", "transcript", "transcripts", "transcription", "subtitle", "subtitles", "sentence", "sentences",
    "caption", "captions", "clue", "clues", "cue", "cues", "reason", "reasoning", "english", "chinese", "asr", "comment",
    "notes", "utterance", "description",
}  # fmt: skip
_SHARE, _SHARE_OF_SAID = 0.5, 0.8  # of the cells that must say an emotion; our choices
_ROWS = 500  # looked at; our choice
_WORDS = 3  # up to which a cell is a label, and no sentence; our choice
_CHARACTERS = 12  # the same in Chinese: three words and what joins them
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_CHINESE_LABEL = re.compile(r"[\u4e00-\u9fff]{1,4}")
# Chinese words of feeling in a sentence; which one it is, the extractors know
_CHINESE_FEELING = re.compile(
    "情绪|心情|感到|高兴|开心|快乐|喜悦|兴奋|激动|惊喜|难过|悲伤|伤心|痛苦|失望|沮丧|生气|愤怒|恼火|烦躁|不满|害怕|恐惧|担心|担忧|焦虑"
    "|紧张|惊讶|吃惊|震惊|厌恶|反感|平静|冷静|无奈|疑惑|困惑|自豪|羞愧|尴尬|中性|高興|開心|快樂|興奮|激動|驚喜|難過|悲傷|傷心|憤怒"
    "|緊張|驚訝|厭惡|擔心|平靜|無奈"
)
_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[\u4e00-\u9fff]+")
_FRACTION = re.compile(r"[-+]?\d*[.]\d+(?:e-?\d+)?", re.IGNORECASE)


def other_answers(
    kind: str, chosen: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, any_text: bool = False
) -> dict[str, str]:
    """The columns that could be the answers if the chosen one is the truth, and the kind that each would be.

    Args:
        kind: Of the chosen column: `response`, `labels` or `sentiment`.
        chosen: Its name.
        columns: The others, without those that are chosen as well.
        rows: Of the file; the first ones are looked at.
        any_text: Whether any text that is not the same for all clips could be an answer.

    Returns:
        Kind by column; empty where the chosen column is never a truth.
    """
    if chosen.strip().lower() not in MAY_BE_TRUTH:
        return {}
    explains = chosen.strip().lower() in _EXPLAINING  # then a column of labels may be the answer
    open_columns = [column for column in columns if not _is_aside(column, "" if explains else kind)]
    if not open_columns:
        return {}
    looked_at = list(itertools.islice(rows, _ROWS))
    found = {}
    for column in open_columns:
        cells = [text for text in (_text(row.get(column)) for row in looked_at) if text]
        is_text = any_text and len(set(cells)) > 1 and any(map(str.isalpha, "".join(cells)))
        if cells and (is_text or _is_told(column, kind, cells) or _says_answers(column, kind, cells)):
            found[column] = _kind_of(kind, cells)
    return found


def _parts(column: str) -> list[str]:
    """The words in a name of a column.

    >>> _parts("Pred_Emotion2"), _parts("finalAnswer")
    (['pred', 'emotion'], ['final', 'answer'])
    """
    return [part.lower() for part in _PARTS.findall(column)]


def _is_aside(column: str, kind: str) -> bool:
    """Whether the name tells of anything but an answer."""
    parts = _parts(column)
    if not parts:
        return False
    if _TRUTH_LIKE.search(column.strip()) or {*parts} <= _ASIDE or parts[-1] in (_ASIDE | _INPUT) - _OF_MODELS:
        return True
    if _names_answer(parts):
        return False
    return bool({*parts} & _INPUT) or (kind == "response" and bool(_LABEL_LIKE.search(column)))


def _names_answer(parts: Sequence[str]) -> bool:
    return any(part in _TOLD or part.startswith("pred") for part in parts)


def _is_told(column: str, kind: str, cells: Sequence[str]) -> bool:
    """Whether the name says that these are answers; scores and marks beside labels are none."""
    if kind != "sentiment" and all(map(_FRACTION.fullmatch, cells)):
        return False
    parts = _parts(column)
    return _names_answer(parts) or (bool({*parts} & _MODEL) and len(set(cells)) > 1)


def _says_answers(column: str, kind: str, cells: Sequence[str]) -> bool:
    """Whether most of the cells say an emotion, or a sentiment where sentiments are chosen."""
    says: list[Callable[[str], bool]] = [_says_emotion]
    if kind == "sentiment":
        if _are_values(cells):
            return True
        says = [_is_sentiment] if _LABEL_LIKE.search(column) else [_says_emotion, _is_sentiment]
    share = _SHARE_OF_SAID if {*_parts(column)} & _SAID else _SHARE
    return sum(any(one(cell) for one in says) for cell in cells) > share * len(cells)


def _text(cell: Any) -> str:
    """A cell as text; nothing for what is empty or no answer."""
    if cell is None or isinstance(cell, bool) or str(cell).strip().lower() in {"true", "false", "nan", "none", "null"}:
        return ""
    text = cell if isinstance(cell, str) else json.dumps(cell, ensure_ascii=False, default=str)
    return "" if text.lower().rstrip().endswith(MEDIA_SUFFIXES) else text.strip()


def _says_emotion(cell: str) -> bool:
    known = builtin_valences()
    words = re.findall(r"[a-z]+", cell.lower())
    if any(word in known and not names_polarity(word) for word in words):
        return True
    if not cell.isascii() and (_CHINESE_LABEL.fullmatch(cell) or _CHINESE_FEELING.search(cell)):
        return True
    return len(words) == 1 and words[0] in IEMOCAP_CODES


def _is_sentiment(cell: str) -> bool:
    return sentiment_number(cell) is None and read_sentiment(cell) is not None


def _are_values(cells: Sequence[str]) -> bool:
    """Whether the cells are numbers on both sides of 0, as sentiments are."""
    numbers = [sentiment_number(cell) for cell in cells]
    values = [number for number in numbers if number is not None]
    return len(values) == len(cells) and min(values) < 0 < max(values)


def _is_short(cell: str) -> bool:
    """Whether a cell is a label or a few; Chinese puts no blanks between words."""
    return cell.startswith("[") or (len(cell.split()) <= _WORDS and len(_CHINESE.findall(cell)) <= _CHARACTERS)


def _kind_of(kind: str, cells: Sequence[str]) -> str:
    """What the answers would be, for the remedy: labels or sentiments if they are short, else responses."""
    short = sum(map(_is_short, cells)) > _SHARE * len(cells)
    if kind == "sentiment" and short and sum(read_sentiment(cell) is not None for cell in cells) > _SHARE * len(cells):
        return "sentiment"
    listed = short and all(given_words(cell) for cell in cells)
    return "labels" if listed and kind == "labels" else "response"
