"""Messages of a server or a program that stand where an answer should be: they have no label, whatever words they hold.

"Error: CUDA out of memory", "429 Too Many Requests, we are sorry" or a traceback is what a script saves when a call failed. The
clip counts as refused, and the score says so loudly, because the model was never heard. Neighbours: `responses.py`,
`refusals.py`.
"""

from __future__ import annotations

import re

_STATUS = (
    r"bad request|unauthori[sz]ed|forbidden|not found|request timeout|payload too large|content too large|too many requests"
    r"|internal server error|bad gateway|service (?:is )?(?:temporarily )?unavailable|gateway time-?out"
)
_CODE = r"(?:4\d\d|5\d\d)"
_CUES = (
    "error", "exception", "traceback", "timed out", "timeout", "time-out", "out of memory", "rate limit", "failed", "unavailable",
    "gateway", "too many requests", "overloaded", "errno", "refused", "quota", "went wrong", "unauthori", "forbidden",
    "bad request", "connection", "错误", "异常", "超时", "失败", "限流", "繁忙", "出错", "显存不足", "内存不足", "频率",
    "频繁", "崩溃", "retries",
)  # fmt: skip
_HEAD = 200  # characters in which such a message begins; our choice
_MESSAGE = re.compile(
    r"^[\W_]*(?:"
    r"(?:fatal |runtime |api |server |internal |network |unexpected |unknown |critical )*errors?\b\s*(?:[:：\]!(]|code\b|\d|$)"
    r"|(?:an? )?(?:\w+ )?(?:error|exception) (?:has )?(?:occurred|happened|was raised)\b"
    r"|(?:error|exception) (?:while|during|when|in|from|calling|communicating|processing|loading|reading)\b"
    r"|(?:[a-z_]\w*\.)*[a-z]\w*(?:error|exception)\b\s*[:：('\"]"
    r"|exception\b\s*[:：('\"]"
    r"|traceback \(most recent call last\)"
    rf"|(?:http(?:s|/\d(?:\.\d)?)?\s*)?(?:error|status(?: code)?|code)?\s*[:：]?\s*{_CODE}\b\W{{0,4}}"
    rf"(?:(?:client|server) error|{_STATUS})\b"
    rf"|(?:http|status(?: code)?)\s*(?:error\s*)?[:：]?\s*{_CODE}\b"
    rf"|(?:{_STATUS})\s*(?:[.:：,(!\-–—\n]|$)"
    r"|(?:the )?(?:server|service|model|api|engine)(?: \w+){0,2} (?:is|was|are) (?:currently |temporarily )?"
    r"(?:overloaded|unavailable|busy|down)\b"
    r"|the server had an error\b|internal error\b|something went wrong\b"
    r"|(?:the )?(?:request|connection|call|operation|api call)(?: \w+)? (?:has )?(?:timed out|failed|refused|aborted|was aborted"
    r"|reset|was reset|error)\b"
    r"|(?:you (?:have )?)?(?:exceeded|hit|reached) (?:your |the )?(?:current )?(?:rate limit|quota)\b"
    r"|rate limit (?:exceeded|reached)"
    r"|(?:(?:torch\.)?cuda|gpu|cpu|hip|mps)?\s*(?:error[:：]\s*)?out of memory\b|cuda error\b"
    r"|(?:read |connect |gateway )?time-?out\b\s*(?:[:：.(!]|error|while|after|$)"
    r"|https?connectionpool\b|max retries exceeded|(?:请求|访问|调用)(?:过于|太)频繁"
    r"|\[?errno\b|segmentation fault\b|<!doctype html|<html"
    r"|failed (?:to|with) (?:process|load|decode|read|open|parse|connect|fetch|generate|download|call|status|error"
    r"|code)\b"
    r"|(?:系统|服务器?|接口|网络|内部|未知|请求|运行|程序|调用)*(?:错误|异常|出错)(?:了)?(?:[:：，。!！（(\d]|代码|码|$)"
    r"|(?:请求|调用|连接|加载|处理|读取|解码)(?:视频|音频|接口|模型|文件)?(?:失败|超时)|(?:系统|服务器?)(?:繁忙|异常|不可用)"
    r"|(?:发生|出现)(?:了)?(?:错误|异常)|(?:显存|内存)不足|(?:触发|超过|超出)[^，。]{0,6}(?:限流|频率|配额)"
    r")",
    re.IGNORECASE,
)
_TRACE = re.compile(r"^[ \t]*Traceback \(most recent call last\):?[ \t]*$", re.MULTILINE)
_ABORTED = re.compile(
    r"\n[ \t]*(?:\[?error\]?\s*[:：]|(?:torch\.)?(?:cuda\.)?OutOfMemoryError\b).*$", re.IGNORECASE | re.DOTALL
)


def is_error_message(text: str) -> bool:
    """Whether a text is what a failed call left behind, and no answer.

    >>> is_error_message("Error: CUDA out of memory. Sad ..."), is_error_message("503 Service Unavailable")
    (True, True)
    >>> is_error_message("The error makes him angry."), is_error_message("Her failed exam makes her sad.")
    (False, False)
    """
    head = text[:_HEAD].lower()
    return any(map(head.__contains__, _CUES)) and bool(_MESSAGE.match(text))


def without_trace(text: str) -> str:
    r"""The text up to a traceback, or to a line with an error, that ended the writing of an answer.

    >>> without_trace("She is sad.\nTraceback (most recent call last):\n  angry")
    'She is sad.'
    """
    trace = _TRACE.search(text) if "Traceback" in text else None
    if trace is None and "rror" in text:
        trace = _ABORTED.search(text)
    return text[: trace.start()].rstrip() if trace and text[: trace.start()].strip() else text
