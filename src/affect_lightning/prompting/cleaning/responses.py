"""The one place that cleans a response before labels are read; each kind of what it removes has a module next to this one.

A response in plain prose leaves as it came: none of the authors' saved responses has a mark of any kind, and of them only
refusals change (`tests/test_response_cleaning.py`).
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

from affect_lightning.plain_characters import plain_characters
from affect_lightning.prompting.cleaning.chat_objects import without_chat_object
from affect_lightning.prompting.cleaning.error_messages import is_error_message, without_trace
from affect_lightning.prompting.cleaning.keyed_lines import without_measures
from affect_lightning.prompting.cleaning.refusals import is_refusal, without_refusal
from affect_lightning.prompting.cleaning.set_aside import without_set_aside
from affect_lightning.prompting.cleaning.structure import told_by_structure, without_markdown
from affect_lightning.prompting.cleaning.thoughts import without_chat_marks, without_thoughts

REFUSAL = "refusal"
ERROR = "error message"
KINDS = ("thoughts", "chat marks", "courtesy", "echoed question", "set aside", "structure", ERROR, REFUSAL)

_COURTEOUS = 80  # characters in which "I'd be happy to help" comes; our choice
_COURTESY = re.compile(
    r"^\W*(?:(?:sure|certainly|of course|absolutely|okay|yes|hello|hi)\b[^\w\n]+)*"
    r"(?:(?:i|we)(?:['’]m| am|['’]d| would| will|['’]ll)?\s)?"
    r"(?:be\s)?(?:very |more than |always )?(?:happy|glad|pleased|delighted|love|excited) to "
    r"(?:help|assist|analy[sz]e|answer|describe|provide|do|take|identify)\b[^.!?\n]*[.!?\n]+\s*",
    re.IGNORECASE,
)
_AGREED = 20  # characters in which "Sure!" comes; our choice
_AGREES = ("sure", "certainly", "of course", "absolutely")
_AGREEING = re.compile(rf"^\s*(?:{'|'.join(_AGREES)})\s*[!.,]\s*(?=[A-Z][a-z]*\s)", re.IGNORECASE)
_SORRY_BUT = re.compile(
    r"^\W*(?:i['’]?m |i am )?(?:so |very |really )?sorry\b[,.]?\s*but,?\s+(?=(?:the|he|she|they|this|i (?:think|believe))\b)",
    re.IGNORECASE,
)
_OFFERED = 300  # characters at the end in which an offer begins; our choice
_OFFERING = (
    "would you like",
    "if you ",
    "let me know",
    "feel free",
    "do you want",
    "happy to help",
    "glad to help",
    "需要我",
    "如果您",
)
_OFFER = re.compile(  # what a model says to its user at the end
    r"(?:(?<=[.!?。！？])\s*|\n\s*)(?:(?:would you like|do you want)\b[^.!?\n]*\?"
    r"|if you (?:need|want|would like|have)\b[^\n]*|(?:please )?(?:let me know|feel free to)\b[^\n]*"
    r"|i(?:['’]m| am|['’]d be| would be) (?:always |very |more than )?(?:happy|glad) to help\b[^\n]*"
    r"|(?:您?需要我|如果您)[^\n]*)\s*$",
    re.IGNORECASE,
)
_ASKED = re.compile(
    r"^\s*(?:question|q)\s*[:：].*?(?:^|\s)(?:answer|a)\s*[:：]\s*"
    r"|^\s*(?:问题|問題|问|問)\s*[:：].*?(?:答案|回答|答)\s*[:：]\s*",
    re.IGNORECASE | re.DOTALL | re.MULTILINE,
)
_LEADING_QUESTION = re.compile(
    r"^\s*(?:(?:what|which|how|does|do|is|are|can|could|please|in the video,? what)\b[^.?!\n]{0,400}"
    r"\b(?:emotion|emotional|feel|feeling|feelings|mood|sentiment)\w*\b[^.?!\n]{0,200}\?"
    r"|(?:what|which|how|is|are|does|do|can|could)\b[^.?!\n]{0,400}\?(?=\s*\n\s*\S|\s+[A-Z\[*])"
    r"|[^。？！\n]{0,100}(?:情绪|情緒|情感|感受|心情)[^。？！\n]{0,100}(?:什么|什麼|哪|如何|吗|嗎|怎)?[^。？！\n]{0,20}？)\s*",
    re.IGNORECASE,
)
# "As an expert in emotions, please focus on the sound ... predict the emotional state.": SALMONN repeats its prompt so.
_INSTRUCTION = re.compile(
    r"(?:(?<=[.?!;])|^)[ \t]*(?:as an? [^.?!\n]{0,100},[ \t]*)?please\s+(?:focus|pay|provide|describe|predict|identify|infer|"
    r"analy[sz]e|recogni[sz]e|answer|determine|watch|listen|combine|assume)\b[^.?!\n]{0,400}\b(?:emotion|feel|mood|sentiment)"
    r"[^.?!\n]{0,200}(?:[.?!]|$)",
    re.IGNORECASE | re.MULTILINE,
)
# "The person in video says: I am happy." stands before that instruction in the prompt of Emotion-LLaMA.
_SPEAKS = re.compile(r"^[ \t]*the person in (?:the )?video says\s*[:：].*?(?=\bplease\b)", re.IGNORECASE | re.DOTALL)
_ANSWER_MARK = re.compile(
    r"(?:^|[\n.。])[ \t]*(?:so |thus |therefore,? )?(?:the |my )?final answer(?: is)?(?:\s*[:：]\s*|[ \t]*\n\s*)(?=\S)"
    r"|(?:\b(?:so|thus|therefore|hence|but),?|[\n.。]) (?:the|my) (?:final )?answer(?: (?:is|would be)\s*[:：]?|[:：])\s*"
    r"(?!not\b)(?=\S[^.\n]*\W*$)"
    r"|(?:(?:最终|最後|最后|最終)(?:答案|回答)|(?<=[。；\n])结论(?=[:：]))(?:是|为|為)?\s*[:：]?\s*(?=\S)",
    re.IGNORECASE,
)
_ANSWER_PREFIX = re.compile(
    r"^\s*(?:(?:answer|assistant|response|output|gpt|ai|model)\s*[:：]|(?:答案|回答|答|助手)\s*[:：])\s*", re.IGNORECASE
)


_ENTITY = re.compile(r"&(?:quot|apos|amp|lt|gt|nbsp|#39|#34);")


class CleanText(str):
    """A text that was cleaned: doing so again would change nothing, so it is not done."""

    __slots__ = ()


@dataclass(frozen=True)
class CleanResponse:
    """A response without what is no answer.

    Attributes:
        text: What labels are read from; empty if nothing is left.
        removed: Which of KINDS were removed.
    """

    text: str
    removed: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether the model refused, or said that it cannot tell, and nothing else; or a call failed and left its message."""
        return (REFUSAL in self.removed or self.failed) and not self.text

    @property
    def failed(self) -> bool:
        """Whether a server or a program failed and left its message in the place of an answer."""
        return ERROR in self.removed and not self.text


