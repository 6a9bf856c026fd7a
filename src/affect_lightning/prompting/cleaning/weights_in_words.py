"""Lists in which each word has a number, in forms that are no list at first sight, and rows below a head.

`P(sad)=0.8, P(calm)=0.1`, `sad -> 0.8`, `(sad, 0.8), (calm, 0.1)`, "an 80% chance that he is sad" and 悲伤概率为80% become
`sad: 0.8, ...`, which `label_strings.scored_words` reads. Neighbour: `structure.py`.
"""

from __future__ import annotations

import csv
import re

from affect_lightning.label_strings import NAMES_EMOTIONS
from affect_lightning.prompting.cleaning.keyed_lines import MEASURE, is_beside

_LONGEST = 600  # characters; a longer text is a description. Our choice
_WORD = r"(?P<word>[^\W\d_][\w -]{0,30}?)"
_NUMBER = r"(?P<number>[+-]?\d*[.,]?\d+\s*[%％]?)"
_CHANCE = r"(?:probability|likelihood|chance|odds|confidence|score)"
_LEVEL = r"(?:intensity|level|rating|strength|conf\.?|prob\.?)"
_OF_MOST = r"(?:\s*/\s*\d+)?"
_ENDS = r"(?=\s*(?:[.;,，；。\n]|\band\b|$))"
_LEADING = re.compile(
    r"^\W*(?:on a scale (?:of|from) \d+\s*(?:-|–|to)\s*\d+\s*[:,]?|(?:i['’]d|i would) (?:say|estimate)(?: (?:about|it is))?"
    r"|the (?:model|person|speaker) (?:predicts|shows|feels)"
    r"|emotion(?:al)? (?:intensit\w+|levels?|ratings?|scores?|probabilit\w+)\s*[—–:-]+)\s*",
    re.IGNORECASE,
)
_SOMEBODY = "(?:he|she|it|they|the (?:person|speaker|man|woman))"
_FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"\bp(?:rob)?\s*\(\s*(?:emotion\s*=\s*)?{_WORD}\s*(?:\|[^()]*)?\)\s*(?:=|≈|~|:|is)\s*{_NUMBER}",
        rf"{_WORD}\s*(?:->|=>|→|⇒|➜)\s*{_NUMBER}",
        rf"[(\[]\s*['\"]?{_WORD}['\"]?\s*[,:：]\s*{_NUMBER}\s*[)\]]",
        rf"(?:the )?{_CHANCE} (?:of|for|that {_SOMEBODY} (?:is|are|feels?)) (?:being )?"
        rf"{_WORD}\s*(?:is|=|:|of)\s*(?:about |around )?{_NUMBER}",
        rf"(?:(?:there is |there's )?an? )?{_NUMBER} {_CHANCE} (?:of (?:being )?|for |that {_SOMEBODY} (?:is|are|feels?) )"
        rf"{_WORD}(?=\W*(?:$|[,;.\n]|\band\b))",
        rf"{_WORD}的?(?:概率|可能性|置信度|得分|分数)(?:约?为|是|约|：|:)?\s*{_NUMBER}",
        rf"(?:^|(?<=[\n,;]))[ \t]*{_NUMBER}[ \t]*[: \t][ \t]*{_WORD}(?=[ \t]*(?:\n|$|[,;]))",
        rf"(?:^|(?<=\n))\d+[ \t]*[,\t][ \t]*{_WORD}[ \t]*[,\t][ \t]*{_NUMBER}(?=\s*(?:\n|$))",
        rf"(?:^|(?<=\n)){_WORD}[ \t]*[;\t][ \t]*{_NUMBER}(?=\s*(?:\n|$))",
        rf"(?:\band )?{_WORD}\s*[(\[]\s*(?:{_CHANCE}|{_LEVEL})\s*[:=]?\s*(?:of )?{_NUMBER}{_OF_MOST}\s*[)\]]",
        rf"(?:\band )?{_WORD}\s*[(\[]\s*{_NUMBER}\s*(?:confident|certain|sure|{_CHANCE}|likely)\s*[)\]]",
        rf"(?:\band )?{_WORD}\**\s*[:：]\s*{_NUMBER} (?:{_CHANCE}|{_LEVEL}|certainty)",
        rf"(?:\band )?{_WORD},? (?:with|at) (?:an? )?(?:{_CHANCE}|{_LEVEL}) (?:of )?{_NUMBER}",
        rf"(?:\band )?{_WORD},? (?:with|at) (?:an? )?{_NUMBER} (?:{_CHANCE}|{_LEVEL}|certainty)",
        rf"(?:\band )?{_WORD}\s*[:：]\s*{_NUMBER}{_OF_MOST}{_ENDS}",
        rf"(?:\band )?{_WORD}\s+{_NUMBER}\s*/\s*\d+{_ENDS}",
        rf"(?:\band )?(?P<number>\d+(?:\.\d+)?\s*[%％])\s*(?:of )?{_WORD}(?=\W*(?:$|[,;.\n]|\band\b))",
        rf"{_WORD}(?:指数|程度|强度)(?:为|是|：|:)?\s*{_NUMBER}(?:\s*/\s*\d+|分)?",
    )
)
_VOTES_LEAD = re.compile(
    r"^\W*(?:(?:the |all )?(?:votes?|vote counts?|counts?|tally|annotators?|annotations?|raters?)"
    r"|投票(?:结果|情况)?|票数|得票数?|计数)\s*[:：]\s*",
    re.IGNORECASE,
)
_VOTES_BETWEEN = re.compile(r"\s*(?:[,;，；、\n]|\band\b)\s*", re.IGNORECASE)
_VOTES = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"{_WORD}\s*(?:[:：=]\s*)?(?P<times>[x×])?(?<![\d.,])(?P<number>\d{{1,4}})\s*(?P<unit>votes?|票|人|次)?",
        rf"(?P<number>\d{{1,4}})\s*(?P<unit>votes?|people|annotators|raters|票|人|次)\s*(?:(?:for|said|says?|chose|投给|投|选|认为是?|是)\s*)?{_WORD}",
        rf"(?P<unit>votes?|raters|annotators) for {_WORD}\s*[:：=]\s*(?P<number>\d{{1,4}})",
    )
)
_TOP = re.compile(r"^\W*(?:the )?top[ -]?\d{1,2}\b[^:：\n\d]{0,40}[:：]\s*", re.IGNORECASE)
_EXPLAINED = re.compile(
    rf"[ \t]*(?:\d{{1,2}}[.)]|[-*•])[ \t]*\**{_WORD}\**[ \t]*[(（\[]\s*(?:(?:{_CHANCE}|置信度|概率)\s*[:：=]?\s*)?{_NUMBER}"
    r"\s*[)）\]]\**[ \t]*(?:[:：–—-]|$)[^\n]*$",
    re.IGNORECASE,
)
_NUMBERS = re.compile(r"\d+(?:[.,]\d+)?")
_CHARACTERS_OF_ONE = 90  # of a word with its number, at most; prose with a few numbers has more. Our choice
_BELOW_A_LEAD = re.compile(rf"(?:\band )?{_WORD}\s+{_NUMBER}{_ENDS}", re.IGNORECASE)  # elsewhere these may be ranks
_LEFT = re.compile(
    r"\b(?:and|the|is|it|so|while|with|a|an|there|log|probabilit(?:y|ies)|logprobs?)\b|[\W_]|和|而|以及|其中"
)
_LOGARITHMS = re.compile(
    r"\s*[(（](?:log[ -]?prob(?:abilitie)?s?|log[ -]?likelihoods?|对数概率)[)）]\s*$", re.IGNORECASE
)


