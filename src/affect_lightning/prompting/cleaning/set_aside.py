"""What an answer takes back, rules out, or only repeats of its input: none of it is what the answer says.

"Calm. Wait, no, actually sad" says sad; so do "Present: sad. Absent: calm", "Ruling out calm, I choose sad", "Subtitle: I am
calm! Emotion: sad" and "Options: (A) sad (B) calm; Answer: A". Each rule needs its own mark, which prose seldom has.
Neighbour: `responses.py`.
"""

from __future__ import annotations

import re

from affect_lightning.label_strings import NAMES_EMOTIONS

_QUOTES = re.compile('["“”「」]')
_SAYS_WITHIN = 60  # characters in which "The person in the video says" comes; our choice
_LEFT_MOST = 300  # characters of what a correction leaves; a longer text is no correction. Our choice
_STRUCK = re.compile(r"~~[^~\n]*~~|<(del|strike)>.*?</\1>", re.IGNORECASE | re.DOTALL)
_CORRECTION = re.compile(
    r"(?:(?<=[.!?…,;—])|(?<=--)|(?<=\n))\s*(?:(?:oh|hmm|um|ah|sorry)[,.…]*\s*)?(?:"
    r"wait\b(?:[\s,.!…—-]+(?:no(?! (?:one|longer|doubt|more|sign|way)\b)|actually|sorry|hold on)\b)+"
    r"|wait[,.!…—-]+(?!\s*no\b)|no[,.]\s*(?:wait|actually)\b"
    r"|(?:a |my )?correction\s*[:：]|scratch that\b|on second thoughts?\b|let me correct (?:that|myself|this)\b"
    r"|(?:that['’]s|that is|i was) (?:wrong|not right|incorrect)\b|i (?:take|took) (?:that|it) back\b|my mistake\b)"
    r"[\s,.:;!…—-]*",
    re.IGNORECASE,
)
_CHINESE_CORRECTION = re.compile(
    r"(?<=[，,。！!？?；;…\n])\s*(?:哦|啊|噢|等等|等一下)?[，,。…]*(?:不对|不，不|更正|纠正|修正|说错了|我错了)"
    r"(?:一下)?[，,。：:！!…]+\s*(?:应该)?(?:是|为)?"
)
_CORRECTS = ("wait", "correct", "scratch that", "second thought", "mistake", "back", "wrong", "not right", "no,", "no.")
_CORRECTS_IN_CHINESE = ("不对", "不，不", "更正", "纠正", "修正", "错了")

# "Angry? No. Sad."; "Is it anger? No, sadness."; 愤怒？不，难过
_ASKED_AND_DENIED = re.compile(
    r"(?:^|(?<=[.!?;,]\s)|(?<=\n))(?:(?:is|could|can|might) (?:it|he|she|this|that|the person)(?: be)? )?[a-z-]+(?: [a-z]+)?\?\s*"
    r"(?:no|nope|not really)\b[.,;!]+\s*(?=\S)"
    r"|[^。！？，；\n]{1,12}[？?]\s*(?:不是|不|没有|否)[，,。！]+\s*(?=\S)",
    re.IGNORECASE,
)

_OTHER_IN_BRACKETS = re.compile(  # "sad (vs. calm)"
    r"\s*[(（](?:vs\.?|versus|not|rather than|instead of|as opposed to|而非|不是)\s*(?!only\b|just\b)[^()（）\n]{1,40}[)）]",
    re.IGNORECASE,
)

_QUOTED_QUESTION = re.compile(
    r"^(?:\s*>[^\n]*\n)*\s*>[^\n]*[?？]\W*\n\s*(?=[^\s>])"
)  # "> Is she calm?" before the answer
_SPEAKS_FIRST = re.compile(  # the transcript of Emotion-LLaMA's prompt, one sentence
    r"^\W*the (?:person|speaker|character) in (?:the )?video says\s*[:：][^.!?\n]{1,200}(?:[.!?]+|\n)[\s.…]*(?=\w)",
    re.IGNORECASE,
)