def clean_response(response: str, question: str = "") -> CleanResponse:
    """A response without thoughts, chat marks, an echoed question, structure, error messages and refusals.

    Args:
        response: What the model wrote.
        question: What was asked, where it is known.

    Returns:
        The text that labels are read from. A text without any of these is returned unchanged. Cleaning it again changes
        nothing.

    >>> clean_response("<think>Sad? No.</think>The person feels bored.").text
    'The person feels bored.'
    >>> clean_response('{"emotion": "happy", "confidence": 0.9}').text
    '[happy]'
    >>> clean_response("I'm sorry, but I can't identify emotions.")
    CleanResponse(text='', removed=('refusal',))
    """
    if isinstance(response, CleanText):
        return CleanResponse(response)
    removed: list[str] = []
    text = plain_characters(html.unescape(response) if _ENTITY.search(response) else response)
    for kind, step in (
        ("chat marks", without_chat_object),
        (ERROR, _without_error),
        ("thoughts", without_thoughts),
        ("chat marks", without_chat_marks),
        ("courtesy", _without_courtesy),
        ("echoed question", lambda words: _without_question(words, question)),
        ("set aside", without_set_aside),
        ("structure", _without_structure),
    ):
        shorter = step(text)
        if shorter != text:
            removed += [kind] if kind not in removed else []
            text = shorter
    if is_refusal(text):
        removed.append(REFUSAL)
        text = without_refusal(text)
    return CleanResponse(CleanText(text if not removed else text.strip()), tuple(removed))


def _without_error(text: str) -> str:
    return "" if is_error_message(text) else without_trace(text)


def _without_courtesy(text: str) -> str:
    sorry = _SORRY_BUT.match(text) if "orry" in text[:_COURTEOUS] else None
    if sorry and not is_refusal(text):
        text = text[sorry.end() :]
    agreeing = _AGREEING.match(text) if text[:_AGREED].lower().lstrip().startswith(_AGREES) else None
    text = text[agreeing.end() :] if agreeing else text
    courteous = _COURTESY.match(text) if "to " in text[:_COURTEOUS] else None
    text = text[courteous.end() :] if courteous else text
    near_end = max(0, len(text) - _OFFERED)
    offer = _OFFER.search(text, near_end) if any(map(text[near_end:].lower().__contains__, _OFFERING)) else None
    return text[: offer.start()] if offer and text[: offer.start()].strip() else text


def _without_question(text: str, question: str) -> str:
    asked = " ".join(question.split())
    if len(asked) > 3:
        whole = " ".join(text.split())
        if whole.lower().startswith(asked.lower()):
            return whole[len(asked) :].strip()
    answered = _ASKED.match(text) if ":" in text or "：" in text else None
    if answered is None and ("?" in text or "？" in text):
        answered = _LEADING_QUESTION.match(text)
    if answered:
        return text[answered.end() :]
    asks = "please" in text.lower() and _INSTRUCTION.search(text)
    if asks:
        text = _SPEAKS.sub("", text)
    return _INSTRUCTION.sub("", text).strip() if asks else text


def _without_structure(text: str) -> str:
    marked = _from_answer_mark(text)
    told = told_by_structure(marked)
    if told is not None:
        return told
    plain = _from_answer_mark(without_markdown(_behind_hashes(marked)))
    prefix = _ANSWER_PREFIX.match(plain)
    plain = plain[prefix.end() :] if prefix else plain
    if plain != text:
        told = told_by_structure(plain)
    return without_measures(plain) if told is None else told


def _behind_hashes(text: str) -> str:
    """What stands behind a last `####`, the mark of an answer in GSM8K and in what is trained on it."""
    if "####" not in text:
        return text
    before, _, last = text.rstrip().rpartition("####")
    return last.strip() if last.strip() and "\n" not in last and not before.endswith("#") else text


def _from_answer_mark(text: str) -> str:
    """The text behind the last `Final answer:`."""
    if "nswer" not in text and "NSWER" not in text and "最" not in text and "结论" not in text:
        return text
    marks = list(_ANSWER_MARK.finditer(text))
    return text[marks[-1].end() :] if marks else text