def weights_in_words(text: str) -> str | None:
    """`sad: 0.8, calm: 0.1` for a text that is nothing but words with numbers in one of the forms; None for any other.

    >>> weights_in_words("P(sad)=0.8, P(calm)=0.1"), weights_in_words("There is an 80% chance that he is sad.")
    ('sad: 0.8, calm: 0.1', None)
    >>> weights_in_words("Votes: sad 4, calm 1"), weights_in_words("sad 4, calm 1")
    ('sad: 4, calm: 1', None)
    """
    if len(text) > _LONGEST or not _NUMBERS.search(text):
        return None
    plain = _LOGARITHMS.sub("", _TOP.sub("", text))
    bare, led = _LEADING.subn("", plain)
    explained = _of_explained_lines(plain)
    if explained is not None:
        return explained
    numbers = len(_NUMBERS.findall(text))
    if numbers < 2 or len(text) > numbers * _CHARACTERS_OF_ONE:
        return plain if plain != text else None
    votes = _of_votes(text)
    if votes is not None:
        return votes
    for form in (*_FORMS, *([_BELOW_A_LEAD] if led else [])):
        found = list(form.finditer(bare))
        if len(found) > 1 and not _LEFT.sub("", form.sub(" ", bare).lower()):
            return ", ".join(f"{one['word'].strip()}: {one['number'].replace(' ', '')}" for one in found)
    return plain if plain != text else None


def _of_explained_lines(text: str) -> str | None:
    """Words with their numbers of a numbered list that says why: "1. Sad (0.8): She cries."; None for other texts."""
    lines = [line for line in text.splitlines() if line.strip()]
    found = [_EXPLAINED.match(line) for line in lines]
    if len(found) < 2 or not all(found):
        return None
    return ", ".join(f"{one['word'].strip()}: {one['number'].replace(' ', '')}" for one in found if one)


def _of_votes(text: str) -> str | None:
    """Words with how many chose each; numbers alone count below a head that says so, as they may be ranks."""
    lead = _VOTES_LEAD.match(text)
    parts = [part for part in _VOTES_BETWEEN.split(text[lead.end() if lead else 0 :].strip(" \t\n.。")) if part]
    for form in _VOTES:
        found = [form.fullmatch(part) for part in parts]
        if len(found) > 1 and all(
            one is not None and (lead or one["unit"] or one.groupdict().get("times")) for one in found
        ):
            return ", ".join(f"{one['word'].strip()}: {one['number']}" for one in found if one is not None)
    return None


def words_of_rows(text: str) -> list[str] | None:
    r"""The cells below the head of emotions in a text of comma-separated rows, whose head also has a reason or a measure.

    >>> words_of_rows("emotion,reason\nsad,calm face"), words_of_rows("emotion,joy\nsad,calm")
    (['sad'], None)
    """
    head, _, body = text.strip().partition("\n")
    if "," not in head or not body or len(text) > _LONGEST * 10:
        return None
    names = [name.strip() for name in head.split(",")]
    told = [index for index, name in enumerate(names) if NAMES_EMOTIONS.match(name) and not MEASURE.search(name)]
    others = [name for index, name in enumerate(names) if index not in told]
    if len(told) != 1 or not all(is_beside(name) or MEASURE.search(name) for name in others):
        return None
    if any(MEASURE.search(name) for name in others) and len(body.strip().splitlines()) > 1:
        return None  # rows with numbers, of which the best count
    rows = list(csv.reader(body.strip().splitlines()))
    return [row[told[0]] for row in rows if len(row) > told[0]]