_ABSENT_KEY = (
    r"(?:absent|not[ _-](?:present|detected|observed|shown|found)|ruled[ _-]out|excluded|rejected|unlikely|no signs? of"
    r"|(?:other[ _-])?(?:possible[ _-])?(?:emotions?|labels?|options?)[ _-]"
    r"(?:(?:that |which )(?:were|are|can be) |considered (?:but |and ))?"
    r"(?:excluded|ruled[ _-]out|rejected|discarded)"
    r"|not|negated|opposite|less[ _-]likely|emotions? not (?:present|detected|observed|shown|found)|possible confusions?"
    r"|(?:other|alternative)[ _-]emotions?(?:[ _-](?:considered|possible))?"
    r"|(?:the )?least[ _-]likely|(?:the )?ground[ _-]truth|gold(?: label)?"
    r"|不存在|未出现|未检测到|没有出现|排除|不符合)"
)
_ABSENT = re.compile(
    rf"(?:^|(?<=[.;；。\n，,]))[ \t]*(?:[-*•][ \t]+)?[*_]*{_ABSENT_KEY}"
    r"(?: (?:emotions?|labels?|ones))?的?(?:情绪|情感)?[*_]*[ \t]*[:：]"
    r"(?:[ \t]*\n(?:[ \t]*[-*•][^\n]*(?:\n|$))+|[^.;；。\n]*[.;；。]?)",
    re.IGNORECASE,
)
_PRESENT = re.compile(
    r"^[ \t]*(?:present|detected|observed|存在|出现)(?: (?:emotions?|labels?|ones))?的?(?:情绪|情感)?[ \t]*[:：][ \t]*",
    re.I | re.M,
)
ABSENT_NAME = re.compile(rf"^{_ABSENT_KEY}(?:[ _-](?:emotions?|labels?))?$", re.IGNORECASE)
PRESENT_NAME = re.compile(r"^(?:present|detected|observed|存在|出现)(?:[ _-](?:emotions?|labels?))?$", re.IGNORECASE)

