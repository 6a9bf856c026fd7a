"""Refusals and "cannot tell", in English and Chinese: such a response has no label, whatever words it repeats.

"I'm sorry, but I can't identify emotions" is no sorrow, and "I cannot tell whether she is happy or sad" names neither. What a
model says behind a refusal ("However, the person seems sad") counts. Neighbour: `responses.py`.
"""

from __future__ import annotations

import re

from affect_lightning.prompting.cleaning.traditional_chinese import simplified


def _any(*alternatives: str) -> str:
    return f"(?:{'|'.join(alternatives)})"


_CANNOT = _any(
    r"can(?:not|['’]?t| not)",
    r"could(?: not|n['’]t)",
    r"(?:am|are|is|was|['’]m) (?:not able|unable)(?: to)?",
    "unable to",
    "not able to",
    r"do(?: not|n['’]t) (?:have|know)",
    "won['’]t be able to",
    "(?:am|['’]m) not (?:sure|certain)",
)
_JUDGE = _any(
    "tell|say|identify|determine|judge|infer|recogni[sz]e|discern|assess|analy[sz]e|decide|provide|answer|help|assist|comment",
    "see|view|watch|access|process|detect|describe|make|ascertain|interpret|the (?:ability|capability)|enough|whether|what|how",
)
_CANNOT_BE = (
    r"(?:can|could)(?:not|n?['’]t| not) be "
    r"(?:determined|decided|identified|inferred|told|judged|recogni[sz]ed|discerned)\b"
)
_HARD = "(?:not possible|impossible|unclear|hard|difficult|too (?:hard|difficult))"
_NO_MORE = r"[^.!?\n]"
_ENGLISH = _any(
    rf"(?:i['’]?a?m |i am )?(?:very |so |really )?(?:sorry|afraid)\b{_NO_MORE}{{0,40}}?\b(?:i|we|this|that)\b"
    rf"{_NO_MORE}{{0,20}}?{_CANNOT}",
    r"i apologi[sz]e\b",
    rf"i(?:['’]?m| am)? ?(?:sad|afraid|sorry|regret)\b(?: to (?:say|tell|inform)\b)?{_NO_MORE}{{0,40}}?\b(?:i|we) {_CANNOT}",
    r"apologies\b",
    rf"(?:i['’]?a?m |i am )?(?:very |so |really )?sorry\b{_NO_MORE}{{0,60}}?{_CANNOT_BE}",
    rf"as an? (?:[\w-]+ ){{0,2}}(?:ai|artificial|large|language)\b{_NO_MORE}{{0,60}}?{_CANNOT}",
    _CANNOT_BE,
    r"(?:emotions?|emotional states?|labels?|answer)\s*[:：]\s*(?:unknown|unclear|undetermined|n/a)\b",
    r"no (?:face|person|human|one|speaker)(?: \w+)? (?:is |are |can be )?(?:visible|seen|shown|detected)\b",
    rf"(?:unfortunately,? )?(?:i|we|one) {_CANNOT}(?: \w+)? {_JUDGE}\b",
    rf"(?:unfortunately,? )?(?:i|we)['’](?:m|re) (?:not able|unable) to {_JUDGE}\b",
    rf"(?:unfortunately,? )?(?:it is|it['’]s) {_HARD} (?:for me )?(?:to {_JUDGE}|what|which|whether|how)\b",
    rf"(?:cannot|can['’]t|can not|unable to|impossible to|hard to|not possible to) {_JUDGE}\b",
    r"(?:there is |there['’]s )?(?:not enough|insufficient|no) (?:information|context|evidence|data) (?:to|for)\b",
    r"(?:the |this |her |his |their )?(?:person['’]s )?(?:emotions?|emotional states?|moods?|feelings?)\b"
    rf"{_NO_MORE}{{0,30}}(?:{_CANNOT_BE}|\b(?:is|are|remains?) (?:not clear|unclear|unknown|ambiguous|undetermined)\b)",
    r"i (?:don['’]t|do not) (?:know|feel comfortable)\b",
)
# Words before a Chinese "cannot tell" that do not make somebody in the video its subject
_NOBODY = _any(r"[^。！？\n他她人]{0,20}?", r"[^。！？\n]{0,16}(?:情绪|情感|心情|感受|表情)[^。！？\n]{0,6}?")
_CHINESE = _any(
    r"(?:非常|很|十分)?(?:抱歉|对不起|不好意思)[，,。 ]?[^。！？\n]{0,10}?(?:我|无法|不能|没有|这)",
    r"(?:很|非常)?(?:遗憾|可惜)[，,][^。！？\n]{0,30}?(?:无法|不能|难以)[^。！？\n]{0,20}?(?:判断|识别|确定|分析|辨别|回答)",
    r"我(?:很|非常|十分)?(?:难过|遗憾|抱歉)[，,。 ]?我?(?:无法|不能|没有办法|没法)",
    r"作为(?:一个|一名|一款)?[^。！？\n]{0,6}(?:ai|人工智能|人工智慧|语言模型|語言模型)[^。！？\n]{0,40}?(?:不|没|無|无|难以|非)",
    rf"{_NOBODY}(?:无法|不能|难以|没法|没办法|不可能|很难|不足以)"
    r"(?:仅|准确|直接|清楚|确切|明确|地|(?:从|通过|根据|根據|仅凭|凭|憑)[^。！？，,\n]{0,12}?)*"
    r"(?:判断|确定|识别|辨别|分辨|看出|得知|推断|分析|回答|提供|说清|知道)",
    rf"{_NOBODY}(?:看不出|说不清|分不清|不清楚|不知道|不确定|判断不了|不好说)"
    r"来?[^。！？，,\n]{0,12}?(?:是|情绪|情感|心情|感受|高兴|什么|什麼|$|[。！])",
)
_REFUSING = re.compile(rf"^\W*{_any(_ENGLISH, _CHINESE)}", re.IGNORECASE)
_HEAD = 200  # characters in which a refusal begins; our choice
_SUSPECT = (  # what every refusal has near its beginning: a quick look spares most responses the rules above
    *(
        "sorry",
        "afraid",
        "apolog",
        "regret",
        "sad to",
        "as an ai",
        "as a large",
        "as an artificial",
        "as a artificial",
        "can't",
        "can’t",
        "cant ",
    ),
    *("cannot", "can not", "could", "unable", "not able", "possible", "unclear", "hard to", "hard for", "difficult"),
    *(
        "not enough",
        "insufficient",
        "no information",
        "no context",
        "no evidence",
        "no data",
        "don't",
        "don’t",
        "not clear",
        "unknown",
        "undetermined",
        "ambiguous",
        "n/a",
        "no face",
        "no person",
        "no human",
        "no one",
        "no speaker",
        "do not",
    ),
    *(
        "not sure",
        "not certain",
        "抱歉",
        "对不起",
        "不好意思",
        "作为",
        "无法",
        "不能",
        "难以",
        "没法",
        "没办法",
        "不可能",
        "不足以",
    ),
    *("很难", "难过", "遗憾", "看不出", "说不清", "分不清", "不清楚", "不知道", "不确定", "判断不了", "不好说"),
)
_TURN = re.compile(
    _any(
        r"\b(?:but|however|though|although|that said|nevertheless|nonetheless|still|yet|based on|from the|judging|my best)\b",
        r"^(?:the (?:\w+ )?(?:person|speaker|man|woman|individual|character|girl|boy)|he|she|they)\b",
        "但是?|不过|然而|只能|看起来|看上去|似乎|推测|从.{0,12}来看",
    ),
    re.IGNORECASE,
)
_ASSERTED = re.compile(
    _any(
        r"\b(?:feels?|felt|seems?|appears?|looks?|sounds?|is|are|was|were|may be|might be|could be|must be|guess|suggests?)\b",
        r"\bgo with\b",
        r"\b(?:indicates?|shows?|express\w*|convey\w*|likely|probably|possibly|perhaps|maybe)\b",
        "是|感到|显得|有些|有点|比较|很|情绪",
    ),
    re.IGNORECASE,
)
# A clause about the model: "but I am an AI", "but I can help with other questions"
_OF_ITSELF = re.compile(
    r"^\W*(?:i|we|my|this model|as an)\b"
    r"(?!['’]d (?:go with|say|guess)|(?: (?:can|could|would|may|might))? (?:infer|observe|guess|say|assume|think|see|notice))"
    r"|^\W*我(?!猜|觉得|认为|感觉|推测)",
    re.IGNORECASE,
)
# Nothing is refused here but one emotion: "I can't say she is angry. She is disappointed."
_NOT_THIS_ONE = re.compile(
    rf"^\W*(?:i|we|one) {_CANNOT} (?:say|tell)(?: that| if| whether)? (?:he|she|they|it|the \w+)\b[^.!?;,]*"
    r"[.;!]\s*(?P<rest>\S.*)$",
    re.IGNORECASE | re.DOTALL,
)
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s*|\n+")
_CLAUSE = re.compile(r"[,;，；]\s*|(?<=[^,;，；])(?=\bbut\b)", re.IGNORECASE)


