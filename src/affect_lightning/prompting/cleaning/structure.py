"""Answers that come as JSON, as a table, in Markdown or in LaTeX's box: what they tell, in plain words.

Keys, numbers and heads of tables are no labels. What is found is written as `[happy, calm]`, which every label extractor
reads as a list; a longer value stays prose. Neighbour: `responses.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from affect_lightning.label_strings import RANKED, best_words, ends_with_number, scored_words
from affect_lightning.prompting.cleaning.chosen_parts import bare_label, chosen_option, of_the_speaker
from affect_lightning.prompting.cleaning.keyed_lines import (
    DEGREE,
    MEASURE,
    PLAIN_DEGREE,
    SENTIMENT,
    TOLD,
    is_measure,
    marked_words,
    number_of,
    told_by_keys,
    worth_of,
)
from affect_lightning.prompting.cleaning.loose_objects import decoded_values, loose_values, series_value, yaml_value
from affect_lightning.prompting.cleaning.nested_scores import with_plain_scores
from affect_lightning.prompting.cleaning.set_aside import ABSENT_NAME, PRESENT_NAME
from affect_lightning.prompting.cleaning.tables import cells_that_tell, tells_emotions
from affect_lightning.prompting.cleaning.weights_in_words import weights_in_words, words_of_rows
from affect_lightning.sentiment_strings import names_polarity, side_of_a_form

_LONGEST = 100_000  # characters that are tried as JSON; a longer text is prose. Our choice
_DEEPEST = 8  # levels of objects that are followed; our choice
_PROSE_WORDS = 3  # a value without a key of emotions is read from this length on; our choice
_LABEL_WORDS = 4  # a longer value is prose; our choice
_WRAPPED = re.compile(
    r"^(?:results?|responses?|output|outputs|data|content|message|text|analysis|person|people|persons|final|arguments|parameters|args)$",
    re.IGNORECASE,
)
_NAMED = re.compile(r"^(?:name|names|value|type|word|text|名称|名字|类型)$", re.IGNORECASE)  # below a key of emotions
_CONCLUDES = re.compile(r"^(?:conclusion|verdict|decision|结论|結論)$", re.IGNORECASE)
_NOT = re.compile(r"^(?:not|non)[_ -]", re.IGNORECASE)
_OTHERS = re.compile(r"^(?:alternative|opposite|other|rejected|considered|unlikely)[\s_-]", re.IGNORECASE)
_LAST_CONFIDENCE = re.compile(  # "The person is sad. My confidence is about 80%."
    r"(?<=[.!?\n])\s*(?:my |the )?(?:confidence|certainty)\b[^.!?\n]{0,30}\d+\s*%?\.?\s*$", re.IGNORECASE
)
_SCALED = re.compile(r"[+-]?\d[\d.,]*\s*[(（\[]")  # 2 (1-5): a number with its scale
_PAIRS = re.compile(r"\s*\[\s*[\[(]\s*[\"']")
_FENCE = re.compile(r"```[ \t]*[\w+-]*[ \t]*\n?(.*?)(?:```|$)", re.DOTALL)
_CUT_OFF = re.compile(r"[\"'](?P<key>[^\"':]{1,40})[\"']\s*:\s*(?:\[(?P<list>[^\]]*)|[\"'](?P<text>[^\"']*)[\"'])")
_STARS = re.compile("([★⭐]*)[☆✩]*(?<=[★⭐☆✩])\ufe0f?")  # 4 for ★★★★☆
_BOXED = re.compile(r"\\boxed\s*\{\s*(?:\\text\w*\s*\{)?([^{}]*)\}?")
_LONGEST_DEGREE = 200  # characters of an answer that is nothing but measures; our choice
_MEASURE_AND_NUMBER = re.compile(
    r"[\W_]*(?P<key>[^\W\d_][\w ]{0,40}?)[*\s]*(?:[:：=]|\bis\b)[*\s]*(?P<number>[+-]?\d*[.,]?\d+)\s*[%.。分]?\s*"
)
_RATED = re.compile(
    r"(?P<key>[^\W\d_][\w ]{0,40}?)\s*[:：]\s*\d{1,3}(?:[.,]\d+)?\s*(?:/|out of)\s*\d{1,3}"
)  # rating: 9/10
_SEPARATOR_ROW = re.compile(r"^[\s|:+=-]*-[\s|:+=-]*$")
_NUMBERED = re.compile(r"[:=：(（|\s,\u4e00-\u9fff-]\**[\d.]|^\d+(?:\.\d+)?\s*[%％]")
_EMPHASIS = re.compile(r"\*{1,3}(?=\S)(.+?)(?<=\S)\*{1,3}|(?<!\w)__(?=\S)(.+?)(?<=\S)__(?!\w)|`+([^`]*)`+")
_SENTENCE = re.compile(
    r"\b(?:is|are|was|looks?|seems?|feels|appears?|sounds?|shows?|she|he|they|the person|not|but)\b|[。，]",
    re.IGNORECASE,
)
_HEADING = re.compile(r"^[ \t]*#{1,6}[ \t]+", re.MULTILINE)
_TAG = re.compile(r"</?[A-Za-z][\w-]{0,30}\s*/?>")


def told_by_structure(text: str) -> str | None:
    """What an answer in JSON, YAML, a table, a box, keyed lines or a list with numbers tells; None if it is none."""
    for told in (_of_side, _of_json, _of_object_like, _of_box, _of_table, _of_degree, _of_lines, _of_scores):
        words = told(text)
        if words is not None:
            return words
    return None


def _of_side(text: str) -> str | None:
    """The sentiment of `positive: 0.1` or `positive? no`, which is not the one that is named."""
    side = side_of_a_form(text) if len(text) <= _LONGEST_DEGREE else None
    return None if side is None else f"[{side}]"


def without_markdown(text: str) -> str:
    """The text without emphasis, headings, code marks and tags."""
    if not any(mark in text for mark in "*_`#<"):
        return text
    plain = _FENCE.sub(r"\1", text) if "```" in text else text
    plain = _HEADING.sub("", plain)
    plain = _EMPHASIS.sub(lambda match: next(part for part in match.groups() if part is not None), plain)
    return _TAG.sub(" ", plain)


def _of_json(text: str) -> str | None:
    if "{" not in text and "```" not in text and not _PAIRS.match(text):
        return None
    fenced = [body.strip() for body in _FENCE.findall(text)]
    escaped = [text.replace('\\"', '"').strip()] if '\\"' in text else []  # JSON in a text of JSON
    for candidate in (*fenced, *escaped, text.strip()):
        if candidate and len(candidate) <= _LONGEST:
            told = _of_candidate(candidate)
            if told is not None:
                return told
    return None


def _of_object_like(text: str) -> str | None:
    """Of JSON5, of Python's forms of objects, of a series of pandas, and of indented keys."""
    if len(text) > _LONGEST:
        return None
    series = series_value(text)
    if series is not None:
        return _written(_told_of([series]))
    block = yaml_value(text.strip().strip("-").strip("\n"))
    values = [block] if block is not None else loose_values(text) if "(" in text or "{" in text else []
    is_call = (
        "(" in text and len(values) == 1 and isinstance(values[0], list) and not text.lstrip().startswith(("[", "("))
    )
    if not any(map(_is_structure, values)) and not is_call:
        return None
    found = _told_of(values)
    return _written(found) if found else None