_ECHO_KEYS = (
    "subtitle", "subtitles", "transcript", "transcription", "utterance", "dialogue", "speech", "caption", "input", "text",
    "字幕", "台词", "文本", "转录", "输入", "thought", "thoughts", "thinking", "思考", "思路", "推理", "options", "choices",
    "candidates", "选项", "候选", "候选项",
)  # fmt: skip
_ECHO = re.compile(rf"^\W*(?:{'|'.join(_ECHO_KEYS)})\s*[:：]", re.IGNORECASE)
_THOUGHT = re.compile(r"^\W*(?:thoughts?|thinking|思考|思路|推理)\s*[:：]", re.IGNORECASE)
_LONGEST_INPUT = 400  # characters of an input that is repeated; a longer text is a description. Our choice
_ANSWER_KEY = re.compile(
    r"(?:^|(?<=[.!?;,。！？；，\n\"”’)]))[ \t]*"
    r"(?P<key>(?:final |predicted |overall )?(?:emotions?|emotional states?|answer|label|output"
    r"|response|prediction)|情绪|情感|回答|答案|输出|结论|标签)[ \t]*[:：][ \t]*(?=\S)",
    re.IGNORECASE,
)
_PLAIN_ANSWER_KEYS = ("answer", "final answer", "output", "response", "回答", "答案", "输出", "结论")
_OPTION = re.compile(
    r"(?:^|(?<=[\s:：(（,，;；]))[(（]?(?P<letter>[A-H])[).:：）.、．]\s*(?P<words>[^()（）\n,，;；]+?)"
    r"(?=[\s,，;；]*(?:[(（]?[A-H][).:：）.、．]|\n|$))"
)
_LETTER = re.compile(r"[(（]?(?P<letter>[A-H])[)）]?[.。]?\s*$")
_LAST_ANSWER = re.compile(
    r"(?:^|(?<=[\s.,;。；，]))(?:(?:the|my|final|correct) )*(?:answer|choice|选择|答案)(?: is|是|为)?\s*[:：]?\s*"
    r"[(（]?(?P<mark>[A-H]|\d{1,2})[)）]?[.。]?\s*$",
    re.IGNORECASE,
)
_OPTION_MARK = re.compile(r"(?:^|(?<=[\s:：(（,，;；]))[(（]?([A-H]|\d{1,2})[)).:：）.、．](?!\d)\s*")
_OPTIONS_LEAD = re.compile(r"\W*(?:[\w ]{0,20}[:：]\s*)?", re.IGNORECASE)
_CHOOSE_FROM = re.compile(
    r"\s*[(（\[](?:please )?(?:choose|chosen|select|selected|pick|picked|one of|out of|options?\b"
    r"|请?从|选自|可选|候选)[^()（）\[\]]*[)）\]]",
    re.IGNORECASE,
)
_CHOOSES_FROM = ("choose", "chosen", "select", "pick", "one of", "out of", "option", "从", "选")
_SUBJECT = (
    r"(?=(?:i|we|the|my|he|she|they|it|this|his|her|their|only|what)\b"
    r"|我|他|她|其|该|说话|选择|最|答案|情绪|情感|因此|所以|只)"
)
_LEADING_CHOICE = re.compile(
    r"^\W*(?:(?:after |by |having |when )?(?:ruling out|ruled out|excluding|eliminating|leaving aside|setting aside|discarding)"
    r"|(?:from |out of )?among|from (?:the )?(?:options?|candidates?|candidate labels?|list|labels?|choices)|out of)\b"
    rf"[^.!?\n]{{1,200}}?,\s*(?:{_SUBJECT}|(?=[\w-]+\W*$))|^\W*(?:首先)?排除(?:了|掉)?[^。！？\n]{{1,80}}?[，,]\s*{_SUBJECT}(?:我?选择)?",
    re.IGNORECASE,
)
_LEADING_WORDS = (
    "rul",
    "exclud",
    "eliminat",
    "setting aside",
    "leaving aside",
    "discard",
    "among",
    "from",
    "out of",
    "排除",
)
_LISTED_OPTIONS = re.compile(
    r"^\W*(?:the )?(?:given |available |candidate |possible |provided )*(?:options|choices|candidates|labels) "
    r"(?:are|include)\b[^.\n]*\.\s*(?=\S)",
    re.IGNORECASE,
)


_DENIED_LINE = re.compile(  # `Sarcasm: no` beside `Emotion: happy`
    r"^[ \t]*(?:[-*•][ \t]+)?[^\W\d_][\w -]{1,24}[:：][ \t]*"
    r"(?:no|none|absent|not present|not detected|n/a|否|无)[ \t.。]*(?:\n|$)",
    re.IGNORECASE | re.MULTILINE,
)


def _without_denied_lines(text: str) -> str:
    """Without lines that say no of something else than the emotion, where another line tells the emotion."""
    if "\n" not in text or not _DENIED_LINE.search(text):
        return text
    rest = _DENIED_LINE.sub("", text)
    return rest if any(NAMES_EMOTIONS.match(key["key"]) for key in _ANSWER_KEY.finditer(rest)) else text


def without_set_aside(text: str) -> str:
    r"""The text without what it strikes out, takes back, rules out, or repeats of its input.

    >>> without_set_aside("The person is calm. Wait, no, actually sad."), without_set_aside("~~calm~~ sad")
    ('sad.', ' sad')
    >>> without_set_aside("Present: sad. Absent: calm, bored."), without_set_aside("Input: a calm clip\nOutput: sad")
    ('sad.', 'sad')
    >>> without_set_aside("> Calm?\nSad."), without_set_aside("The person in video says: I am calm. Sad")
    ('Sad.', 'Sad')
    >>> without_set_aside("Options: (A) sad (B) calm\nAnswer: A"), without_set_aside("Emotion (choose from calm, sad): sad")
    ('sad', 'Emotion: sad')
    """
    struck = _STRUCK.sub("", text) if "~~" in text or "<" in text else text
    text = struck if struck.strip() else text
    if "?" in text or "？" in text:
        text = _ASKED_AND_DENIED.sub("", text)
    if ("(" in text or "（" in text) and _OTHER_IN_BRACKETS.search(text):
        text = _OTHER_IN_BRACKETS.sub("", text)
    if ">" in text:
        text = _QUOTED_QUESTION.sub("", text)
    if "says" in text[:_SAYS_WITHIN]:
        text = _SPEAKS_FIRST.sub("", text)
    for step in (_corrected, _without_input, _without_absent, _without_denied_lines, _without_choices):
        shorter = step(text)
        text = shorter if shorter.strip() else text
    return text


