"""Thoughts of reasoning models, and the marks of chat formats, in a response.

`<think>` and its like, open, closed or lone; `<answer>`; the bracketed marks of Mistral and Kimi; the channels of
gpt-oss; Ollama's lines `Thinking...` and `...done thinking.`. A thought that never closes leaves no answer.
Neighbour: `responses.py`.
"""

from __future__ import annotations

import re

_NAMES = r"(?:think|thinking|thought|thoughts|reason|reasoning|reflection|analysis|scratchpad|seed:think|rationale)"
_OPEN = rf"(?:<\s*{_NAMES}(?:\s[^<>]*)?>|\[\s*{_NAMES}\s*\]|◁{_NAMES}▷|<\|(?:begin_of_)?{_NAMES}(?:_start)?\|>)"
_CLOSE = (
    rf"(?:<\s*/\s*{_NAMES}\s*>|<\s*{_NAMES}\s*/\s*>|\[\s*/\s*{_NAMES}\s*\]|◁/{_NAMES}▷|<\|end_of_{_NAMES}\|>"
    rf"|<\|/?{_NAMES}_end\|>|<\|/{_NAMES}\|>)"
)
_MARKED = re.compile(
    r"[<\[◁]\s*/?\s*\|?/?(?:begin_of_|end_of_)?(?:"
    + _NAMES
    + r"|answer|final_answer|conclusion|emotion\s*\])|&lt;|<\|channel\|>",
    re.I,
)
_INNERMOST = re.compile(rf"{_OPEN}(?:(?!{_OPEN}).)*?{_CLOSE}", re.DOTALL | re.IGNORECASE)
_TO_LONE_CLOSE = re.compile(rf"^.*{_CLOSE}", re.DOTALL | re.IGNORECASE)
_FROM_LONE_OPEN = re.compile(rf"{_OPEN}.*$", re.DOTALL | re.IGNORECASE)
_ANSWER_NAMES = "(?:answer|final_answer|conclusion)"
_ANSWER = re.compile(
    rf"<\s*{_ANSWER_NAMES}(?:\s[^<>]*)?>(.*?)(?:<\s*/?\s*{_ANSWER_NAMES}\s*/?>|$)", re.DOTALL | re.IGNORECASE
)
_TASK = re.compile(r"\[\s*emotion\s*\]\s*(?=\S)([^\[]+)", re.IGNORECASE)  # mark of a task, as Emotion-LLaMA has it
_LONE_ANSWER_END = re.compile(rf"<\s*/\s*{_ANSWER_NAMES}\s*>.*$", re.DOTALL | re.IGNORECASE)
_FINAL_CHANNEL = re.compile(r"<\|channel\|>\s*final\s*<\|message\|>", re.IGNORECASE)
_OTHER_CHANNEL = re.compile(r"<\|channel\|>\s*(?:analysis|commentary)\b.*$", re.IGNORECASE | re.DOTALL)

_SPOKEN_THOUGHT = re.compile(r"^\s*Thinking\.\.\.[ \t]*\n.*?(?:\.\.\.done thinking\.|\Z)", re.DOTALL | re.IGNORECASE)