def _told_of(values: list[Any]) -> list[str]:
    """The words of values that stand one after another, each once."""
    scored = _scores_of_objects(values) if len(values) > 1 else None
    if scored is not None:
        return scored
    plain = map(with_plain_scores, values)
    return list(
        dict.fromkeys(told for value in plain for told in _values(value, 0, len(values) == 1 and _is_bare(value)))
    )


def _is_bare(value: Any) -> bool:
    """Whether an object has nothing but a word under a plain key, and its score: `Emotion(name='sad', score=0.8)`."""
    return (
        isinstance(value, Mapping)
        and any(_NAMED.match(str(key)) for key in value)
        and all(_NAMED.match(str(key)) or is_measure(str(key)) for key in value)
    )


def _of_candidate(text: str) -> str | None:
    """Of the first object or list of objects in the text, whole or cut off."""
    start = next((index for index, character in enumerate(text) if character in "{["), None)
    if start is None or ("{" not in text and start > 0):
        return None
    body = text[start:]
    values = decoded_values(body)
    if not values and "{" in text:
        values = decoded_values(text[text.index("{") :])
    if not values or not any(map(_told_of, values)):
        values = loose_values(body if "{" in body else "") or values
    if values:
        found = _told_of(values)
        return _written(found) if found or _is_structure(values[0]) else None
    cut = [match for match in _CUT_OFF.finditer(body) if TOLD.match(match["key"].strip())]
    if not cut:
        return None
    parts = [
        part
        for match in cut
        for part in ((match["list"] or "").split(",") if match["list"] is not None else [match["text"]])
    ]
    return _written([part.strip(" \t\n\"'") for part in parts])