def _corrected(text: str) -> str:
    """What stands behind the last correction; a text whose quotes are open there says it of nobody's answer."""
    lowered = text.lower()
    found: list[re.Match[str]] = []
    if any(map(lowered.__contains__, _CORRECTS)):
        found += _CORRECTION.finditer(text)
    if not text.isascii() and any(map(text.__contains__, _CORRECTS_IN_CHINESE)):
        found += _CHINESE_CORRECTION.finditer(text)
    for match in sorted(found, key=lambda match: match.end(), reverse=True):
        rest = text[match.end() :]
        if rest.strip() and len(rest) <= _LEFT_MOST and len(_QUOTES.findall(text[: match.start()])) % 2 == 0:
            return rest
    return text


def _option_of_answer(text: str) -> str | None:
    """The option of a short list of options whose letter or number ends the text: sad of "1. calm 2. sad Answer: 2"."""
    answer = _LAST_ANSWER.search(text) if len(text) <= _LONGEST_INPUT else None
    if answer is None:
        return None
    lead, *parts = _OPTION_MARK.split(text[: answer.start()])
    marks, words = parts[::2], parts[1::2]
    first = ord("A") if marks and marks[0] == "A" else None
    ordered = [chr(first + place) if first else str(place + 1) for place in range(len(marks))]
    if len(marks) < 2 or marks != ordered or answer["mark"] not in marks or not _OPTIONS_LEAD.fullmatch(lead):
        return None
    return words[marks.index(answer["mark"])].strip(" \t\n,，;；.。/|") or None


def _without_input(text: str) -> str:
    """The answer alone, where the text begins with the model's input or its thoughts; a letter becomes its option."""
    option = _option_of_answer(text) if text.rstrip(" .。)）*\n")[-1:].isalnum() else None
    if option is not None:
        return option
    options = _OPTION.findall(text) if ")" in text or "." in text or "、" in text else []
    letters = [letter for letter, _ in options]
    listed = len(letters) > 1 and letters == sorted(set(letters)) and letters[0] == "A"
    if not listed and not _ECHO.match(text):
        return text
    keys = [key for key in _ANSWER_KEY.finditer(text) if key.start() > 0]
    if not keys or (keys[-1].start() > _LONGEST_INPUT and not _THOUGHT.match(text)):
        return text
    if _THOUGHT.match(text) and NAMES_EMOTIONS.match(keys[-1]["key"]):
        return text  # `keyed_lines.py` reads it
    answer = text[keys[-1].end() :]
    chosen = _LETTER.match(answer)
    if chosen and chosen["letter"] in letters:
        before = [words for letter, words in _OPTION.findall(text[: keys[-1].start()]) if letter == chosen["letter"]]
        return before[0].strip() if before else text
    plain = keys[-1]["key"].lower() in _PLAIN_ANSWER_KEYS
    return answer if plain else text[keys[-1].start() :].lstrip()


def _without_absent(text: str) -> str:
    if ":" not in text and "：" not in text:
        return text
    shorter = _ABSENT.sub("", text)
    return text if shorter == text else _PRESENT.sub("", shorter).strip().rstrip(";；，,")


def _without_choices(text: str) -> str:
    lowered = text[:_LEFT_MOST].lower()
    if ("(" in text or "（" in text or "[" in text) and any(map(lowered.__contains__, _CHOOSES_FROM)):
        text = _CHOOSE_FROM.sub("", text)
    if any(map(lowered.__contains__, _LEADING_WORDS)):
        text = _LEADING_CHOICE.sub("", text)
    return _LISTED_OPTIONS.sub("", text)