def is_refusal(text: str) -> bool:
    """Whether a response begins with a refusal, or with words that nothing can be told."""
    head = simplified(text[:_HEAD]).lower()
    return any(map(head.__contains__, _SUSPECT)) and bool(_REFUSING.match(simplified(text)))


def without_refusal(text: str) -> str:
    """What a response that refuses says all the same; empty if that is nothing.

    >>> without_refusal("I'm sorry, but I can't see faces. However, the person sounds sad.")
    'However, the person sounds sad.'
    """
    one = _NOT_THIS_ONE.match(text)
    if one and _ASSERTED.search(one["rest"]) and not is_refusal(one["rest"]) and not _OF_ITSELF.match(one["rest"]):
        return one["rest"].strip()
    first, *others = [part for part in _SENTENCE.split(simplified(text)) if part and part.strip()]
    kept = _tail(first)
    for sentence in others:
        if not kept and not (_TURN.search(sentence) and _ASSERTED.search(sentence)):
            continue
        if not is_refusal(sentence):
            kept.append(sentence.strip())
    return " ".join(kept).strip()


def _tail(sentence: str) -> list[str]:
    """The clauses of a refusing sentence from the turn on: "..., but the person seems sad"."""
    clauses = [clause.strip() for clause in _CLAUSE.split(sentence) if clause and clause.strip()]
    for index, clause in enumerate(clauses[1:], start=1):
        turned = _TURN.match(clause)
        rest = ", ".join([clause[turned.end() :].strip(), *clauses[index + 1 :]]) if turned else ""
        if _ASSERTED.search(rest) and not _REFUSING.match(rest) and not _OF_ITSELF.match(rest):
            return [", ".join(clauses[index:])]
    return []