_ROLE = re.compile(
    r"(?:<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|<\|start\|>|<\|)\s*(?:assistant|model|gpt)\s*"
    r"(?:<\|end_header_id\|>|<\|message\|>|\|>)?[ \t]*\n*|\[/INST\]|###\s*(?:assistant|response)\s*[:：]"
    r"|\bASSISTANT\s*:\s*",
    re.IGNORECASE,
)
_END = re.compile(
    r"</s>|<\|(?:im_end|endoftext|eot_id|end|end_of_text|eom_id|return|user|im_start|start_header_id)\|?>|<end_of_turn>"
    r"|<eos>|<｜end▁of▁sentence｜>|<\|end_of_sentence\|>|\[INST\]|<start_of_turn>|###\s*(?:human|user|instruction)\s*[:：]"
    r"|\n\s*(?:USER|Human)\s*:",
    re.IGNORECASE,
)
_NEXT_TURN = re.compile(
    r"\n\s*(?:question|q)\s*[:：][^\n]*\n+\s*(?:answer|a)\s*[:：]", re.IGNORECASE
)  # of a few-shot prompt
_USERS_HEAD = re.compile(
    r"\s*(?:<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|\[INST\]|(?:system|user|human)\b\s*[:\n])", re.I
)
_INSTRUCTS = re.compile(r"\?\s*$|\b(?:you are|you will|please|chat between|system|instruction)\b", re.IGNORECASE)
_RUN_ON = 400  # characters of an answer before a next turn that no special mark announces; our choice
_HEAD = 20  # characters in which a bare role stands; our choice
_BARE_ROLES = ("system\n", "user\n")  # a whole chat without its special tokens, as `skip_special_tokens` leaves it
_BARE_ASSISTANT = re.compile(r"^[ \t]*(?:assistant|model)[ \t]*\n", re.IGNORECASE | re.MULTILINE)
_BLANK_MARK = re.compile(r"<s>|<bos>|<pad>|<unk>|<\|begin_of_text\|>|<\|startoftext\|>", re.IGNORECASE)


def without_thoughts(response: str) -> str:
    """The answer alone, without thoughts in any of the usual marks; empty if a thought never closes."""
    if response[:_HEAD].lstrip().lower().startswith("thinking..."):
        response = _SPOKEN_THOUGHT.sub("", response)
    if not any(map(response.__contains__, "<[◁&")) or not _MARKED.search(response):
        return response
    text = response.replace("&lt;", "<").replace("&gt;", ">")
    tasks = _TASK.findall(text)
    if tasks:
        return tasks[-1].strip()
    final = list(_FINAL_CHANNEL.finditer(text))
    text = text[final[-1].end() :] if final else _OTHER_CHANNEL.sub("", text)
    while True:
        shorter = _INNERMOST.sub("", text)
        if shorter == text:
            break
        text = shorter
    text = _TO_LONE_CLOSE.sub("", text)
    answers = [answer.strip() for answer in _ANSWER.findall(text)]
    if answers:
        return answers[-1]
    return _FROM_LONE_OPEN.sub("", _LONE_ANSWER_END.sub("", text))


def without_chat_marks(response: str) -> str:
    """The first turn of the assistant, without the marks of a chat format and what a model wrote on behind its end."""
    if response[:_HEAD].lstrip().lower().startswith(_BARE_ROLES):
        turns = list(_BARE_ASSISTANT.finditer(response))
        response = response[turns[-1].end() :] if turns else response
    if not any(map(response.__contains__, "<[#")) and not _speaks_by_name(response):
        return response
    text = _BLANK_MARK.sub("", response)
    first = _before_its_end(text)
    if first is not None:
        return first
    role = None
    for role in _ROLE.finditer(text):
        if text[role.end() :].strip():
            break
    if role is not None:
        text = text[role.end() :]
    for end in _END.finditer(text):
        if text[: end.start()].strip():
            return text[: end.start()]
    return _END.sub("", text)


def _before_its_end(text: str) -> str | None:
    """The answer before the mark that ends it, where a model went on and asked itself the next question; None elsewhere."""
    role, end = _ROLE.search(text), _END.search(text)
    own, plain = (end, False) if end else (_NEXT_TURN.search(text), True)
    if end and end[0].lstrip().lower().startswith(("user", "human")):
        plain = True
    head = text[: own.start()] if own else ""
    if own is None or not head.strip() or (role is not None and role.start() < own.start()):
        return None
    if _USERS_HEAD.match(head) or (plain and (len(head) > _RUN_ON or _INSTRUCTS.search(head))):
        return None
    return head


def _speaks_by_name(response: str) -> bool:
    """Whether a response without any other mark may have `USER:` or `ASSISTANT:`."""
    if ":" not in response:
        return False
    return not response.isascii() or any(map(response.lower().__contains__, ("assistant", "user", "human", "answer")))