def _is_structure(value: Any) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list) and any(isinstance(item, Mapping) for item in value))


def _values(value: Any, depth: int, named: bool = False) -> Iterator[str]:
    """The texts of a value that name emotions; of a mapping, those under the keys that say so.

    Below a key that names emotions (`named`), a key such as `name` or `value` has the word.
    """
    if depth > _DEEPEST:
        return
    if isinstance(value, str):
        inner = decoded_values(value) if value.lstrip().startswith("{") else []
        yield from (told for one in inner for told in _values(one, depth + 1, named)) if inner else (value,)
    elif isinstance(value, list | tuple):
        scored = _scores_of_objects(value)
        if scored is not None:
            yield from scored
        elif len(value) > 1 and all(isinstance(item, Mapping) and len(item) == 1 for item in value):
            yield from _values({key: one for item in value for key, one in item.items()}, depth, named)
        else:
            for item in value:
                yield from _values(item, depth + 1, named)
    elif isinstance(value, Mapping):
        yield from _of_mapping(value, depth, named)


def _of_mapping(value: Mapping[Any, Any], depth: int, named: bool) -> Iterator[str]:
    chosen = chosen_option(value)
    if chosen is not None:
        yield chosen
        return
    value = of_the_speaker(value)
    keys = [key for key in value if isinstance(key, str) and not _is_absent(key, value[key])]
    plain = [key for key in keys if PLAIN_DEGREE.match(key.strip()) and _plain_number(value[key]) is not None]
    told = [key for key in keys if TOLD.match(key.strip()) and not MEASURE.search(key) and key not in plain]
    told = [key for key in told if not _OTHERS.match(key.strip())] or told
    degrees = [key for key in keys if DEGREE.match(key.strip()) and number_of(value[key]) is not None]
    told = told or [key for key in keys if SENTIMENT.match(key.strip()) and key not in degrees]
    told = told or [key for key in keys if RANKED.match(key.strip()) and number_of(value[key]) is None]
    scored = _scores_of_objects([value[key] for key in told]) if told and RANKED.match(told[0].strip()) else None
    if scored is not None:
        yield from scored
        return
    told = told or [key for key in keys if PRESENT_NAME.match(key.strip()) and isinstance(value[key], list)]
    told = told or [key for key in keys if named and _NAMED.match(key.strip()) and isinstance(value[key], str)][:1]
    told = told or [key for key in keys if _CONCLUDES.match(key.strip()) and isinstance(value[key], str)]
    told = told or [key for key in keys if _WRAPPED.match(key.strip())]
    if told:
        for key in told:
            yield from _values(value[key], depth + 1, named or bool(TOLD.match(key.strip())))
        return
    compound = [key for key in keys if key.strip().lower() in ("compound", "compound_score")]
    if compound and number_of(value[compound[0]]) is not None:
        yield f"compound: {value[compound[0]]}"  # of VADER; `sentiment_strings.py` reads it
        return
    side = _side_of(value, keys)
    if side is not None:
        yield side
        return
    degrees = degrees or plain
    words = _best(
        [
            (key, number)
            for key in keys
            if key not in (*degrees, *plain) and (number := number_of(value[key])) is not None
        ]
    )
    if words is not None:
        yield from words
        return
    if degrees:
        yield f"{degrees[0]}: {value[degrees[0]]}{_scale_of(value)}"  # for `sentiment_strings.py`
        return
    for key in keys:
        if isinstance(value[key], Mapping | list) or len(str(value[key]).split()) >= _PROSE_WORDS:
            yield from _values(value[key], depth + 1)


def _side_of(value: Mapping[Any, Any], keys: list[str]) -> str | None:
    """The sentiment of the only one that has a number or yes or no: `{"positive": 0.1}`; None for other objects."""
    named = [key for key in keys if names_polarity(key.replace("_", " "))]
    number = number_of(value[named[0]]) if len(named) == 1 else None
    return None if number is None else side_of_a_form(f"{named[0].replace('_', ' ')}: {number}")


def _scale_of(value: Mapping[Any, Any]) -> str:
    """The scale that an object states beside a number, in the words that `sentiment_strings.py` reads."""
    scales = [str(item) for key, item in value.items() if str(key).strip().lower() in ("scale", "range")]
    return f" (scale {scales[0]})" if len(scales) == 1 and any(map(str.isdigit, scales[0])) else ""


def _plain_number(value: Any) -> float | None:
    """A number, also as a text, which yes and no are not."""
    return (
        None
        if isinstance(value, bool) or (isinstance(value, str) and worth_of(value) is not None)
        else number_of(value)
    )


def _is_absent(key: str, value: Any) -> bool:
    return isinstance(value, list | str) and bool(ABSENT_NAME.match(key.strip()) or _NOT.match(key.strip()))


def _best(pairs: list[tuple[str, float]]) -> list[str] | None:
    """The words with the highest scores, which may be none of the words; None where nothing has a score."""
    scored = [(word, number) for word, number in pairs if not MEASURE.search(word)]
    return best_words(scored) if scored else None


def _scores_of_objects(items: list[Any] | tuple[Any, ...]) -> list[str] | None:
    """The best labels of a list such as `[{"label": "sad", "score": 0.8}, ...]` or `[["sad", 0.8]]`; None if it is none."""
    pairs: list[tuple[str, float]] = []
    for item in items:
        if isinstance(item, list | tuple) and len(item) == 2 and isinstance(item[0], str):
            number = None if isinstance(item[1], str) else number_of(item[1])
            if number is None:
                return None
            pairs.append((item[0], number))
            continue
        if not isinstance(item, Mapping):
            return None
        words = [v for k, v in item.items() if isinstance(v, str) and TOLD.match(str(k).strip())]
        words = words or [v for k, v in item.items() if isinstance(v, str) and _NAMED.match(str(k).strip())]
        numbers = [n for k, v in item.items() if is_measure(str(k)) and (n := number_of(v)) is not None]
        if len(words) != 1 or len(numbers) != 1:
            return None
        pairs.append((words[0], numbers[0]))
    return best_words(pairs) if pairs else None


def _written(values: list[str]) -> str:
    """`[happy, calm]` for short values; prose as it is."""
    texts = [value.strip() for value in values if value.strip()]
    scored = scored_words(", ".join(texts)) if len(texts) > 1 and all(map(ends_with_number, texts)) else None
    if scored:
        return f"[{', '.join(scored)}]"
    if len(texts) == 1 and _SCALED.match(texts[0]):
        return texts[0]
    if any((len(text.split()) > _LABEL_WORDS and "," not in text) or _SENTENCE.search(text) for text in texts):
        return "\n".join(texts)
    return f"[{', '.join(map(bare_label, texts))}]" if texts else ""


def _of_box(text: str) -> str | None:
    if "\\boxed" not in text:
        return None
    boxes = _BOXED.findall(text)
    return _written([boxes[-1]]) if boxes else None


def _of_table(text: str) -> str | None:
    """The cells under a heading that names emotions, or beside such a heading."""
    if "|" not in text:
        return None
    lines = [line.strip() for line in text.splitlines() if "|" in line]
    if any(line.startswith("|") for line in lines):  # else a table without outer bars
        lines = [line for line in lines if line.startswith("|")]
    if len(lines) < 2 or not any(_SEPARATOR_ROW.match(line) for line in lines):
        return None
    rows = [
        [without_markdown(cell).strip() for cell in line.strip("|").split("|")]
        for line in lines
        if not _SEPARATOR_ROW.match(line)
    ]
    if not rows:
        return None
    beside = "\n".join(line for line in text.splitlines() if line.strip() not in lines).strip()
    if beside and not tells_emotions(rows):  # a table of cues beside the answer
        plain = without_markdown(beside)
        told = told_by_structure(plain)
        return plain if told is None else told
    return _written(cells_that_tell(rows))


def _of_scores(text: str) -> str | None:
    """`happy: 0.1, sad: 0.8`, perhaps after words that lead to it."""
    text = _LAST_CONFIDENCE.sub("", text)
    rows = words_of_rows(text)
    if rows is not None:
        return _written(rows)
    weights = weights_in_words(text.strip()) or text
    stripped = _STARS.sub(lambda stars: str(len(stars[1])), weights.strip().rstrip("."))
    if len(text) > _LONGEST or not ends_with_number(stripped) or not _NUMBERED.search(stripped):
        return None
    head, _, rest = stripped.partition("\n")
    below = rest if head.rstrip("* ").endswith((":", "：")) else ""
    for candidate in (stripped, _after_lead(stripped), below):
        words = scored_words(candidate) if candidate else None
        if words is not None:
            return _written(list(words))
    return None


def _of_degree(text: str) -> str | None:
    """`Sentiment score: -0.6`, perhaps with other measures; `sentiment_strings.py` reads it where a sentiment is asked for."""
    if len(text) > _LONGEST_DEGREE or not any(map(str.isdigit, text)):
        return None
    rated = _RATED.fullmatch(text.strip())
    if rated and (PLAIN_DEGREE.match(rated["key"].strip()) or DEGREE.match(rated["key"].strip())):
        return f"[{rated[0]}]"
    pairs = [_MEASURE_AND_NUMBER.fullmatch(part) for part in re.split(r"[,;，；|\n]+(?=\s*[^\W\d])", text)]
    known = [pair for pair in pairs if pair and (DEGREE.match(pair["key"]) or MEASURE.search(pair["key"]))]
    degrees = [pair for pair in known if DEGREE.match(pair["key"])]
    if len(pairs) == 1 and pairs[0] and PLAIN_DEGREE.match(pairs[0]["key"].strip()):
        return f"[{pairs[0]['key'].strip()}: {pairs[0]['number']}]"
    return f"[{degrees[0]['key']}: {degrees[0]['number']}]" if degrees and len(known) == len(pairs) else None


def _after_lead(text: str) -> str:
    lead = re.match(r"[^:：\n\d]{0,80}(?:\b(?:is|are|were)\b|[:：]\s*\n|[:：](?=\s*[^\d\s]))\s*:?\s*", text)
    return text[lead.end() :] if lead else ""


def _of_lines(text: str) -> str | None:
    """`Reason: ...` and `Emotion: happy`, or `happy: yes, calm: no`."""
    if len(text) > _LONGEST:
        return None
    told = told_by_keys(text)
    if told is None:
        told = marked_words(text)
    return None if told is None else _written(told)
